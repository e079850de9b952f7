"""One caller of a run: carries out their steps, and says what could not be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from hookrouter.simulator.caller import Caller
from hookrouter.simulator.problems import Problems
from hookrouter.simulator.script import Person, Step, from_digits

Draw = Callable[..., None]


class Talk:
    """What one caller does, and what came of it. `place` is put before the steps' places (`callers[0].`)."""

    def __init__(self, person: Person, place: str, title: str, draw: Draw, problems: Problems, speed: float) -> None:
        self.person, self.place, self.title = person, place, title
        self.actions: list[str] = []
        self.variables: dict[str, str] = {}
        self.state: Any = {}
        self.ended_by = "endpoint"
        self.finished = asyncio.Event()
        self.caller: Caller | None = None
        self._draw, self._problems, self._speed = draw, problems, speed
        self._seen = 0

    def say(self, label: str, kind: str = "plain") -> None:
        """The caller does something."""
        self._draw("caller", "Asterisk", self.title + label, kind)

    def problem(self, what: str, why: str = "") -> None:
        self._problems.add(what, why)

    async def run(self, caller: Caller, idle: Callable[[], bool]) -> None:
        """Until the caller has hung up, or was."""
        self.caller = caller
        person = self.person
        try:
            async with asyncio.timeout(person.hangup_after):
                await self._steps(caller)
                while not caller.is_over and not idle():
                    await asyncio.sleep(0.02)
        except TimeoutError:
            self._draw("caller", "caller", f"{self.title}{person.hangup_after:g} s are over", "note")
        if not caller.is_over:
            await self._hang_up(caller)

    async def _steps(self, caller: Caller) -> None:
        """What stands under `steps` first, then `digits`. The first step that fails is told, not what follows from it."""
        for index, step in enumerate(self.person.steps):
            if caller.is_over and not step.hangup:
                self.problem(f"{self.place}steps[{index}]: the call was over before the caller could {_does(step)}")
                return
            if not await self._step(caller, step, f"{self.place}steps[{index}]"):
                return
        for group in filter(None, (part.strip() for part in self.person.digits.split(","))):
            for step in from_digits(group):
                if caller.is_over:
                    self.problem(f"{self.place}digits: the call was over before the caller could press {group}")
                    return
                if not await self._step(caller, step, f"{self.place}digits", f" to press {group}"):
                    return

    async def _step(self, caller: Caller, step: Step, place: str, why: str = "") -> bool:
        """Whether it could be carried out."""
        if step.wait_for is not None:
            return await self._wait_for(caller, step, place, why)
        if step.press is not None:
            for key in step.press:
                self.say(f"presses {key}")
                try:
                    await caller.press(key)
                except ConnectionError:
                    self.problem(f"{place}: the call was over before the caller could press all of {step.press}")
                    return False
        elif step.pause is not None:
            await asyncio.sleep(step.pause / self._speed)
        elif step.say is not None:
            self.say(f"“{step.say}”")
            await asyncio.sleep(0.4 * len(step.say.split()) / self._speed)
        elif step.hangup:
            await self._hang_up(caller)
        return True

    async def _wait_for(self, caller: Caller, step: Step, place: str, why: str) -> bool:
        wanted = step.wait_for or ""
        plain = wanted in ("answered", "ringing", "music")
        what, detail = (wanted, "") if plain else ("media", "" if wanted == "any" else wanted)
        after = 0 if plain else self._seen
        try:
            heard = await caller.hears(what, detail, step.timeout * self._speed, after=after)
        except TimeoutError:
            given = ", ".join(one.detail for one in caller.heard if one.what == "media") or "nothing"
            until = "until the call was over" if caller.is_over else f"{step.timeout:g} s"
            looked_for = "a prompt" if wanted == "any" else f"`{wanted}`"
            self.problem(f"{place}: the caller waited {until} for {looked_for}{why}, and heard: {given}")
            return False
        if not plain:
            self._seen = caller.heard.index(heard, after) + 1
        return True

    async def _hang_up(self, caller: Caller) -> None:
        if not caller.is_over:
            self.ended_by = "caller"
            self.say("hangs up")
            await caller.hangup()


def _does(step: Step) -> str:
    if step.press:
        return f"press {step.press}"
    return f"hear {step.wait_for}" if step.wait_for else "say that" if step.say else "go on"
