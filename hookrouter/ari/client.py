"""One Asterisk: connects for ever (or is connected to), keeps what was subscribed, and carries out requests.

Rules:
- Requests go over the socket unless they would block there: requests on one socket are served one after another, and one
  that waits for a prompt would hold up every other call. Those go over HTTP, or wait until their channel is free.
- What certainly did not arrive, or failed for a passing reason, is tried again; what may have been done is asked for first
  (repeating.py). What stays unknown is returned as `unknown`, never repeated.
- While Asterisk cannot be reached at all, what a call asks for waits: nothing else could be done for it either.
- An Asterisk that answers no requests on its socket (before 22.4) gets them over HTTP.
- Another client that takes our app is not fought: we step down and say so.
Source: Asterisk's res_ari, res_http_websocket; docs/asterisk.md.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Awaitable, Callable, Iterable
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import websockets.exceptions

from hookrouter.ari.events import Head
from hookrouter.ari.operations import HttpRequest, Operation, Request, build, operation
from hookrouter.ari.performing import Busy, Job, Reply
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.ari.websocket import Duplex, Link, connect
from hookrouter.clock import Clock
from hookrouter.errors import AriFateUnknown, AriUnreachable
from hookrouter.facts import AriConnected, AriLost, AriReplaced, AriRequested, Facts, Warned
from hookrouter.http import NOT_SENT, Http
from hookrouter.retrying import Again, try_again

_MAX_REPLY = 32 * 1024 * 1024
_RETRY_TOTAL = 8.0
_REQUEST_TIMEOUT = 3.0
_BLOCKING_TIMEOUT = 600.0
_PROBE_TIMEOUT = 2.0
_FREE_DELAY = 0.05
_RECONNECT_DELAY = 1.5
_REFUSED_DELAY = 15.0
_ALWAYS = frozenset({"RESTResponse", "ApplicationReplaced", "ApplicationRegistered", "ApplicationUnregistered"})
_WHO = Request("asterisk.getInfo", {"only": ["status", "system"]})


class Connected(msgspec.Struct, frozen=True):
    """A connection that works. `restarted`: Asterisk started anew since the last time, its calls are gone."""

    reconnect: bool
    restarted: bool
    startup_time: str
    version: str


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
        self._on_socket = True  # whether this connection answers requests
        self._task: asyncio.Task[None] | None = None
        self._connections = 0
        token = base64.b64encode(f"{settings.username}:{settings.password}".encode()).decode()
        self._auth = ("authorization", f"Basic {token}")
        self._base = settings.url.rstrip("/") + "/ari"
        self._accepted = asyncio.Lock()
        self._back = asyncio.Event()  # set while connected

    @property
    def ready(self) -> bool:
        """Connected, and every call has been looked at."""
        return self.state == "connected"

    @property
    def app_is_there(self) -> bool:
        """Whether Asterisk has our apps: those of a socket that it opens itself stay when the socket goes."""
        return self.settings.mode == "listen" or (self._link is not None and self._link.open)

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
        async with self._accepted:  # whatever was accepted has ended
            pass

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
            longest = _REFUSED_DELAY if reason == "unauthorized" else _RECONNECT_DELAY
            delay = min(longest, 0.25 * 2 ** min(attempt, 8)) * (0.5 + self._random() / 2)
            if attempt == 1 or attempt % 20 == 0:
                self._facts.emit(AriLost(self.name, reason, detail, delay))
            await self._clock.sleep(delay)

    async def _connect_once(self) -> tuple[str, str]:
        """One connection, from its handshake to its end: why it ended."""
        try:
            duplex = await connect(self._url(), [self._auth])
        except websockets.exceptions.InvalidStatus as error:
            return _refusal(error.response.status_code)
        except (OSError, TimeoutError, websockets.exceptions.WebSocketException) as error:
            return (
                "no_answer",
                f"{error}: is Asterisk running, and is http.conf enabled and bound to {self.settings.url}?",
            )
        return await self.serve(duplex)

    async def accept(self, duplex: Duplex) -> None:
        """Listen mode: serves a socket that Asterisk opened, until it ends. A newer one takes over from an older one."""
        if self._link is not None:
            await self._link.close()
        async with self._accepted:
            if self.state == "stopped":  # the one that comes after us will serve it
                return
            reason, detail = await self.serve(duplex)
            if self.state not in ("replaced", "stopped"):
                self.state = reason
                self._facts.emit(AriLost(self.name, reason, detail))

    async def serve(self, duplex: Duplex) -> tuple[str, str]:
        """Runs one socket: its events flow from the start, and are held by the flow until the calls are looked at."""
        link = Link(duplex, self._take, self._garbage)
        self._on_link()
        self._link, self._on_socket = link, True
        reader = asyncio.create_task(link.run(), name=f"ari reader {self.name}")
        greeting = asyncio.create_task(self._greet(link), name=f"ari greeting {self.name}")
        try:
            await asyncio.wait({reader, greeting}, return_when=asyncio.FIRST_COMPLETED)
            if greeting.done() and (failed := greeting.exception()) is not None:
                return self._not_greeted(failed)
            await asyncio.wait({reader})
            return ("closed", "by us") if reader.cancelled() else reader.result()
        finally:
            self._link = None
            self._back.clear()
            for task in (reader, greeting):
                task.cancel()
            await link.close()
            await asyncio.gather(reader, greeting, return_exceptions=True)

    def _not_greeted(self, failed: BaseException) -> tuple[str, str]:
        """A mistake of ours must not end the connecting either."""
        if isinstance(failed, AriUnreachable | AriFateUnknown):
            return "unavailable", str(failed)
        detail = f"{type(failed).__name__}: {failed}"
        self._facts.emit(Warned("internal", f"greeting Asterisk `{self.name}`: {detail}"))
        return "unavailable", detail

    async def _greet(self, link: Link) -> None:
        """What each new connection needs before it counts: who is there, what is filtered, what was missed."""
        info = await self._who_is_there(link)
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
            self._back.set()
            self._facts.emit(AriConnected(self.name, self.apps, self.version, connected.reconnect))

    async def _who_is_there(self, link: Link) -> dict[str, Any]:
        """Asterisk's info; and whether it answers on the socket. Raises AriUnreachable, AriFateUnknown."""
        question = build(_WHO)
        try:
            return _info((await link.ask(question, _PROBE_TIMEOUT)).body)
        except AriFateUnknown:
            if not link.open:
                raise
        self._on_socket = False
        await self._filter()  # somebody else's may hold back the replies
        try:
            info = _info((await link.ask(question, _PROBE_TIMEOUT)).body)
        except AriFateUnknown:
            if not link.open or self._http is None:
                raise
            message = "it does not answer requests on its event socket (Asterisk 22.4 and later do): they go over HTTP"
            self._facts.emit(Warned(f"ari.{self.name}", message))
            return _info((await self.perform(_WHO)).body)
        self._on_socket = True
        return info

    def _take(self, raw: bytes, head: Head) -> None:
        if head.type == "ApplicationReplaced" and (head.application in self.apps or not head.application):
            self.state = "replaced"
            self._back.set()  # nobody waits for us
            self._facts.emit(AriReplaced(self.name, head.application))
            link = self._link
            if link is not None:
                link.open = False
                self._closing = asyncio.create_task(link.close())
        try:
            self._on_event(raw, head)
        except Exception as error:  # noqa: BLE001  one event that we cannot handle must not cost all the others
            self._facts.emit(Warned("internal", f"handling {head.type}: {type(error).__name__}: {error}"))

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
        channel_busy: Busy | None = None,
        timeout: float = _REQUEST_TIMEOUT,
        call: str = "",
        patient: bool = False,
    ) -> Reply:
        """Carries out a request; never raises for Asterisk's sake. `timeout`: seconds for each try.

        `doubtful`: it may have been sent before. `channel_busy` tells whether something runs on the channel that a blocking
        operation would wait for. `patient`: while Asterisk is not connected it waits, for as long as that takes.
        """
        found = operation(request.operation)
        if found is None:
            return Reply(400, b'{"message":"no such operation"}')
        job = Job(self, request, found, channel_busy, timeout, call, doubtful, patient)
        while True:
            try:
                return await job.attempt(1)
            except Again:
                pass
            try:
                return await try_again(job.attempt, total=_RETRY_TOTAL, sleep=self._clock.sleep, now=self.now)
            except Again:
                if not patient or self._link is not None or self.state in ("replaced", "stopped"):
                    return job.last
            await self._back.wait()

    async def exchange(
        self, http: HttpRequest, found: Operation, busy: Busy | None, timeout: float
    ) -> tuple[int, bytes, str]:
        """One request, one reply: (status, body, transport). Raises AriUnreachable or AriFateUnknown."""
        blocks = found.blocks and busy is not None and busy()
        link = self._link
        usable = link is not None and link.open
        if found.enters_app and not self.app_is_there:
            raise AriUnreachable("the event socket is down, and without it Asterisk hangs up what enters the app")
        if self._http is not None and (blocks or not usable or not self._on_socket):
            try:
                return await self._over_http(self._http, http, _BLOCKING_TIMEOUT if blocks else timeout)
            except AriUnreachable:
                if not usable or not self._on_socket:
                    raise
        while blocks and busy is not None and busy():  # there is only the socket: it must not be held up
            await self._clock.sleep(_FREE_DELAY)
        link = self._link
        if link is None or not link.open:
            raise AriUnreachable("Asterisk is not connected")
        reply = await link.ask(http, timeout)
        return reply.status, reply.body, "ws"

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


def _info(body: bytes) -> dict[str, Any]:
    """Raises AriUnreachable where it is none."""
    try:
        info: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        raise AriUnreachable(f"GET /asterisk/info answered {body[:200]!r}") from None
    return info


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


__all__ = ["AriClient", "Connected", "Reply"]
