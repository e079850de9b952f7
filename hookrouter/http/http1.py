"""One HTTP/1.1 connection, client side: a request at a time, its whole answer, and exactly what went wrong.

Rules:
- The parsing is llhttp's (httptools). A head that it refuses is mended where that is safe (mending.py), and the connection
  is then not used again; what cannot be mended is a `RemoteProtocolError` that says why.
- Interim answers (100, 102, 103) are passed over. Any other 1xx, and one of these with content, was meant as the answer:
  it is taken for that, so that nobody waits for another one until time is up.
- An answer is read up to a limit, counted as it arrives: head, chunk sizes and trailers count too. Then the connection
  is cut. Nothing is decompressed.
- A connection is used again only if the answer was complete, allows it, and not one byte came after it.
- When the time is up the connection stays open until its owner says `watch` (for a late answer) or `abort`.
Source: RFC 9112.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Literal

import httptools
import httpx
import msgspec

from hookrouter.http.mending import Unmendable, head_ends, mended
from hookrouter.http.trust import SPEAKS_TLS, closed_at_once, explain, speaks_tls

_INTERIM = (100, 102, 103)
_CONTENT = frozenset({"content-length", "transfer-encoding"})
_MOST_HEAD = 64 * 1024
_MOST_OVERHEAD = 8  # a body in chunks of one byte has six bytes for each


class TooLarge(httpx.ReadError):
    """The answer is longer than the limit, and the connection was cut. `status` is the answer's."""

    status: int = 0


class StaleConnection(httpx.ReadError):
    """A kept connection was closed by the other side before a byte of the answer: most likely nothing was read."""


class HttpReply(msgspec.Struct, frozen=True, gc=False):
    """A whole answer. Header names are in lower case; of repeated ones the last counts.

    `connect_seconds`: what the connection took, 0 for one that was kept; `first_byte_seconds`: from the sending on.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    connect_seconds: float = 0.0
    first_byte_seconds: float = 0.0

    def header(self, name: str, default: str = "") -> str:
        return self.headers.get(name, default)


class Connection(asyncio.Protocol):
    """`origin`: whose pool it belongs to. `idle_since`: when its last answer was complete, in the loop's time."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, origin: Hashable, on_closed: Callable[[Connection], None]
    ) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.connect_seconds = 0.0
        self._sent_at = self._first_byte_at = 0.0
        self._loop = loop
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._done: asyncio.Future[HttpReply] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._late: Callable[[], None] | None = None
        self._stage: Literal["idle", "waiting", "head", "body", "over"] = "idle"
        self._keep = False  # whether it may be used again
        self._used = False  # whether it has carried an answer before
        self._head = b""  # what has come of it
        self._text: bytearray | None = None  # the same, once it is being mended
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._limit = self._size = self._read = 0

    # ---- what its owner does

    @property
    def reusable(self) -> bool:
        return self._keep and self._stage == "idle"

    @property
    def quiet(self) -> bool:
        """Whether it is as its last answer left it: no byte and no end of the connection is waiting to be read."""
        return self.reusable and not self._poll(0)

    async def exchange(self, request: bytes, limit: int, timeout: float) -> HttpReply:
        """Sends `request` and reads the answer, up to `limit` bytes within `timeout` seconds.

        Raises ReadTimeout (the connection is then still open), ReadError, StaleConnection, RemoteProtocolError,
        TooLarge.
        """
        assert self._transport is not None
        self._stage, self._head, self._text = "waiting", b"", None
        self._limit, self._read = limit, 0
        self._sent_at = self._loop.time()
        self._parser = httptools.HttpResponseParser(self)
        self._done = done = self._loop.create_future()
        self._timer = self._loop.call_later(timeout, self._expired, timeout)
        self._transport.write(request)
        try:
            reply: HttpReply = await done
        except httpx.ReadTimeout:
            raise
        except BaseException:
            self.abort()
            raise
        self._timer.cancel()
        self._done, self._body = None, []
        if self._keep:
            self._stage, self.idle_since = "idle", self._loop.time()
        else:
            self.abort()
        return reply

    def watch(self, seconds: float, late: Callable[[], None]) -> None:
        """After a ReadTimeout: listens on for at most `seconds`, and calls `late` when the whole answer comes."""
        if self._stage == "over":
            late()
            self.abort()
            return
        self._late, self._body = late, []
        self._timer = self._loop.call_later(seconds, self.abort)

    def abort(self) -> None:
        """Cuts the connection without waiting for anything."""
        self._stage, self._keep = "over", False
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.abort()

    # ---- what asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._keep = True
        poll = select.poll()
        poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
        self._poll = poll.poll

    def data_received(self, data: bytes) -> None:
        if self._stage in ("idle", "over"):  # nobody asked
            self.abort()
            return
        if not self._read:
            self._first_byte_at = self._loop.time()
        self._read += len(data)
        if self._text is not None and self._stage != "body":
            self._mend(data)
        else:
            if self._stage != "body":
                self._head = self._head + data if self._head else data
            try:
                self._parser.feed_data(data)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
                self._not_http(error)
        if self._stage == "body":
            if self._read > self._limit * _MOST_OVERHEAD + _MOST_HEAD:
                self._too_large(f"the answer has over {self._limit} bytes")
        elif self._stage != "over" and self._read > _MOST_HEAD:
            self._fail(httpx.RemoteProtocolError("the head of the answer does not end"))

    def _not_http(self, error: Exception) -> None:
        if speaks_tls(self._head) and self._read == len(self._head):
            self._fail(httpx.RemoteProtocolError(SPEAKS_TLS))
        elif self._stage in ("waiting", "head") and self._text is None:
            self._text = bytearray()
            self._mend(self._head)
        else:
            self._fail(httpx.RemoteProtocolError(f"the answer is not HTTP: {error}"))

    def _mend(self, data: bytes) -> None:
        """Reads the head again, as more lenient clients do, once all of it is there."""
        text = self._text
        assert text is not None
        start = len(text)
        text += data
        if start and not head_ends(text, start):
            return
        try:
            found = mended(bytes(text))
            if found is None:
                return
            self._stage = "waiting"
            self._parser = httptools.HttpResponseParser(self)
            self._parser.feed_data(found)
        except (Unmendable, httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"the answer is not HTTP: {error}"))

    def connection_lost(self, error: Exception | None) -> None:
        if self._stage == "body" and error is None and self._ends_with_connection():
            self._complete()
        elif self._done is not None:
            words = explain(error, "the server") or self._closed_in_words(error)
            fresh = not self._used or self._stage != "waiting" or self._read
            self._fail(httpx.ReadError(words) if fresh else StaleConnection(words))
        self._stage, self._keep = "over", False
        if self._timer is not None:
            self._timer.cancel()
        self._on_closed(self)

    # ---- what llhttp calls

    def on_message_begin(self) -> None:
        if self._stage == "over":
            self._keep = False  # a second answer to one request
        else:
            self._stage, self._headers, self._body, self._size = "head", {}, [], 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage == "head":
            self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._stage != "head":
            return
        status = self._parser.get_status_code()
        if status in _INTERIM and not (_CONTENT & self._headers.keys()):
            return
        self._stage, self._head = "body", b""
        if status < 200:
            self._keep = False
            self._complete()
            return
        length = self._headers.get("content-length")
        if length is not None and int(length) > self._limit:
            self._too_large(f"the answer has {length} bytes; at most {self._limit} are read")

    def on_body(self, data: bytes) -> None:
        if self._stage == "body":
            self._size += len(data)
            if self._size > self._limit:
                self._too_large(f"the answer has over {self._limit} bytes")
            elif self._late is None:
                self._body.append(data)

    def on_message_complete(self) -> None:
        if self._stage == "body":
            self._keep = self._parser.should_keep_alive() and self._text is None
            self._complete()
        elif self._stage == "head":  # an interim answer
            self._stage = "waiting"

    # ----

    def _closed_in_words(self, error: Exception | None) -> str:
        if self._used or self._read or self._transport is None:
            return str(error) if error else "the connection was closed before the answer was complete"
        hint = closed_at_once(self._transport.get_extra_info("ssl_object") is not None)
        return f"{error}: {hint}" if error else hint

    def _ends_with_connection(self) -> bool:
        return "content-length" not in self._headers and "chunked" not in self._headers.get("transfer-encoding", "")

    def _complete(self) -> None:
        self._stage, self._used = "over", True
        assert self._done is not None
        if not self._done.done():
            status, body = self._parser.get_status_code(), b"".join(self._body)
            waited = self._first_byte_at - self._sent_at
            self._done.set_result(HttpReply(status, self._headers, body, self.connect_seconds, waited))
            self.connect_seconds = 0.0
        elif self._late is not None:
            self._late()
            self.abort()

    def _too_large(self, words: str) -> None:
        error = TooLarge(words)
        error.status = self._parser.get_status_code()
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._stage, self._keep = "over", False
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)
        elif self._late is not None:
            self.abort()

    def _expired(self, timeout: float) -> None:
        assert self._done is not None
        if not self._done.done():
            self._done.set_exception(httpx.ReadTimeout(f"no whole answer within {timeout:.3g} s"))
