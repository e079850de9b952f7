"""Recorded calls as the control API shows them, and what somebody may look for."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from hookrouter.actions.decode import decode_step
from hookrouter.calls.board import Board
from hookrouter.calls.call import Call
from hookrouter.facts import CallResumed, Facts
from hookrouter.record.entries import Entry
from hookrouter.record.finding import Query, Row
from hookrouter.record.gathering import Ended
from hookrouter.record.recorder import KINDS, Recorder
from hookrouter.service.showing import any_json
from hookrouter.store import Store
from hookrouter.text.instants import instant

MOST_FOUND = 500
_PLAIN = ("text", "route", "caller", "called")
_OUTCOMES = ("live", "good", "failed")
_AS_SHOWN = {"id": "row", "call_id": "id"}
_BYTES = {
    kind.__name__: frozenset(field.name for field in msgspec.structs.fields(kind) if field.type is bytes)
    for kind in KINDS
}
KNOWN = (*_PLAIN, "outcome", "tags", "since", "until", "before", "limit")


async def start_recording(
    recorder: Recorder, going_on: Iterable[str] | None, board: Board, store: Store, facts: Facts
) -> None:
    """Opens the record, with what the journal knows of calls that were under way when the router ended.

    `going_on`: the ids of those that may be; None: see `Recorder.start`.
    """
    await recorder.start(going_on, await ended_calls(store) if going_on is not None else {})
    for live in board:
        if not live.call.channelless:
            facts.emit(resumed(live.call))


async def ended_calls(store: Store) -> dict[str, Ended]:
    """What the journal knows of the last calls that are over. Raises StoreError."""
    return {str(one.call_id): Ended(one.ended_at, _reason(one.summary)) for one in await store.recent_calls(1000)}


def _reason(summary: bytes) -> str:
    found = any_json(summary)
    return str(found.get("reason", "")) if isinstance(found, dict) else ""


def resumed(call: Call) -> CallResumed:
    """That it goes on here."""
    programs = tuple(
        f"{program.kind}: {'waits for an answer' if program.waiting else decode_step(program.steps[program.index]).verb}"
        f" ({program.index + 1} of {len(program.steps)})"
        for program in call.programs.values()
        if program.index < len(program.steps)
    )
    return CallResumed(
        call.id, call.asterisk, call.app, call.route, call.caller, call.called, call.started_at,
        tuple(out.type for out in call.outbox), programs,
        "the router was away, and the call goes on from its journal; what happened in the last moment before may be missing here",
    )  # fmt: skip


def query_of(given: Mapping[str, str], tenant: str | None, now: float) -> Query:
    """What a query string asks for. Raises ValueError."""
    if unknown := sorted(given.keys() - set(KNOWN)):
        raise ValueError(f"unknown: {', '.join(unknown)}; known: {', '.join(sorted(KNOWN))}")
    outcome = given.get("outcome", "")
    if outcome and outcome not in _OUTCOMES:
        raise ValueError(f"outcome is live, good or failed, not {outcome[:40]}")
    limit = whole_number("limit", given.get("limit", "50"))
    return Query(
        **{name: given.get(name, "") for name in _PLAIN},
        outcome=outcome,
        tenant=tenant,
        tags=_tags(given.get("tags", "")),
        since=instant(given["since"], now) if "since" in given else None,
        until=instant(given["until"], now) if "until" in given else None,
        before=whole_number("before", given["before"]) if "before" in given else None,
        limit=max(1, min(limit, MOST_FOUND)),
    )


def whole_number(name: str, given: str) -> int:
    if not given.isascii() or not given.isdigit() or len(given) > 18:
        raise ValueError(f"{name} is a number, not `{given[:40]}`")
    return int(given)


def _tags(given: str) -> dict[str, str]:
    """`customer:4711,paid` → customer is 4711, and there is a tag `paid`."""
    found = (part.partition(":") for part in given.split(",") if part.strip())
    return {name.strip(): value.strip() for name, _, value in found}


def shown_row(row: Row) -> dict[str, Any]:
    """One of a list. `row` is its place in the list, for `before`."""
    return {
        "id": row.call_id, "row": row.id, "asterisk": row.asterisk, "app": row.app, "route": row.route,
        "tenant": row.tenant, "caller": row.caller, "called": row.called, "started_at": row.started_at,
        "ended": row.ended_at is not None, "ended_at": row.ended_at, "outcome": row.outcome, "reason": row.reason,
        "sentence": row.sentence, "tags": any_json(row.tags.encode()), "bytes": row.bytes, "left_out": row.left_out,
    }  # fmt: skip


def shown_record(row: Row, entries: Iterable[Entry]) -> dict[str, Any]:
    """All that is kept of a call, in order."""
    return {"call": shown_row(row), "entries": [shown_entry(entry) for entry in entries]}


def shown_entry(entry: Entry) -> dict[str, Any]:
    """`at` (seconds since the epoch), `what`, and its fields; bytes are text, or what is none as `{"base64": …}`."""
    fields = {"event" if name == "event_id" else name: _sayable(value) for name, value in entry.fields.items()}
    return {"at": round(entry.at, 4), "what": entry.what, **fields}


def read_record(shown: Mapping[str, Any]) -> tuple[Row, list[Entry]]:
    """What `shown_record` made, as the record has it."""
    call = dict(shown["call"])
    about = {name: call.get(_AS_SHOWN.get(name, name), "") for name in Row.__struct_fields__}
    row = Row(**about | {"tags": msgspec.json.encode(call.get("tags") or {}).decode()})
    return row, [_read_entry(dict(entry)) for entry in shown["entries"]]


def _read_entry(shown: dict[str, Any]) -> Entry:
    at, what = shown.pop("at"), shown.pop("what")
    fields = {"event_id" if name == "event" else name: value for name, value in shown.items()}
    for name in _BYTES.get(what, frozenset()) & fields.keys():
        fields[name] = as_bytes(fields[name])
    return Entry(at, what, fields)


def as_bytes(value: Any) -> bytes:
    """A body as it was before it was shown: text, or what is no text."""
    return base64.b64decode(value.get("base64", "")) if isinstance(value, dict) else str(value or "").encode()


def _sayable(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(value).decode()}
    if isinstance(value, dict):
        return {str(key): _sayable(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_sayable(inner) for inner in value]
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()  # half of a surrogate pair is no text
    return value


__all__ = ["KNOWN", "MOST_FOUND", "query_of", "read_record", "shown_entry", "shown_record", "shown_row"]
