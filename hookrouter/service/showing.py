"""Calls and deliveries as the control API shows them.

Rule: what cannot be shown hides nothing else. Of one thing of a list, or one field of a thing, it is said that and why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hookrouter.calls.board import Live
from hookrouter.calls.effects import Announce
from hookrouter.calls.journal import FinishedCall
from hookrouter.delivery.queue import StoredDelivery
from hookrouter.text.urls import shown_url

_MOST_SHOWN = 200


def shown_call(live: Live) -> dict[str, Any]:
    """A live call."""
    call = live.call
    return _or_why_not({"id": call.id, "asterisk": call.asterisk, "route": call.route}, lambda: _call(live))


def _call(live: Live) -> dict[str, Any]:
    call = live.call
    return {
        "id": call.id,
        "channel": call.channel,
        "asterisk": call.asterisk,
        "app": call.app,
        "route": call.route,
        "caller": call.caller,
        "called": call.called,
        "started_at": call.started_at,
        "up": call.up,
        "ended": call.ended,
        "state": any_json(call.state),
        "tags": call.tags,
        "programs": [
            {
                "id": program.id,
                "kind": program.kind,
                "index": program.index,
                "actions": [any_json(step) for step in program.steps],
                "waiting": bool(program.waiting),
            }
            for program in call.programs.values()
        ],
        "waiting_events": len(call.outbox),
        "stands_still_since": call.still_since or None,
    }


def shown_ringing(asterisk: str, channel: str, asked: Announce) -> dict[str, Any]:
    """A call that we have asked for and that nobody has answered yet."""
    about = {"id": asked.channel, "channel": channel, "asterisk": asterisk, "route": asked.route}
    return about | {"ended": False, "up": False}


def shown_summary(finished: FinishedCall) -> dict[str, Any]:
    """A call that is over, without its timeline, which is the record's."""
    known = {"id": str(finished.call_id), "asterisk": str(finished.asterisk), "ended": True}

    def show() -> dict[str, Any]:
        kept: dict[str, Any] = msgspec.json.decode(finished.summary)
        return kept | known | {"ended_at": finished.ended_at}

    return _or_why_not(known, show)


def tenant_of_summary(finished: FinishedCall) -> str | None:
    """Whose call it was; None where that cannot be read."""
    try:
        return msgspec.json.decode(finished.summary, type=_Whose).tenant
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None


class _Whose(msgspec.Struct):
    tenant: str = ""


def shown_delivery(found: StoredDelivery) -> dict[str, Any]:
    """A delivery, with its body as text."""

    def show() -> dict[str, Any]:
        named = {name: getattr(found, name) for name in found.__struct_fields__ if name != "body"}
        return named | {"url": shown_url(found.url), "body": found.body.decode("utf-8", "replace")}

    return _or_why_not({"id": str(found.id)}, show)


def any_json(raw: bytes) -> Any:
    """What JSON says; what is none, as text."""
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return {"unreadable": raw[:_MOST_SHOWN].decode("utf-8", "replace")}


def _or_why_not(known: dict[str, Any], show: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return sayable(show())
    except Exception as error:  # noqa: BLE001  whatever it is: the others are to be seen
        return sayable(known) | {"unreadable": f"{type(error).__name__}: {error}"[:_MOST_SHOWN]}


def sayable(found: dict[str, Any]) -> dict[str, Any]:
    """The same as JSON can have it: no NaN, no half of a surrogate pair. Raises where it cannot."""
    said: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(found))
    return said
