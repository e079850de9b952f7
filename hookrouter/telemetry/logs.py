"""Facts as log lines: one dotted past-tense name and its fields a line; an observer like any other.

Rules: a unit of work is one line, written when it is over. `text` is for people, `json` for machines; both go to stderr.
Nothing that is secret is in a fact, so nothing that is secret is logged.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, MutableMapping
from typing import Any, BinaryIO, Literal

import msgspec
import structlog

from hookrouter import facts as f
from hookrouter.facts import Fact

Level = Literal["debug", "info", "warning", "error"]
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}

NAMES: dict[type[Fact], tuple[str, Level]] = {
    f.AriConnected: ("ari.connected", "info"),
    f.AriLost: ("ari.reconnecting", "warning"),
    f.AriReplaced: ("ari.replaced", "error"),
    f.EventReceived: ("event.received", "debug"),
    f.AriRequested: ("ari.requested", "debug"),
    f.CallStarted: ("call.started", "info"),
    f.CallFinished: ("call.finished", "info"),
    f.ActionStarted: ("action.started", "debug"),
    f.ActionFinished: ("action.finished", "info"),
    f.DeliveryAttempted: ("delivery.attempted", "info"),
    f.DeliveryFinished: ("delivery.finished", "debug"),
    f.FallbackTaken: ("fallback.taken", "warning"),
    f.LateAnswer: ("answer.late", "warning"),
    f.BreakerChanged: ("breaker.changed", "warning"),
    f.RoutesLoaded: ("routes.loaded", "info"),
    f.RoutesRefused: ("routes.refused", "error"),
    f.JournalFailed: ("journal.failed", "error"),
    f.JournalRecovered: ("journal.recovered", "info"),
    f.Warned: ("warned", "warning"),
}


def _level(fact: Fact) -> tuple[str, Level]:
    """A failure is a warning whatever its kind."""
    name, level = NAMES.get(type(fact)) or (_dotted(type(fact).__name__), "info")
    if isinstance(fact, f.ActionFinished) and fact.outcome == "failed":
        return name, "warning"
    if isinstance(fact, f.DeliveryAttempted) and (fact.status is None or fact.status >= 300):
        return name, "warning"
    if isinstance(fact, f.DeliveryFinished) and fact.outcome in ("unanswered", "dead", "dropped"):
        return name, "warning"
    return name, level


def _dotted(name: str) -> str:
    return "".join("." + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


def _fields(fact: Fact) -> dict[str, Any]:
    """What a line says: empty fields and raw JSON are left out, seconds are rounded to the millisecond."""
    found: dict[str, Any] = {}
    for name in fact.__struct_fields__:
        value = getattr(fact, name)
        if value is None or value == "" or value == () or value == {} or isinstance(value, bytes):
            continue
        found["event_id" if name == "event" else name] = round(value, 4) if isinstance(value, float) else value
    return found


def _text(_: Any, __: str, event: MutableMapping[str, Any]) -> bytes:
    head = f"{event.pop('timestamp')} {event.pop('level'):<7} {event.pop('event')}"
    return " ".join([head, *(f"{key}={_quoted(value)}" for key, value in event.items())]).encode()


def _quoted(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return f'"{text}"' if " " in text or not text else text


def _json(_: Any, __: str, event: MutableMapping[str, Any]) -> bytes:
    return msgspec.json.encode(event)


def logging_observer(
    form: Literal["text", "json"], level: Level = "info", stream: BinaryIO | None = None
) -> Callable[[Fact], None]:
    """An observer that writes a line for each fact of at least `level`; `stream` defaults to stderr."""
    lowest = _LEVELS[level]
    logger = structlog.wrap_logger(
        structlog.BytesLogger(stream or sys.stderr.buffer),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _json if form == "json" else _text,
        ],
        wrapper_class=structlog.BoundLogger,
        cache_logger_on_first_use=True,
    )
    quiet = {kind for kind, (_, own) in NAMES.items() if own == "debug"} if lowest > 10 else set()
    quiet.discard(f.DeliveryFinished)  # a failed one is a warning
    writers = {name: getattr(logger, name) for name in _LEVELS}

    def observe(fact: Fact) -> None:
        if type(fact) in quiet:
            return
        name, found = _level(fact)
        if _LEVELS[found] >= lowest:
            writers[found](name, **_fields(fact))

    return observe


__all__ = ["NAMES", "Level", "logging_observer"]
