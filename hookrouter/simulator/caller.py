"""Somebody with a phone in the hand: calls, hears, presses keys, hangs up.

Rule: `heard` is what the phone was given, in order, with the simulated seconds since the call began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from hookrouter.simulator.channels import Channel
from hookrouter.simulator.pbx import Pbx
from hookrouter.simulator.threads import run_stasis


class Heard(NamedTuple):
    """`what` is `media`, `media ended`, `answered`, `ringing`, `music`, `digit`, `recorded`, `ended`, …"""

    at: float
    what: str
    detail: str = ""


class Caller:
    """A caller, with a channel of its own in the PBX."""

    def __init__(self, pbx: Pbx, app: str, number: str, exten: str, args: list[str], name: str = "") -> None:
        self._pbx = pbx
        self._start = pbx.timing.elapsed()
        self._over = asyncio.Event()
        self.heard: list[Heard] = []
        self.watch: Callable[[Heard], None] = lambda heard: None
        self.channel = Channel(pbx, pbx.new_id(), f"PJSIP/caller-{pbx.serial('PJSIP')}", state="Ring")
        self.id = self.channel.id
        self.channel.caller = (name, number)
        self.channel.context, self.channel.exten = "in", exten
        self.channel.audible = True
        self.channel.listener = self._listen

        async def life() -> None:
            await run_stasis(self.channel, app, args)
            if self.channel.onward[:1] in (("on",), ("goto",)):
                self.channel.notice("goes on in the dialplan", " ".join(self.channel.onward[1:]))
            self.channel.cause = self.channel.cause or 16

        self.channel.begin(life())

    def _listen(self, what: str, detail: str) -> None:
        heard = Heard(round(self._pbx.timing.elapsed() - self._start, 3), what, detail)
        self.heard.append(heard)
        self.watch(heard)
        if what == "ended":
            self._over.set()
        self._wakers, wakers = [], self._wakers
        for waker in wakers:
            waker.set()

    _wakers: list[asyncio.Event] = []

    async def hears(self, what: str, detail: str = "", timeout: float = 10.0, after: int = 0) -> Heard:
        """Waits (simulated seconds) until the phone was given this. Raises TimeoutError with what it was given."""
        until = self._pbx.timing.elapsed() + timeout
        while True:
            for heard in self.heard[after:]:
                if heard.what == what and detail in heard.detail:
                    return heard
            waker = asyncio.Event()
            self._wakers = [*self._wakers, waker]
            left = until - self._pbx.timing.elapsed()
            if self._over.is_set() or left <= 0 or not await self._pbx.timing.first(waker, left):
                if any(heard.what == what and detail in heard.detail for heard in self.heard[after:]):
                    continue
                raise TimeoutError(f"the caller never heard {what} {detail}; heard: {self.heard}")

    async def press(self, digits: str, duration: float = 0.1, between: float = 0.1) -> None:
        """Presses keys, one after another. Raises ConnectionError where the call is over."""
        for digit in digits:
            await self._pbx.timing.sleep(duration)
            if self.is_over:
                raise ConnectionError("the call is over")
            self.channel.receive_digit(digit, round(duration * 1000))
            await self._pbx.timing.sleep(between)

    async def hangup(self, cause: int = 16) -> None:
        """Puts the phone down."""
        self.channel.hangup(cause, soft=False)
        await self.ended()

    @property
    def is_over(self) -> bool:
        return self._over.is_set()

    async def ended(self, timeout: float | None = None) -> int:
        """Waits (simulated seconds) until the call is over: its hangup cause. Raises TimeoutError."""
        if not await self._pbx.timing.first(self._over, timeout):
            raise TimeoutError("the call is not over")
        return self.channel.cause
