"""A sample of each webhook: what an endpoint is sent, with values that might be real. Pure.

Rule: a sample fits the schema of its type. Where there is no example by hand, it is made from the fields that Asterisk says.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import msgspec

from hookrouter.actions.results import RESULT_TYPES
from hookrouter.ari.operations import ANSWERS, event_types, models

AT = "2026-11-23T01:21:20.227"
_STAMP = f"{AT}+0000"  # as Asterisk writes it
_CHANNEL = {
    "id": "1795396880.3",
    "name": "PJSIP/alice-00000003",
    "state": "Ring",
    "protocol_id": "3c26700c@192.0.2.10",
    "caller": {"name": "Alice", "number": "100"},
    "connected": {"name": "", "number": ""},
    "accountcode": "",
    "dialplan": {"context": "phones", "exten": "1000", "priority": 1, "app_name": "Stasis", "app_data": "hookrouter"},
    "creationtime": "2026-11-23T01:21:20.220+0000",
    "language": "en",
}
_CALL = {"id": "1795396880.3", "asterisk": "main", "app": "hookrouter", "route": "ivr", "sequence": 1, "state": {}}
BY_HAND: dict[str, dict[str, Any]] = {
    "StasisStart": {"args": [], "channel": _CHANNEL},
    "StasisEnd": {"channel": _CHANNEL | {"state": "Up"}},
    "ChannelDtmfReceived": {"digit": "1", "duration_ms": 120, "channel": _CHANNEL | {"state": "Up"}},
    "ChannelHangupRequest": {"cause": 16, "channel": _CHANNEL | {"state": "Up"}},
    "RecordingFinished": {
        "recording": {
            "name": "hr-1795396880.3-1",
            "format": "wav",
            "state": "done",
            "target_uri": "channel:1795396880.3",
            "duration": 7,
        },
    },
}
_VALUES: dict[str, Any] = {
    "int": 1, "long": 1, "double": 1.0, "boolean": True, "Date": _STAMP, "object": {}, "Channel": _CHANNEL | {"state": "Up"},
}  # fmt: skip
_TEXTS = {
    "application": "hookrouter", "media_uri": "sound:hello-world", "target_uri": "channel:1795396880.3", "format": "wav",
    "cause_txt": "Normal Clearing", "dialstatus": "ANSWER", "technology": "PJSIP", "resource": "alice", "digit": "1",
    "asterisk_id": "02:42:ac:11:00:02", "dialstring": "alice", "forward": "", "video_mode": "none", "language": "en",
}  # fmt: skip
_NUMBERS = {"cause": 16}
_USUAL = frozenset(
    {"channel", "peer", "bridge", "endpoint", "dialstring", "forward", "video_mode", "language"}
)  # that Asterisk may leave out, and mostly does not
_OF_A_CALL = ("channel", "peer", "playback", "recording")


def known_types() -> list[str]:
    """What there are samples of: Asterisk's events and the router's own."""
    return [name for name in (*event_types(), *RESULT_TYPES) if name not in ANSWERS]


def sample_data(name: str) -> dict[str, Any]:
    """The `data` of an event of this type. Raises KeyError where there is none."""
    if name in RESULT_TYPES:
        found: dict[str, Any] = msgspec.json.decode(RESULT_TYPES[name].example)
        return found
    stamp = {"type": name, "timestamp": _STAMP, "application": "hookrouter", "asterisk_id": _TEXTS["asterisk_id"]}
    return deepcopy(stamp | (BY_HAND[name] if name in BY_HAND else _made(event_types()[name]) | stamp))


def sample(name: str, id: str = "evt_9f2c64f0a1b24f0d8d6f1c3c5a7e9b10", timestamp: str = f"{AT}Z") -> dict[str, Any]:
    """A whole webhook, to be changed at will; with `call` where it tells of one. Raises KeyError."""
    data = sample_data(name)
    found: dict[str, Any] = {"id": id, "type": name, "timestamp": timestamp, "data": data}
    if name in RESULT_TYPES or any(field in data for field in _OF_A_CALL):
        found["call"] = deepcopy(_CALL)
    return found


def _made(fields: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: _value(name, kind.removesuffix("?"))
        for name, kind in fields.items()
        if not kind.endswith("?") or name in _USUAL
    }


def _value(name: str, kind: str) -> Any:
    if kind.startswith("List["):
        return [_value(name, kind[5:-1])]
    if kind == "string":
        return _TEXTS.get(name, name.replace("_", "-"))
    if name in _NUMBERS:
        return _NUMBERS[name]
    return _VALUES[kind] if kind in _VALUES else _made(models()[kind])


__all__ = ["BY_HAND", "known_types", "sample", "sample_data"]
