"""The simulator's time: as fast as `speed` says, the same for media, dialplan and timestamps.

Rule: everything that waits in the simulator waits here, so that a test or a demo can run it faster than life.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime


class Timing:
    """Simulated seconds. `speed` 2.0: a second of media takes half a second."""

    def __init__(self, speed: float = 1.0) -> None:
        if speed <= 0:
            raise ValueError(f"speed must be above 0, not {speed}")
        self.speed = speed
        self._epoch = time.time()
        self._start = time.monotonic()

    def now(self) -> float:
        """Seconds since the epoch, as Asterisk's own clock would have it."""
        return self._epoch + self.elapsed()

    def elapsed(self) -> float:
        """Simulated seconds since the simulator was made."""
        return (time.monotonic() - self._start) * self.speed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / self.speed)

    def later(self, seconds: float, function: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds / self.speed, function)

    async def first(self, event: asyncio.Event, seconds: float | None) -> bool:
        """Waits for `event`, at most `seconds`: whether it came."""
        try:
            async with asyncio.timeout(None if seconds is None else seconds / self.speed):
                await event.wait()
        except TimeoutError:
            return False
        return True

    def stamp(self, at: float | None = None) -> str:
        """`2026-11-23T01:21:20.227+0000`, as in Asterisk's events."""
        moment = datetime.fromtimestamp(self.now() if at is None else at, UTC)
        return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}+0000"
