"""Whose key it is that somebody has pressed: each key counts once, for the action that asks for it. Pure.

Rules:
- A key is offered to the actions that run on its channel, the innermost and newest first; the first that takes it has it.
- A key that nobody takes waits: the caller has typed ahead, and the next `gather` begins with it.
- Keys wait from prompt to prompt, not out of a talk: when an action ends whose keys were meant for somebody else
  (`talks`), what was typed until then is forgotten.
- The key that ends an entry (`finishOnKey`) belongs to it also where the entry was complete without it: pressed right
  after the last digit it is nobody's.
"""

from __future__ import annotations

from typing import Any

import msgspec

from hookrouter.calls.call import Outgoing, Program
from hookrouter.calls.programs import Programs

MOST_DIGITS = 1000
"""How many keys that nobody asked for are kept."""


class Keys(Programs):
    """Hands out what is typed."""

    def _key(self, channel: str, key: str) -> None:
        call = self.call
        if not call.programs and channel != call.channel:
            return
        closing = call.closing_keys.pop(channel, None)
        if closing is not None and closing[0] == key and self.now <= closing[1]:
            return
        for program in reversed(list(call.programs.values())):
            if program.run is not None and program.run.on_key(channel, key, self._doer(self, program)):
                return
        if channel == call.channel:
            call.digits = (call.digits + key)[-MOST_DIGITS:]

    def expect_closing(self, program: Program, key: str, within: float) -> None:
        """`key` closes the entry that is complete already, if it is the next one and comes within so many seconds."""
        self.call.closing_keys[program.channel] = (key, self.now + within)

    def _after(self, out: Outgoing) -> str | None:
        """The keys that wait behind the one whose own event the endpoint has answered with actions: that one, and what
        came before it, have counted. None: it is no key's event.
        """
        if out.type != "ChannelDtmfReceived":
            return None
        key = msgspec.json.decode(out.data, type=dict[str, Any]).get("digit", "")
        _, found, after = self.call.digits.partition(key) if key else ("", "", "")
        return after if found else self.call.digits
