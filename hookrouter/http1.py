"""One HTTP/1.1 connection, client side: a request at a time, its whole answer, and exactly what went wrong.

Rules:
- The parsing is llhttp's (httptools). What it refuses is a `RemoteProtocolError`; interim answers (1xx) are passed over.
- An answer is read up to a limit, counted as it arrives: head, chunk sizes and trailers count too. Then the connection
  is cut. Nothing is decompressed.
- A connection is used again only if the answer was complete, allows it, and not one byte came after it.
- An answer that comes after its time is nobody's: `late` is told, and the connection is closed.
Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import httptools
import httpx
import msgspec

_MOST_HEAD = 64 * 1024
_MOST_INTERIM = 16


class TooLarge(httpx.DecodingError):
    """The answer is longer than the limit, and the connection was cut. `status` is the answer's."""

    status: int = 0


class StaleConnection(httpx.ReadError):
    """A kept connection had been closed by the other side before a byte of the answer came: most likely nothing was read."""


class HttpReply(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. Header names are in lower case; of repeated ones the last counts."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str, default: str = "") -> str:
        return self.headers.get(name, default)


class Connection(asyncio.Protocol):
    """`origin`: which pool it belongs to. `idle_since`: when its last answer was complete, in the loop's time."""

    __slots__ = (
        "_alive",
        "_body",
        "_closed",
        "_done",
        "_headers",
        "_interim",
        "_late",
        "_limit",
        "_loop",
        "_on_closed",
        "_parser",
        "_read",
        "_size",
        "_stage",
        "_timer",
        "_transport",
        "answered",
        "idle_since",
        "origin",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, origin: object, on_closed: Callable[[Connection], None]) -> None:
        self._loop = loop
        self._on_closed = on_closed
        self._closed = False
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._done: asyncio.Future[HttpReply] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._late: Callable[[], None] | None = None
        self._stage = "idle"  # idle, waiting, head, body, whole; or watching: for a late answer
        self._alive = False
        self.answered = 0
        self.idle_since = 0.0
        self.origin = origin

    # ---- what the pool does

    @property
    def reusable(self) -> bool:
        return self._alive and not self._closed and self._stage == "idle"

    async def exchange(self, request: bytes, limit: int, timeout: float, late: Callable[[], bool] | None) -> HttpReply:
        """Sends `request` and reads the answer. See `Http.send` for what it raises.

        `late` is asked, when time is up, whether to keep listening; it is told of a late answer through `watch`.
        """
        assert self._transport is not None
        self._stage, self._alive = "waiting", False
        self._limit, self._read, self._interim = limit, 0, 0
        self._parser = httptools.HttpResponseParser(self)
        self._done = done = self._loop.create_future()
        self._timer = self._loop.call_later(timeout, self._expired, timeout, late)
        self._transport.write(request)
        try:
            return await done
        finally:
            self._timer.cancel()
            if self._stage == "whole" and self._alive:
                self._stage, self.idle_since = "idle", self._loop.time()
            elif self._stage != "watching":
                self.abort()

    def watch(self, seconds: float, late: Callable[[], None]) -> None:
        """Listens on for at most `seconds`, to tell `late` of a whole answer that came after its time."""
        self._late, self._stage = late, "watching"
        self._timer = self._loop.call_later(seconds, self.abort)

    def abort(self) -> None:
        """Cuts the connection without waiting for anything."""
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    # ---- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._alive = True

    def data_received(self, data: bytes) -> None:
        if self._stage in ("idle", "whole"):  # nobody asked
            self._alive = False
            self.abort()
            return
        self._read += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._alive = False
        except httptools.HttpParserError as error:
            self._alive = False
            self._fail(httpx.RemoteProtocolError(f"not HTTP: {error}"))
            return
        if self._stage in ("waiting", "head") and self._read > _MOST_HEAD + (self._interim and _MOST_HEAD):
            self._fail(httpx.RemoteProtocolError("the head of the answer does not end"))
        elif self._stage == "body" and self._read > 8 * self._limit + _MOST_HEAD:
            self._too_large(f"the answer has over {self._limit} bytes")

    def eof_received(self) -> bool:
        return False  # the transport closes itself; connection_lost says what it meant

    def connection_lost(self, error: Exception | None) -> None:
        self._closed = True
        self._alive = False
        if self._stage == "body" and self._until_eof and error is None:
            self._complete()
        elif self._done is not None and not self._done.done():
            words = str(error) if error else "the connection was closed before the answer was complete"
            stale = self._stage == "waiting" and self.answered and not self._interim
            self._fail(StaleConnection(words) if stale else httpx.ReadError(words))
        if self._timer is not None:
            self._timer.cancel()
        self._on_closed(self)

    # ---- what llhttp calls

    def on_message_begin(self) -> None:
        if self._stage == "whole":
            self._alive = False  # a second answer to one request
            return
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._size = 0
        if self._stage == "waiting":
            self._stage = "head"

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage in ("head", "watching"):
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._stage != "head" or 100 <= self._parser.get_status_code() < 200:
            return
        self._stage = "body"
        length = self._headers.get("content-length", "")
        if length and int(length) > self._limit:
            self._too_large(f"the answer has {length} bytes; at most {self._limit} are read")

    def on_body(self, data: bytes) -> None:
        if self._stage == "body":
            self._size += len(data)
            if self._size > self._limit:
                self._too_large(f"the answer has over {self._limit} bytes")
            else:
                self._body.append(data)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if 100 <= status < 200 and status != 101:
            self._interim += 1
            if self._stage == "head":
                self._stage = "waiting"
            if self._interim > _MOST_INTERIM:
                self._fail(httpx.RemoteProtocolError("nothing but interim answers"))
        elif self._stage == "watching":
            late, self._late = self._late, None
            if late is not None:
                late()
            self.abort()
        elif self._stage in ("head", "body"):
            self._alive = status != 101 and self._parser.should_keep_alive()
            self._complete()

    # ----

    @property
    def _until_eof(self) -> bool:
        return "content-length" not in self._headers and "chunked" not in self._headers.get("transfer-encoding", "")

    def _complete(self) -> None:
        self._stage = "whole"
        self.answered += 1
        if self._done is not None and not self._done.done():
            self._done.set_result(HttpReply(self._parser.get_status_code(), self._headers, b"".join(self._body)))

    def _too_large(self, words: str) -> None:
        error = TooLarge(words)
        error.status = self._parser.get_status_code()
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        if self._stage == "watching":
            self.abort()
            return
        self._stage, self._alive = "whole", False
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    def _expired(self, timeout: float, late: Callable[[], bool] | None) -> None:
        assert self._done is not None
        if not self._done.done():
            self._done.set_exception(httpx.ReadTimeout(f"no whole answer within {timeout:.3g} s"))
