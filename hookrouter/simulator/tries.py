"""Simulated calls that somebody begins from the console, one at a time, and what became of the last ones.

Rule: the endpoint is asked as in life; the router and the Asterisk of such a call are its own, and forgotten with it.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence

import msgspec

from hookrouter.config import Config
from hookrouter.routing.endpoint import Route
from hookrouter.simulator.ladder import Rung
from hookrouter.simulator.playing_out import Play, Result
from hookrouter.simulator.script import Script
from hookrouter.simulator.setting import for_routes

MOST_KEPT = 20
_LONGEST = 60.0
_HANGUP_AFTER = 30.0
_MOST_TEXT = 64


class Drawn(msgspec.Struct, frozen=True):
    """A rung as the console draws it."""

    at: float
    path: tuple[str, ...]
    label: str
    kind: str
    body: bytes


class Try:
    """One of them. `at`: when it began, in seconds since the epoch. `result`: None as long as it goes on, or if it failed."""

    def __init__(self, number: int, route: str, play: Play) -> None:
        self.number, self.route, self.at = number, route, time.time()
        self.over = False
        self.problems: list[str] = []
        self.result: Result | None = None
        self._play = play

    def steps(self) -> list[Drawn]:
        """As far as it has come."""
        return [_drawn(rung) for rung in self._play.ladder.in_order()]

    async def run(self) -> None:
        try:
            async with asyncio.timeout(_LONGEST):
                self.result = await self._play.run()
                self.problems = [problem.text() for problem in self.result.problems]
        except Exception as error:  # noqa: BLE001  whatever it is, it is said on the page
            self.problems = [f"{type(error).__name__}: {error}" if str(error) else "it took too long"]
        finally:
            self.over = True


class Tries:
    """`config` gives the routes as they are now; `speed`: how much faster than life sounds are played."""

    def __init__(self, config: Callable[[], Config], speed: float = 1.0) -> None:
        self._config, self._speed = config, speed
        self._all: deque[Try] = deque(maxlen=MOST_KEPT)
        self._count = 0
        self._task: asyncio.Task[None] | None = None

    def begin(self, route: Route, given: Mapping[str, str]) -> int:
        """Its number. Raises ConfigurationError, ValueError."""
        return self._begin(route, given).number

    async def play(self, route: Route, given: Mapping[str, str]) -> Try:
        """One from its beginning to its end, after the one that goes on. Raises ConfigurationError, ValueError."""
        if self._task is not None:
            await asyncio.wait({self._task})
        made = self._begin(route, given)
        assert self._task is not None
        await self._task
        return made

    def _begin(self, route: Route, given: Mapping[str, str]) -> Try:
        if self._task is not None and not self._task.done():
            raise ValueError("a simulated call goes on already: wait for its end")
        texts = {name: given.get(name, "").strip() for name in ("caller", "called", "digits")}
        if long := [name for name, text in texts.items() if len(text) > _MOST_TEXT or not text.isprintable()]:
            raise ValueError(f"{long[0]} is at most {_MOST_TEXT} characters that can be printed")
        script = Script(hangup_after=_HANGUP_AFTER, digits=texts["digits"])
        script.caller, script.called = texts["caller"] or script.caller, texts["called"] or script.called
        play = Play("", script, speed=self._speed, setting=for_routes(self._config(), [route.name]))
        self._count += 1
        made = Try(self._count, route.name, play)
        self._all.append(made)
        self._task = asyncio.create_task(made.run(), name="simulated call")
        return made

    def find(self, route: str, number: int) -> Try | None:
        return next((one for one in self._all if one.number == number and one.route == route), None)

    def of(self, route: str) -> Sequence[Try]:
        """The last ones of a route, the newest first."""
        return [one for one in reversed(self._all) if one.route == route]

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)


def _drawn(rung: Rung) -> Drawn:
    who = ["router" if name == "hookrouter" else name for name in (rung.source, rung.target)]
    path = tuple(who) if who[0] != who[1] else (who[0],)
    return Drawn(rung.at, path, rung.label, rung.kind, rung.exchange.body if rung.exchange is not None else b"")


__all__ = ["Tries", "Try"]
