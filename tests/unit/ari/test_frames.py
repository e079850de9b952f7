"""Messages out of a stream that is cut anywhere: with no socket, a transport that only writes down."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.client import ClientProtocol
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Close, Frame, Opcode
from websockets.uri import parse_uri

from hookrouter.ari.frames import Connection

KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Wire(asyncio.Transport):
    """What was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """It is never full by itself."""

    def pause_reading(self) -> None:
        """It does not read."""

    resume_reading = pause_reading

    def is_closing(self) -> bool:
        return False

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        """The other end does, when it is told."""

    def abort(self) -> None:
        """As `close`."""


class Socket:
    """A connection and its wire."""

    def __init__(self) -> None:
        uri = parse_uri("ws://127.0.0.1/ari/events")
        self.connection = Connection(ClientProtocol(uri, max_size=None), ping_interval=None, close_timeout=None)
        self.wire = Wire()
        self.connection.connection_made(self.wire)

    async def greet(self, after: bytes = b"", *, size: int = 1 << 20, status: bytes = b"") -> None:
        """The handshake; `after` comes with its reply, all of it in pieces of `size`."""
        hands = asyncio.ensure_future(self.connection.handshake())
        await asyncio.sleep(0)
        asked = re.search(rb"Sec-WebSocket-Key: (\S+)", self.wire.written)
        assert asked
        accept = base64.b64encode(hashlib.sha1(asked[1] + KEY).digest())
        yes = b"101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept
        self.wire.written = b""
        self.comes(b"HTTP/1.1 " + (status or yes) + b"\r\n\r\n" + after, size)
        await hands

    def comes(self, data: bytes, size: int = 1 << 20) -> None:
        for at in range(0, len(data), size):
            self.connection.data_received(data[at : at + size])

    def ends(self) -> None:
        self.connection.connection_lost(None)


def text(data: bytes, opcode: Opcode = Opcode.TEXT, *, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=False)


MESSAGES = st.lists(st.sampled_from([0, 1, 125, 126, 127, 300, 65535, 65536]).map(lambda size: b"x" * size), max_size=6)


@settings(max_examples=60, deadline=None)
@given(MESSAGES, st.sampled_from([1, 2, 3, 7, 130, 70_000]), st.lists(st.integers(0, 6)), st.booleans())
def test_however_it_is_cut_every_message_comes_once_and_in_order(
    messages: list[bytes], size: int, pings: list[int], fragments: bool
) -> None:
    """Pings between them are answered; from the first fragmented message on the library takes over."""
    size = size if sum(map(len, messages)) < 10_000 or size > 100 else 130

    async def run() -> None:
        socket = Socket()
        stream = b"".join(text(b"p", Opcode.PING) * pings.count(at) + text(data) for at, data in enumerate(messages))
        whole = list(messages)
        if fragments:
            stream += text(b"a", fin=False) + text(b"b", Opcode.CONT) + text(b"after")
            whole += [b"ab", b"after"]
        await socket.greet(stream, size=size)
        assert [bytes(await socket.connection.receive()) for _ in whole] == whole
        answered = sum(pings.count(at) for at in range(len(messages)))
        assert socket.wire.written.count(bytes([0x80 | Opcode.PONG])) >= answered
        socket.ends()

    asyncio.run(run())


async def test_who_waits_gets_the_message_that_comes() -> None:
    """Also when it comes in two pieces, and when somebody gave up waiting before."""
    socket = Socket()
    await socket.greet()
    gave_up = asyncio.ensure_future(socket.connection.receive())
    await asyncio.sleep(0)
    gave_up.cancel()
    await asyncio.gather(gave_up, return_exceptions=True)
    data = text(b"hello")
    socket.comes(data[:3])
    waiting = asyncio.ensure_future(socket.connection.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    socket.comes(data[3:])
    assert await waiting == b"hello"
    socket.ends()


async def test_what_came_before_the_end_is_received_and_then_the_end() -> None:
    """Whether the other side said goodbye or not."""
    for goodbye in (text(Close(1000, "").serialize(), Opcode.CLOSE), b""):
        socket = Socket()
        await socket.greet(text(b"last") + goodbye)
        socket.ends()
        assert await socket.connection.receive() == b"last"
        with pytest.raises(ConnectionClosed):
            await socket.connection.receive()


async def test_who_waits_when_it_ends_is_told() -> None:
    """Nobody waits for ever."""
    socket = Socket()
    await socket.greet()
    waiting = asyncio.ensure_future(socket.connection.receive())
    await asyncio.sleep(0)
    socket.ends()
    with pytest.raises(ConnectionClosed):
        await waiting


async def test_a_message_is_one_frame_until_the_wire_is_full() -> None:
    """Then it waits its turn, and nothing overtakes it."""
    socket = Socket()
    await socket.greet()
    await socket.connection.post(b"one")
    first = len(socket.wire.written)
    assert first == 2 + 4 + 3  # masked, as a client's is
    socket.connection.pause_writing()
    posting = asyncio.ensure_future(socket.connection.post(b"two"))
    await asyncio.sleep(0)
    assert not posting.done()
    socket.connection.resume_writing()
    await posting
    assert len(socket.wire.written) == 2 * first
    await socket.connection.post(b"six")
    assert len(socket.wire.written) == 3 * first
    socket.ends()
    with pytest.raises(ConnectionClosed):
        await socket.connection.post(b"end")


@pytest.mark.parametrize("bad", [b"\x83\x00", b"\x81\x83aaaa...", b"\xff\x00"])
async def test_a_mistake_of_the_other_side_ends_the_connection(bad: bytes) -> None:
    """A frame of no kind, one that is masked: what came before is received, what comes after is not."""
    socket = Socket()
    await socket.greet(text(b"good") + bad + text(b"late"))
    assert await socket.connection.receive() == b"good"
    socket.ends()
    with pytest.raises(ConnectionClosed):
        await socket.connection.receive()


async def test_a_refusal_of_the_handshake_is_told_as_what_it_is() -> None:
    """Status and body: the wrong password, or no such place."""
    socket = Socket()
    with pytest.raises(InvalidStatus) as refused:
        await socket.greet(b"no", status=b"401 Unauthorized\r\nContent-Length: 2")
    assert refused.value.response.status_code == 401
    assert refused.value.response.body == b"no"
    socket.ends()


async def test_a_reply_to_the_handshake_without_an_end_is_not_read_for_ever() -> None:
    """64 KiB of a head are no head: the connection fails instead of filling the memory."""
    socket = Socket()
    hands = asyncio.ensure_future(socket.connection.handshake())
    await asyncio.sleep(0)
    socket.comes(b"HTTP/1.1 101 X\r\nX: " + b"x" * (64 * 1024 + 1))
    socket.ends()
    with pytest.raises(Exception, match="did not receive a valid HTTP response"):
        await hands
