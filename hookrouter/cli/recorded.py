"""A recorded call as a ladder for the terminal: the steps that the console draws, too, on four lifelines. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from hookrouter.record.entries import Entry
from hookrouter.record.finding import Row
from hookrouter.record.steps import Step, Who, steps
from hookrouter.simulator import ladder
from hookrouter.simulator.ladder import Exchange, Ladder

_LINES: dict[Who, ladder.Who] = {
    "caller": "caller", "legs": "Asterisk", "Asterisk": "Asterisk", "router": "hookrouter", "endpoint": "endpoint",
}  # fmt: skip


def drawn(row: Row, entries: Sequence[Entry]) -> Ladder:
    """Time counts from the beginning of the call."""
    found = Ladder()
    for step in steps(entries, row.call_id):
        ends = _LINES[step.path[0]], _LINES[step.path[-1]]
        found.add(step.at - row.started_at, *ends, step.label, step.kind, _exchange(step, entries))
    return found


def _exchange(step: Step, entries: Sequence[Entry]) -> Exchange | None:
    """The body that goes with it."""
    if step.entry is None:
        return None
    entry = entries[step.entry]
    fields = entry.fields
    if entry.what == "Exchanged":
        body = fields.get(step.part, b"")
        return Exchange("answer" if step.part == "answer" else "request", body) if body else None
    if entry.what == "AnswerCompared":
        return Exchange("answer", fields["answer"]) if fields.get("answer") else None
    if entry.what == "AriRequested":
        return Exchange("request", msgspec.json.encode(fields.get("params") or {}))
    return Exchange("request", fields["raw"]) if fields.get("raw") else None


__all__ = ["drawn"]
