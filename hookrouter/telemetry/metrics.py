"""Facts as Prometheus metrics; an observer like any other. Every metric is documented in docs/operations.md.

What is counted for every event is counted in plain dictionaries; what Prometheus wants of them is made when it asks.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from hookrouter import facts as f
from hookrouter.facts import Fact, Facts

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Counts(Collector):
    """A counter by its labels' values."""

    def __init__(self, name: str, text: str, labels: list[str], *, registry: CollectorRegistry) -> None:
        self._family = (name, text, labels)
        self.of: defaultdict[tuple[str, ...], int] = defaultdict(int)
        registry.register(self)

    def collect(self) -> Iterator[CounterMetricFamily]:
        name, text, labels = self._family
        family = CounterMetricFamily(name, text, labels=labels)
        for values, count in self.of.items():
            family.add_metric(values, count)
        yield family


class Durations(Collector):
    """A histogram by its one label's value. `buckets`: upper bounds in seconds, ascending."""

    def __init__(
        self, name: str, text: str, labels: list[str], *, buckets: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._family = (name, text, labels)
        self._buckets = buckets
        self._of: dict[str, list[float]] = {}  # how many in each bucket, those above all of them, their sum
        registry.register(self)

    def add(self, value: str, seconds: float) -> None:
        found = self._of.get(value)
        if found is None:
            found = self._of[value] = [0] * (len(self._buckets) + 1) + [0.0]
        found[bisect_left(self._buckets, seconds)] += 1
        found[-1] += seconds

    def collect(self) -> Iterator[HistogramMetricFamily]:
        name, text, labels = self._family
        family = HistogramMetricFamily(name, text, labels=labels)
        bounds = [*(str(float(bound)) for bound in self._buckets), "+Inf"]
        for value, (*counts, total) in self._of.items():
            family.add_metric([value], list(zip(bounds, accumulate(counts), strict=True)), total)
        yield family


class Metrics:
    """All figures of one router, in a registry of its own."""

    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        self.connected = Gauge(
            "hookrouter_ari_connected", "1 while the Asterisk is connected.", ["asterisk"], registry=r
        )
        self.reconnects = Counts(
            "hookrouter_ari_connections_lost", "Event sockets that ended.", ["asterisk", "reason"], registry=r
        )
        self.replaced = Counts(
            "hookrouter_ari_replaced", "Times another client took the app: an alarm.", ["asterisk"], registry=r
        )
        self.owned = Gauge(
            "hookrouter_entries_owned",
            "1 while this router owns the Asterisk, where several share a database.",
            ["asterisk"],
            registry=r,
        )
        self.taken = Counts(
            "hookrouter_entries_taken", "Times this router has taken an Asterisk.", ["asterisk", "why"], registry=r
        )
        self.lost = Counts(
            "hookrouter_entries_lost", "Times another router has taken one from it.", ["asterisk"], registry=r
        )
        self.handed_over = Counts(
            "hookrouter_entries_handed_over",
            "Times this router has given one to another, as asked.",
            ["asterisk"],
            registry=r,
        )
        self.snapshot = Gauge(
            "hookrouter_database_snapshot_seconds",
            "For how long somebody has held the oldest snapshot of PostgreSQL, as the router sees that looks; else 0.",
            registry=r,
        )
        self.events = Counts("hookrouter_events", "ARI events received.", ["asterisk", "type"], registry=r)
        self.requests = Counts(
            "hookrouter_ari_requests", "ARI requests by what came of them.", ["operation", "status"], registry=r
        )
        self.request_seconds = Durations(
            "hookrouter_ari_request_seconds", "Duration of ARI requests.", ["transport"], buckets=_SECONDS, registry=r
        )
        self.calls = Gauge("hookrouter_calls", "Live calls.", ["route"], registry=r)
        self.calls_started = Counts("hookrouter_calls_started", "Calls that entered an app.", ["route"], registry=r)
        self.call_seconds = Durations(
            "hookrouter_call_seconds",
            "Duration of calls.",
            ["route"],
            buckets=(1, 5, 15, 60, 300, 1800, 7200),
            registry=r,
        )
        self.actions = Counts("hookrouter_actions", "Actions by outcome.", ["verb", "outcome"], registry=r)
        self.attempts = Counts(
            "hookrouter_delivery_attempts", "HTTP attempts.", ["route", "kind", "result"], registry=r
        )
        self.attempt_seconds = Durations(
            "hookrouter_delivery_attempt_seconds", "Duration of HTTP attempts.", ["route"], buckets=_SECONDS, registry=r
        )
        self.deliveries = Counts(
            "hookrouter_deliveries", "Deliveries by outcome.", ["route", "kind", "outcome"], registry=r
        )
        self.fallbacks = Counts("hookrouter_fallbacks", "Fallbacks taken.", ["route", "kind"], registry=r)
        self.still = Counts(
            "hookrouter_calls_stood_still",
            "Calls in which nothing ran, nothing was to come and nothing was heard: an alarm.",
            ["route"],
            registry=r,
        )
        self.loops = Counter(
            "hookrouter_loops", "Calls whose endpoint answered every event with the same actions: an alarm.", registry=r
        )
        self.record_bytes = Gauge("hookrouter_record_bytes", "Size of the record of calls on disk.", registry=r)
        self.limits = Counts(
            "hookrouter_limits", "What was over a bound of a route, and not done.", ["route", "limit"], registry=r
        )
        self.compared = Counts(
            "hookrouter_shadow_answers",
            "Answers of candidates beside those of the route's own endpoint.",
            ["route", "outcome"],
            registry=r,
        )
        self.late = Counts("hookrouter_late_answers", "Answers thrown away as too late.", ["route"], registry=r)
        self.breakers = Gauge("hookrouter_breakers_open", "Endpoints whose breaker is open.", registry=r)
        self.journal_failures = Counter("hookrouter_journal_failures", "Times the disk refused: an alarm.", registry=r)
        self.routes_refused = Counter(
            "hookrouter_routes_refused", "Edits of routes.toml that were refused.", registry=r
        )
        self.auth_refused = Counts(
            "hookrouter_auth_refused", "Who was refused at the router's own HTTP.", ["door", "reason"], registry=r
        )
        self.http_refused = Counts(
            "hookrouter_http_refused", "Connections and requests over a bound.", ["reason"], registry=r
        )
        self.warnings = Counts("hookrouter_warnings", "Warnings by subject.", ["subject"], registry=r)
        self._queues: list[Callable[[], dict[str, float]]] = []
        self.queue = Gauge("hookrouter_queue", "What waits, by queue.", ["queue"], registry=r)
        self._record: Callable[[], int] = int
        self._open: set[str] = set()
        self._routes: Callable[[], list[str]] = list
        self._known: set[str] = set()

    def watch_queue(self, depth: Callable[[], dict[str, float]]) -> None:
        """`depth` is asked at each scrape: name of the queue → how much waits there."""
        self._queues.append(depth)

    def watch_record(self, size: Callable[[], int]) -> None:
        """`size` is asked at each scrape: bytes of the record on disk."""
        self._record = size

    def watch_snapshot(self, seconds: Callable[[], float]) -> None:
        """`seconds` is asked at each scrape: see the metric."""
        self.snapshot.set_function(seconds)

    def watch_calls(self, routes: Callable[[], list[str]]) -> None:
        """`routes` is asked at each scrape: the route of every live call."""
        self._routes = routes

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        live = Tally(self._routes())
        for route in self._known | live.keys():
            self.calls.labels(route).set(live[route])
        self._known |= live.keys()
        self.record_bytes.set(self._record())
        for depth in self._queues:
            for name, value in depth().items():
                self.queue.labels(name).set(value)
        return generate_latest(self.registry)

    def subscribe(self, facts: Facts) -> None:
        """Each kind of fact has its own observer."""
        for kind, handler in _HANDLERS.items():
            facts.subscribe(partial(handler, self), frozenset({kind}).__contains__)


def _event(m: Metrics, fact: f.EventReceived) -> None:
    m.events.of[fact.asterisk, fact.type] += 1


def _request(m: Metrics, fact: f.AriRequested) -> None:
    m.requests.of[fact.operation, str(fact.status)] += 1
    m.request_seconds.add(fact.transport, fact.seconds)


def _connected(m: Metrics, fact: f.AriConnected) -> None:
    m.connected.labels(fact.asterisk).set(1)


def _lost(m: Metrics, fact: f.AriLost) -> None:
    m.connected.labels(fact.asterisk).set(0)
    m.reconnects.of[fact.asterisk, fact.reason] += 1


def _replaced(m: Metrics, fact: f.AriReplaced) -> None:
    m.connected.labels(fact.asterisk).set(0)
    m.replaced.of[fact.asterisk,] += 1


def _entry_taken(m: Metrics, fact: f.EntryTaken) -> None:
    m.owned.labels(fact.asterisk).set(1)
    m.taken.of[fact.asterisk, fact.why] += 1


def _entry_lost(m: Metrics, fact: f.EntryLost) -> None:
    m.owned.labels(fact.asterisk).set(0)
    m.connected.labels(fact.asterisk).set(0)
    m.lost.of[fact.asterisk,] += 1


def _entry_handed_over(m: Metrics, fact: f.EntryHandedOver) -> None:
    m.owned.labels(fact.asterisk).set(0)
    m.connected.labels(fact.asterisk).set(0)
    m.handed_over.of[fact.asterisk,] += 1


def _call_started(m: Metrics, fact: f.CallStarted) -> None:
    m.calls_started.of[fact.route,] += 1


def _call_finished(m: Metrics, fact: f.CallFinished) -> None:
    m.call_seconds.add(fact.route, fact.seconds)


def _action(m: Metrics, fact: f.ActionFinished) -> None:
    m.actions.of[fact.verb, fact.outcome] += 1


def _attempt(m: Metrics, fact: f.DeliveryAttempted) -> None:
    m.attempts.of[fact.route, fact.kind, str(fact.status) if fact.status else fact.reason] += 1
    m.attempt_seconds.add(fact.route, fact.seconds)


def _delivery(m: Metrics, fact: f.DeliveryFinished) -> None:
    m.deliveries.of[fact.route, fact.kind, fact.outcome] += 1


def _fallback(m: Metrics, fact: f.FallbackTaken) -> None:
    m.fallbacks.of[fact.route, fact.kind] += 1


def _stands_still(m: Metrics, fact: f.CallStandsStill) -> None:
    m.still.of[fact.route,] += 1


def _limit(m: Metrics, fact: f.LimitReached) -> None:
    m.limits.of[fact.route, fact.limit] += 1


def _late(m: Metrics, fact: f.LateAnswer) -> None:
    m.late.of[fact.route,] += 1


def _compared(m: Metrics, fact: f.AnswerCompared) -> None:
    m.compared.of[fact.route, fact.outcome] += 1


def _breaker(m: Metrics, fact: f.BreakerChanged) -> None:
    (m._open.discard if fact.state == "closed" else m._open.add)(fact.url)
    m.breakers.set(len(m._open))


def _journal(m: Metrics, fact: f.JournalFailed) -> None:
    m.journal_failures.inc()


def _refused(m: Metrics, fact: f.RoutesRefused) -> None:
    m.routes_refused.inc()


def _auth_refused(m: Metrics, fact: f.AuthRefused) -> None:
    m.auth_refused.of[fact.door, fact.reason] += 1


def _http_refused(m: Metrics, fact: f.HttpRefused) -> None:
    m.http_refused.of[fact.reason,] += 1


def _warned(m: Metrics, fact: f.Warned) -> None:
    m.warnings.of[fact.subject,] += 1
    if fact.subject == "loop":
        m.loops.inc()


_HANDLERS: dict[type[Fact], Callable[[Metrics, Any], None]] = {
    f.EventReceived: _event,
    f.AriRequested: _request,
    f.AriConnected: _connected,
    f.AriLost: _lost,
    f.AriReplaced: _replaced,
    f.EntryTaken: _entry_taken,
    f.EntryLost: _entry_lost,
    f.EntryHandedOver: _entry_handed_over,
    f.CallStarted: _call_started,
    f.CallFinished: _call_finished,
    f.ActionFinished: _action,
    f.DeliveryAttempted: _attempt,
    f.DeliveryFinished: _delivery,
    f.FallbackTaken: _fallback,
    f.CallStandsStill: _stands_still,
    f.LateAnswer: _late,
    f.AnswerCompared: _compared,
    f.LimitReached: _limit,
    f.BreakerChanged: _breaker,
    f.JournalFailed: _journal,
    f.RoutesRefused: _refused,
    f.AuthRefused: _auth_refused,
    f.HttpRefused: _http_refused,
    f.Warned: _warned,
}
