"""One thread, one connection: every statement runs there, in the order in which it was submitted."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar


class Connection(Protocol):
    """What jobs work with."""

    def close(self) -> Any:
        """Gives it back."""
        ...


T = TypeVar("T")
C = TypeVar("C", bound=Connection)
Done = Callable[[object, BaseException | None], None]


class WriterThread(Generic[C]):
    """Runs jobs with the connection and tells their outcome to the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, connection: C) -> None:
        self._loop = loop
        self._connection = connection
        self._jobs: queue.SimpleQueue[tuple[Callable[[C], object], Done] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="hookrouter-store", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def submit(self, job: Callable[[C], object], done: Done) -> None:
        """`done(result, error)` is called in the event loop, one of the two being None."""
        self._jobs.put((job, done))

    async def call(self, job: Callable[[C], T]) -> T:
        """The job's result. Raises what it raises."""
        future: asyncio.Future[T] = self._loop.create_future()

        def done(result: object, error: BaseException | None) -> None:
            if future.done():
                return
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)  # type: ignore[arg-type]  # the job's own result

        self.submit(job, done)
        return await future

    async def stop(self) -> None:
        """Ends the thread after all that was submitted, and closes the connection."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _run(self) -> None:
        while (item := self._jobs.get()) is not None:
            job, done = item
            result: object = None
            failure: BaseException | None = None
            try:
                result = job(self._connection)
            except Exception as error:  # noqa: BLE001  whatever it is, who waits must be told
                failure = error
            try:
                self._loop.call_soon_threadsafe(done, result, failure)
            except RuntimeError:
                break  # the loop is gone, nobody waits any more
        self._connection.close()
