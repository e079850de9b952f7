"""Facts as log lines: one dotted past-tense name and its fields a line; an observer like any other.

Rules: a unit of work is one line, written when it is over. `text` is for people, `json` for machines; both go to stderr.
Nothing that is secret is in a fact, so nothing that is secret is logged. Lines of one moment are written together
(`FLUSH_DELAY`), warnings and errors at once: a write for every line was a tenth of all our CPU under load.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Callable
from operator import attrgetter
from typing import Any, BinaryIO, Literal

import msgspec

from hookrouter import facts as f
from hookrouter.facts import Fact
from hookrouter.timestamps import rfc3339_now

Level = Literal["debug", "info", "warning", "error"]
_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FLUSH_DELAY = 0.05

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


_FAILED: dict[type[Fact], Callable[[Any], bool]] = {
    f.ActionFinished: lambda fact: fact.outcome == "failed",
    f.DeliveryAttempted: lambda fact: fact.status is None or fact.status >= 300,
    f.DeliveryFinished: lambda fact: fact.outcome in ("unanswered", "dead", "dropped"),
}


def _level(fact: Fact) -> tuple[str, Level]:
    """A failure is a warning whatever its kind."""
    kind = type(fact)
    name, level = NAMES.get(kind) or (_dotted(kind.__name__), "info")
    failed = _FAILED.get(kind)
    return name, "warning" if failed is not None and failed(fact) else level


def _dotted(name: str) -> str:
    return "".join("." + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


class _Fields:
    """What a line says of one kind of fact: empty fields and raw JSON are left out, seconds rounded to 0.1 ms."""

    def __init__(self, kind: type[Fact]) -> None:
        names = [field.name for field in msgspec.structs.fields(kind) if field.type is not bytes]
        self._keys = ["event_id" if name == "event" else name for name in names]
        self._values: Callable[[Fact], Any] = (
            attrgetter(*names) if len(names) > 1 else lambda fact: (getattr(fact, names[0]),)
        )

    def of(self, fact: Fact) -> dict[str, Any]:
        return {
            key: round(value, 4) if value.__class__ is float else value
            for key, value in zip(self._keys, self._values(fact), strict=True)
            if value or value.__class__ in (int, float, bool)
        }


def _text(timestamp: str, level: str, name: str, fields: dict[str, Any]) -> bytes:
    head = f"{timestamp} {level:<7} {name}"
    return " ".join([head, *(f"{key}={_quoted(value)}" for key, value in fields.items())]).encode() + b"\n"


def _quoted(value: Any) -> str:
    text = ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)
    return f'"{text}"' if " " in text or not text else text


_encode = msgspec.json.Encoder().encode


def _json(timestamp: str, level: str, name: str, fields: dict[str, Any]) -> bytes:
    fields["event"], fields["level"], fields["timestamp"] = name, level, timestamp
    return _encode(fields) + b"\n"


class Log:
    """The observer: a line for each fact of at least `level`; `stream` defaults to stderr. `flush` at the end."""

    def __init__(self, form: Literal["text", "json"], level: Level = "info", stream: BinaryIO | None = None) -> None:
        self._line = _json if form == "json" else _text
        self._lowest = _LEVELS[level]
        self._stream = stream or sys.stderr.buffer
        self._lines: list[bytes] = []
        self._fields: dict[type[Fact], _Fields] = {}
        self._quiet = {kind for kind, (_, own) in NAMES.items() if own == "debug"} if self._lowest > 10 else set()
        self._quiet.discard(f.DeliveryFinished)  # a failed one is a warning

    def __call__(self, fact: Fact) -> None:
        kind = type(fact)
        if kind in self._quiet:
            return
        name, level = _level(fact)
        number = _LEVELS[level]
        if number < self._lowest:
            return
        fields = self._fields.get(kind)
        if fields is None:
            fields = self._fields[kind] = _Fields(kind)
        self._lines.append(self._line(rfc3339_now(time.time()), level, name, fields.of(fact)))
        if number > 20:
            self.flush()
        elif len(self._lines) == 1:
            try:
                asyncio.get_running_loop().call_later(FLUSH_DELAY, self.flush)
            except RuntimeError:
                self.flush()

    def flush(self) -> None:
        """Writes what waits. A log that cannot be written stops nothing."""
        lines, self._lines = self._lines, []
        if lines:
            with contextlib.suppress(OSError, ValueError):
                self._stream.write(b"".join(lines))
                self._stream.flush()


__all__ = ["NAMES", "Level", "Log"]
