"""A TCP connection's way that can be cut without a word: between a router and its database."""

from __future__ import annotations

import asyncio
import contextlib


class Cable:
    """Listens on a port of its own and passes bytes on to `target`, whatever they say."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._whole = asyncio.Event()
        self._whole.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> Cable:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """From now on nothing comes through, and nobody is told: neither on connections that are open nor on new ones."""
        self._whole.clear()

    def mend(self) -> None:
        """New connections come through; what was open has lost bytes, and ends."""
        for writer in list(self._writers):
            writer.transport.abort()
        self._whole.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        other: asyncio.StreamWriter | None = None
        with contextlib.suppress(OSError, asyncio.CancelledError):
            try:
                await self._whole.wait()
                if writer.is_closing():  # it came while the way was cut, and has lost bytes too
                    return
                out, other = await asyncio.open_connection("127.0.0.1", self.target)
                self._writers.add(other)
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._pass(reader, other))
                    group.create_task(self._pass(out, writer))
            except* OSError:
                pass
            finally:
                for end in (writer, other):
                    if end is not None:
                        self._writers.discard(end)
                        end.transport.abort()
                self._tasks.discard(task)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Raises ConnectionError at its end, so that the other way ends, too."""
        while data := await source.read(65536):
            await self._whole.wait()
            sink.write(data)
            await sink.drain()
        raise ConnectionError
