"""What happened in each call, for people: kept in memory while it lives, and with its summary when it is over.

A summary is written for every call and hardly ever read: facts are kept in it as bare values, and named when it is.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import astuple

from hookrouter.calls.journal import Journal
from hookrouter.clock import Clock
from hookrouter.facts import (
    ActionFinished,
    CallFinished,
    CallStarted,
    DeliveryAttempted,
    DeliveryFinished,
    EventReceived,
    Fact,
    FallbackTaken,
    Warned,
)

_MOST_ENTRIES = 500
_KEPT: dict[type[Fact], str] = {
    kind: kind.__name__
    for kind in (CallStarted, EventReceived, DeliveryAttempted, DeliveryFinished, ActionFinished, FallbackTaken, Warned)
}
_FIELDS = {name: kind.__struct_fields__ for kind, name in _KEPT.items()}
_encode = msgspec.json.Encoder().encode


class Timelines:
    """An observer of facts."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._calls: dict[str, list[tuple[float, Fact]]] = {}

    def take_up(self, call: str) -> None:
        """A call from the journal: what happened before the restart is not known any more."""
        self._calls[call] = []

    def of(self, call: str) -> list[dict[str, Any]]:
        """The entries of a live call, the first one first."""
        return [_entry(at, _KEPT[type(fact)], *astuple(fact)) for at, fact in self._calls.get(call, [])]

    def observe(self, fact: Fact) -> None:
        kind = type(fact)
        if kind in _KEPT:
            call: str = fact.call  # type: ignore[attr-defined]  # each of them has it
            entries = self._calls.get(call)
            if kind is CallStarted:
                self._calls[call] = [(self._clock.now(), fact)]
            elif entries is not None and len(entries) < _MOST_ENTRIES:
                entries.append((self._clock.now(), fact))
        elif isinstance(fact, CallFinished):
            kept = self._calls.pop(fact.call, [])
            ended_at = self._clock.now()
            summary = {
                "id": fact.call,
                "asterisk": fact.asterisk,
                "route": fact.route,
                "reason": fact.reason,
                "seconds": round(fact.seconds, 3),
                "ended_at": ended_at,
                "ended": True,
                "timeline": [(at, _KEPT[type(entry)], *astuple(entry)) for at, entry in kept],
            }
            self._journal.finish_call(fact.call, fact.asterisk, ended_at, _encode(summary))


def read_summary(summary: bytes) -> dict[str, Any]:
    """A finished call as it is shown, from what was kept of it."""
    found: dict[str, Any] = msgspec.json.decode(summary)
    found["timeline"] = [_entry(*entry) for entry in found["timeline"]]
    return found


def _entry(at: float, what: str, *values: Any) -> dict[str, Any]:
    fields = {
        name: value
        for name, value in zip(_FIELDS[what], values, strict=False)
        if name != "call" and value not in (None, "", (), [], {})
    }
    return {"at": round(at, 4), "what": what, **fields}
