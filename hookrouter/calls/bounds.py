"""How much an endpoint may have its calls do at a time: legs, new calls, answers; what is over a bound ends with `limit`. Pure.

Rules: a request that is over a bound does not leave, and the action that asked for it fails. An answer too many brings
nothing, and the call gets its fallback: its owner is out of this call. The first time in a call it is a warning, every
time it counts.
"""

from __future__ import annotations

from hookrouter.calls.call import Call
from hookrouter.policy.parameters import Kind

ANSWER_SECONDS = 10.0
CALL_SECONDS = 60.0
MAKES_LEGS = frozenset({"channels.originate", "channels.originateWithId", "channels.create", "channels.externalMedia"})
BEGINS_CALLS = MAKES_LEGS - {"channels.externalMedia"}
_UNDER_WAY = ("leg", "originated")


def legs_under_way(call: Call) -> int:
    """How many legs and originated calls a call has now, those that are only asked for included."""
    channel = Kind.CHANNEL.value
    things = (call.owned.get(channel, {}), call.claimed.get(channel, {}))
    return sum(role in _UNDER_WAY for held in things for role in held.values())


def too_many_answers(call: Call, most: int, now: float) -> bool:
    """Counts an answer with actions; whether it is more than `most` within `ANSWER_SECONDS`."""
    if now - call.counting_since >= ANSWER_SECONDS:
        call.counting_since, call.taken = now, 0
    call.taken += 1
    return call.taken > most
