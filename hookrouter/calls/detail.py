"""What a call is billed by: when it was answered, how long it talked, and each leg that it dialled. Pure.

Rules:
- Instants are Asterisk's own where its event says one, so that an event that comes late tells the truth; what is found out
  by asking, after a loss, is of the moment in which it was found out.
- A leg is a channel that the call has asked for; a call of its own that it has begun (`originate`) is none.
- It talks while it is answered and in a mixing bridge with somebody else who has answered. A caller who waits in a holding bridge
  does not, nor does one who hears a leg's early media.
- Of a call that dials without an end the newest `MOST_LEGS` legs are kept, and the others counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from hookrouter.actions.base import CALL
from hookrouter.actions.endings import DIALSTATUS, status_of
from hookrouter.ari.events import Head, Ref
from hookrouter.calls.call import Call, DialledLeg
from hookrouter.timestamps import rfc3339_now

MOST_LEGS = 200
LEGS_TIMEOUT = 2.0  # how long the end of a call waits to hear of the ends of its legs
DIALS = frozenset({"channels.originate", "channels.originateWithId", "channels.create"})
"""The operations that dial a leg."""


def instant(timestamp: str, now: float) -> float:
    """An event's own instant in seconds since the epoch; `now` where it has none that can be read."""
    try:
        return datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return now


# ---- what the call does


def began(call: Call, head: Head, now: float) -> None:
    """Its first event."""
    call.entered_at = instant(head.timestamp, now)
    if call.up:
        answered(call, call.entered_at, told=True)


def answered(call: Call, at: float, *, told: bool = False) -> None:
    """The call itself is answered; the first time counts. `told`: by an event, whose instant is Asterisk's own."""
    if not call.answered_at or (told and not call.answer_told):
        call.answered_at, call.answer_told = at, told
        _talk(call, at)


def dialled(call: Call, params: Mapping[str, Any], now: float) -> None:
    """A request of `DIALS` goes out."""
    channel = params.get("channelId")
    if not channel or channel == call.channel or str(params.get("appArgs", "")).startswith(CALL):
        return
    if len(call.legs) >= MOST_LEGS:
        oldest = next((id for id, leg in call.legs.items() if leg.ended_at), next(iter(call.legs)))
        gone = call.legs.pop(oldest)
        call.legs_left_out += 1
        call.seconds_left_out += _length(gone.answered_at, gone.ended_at or now)
    call.legs[channel] = DialledLeg(str(params.get("endpoint", "")), now)


def refused(call: Call, params: Mapping[str, Any], now: float) -> None:
    """Asterisk has not done it."""
    leg = call.legs.get(str(params.get("channelId", "")))
    if leg is not None and not leg.answered_at:
        _leg_ended(call, leg, now, 0)


def hung_up(call: Call, params: Mapping[str, Any], now: float) -> None:
    """We hang up a leg: when and why, so far as Asterisk does not say it itself."""
    leg = call.legs.get(str(params.get("channelId", "")))
    if leg is None or leg.ended_at:
        return
    leg.let_go_at = leg.let_go_at or now
    if not leg.answered_at and not leg.status:
        leg.status = "noAnswer" if params.get("reason") == "no_answer" else "cancelled"


def replaced(call: Call, old: str, new: str, now: float) -> None:
    """The channel `new` has taken the place of the leg `old`."""
    leg = call.legs.pop(old, None)
    if leg is not None:
        known = call.legs.get(new)
        if known is not None:  # both were legs: the one that is there no more has ended
            _leg_ended(call, leg, now, 0)
            call.legs[old] = leg
        else:
            call.legs[new] = leg
    call.beside = [new if id == old else id for id in call.beside]


def ended(call: Call, at: float) -> None:
    """The call has left, or ended."""
    call.ended_at = at
    call.beside, call.in_bridge = [], ""
    _talk(call, at)


def goes_on(call: Call, channel: str) -> bool:
    """Whether that is a leg whose end Asterisk has not told yet."""
    leg = call.legs.get(channel)
    return leg is not None and not leg.ended_at


def legs_that_go_on(call: Call) -> list[str]:
    return [channel for channel, leg in call.legs.items() if not leg.ended_at]


# ---- what Asterisk tells


def _up(call: Call, head: Head, at: float) -> None:
    channel = head.channel
    if channel is None or channel.state != "Up":
        return
    if channel.id == call.channel:
        answered(call, at, told=True)
    else:
        _leg_answered(call, channel, at)


def _dial(call: Call, head: Head, at: float) -> None:
    if head.peer is None or (leg := call.legs.get(head.peer.id)) is None:
        return
    if head.dialstatus == "ANSWER":
        _leg_answered(call, head.peer, at)
    elif status := DIALSTATUS.get(head.dialstatus):
        leg.status = status


def _leg_answered(call: Call, channel: Ref, at: float) -> None:
    leg = call.legs.get(channel.id)
    if leg is not None and not leg.answered_at:
        leg.answered_at = at
        _talk(call, at)


def _gone(call: Call, head: Head, at: float) -> None:
    """A leg has ended; or it has left the app, and where it went to the dialplan that is all that is told of it."""
    leg = call.legs.get(head.channel.id) if head.channel is not None else None
    if leg is None or leg.ended_at:
        return
    if head.type == "StasisEnd":
        leg.let_go_at = leg.let_go_at or at  # its ChannelDestroyed follows, with the cause
    else:
        _leg_ended(call, leg, at, head.cause)


def _leg_ended(call: Call, leg: DialledLeg, at: float, cause: int) -> None:
    leg.ended_at, leg.cause = at, cause
    leg.status = "answered" if leg.answered_at else status_of(leg.status, cause)


def _bridge(call: Call, head: Head, at: float) -> None:
    """Who is in the call's bridge with it."""
    bridge = head.bridge
    if bridge is None:
        return
    inside = list(bridge.channels)
    if head.type == "ChannelEnteredBridge" and head.channel is not None and head.channel.id not in inside:
        inside.append(head.channel.id)
    if head.type == "BridgeDestroyed" or bridge.bridge_type == "holding":
        inside = []
    if call.channel in inside:
        call.in_bridge, call.beside = bridge.id, [id for id in inside if id != call.channel]
    elif bridge.id == call.in_bridge:
        call.in_bridge, call.beside = "", []
    else:
        return
    _talk(call, at)


def _talk(call: Call, at: float) -> None:
    """Begins or ends the talk."""
    talks = False
    if call.answered_at:
        for id in call.beside:
            leg = call.legs.get(id)
            talks = talks or leg is None or bool(leg.answered_at)
    if talks and not call.talks_since:
        call.talks_since = at
    elif call.talks_since and not talks:
        call.talked += max(0.0, at - call.talks_since)
        call.talks_since = 0.0


_TOLD: dict[str, Callable[[Call, Head, float], None]] = {
    "StasisStart": _up,
    "ChannelStateChange": _up,
    "Dial": _dial,
    "StasisEnd": _gone,
    "ChannelDestroyed": _gone,
    "ChannelEnteredBridge": _bridge,
    "ChannelLeftBridge": _bridge,
    "BridgeDestroyed": _bridge,
}


def told(call: Call, head: Head, now: float) -> None:
    """An event of the call, or of what belongs to it."""
    tell = _TOLD.get(head.type)
    if tell is not None and (not call.ended_at or tell is _gone):
        tell(call, head, instant(head.timestamp, now))


# ---- the record


def _length(begin: float, end: float) -> float:
    return round(max(0.0, end - begin), 3) if begin else 0.0


def _when(at: float) -> str | None:
    return rfc3339_now(at) if at else None


def _leg(leg: DialledLeg, over: float) -> dict[str, Any]:
    end = leg.ended_at or leg.let_go_at or over
    return {
        "to": leg.to, "dialledAt": _when(leg.dialled_at), "answeredAt": _when(leg.answered_at), "endedAt": _when(end),
        "seconds": _length(leg.answered_at, end), "result": _result(leg), "cause": leg.cause or None,
    }  # fmt: skip


def _result(leg: DialledLeg) -> str:
    return "answered" if leg.answered_at else leg.status or "cancelled"


def call_detail(call: Call) -> bytes:
    """The call detail record, as JSON: `data` of `CallEnded`."""
    over = call.ended_at
    began_at = call.entered_at or call.started_at
    record: dict[str, Any] = {
        "reason": call.end_reason, "seconds": _length(began_at, over),
        "caller": call.caller, "called": call.dialled or call.called, "direction": "out" if call.dialled else "in",
        "channel": call.name, "route": call.route, "tenant": call.tenant,
        "startedAt": _when(began_at), "answeredAt": _when(call.answered_at), "endedAt": _when(over),
        "answeredSeconds": _length(call.answered_at, over), "talkSeconds": round(call.talked, 3),
        "tags": call.tags, "legs": [_leg(leg, over) for leg in call.legs.values()],
    }  # fmt: skip
    if call.legs_left_out:
        record["legsLeftOut"] = {"count": call.legs_left_out, "seconds": round(call.seconds_left_out, 3)}
    return msgspec.json.encode(record)
