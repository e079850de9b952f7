"""Facts as log lines: one dotted past-tense name and its fields a line; an observer like any other.

Rules: a unit of work is one line, written when it is over. `text` is for people, `json` for machines; both go to stderr.
Nothing that is secret is in a fact, so nothing that is secret is logged. Whatever a caller or an endpoint has sent is one
value of one line (text/lines.py). Lines of one moment are written together
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
from hookrouter.facts import Fact, said_fields
from hookrouter.telemetry.phrases import duration, phrase, short
from hookrouter.text.lines import json_line, log_value
from hookrouter.text.urls import line_without_queries
from hookrouter.timestamps import rfc3339_now

Level = Literal["debug", "info", "warning", "error"]
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}
FLUSH_DELAY = 0.05
_AT_ONCE = frozenset({"warning", "error"})

NAMES: dict[type[Fact], tuple[str, Level]] = {
    f.RouterStarted: ("router.started", "info"),
    f.RouterStopped: ("router.stopped", "info"),
    f.AriConnected: ("ari.connected", "info"),
    f.AriLost: ("ari.reconnecting", "warning"),
    f.AriReplaced: ("ari.replaced", "error"),
    f.EntryTaken: ("entry.taken", "info"),
    f.EntryHandedOver: ("entry.handed_over", "info"),
    f.EntryLost: ("entry.lost", "warning"),
    f.EventReceived: ("event.received", "debug"),
    f.AriRequested: ("ari.requested", "debug"),
    f.CallStarted: ("call.started", "info"),
    f.CallFinished: ("call.finished", "info"),
    f.ActionStarted: ("action.started", "debug"),
    f.ActionFinished: ("action.finished", "info"),
    f.CallResumed: ("call.resumed", "debug"),
    f.CallTagged: ("call.tagged", "debug"),
    f.CallNotAnswered: ("call.not_answered", "info"),
    f.DeliveryAttempted: ("delivery.attempted", "info"),
    f.Exchanged: ("delivery.exchanged", "debug"),
    f.DeliveryFinished: ("delivery.finished", "debug"),
    f.AnswerCompared: ("answer.compared", "info"),
    f.FallbackTaken: ("fallback.taken", "warning"),
    f.CallStandsStill: ("call.stands_still", "warning"),
    f.LateAnswer: ("answer.late", "warning"),
    f.LimitReached: ("limit.reached", "warning"),
    f.BreakerChanged: ("breaker.changed", "warning"),
    f.RoutesLoaded: ("routes.loaded", "info"),
    f.RoutesRefused: ("routes.refused", "error"),
    f.JournalFailed: ("journal.failed", "error"),
    f.JournalRecovered: ("journal.recovered", "info"),
    f.AuthRefused: ("auth.refused", "warning"),
    f.HttpRefused: ("http.refused", "warning"),
    f.Warned: ("warned", "warning"),
}


_JUDGED: dict[type[Fact], Callable[[Any], Level]] = {
    f.ActionFinished: lambda fact: "warning" if fact.outcome == "failed" else "info",
    f.DeliveryAttempted: lambda fact: "warning" if fact.status is None or fact.status >= 300 else "info",
    f.DeliveryFinished: lambda fact: "warning" if fact.outcome in ("unanswered", "dead", "dropped") else "debug",
    f.AuthRefused: lambda fact: "debug" if fact.muted else "warning",
    f.HttpRefused: lambda fact: "debug" if fact.muted else "warning",
    f.LimitReached: lambda fact: "debug" if fact.muted else "warning",
}
"""A failure is a warning whatever its kind, and what was told a moment ago is for debugging."""


def level_of(fact: Fact) -> Level:
    """How much it matters."""
    kind = type(fact)
    judge = _JUDGED.get(kind)
    return judge(fact) if judge is not None else (NAMES.get(kind) or ("", "info"))[1]


def _dotted(name: str) -> str:
    return "".join("." + c.lower() if c.isupper() and i else c.lower() for i, c in enumerate(name))


class _Kind:
    """What the lines of one kind of fact have in common."""

    def __init__(self, kind: type[Fact]) -> None:
        self.name, level = NAMES.get(kind) or (_dotted(kind.__name__), "info")
        self.level: Level = level
        self.judge = _JUDGED.get(kind)
        names = said_fields(kind)
        self.bare = len(names) < len(kind.__struct_fields__)  # what is raw is left out of lines
        self._keys = ["event_id" if name == "event" else name for name in names]
        self._values: Callable[[Fact], Any] = (
            attrgetter(*names) if len(names) > 1 else lambda fact: (getattr(fact, names[0]),)
        )
        self.heads = {level: f'{{"event":"{self.name}","level":"{level}","timestamp":"'.encode() for level in LEVELS}

    def fields(self, fact: Fact) -> dict[str, Any]:
        """What is not empty."""
        return {
            key: value
            for key, value in zip(self._keys, self._values(fact), strict=True)
            if value or value.__class__ in (int, float)
        }


def _text(timestamp: str, level: Level, kind: _Kind, fact: Fact) -> bytes:
    head = f"{timestamp} {level:<7} {kind.name}"
    said = phrase(fact)
    if said is None:
        said = " ".join(f"{key}={_quoted(key, value)}" for key, value in kind.fields(fact).items())
    return f"{head} {said}\n".encode("utf-8", "backslashreplace")


def _quoted(key: str, value: Any) -> str:
    if isinstance(value, float):
        return log_value(duration(value)) if key in _DURATIONS else f"{value:g}"
    if key == "event_id":
        value = short(str(value))
    return log_value(",".join(map(str, value)) if isinstance(value, tuple | list) else str(value))


_DURATIONS = ("seconds", "retry_in")

_encode = msgspec.json.Encoder().encode


def _json(timestamp: str, level: Level, kind: _Kind, fact: Fact) -> bytes:
    """The fact's own JSON behind the head of its kind: nothing is built for it."""
    body = _encode(kind.fields(fact) if kind.bare else fact)
    return b'%s%s",%s\n' % (kind.heads[level], timestamp.encode(), json_line(body)[1:])


class Log:
    """The observer: a line for each fact of at least `level`; `stream` defaults to stderr. `flush` at the end."""

    def __init__(self, form: Literal["text", "json"], level: Level = "info", stream: BinaryIO | None = None) -> None:
        self._line = _json if form == "json" else _text
        self._shown = frozenset(other for other in LEVELS if LEVELS[other] >= LEVELS[level])
        self._stream = stream or sys.stderr.buffer
        self._lines: list[bytes] = []
        self._kinds: dict[type[Fact], _Kind] = {}

    def wants(self, kind: type[Fact]) -> bool:
        """Whether a fact of this kind can be a line at all."""
        _, level = NAMES.get(kind) or ("", "info")
        return level in self._shown or (kind in _JUDGED and "warning" in self._shown)

    def __call__(self, fact: Fact) -> None:
        kind = self._kinds.get(fact.__class__)
        if kind is None:
            kind = self._kinds[fact.__class__] = _Kind(fact.__class__)
        level = kind.level if kind.judge is None else kind.judge(fact)
        if level not in self._shown:
            return
        self._lines.append(line_without_queries(self._line(rfc3339_now(time.time()), level, kind, fact)))
        if level in _AT_ONCE:
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


__all__ = ["LEVELS", "NAMES", "Level", "Log", "level_of"]
