"""What the events of the router's own hold in `data`, for the published interface. Beside these: `action`, as it was given.

Rule: a verb's `result` names one of these; what its run tells fits (tests/examples/test_published.py looks at real ones).
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

Seconds = Annotated[float, Meta(ge=0)]
Ending = Literal["answered", "busy", "noAnswer", "rejected", "unavailable", "cancelled"]
Cause = Annotated[int, Meta(description="The Q.850 cause of the last leg that failed.")] | None
State = Annotated[Any, Meta(description="The other call's `state`.")] | UnsetType


class Result(msgspec.Struct, kw_only=True, frozen=True, rename="camel"):
    """`example` is a whole `data`."""

    example: ClassVar[str]


class PlayCompleted(Result, frozen=True):
    """A `play` or `say` has ended."""

    state: Literal["done"]
    digit: Annotated[str, Meta(description="The key of `stopOn` that ended it.")] | UnsetType = UNSET
    example: ClassVar[str] = (
        '{"action": {"action": "play", "media": "sound:hello-world", "stopOn": "#"}, "state": "done", "digit": "#"}'
    )


class DigitsCollected(Result, frozen=True):
    """A `gather` is complete."""

    digits: Annotated[str, Meta(description="What was typed, without `finishOnKey`.")]
    reason: Literal["maxDigits", "valid", "finishOnKey", "timeout", "interDigitTimeout", "invalid", "hangup"]
    example: ClassVar[str] = (
        '{"action": {"action": "gather", "prompt": "sound:demo-instruct", "validDigits": ["1", "2"], "id": "menu"}, '
        '"digits": "1", "reason": "valid"}'
    )


class RecordingCompleted(Result, frozen=True):
    """A recording is closed."""

    name: Annotated[str, Meta(description="Its name in Asterisk: `recording:NAME` plays it.")]
    format: str
    duration: Annotated[float, Meta(ge=0, description="Seconds.")] | None
    url: Annotated[str, Meta(description="Where the router hands it out, below its own address.")]
    example: ClassVar[str] = (
        '{"action": {"action": "record", "name": "message-1", "terminateOn": "#"}, "name": "message-1", "format": "wav", '
        '"duration": 4, "url": "/v1/recordings/message-1?asterisk=main"}'
    )


class VariableRead(Result, frozen=True):
    """A `getVariable` has read them all."""

    values: Annotated[dict[str, str | None], Meta(description="null: there is no such variable.")]
    example: ClassVar[str] = (
        '{"action": {"action": "getVariable", "variable": "CALLERID(name)"}, "values": {"CALLERID(name)": "Alice"}}'
    )


class DialCompleted(Result, frozen=True):
    """A `dial` is over: they have talked, or nobody came."""

    status: Ending
    endpoint: Annotated[str, Meta(description="Who answered.")] | None
    cause: Cause
    talk_seconds: Seconds
    reason: Annotated[str, Meta(description="What ended it.")]
    transferred: Annotated[bool, Meta(description="A phone has handed the talk on.")] | UnsetType = UNSET
    transferred_to: Annotated[str, Meta(description="The extension or number it went to.")] | UnsetType = UNSET
    example: ClassVar[str] = (
        '{"action": {"action": "dial", "to": "PJSIP/alice"}, "status": "noAnswer", "endpoint": null, "cause": 19, '
        '"talkSeconds": 0.0, "reason": "nobody"}'
    )


class TransferCompleted(Result, frozen=True):
    """A `transfer` is over, and the conversation that followed."""

    status: Literal["transferred", "busy", "noAnswer", "rejected", "unavailable", "cancelled"]
    endpoint: str
    talk_seconds: Seconds
    reason: str
    example: ClassVar[str] = (
        '{"action": {"action": "transfer", "to": "PJSIP/alice"}, "status": "transferred", "endpoint": "PJSIP/alice", '
        '"talkSeconds": 12.5, "reason": "hangup"}'
    )


class BridgeCompleted(Result, frozen=True):
    """The call has left a `bridge`."""

    reason: Literal["hangup", "left", "timeLimit", "ended"]
    seconds: Seconds
    bridge: str
    example: ClassVar[str] = (
        '{"action": {"action": "bridge", "name": "lobby"}, "reason": "hangup", "seconds": 31.2, "bridge": "hr-room-1"}'
    )


class ConferenceCompleted(Result, frozen=True):
    """The call has left a `conference`, or did not get in."""

    reason: Literal["exit", "ended", "full", "hangup", "left"]
    seconds: Seconds
    members: Annotated[int, Meta(description="The most that were in it at once.")]
    example: ClassVar[str] = (
        '{"action": {"action": "conference", "name": "team"}, "reason": "exit", "seconds": 310.7, "members": 4}'
    )


class QueueCompleted(Result, frozen=True):
    """An `enqueue` or `dequeue` is over."""

    reason: Literal["answered", "timeout", "exit", "hangup", "empty", "rejected", "abandoned"]
    queue: str
    wait_seconds: Seconds | UnsetType = UNSET
    talk_seconds: Seconds | UnsetType = UNSET
    call: Annotated[str, Meta(description="The other call's id.")] | UnsetType = UNSET
    state: State = UNSET
    example: ClassVar[str] = (
        '{"action": {"action": "enqueue", "queue": "sales"}, "reason": "answered", "queue": "sales", "waitSeconds": 40.1, '
        '"talkSeconds": 95.0, "call": "1795396880.9", "state": {}}'
    )


class CallerTaken(Result, frozen=True):
    """Which caller a `dequeue` has taken, before the two are joined."""

    call: Annotated[str, Meta(description="The caller's id.")]
    state: State
    caller: Annotated[str, Meta(description="The caller's number.")]
    queue: str
    wait_seconds: Seconds
    example: ClassVar[str] = (
        '{"action": {"action": "dequeue", "queue": "sales"}, "call": "1795396880.3", "state": {}, '
        '"caller": "100", "queue": "sales", "waitSeconds": 40.1}'
    )


class QueueWaiting(Result, frozen=True):
    """How a caller in a queue stands; for `waitUrl`, whose answer is what they hear."""

    queue: str
    position: Annotated[int, Meta(ge=1)]
    size: Annotated[int, Meta(ge=0)]
    wait_seconds: Seconds
    example: ClassVar[str] = (
        '{"action": {"action": "enqueue", "queue": "sales", "waitUrl": "wait"}, "queue": "sales", "position": 2, "size": 3, '
        '"waitSeconds": 15.0}'
    )


class SpyCompleted(Result, frozen=True):
    """A `spy` is over."""

    reason: str
    seconds: Seconds
    call: str
    example: ClassVar[str] = (
        '{"action": {"action": "spy", "call": "1795396880.3"}, "reason": "hangup", "seconds": 20.0, "call": "1795396880.3"}'
    )


class StreamCompleted(Result, frozen=True):
    """A `stream` is over."""

    reason: Literal["ended", "hangup"]
    seconds: Seconds
    example: ClassVar[str] = '{"action": {"action": "stream", "to": "bot"}, "reason": "ended", "seconds": 42.0}'


class OriginateCompleted(Result, frozen=True):
    """Somebody whom `originate` called has answered, or has not; of a call by `POST /v1/calls` only that it was not answered."""

    call: Annotated[str, Meta(description="The new call's id.")]
    status: Ending
    cause: Cause
    already: Annotated[bool, Meta(description="The same `id` was called before.")] | UnsetType = UNSET
    message: str | UnsetType = UNSET
    example: ClassVar[str] = (
        '{"action": {"action": "originate", "to": "PJSIP/alice", "id": "reminder-4711"}, "call": "reminder-4711", '
        '"status": "busy", "cause": 17}'
    )


class DialplanCompleted(Result, frozen=True):
    """The call is back from the `dialplan`."""

    values: Annotated[dict[str, str | None], Meta(description="The variables of `read`.")]
    example: ClassVar[str] = (
        '{"action": {"action": "dialplan", "context": "subs", "read": ["AMDSTATUS"]}, "values": {"AMDSTATUS": "HUMAN"}}'
    )


class FetchRequested(Result, frozen=True):
    """A `fetch` asks what comes next."""

    example: ClassVar[str] = '{"action": {"action": "fetch", "url": "next"}}'


class OperationCompleted(Result, frozen=True):
    """What Asterisk answered to one of its own operations."""

    status: int
    body: Any
    example: ClassVar[str] = (
        '{"action": {"action": "asterisk.getGlobalVar", "variable": "SITE"}, "status": 200, "body": {"value": "berlin"}}'
    )


class Error(msgspec.Struct, kw_only=True, frozen=True):
    """What went wrong."""

    reason: Annotated[str, Meta(description="One word, to decide by: `media_failed`, `forbidden`, `timeout`, …")]
    message: Annotated[str, Meta(description="For people.")]
    status: Annotated[int, Meta(description="What Asterisk answered.")] | UnsetType | None = UNSET


class ActionFailed(Result, frozen=True):
    """An action went wrong, and has no `onError`."""

    error: Error
    example: ClassVar[str] = (
        '{"action": {"action": "play", "media": "sound:helo-world"}, "error": {"status": null, "reason": "media_failed", '
        '"message": "Asterisk could not play sound:helo-world: missing, empty, unreadable or not in a format it knows"}}'
    )


class EventsLeftOut(Result, frozen=True):
    """So many events of the call came while others waited that these were not kept. There is no `action`."""

    count: Annotated[int, Meta(ge=1, description="How many, at this place in the order of the events.")]
    types: Annotated[dict[str, int], Meta(description="How many of each type.")]
    example: ClassVar[str] = '{"count": 58000, "types": {"ChannelVarset": 57990, "ChannelTalkingStarted": 10}}'


Instant = Annotated[str, Meta(description="RFC 3339, by Asterisk's clock.", extra_json_schema={"format": "date-time"})]


class LegDetail(msgspec.Struct, kw_only=True, frozen=True, rename="camel"):
    """A leg that a call has dialled."""

    to: Annotated[str, Meta(description="As Asterisk was asked to dial it.")]
    dialled_at: Instant
    answered_at: Instant | None
    ended_at: Instant
    seconds: Annotated[float, Meta(ge=0, description="From its answer to its end; 0: never answered.")]
    result: Ending
    cause: Annotated[int, Meta(description="The Q.850 cause of its end.")] | None


class LegsLeftOut(msgspec.Struct, kw_only=True, frozen=True):
    """Legs that are not listed one by one."""

    count: Annotated[int, Meta(ge=1)]
    seconds: Annotated[float, Meta(ge=0, description="All of theirs together.")]


class CallEnded(Result, frozen=True):
    """The call detail record: the call is over. There is no `action`."""

    reason: Annotated[
        str, Meta(description="`hangup`, `left` (given away: `continue`, `move`, `redirect`), or what else ended it.")
    ]
    seconds: Annotated[float, Meta(ge=0, description="From `startedAt` to `endedAt`.")]
    caller: Annotated[str, Meta(description="The caller's number; empty: none was told.")]
    called: Annotated[str, Meta(description="The extension that was called; of a call of yours, whom it was to.")]
    direction: Annotated[Literal["in", "out"], Meta(description="`out`: by `originate` or `POST /v1/calls`.")]
    channel: Annotated[str, Meta(description="The name of its channel.")]
    route: Annotated[str, Meta(description="The control route that owned it.")]
    tenant: Annotated[str, Meta(description="The route's `tenant`; empty: none.")]
    tags: Annotated[dict[str, str], Meta(description="What answers have set.")]
    started_at: Annotated[Instant, Meta(description="When it entered the app.")]
    answered_at: Annotated[Instant | None, Meta(description="null: it was never answered.")]
    ended_at: Annotated[Instant, Meta(description="When it was hung up, or left the app.")]
    answered_seconds: Annotated[float, Meta(ge=0, description="From `answeredAt` to `endedAt`.")]
    talk_seconds: Annotated[
        float,
        Meta(ge=0, description="In which it was in a bridge with somebody else who had answered, all talks together."),
    ]
    legs: Annotated[list[LegDetail], Meta(description="Those that it dialled, in their order.")]
    legs_left_out: Annotated[LegsLeftOut, Meta(description="Of a call with more than 200: the oldest.")] | UnsetType = (
        UNSET
    )
    example: ClassVar[str] = (
        '{"reason": "hangup", "seconds": 61.3, "caller": "+4930123456", "called": "1000", "direction": "in", '
        '"channel": "PJSIP/trunk-0000002a", "route": "ivr", "tenant": "", "tags": {"customer": "4711"}, '
        '"startedAt": "2026-11-23T01:21:20.227Z", "answeredAt": "2026-11-23T01:21:22.105Z", '
        '"endedAt": "2026-11-23T01:22:21.527Z", "answeredSeconds": 59.422, "talkSeconds": 41.2, '
        '"legs": [{"to": "PJSIP/alice", "dialledAt": "2026-11-23T01:21:24.011Z", "answeredAt": null, '
        '"endedAt": "2026-11-23T01:21:31.118Z", "seconds": 0.0, "result": "busy", "cause": 17}, '
        '{"to": "PJSIP/bob", "dialledAt": "2026-11-23T01:21:31.120Z", "answeredAt": "2026-11-23T01:21:40.310Z", '
        '"endedAt": "2026-11-23T01:22:21.540Z", "seconds": 41.23, "result": "answered", "cause": 16}]}'
    )


RESULT_TYPES: dict[str, type[Result]] = {found.__name__: found for found in Result.__subclasses__()}
