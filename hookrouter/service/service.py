"""Wires, starts and stops everything; the only place that knows all the parts."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from hookrouter.actions.decode import Answer, decode_answer
from hookrouter.actions.judging import Rules, refuse
from hookrouter.ari.operations import Request, event_types
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.calls.board import Board, Live
from hookrouter.calls.effects import Announce
from hookrouter.calls.runner import Runner
from hookrouter.clock import Clock, SystemClock
from hookrouter.cluster.peers import Peers
from hookrouter.config import ALL, Access, Config
from hookrouter.config.invited import advertised
from hookrouter.config.watching import changes, watch
from hookrouter.delivery.deliverer import Deliverer
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.notifier import Notifier
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.queue import Filter, StoredDelivery
from hookrouter.delivery.sender import Sender
from hookrouter.errors import NotHere, StoreError
from hookrouter.facts import Exchanged, Facts, JournalRecovered, RoutesLoaded, Warned, said_fields
from hookrouter.flow import Flow
from hookrouter.http.client import Http
from hookrouter.http.reaching import reached_at
from hookrouter.http.streaming import Download
from hookrouter.published.openapi import openapi_document
from hookrouter.record.gathering import Plan
from hookrouter.record.recorder import Recorder
from hookrouter.record.timeline import timeline
from hookrouter.routing.endpoint import NO_ROUTE, Route
from hookrouter.service.candidates import Candidates
from hookrouter.service.console import View
from hookrouter.service.endings import keep_endings
from hookrouter.service.entries import Entries
from hookrouter.service.filtering import filter_of
from hookrouter.service.handing import Handing
from hookrouter.service.listening import Company, Listening
from hookrouter.service.recorded import query_of, shown_record, shown_row, start_recording
from hookrouter.service.resume import Resumer
from hookrouter.service.showing import shown_call, shown_delivery, shown_ringing, shown_summary, tenant_of_summary
from hookrouter.speech.reaching import own_address
from hookrouter.speech.speech import Speech, SpeechFailed
from hookrouter.store import Retention, Store, open_store, record_place
from hookrouter.telemetry.lookout import Lookout
from hookrouter.telemetry.metrics import Metrics
from hookrouter.text.urls import line_without_queries
from hookrouter.web.app import create_app
from hookrouter.web.feeds import Feeds
from hookrouter.web.listeners import Listeners
from hookrouter.web.refusals import Refusals
from hookrouter.web.server import Server, bind

NEEDED_EVENTS = frozenset(
    {
        "StasisStart", "StasisEnd", "ChannelDtmfReceived", "PlaybackStarted", "PlaybackFinished", "RecordingFinished",
        "RecordingFailed", "ChannelEnteredBridge", "ChannelLeftBridge", "BridgeDestroyed", "Dial", "ChannelDestroyed",
        "ChannelStateChange", "ChannelTransfer", "BridgeBlindTransfer", "BridgeAttendedTransfer", "ApplicationMoveFailed",
    }
)  # fmt: skip
"""What running verbs need; everything else is sent only where a route names it."""

_DAY = 86_400.0
_STREAMS = 128  # of other routers, at a time: what they tell, and sounds
_NOTIFY_TIMEOUT = 15.0


class Service:
    """One router. `load` reads the configuration again; None: it is not watched (tests)."""

    def __init__(
        self,
        config: Config,
        *,
        facts: Facts,
        store_url: str,
        path: Path | None = None,
        load: Callable[[], Config] | None = None,
        clock: Clock | None = None,
        rng: Callable[[], float] = random.random,
        make_sender: Callable[[Http, Clock, Facts], Sender] = Sender,
    ) -> None:
        self.config = config
        self.facts = facts
        self.tokens = config.server.tokens
        self._path = path
        self._load = load
        self.clock = clock or SystemClock()
        self.rng = rng
        self._make_sender = make_sender
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []
        self.listeners = Listeners(lambda: facts.subscribe(self._broadcast, lambda kind: kind is not Exchanged))
        self.listening = Listening(facts, self.clock)
        self.refusals = Refusals(facts, self.clock.monotonic)
        self.metrics_of = Metrics()
        retention = Retention(
            finished_age=config.store.timeline_days * _DAY,
            delivered_age=config.store.delivered_days * _DAY,
            dead_age=config.store.dead_letter_days * _DAY,
        )
        self.store: Store = open_store(store_url, facts, self.clock, retention, config.cluster)
        self.board = Board()
        self.entries = Entries(self)
        self.clients = self.entries.clients
        self.handing = Handing(self)
        self.recorder = Recorder(
            record_place(store_url), facts, self.clock, self._plan,
            days=config.store.timeline_days, most_bytes=config.store.record_bytes, house=self.entries.keep_house,
        )  # fmt: skip
        self._server: Server | None = None
        self._serving = asyncio.Event()
        self.metrics_of.subscribe(facts)
        leases = self.store.leases
        self.name = leases.identity.name if leases is not None else ""
        """What it is called among several; empty: it is alone."""
        self.console = View(self, Lookout(facts, self.clock.now), self.clock.now)
        keep_endings(facts, self.store, self.clock)

    # ---- starting and stopping --------------------------------------------------------------------------------

    async def start(self, *, serve: bool = True) -> None:
        """Everything runs when this returns; Asterisk may still be away. Raises StoreError, OSError (address in use)."""
        await self.store.start()
        self.http = Http()
        self.ari_http = Http(per_host=60)
        self.peer_http = Http(downloads=_STREAMS)
        self.peers = Peers(
            self.http, self.peer_http, self.entries.others, self.entries.running, shared=self.store.leases is not None
        )
        self.feeds = Feeds(self.peers, self.name)
        sender = self._make_sender(self.http, self.clock, self.facts)
        self._sender = sender
        deliverer = Deliverer(sender, self.facts, self.clock, self.rng)
        self.notifier = Notifier(self.store, self._notify_once, self._notify_route, self.facts, self.clock, self.rng)
        self.flow = Flow(self.board, self.config.routes, deliverer, self.notifier, self.facts, self.clock)
        self.runner = Runner(self.board, self.clients, self.store, self.flow, self.facts, self.clock)
        self.flow.runner = self.runner
        self._candidates = Candidates(self.facts, self.clock, self._make_sender)
        self.flow.company = Company(self._candidates, self.listening)
        self.facts.subscribe(self._journal_recovered, frozenset({JournalRecovered}).__contains__)
        self.flow.expected.on_changed = self._keep_expected
        self.flow.on_recorded = self._keep_recording
        if self.config.speech is not None:
            self.flow.speech = Speech(self.config.speech, self.http)
            if serve:
                self.flow.speech.base_of = self._reached_by
        self.resumer = Resumer(self.board, self.flow, self.runner, self.facts, self.clock)
        self.flow.on_missing = self.entries.missing
        self.metrics_of.watch_queue(self._queues)
        self.metrics_of.watch_record(self.recorder.size)
        if (leases := self.store.leases) is not None:
            self.metrics_of.watch_snapshot(lambda: leases.held_back)
        self.metrics_of.watch_calls(lambda: [x.call.route for x in self.board if not x.call.channelless])
        for settings in self.config.asterisks:
            self.metrics_of.connected.labels(settings.name).set(0)
        live = await self.entries.read()
        await start_recording(self.recorder, live, self.board, self.store, self.facts)
        await self.notifier.start()
        await self.entries.connect()
        if serve:
            await self._serve()
        if self._load is not None and self._path is not None:
            path = self._path
            changed = changes(lambda: [path, *map(Path, self.config.files)], self._stop)
            watching = watch(path, self._load, self._take_up_routes, self.facts, changed)
            self._tasks.append(asyncio.create_task(watching, name="routes.toml"))
        self.facts.emit(RoutesLoaded(str(self._path or "routes.toml"), len(self.config.routes)))

    async def stop(self) -> None:
        """Leaves every call where it is, and everything on disk."""
        self._stop.set()
        self.listeners.end()
        self.listening.end()
        await self.feeds.stop()
        await self.runner.stop()
        await self.handing.stop()
        await self.entries.stop()
        await self.notifier.stop(1.0)
        if self._server is not None:
            self._server.end()
        for task in self._tasks:
            if task.get_name() != "http":
                task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._candidates.stop()
        await self.recorder.stop()
        await self.store.close()
        await self.http.close()
        await self.ari_http.close()
        await self.peer_http.close()

    async def _serve(self) -> None:
        server = self.config.server
        tls = (server.certificate, server.key) if server.certificate else None
        self._server = Server(
            create_app(self), self.refusals.tell_http, tls, host=server.host, port=server.port, ws_per_message_deflate=False,
            ws_max_size=64 * 1024 * 1024, ws_ping_interval=2, ws_ping_timeout=6, timeout_graceful_shutdown=1,
        )  # fmt: skip
        bound = bind(server.host, server.port)
        self._tasks.append(asyncio.create_task(self._server.serve([bound]), name="http"))
        await self._server.is_up.wait()
        self._serving.set()

    @property
    def address(self) -> str:
        """Where our own HTTP is reached."""
        assert self._server is not None
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        return f"{self.config.server.scheme}://{f'[{host}]' if ':' in host else host}:{port}"

    async def _reached_by(self, asterisk: str) -> str:
        """Where that Asterisk fetches from us. Raises SpeechFailed."""
        assert self._server is not None
        if self.config.server.certificate:
            raise SpeechFailed(
                "by TLS Asterisk needs a name of ours that the certificate is for: set `base_url` in [speech]"
            )
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return await own_address(self.config.server.host, port, self.clients[asterisk].settings.url)

    def _journal_recovered(self, fact: JournalRecovered) -> None:
        if fact.what == "journal" and not self._stop.is_set():
            self.runner.recovered()

    def _keep_expected(self, asterisk: str, channel: str, announced: Announce | None) -> None:
        value = msgspec.msgpack.encode((asterisk, announced)) if announced else None
        self.store.put_meta(f"announced/{asterisk}/{channel}", value)

    def _keep_recording(self, asterisk: str, name: str, made: tuple[str, str] | None) -> None:
        self.store.put_meta(f"recording/{asterisk}/{name}", msgspec.msgpack.encode(made) if made else None)

    # ---- routes -----------------------------------------------------------------------------------------------

    def route_of(self, name: str, tenant: str = "") -> Route:
        route = self.config.routes.by_name(name)
        if route is None or route.tenant != tenant:  # its endpoint may be another tenant's by now
            return msgspec.structs.replace(NO_ROUTE, name=name, tenant=tenant)
        return route

    def _take_up_routes(self, config: Config) -> None:
        """An edited file: routes at once, the rest with the next start."""
        if (config.asterisks, config.server, config.speech) != (
            self.config.asterisks, self.config.server, self.config.speech
        ):  # fmt: skip
            message = "changes outside [[routes]] are taken up by a restart"
            self.facts.emit(Warned("routes", message))
        self.config = msgspec.structs.replace(self.config, routes=config.routes, files=config.files)
        self.flow.table = config.routes
        for live in self.board:
            route = config.routes.by_name(live.call.route)
            if route is not None and route.mode == "control" and route.tenant == live.call.tenant:
                live.route = route
        self.notifier.routes_changed()
        self._renew_certificate()
        self.choose_events()
        self._tasks.append(asyncio.create_task(self._refilter(), name="filter"))

    def _renew_certificate(self) -> None:
        """Its files are watched, too: a renewed one counts from the next connection on."""
        if self._server is not None:
            try:
                self._server.renew()
            except (OSError, ValueError) as error:
                self.facts.emit(Warned("server.tls_certificate", f"the renewed one cannot be used: {error}"))

    async def _refilter(self) -> None:
        for client in self.clients.values():
            await client.refilter()

    def choose_events(self) -> None:
        named = self.config.routes.event_types()
        types = None if named is None else (named & event_types().keys()) | NEEDED_EVENTS
        for client in self.clients.values():
            client.set_events(types)

    def _notify_route(self, name: str) -> Route | None:
        return self.config.routes.by_name(name)

    async def _notify_once(self, route: Route, delivery: StoredDelivery, number: int) -> Attempt:
        endpoint = route.endpoint
        if delivery.url:
            endpoint = route.endpoint_at(delivery.url)
        message = Message(delivery.id, delivery.type, delivery.body, "notify", delivery.call, route.name)
        timeout = endpoint.timeout if route.mode == "notify" else max(endpoint.timeout, _NOTIFY_TIMEOUT)
        attempt = await self._sender.attempt(endpoint, message, number, timeout, None)
        if attempt.stale:  # the endpoint had closed the kept connection: that says nothing of the endpoint
            attempt = await self._sender.attempt(endpoint, message, number, timeout, None)
        return attempt

    # ---- what the web asks for (hookrouter.web.app.Router) ----------------------------------------------------

    def alive(self) -> bool:
        return not self._stop.is_set()

    def ready(self) -> dict[str, str]:
        return self.entries.states()

    def metrics(self) -> bytes:
        return self.metrics_of.render()

    def openapi(self) -> dict[str, Any]:
        return openapi_document()

    def owned(self) -> list[str]:
        return list(self.clients)

    def _queues(self) -> dict[str, float]:
        waiting = sum(len(live.call.outbox) for live in self.board)
        calls = sum(not live.call.channelless for live in self.board)
        return {"calls": calls, "control": waiting, "requests": sum(len(x.call.requests) for x in self.board)}

    def calls(self, access: Access = ALL) -> list[dict[str, Any]]:
        return [shown_call(live) for live in self.board if not live.call.channelless and access.sees(live.call.tenant)]

    def _live(self, id: str, access: Access) -> Live | None:
        """The call of this channel, one that has not ended first."""
        found = [live for live in self.board if live.call.id == id and access.sees(live.call.tenant)]
        return min(found, key=lambda live: live.call.ended, default=None)

    async def call(self, id: str, access: Access = ALL) -> dict[str, Any] | None:
        live = self._live(id, access)
        if live is not None:
            return shown_call(live) | {"timeline": await self._timeline(id, access)}
        if (ringing := self._ringing(id, access)) is not None:
            return shown_ringing(*ringing)
        for finished in await self.store.recent_calls(1000):
            if finished.call_id == id and access.sees(tenant_of_summary(finished)):
                return shown_summary(finished) | {"timeline": await self._timeline(id, access)}
        self._not_moving()
        return None

    def has(self, id: str, access: Access = ALL) -> bool:
        """Whether it has the call in hand, also one that nobody has answered yet."""
        return self._live(id, access) is not None or self._ringing(id, access) is not None

    async def _timeline(self, id: str, access: Access) -> list[dict[str, Any]]:
        with contextlib.suppress(StoreError):  # the database is away, and the call is there all the same
            if (found := await self.recorder.read(id, access.tenant)) is not None:
                return timeline(found[1])
        return []

    def _plan(self, route: str) -> Plan:
        found = self.config.routes.by_name(route)
        if found is None:
            return Plan()
        return Plan(found.record, found.tenant, found.redact, found.shadow is not None)

    async def find_calls(self, query: dict[str, str], access: Access = ALL) -> list[dict[str, Any]]:
        wanted = query_of(query, access.tenant, self.clock.now())
        return [shown_row(row) for row in await self.recorder.find(wanted)]

    async def record(self, id: str, access: Access = ALL) -> dict[str, Any] | None:
        found = await self.recorder.read(id, access.tenant)
        return shown_record(*found) if found is not None else None

    def _not_moving(self) -> None:
        """Raises NotHere where what is not found may be on its way to another router."""
        if self.handing.moving():
            raise NotHere("an Asterisk is on its way to another router")

    def act(self, id: str, answer: bytes, access: Access = ALL) -> bool:
        live, decoded = self.judged(id, answer, access)
        if live is None:
            self._not_moving()
            return False
        self.flow.inject(live, decoded)
        return True

    def judged(self, id: str, answer: bytes, access: Access = ALL) -> tuple[Live | None, Answer]:
        """The call that goes on, and the actions that it may be given. Raises AnswerRefused."""
        decoded = decode_answer(answer, "application/json", first=True)
        live = self._live(id, access)
        if live is None or live.call.ended:
            return None, decoded
        top = "/actions" if answer.lstrip()[:1] == b"{" else ""
        refuse(decoded.steps, Rules(live.route.policy, live.route.url, live.route.allow_urls), top)
        return live, decoded

    async def originate(self, body: bytes, access: Access = ALL) -> dict[str, Any]:
        from hookrouter.service.originating import originate

        names = [settings.name for settings in self.config.asterisks]
        clients = {name: client for name, client in self.clients.items() if not self.entries.given(name)}
        return await originate(clients, self.flow, self.config.routes, self.call, body, access.tenant, names)

    def _ringing(self, id: str, access: Access) -> tuple[str, str, Announce] | None:
        """A call of ours that has been asked for and is not there yet: where, on which channel, and what it is to be."""
        found = self.flow.expected.of_call(id)
        return found if found is not None and access.sees(found[2].tenant) else None

    async def hangup(self, id: str, access: Access = ALL) -> bool:
        live, ringing = self._live(id, access), self._ringing(id, access)
        if live is not None and not live.call.ended:
            asterisk, channel = live.call.asterisk, live.call.channel
        elif ringing is not None:
            asterisk, channel, _ = ringing
        else:
            self._not_moving()
            return False
        await self.clients[asterisk].perform(Request("channels.hangup", {"channelId": channel}), call=id)
        return True

    def _of(self, access: Access, which: Filter) -> Filter:
        """Only deliveries of routes of the tenant."""
        if access.tenant is None:
            return which
        routes = tuple(route.name for route in self.config.routes.routes if route.tenant == access.tenant)
        return msgspec.structs.replace(which, routes=routes)

    async def deliveries(self, query: dict[str, str], access: Access = ALL) -> list[dict[str, Any]]:
        which, limit, after = filter_of(query)
        which = self._of(access, which)
        if which.ids and not await self.notifier.find(Filter(which.ids, which.routes), 1, 0):
            return []
        if which.ids:
            return [
                shown_delivery(found) | {"attempts_made": [msgspec.to_builtins(entry) for entry in entries]}
                for found, entries in await self.notifier.show(which.ids[0])
            ]
        return [shown_delivery(found) for found in await self.notifier.find(which, limit, after)]

    async def replay(self, query: dict[str, str], access: Access = ALL, *, told: bool = False) -> int:
        which, _, _ = filter_of(query)
        if which == Filter() and query.get("all") != "true":
            raise ValueError("give a filter, such as route=crm, or all=true for every dead letter")
        return await self.notifier.replay(self._of(access, which), told=told)

    async def recording(self, asterisk: str, name: str, access: Access = ALL) -> Download | int:
        known = asterisk in self.asterisks()
        clients = [client for client in self.clients.values() if not known or client.name == asterisk]
        found: Download | int = 404
        for client in clients:
            made = self.flow.recorder(client.name, name)
            if access.tenant is not None and (made is None or made[0] != access.tenant):
                continue  # one that no call of ours has made is for who sees all
            found = await client.download(f"/recordings/stored/{quote(name, safe='')}/file")
            if not isinstance(found, int):
                break
        return found

    def speaks(self, name: str) -> bool:
        """Whether a spoken text may have that name."""
        return self.flow.speech is not None and self.flow.speech.names(name)

    def spoken(self, name: str) -> Path | None:
        """The file of a spoken text, for Asterisk to fetch."""
        return self.flow.speech.file(name) if self.flow.speech is not None else None

    def _broadcast(self, fact: Any) -> None:
        fields = {name: getattr(fact, name) for name in said_fields(type(fact))}
        named = {"router": self.name} if self.name else {}
        line = line_without_queries(msgspec.json.encode({"fact": type(fact).__name__, **fields, **named}))
        self.listeners.put(line, lambda: self._tenant_of(fact))

    def _tenant_of(self, fact: Any) -> str | None:
        """Whose call or route a fact tells of; None: nobody's."""
        if call := getattr(fact, "call", ""):
            known, tenant = self.board.whose(self.clients, call)
            if known:
                return tenant
        route = self.config.routes.by_name(getattr(fact, "route", ""))
        return route.tenant if route is not None else None

    def asterisks(self) -> dict[str, AsteriskSettings]:
        return {settings.name: settings for settings in self.config.asterisks}

    def inbound(self, name: str) -> Callable[[Any], Awaitable[None]] | None:
        client = self.clients.get(name)
        return None if self._stop.is_set() or client is None else client.accept

    def invited(self, name: str) -> tuple[str, str] | None:
        """The user and password that an Asterisk was told to show when it comes; None: it was told nothing yet."""
        client = self.clients.get(name)
        return client.invitation.credentials if client is not None and client.invitation is not None else None

    async def invited_to(self, settings: AsteriskSettings) -> str:
        """Where that Asterisk reaches us, as the beginning of a WebSocket's address. Raises OSError."""
        await self._serving.wait()
        assert self._server is not None
        if given := advertised(settings, self.config.cluster):
            return f"ws{given.removeprefix('http')}"
        port = self._server.servers[0].sockets[0].getsockname()[1]
        return f"ws://{await reached_at(self.config.server.host, port, settings.url)}"

    def inbound_refused(self, name: str, reason: str) -> None:
        client = self.clients.get(name)
        if client is not None and client.settings.mode == "listen" and not client.ready:
            client.state = "unauthorized" if reason != "wrong_app" else reason  # /readyz says so
