"""What happened in each call, for people: kept in memory while it lives, and with its summary when it is over."""

from __future__ import annotations

from typing import Any

import msgspec

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
_KEPT = (CallStarted, EventReceived, DeliveryAttempted, DeliveryFinished, ActionFinished, FallbackTaken, Warned)


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
        return [_entry(at, fact) for at, fact in self._calls.get(call, [])]

    def observe(self, fact: Fact) -> None:
        if isinstance(fact, CallFinished):
            entries = self._calls.pop(fact.call, [])
            ended_at = self._clock.now()
            summary = {
                "id": fact.call,
                "asterisk": fact.asterisk,
                "route": fact.route,
                "reason": fact.reason,
                "seconds": round(fact.seconds, 3),
                "ended_at": ended_at,
                "ended": True,
                "timeline": [_entry(at, entry) for at, entry in entries],
            }
            self._journal.finish_call(fact.call, fact.asterisk, ended_at, msgspec.json.encode(summary))
        elif isinstance(fact, _KEPT) and fact.call:
            entries = self._calls.get(fact.call, [])
            if isinstance(fact, CallStarted):
                self._calls[fact.call] = [(self._clock.now(), fact)]
            elif fact.call in self._calls and len(entries) < _MOST_ENTRIES:
                entries.append((self._clock.now(), fact))


def _entry(at: float, fact: Fact) -> dict[str, Any]:
    fields = {
        name: value
        for name in fact.__struct_fields__
        if name != "call" and (value := getattr(fact, name)) not in (None, "", (), {}) and not isinstance(value, bytes)
    }
    return {"at": round(at, 4), "what": type(fact).__name__, **fields}
