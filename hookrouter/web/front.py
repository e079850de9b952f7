"""Connections at our own HTTP, and how much a stranger can make of one: uvicorn's protocols with bounds.

Rules:
- A head has `MAX_HEAD` bytes, `MAX_HEADERS` lines and `HEAD_SECONDS`, counted from the connection's start or its first byte.
- What is around a body (sizes of chunks, trailers) has a bound too; a body that nobody reads is dropped for a moment, so
  that the answer arrives, and then the connection is ended.
- Who does not read what they asked for is gone after `WRITE_SECONDS`.
- Connections have a cap, which leaves most descriptors to calls. Where it is reached the oldest one goes that has shown
  no token: strangers cannot keep out who has one.
- Of a socket that is not accepted yet nothing is read but its head.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from hookrouter.http.trust import refused_by_client
from hookrouter.web.guard import has_access
from hookrouter.web.problems import HEADERS
from hookrouter.web.secure import ENDED, Refused

MAX_HEAD = 64 * 1024
MAX_HEADERS = 200
HEAD_SECONDS = 10.0
WRITE_SECONDS = 30.0
MOST = 1000
_MOST_PIPELINED = 8
_MOST_OVERHEAD = 8  # a body in chunks of one byte has six bytes for each
_LINGER_SECONDS = 2.0
_LINGER_BYTES = 1024 * 1024
_CLOSE_SECONDS = 10.0
_AT_ONCE = 1.0


class Front:
    """What the connections of one server share. `most`: of them at a time."""

    def __init__(self, most: int, refused: Refused) -> None:
        self.most = most
        self.refused = refused
        self.open: dict[Connection, None] = {}  # the one that asked for something last is the last

    @property
    def protocol(self) -> Any:
        """What uvicorn makes a connection of."""
        return partial(Connection, self)

    def admit(self, connection: Connection) -> bool:
        """Whether it may stay; another one may have to go for it."""
        if len(self.open) >= self.most:
            for other in self.open:
                if not other.proven:
                    other.cut("too_many_connections")
                    break
            else:
                self.refused("too_many_connections", connection.address)
                return False
        self.open[connection] = None
        return True

    def touch(self, connection: Connection) -> None:
        if connection in self.open:
            del self.open[connection]
            self.open[connection] = None

    def end(self) -> None:
        """Cuts what is left."""
        for connection in list(self.open):
            connection.transport.abort()


class _Refusal(Exception):
    """Ends the parsing of a request."""

    def __init__(self, status: int, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail = status, reason, detail


class Connection(HttpToolsProtocol):
    """One connection, until it ends or becomes a WebSocket."""

    def __init__(self, front: Front, **named: Any) -> None:
        super().__init__(**named)
        self._front = front
        self._in_head = False
        self._sized = self._lines = 0  # what the head's parts came to
        self._head = self._body = self._around = self._dropped = 0
        self._refusal: _Refusal | None = None
        self._over = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._first = True
        self._made_at = 0.0

    @property
    def address(self) -> str:
        return self.client[0] if self.client else ""

    @property
    def proven(self) -> bool:
        """Whether what it asks for now was opened by a token or a session."""
        return self.cycle is not None and not self.cycle.response_complete and has_access(self.cycle.scope)

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def cut(self, reason: str) -> None:
        """Ends it now."""
        self._front.refused(reason, self.address)
        self._front.open.pop(self, None)
        self.transport.abort()

    # ---- what asyncio calls

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._made_at = self.loop.time()
        if self._front.admit(self):
            self._after("head", HEAD_SECONDS, self._head_is_late)
        else:
            self._refuse(503, "Too many connections", "try again in a moment")

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._front.open.pop(self, None)
        if self._first and self.scheme == "https" and self.loop.time() - self._made_at < _AT_ONCE:
            words = refused_by_client(exc) if isinstance(exc, ssl.SSLError) else ENDED
            self._front.refused("tls_handshake_failed", self.address, words)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._over:
            self._drop(len(data))
            return
        self._unset_keepalive_if_required()
        body, behind_head = self._body, not self._in_head and (not self._idle or self._unread)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self._bad(data)
            return
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
                return
        self._first = False
        if self._in_head:
            self._head += len(data)
            if self._head > MAX_HEAD:
                self._refuse_told(_Refusal(431, "head_too_large", f"a head has at most {MAX_HEAD} bytes"))
                return
        elif behind_head:
            self._around += len(data) - (self._body - body)
            if self._around > MAX_HEAD + self._body * _MOST_OVERHEAD:
                self._refuse_told(_Refusal(400, "body_of_nothing", "too much is around the body"))
                return
            if self._idle:
                self._drop(len(data))
        if (self._in_head or self._idle) and not self._unread:
            self._after("head", HEAD_SECONDS, self._head_is_late)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._after("write", WRITE_SECONDS, lambda: self.cut("reader_too_slow"))

    def resume_writing(self) -> None:
        self._stop("write")
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._closing()

    def shutdown(self) -> None:
        super().shutdown()
        self._closing()

    def handle_websocket_upgrade(self) -> None:
        self._stop("head")
        self._front.open.pop(self, None)
        super().handle_websocket_upgrade()

    # ---- what the parser calls

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._sized = self._lines = self._head = self._body = self._around = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:  # a trailer: nobody asked for it
            return
        self._lines += 1
        self._count(len(name) + len(value) + 4)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop("head")
        if not self.url.startswith(b"/"):
            raise self._keep(400, "not_a_path", "the request is not for a path of this server")
        if len(self.pipeline) >= _MOST_PIPELINED:
            raise self._keep(400, "too_many_pipelined", f"at most {_MOST_PIPELINED} requests may wait for their turn")
        self._front.touch(self)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        super().on_body(body)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.transport.is_closing():
            self._closing()
        elif self._unread:
            self._dropped = 0
            self._after("linger", _LINGER_SECONDS, self._close)

    def on_message_complete(self) -> None:
        self._stop("linger")
        if self.cycle is not None:
            self.cycle.more_body = False
        super().on_message_complete()

    # ----

    @property
    def _unread(self) -> bool:
        """Whether a request was answered whose body has not ended."""
        return self.cycle is not None and self.cycle.response_complete and self.cycle.more_body

    def _count(self, size: int) -> None:
        """Raises _Refusal where the head grows too large."""
        self._sized += size
        if self._sized > MAX_HEAD or self._lines > MAX_HEADERS:
            raise self._keep(431, "head_too_large", f"a head has at most {MAX_HEAD} bytes and {MAX_HEADERS} headers")

    def _keep(self, status: int, reason: str, detail: str) -> _Refusal:
        self._refusal = _Refusal(status, reason, detail)
        return self._refusal

    def _after(self, name: str, seconds: float, then: Callable[[], None]) -> None:
        if name not in self._timers and not self.transport.is_closing():
            self._timers[name] = self.loop.call_later(seconds, then)

    def _stop(self, name: str) -> None:
        timer = self._timers.pop(name, None)
        if timer is not None:
            timer.cancel()

    def _head_is_late(self) -> None:
        if not self._in_head and self._idle:  # it was only open
            self._close()
            return
        self._refuse_told(_Refusal(408, "head_too_slow", f"a head has to come within {HEAD_SECONDS:g} s"))

    def _bad(self, data: bytes) -> None:
        refusal = self._refusal
        if refusal is None:
            tls = self._first and data[:1] == b"\x16" and self.scheme == "http"
            words = "this port speaks plain HTTP, not TLS" if tls else "this is no HTTP request"
            refusal = _Refusal(400, "tls_on_a_plain_port" if tls else "not_http", words)
        self._refuse_told(refusal)

    def _refuse_told(self, refusal: _Refusal) -> None:
        self._front.refused(refusal.reason, self.address)
        self._refuse(refusal.status, "Refused", refusal.detail)

    def _refuse(self, status: int, title: str, detail: str) -> None:
        """Answers, if nothing else is being answered, drops what still comes for a moment, and ends."""
        self._over = True
        for name in list(self._timers):
            self._stop(name)
        if not self._idle:
            self.transport.abort()
            return
        body = json.dumps({"type": "about:blank", "title": title, "status": status, "detail": detail}).encode()
        headers = HEADERS | {
            "content-type": "application/problem+json",
            "content-length": str(len(body)),
            "connection": "close",
        }
        lines = [f"{name}: {value}\r\n".encode() for name, value in headers.items()]
        self.transport.write(b"".join([STATUS_LINE[status], *lines, b"\r\n", body]))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._after("linger", _LINGER_SECONDS, self._close)

    def _drop(self, size: int) -> None:
        self._dropped += size
        if self._dropped > _LINGER_BYTES:
            self._close()

    def _close(self) -> None:
        self.transport.close()
        self._closing()

    def _closing(self) -> None:
        """It closes when all is written; who never reads it does not keep it open."""
        if "closing" not in self._timers:
            self._timers["closing"] = self.loop.call_later(_CLOSE_SECONDS, self.transport.abort)


class Socket(WebSocketsSansIOProtocol):
    """A WebSocket; nothing is read behind its head before it is accepted."""

    def handle_connect(self, event: Any) -> None:
        super().handle_connect(event)
        if not self.transport.is_closing():
            self.read_paused = True
            self.transport.pause_reading()

    async def receive(self) -> Any:
        if self.handshake_complete:
            return await super().receive()
        return await self.queue.get()

    async def send(self, message: Any) -> None:
        if not self.handshake_complete and self.conn.eof_sent:
            return  # it was answered already, as the server stops
        await super().send(message)
        if message["type"] == "websocket.accept" and self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()


__all__ = ["MOST", "Connection", "Front", "Socket"]
