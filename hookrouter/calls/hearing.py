"""What the caller of a call hears at this moment, in words for people. Pure.

Rule: what runs comes first, then what goes on by itself, then what is waited for; a call that stands still says so.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from hookrouter.actions.decode import decode_step
from hookrouter.calls.call import Call, Program
from hookrouter.errors import AnswerRefused
from hookrouter.text.lines import cut

Mood = Literal["plain", "waiting", "still"]
_MOST = 80
_VERBS = {
    "play": "hears {}", "say": "hears spoken words {}", "gather": "is asked for keys {}", "record": "is being recorded {}",
    "dial": "waits for {}", "transfer": "is transferred to {}", "conference": "is in the conference {}",
    "enqueue": "waits in the queue {}", "bridge": "is in the bridge {}", "stream": "talks with the stream {}",
    "moh": "hears music {}", "pause": "waits (pause) {}", "silence": "hears silence {}", "dialplan": "is in the dialplan {}",
    "fetch": "waits for {}", "ring": "hears ringing {}", "hold": "is on hold {}", "hangup": "is hung up {}",
}  # fmt: skip
_GOES_ON = {
    "music": "hears music", "ringing": "hears ringing", "hold": "is on hold", "bridge": "talks in a bridge",
    "bridge-music": "hears music in a bridge", "sound": "hears a sound", "recording": "is being recorded",
    "leg": "waits for somebody who is called", "unknown": "hears something of before the restart",
}  # fmt: skip


class Hears(msgspec.Struct, frozen=True):
    """`mood`: `still` where nothing runs and nothing is to come, `waiting` where the endpoint or the line has its turn."""

    words: str
    mood: Mood = "plain"


def hears(call: Call) -> Hears:
    """What the caller has in the ear."""
    if call.ended:
        return Hears("has gone", "waiting")
    if call.still_since:
        return Hears("stands still: hears nothing", "still")
    programs = [program for program in call.programs.values() if program.run is not None]
    for kinds in (("main", "fallback", "parallel", "child"), ("filler",)):
        for program in reversed(programs):
            if program.kind in kinds and (words := _running(program)):
                return Hears(words)
    if call.goes_on:
        key, detail = next(iter(reversed(call.goes_on.items())))
        words = _GOES_ON.get(key.partition(" ")[0], "hears something")
        return Hears(f"{words} ({cut(detail, _MOST)})" if detail else words)
    if call.outbox or call.in_flight:
        return Hears(f"waits for the answer to {call.outbox[0].type if call.outbox else 'an event'}", "waiting")
    if any(program.waiting for program in call.programs.values()):
        return Hears("waits for the endpoint", "waiting")
    return Hears("waits" if call.up else "is not answered yet", "waiting")


def _running(program: Program) -> str:
    """What the program does to the caller's ear; empty where that cannot be told."""
    if program.index >= len(program.steps):
        return ""
    try:
        action = decode_step(program.steps[program.index])
    except AnswerRefused:
        return ""
    about = "" if getattr(action, "sensitive", False) else cut(action.about(), _MOST)
    return _VERBS.get(action.verb, f"{action.verb} {{}}").format(about).strip()
