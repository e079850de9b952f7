"""An endpoint that misbehaves on request: a bare TCP server on loopback, so that it can be as wrong as it likes.

A behaviour is a coroutine that gets the connection after a request was read; `Server` counts requests and connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field

ANSWER = b'[{"action":"answer"}]'


@dataclass
class Request:
    """One request as it came; header names in lower case, `raw_headers` with those that came twice."""

    line: str
    raw_headers: list[tuple[str, str]]
    body: bytes
    connection: int

    @property
    def headers(self) -> dict[str, str]:
        return dict(self.raw_headers)


@dataclass
class Peer:
    """The connection, as a behaviour sees it."""

    request: Request
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int  # of the request at this server, from 1

    async def write(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = ANSWER, status: str = "200 OK", *lines: str) -> None:
        head = [f"HTTP/1.1 {status}", f"content-length: {len(body)}", *lines]
        await self.write("\r\n".join(head).encode() + b"\r\n\r\n" + body)

    def reset(self) -> None:
        """RST instead of FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Behaviour = Callable[[Peer], Awaitable[None]]


@dataclass
class Server:
    """Running; `behave` may be changed at any time."""

    port: int
    behave: Behaviour
    scheme: str = "http"
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    open: int = 0
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/ivr"

    async def wait_for(self, count: int, timeout: float = 5.0) -> None:
        """Until `count` requests have come."""
        async with asyncio.timeout(timeout), self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= count)

    async def all_closed(self, timeout: float = 5.0) -> None:
        """Until nobody is connected any more."""
        async with asyncio.timeout(timeout), self.arrived:
            await self.arrived.wait_for(lambda: self.open == 0)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        connection = self.connections
        try:
            while (request := await _read(reader, connection)) is not None:
                async with self.arrived:
                    self.requests.append(request)
                    self.arrived.notify_all()
                await self.behave(Peer(request, reader, writer, len(self.requests)))
                if writer.is_closing():
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()
            async with self.arrived:
                self.open -= 1
                self.arrived.notify_all()


async def _read(reader: asyncio.StreamReader, connection: int) -> Request | None:
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError:
        return None
    line, *lines = head[:-4].split("\r\n")
    headers = [(name.lower(), value) for name, _, value in (text.partition(": ") for text in lines)]
    body = await reader.readexactly(int(dict(headers).get("content-length", "0")))
    return Request(line, headers, body, connection)


@contextlib.asynccontextmanager
async def serving(behave: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    """A server on a free port; at the end every connection is cut."""
    found = Server(0, behave, "https" if tls else "http")
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await found._serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    found.server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls, limit=2**20, backlog=1024)
    found.port = found.server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        found.server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.contextmanager
def closed_port() -> Iterator[str]:
    """A URL where nobody listens, kept free by a socket that is bound and does not listen."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/ivr"


@contextlib.contextmanager
def full_backlog() -> Iterator[str]:
    """A URL whose host drops new connections: the listener's queue is full."""
    with socket.socket() as sock, contextlib.ExitStack() as stack:
        sock.bind(("127.0.0.1", 0))
        sock.listen(0)
        for _ in range(4):
            filler = stack.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(sock.getsockname())
        yield f"http://127.0.0.1:{sock.getsockname()[1]}/ivr"


# ---- behaviours


async def well(peer: Peer) -> None:
    await peer.answer(ANSWER, "200 OK", "content-type: application/json")


def status(code: int, body: bytes = b"[]", *lines: str) -> Behaviour:
    """Answers with this status, and a body even where HTTP has none."""

    async def behave(peer: Peer) -> None:
        await peer.answer(body, f"{code} Whatever", *lines)

    return behave


def raw(data: bytes, *, close: bool = True) -> Behaviour:
    """Answers with these bytes."""

    async def behave(peer: Peer) -> None:
        await peer.write(data)
        if close:
            peer.writer.close()

    return behave


async def hang(peer: Peer) -> None:
    """Reads the request and says nothing until the other side goes."""
    await peer.reader.read()


def drip(delay: float) -> Behaviour:
    """A proper head, then a byte of the body every `delay` seconds."""

    async def behave(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(1000):
            await peer.write(b" ")
            await asyncio.sleep(delay)

    return behave


def drip_head(delay: float) -> Behaviour:
    """A byte of a head that never ends, every `delay` seconds."""

    async def behave(peer: Peer) -> None:
        await peer.write(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            await peer.write(b"y")
            await asyncio.sleep(delay)

    return behave


async def reset(peer: Peer) -> None:
    """Acts, then resets the connection."""
    peer.reset()


async def close(peer: Peer) -> None:
    """Acts, then closes the connection without a word."""
    peer.writer.close()


def once(first: Behaviour, then: Behaviour = well) -> Behaviour:
    """`first` for the first request, `then` for all later ones."""

    async def behave(peer: Peer) -> None:
        await (first if peer.number == 1 else then)(peer)

    return behave


def released(event: asyncio.Event, then: Behaviour = well) -> Behaviour:
    """Waits for the test, then answers."""

    async def behave(peer: Peer) -> None:
        await event.wait()
        await then(peer)

    return behave


def endless(declared: int | None = 1_000_000_000) -> Behaviour:
    """A body of a gigabyte, declared or in chunks."""
    piece = b" " * 65536

    async def behave(peer: Peer) -> None:
        if declared is None:
            await peer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        else:
            await peer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {declared}\r\n\r\n".encode())
        for _ in range(1_000_000_000 // len(piece)):
            await peer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if declared is None else piece)

    return behave


async def endless_head(peer: Peer) -> None:
    await peer.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(1_000_000):
        await peer.write(b"x-%d: %s\r\n" % (number, b"y" * 1000))


async def endless_header(peer: Peer) -> None:
    await peer.write(b"HTTP/1.1 200 OK\r\nx: ")
    for _ in range(100_000):
        await peer.write(b"y" * 10_000)


async def endless_chunk_extensions(peer: Peer) -> None:
    await peer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;")
    for _ in range(100_000):
        await peer.write(b"y" * 10_000)


async def endless_interim(peer: Peer) -> None:
    for _ in range(1_000_000):
        await peer.write(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n")


def compressed(body: bytes) -> Behaviour:
    return status(200, gzip.compress(body), "content-encoding: gzip")


GZIP_BOMB = gzip.compress(b" " * 50_000_000)
DEEP = b"[" * 100_000 + b"]" * 100_000
HTML = b"<!doctype html><title>502 Bad Gateway</title>"
