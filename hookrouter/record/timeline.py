"""What happened in a call, for people: the entries of its record without bytes, headers and what is empty. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hookrouter import facts as f
from hookrouter.facts import Fact, said_fields
from hookrouter.record.entries import Entry

_TOLD: dict[str, type[Fact]] = {
    kind.__name__: kind
    for kind in (
        f.CallStarted, f.EventReceived, f.DeliveryAttempted, f.DeliveryFinished, f.ActionFinished, f.FallbackTaken,
        f.CallStandsStill, f.LateAnswer, f.LimitReached, f.Warned,
    )
}  # fmt: skip
_NAMES = {name: set(said_fields(kind)) - {"call"} for name, kind in _TOLD.items()}
_EMPTY: tuple[Any, ...] = (None, "", (), [], {})


def timeline(entries: Iterable[Entry]) -> list[dict[str, Any]]:
    """The first one first: `at` (seconds since the epoch), `what`, and its fields."""
    return [_told(entry) for entry in entries if entry.what in _TOLD]


def _told(entry: Entry) -> dict[str, Any]:
    fields = {"event" if name == "event_id" else name: value for name, value in entry.fields.items()}
    names = _NAMES[entry.what]
    kept = {name: value for name, value in fields.items() if name in names and value not in _EMPTY}
    return {"at": round(entry.at, 4), "what": entry.what, **kept}


__all__ = ["timeline"]
