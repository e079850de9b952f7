"""One event socket, whichever side opened it: events to a callback, REST over the same socket.

Rules:
- The reader waits for nothing but the socket; an end of the socket, clean or not, is a loss, and every request without a
  reply is then of unknown fate.
- We ping, Asterisk does not: a socket whose other end is gone without a word ends within 8 s.
Source: Asterisk's res_http_websocket, res_ari.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

import msgspec
import websockets.asyncio.client
import websockets.exceptions

from hookrouter import __version__
from hookrouter.ari.events import Head
from hookrouter.ari.frames import Connection
from hookrouter.ari.operations import HttpRequest
from hookrouter.ari.protocol import RestResponse, decode_message, encode_request
from hookrouter.errors import AriFateUnknown, AriUnreachable
from hookrouter.http.trust import SYSTEM, Trust, client_context


class Duplex(Protocol):
    """A stream of text messages. `recv` raises ConnectionError when it has ended."""

    async def recv(self) -> bytes: ...
    async def send(self, data: bytes) -> None: ...
    async def close(self) -> None: ...


class PingTimeout(ConnectionError):
    """Nothing comes, not even answers to pings: the other end is gone, and nobody told us."""


_PING_DELAY = 2.0
_LONGEST_SILENCE = 8.0


async def connect(
    url: str,
    headers: list[tuple[str, str]],
    trust: Trust = SYSTEM,
    open_timeout: float = 5.0,
    ping_delay: float | None = None,
) -> ClientDuplex:
    """Opens a socket to Asterisk. Raises OSError, TimeoutError or websockets' exceptions (InvalidStatus: refused)."""
    connection = await websockets.asyncio.client.connect(
        url,
        create_connection=Connection,
        additional_headers=headers,
        user_agent_header=f"hookrouter/{__version__}",
        ssl=client_context(trust) if url.startswith("wss:") else None,
        compression=None,
        max_queue=None,  # events wait in our memory, never in Asterisk's: it drops who reads too slowly
        max_size=None,
        proxy=None,
        open_timeout=open_timeout,
        ping_interval=_PING_DELAY if ping_delay is None else ping_delay,
        ping_timeout=_LONGEST_SILENCE,
        close_timeout=1,
    )
    assert isinstance(connection, Connection)
    return ClientDuplex(connection)


class ClientDuplex:
    """A connection as a Duplex: bytes in and out, every end a ConnectionError."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @property
    def quiet(self) -> float:
        """Seconds in which nothing has come, as far as pings tell: 0 until one has got no answer before the next."""
        return self._connection.quiet

    async def recv(self) -> bytes:
        """The next message. Raises ConnectionError (PingTimeout) when the socket has ended."""
        try:
            return await self._connection.receive()
        except websockets.exceptions.ConnectionClosed as error:
            raise _ended(error) from None

    async def send(self, data: bytes) -> None:
        """Sends one text message. Raises ConnectionError when the socket has ended."""
        try:
            await self._connection.post(data)
        except websockets.exceptions.ConnectionClosed as error:
            raise _ended(error) from None

    async def close(self) -> None:
        await self._connection.close()


def _ended(error: websockets.exceptions.ConnectionClosed) -> ConnectionError:
    """Only a silence makes this side close with 1011 (no message of ours can be too big or wrong)."""
    if error.sent is not None and error.sent.code == 1011 and not error.rcvd_then_sent:
        return PingTimeout(f"nothing came for {_LONGEST_SILENCE:g} s, not even the answer to a ping")
    return ConnectionError(str(error))


class Link:
    """One socket's life. `run` reads until it ends; `ask` sends a request and waits for its reply."""

    def __init__(
        self, duplex: Duplex, on_event: Callable[[bytes, Head], None], on_garbage: Callable[[bytes], None]
    ) -> None:
        self._duplex = duplex
        self._on_event = on_event
        self._on_garbage = on_garbage
        self._pending: dict[str, asyncio.Future[RestResponse]] = {}
        self._count = 0
        self._reader: asyncio.Task[Any] | None = None
        self.open = True

    async def run(self) -> tuple[str, str]:
        """Reads until the socket ends; why it ended, as AriLost has it. `close` cancels it."""
        recv, pending = self._duplex.recv, self._pending
        self._reader = asyncio.current_task()
        try:
            while True:
                raw = await recv()
                try:
                    message = decode_message(raw)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                    self._on_garbage(raw)
                    continue
                if isinstance(message, RestResponse):
                    future = pending.pop(message.request_id, None)
                    if future is not None and not future.done():
                        future.set_result(message)
                elif self.open:
                    self._on_event(raw, message)
        except PingTimeout as error:
            return "ping_timeout", str(error)
        except ConnectionError as error:
            return "closed", str(error)
        finally:
            self._end()

    def _end(self) -> None:
        self.open = False
        for future in self._pending.values():
            if not future.done():
                future.set_exception(AriFateUnknown("the socket ended before the reply came"))
        self._pending.clear()

    async def ask(self, request: HttpRequest, timeout: float) -> RestResponse:
        """The reply. Raises AriUnreachable where nothing was sent, AriFateUnknown where no reply came in time."""
        if not self.open:
            raise AriUnreachable("the socket is closed")
        self._count += 1
        id = str(self._count)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[RestResponse] = loop.create_future()
        self._pending[id] = future
        timer = loop.call_later(timeout, self._expire, id, timeout)
        try:
            await self._duplex.send(encode_request(id, request.method, request.target, request.body))
            return await future
        except ConnectionError:
            raise AriFateUnknown("the socket ended while the request was sent") from None
        finally:
            timer.cancel()
            self._pending.pop(id, None)
            if future.done() and not future.cancelled():
                future.exception()  # seen, whoever raised first

    def _expire(self, id: str, timeout: float) -> None:
        future = self._pending.pop(id, None)
        if future is not None and not future.done():
            future.set_exception(AriFateUnknown(f"no reply within {timeout:g} s"))

    async def close(self) -> None:
        """Ends it now, also where the other end is gone and would never agree to it."""
        self._end()
        if self._reader is not None and self._reader is not asyncio.current_task():
            self._reader.cancel()
        await self._duplex.close()
