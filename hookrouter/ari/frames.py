"""The websockets library's client connection, with a short cut for what nearly every byte of ours is: whole messages.

Rules:
- A message that is one frame is taken out of the stream here, and put into it here. Everything else (the handshake,
  pings, fragments, the end, mistakes) is the library's, which gets it frame by frame.
- From the first fragment (or mistake) on, all that comes is the library's, so that nothing overtakes it.
- Whatever comes is a sign of life. To the library only a pong is one, which in a burst is behind all that was written
  before it; and it pings no more when the other side takes nothing.
Source: RFC 6455, 5.2.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import Any

import websockets.exceptions
from websockets.asyncio.client import ClientConnection
from websockets.frames import CloseCode, Frame, Opcode
from websockets.protocol import State

from hookrouter.http.trust import closed_at_once, speaks_tls

_TEXT = 0x81  # the first byte of a text message that is one frame
_WHOLE = (_TEXT, 0x88, 0x89, 0x8A)  # and of close, ping and pong
_MOST_HEAD = 64 * 1024
_PING = Frame(Opcode.PING, b"")


class TlsSpoken(ConnectionError):
    """We asked in plain text, and the answer is TLS."""


class Connection(ClientConnection):
    """`receive` and `post` in place of `recv` and `send`."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._messages: deque[bytes] = deque()
        self._arrived: asyncio.Future[None] | None = None
        self._left = bytearray()  # the beginning of a frame, or of the handshake's reply
        self._greeted = False
        self._by_library = False  # whether all that comes is the library's
        self._full = False
        self._tls_spoken = self._heard = False
        self._lost_by: Exception | None = None
        self._silent = 0  # pings since anything came

    async def handshake(self, *arguments: Any, **named: Any) -> None:
        """The library's; what TLS has against it is told as such. Raises TlsSpoken, ssl.SSLError beside its own."""
        try:
            await super().handshake(*arguments, **named)
        except websockets.exceptions.WebSocketException:
            if self._tls_spoken:
                raise TlsSpoken from None
            if isinstance(self._lost_by, ssl.SSLError):
                raise self._lost_by from None
            if not self._heard:
                raise ConnectionError(closed_at_once(self.transport.get_extra_info("ssl_object") is not None)) from None
            raise

    @property
    def quiet(self) -> float:
        """Seconds in which nothing has come, counted in pings; 0 until one had no answer when the next was sent."""
        return self._silent * (self.ping_interval or 0.0) if self._silent > 1 else 0.0

    async def receive(self) -> bytes:
        """The next text message. Raises ConnectionClosed."""
        while not self._messages:
            if self._by_library:
                return await self.recv(decode=False)
            self._arrived = self.loop.create_future()
            await self._arrived
        return self._messages.popleft()

    async def post(self, data: bytes) -> None:
        """Sends a text message. Raises ConnectionClosed."""
        if self._full or self.state is not State.OPEN:
            await self.send(data, text=True)
        else:
            self.transport.write(Frame(Opcode.TEXT, data).serialize(mask=True))

    async def keepalive(self) -> None:
        """Pings until the socket ends. Ends it, with 1011, when nothing at all has come for `ping_timeout`; also where
        it was closed and the other side leaves it open for longer than `close_timeout`."""
        assert self.ping_interval is not None
        assert self.ping_timeout is not None
        while self._silent * self.ping_interval < self.ping_timeout:
            await asyncio.sleep(self.ping_interval)
            if self.state is not State.OPEN:
                await asyncio.sleep(self.close_timeout or 0.0)
                break
            self._silent += 1
            self.transport.write(_PING.serialize(mask=True))
        else:
            self.protocol.fail(CloseCode.INTERNAL_ERROR, "keepalive ping timeout")
        self.transport.abort()

    # ---- what asyncio calls

    def data_received(self, data: bytes) -> None:
        self._silent = 0
        if self._by_library:
            super().data_received(data)
            return
        buffer: bytes | bytearray = data
        if self._left:
            self._left += data
            buffer = self._left
        used = self._take_frames(buffer) if self._greeted else self._greet(buffer)
        if buffer is self._left:
            del self._left[:used]
        elif used < len(data):
            self._left += data[used:]
        if self._messages or self._by_library:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost_by = exc
        super().connection_lost(exc)
        self._by_library = True  # which knows why
        self._wake()

    def pause_writing(self) -> None:
        self._full = True
        super().pause_writing()

    def resume_writing(self) -> None:
        self._full = False
        super().resume_writing()

    # ----

    def _wake(self) -> None:
        if self._arrived is not None and not self._arrived.done():
            self._arrived.set_result(None)

    def _greet(self, buffer: bytes | bytearray) -> int:
        """The handshake's reply goes to the library; what follows it are frames, if it was a yes. Bytes used."""
        self._heard, self._tls_spoken = True, speaks_tls(buffer)
        end = buffer.find(b"\r\n\r\n") + 4
        if end < 4:
            if len(buffer) < _MOST_HEAD:
                return 0
            end = len(buffer)
        super().data_received(bytes(buffer[:end]))
        self._greeted = True
        if self.state is State.OPEN:
            return end + self._take_frames(buffer[end:])
        self._by_library = True
        super().data_received(bytes(buffer[end:]))
        return len(buffer)

    def _take_frames(self, buffer: bytes | bytearray) -> int:
        """Every whole frame in it; how many bytes they were."""
        start, size = 0, len(buffer)
        while size - start >= 2:
            first, length = buffer[start], buffer[start + 1]
            if first not in _WHOLE or length > 127:
                self._by_library = True
                super().data_received(bytes(buffer[start:]))
                return size
            head = start + (2 if length < 126 else 4 if length == 126 else 10)
            if head > size:
                break
            if length > 125:
                length = int.from_bytes(buffer[start + 2 : head], "big")
            end = head + length
            if end > size:
                break
            if first == _TEXT:
                self._messages.append(bytes(buffer[head:end]))
            else:
                super().data_received(bytes(buffer[start:end]))
            start = end
        return start
