"""One Asterisk: connects for ever (or is connected to), keeps what was subscribed, and carries out requests.

Rules:
- Requests go over the socket unless they would block there: requests on one socket are served one after another, and one
  that waits for a prompt would hold up every other call. Those go over HTTP, or wait until their channel is free.
- What certainly did not arrive, or failed for a passing reason, is tried again; what may have been done is asked for first
  (repeating.py). What stays unknown is returned as `unknown`, never repeated.
- Another client that takes our app is not fought: we step down and say so.
Source: Asterisk's res_ari, res_http_websocket; docs/asterisk.md.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal
from urllib.parse import quote

import httpx
import msgspec
import websockets.asyncio.client
import websockets.exceptions

from hookrouter import __version__
from hookrouter.ari.events import Head
from hookrouter.ari.operations import HttpRequest, Operation, Request, build, operation, proof_request, proved
from hookrouter.ari.repeating import Repeat
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.ari.websocket import Duplex, Link
from hookrouter.clock import Clock
from hookrouter.errors import AriFateUnknown, AriUnreachable
from hookrouter.facts import AriConnected, AriLost, AriReplaced, AriRequested, Facts, Warned
from hookrouter.http import NOT_SENT, Http
from hookrouter.retrying import Again, try_again

_MAX_REPLY = 32 * 1024 * 1024
_RETRY_TOTAL = 8.0
_REQUEST_TIMEOUT = 10.0
_BLOCKING_TIMEOUT = 600.0
_PING_DELAY = 4.0
_RECONNECT_DELAY = 1.5
_ALWAYS = frozenset({"RESTResponse", "ApplicationReplaced", "ApplicationRegistered", "ApplicationUnregistered"})
_PASSING = frozenset({500, 502, 503, 504})

Fate = Literal["replied", "unreachable", "unknown", "proved"]


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What came of a request. `status` 0: no reply (`unreachable`: surely not done; `unknown`: nobody can say).

    `proved`: the reply was lost, and asking showed that it was done.
    """

    status: int
    body: bytes = b""
    fate: Fate = "replied"


class Connected(msgspec.Struct, frozen=True):
    """A connection that works. `restarted`: Asterisk started anew since the last time, its calls are gone."""

    reconnect: bool
    restarted: bool
    startup_time: str
    version: str


class _WebsocketDuplex:
    """The websockets library's connection as a Duplex: bytes in and out, every end a ConnectionError."""

    def __init__(self, connection: websockets.asyncio.client.ClientConnection) -> None:
        self._connection = connection
        self._recv = connection.recv

    async def recv(self) -> bytes:
        try:
            return await self._recv(decode=False)
        except websockets.exceptions.ConnectionClosed as error:
            raise ConnectionError(str(error)) from None

    async def send(self, data: bytes) -> None:
        try:
            await self._connection.send(data, text=True)
        except websockets.exceptions.ConnectionClosed as error:
            raise ConnectionError(str(error)) from None

    async def close(self) -> None:
        await self._connection.close()


class AriClient:
    """One `[asterisk.NAME]`. `on_event` gets each event's bytes and head, in order, in the reader's own turn."""

    def __init__(
        self,
        settings: AsteriskSettings,
        *,
        on_event: Callable[[bytes, Head], None],
        on_link: Callable[[], None],
        on_connected: Callable[[Connected], Awaitable[None]],
        facts: Facts,
        clock: Clock,
        random: Callable[[], float],
        http: Http | None,
        startup_time: str = "",
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.apps = settings.apps
        self.state = "connecting"
        self.version = ""
        self.startup_time = startup_time
        self.subscriptions: set[str] = set(settings.subscribe)
        self._on_event = on_event
        self._on_link = on_link
        self._on_connected = on_connected
        self._facts = facts
        self._clock = clock
        self._random = random
        self._http = http if settings.url else None
        self._events: frozenset[str] | None = None
        self._link: Link | None = None
        self._task: asyncio.Task[None] | None = None
        self._connections = 0
        token = base64.b64encode(f"{settings.username}:{settings.password}".encode()).decode()
        self._auth = ("authorization", f"Basic {token}")
        self._base = settings.url.rstrip("/") + "/ari"
        self._accepted = asyncio.Lock()

    @property
    def ready(self) -> bool:
        """Connected, and every call has been looked at."""
        return self.state == "connected"

    # ---- the connection ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        if self.settings.mode == "connect":
            self._task = asyncio.create_task(self._connect_for_ever(), name=f"ari {self.name}")
        else:
            self.state = "waiting for Asterisk to connect"

    async def stop(self) -> None:
        """Closes the socket; Asterisk keeps the calls."""
        self.state = "stopped"
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._link is not None:
            await self._link.close()

    def _url(self) -> str:
        base = "ws" + self._base.removeprefix("http")
        return f"{base}/events?app={quote(','.join(self.apps))}&subscribeAll=false"

    async def _connect_for_ever(self) -> None:
        attempt, last = 0, ""
        while self.state not in ("replaced", "stopped"):
            reason, detail = await self._connect_once()
            if self.state in ("replaced", "stopped"):
                return
            attempt = 1 if self.ready or reason != last else attempt + 1
            last, self.state = reason, reason
            delay = min(_RECONNECT_DELAY, 0.25 * 2 ** min(attempt, 8)) * (0.5 + self._random() / 2)
            if attempt == 1 or attempt % 20 == 0:
                self._facts.emit(AriLost(self.name, reason, detail, delay))
            await self._clock.sleep(delay)

    async def _connect_once(self) -> tuple[str, str]:
        """One connection, from its handshake to its end: why it ended."""
        try:
            connection = await websockets.asyncio.client.connect(
                self._url(),
                additional_headers=[self._auth],
                user_agent_header=f"hookrouter/{__version__}",
                compression=None,
                max_queue=None,
                max_size=None,
                proxy=None,
                open_timeout=5,
                ping_interval=_PING_DELAY,
                ping_timeout=_PING_DELAY,
                close_timeout=1,
            )
        except websockets.exceptions.InvalidStatus as error:
            return _refusal(error.response.status_code)
        except (OSError, TimeoutError, websockets.exceptions.WebSocketException) as error:
            return (
                "no_answer",
                f"{error}: is Asterisk running, and is http.conf enabled and bound to {self.settings.url}?",
            )
        return await self.serve(_WebsocketDuplex(connection))

    async def accept(self, duplex: Duplex) -> None:
        """Listen mode: serves a socket that Asterisk opened, until it ends. A newer one takes over from an older one."""
        if self._link is not None:
            await self._link.close()
        async with self._accepted:
            reason, detail = await self.serve(duplex)
            if self.state not in ("replaced", "stopped"):
                self.state = reason
                self._facts.emit(AriLost(self.name, reason, detail))

    async def serve(self, duplex: Duplex) -> tuple[str, str]:
        """Runs one socket: its events flow from the start, and are held by the flow until the calls are looked at."""
        link = Link(duplex, self._take, self._garbage)
        self._on_link()
        self._link = link
        reader = asyncio.create_task(link.run(), name=f"ari reader {self.name}")
        greeting = asyncio.create_task(self._greet(link), name=f"ari greeting {self.name}")
        try:
            await asyncio.wait({reader, greeting}, return_when=asyncio.FIRST_COMPLETED)
            if not reader.done() and greeting.exception() is None:
                await reader
            if greeting.done() and not greeting.cancelled() and (failed := greeting.exception()) is not None:
                if not isinstance(failed, AriUnreachable | AriFateUnknown):
                    raise failed
                return "unavailable", str(failed)
            return "closed", reader.result() if reader.done() else ""
        finally:
            self._link = None
            for task in (reader, greeting):
                task.cancel()
            await link.close()
            await asyncio.gather(reader, greeting, return_exceptions=True)

    async def _greet(self, link: Link) -> None:
        """What each new connection needs before it counts: who is there, what is filtered, what was missed."""
        reply = await self.perform(Request("asterisk.getInfo", {"only": ["status", "system"]}))
        if reply.status != 200:
            raise AriUnreachable(f"GET /asterisk/info answered {reply.status}")
        info: dict[str, Any] = msgspec.json.decode(reply.body)
        startup = str((info.get("status") or {}).get("startup_time", ""))
        self.version = str((info.get("system") or {}).get("version", ""))
        restarted = bool(self.startup_time) and self.startup_time != startup
        self.startup_time = startup
        await self._filter()
        for source in sorted(self.subscriptions):
            await self._subscribe(source)
        connected = Connected(self._connections > 0, restarted, startup, self.version)
        self._connections += 1
        await self._on_connected(connected)
        if link.open:
            self.state = "connected"
            self._facts.emit(AriConnected(self.name, self.apps, self.version, connected.reconnect))

    def _take(self, raw: bytes, head: Head) -> None:
        if head.type == "ApplicationReplaced" and (head.application in self.apps or not head.application):
            self.state = "replaced"
            self._facts.emit(AriReplaced(self.name, head.application))
            link = self._link
            if link is not None:
                link.open = False
                self._closing = asyncio.create_task(link.close())
        self._on_event(raw, head)

    def _garbage(self, raw: bytes) -> None:
        self._facts.emit(Warned("ari.garbage", f"not an event: {raw[:200]!r}"))

    async def _subscribe(self, source: str) -> None:
        for app in self.apps:
            await self.perform(Request("applications.subscribe", {"applicationName": app, "eventSource": [source]}))

    async def subscribe(self, source: str) -> None:
        """An event source (`endpoint:PJSIP`, `deviceState:…`, `bridge:…`) from now on, also after a reconnect."""
        if source not in self.subscriptions:
            self.subscriptions.add(source)
            if self._link is not None:
                await self._subscribe(source)

    def set_events(self, types: Iterable[str] | None) -> None:
        """Which event types Asterisk is to send; None: all. Takes effect with the next connection, or `refilter`."""
        self._events = None if types is None else frozenset(types) | _ALWAYS

    async def refilter(self) -> None:
        if self._link is not None:
            await self._filter()

    async def _filter(self) -> None:
        allowed = [] if self._events is None else [{"type": name} for name in sorted(self._events)]
        for app in self.apps:
            body = {"allowed": allowed} if allowed else {}
            reply = await self.perform(Request("applications.filter", {"applicationName": app, "filter": body}))
            if reply.status not in (200, 404):
                self._facts.emit(Warned("ari.filter", f"Asterisk refused the event filter of {app}: {reply.status}"))

    # ---- requests ---------------------------------------------------------------------------------------------

    async def perform(
        self,
        request: Request,
        *,
        doubtful: bool = False,
        channel_busy: Callable[[], bool] | None = None,
        timeout: float = _REQUEST_TIMEOUT,
        call: str = "",
    ) -> Reply:
        """Carries out a request; never raises for Asterisk's sake. `timeout`: seconds for each try.

        `doubtful`: it may have been sent before. `channel_busy` tells whether something runs on the channel that a blocking
        operation would wait for.
        """
        found = operation(request.operation)
        if found is None:
            return Reply(400, b'{"message":"no such operation"}')
        job = _Job(self, request, found, channel_busy, timeout, call)
        try:
            if doubtful and (settled := await job.settle(doubtful=True)) is not None:
                return settled
            try:
                return await job.attempt(1)
            except Again as again:
                return await try_again(job.attempt, total=_RETRY_TOTAL, sleep=self._clock.sleep) if again else job.last
        except Again:
            return job.last

    async def exchange(
        self, http: HttpRequest, found: Operation, busy: Callable[[], bool] | None, timeout: float
    ) -> tuple[int, bytes, str]:
        """One request, one reply: (status, body, transport). Raises AriUnreachable or AriFateUnknown."""
        link = self._link
        blocks = found.blocks and busy is not None and busy()
        if blocks and self._http is None:
            while busy is not None and busy():
                await self._clock.sleep(0.05)
            blocks, link = False, self._link
        if link is not None and link.open and not blocks:
            reply = await link.ask(http, timeout)
            return reply.status, reply.body, "ws"
        if self._http is None:
            raise AriUnreachable("Asterisk is not connected")
        return await self._over_http(self._http, http, _BLOCKING_TIMEOUT if blocks else timeout)

    async def _over_http(self, client: Http, http: HttpRequest, timeout: float) -> tuple[int, bytes, str]:
        headers = [self._auth]
        if http.body:
            headers.append(("content-type", "application/json"))
        try:
            reply = await client.send(
                http.method, self._base + http.target, headers, http.body, timeout=timeout, limit=_MAX_REPLY
            )
        except NOT_SENT as error:
            raise AriUnreachable(str(error)) from None
        except httpx.TransportError as error:
            raise AriFateUnknown(str(error)) from None
        return reply.status, reply.body, "http"

    async def fetch(self, target: str, limit: int = 512 * 1024 * 1024) -> tuple[int, str, bytes]:
        """A file below /ari (a stored recording): (status, content type, bytes). Needs HTTP."""
        if self._http is None:
            return 501, "", b""
        try:
            reply = await self._http.send("GET", self._base + target, [self._auth], b"", timeout=60, limit=limit)
        except httpx.TransportError:
            return 502, "", b""
        return reply.status, reply.header("content-type", "application/octet-stream"), reply.body

    def report(
        self, request: Request, status: int, started: float, transport: str, attempt: int, call: str, detail: str
    ) -> None:
        seconds = self._clock.monotonic() - started
        self._facts.emit(AriRequested(self.name, request.operation, status, seconds, transport, attempt, call, detail))

    def now(self) -> float:
        return self._clock.monotonic()


class _Job:
    """One `perform`: its tries, and what the last one left behind."""

    __slots__ = ("busy", "call", "client", "found", "http", "last", "request", "timeout")

    def __init__(self, client: AriClient, request: Request, found: Operation, busy: Callable[[], bool] | None,
                 timeout: float, call: str) -> None:  # fmt: skip
        self.client = client
        self.request = request
        self.found = found
        self.http = build(request)
        self.busy = busy
        self.timeout = timeout
        self.call = call
        self.last = Reply(0, fate="unreachable")

    async def attempt(self, number: int) -> Reply:
        """One try. Raises Again where another may follow."""
        client, started = self.client, self.client.now()
        try:
            status, body, transport = await client.exchange(self.http, self.found, self.busy, self.timeout)
        except AriUnreachable as error:
            client.report(self.request, 0, started, "none", number, self.call, str(error))
            self.last = Reply(0, str(error).encode(), "unreachable" if self.last.fate != "unknown" else "unknown")
            raise Again(error) from None
        except AriFateUnknown as error:
            client.report(self.request, 0, started, "none", number, self.call, str(error))
            self.last = Reply(0, str(error).encode(), "unknown")
            return await self._settle_or_again()
        client.report(self.request, status, started, transport, number, self.call, "")
        self.last = Reply(status, body)
        if status in _PASSING and not self.found.final_5xx and self.found.method != "GET":
            return await self._settle_or_again()
        if status == 409 and self.found.doubtful_409 and not await self._is_there():
            self.last = Reply(500, b'{"message":"the endpoint cannot be reached"}')
        elif number > 1:
            return await self._after_repeat(status, body)
        return self.last

    async def _settle_or_again(self) -> Reply:
        settled = await self.settle()
        if settled is not None:
            return settled
        raise Again(self.last.body)

    async def settle(self, *, doubtful: bool = False) -> Reply | None:
        """Whether it was done already: the reply to give, or None where it may be (re)sent.

        `doubtful`: long ago, perhaps. What is not there now may have come and gone, so only a bridge is made again.
        """
        match self.found.repeat:
            case Repeat.SAFE | Repeat.GONE_IS_DONE:
                return None
            case Repeat.NEVER:
                return self.last if self.last.status else Reply(0, self.last.body, "unknown")
        question = proof_request(self.request)
        if question is None:
            return Reply(0, self.last.body, "unknown")
        answer = await self.client.perform(question)
        match proved(self.request, answer.status):
            case True:
                return Reply(200, answer.body, "proved")
            case False if doubtful and not (self.found.proof and self.found.proof.lasting):
                return Reply(0, b"it may have been done before a restart, and be over", "unknown")
            case False:
                return None if self.last.status == 0 or self.last.status in _PASSING else self.last
        return Reply(0, self.last.body, "unknown")

    async def _is_there(self) -> bool:
        """Whether the id that was asked for is taken: Asterisk's 409 alone does not say so (repeating.DOUBTFUL_409)."""
        question = proof_request(self.request)
        return question is not None and (await self.client.perform(question)).status != 404

    async def _after_repeat(self, status: int, body: bytes) -> Reply:
        if status in self.found.done_already:
            return Reply(204, b"", "proved")
        if self.found.repeat is Repeat.ASK and status in (409, 500):
            settled = await self.settle()
            return settled if settled is not None else self.last
        return self.last


def _refusal(status: int) -> tuple[str, str]:
    """Why Asterisk refused the socket, with the remedy."""
    if status in (401, 403):
        return "unauthorized", f"status {status}: username or password differ from the user in ari.conf"
    if status == 404:
        return (
            "not_found",
            "status 404: is ari.conf enabled (`module show like res_ari`), and is http.conf's prefix in the url?",
        )
    return "unavailable", f"status {status}: Asterisk is starting or stopping"
