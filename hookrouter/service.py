"""Wires, starts and stops everything; the only place that knows all the parts."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from hookrouter.actions.decode import decode_answer
from hookrouter.ari.client import AriClient, Connected
from hookrouter.ari.events import Head, make_event
from hookrouter.ari.operations import Request, event_types
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.calls.board import Board, Live
from hookrouter.calls.call import decode_call
from hookrouter.calls.effects import Announce
from hookrouter.calls.runner import Runner
from hookrouter.clock import Clock, SystemClock
from hookrouter.config import Config
from hookrouter.config.watching import changes, watch
from hookrouter.delivery.deliverer import Deliverer
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.notifier import Notifier
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.queue import Filter, StoredDelivery
from hookrouter.delivery.sender import Sender
from hookrouter.facts import Facts, RoutesLoaded, Warned
from hookrouter.flow import Flow
from hookrouter.http import Http
from hookrouter.openapi import openapi_document
from hookrouter.resume import Resumer
from hookrouter.routing.endpoint import NO_ROUTE, Route
from hookrouter.speech import Speech
from hookrouter.store import Retention, Store, open_store
from hookrouter.telemetry.metrics import Metrics
from hookrouter.telemetry.timeline import Timelines, read_summary
from hookrouter.web.app import create_app, sse
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
_NOTIFY_TIMEOUT = 15.0
_REPLAY_LIMIT = 10_000


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
    ) -> None:
        self.config = config
        self.facts = facts
        self.token = config.server.token
        self._path = path
        self._load = load
        self._clock = clock or SystemClock()
        self._rng = rng
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[Any]] = []
        self._listeners: set[asyncio.Queue[bytes | None]] = set()
        self.metrics_of = Metrics()
        retention = Retention(
            finished_age=config.store.timeline_days * _DAY,
            delivered_age=config.store.delivered_days * _DAY,
            dead_age=config.store.dead_letter_days * _DAY,
        )
        self.store: Store = open_store(store_url, facts, self._clock, retention)
        self.board = Board()
        self.clients: dict[str, AriClient] = {}
        self.timelines = Timelines(self.store, self._clock)
        self._server: Server | None = None
        facts.subscribe(self.metrics_of.observe)
        facts.subscribe(self.timelines.observe)
        facts.subscribe(self._broadcast)

    # ---- starting and stopping --------------------------------------------------------------------------------

    async def start(self, *, serve: bool = True) -> None:
        """Everything runs when this returns; Asterisk may still be away. Raises StoreError, OSError (address in use)."""
        await self.store.start()
        self._http = Http()
        self._ari_http = Http(per_host=60)
        sender = Sender(self._http, self._clock)
        self._sender = sender
        deliverer = Deliverer(sender, self.facts, self._clock, self._rng)
        self.notifier = Notifier(self.store, self._notify_once, self._notify_route, self.facts, self._clock, self._rng)
        self.flow = Flow(self.board, self.config.routes, deliverer, self.notifier, self.facts, self._clock)
        self.runner = Runner(self.board, self.clients, self.store, self.flow, self.facts, self._clock)
        self.flow.runner = self.runner
        self.flow.on_announced = self._keep_announced
        if self.config.speech is not None:
            self.flow.speech = Speech(self.config.speech, self._http)
        self.resumer = Resumer(self.board, self.flow, self.runner, self.facts, self._clock)
        self.flow.on_missing = self._missing
        self.metrics_of.watch_queue(self._queues)
        self.metrics_of.watch_calls(lambda: [x.call.route for x in self.board if not x.call.channelless])
        for settings in self.config.asterisks:
            self.metrics_of.connected.labels(settings.name).set(0)
        meta = await self.store.load_meta()
        await self._take_up_calls(meta)
        await self.notifier.start()
        for settings in self.config.asterisks:
            self.clients[settings.name] = self._client(settings, meta)
        self._choose_events()
        for client in self.clients.values():
            await client.start()
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
        for queue in self._listeners:
            queue.put_nowait(None)
        await self.runner.stop()
        for client in self.clients.values():
            await client.stop()
        await self.notifier.stop(1.0)
        if self._server is not None:
            self._server.end()
        for task in self._tasks:
            if task.get_name() != "http":
                task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(2.0):
                await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.store.close()
        await self._http.close()
        await self._ari_http.close()

    async def _serve(self) -> None:
        server = self.config.server
        self._server = Server(
            create_app(self), host=server.host, port=server.port, ws="websockets-sansio", ws_per_message_deflate=False,
            ws_max_size=64 * 1024 * 1024, ws_ping_interval=4, ws_ping_timeout=4, timeout_graceful_shutdown=1,
        )  # fmt: skip
        bound = bind(server.host, server.port)
        self._tasks.append(asyncio.create_task(self._server.serve([bound]), name="http"))
        await self._server.is_up.wait()

    @property
    def address(self) -> str:
        """Where our own HTTP is reached."""
        assert self._server is not None
        host, port = self._server.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"

    def _client(self, settings: AsteriskSettings, meta: Mapping[str, bytes]) -> AriClient:
        name = settings.name

        def on_event(raw: bytes, head: Head) -> None:
            self.flow.on_event(make_event(name, raw, head))

        async def on_connected(connected: Connected) -> None:
            await self.resumer.on_connected(self.clients[name], connected)
            self.store.put_meta(f"startup/{name}", connected.startup_time.encode())

        def on_link() -> None:
            self.flow.hold(name)

        return AriClient(
            settings,
            on_event=on_event,
            on_link=on_link,
            on_connected=on_connected,
            facts=self.facts,
            clock=self._clock,
            random=self._rng,
            http=self._ari_http,
            startup_time=meta.get(f"startup/{name}", b"").decode(),
        )

    async def _take_up_calls(self, meta: Mapping[str, bytes]) -> None:
        names = {settings.name for settings in self.config.asterisks}
        for stored in await self.store.load_calls():
            try:
                call = decode_call(stored.snapshot)
            except (msgspec.DecodeError, ValueError) as error:
                self.facts.emit(Warned("journal", f"call {stored.call_id} cannot be read: {error}", stored.call_id))
                self.store.drop_call(stored.call_id)
                continue
            if call.asterisk not in names:
                self.facts.emit(Warned("journal", f"[asterisk.{call.asterisk}] is gone, and its call with it", call.id))
                self.store.drop_call(stored.call_id)
                continue
            live = self.runner.take_up(call, self._route_of(call.route))
            self.timelines.take_up(call.id)
            self.resumer.took_up(live)
        for key, value in meta.items():
            if key.startswith("announced/"):
                asterisk, announced = msgspec.msgpack.decode(value, type=tuple[str, Announce])
                self.flow.announced[(asterisk, announced.channel)] = announced

    def _missing(self, live: Live) -> None:
        if self.clients[live.call.asterisk].ready:  # else the calls are looked at when it is connected again
            self.resumer.missing(live)

    def _keep_announced(self, asterisk: str, announced: Announce) -> None:
        value = msgspec.msgpack.encode((asterisk, announced)) if announced.route else None
        self.store.put_meta(f"announced/{asterisk}/{announced.channel}", value)

    # ---- routes -----------------------------------------------------------------------------------------------

    def _route_of(self, name: str) -> Route:
        return self.config.routes.by_name(name) or msgspec.structs.replace(NO_ROUTE, name=name)

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
            if route is not None and route.mode == "control":
                live.route = route
        self.notifier.routes_changed()
        self._choose_events()
        self._tasks.append(asyncio.create_task(self._refilter(), name="filter"))

    async def _refilter(self) -> None:
        for client in self.clients.values():
            await client.refilter()

    def _choose_events(self) -> None:
        named = self.config.routes.event_types()
        types = None if named is None else (named & event_types().keys()) | NEEDED_EVENTS
        for client in self.clients.values():
            client.set_events(types)

    def _notify_route(self, name: str) -> Route | None:
        return self.config.routes.by_name(name)

    async def _notify_once(self, route: Route, delivery: StoredDelivery, number: int) -> Attempt:
        endpoint = route.endpoint
        if delivery.url:
            endpoint = msgspec.structs.replace(endpoint, url=delivery.url)
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
        return {name: client.state for name, client in self.clients.items()}

    def metrics(self) -> bytes:
        return self.metrics_of.render()

    def openapi(self) -> dict[str, Any]:
        return openapi_document()

    def _queues(self) -> dict[str, float]:
        waiting = sum(len(live.call.outbox) for live in self.board)
        calls = sum(not live.call.channelless for live in self.board)
        return {"calls": calls, "control": waiting, "requests": sum(len(x.call.requests) for x in self.board)}

    def calls(self) -> list[dict[str, Any]]:
        return [_described(live) for live in self.board if not live.call.channelless]

    async def call(self, id: str) -> dict[str, Any] | None:
        live = self.board.by_channel(id)
        if live is not None:
            return _described(live) | {"timeline": self.timelines.of(id)}
        for finished in await self.store.recent_calls(1000):
            if finished.call_id == id:
                return read_summary(finished.summary)
        return None

    def act(self, id: str, answer: bytes) -> bool:
        decoded = decode_answer(answer, "application/json", first=True)
        live = self.board.by_channel(id)
        if live is None or live.call.ended:
            return False
        self.flow.inject(live, decoded)
        return True

    async def originate(self, body: bytes) -> dict[str, Any]:
        from hookrouter.originating import originate

        return await originate(self.clients, self.flow, self.config.routes, self.call, body)

    async def hangup(self, id: str) -> bool:
        live = self.board.by_channel(id)
        if live is None or live.call.ended:
            return False
        await self.clients[live.call.asterisk].perform(Request("channels.hangup", {"channelId": id}), call=id)
        return True

    async def deliveries(self, query: dict[str, str]) -> list[dict[str, Any]]:
        which, limit, after = _filter(query)
        if which.ids:
            return [
                _delivery(found) | {"attempts_made": [msgspec.to_builtins(entry) for entry in entries]}
                for found, entries in await self.notifier.show(which.ids[0])
            ]
        return [_delivery(found) for found in await self.notifier.find(which, limit, after)]

    async def replay(self, query: dict[str, str]) -> int:
        which, _, _ = _filter(query)
        return await self.notifier.replay(which)

    async def recording(self, asterisk: str, name: str) -> tuple[int, str, bytes]:
        clients = [self.clients[asterisk]] if asterisk in self.clients else list(self.clients.values())
        status, kind, audio = 404, "", b""
        for client in clients:
            status, kind, audio = await client.fetch(f"/recordings/stored/{quote(name, safe='')}/file")
            if status == 200:
                break
        return status, kind, audio

    def spoken(self, name: str) -> Path | None:
        """The file of a spoken text, for Asterisk to fetch."""
        return self.flow.speech.file(name) if self.flow.speech is not None else None

    def events(self) -> AsyncIterator[bytes]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue(1000)
        self._listeners.add(queue)

        async def stream() -> AsyncIterator[bytes]:
            try:
                async for chunk in sse(queue):
                    yield chunk
            finally:
                self._listeners.discard(queue)

        return stream()

    def _broadcast(self, fact: Any) -> None:
        if not self._listeners:
            return
        line = msgspec.json.encode({"fact": type(fact).__name__, **msgspec.to_builtins(fact)})
        for queue in self._listeners:
            with contextlib.suppress(asyncio.QueueFull):
                queue.put_nowait(line)

    def inbound(self, name: str, username: str, password: str) -> Callable[[Any], Awaitable[None]] | None:
        client = self.clients.get(name)
        if client is None or client.settings.mode != "listen" or self._stop.is_set():
            return None
        settings = client.settings
        right = hmac.compare_digest(
            f"{username}:{password}".encode(), f"{settings.username}:{settings.password}".encode()
        )
        return client.accept if right else None


def _described(live: Live) -> dict[str, Any]:
    call = live.call
    return {
        "id": call.id,
        "asterisk": call.asterisk,
        "app": call.app,
        "route": call.route,
        "caller": call.caller,
        "called": call.called,
        "started_at": call.started_at,
        "up": call.up,
        "ended": call.ended,
        "state": msgspec.Raw(call.state) and msgspec.json.decode(call.state),
        "programs": [
            {
                "id": program.id,
                "kind": program.kind,
                "index": program.index,
                "actions": [msgspec.json.decode(step) for step in program.steps],
                "waiting": bool(program.waiting),
            }
            for program in call.programs.values()
        ],
        "waiting_events": len(call.outbox),
    }


def _delivery(found: StoredDelivery) -> dict[str, Any]:
    shown = {name: getattr(found, name) for name in found.__struct_fields__ if name != "body"}
    return shown | {"body": found.body.decode("utf-8", "replace")}


def _filter(query: dict[str, str]) -> tuple[Filter, int, int]:
    """A query's filter. Raises ValueError."""
    known = {"id", "status", "route", "call", "type", "reason", "created_after", "created_before", "limit", "after"}
    if unknown := set(query) - known:
        raise ValueError(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(sorted(known))}")
    status = query.get("status")
    if status not in (None, "pending", "delivered", "dead"):
        raise ValueError(f"status is pending, delivered or dead, not {status}")
    which = Filter(
        ids=(query["id"],) if "id" in query else (),
        status=status,  # type: ignore[arg-type]
        route=query.get("route", ""),
        call=query.get("call", ""),
        type=query.get("type", ""),
        reason=query.get("reason", ""),
        created_after=float(query["created_after"]) if "created_after" in query else None,
        created_before=float(query["created_before"]) if "created_before" in query else None,
    )
    return which, min(int(query.get("limit", "100")), _REPLAY_LIMIT), int(query.get("after", "0"))
