"""The light head of an ARI event over its raw bytes: what routing and the call machine need, and no more.

The raw bytes are never re-encoded: they are spliced into the webhook body as Asterisk sent them.
Source: Asterisk's rest-api/api-docs/events.json; unknown event types and fields pass through untouched.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from typing import Any, TypeVar, get_args

import msgspec

S = TypeVar("S", bound=msgspec.Struct)


class Party(msgspec.Struct, gc=False):
    number: str = ""


class Place(msgspec.Struct, gc=False):
    context: str = ""
    exten: str = ""
    priority: int = 0


class Ref(msgspec.Struct, gc=False):
    """A channel, or the other end of one, as far as the machine looks into it."""

    id: str = ""
    name: str = ""
    state: str = ""
    caller: Party | None = None
    dialplan: Place | None = None


class BridgeRef(msgspec.Struct, gc=False):
    id: str = ""
    name: str = ""
    bridge_type: str = ""
    channels: list[str] = []


class PlaybackRef(msgspec.Struct, gc=False):
    id: str = ""
    state: str = ""
    media_uri: str = ""
    target_uri: str = ""


class RecordingRef(msgspec.Struct, gc=False):
    name: str = ""
    state: str = ""
    format: str = ""
    target_uri: str = ""
    cause: str = ""
    duration: float | None = None
    talking_duration: float | None = None
    silence_duration: float | None = None


class Referral(msgspec.Struct, gc=False):
    """Whose phone asked for a transfer (REFER)."""

    source_channel: Ref | None = None


class Head(msgspec.Struct, gc=False):
    """The fields that decide who gets an event and which running action it concerns; all others stay in the raw bytes.

    `request_id`, `status_code`, `reason_phrase` and `message_body` belong to a RESTResponse on the same socket.
    """

    type: str
    timestamp: str = ""
    application: str = ""
    asterisk_id: str = ""
    channel: Ref | None = None
    playback: PlaybackRef | None = None
    bridge: BridgeRef | None = None
    recording: RecordingRef | None = None
    peer: Ref | None = None
    caller: Ref | None = None
    forwarded: Ref | None = None
    replace_channel: Ref | None = None
    referred_by: Referral | None = None
    transferer_first_leg: Ref | None = None
    transferer_second_leg: Ref | None = None
    transferee: Ref | None = None
    transfer_target: Ref | None = None
    destination: Any = None
    forward: str = ""
    digit: str = ""
    duration_ms: int = 0
    cause: int = 0
    cause_txt: str = ""
    tech_cause: Any = None
    dialstatus: str = ""
    variable: str = ""
    value: str = ""
    soft: bool = False
    args: list[str] = []
    request_id: str = ""
    status_code: int = 0
    reason_phrase: str = ""
    message_body: str = ""


class Event(msgspec.Struct, gc=False):
    """One ARI event as it was received.

    `id` is deterministic: the same bytes from the same Asterisk give the same id, after a restart or on another
    router. `raw` is the exact text. `inferred` marks what the router found out by asking after a loss.
    """

    id: str
    asterisk: str
    head: Head
    raw: bytes
    inferred: bool = False

    @property
    def type(self) -> str:
        return self.head.type


def event_id(asterisk: str, raw: bytes) -> str:
    """`evt_` and 32 hex digits: a webhook-id of at most 64 characters and without a dot."""
    return "evt_" + hashlib.blake2b(raw, digest_size=16, key=asterisk.encode()[:64]).hexdigest()


_decode_head = msgspec.json.Decoder(Head).decode


def decode_head(raw: bytes) -> Head:
    """The head of one message of the socket. Raises msgspec.DecodeError where it is not an ARI event.

    A field of another type than Asterisk documents (a `caller` that is a name, a null) is left out; the event is not.
    """
    try:
        return _decode_head(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _as_far_as_it_goes(raw)


def _as_far_as_it_goes(raw: bytes) -> Head:
    try:
        value = json.loads(raw.decode("utf-8", "replace"))
    except (ValueError, RecursionError) as error:
        raise msgspec.DecodeError(f"not JSON: {error}") from None
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise msgspec.DecodeError("no object with a `type`")
    return _readable(Head, value)


def _readable(kind: type[S], value: Mapping[str, Any]) -> S:
    """What can be read of a struct; fields that cannot have their defaults."""
    found: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if (given := value.get(field.name)) is None:
            continue
        if isinstance(given, str):
            given = given.encode("utf-8", "replace").decode()  # half a surrogate pair is no text
        if field.type is str and type(given) in (int, float):
            given = str(given)
        inner = next((one for one in get_args(field.type) if _is_struct(one)), None)
        if inner is not None and isinstance(given, dict):
            found[field.name] = _readable(inner, given)
            continue
        with contextlib.suppress(msgspec.ValidationError):
            found[field.name] = msgspec.convert(given, field.type, strict=False)
    return kind(**found)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def make_event(asterisk: str, raw: bytes, head: Head | None = None, *, inferred: bool = False) -> Event:
    """The event that `raw` holds, with its deterministic id."""
    return Event(event_id(asterisk, raw), asterisk, head or decode_head(raw), raw, inferred)


def rfc3339(timestamp: str) -> str:
    """Asterisk's `2026-11-23T01:21:20.227+0000` as `2026-11-23T01:21:20.227Z`; other offsets keep theirs with a colon.

    >>> rfc3339("2026-11-23T01:21:20.227+0000")
    '2026-11-23T01:21:20.227Z'
    >>> rfc3339("2026-11-23T02:21:20.227+0100")
    '2026-11-23T02:21:20.227+01:00'
    """
    if timestamp.endswith("+0000"):
        return timestamp[:-5] + "Z"
    if len(timestamp) > 5 and timestamp[-5] in "+-" and timestamp[-3] != ":":
        return f"{timestamp[:-2]}:{timestamp[-2:]}"
    return timestamp


def entered_app(channel: Mapping[str, Any] | None) -> str:
    """The app that a channel (as `GET /channels` has it) is in, or "": Asterisk counts a channel to an app as soon as
    the app has called it, while it rings, and the far half of a Local channel, too.
    """
    place = (channel or {}).get("dialplan") or {}
    return str(place.get("app_data", "")).partition(",")[0] if place.get("app_name") == "Stasis" else ""
