"""The one module that knows an HTTP client: requests go out here, and what went wrong comes back as httpx's exceptions.

Rules:
- httpx's types are the interface; any `httpx.AsyncBaseTransport` will do (tests hand in `MockTransport`). By default
  requests go over kept connections of our own (`http1.py`), a quarter of what aiohttp costs (benchmarks/post.py).
- `ConnectError`, `ConnectTimeout` and `LocalProtocolError` mean that nothing was sent. `ReadError`, `ReadTimeout` and
  `RemoteProtocolError` mean that the request may have been received, and acted on. Nothing is sent again here.
- No redirects, no cookies, no proxies from the environment, no decompression: an answer has as many bytes as it says.
- The whole answer is read within `timeout`, however slowly it drips, and never more of it than `limit`.
- Every origin has its own connections; one that hangs takes none from another. Idle ones are closed after 4 s, before
  servers do it (Node, uvicorn and Apache wait 5 s): a request meets a closed connection only by a rare race.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import deque
from collections.abc import Callable, Collection
from functools import lru_cache
from urllib.parse import urlsplit

import httpx
import msgspec

from hookrouter.http.dialing import Addresses, first_of
from hookrouter.http.http1 import Connection, HttpReply, StaleConnection, TooLarge
from hookrouter.http.streaming import Download, download
from hookrouter.http.trust import SYSTEM, Trust, client_context, explain, no_connection
from hookrouter.text.urls import sent_host, sent_target, shown_url

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)
"""Failures after which the request may be sent again, whatever it is."""

LATE_SECONDS = 15.0
MOST_WATCHED = 64
_NAME_SECONDS = 10.0  # how long a host's addresses are believed
_SWEEP_DELAY = 1.0
_CLOSED = "{origin.host}:{origin.port} closed the connection at once"
_MOST_DOWNLOADS = 16

Headers = Collection[tuple[str, str]]


class Origin(msgspec.Struct, frozen=True, gc=False):
    """Where connections go. `literal`: the host is an address and needs no name server."""

    host: str
    port: int
    tls: bool
    literal: bool
    trust: Trust = SYSTEM


@lru_cache(maxsize=4096)
def _target(url: str, trust: Trust = SYSTEM) -> tuple[Origin, str, str]:
    """The origin, the request target, and the header lines that follow from the URL. Raises UnsupportedProtocol."""
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("ascii" if (parts.hostname or "").isascii() else "idna").decode()
    except ValueError as error:
        raise httpx.UnsupportedProtocol(f"`{shown_url(url)}`: {error}") from None
    if "@" in parts.netloc:
        raise httpx.UnsupportedProtocol(f"the URL of {parts.hostname} has a password in it: put it into `auth`")
    if parts.scheme not in ("http", "https") or not host:
        raise httpx.UnsupportedProtocol(f"`{shown_url(url)}` is not an http:// or https:// URL")
    tls = parts.scheme == "https"
    try:
        literal = bool(ipaddress.ip_address(host))
    except ValueError:
        literal = False
    path, query = sent_target(parts)
    target = f"{path}?{query}" if query else path
    return Origin(host, port or (443 if tls else 80), tls, literal, trust), target, f"host: {sent_host(parts)}\r\n"


def _request(method: str, target: str, host: str, headers: Headers, body: bytes) -> bytes:
    """The request's bytes. Raises LocalProtocolError for a header that would break out of its line."""
    lines = "\r\n".join([*map(": ".join, headers), ""]).encode()
    if len(lines.splitlines()) != len(headers) or b"\0" in lines:
        raise httpx.LocalProtocolError("a header with a line break in it was not sent")
    length = f"content-length: {len(body)}\r\n" if body or method in ("POST", "PUT") else ""
    return b"%s%s%s\r\n%s" % (f"{method} {target} HTTP/1.1\r\n{host}".encode(), lines, length.encode(), body)


class Http:
    """Connections to anywhere, kept alive. Create it inside the running loop; close it in the end.

    `per_host`: most connections to one origin, 0 for no limit; who finds none free waits for one, within its timeout.
    `downloads`: how many go on at a time.
    """

    def __init__(
        self,
        *,
        per_host: int = 0,
        keepalive_timeout: float = 4.0,
        connect_timeout: float = 5.0,
        downloads: int = _MOST_DOWNLOADS,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._per_host = per_host
        self._most_downloads = downloads
        self._keepalive = keepalive_timeout
        self._connect_timeout = connect_timeout
        self._idle: dict[Origin, list[Connection]] = {}
        self._open: dict[Origin, int] = {}
        self._waiting: dict[Origin, deque[asyncio.Future[None]]] = {}
        self._connections: set[Connection] = set()
        self._watched: set[Connection] = set()
        self._addresses = Addresses()
        self._names: dict[str, tuple[float, asyncio.Task[list[str]]]] = {}
        self._downloads: dict[Trust, httpx.AsyncHTTPTransport] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._closing = False

    @property
    def open_connections(self) -> int:
        return len(self._connections)

    async def close(self) -> None:
        """Cuts every connection; requests in flight fail."""
        self._closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._connections):
            connection.abort()
        while self._connections:
            await asyncio.sleep(0)
        names = [task for _, task in self._names.values()]
        for task in names:
            task.cancel()
        await asyncio.gather(*names, return_exceptions=True)
        for transport in (self._transport, *self._downloads.values()):
            if transport is not None:
                await transport.aclose()

    async def send(
        self,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        *,
        timeout: float,
        limit: int,
        late: Callable[[], None] | None = None,
        trust: Trust = SYSTEM,
    ) -> HttpReply:
        """One request, its whole answer. `timeout` in seconds covers all of it. Raises httpx.TransportError, TooLarge.

        `late` is called if a whole answer comes within `LATE_SECONDS` after the timeout (as far as `MOST_WATCHED`
        connections can tell). `trust`: whom to believe by TLS, and what to show.
        """
        if self._transport is not None:
            return await self._send_httpx(self._transport, method, url, headers, body, timeout, limit)
        origin, target, host = _target(url, trust)
        request = _request(method, target, host, headers, body)
        connection = self._take_idle(origin)
        if connection is None:
            begun = self._loop.time()
            until = begun + timeout
            connection = await self._connect(origin, until)
            now = self._loop.time()
            connection.connect_seconds, timeout = now - begun, until - now
        try:
            reply = await connection.exchange(request, limit, timeout)
        except httpx.ReadTimeout:
            if late is not None and len(self._watched) < MOST_WATCHED and not self._closing:
                self._watched.add(connection)
                connection.watch(LATE_SECONDS, late)
            else:
                connection.abort()
            raise
        if connection.reusable:
            self._idle.setdefault(origin, []).append(connection)
            if origin in self._waiting:
                self._wake(origin)
            if self._sweeper is None:
                self._sweeper = self._loop.call_later(_SWEEP_DELAY, self._sweep)
        return reply

    async def download(self, url: str, headers: list[tuple[str, str]], trust: Trust = SYSTEM) -> Download:
        """Asks for what is too large to hold. Raises httpx.TransportError."""
        transport = self._transport or self._downloads.get(trust)
        if transport is None:
            bounds = httpx.Limits(max_connections=self._most_downloads, max_keepalive_connections=0)
            transport = httpx.AsyncHTTPTransport(client_context(trust), trust_env=False, limits=bounds)
            self._downloads[trust] = transport
        return await download(transport, url, headers)

    # ---- the pool

    def _take_idle(self, origin: Origin) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()  # the one used last: the others may end
            if connection.quiet and self._loop.time() - connection.idle_since < self._keepalive:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin, until: float) -> Connection:
        """A connection, by `until` (the loop's time): a new one, or one that another request has done with."""
        where = f"{origin.host}:{origin.port}"
        words = f"no connection to {where} in time"
        try:
            async with asyncio.timeout_at(until):
                while self._per_host and self._open.get(origin, 0) >= self._per_host:
                    words = f"all {self._per_host} connections to {where} are taken"
                    await self._turn(origin)
                    if (connection := self._take_idle(origin)) is not None:
                        return connection
                words = f"no connection to {where} in time"
                self._open[origin] = self._open.get(origin, 0) + 1
                connection = None
                try:
                    async with asyncio.timeout(self._connect_timeout):
                        connection = await self._dial(origin)
                        return connection
                finally:
                    if connection is None:
                        self._release(origin)
        except TimeoutError:
            raise httpx.ConnectTimeout(words) from None
        except (OSError, ValueError) as error:  # ssl.SSLError and socket.gaierror are OSErrors
            raise httpx.ConnectError(explain(error, where) or no_connection(error, where)) from None

    async def _dial(self, origin: Origin) -> Connection:
        """A connection to one of the host's addresses."""
        if origin.literal:
            connection = await self._reach(origin, origin.host)
        else:
            addresses = self._addresses.ordered(origin.host, await self._lookup(origin.host))
            address, connection = await first_of(addresses, lambda to: self._reach(origin, to), Connection.abort)
            self._addresses.answered(origin.host, address)
        if not connection.reusable:
            raise OSError(_CLOSED.format(origin=origin))
        self._connections.add(connection)
        return connection

    async def _reach(self, origin: Origin, address: str) -> Connection:
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._loop, origin, self._closed),
            address,
            origin.port,
            ssl=client_context(origin.trust) if origin.tls else None,
            server_hostname=origin.host if origin.tls else None,
        )
        if not connection.reusable:
            raise OSError(_CLOSED.format(origin=origin))
        return connection

    async def _lookup(self, host: str) -> list[str]:
        """The host's addresses; who asks at the same time shares one question."""
        expires, task = self._names.get(host, (0.0, None))
        if task is None or (task.done() and (self._loop.time() > expires or task.cancelled() or task.exception())):
            task = self._loop.create_task(self._resolve(host))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._names[host] = (self._loop.time() + _NAME_SECONDS, task)
        return await asyncio.shield(task)

    async def _resolve(self, host: str) -> list[str]:
        found = await self._loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return list(dict.fromkeys(str(info[4][0]) for info in found))

    async def _turn(self, origin: Origin) -> None:
        waiting = self._waiting.setdefault(origin, deque())
        turn = self._loop.create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn in waiting:
                waiting.remove(turn)
            else:
                self._wake(origin)
            raise

    def _wake(self, origin: Origin) -> None:
        waiting = self._waiting.get(origin)
        while waiting:
            turn = waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._waiting.pop(origin, None)

    def _release(self, origin: Origin) -> None:
        left = self._open[origin] - 1
        if left:
            self._open[origin] = left
        else:
            del self._open[origin]
        self._wake(origin)

    def _closed(self, connection: Connection) -> None:
        if connection not in self._connections:
            return  # it ended during its handshake
        self._connections.discard(connection)
        self._watched.discard(connection)
        origin = connection.origin
        assert isinstance(origin, Origin)
        idle = self._idle.get(origin)
        if idle and connection in idle:
            idle.remove(connection)
        self._release(origin)

    def _sweep(self) -> None:
        self._sweeper = None
        now = self._loop.time()
        for origin, idle in list(self._idle.items()):
            while idle and now - idle[0].idle_since >= self._keepalive:
                idle.pop(0).abort()
            if not idle:
                del self._idle[origin]
        for host, (expires, task) in list(self._names.items()):
            if task.done() and now > expires:
                del self._names[host]
        if self._idle:
            self._sweeper = self._loop.call_later(_SWEEP_DELAY, self._sweep)

    # ---- somebody else's transport

    async def _send_httpx(
        self,
        transport: httpx.AsyncBaseTransport,
        method: str,
        url: str,
        headers: Headers,
        body: bytes,
        timeout: float,
        limit: int,
    ) -> HttpReply:
        extensions = {"timeout": httpx.Timeout(timeout).as_dict()}
        request = httpx.Request(method, url, headers=list(headers), content=body, extensions=extensions)
        try:
            async with asyncio.timeout(timeout):
                response = await transport.handle_async_request(request)
                content = bytearray()
                assert isinstance(response.stream, httpx.AsyncByteStream)
                try:
                    async for chunk in response.stream:
                        content += chunk
                        if len(content) > limit:
                            error = TooLarge(f"the answer has over {limit} bytes")
                            error.status = response.status_code
                            raise error
                finally:
                    await response.stream.aclose()
        except TimeoutError:
            raise httpx.ReadTimeout(f"no whole answer within {timeout:.3g} s") from None
        return HttpReply(response.status_code, dict(response.headers), bytes(content))


__all__ = ["LATE_SECONDS", "NOT_SENT", "Headers", "Http", "HttpReply", "StaleConnection", "TooLarge"]
