"""What is done to one channel or bridge, one thing after another, as Asterisk's control queue does it.

Rule: whoever hangs up ends what runs and what waits; each waiting thing is told that it was abandoned.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable


class Job:
    """One entry of the queue. `abandon` is called where it never ran."""

    def __init__(self, run: Callable[[], Awaitable[None]], abandon: Callable[[], None] | None = None) -> None:
        self.run = run
        self.abandon = abandon
        self.done: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    def finish(self, ran: bool) -> None:
        if not self.done.done():
            self.done.set_result(ran)


class Line:
    """The queue. `serve` carries it out until `leave`."""

    def __init__(self) -> None:
        self._jobs: deque[Job] = deque()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.left = False

    def add(self, run: Callable[[], Awaitable[None]], abandon: Callable[[], None] | None = None) -> Job:
        job = Job(run, abandon)
        self._jobs.append(job)
        self._wake.set()
        return job

    async def wait(self, run: Callable[[], Awaitable[None]]) -> bool:
        """Adds it and waits until it was done; False where the channel went before."""
        return await self.add(run).done

    def leave(self) -> None:
        """What waits is done first, then `serve` returns."""

        async def done() -> None:
            self.left = True

        self.add(done)

    async def serve(self) -> None:
        self.left = False
        while not self.left:
            if not self._jobs:
                self._wake.clear()
                await self._wake.wait()
                continue
            job = self._jobs.popleft()
            try:
                await job.run()
            finally:
                job.finish(True)

    def abandon(self) -> None:
        """What never ran is told so."""
        while self._jobs:
            job = self._jobs.popleft()
            if job.abandon is not None:
                job.abandon()
            job.finish(False)

    def start(self) -> None:
        """Serves in a task of its own: a bridge has no thread of its own to do it."""
        self._task = asyncio.get_running_loop().create_task(self.serve())

    def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
        self.abandon()
