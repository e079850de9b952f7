"""The event socket against a server that sends frames in every shape, byte by byte where it must be."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import websockets.exceptions
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader as Bytes

from hookrouter.ari import websocket
from hookrouter.ari.websocket import ClientDuplex, PingTimeout, connect

KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SIZES = (0, 1, 125, 126, 127, 65535, 65536, 300_000)


def accepts(head: bytes) -> bytes:
    """The answer to this request for a socket."""
    key = next(line.split(b": ")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"sec-websocket-key"))
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
        b"sec-websocket-accept: " + base64.b64encode(hashlib.sha1(key + KEY).digest()) + b"\r\n\r\n"
    )


class Server:
    """One connection: what it sends is said beforehand, what it receives is kept."""

    def __init__(self, sends: list[bytes], answer: bytes = b"") -> None:
        self.sends = sends
        self.answer = answer
        self.received: list[tuple[Opcode, bytes]] = []
        self.closed = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        answer = self.answer or accepts(head)
        for part in (answer + self.sends[0], *self.sends[1:]) if self.sends else (answer,):
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(0)
        stream = Bytes()
        while (not self.received or self.received[-1][0] is not Opcode.CLOSE) and (data := await reader.read(65536)):
            stream.feed_data(data)
            self.keep(stream)
        writer.close()
        self.closed.set()

    def keep(self, stream: Bytes) -> None:
        while len(stream.buffer) >= 2:
            before = bytes(stream.buffer)
            parsing = Frame.parse(stream.read_exact, mask=True)
            try:
                next(parsing)
            except StopIteration as whole:
                self.received.append((whole.value.opcode, bytes(whole.value.data)))
            else:
                stream.buffer = bytearray(before)
                return


@contextlib.asynccontextmanager
async def serving(sends: list[bytes], answer: bytes = b"") -> AsyncIterator[tuple[Server, str]]:
    found = Server(sends, answer)
    server = await asyncio.start_server(found.serve, "127.0.0.1", 0)
    async with server:
        yield found, f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ari/events"


def text(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=False)


def cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


async def until_closed(duplex: ClientDuplex) -> list[bytes]:
    """What came until the other side ended the socket."""
    found = []
    with pytest.raises(ConnectionError) as ended:
        while True:
            found.append(await duplex.recv())
    assert not isinstance(ended.value, PingTimeout)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 17, 4096, 10**9])
async def test_messages_come_whole_and_in_order_however_they_are_cut(size: int) -> None:
    """Of every length, with pings among them and the first ones right behind the handshake; then the end."""
    messages = [os.urandom(length) for length in SIZES if length < 5000 * size]
    stream = b"".join(text(message) + text(b"?", Opcode.PING) for message in messages)
    stream += text((1000).to_bytes(2, "big"), Opcode.CLOSE)
    async with serving(cut(stream, size)) as (server, url):
        duplex = await connect(url, [])
        assert await until_closed(duplex) == messages
        await duplex.close()
        await server.closed.wait()
    answers = [opcode for opcode, _ in server.received if opcode is not Opcode.PING]
    assert answers == [Opcode.PONG] * len(messages) + [Opcode.CLOSE]


@pytest.mark.parametrize("size", [1, 5, 10**9])
async def test_fragments_are_put_together_and_nothing_overtakes_them(size: int) -> None:
    """A message in three frames with a ping in between, between two that are whole."""
    stream = (
        text(b"first") + text(b"a", fin=False) + text(b"?", Opcode.PING) + text(b"b", Opcode.CONT, fin=False)
        + text(b"c", Opcode.CONT) + text(b"last") + text((1000).to_bytes(2, "big"), Opcode.CLOSE)
    )  # fmt: skip
    async with serving(cut(stream, size)) as (_, url):
        duplex = await connect(url, [])
        assert await until_closed(duplex) == [b"first", b"abc", b"last"]
        await duplex.close()


async def test_what_was_received_before_a_mistake_still_counts() -> None:
    """A masked frame from a server ends the socket with 1002."""
    async with serving([text(b"good") + Frame(Opcode.TEXT, b"bad").serialize(mask=True)]) as (server, url):
        duplex = await connect(url, [])
        assert await until_closed(duplex) == [b"good"]
        await duplex.close()
        await server.closed.wait()
    assert server.received[-1][1][:2] == (1002).to_bytes(2, "big")


async def test_what_is_sent_arrives_masked_and_in_order() -> None:
    """Of every length; after the end it is a ConnectionError."""
    messages = [os.urandom(length) for length in SIZES]
    async with serving([]) as (server, url):
        duplex = await connect(url, [])
        for message in messages:
            await duplex.send(message)
        await duplex.close()
        await server.closed.wait()
        with pytest.raises(ConnectionError):
            await duplex.send(b"late")
    assert server.received == [*((Opcode.TEXT, message) for message in messages), (Opcode.CLOSE, b"\x03\xe8")]


@pytest.mark.parametrize("size", [1, 10**9])
async def test_a_refusal_is_told_with_its_status(size: int) -> None:
    """Also where it has a body, which is no frame."""
    refusal = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 4\r\n\r\n" + b"\x81\x02no"
    async with serving(cut(refusal, size)[1:], cut(refusal, size)[0]) as (_, url):
        with pytest.raises(websockets.exceptions.InvalidStatus) as refused:
            await connect(url, [])
    assert refused.value.response.status_code == 401


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pings every 20 ms; a silence of 200 ms is too long."""
    monkeypatch.setattr(websocket, "_PING_DELAY", 0.02)
    monkeypatch.setattr(websocket, "_LONGEST_SILENCE", 0.2)


@contextlib.asynccontextmanager
async def serving_by(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> AsyncIterator[str]:
    """After the handshake, what this does with the socket."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(accepts(await reader.readuntil(b"\r\n\r\n")))
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}/ari/events"


@pytest.mark.usefixtures("hasty")
async def test_events_are_a_sign_of_life_where_the_pong_is_far_behind_them() -> None:
    """Asterisk's answer to a ping comes after all that it has written before: a burst that takes long ends no socket."""
    burst = 100

    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number in range(burst):
            writer.write(text(str(number).encode()))
            await asyncio.sleep(0.01)  # five times the longest silence, in all
        writer.write(text((1000).to_bytes(2, "big"), Opcode.CLOSE))

    async with serving_by(serve) as url:
        duplex = await connect(url, [])
        assert await until_closed(duplex) == [str(number).encode() for number in range(burst)]
        await duplex.close()


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("written", [0, 64 * 1024 * 1024])
async def test_a_socket_whose_other_end_is_gone_without_a_word_ends(written: int) -> None:
    """Also where so much is written that no ping can be sent any more."""
    gone = asyncio.Event()

    async def serve(*_: object) -> None:
        await gone.wait()

    async with serving_by(serve) as url:
        duplex = await connect(url, [])
        sending = asyncio.create_task(duplex.send(b"x" * written))
        async with asyncio.timeout(10):
            with pytest.raises(PingTimeout):
                await duplex.recv()
        gone.set()
        await asyncio.gather(sending, return_exceptions=True)
        await duplex.close()
