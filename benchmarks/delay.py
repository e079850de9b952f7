"""A way of some milliseconds to a port of this machine: `python -m benchmarks.delay PORT MILLISECONDS` says its own port.

Each byte comes half of that later than it was sent, both ways; nothing is bounded but by who waits for an answer.
"""

from __future__ import annotations

import asyncio
import sys


class _Half(asyncio.Protocol):
    """One end of a connection: what it gets goes to the other end later."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._early: list[bytes] = []
        self._other: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def joined(self, other: asyncio.Transport) -> None:
        self._other = other
        for data in self._early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self._other is None:
            self._early.append(data)
        else:
            asyncio.get_running_loop().call_later(self._seconds, self._other.write, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._other is not None:
            self._other.close()


class _Door(_Half):
    """Whoever connects is joined to a new connection to the port."""

    def __init__(self, seconds: float, port: int) -> None:
        super().__init__(seconds)
        self._port = port

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._joining = asyncio.ensure_future(self._join())

    async def _join(self) -> None:
        loop = asyncio.get_running_loop()
        _, inner = await loop.create_connection(lambda: _Half(self._seconds), "127.0.0.1", self._port)
        inner.joined(self.transport)
        self.joined(inner.transport)


async def main(port: int, milliseconds: float) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Door(milliseconds / 2000, port), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), float(sys.argv[2])))
