"""One Asterisk: connects for ever (or is connected to, or invites it), keeps what was subscribed, and carries out requests.

Rules:
- Requests go over the socket unless they would block there: requests on one socket are served one after another, and one
  that waits for a prompt would hold up every other call. Those go over HTTP, or wait until their channel is free.
- What certainly did not arrive, or failed for a passing reason, is tried again; what may have been done is asked for first
  (repeating.py). What stays unknown is returned as `unknown`, never repeated.
- While Asterisk cannot be reached at all, what a call asks for waits: nothing else could be done for it either.
- An Asterisk that answers no requests on its socket (versions.py) gets them over HTTP.
- Another client that takes our app is not fought: we step down and say so.
Source: Asterisk's res_ari, res_http_websocket; docs/asterisk.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import websockets.exceptions

from hookrouter.ari.downloads import Downloads
from hookrouter.ari.events import Head
from hookrouter.ari.greeting import WHO, Greeting
from hookrouter.ari.invitation import Invitation
from hookrouter.ari.late import until_set
from hookrouter.ari.lengths import LONGEST_LINE, too_long
from hookrouter.ari.lines import Lines
from hookrouter.ari.operations import HttpRequest, Operation, Request, build, operation
from hookrouter.ari.owner import Owner
from hookrouter.ari.performing import NOT_SUPPORTED, Busy, Job, Reply, no_such_operation
from hookrouter.ari.reasons import basic, info_of, no_answer, refusal
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.ari.versions import REQUESTS_ON_SOCKET
from hookrouter.ari.websocket import ClientDuplex, Duplex, Link, connect
from hookrouter.clock import Clock
from hookrouter.errors import AriFateUnknown, AriUnreachable
from hookrouter.facts import AriConnected, AriLost, AriReplaced, AriRequested, Facts, Warned
from hookrouter.http.client import NOT_SENT, Http

_MAX_REPLY = 32 * 1024 * 1024
_REQUEST_TIMEOUT = 3.0
_BLOCKING_TIMEOUT = 600.0
_FREE_DELAY = 0.05
_RECONNECT_DELAY = 1.5
_REFUSED_DELAY = 15.0
_OFTEN = 1.0  # seconds between two pings, where another router could take over if the socket is silent
_WAITED = 0.05  # seconds: who has waited longer until it might try, tries from then on
_ALWAYS = frozenset({"RESTResponse", "ApplicationReplaced", "ApplicationRegistered", "ApplicationUnregistered"})


class Connected(msgspec.Struct, frozen=True):
    """A connection that works. `restarted`: Asterisk started anew since the last time, its calls are gone."""

    reconnect: bool
    restarted: bool
    startup_time: str
    version: str


class AriClient(Downloads):
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
        permitted: Callable[..., Awaitable[bool]] | None = None,
        on_replaced: Callable[[], None] = lambda: None,
        invitation: Invitation | None = None,
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
        self._permitted = permitted  # waits until we own the Asterisk, where several routers may (Keeper.permitted)
        self._on_replaced = on_replaced
        self.replaced = asyncio.Event()
        self.invitation = invitation  # mode invite
        self._http = http if settings.url else None
        self._events: frozenset[str] | None = None
        self._link: Link | None = None
        self._on_socket = True  # whether this connection answers requests
        self._task: asyncio.Task[None] | None = None
        self._connections = 0
        self._duplex: ClientDuplex | None = None
        self._trying: float | None = None  # since when
        self._auth = basic(settings.username, settings.password)
        self._owner = Owner(settings, self._http, facts) if permitted is not None and self._http is not None else None
        self._base = settings.url.rstrip("/") + "/ari"
        self._accepted = asyncio.Lock()
        self.back = asyncio.Event()  # set while connected
        self.lines = Lines()

    @property
    def ready(self) -> bool:
        """Connected, and every call has been looked at."""
        return self.state == "connected"

    @property
    def app_is_there(self) -> bool:
        """Whether Asterisk has our apps: those of a socket that it opens itself stay when the socket goes."""
        opens = self.settings.mode == "listen" or (self.invitation is not None and self.invitation.sent)
        return opens or (self._link is not None and self._link.open)

    @property
    def away(self) -> float:
        """For how many seconds we have tried to connect, or have heard nothing at all over the socket, not even a pong."""
        if self._trying is not None and not self.back.is_set():
            return self.now() - self._trying
        return self._duplex.quiet if self._duplex is not None else 0.0

    # ---- the connection ---------------------------------------------------------------------------------------

    async def start(self) -> None:
        if self.settings.mode != "connect":
            self.state = "waiting for Asterisk to connect"
        if self.settings.mode != "listen":
            self._task = asyncio.create_task(self._connect_for_ever(), name=f"ari {self.name}")

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

    def let_go(self) -> None:
        """Takes no event and makes no connection from now on; `stop` must follow."""
        self.state = "stopped"
        if self._link is not None:
            self._link.open = False

    def _url(self) -> str:
        base = "ws" + self._base.removeprefix("http")
        return f"{base}/events?app={quote(','.join(self.apps))}&subscribeAll=false"

    async def _connect_for_ever(self) -> None:
        attempt, last = 0, ""
        while self.state not in ("replaced", "stopped"):
            if self._permitted is not None:
                asked = self.now()
                await self._permitted()
                if self._trying is None or self.now() - asked > _WAITED:
                    self._trying = self.now()
                if self.replaced.is_set():  # and yet it is ours: somebody who does not ask the database has it
                    self.replaced.clear()
                    self._facts.emit(AriReplaced(self.name, ",".join(self.apps)))
            reason, detail = await self._connect_once()
            if self._trying is None:
                self._trying = self.now()
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
        invitation = self.invitation
        if invitation is not None and (why := await self._still_invited(invitation)) is not None:
            return why
        if self._owner is not None and not self._owner.acts:
            if (why := await self._owner.take()) is not None:
                return why
            self._auth = self._owner.auth
            if invitation is not None:
                invitation.sent = False
            if self._permitted is not None:
                await self._permitted()
        if invitation is not None:
            return await invitation.visit(self._owner.username if self._owner is not None else self.settings.username)
        try:
            duplex = await connect(
                self._url(),
                [self._auth],
                self.settings.trust,
                ping_delay=None if self._permitted is None else _OFTEN,
            )
        except websockets.exceptions.InvalidStatus as error:
            if error.response.status_code == 401 and self._owner is not None and self._owner.acts:
                return await self._not_known(self._owner)
            return refusal(error.response.status_code)
        except (OSError, TimeoutError, websockets.exceptions.WebSocketException) as error:
            return no_answer(error, self.settings.url)
        self._duplex = duplex
        return await self.serve(duplex)

    async def _not_known(self, owner: Owner) -> tuple[str, str]:
        """Asterisk refuses the owner's user: it has started anew, or another router is the owner."""
        owner.refused()
        if await owner.is_another():
            self._on_replaced()
        return "unavailable", "Asterisk does not know the password of this owner any more"

    async def _still_invited(self, invitation: Invitation) -> tuple[str, str] | None:
        """Why Asterisk may not be told to come now, or None."""
        why = await invitation.look()
        if why is None and not invitation.sent and self._owner is not None:
            self._owner.refused()  # it has started anew, and knows no user of ours either
        if invitation.anothers and self._permitted is None:
            self._step_down(",".join(self.apps))
        elif invitation.anothers:
            self._on_replaced()
        return why

    async def accept(self, duplex: Duplex) -> None:
        """Serves a socket that Asterisk opened, until it ends. A newer one takes over from an older one."""
        if self._link is not None:
            await self._link.close()
        async with self._accepted:
            if self.state == "stopped":  # the one that comes after us will serve it
                return
            serving = self.serve(duplex)
            reason, detail = await (self.invitation.serve(serving) if self.invitation is not None else serving)
            if self.invitation is None and self.state not in ("replaced", "stopped"):
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
            if self.back.is_set():
                self.back.clear()
                self._trying = None  # it was there until now
            for task in (reader, greeting):
                task.cancel()
            await link.close()
            await asyncio.gather(reader, greeting, return_exceptions=True)

    def _not_greeted(self, failed: BaseException) -> tuple[str, str]:
        """A mistake of ours must not end the connecting either."""
        if isinstance(failed, AriUnreachable | AriFateUnknown):
            return "unavailable", str(failed)
        detail = f"{type(failed).__name__}: {failed}"
        self._facts.emit(Warned("internal", f"after connecting to Asterisk `{self.name}`: {detail}"))
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
            self._trying = None
            self.back.set()
            self._facts.emit(AriConnected(self.name, self.apps, self.version, connected.reconnect))

    async def _who_is_there(self, link: Link) -> dict[str, Any]:
        """Asterisk's info; and whether it answers on the socket. Raises AriUnreachable, AriFateUnknown."""
        http = self._http

        async def over_http(client: Http) -> dict[str, Any]:
            status, body, _ = await self._over_http(client, build(WHO), _REQUEST_TIMEOUT)
            return info_of(Reply(status, body))

        async def refilter() -> None:
            self._on_socket = False
            await self._filter()

        asked = None if http is None else lambda: over_http(http)
        info, self._on_socket = await Greeting(self._clock, asked, refilter).who(link)
        if not self._on_socket:
            message = f"it answers no requests on its event socket, which takes {REQUESTS_ON_SOCKET}: they go over HTTP"
            self._facts.emit(Warned(f"ari.{self.name}", message))
        return info

    def _take(self, raw: bytes, head: Head) -> None:
        if head.type == "ApplicationReplaced" and (head.application in self.apps or not head.application):
            self.replaced.set()
            self._on_replaced()
            if self.invitation is not None:
                self.invitation.anew = True
            if self._permitted is None:
                self._step_down(head.application)
            self._hang_up()
        try:
            self._on_event(raw, head)
        except Exception as error:  # noqa: BLE001  one event that we cannot handle must not cost all the others
            self._facts.emit(Warned("internal", f"handling {head.type}: {type(error).__name__}: {error}"))

    def _step_down(self, app: str) -> None:
        self.state = "replaced"
        self.back.set()  # nobody waits for us
        self._facts.emit(AriReplaced(self.name, app))

    def _hang_up(self) -> None:
        link = self._link
        if link is not None:
            link.open = False
            self._closing = asyncio.create_task(link.close())

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
            if reply.status not in (200, 404, NOT_SUPPORTED):
                self._facts.emit(Warned("ari.filter", f"Asterisk refused the event filter of {app}: {reply.status}"))

    # ---- requests ---------------------------------------------------------------------------------------------

    def perform(
        self,
        request: Request,
        *,
        doubtful: bool = False,
        channel_busy: Busy | None = None,
        timeout: float = _REQUEST_TIMEOUT,
        call: str = "",
        patient: bool = False,
    ) -> Coroutine[Any, Any, Reply]:
        """Carries out a request; never raises for Asterisk's sake. `timeout`: seconds for each try.

        `doubtful`: it may have been sent before. `channel_busy` tells whether something runs on the channel that a blocking
        operation would wait for. `patient`: while Asterisk is not connected it waits, for as long as that takes. Requests of
        one `call` go out in the order in which they were asked for.
        """
        found = operation(request.operation)
        if found is None:
            return no_such_operation()
        job = Job(self, request, found, channel_busy, timeout, call, doubtful, patient)
        return self._set(job) if request.operation == "channels.setChannelVar" else job.run()

    async def _set(self, job: Job) -> Reply:
        reply = await job.run()
        if reply.status == 204 and not self._on_socket:
            await until_set(self, job.request, self._clock.sleep)
        return reply

    @property
    def comes_back(self) -> bool:
        return self._link is None and self.state not in ("replaced", "stopped")

    async def sleep(self, delay: float) -> None:
        await self._clock.sleep(delay)

    async def exchange(
        self, http: HttpRequest, found: Operation, busy: Busy | None, timeout: float, going: Callable[[], None]
    ) -> tuple[int, bytes, str]:
        """One request, one reply: (status, body, transport); `going` just before it is sent. Raises AriUnreachable or
        AriFateUnknown."""
        if self._permitted is not None and not await self._permitted(or_offered=True):
            raise AriUnreachable("Asterisk is not connected, and another router may take it")
        if self._owner is not None and not self._owner.settled:
            raise AriUnreachable("the former owner of this Asterisk is not shut out yet")
        blocks = found.blocks and busy is not None and busy()
        link = self._link
        usable = link is not None and link.open
        if found.enters_app and not self.app_is_there:
            raise AriUnreachable("the event socket is down, and without it Asterisk hangs up what enters the app")
        if (fault := too_long(http, len(self._base), self._on_socket)) is not None:
            return 413, msgspec.json.encode({"message": fault}), "none"
        short = len(self._base) + len(http.target) <= LONGEST_LINE
        if self._http is not None and short and (blocks or not usable or not self._on_socket):
            try:
                going()
                return await self._over_http(self._http, http, _BLOCKING_TIMEOUT if blocks else timeout)
            except AriUnreachable:
                if not usable or not self._on_socket:
                    raise
        if blocks:
            going()  # what frees the channel may come after it
        while blocks and busy is not None and busy():  # there is only the socket: it must not be held up
            await self._clock.sleep(_FREE_DELAY)
            if self._permitted is not None:
                await self._permitted()
        link = self._link
        if link is None or not link.open:
            raise AriUnreachable("Asterisk is not connected")
        going()
        reply = await link.ask(http, timeout)
        self._let_in(reply.status, link is self._link)
        return reply.status, reply.body, "ws"

    def _let_in(self, status: int, newest: bool) -> None:
        """Raises AriUnreachable where another router has the Asterisk: nothing was done. `newest`: asked as we are now."""
        owner = self._owner
        if status != 401 or owner is None or not owner.by_itself:
            return
        if newest and owner.acts:
            owner.refused()
            self._on_replaced()
            self._hang_up()
        raise AriUnreachable("Asterisk does not know the password of this owner any more")

    async def _over_http(self, client: Http, http: HttpRequest, timeout: float) -> tuple[int, bytes, str]:
        headers = [self._auth]
        if http.body:
            headers.append(("content-type", "application/json"))
        try:
            reply = await client.send(
                http.method, self._base + http.target, headers, http.body, timeout=timeout, limit=_MAX_REPLY,
                trust=self.settings.trust,
            )  # fmt: skip
        except NOT_SENT as error:
            raise AriUnreachable(str(error)) from None
        except httpx.TransportError as error:
            raise AriFateUnknown(str(error)) from None
        self._let_in(reply.status, headers[0] is self._auth)
        return reply.status, reply.body, "http"

    def report(
        self,
        request: Request,
        status: int,
        started: float,
        transport: str,
        attempt: int,
        call: str,
        detail: str,
        reply: bytes = b"",
    ) -> None:
        seconds, operation = round(self._clock.monotonic() - started, 4), request.operation
        self._facts.emit(
            AriRequested(self.name, operation, status, seconds, transport, attempt, call, detail, request.params, reply)
        )

    def now(self) -> float:
        return self._clock.monotonic()


__all__ = ["AriClient", "Connected", "Reply"]
