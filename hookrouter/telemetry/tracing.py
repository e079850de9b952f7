"""Facts as spans for OpenTelemetry: a trace of each call; an observer like any other, and only there when it is switched on.

Rules:
- All ids but those of requests to Asterisk follow from the ids of the call and the event, as `traceparent` does: an endpoint's own
  spans fit in, and a call that goes on after a restart has the same trace.
- A span is made when it is over, from the fact that says so and its seconds, and ends in that moment; nothing is kept meanwhile.
- Sending has a thread and a bounded queue of its own (the SDK's batch processor): a collector that is slow or away costs spans,
  never a call.
Source: the OTLP exporter's variables, https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping
from hashlib import blake2b
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

from hookrouter import __version__
from hookrouter import facts as f
from hookrouter.delivery.envelope import traceparent
from hookrouter.facts import Facts, Warned

CLOSE_TIMEOUT = 2.0
_TOLD_EVERY = 60.0
_SCOPE = InstrumentationScope("hookrouter", __version__)
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)


def _context(trace_of: str, span: int) -> SpanContext:
    trace = int.from_bytes(blake2b(trace_of.encode(), digest_size=16).digest())
    return SpanContext(trace, span, is_remote=False, trace_flags=_SAMPLED)


def _id(*parts: object) -> int:
    return int.from_bytes(blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest())


def _of_call(call: str) -> SpanContext:
    """The span of the whole call, below which all others are."""
    return _context(call, _id("call", call))


def _of_delivery(fact: f.DeliveryAttempted | f.DeliveryFinished) -> SpanContext:
    return _context(fact.call or fact.event, _id("delivery", fact.event, fact.route))


def _of_attempt(fact: f.DeliveryAttempted) -> SpanContext:
    """The one that the endpoint was told in `traceparent`."""
    return _context(fact.call or fact.event, int(traceparent(fact.event, fact.call, fact.attempt).split("-")[2], 16))


def resource(environ: Mapping[str, str]) -> Resource:
    """What the variables say of us; without a name we are `hookrouter`."""
    named = "OTEL_SERVICE_NAME" in environ or "service.name=" in environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return Resource.create({} if named else {"service.name": "hookrouter"})


class Tracing:
    """The observer. `close` at the end: it sends what waits, for a moment."""

    def __init__(self, facts: Facts, processor: BatchSpanProcessor, about: Resource) -> None:
        self._facts, self._processor, self._resource = facts, processor, about
        facts.subscribe(self, _MAKERS.__contains__)

    def __call__(self, fact: Any) -> None:
        _MAKERS[fact.__class__](self, fact)

    def close(self) -> None:
        """Waits at most `CLOSE_TIMEOUT` seconds."""
        closing = threading.Thread(target=self._processor.shutdown, daemon=True, name="otel-close")
        closing.start()
        closing.join(CLOSE_TIMEOUT)

    def span(
        self, name: str, context: SpanContext, parent: SpanContext | None, seconds: float,
        attributes: Mapping[str, Any], *, kind: SpanKind = SpanKind.INTERNAL, fault: str = "",
    ) -> None:  # fmt: skip
        """One that has ended now."""
        end = time.time_ns()
        self._processor.on_end(
            ReadableSpan(
                name, context, parent, self._resource, {key: value for key, value in attributes.items() if value != ""},
                kind=kind, status=Status(StatusCode.ERROR, fault) if fault else Status(),
                start_time=end - int(seconds * 1e9), end_time=end, instrumentation_scope=_SCOPE,
            )
        )  # fmt: skip


def _call(t: Tracing, fact: f.CallFinished) -> None:
    said = {"hookrouter.call": fact.call, "hookrouter.asterisk": fact.asterisk, "hookrouter.route": fact.route,
            "hookrouter.tenant": fact.tenant, "hookrouter.reason": fact.reason}  # fmt: skip
    t.span(f"call {fact.route}", _of_call(fact.call), None, fact.seconds, said)


def _delivery(t: Tracing, fact: f.DeliveryFinished) -> None:
    said = {"hookrouter.event": fact.event, "hookrouter.route": fact.route, "hookrouter.kind": fact.kind,
            "hookrouter.outcome": fact.outcome, "hookrouter.attempts": fact.attempts, "hookrouter.actions": fact.actions}  # fmt: skip
    fault = "" if fact.outcome in ("answered", "delivered") else f"{fact.reason or fact.outcome}: {fact.detail}"
    parent = _of_call(fact.call) if fact.call else None
    t.span(f"deliver {fact.type}", _of_delivery(fact), parent, fact.seconds, said, fault=fault)


def _attempt(t: Tracing, fact: f.DeliveryAttempted) -> None:
    said = {"http.request.method": "POST", "url.full": fact.url, "hookrouter.event": fact.event,
            "http.request.resend_count": fact.attempt - 1, "http.response.status_code": fact.status or ""}  # fmt: skip
    good = fact.status is not None and fact.status < 300
    fault = "" if good else f"{fact.reason}: {fact.detail}"
    t.span("POST", _of_attempt(fact), _of_delivery(fact), fact.seconds, said, kind=SpanKind.CLIENT, fault=fault)


def _action(t: Tracing, fact: f.ActionFinished) -> None:
    context = _context(fact.call, _id("action", fact.call, fact.program, fact.index))
    said = {"hookrouter.outcome": fact.outcome, "hookrouter.about": fact.about, "hookrouter.result": fact.result}
    fault = fact.detail or "failed" if fact.outcome == "failed" else ""
    t.span(fact.verb, context, _of_call(fact.call), fact.seconds, said, fault=fault)


def _request(t: Tracing, fact: f.AriRequested) -> None:
    if not fact.call:
        return
    context = _context(fact.call, int.from_bytes(os.urandom(8)) or 1)
    said = {
        "hookrouter.asterisk": fact.asterisk,
        "http.response.status_code": fact.status,
        "hookrouter.transport": fact.transport,
    }
    fault = "" if 200 <= fact.status < 300 else fact.detail or f"status {fact.status}"
    t.span(fact.operation, context, _of_call(fact.call), fact.seconds, said, kind=SpanKind.CLIENT, fault=fault)


def _fallback(t: Tracing, fact: f.FallbackTaken) -> None:
    if fact.call:
        context = _context(fact.call, _id("fallback", fact.call, fact.event, fact.kind))
        said = {"hookrouter.kind": fact.kind, "hookrouter.reason": fact.reason, "hookrouter.event": fact.event}
        t.span("fallback", context, _of_call(fact.call), 0.0, said, fault=fact.reason)


_MAKERS: dict[type[f.Fact], Callable[[Tracing, Any], None]] = {
    f.CallFinished: _call,
    f.DeliveryFinished: _delivery,
    f.DeliveryAttempted: _attempt,
    f.ActionFinished: _action,
    f.AriRequested: _request,
    f.FallbackTaken: _fallback,
}


class _Told(logging.Handler):
    """What the SDK says of its collector, as a warning; once a minute."""

    def __init__(self, facts: Facts) -> None:
        super().__init__(logging.WARNING)
        self._facts, self._loop, self._last = facts, asyncio.get_running_loop(), -_TOLD_EVERY

    def emit(self, record: logging.LogRecord) -> None:
        now = time.monotonic()
        if now - self._last >= _TOLD_EVERY and not self._loop.is_closed():
            self._last = now
            message = f"spans could not be sent, and are lost; calls go on: {record.getMessage()[:300]}"
            self._loop.call_soon_threadsafe(self._facts.emit, Warned("otel", message))


def start_tracing(facts: Facts, environ: Mapping[str, str]) -> Tracing:
    """To where the standard variables say; they are the SDK's own. On the loop's thread."""
    log = logging.getLogger("opentelemetry")
    log.propagate = False
    log.handlers = [_Told(facts)]
    return Tracing(facts, BatchSpanProcessor(OTLPSpanExporter()), resource(environ))
