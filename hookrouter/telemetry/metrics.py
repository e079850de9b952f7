"""Facts as Prometheus metrics; an observer like any other. Every metric is documented in docs/operations.md.

Children of labelled metrics are bound once and kept: an increment costs about a microsecond.
"""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from hookrouter import facts as f
from hookrouter.facts import Fact

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Metrics:
    """All figures of one router, in a registry of its own."""

    def __init__(self) -> None:
        r = self.registry = CollectorRegistry()
        self.connected = Gauge(
            "hookrouter_ari_connected", "1 while the Asterisk is connected.", ["asterisk"], registry=r
        )
        self.reconnects = Counter(
            "hookrouter_ari_connections_lost", "Event sockets that ended.", ["asterisk", "reason"], registry=r
        )
        self.replaced = Counter(
            "hookrouter_ari_replaced", "Times another client took the app: an alarm.", ["asterisk"], registry=r
        )
        self.events = Counter("hookrouter_events", "ARI events received.", ["asterisk", "type"], registry=r)
        self.requests = Counter(
            "hookrouter_ari_requests", "ARI requests by what came of them.", ["operation", "status"], registry=r
        )
        self.request_seconds = Histogram(
            "hookrouter_ari_request_seconds", "Duration of ARI requests.", ["transport"], buckets=_SECONDS, registry=r
        )
        self.calls = Gauge("hookrouter_calls", "Live calls.", ["route"], registry=r)
        self.calls_started = Counter("hookrouter_calls_started", "Calls that entered an app.", ["route"], registry=r)
        self.call_seconds = Histogram(
            "hookrouter_call_seconds",
            "Duration of calls.",
            ["route"],
            buckets=(1, 5, 15, 60, 300, 1800, 7200),
            registry=r,
        )
        self.actions = Counter("hookrouter_actions", "Actions by outcome.", ["verb", "outcome"], registry=r)
        self.attempts = Counter(
            "hookrouter_delivery_attempts", "HTTP attempts.", ["route", "kind", "result"], registry=r
        )
        self.attempt_seconds = Histogram(
            "hookrouter_delivery_attempt_seconds", "Duration of HTTP attempts.", ["route"], buckets=_SECONDS, registry=r
        )
        self.deliveries = Counter(
            "hookrouter_deliveries", "Deliveries by outcome.", ["route", "kind", "outcome"], registry=r
        )
        self.fallbacks = Counter("hookrouter_fallbacks", "Fallbacks taken.", ["route", "kind"], registry=r)
        self.late = Counter("hookrouter_late_answers", "Answers thrown away as too late.", ["route"], registry=r)
        self.breakers = Gauge("hookrouter_breakers_open", "Endpoints whose breaker is open.", registry=r)
        self.journal_failures = Counter("hookrouter_journal_failures", "Times the disk refused: an alarm.", registry=r)
        self.routes_refused = Counter(
            "hookrouter_routes_refused", "Edits of routes.toml that were refused.", registry=r
        )
        self.warnings = Counter("hookrouter_warnings", "Warnings by subject.", ["subject"], registry=r)
        self._queues: list[Callable[[], dict[str, float]]] = []
        self.queue = Gauge("hookrouter_queue", "What waits, by queue.", ["queue"], registry=r)
        self._open: set[str] = set()
        self._routes: Callable[[], list[str]] = list
        self._known: set[str] = set()
        self._bound: dict[tuple[Any, ...], Any] = {}

    def watch_queue(self, depth: Callable[[], dict[str, float]]) -> None:
        """`depth` is asked at each scrape: name of the queue → how much waits there."""
        self._queues.append(depth)

    def watch_calls(self, routes: Callable[[], list[str]]) -> None:
        """`routes` is asked at each scrape: the route of every live call."""
        self._routes = routes

    def render(self) -> bytes:
        """The text that Prometheus reads."""
        live = Counts(self._routes())
        for route in self._known | live.keys():
            self.calls.labels(route).set(live[route])
        self._known |= live.keys()
        for depth in self._queues:
            for name, value in depth().items():
                self.queue.labels(name).set(value)
        return generate_latest(self.registry)

    def _of(self, metric: Any, *labels: str) -> Any:
        key = (id(metric), *labels)
        found = self._bound.get(key)
        if found is None:
            found = self._bound[key] = metric.labels(*labels)
        return found

    def observe(self, fact: Fact) -> None:
        """The observer."""
        handler = _HANDLERS.get(type(fact))
        if handler is not None:
            handler(self, fact)


def _event(m: Metrics, fact: f.EventReceived) -> None:
    m._of(m.events, fact.asterisk, fact.type).inc()


def _request(m: Metrics, fact: f.AriRequested) -> None:
    m._of(m.requests, fact.operation, str(fact.status)).inc()
    m._of(m.request_seconds, fact.transport).observe(fact.seconds)


def _connected(m: Metrics, fact: f.AriConnected) -> None:
    m._of(m.connected, fact.asterisk).set(1)


def _lost(m: Metrics, fact: f.AriLost) -> None:
    m._of(m.connected, fact.asterisk).set(0)
    m._of(m.reconnects, fact.asterisk, fact.reason).inc()


def _replaced(m: Metrics, fact: f.AriReplaced) -> None:
    m._of(m.connected, fact.asterisk).set(0)
    m._of(m.replaced, fact.asterisk).inc()


def _call_started(m: Metrics, fact: f.CallStarted) -> None:
    m._of(m.calls_started, fact.route).inc()


def _call_finished(m: Metrics, fact: f.CallFinished) -> None:
    m._of(m.call_seconds, fact.route).observe(fact.seconds)


def _action(m: Metrics, fact: f.ActionFinished) -> None:
    m._of(m.actions, fact.verb, fact.outcome).inc()


def _attempt(m: Metrics, fact: f.DeliveryAttempted) -> None:
    m._of(m.attempts, fact.route, fact.kind, str(fact.status) if fact.status else fact.reason).inc()
    m._of(m.attempt_seconds, fact.route).observe(fact.seconds)


def _delivery(m: Metrics, fact: f.DeliveryFinished) -> None:
    m._of(m.deliveries, fact.route, fact.kind, fact.outcome).inc()


def _fallback(m: Metrics, fact: f.FallbackTaken) -> None:
    m._of(m.fallbacks, fact.route, fact.kind).inc()


def _late(m: Metrics, fact: f.LateAnswer) -> None:
    m._of(m.late, fact.route).inc()


def _breaker(m: Metrics, fact: f.BreakerChanged) -> None:
    (m._open.discard if fact.state == "closed" else m._open.add)(fact.url)
    m.breakers.set(len(m._open))


def _journal(m: Metrics, fact: f.JournalFailed) -> None:
    m.journal_failures.inc()


def _refused(m: Metrics, fact: f.RoutesRefused) -> None:
    m.routes_refused.inc()


def _warned(m: Metrics, fact: f.Warned) -> None:
    m._of(m.warnings, fact.subject).inc()


_HANDLERS: dict[type[Fact], Callable[[Metrics, Any], None]] = {
    f.EventReceived: _event,
    f.AriRequested: _request,
    f.AriConnected: _connected,
    f.AriLost: _lost,
    f.AriReplaced: _replaced,
    f.CallStarted: _call_started,
    f.CallFinished: _call_finished,
    f.ActionFinished: _action,
    f.DeliveryAttempted: _attempt,
    f.DeliveryFinished: _delivery,
    f.FallbackTaken: _fallback,
    f.LateAnswer: _late,
    f.BreakerChanged: _breaker,
    f.JournalFailed: _journal,
    f.RoutesRefused: _refused,
    f.Warned: _warned,
}
