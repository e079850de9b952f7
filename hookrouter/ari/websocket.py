"""One event socket, whichever side opened it: events to a callback, REST over the same socket.

Rules: the reader waits for nothing but the socket; an end of the socket, clean or not, is a loss, and every request
without a reply is then of unknown fate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import msgspec

from hookrouter.ari.events import Head
from hookrouter.ari.operations import HttpRequest
from hookrouter.ari.protocol import RestResponse, decode_message, encode_request
from hookrouter.errors import AriFateUnknown, AriUnreachable


class Duplex(Protocol):
    """A stream of text messages. `recv` raises ConnectionError when it has ended."""

    async def recv(self) -> bytes: ...
    async def send(self, data: bytes) -> None: ...
    async def close(self) -> None: ...


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
        self.open = True

    async def run(self) -> str:
        """Reads until the socket ends; why it ended."""
        recv, pending = self._duplex.recv, self._pending
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
        except ConnectionError as error:
            return str(error)
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
        self.open = False
        await self._duplex.close()
