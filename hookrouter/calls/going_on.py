"""What goes on in a call by itself, without a program: music, a talk, a sound that an operation began. Pure.

Rules:
- `Call.goes_on` says what it is (`music`, `bridge BRIDGE`, `sound PLAYBACK`, …) and holds a detail of it, such as the class.
- It is noted when it is asked for, and taken back when Asterisk refuses it, when its end is told, and when another
  request ends it.
- Music that an action has begun (`Call.music`) comes back after a prompt, which ends it in Asterisk for good; not in a bridge. It is
  over with `stopMoh` or silence.
- A run looks after its own sounds, legs and recordings; of these only what an operation of ARI began is noted.
Source: the real Asterisk, tests/asterisk/test_silence.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from hookrouter.ari.events import Head
from hookrouter.calls.call import Call

UNKNOWN = "unknown"
"""Noted for a call that an older version wrote to disk: nobody knows what it hears."""

_SOUNDS = {"channels.play": "", "channels.playWithId": "", "bridges.play": "", "bridges.playWithId": ""}
_LEGS = {"channels.originate", "channels.originateWithId", "channels.dial"}
_BEGINS = {"channels.startMoh": "music", "channels.ring": "ringing", "channels.hold": "hold"}
_SOUND = ("ringing", "music", "hold")  # a channel has one source of sound: the new one ends the one before
_ENDS = {
    "channels.play": _SOUND, "channels.playWithId": _SOUND, "channels.startSilence": _SOUND,
    "channels.startMoh": ("ringing",), "channels.stopMoh": ("music", "hold"),
    "channels.unhold": ("music", "hold"), "channels.ringStop": ("ringing",), "channels.answer": ("ringing",),
}  # fmt: skip
_ASKS = {
    "bridge": ("bridges.get", "bridgeId"), "sound": ("playbacks.get", "playbackId"),
    "recording": ("recordings.getLive", "recordingName"), "leg": ("channels.get", "channelId"),
}  # fmt: skip
_NO_MUSIC = {"channels.stopMoh", "channels.startSilence"}
_BRIDGE_MUSIC = {"bridges.startMoh", "bridges.stopMoh"}
NOTED = frozenset({*_SOUNDS, *_LEGS, *_BEGINS, *_ENDS, *_BRIDGE_MUSIC, "channels.record"})
"""The operations that `asked` and `refused` look at."""


def _key(call: Call, operation: str, params: Mapping[str, Any], raw: bool) -> str:
    """What the request begins, or "". `raw`: an operation of ARI asks for it, and no run looks after it."""
    if operation in _BEGINS:
        return _BEGINS[operation] if params.get("channelId") == call.channel else ""
    if operation == "bridges.startMoh":
        return f"bridge-music {params.get('bridgeId')}"
    if not raw:
        return ""
    if operation in _SOUNDS:
        ours = params.get("channelId", call.channel) == call.channel  # a bridge is ours, or another's that we may use
        return f"sound {params.get('playbackId')}" if ours else ""
    if operation in _LEGS:
        leg = params.get("channelId")
        return f"leg {leg}" if leg and leg != call.channel else ""
    if operation == "channels.record" and params.get("channelId") == call.channel:
        return f"recording {params.get('name')}"
    return ""


def asked(call: Call, operation: str, params: Mapping[str, Any], *, raw: bool, action: bool = False) -> None:
    """A request of `NOTED` goes out. `action`: an answer has asked for just that."""
    if params.get("channelId") == call.channel and not (call.up and operation == "channels.answer"):
        for key in _ENDS.get(operation, ()):
            call.goes_on.pop(key, None)
        if operation in _NO_MUSIC:
            call.music = None
        elif operation == "channels.startMoh" and action and not talks(call):
            call.music = str(params.get("mohClass", ""))
    if operation == "bridges.stopMoh":
        call.goes_on.pop(f"bridge-music {params.get('bridgeId')}", None)
    if key := _key(call, operation, params, raw):
        call.goes_on[key] = str(params.get("mohClass", ""))


def refused(call: Call, operation: str, params: Mapping[str, Any]) -> None:
    """Asterisk has not done it."""
    if operation == "channels.startMoh":
        call.music = None
    if key := _key(call, operation, params, raw=True):
        call.goes_on.pop(key, None)


def question(key: str) -> tuple[str, dict[str, Any]] | None:
    """What to ask Asterisk whether it still goes on; None for what can end only by us."""
    kind, _, id = key.partition(" ")
    if kind not in _ASKS:
        return None
    operation, name = _ASKS[kind]
    return operation, {name: id}


def may_end_unheard(call: Call) -> list[str]:
    """What Asterisk may end without a word: a recording that it cannot play, a leg whose end was lost."""
    return [key for key in call.goes_on if key.partition(" ")[0] in ("sound", "recording", "leg")]


def music_again(call: Call) -> dict[str, Any] | None:
    """What begins the music again after a prompt; None where there is none to begin, or something else is heard."""
    if call.music is None or call.ended or "music" in call.goes_on:
        return None
    if any(getattr(program.run, "playback", "") for program in call.programs.values()):
        return None  # the next prompt has begun
    if any(key.partition(" ")[0] in ("sound", "bridge") for key in call.goes_on):
        return None
    return {"channelId": call.channel} | ({"mohClass": call.music} if call.music else {})


def talks(call: Call) -> bool:
    """Whether it is in a bridge."""
    return any(key.startswith("bridge ") for key in call.goes_on)


def looked(call: Call, key: str, status: int, body: bytes) -> None:
    """Asterisk's answer to the `question` of a key."""
    found = msgspec.json.decode(body, type=_Found) if status == 200 else _Found()
    gone = status == 404 or (key.startswith("leg ") and found.state == "Up")
    if gone or (key.startswith("bridge ") and status == 200 and call.channel not in found.channels):
        call.goes_on.pop(key, None)


class _Found(msgspec.Struct):
    state: str = ""
    channels: list[str] = []


# ---- what Asterisk tells -------------------------------------------------------------------------------------------


def _entered(call: Call, head: Head) -> None:
    inside = [head.channel.id if head.channel else "", *(head.bridge.channels if head.bridge else ())]
    if head.bridge is not None and call.channel in inside:
        call.goes_on[f"bridge {head.bridge.id}"] = ""


def _left(call: Call, head: Head) -> None:
    """Who was left alone hears nothing; who came alone waits for somebody."""
    if head.bridge is None or head.channel is None:
        return
    if head.channel.id == call.channel or head.bridge.channels == [call.channel]:
        call.goes_on.pop(f"bridge {head.bridge.id}", None)
    if head.channel.id == call.channel:
        call.goes_on.pop(f"bridge-music {head.bridge.id}", None)


def _destroyed(call: Call, head: Head) -> None:
    if head.bridge is not None:
        call.goes_on.pop(f"bridge {head.bridge.id}", None)
        call.goes_on.pop(f"bridge-music {head.bridge.id}", None)


def _played(call: Call, head: Head) -> None:
    if head.playback is not None:
        call.goes_on.pop(f"sound {head.playback.id}", None)


def _recorded(call: Call, head: Head) -> None:
    if head.recording is not None:
        call.goes_on.pop(f"recording {head.recording.name}", None)


def _leg(call: Call, head: Head) -> None:
    if head.channel is not None and (head.type == "ChannelDestroyed" or head.channel.state == "Up"):
        call.goes_on.pop(f"leg {head.channel.id}", None)


_TOLD: dict[str, Callable[[Call, Head], None]] = {
    "ChannelEnteredBridge": _entered,
    "ChannelLeftBridge": _left,
    "BridgeDestroyed": _destroyed,
    "PlaybackFinished": _played,
    "RecordingFinished": _recorded,
    "RecordingFailed": _recorded,
    "ChannelDestroyed": _leg,
    "ChannelStateChange": _leg,
    "StasisStart": _leg,
}


def told(call: Call, head: Head) -> None:
    """An event of the call, or of what belongs to it."""
    tell = _TOLD.get(head.type)
    if tell is not None:
        tell(call, head)
