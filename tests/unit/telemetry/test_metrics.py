"""The figures as Prometheus reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from hookrouter.facts import AriConnected, AriRequested, DeliveryAttempted, EventReceived, Facts, Warned
from hookrouter.telemetry.metrics import Counts, Durations, Metrics

BUCKETS = (0.1, 1, 2.5)


def lines(registry: CollectorRegistry) -> set[str]:
    """Without when each was created, which ours do not tell."""
    return {line for line in generate_latest(registry).decode().splitlines() if "_created" not in line}


@given(st.lists(st.tuples(st.sampled_from(["a", 'b"\n']), st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.5, 3.0]))))
def test_they_are_what_prometheus_own_would_be(observed: list[tuple[str, float]]) -> None:
    """Bounds belong to their bucket, buckets are cumulative, labels are quoted."""
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counts, durations = (
        Counts("n", "N.", ["x"], registry=ours),
        Durations("s", "S.", ["x"], buckets=BUCKETS, registry=ours),
    )
    counter, histogram = (
        Counter("n", "N.", ["x"], registry=theirs),
        Histogram("s", "S.", ["x"], buckets=BUCKETS, registry=theirs),
    )
    for value, seconds in observed:
        counts.of[value,] += 1
        durations.add(value, seconds)
        counter.labels(value).inc()
        histogram.labels(value).observe(seconds)
    assert lines(ours) == lines(theirs)


def test_facts_are_counted_by_what_they_say() -> None:
    """A sample of each sort."""
    metrics, facts = Metrics(), Facts()
    metrics.subscribe(facts)
    for fact in (
        AriConnected("main", ("app",)),
        EventReceived("main", "StasisStart", "evt_1", "1.1"),
        EventReceived("main", "StasisStart", "evt_2", "1.2"),
        AriRequested("main", "channels.answer", 204, 0.003, "ws", 1),
        DeliveryAttempted("evt_1", "StasisStart", "1.1", "ivr", "http://ivr/", 1, None, "timeout", 0.25, "control"),
        Warned("routes", "something"),
    ):
        facts.emit(fact)
    text = metrics.render().decode().splitlines()
    for line in (
        'hookrouter_ari_connected{asterisk="main"} 1.0',
        'hookrouter_events_total{asterisk="main",type="StasisStart"} 2.0',
        'hookrouter_ari_requests_total{operation="channels.answer",status="204"} 1.0',
        'hookrouter_ari_request_seconds_bucket{le="0.002",transport="ws"} 0.0',
        'hookrouter_ari_request_seconds_bucket{le="0.005",transport="ws"} 1.0',
        'hookrouter_delivery_attempts_total{kind="control",result="timeout",route="ivr"} 1.0',
        'hookrouter_warnings_total{subject="routes"} 1.0',
    ):
        assert line in text, line
