"""One AriClient against an Asterisk of strings: what it does with each socket, and which way each request goes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import msgspec
import pytest
import websockets.exceptions
from websockets.datastructures import Headers
from websockets.http11 import Response

from hookrouter.ari import client as client_module
from hookrouter.ari import greeting as greeting_module
from hookrouter.ari.client import AriClient, Connected
from hookrouter.ari.events import Head
from hookrouter.ari.operations import Request
from hookrouter.ari.protocol import RestRequest, decode_request, encode_response
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.ari.websocket import PingTimeout
from hookrouter.facts import AriConnected, AriLost, AriReplaced, AriRequested, Fact, Facts, Warned
from hookrouter.http.client import Http
from hookrouter.http.trust import Trust

INFO = b'{"status":{"startup_time":"2026-11-23T01:00:00"},"system":{"version":"22.10.1"}}'
PING = Request("asterisk.ping", {})
ANSWER = Request("channels.answer", {"channelId": "1"})


class Time:
    """Passes only in sleep, and lets others have their turn."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    monotonic = now

    async def sleep(self, delay: float) -> None:
        self.slept.append(delay)
        self.time += delay
        await asyncio.sleep(0)


class Socket:
    """The other end of one socket. `answers`: (status, body) by the request's path, or None for silence."""

    def __init__(self, **answers: tuple[int, bytes] | None) -> None:
        self.answers: dict[str, tuple[int, bytes] | None] = {"asterisk/info": (200, INFO)} | answers
        self.requests: list[RestRequest] = []
        self.closed = False
        self.half_open = False
        self.quiet = 0.0
        self.boots_after = 0  # requests that are refused until then
        self.gone = asyncio.Event()
        self._queue: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    async def recv(self) -> bytes:
        item = await self._queue.get()
        if isinstance(item, Exception):
            self.gone.set()
            raise item
        return item

    async def send(self, data: bytes) -> None:
        request = decode_request(data)
        self.requests.append(request)
        if len(self.requests) == self.boots_after:
            self.answers["asterisk/info"] = (200, INFO)
        usual = (200, b"{}") if request.uri.startswith("applications/") else (204, b"")
        found = self.answers.get(request.uri.partition("?")[0], usual)
        if found is not None:
            self._queue.put_nowait(encode_response(request, found[0], "", found[1]))

    async def close(self) -> None:
        self.closed = True
        if not self.half_open:
            self.end(ConnectionError("closed"))

    def say(self, **event: Any) -> None:
        self._queue.put_nowait(msgspec.json.encode(event))

    def say_raw(self, raw: bytes) -> None:
        self._queue.put_nowait(raw)

    def end(self, error: Exception) -> None:
        self._queue.put_nowait(error)

    def uris(self) -> list[str]:
        return [f"{r.method} {r.uri.partition('?')[0]}" for r in self.requests]


class World:
    """A client, and all that it says."""

    def __init__(
        self,
        settings: AsteriskSettings,
        over_http: Callable[[httpx.Request], Awaitable[httpx.Response]] | None = None,
        startup_time: str = "",
    ) -> None:
        self.time = Time()
        self.facts: list[Fact] = []
        self.events: list[str] = []
        self.connected: list[Connected] = []
        self.links = 0
        self.broken: Exception | None = None
        self.over_http: list[httpx.Request] = []
        self._changed = asyncio.Event()
        http = None
        if over_http is not None:
            handler = over_http

            async def count(request: httpx.Request) -> httpx.Response:
                self.over_http.append(request)
                return await handler(request)

            http = Http(transport=httpx.MockTransport(count))
        self.client = AriClient(
            settings, on_event=self._event, on_link=self._link, on_connected=self._connected,
            facts=Facts(self._fact), clock=self.time, random=lambda: 0.5, http=http, startup_time=startup_time,
        )  # fmt: skip

    def _link(self) -> None:
        self.links += 1

    def _event(self, raw: bytes, head: Head) -> None:
        if head.type == "Poison":
            raise ValueError("we have a mistake here")
        self.events.append(head.type)
        self._changed.set()

    async def _connected(self, connected: Connected) -> None:
        if self.broken is not None:
            raise self.broken
        self.connected.append(connected)

    def _fact(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._changed.set()

    def of(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def until(self, condition: Callable[[], Any], timeout: float = 5.0) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def accept(self, socket: Socket) -> asyncio.Task[None]:
        """Asterisk opens this socket; returns when the client is ready."""
        before = len(self.of(AriConnected))
        task = asyncio.create_task(self.client.accept(socket))
        await self.until(lambda: len(self.of(AriConnected)) > before)
        return task


LISTEN = AsteriskSettings("main", url="", apps=("a", "b"), mode="listen", subscribe=("endpoint:PJSIP",))
BOTH = AsteriskSettings("main", url="http://pbx:8088", apps=("a",), mode="listen")
CONNECT = AsteriskSettings("main", url="http://pbx:8088/", username="me", password="pässword", apps=("a", "b c"))


async def fine(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=INFO)


async def missing(request: httpx.Request) -> httpx.Response:
    return httpx.Response(404, content=b"{}")


async def refused(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("refused")


# ---- a socket's life


async def test_each_connection_is_greeted_before_it_counts() -> None:
    """Who is there, the filter of every app, the subscriptions of every app, and only then `connected`."""
    world, socket = World(LISTEN), Socket()
    world.client.set_events({"StasisStart"})
    await world.client.start()
    assert world.client.state == "waiting for Asterisk to connect"
    task = await world.accept(socket)
    assert socket.uris() == [
        "GET asterisk/info",
        "PUT applications/a/eventFilter",
        "PUT applications/b/eventFilter",
        "POST applications/a/subscription",
        "POST applications/b/subscription",
    ]
    allowed = {entry["type"] for entry in msgspec.json.decode(socket.requests[1].body)["allowed"]}
    assert allowed >= {"StasisStart", "RESTResponse", "ApplicationReplaced"}
    assert parse_qs(urlsplit(socket.requests[3].uri).query) == {"eventSource": ["endpoint:PJSIP"]}
    assert world.connected == [Connected(False, False, "2026-11-23T01:00:00", "22.10.1")]
    assert world.client.ready
    await world.client.stop()
    assert task.done()
    assert not world.client.ready
    assert not world.of(AriLost)


async def test_without_a_filter_all_events_are_asked_for() -> None:
    """A filter that an earlier configuration left is taken away."""
    world, socket = World(LISTEN), Socket()
    await world.accept(socket)
    assert socket.requests[1].body in (b"{}", b"")
    await world.client.stop()


async def test_events_flow_from_the_start_and_garbage_does_not_stop_them() -> None:
    """Unknown events pass; what is no JSON, or what we stumble over, costs only itself."""
    world, socket = World(LISTEN), Socket()
    await world.accept(socket)
    socket.say(type="StasisStart")
    socket.say_raw(b"\xff{")
    socket.say(type="Poison")
    socket.say(type="RESTResponse", request_id="77", status_code=200)
    socket.say(type="NewIn99", deep={"a": [1]})
    await world.until(lambda: "NewIn99" in world.events)
    assert world.events == ["StasisStart", "NewIn99"]
    assert [fact.subject for fact in world.of(Warned)] == ["ari.garbage", "internal"]
    assert world.client.ready
    await world.client.stop()


@pytest.mark.parametrize(
    ("error", "reason"),
    [(ConnectionError("received 1000 (OK)"), "closed"), (PingTimeout("no pong"), "ping_timeout")],
    ids=["clean or not", "ping"],
)
async def test_an_end_is_a_loss_like_any_other(error: Exception, reason: str) -> None:
    """The state says so at once, and a request goes nowhere."""
    world, socket = World(LISTEN), Socket()
    task = await world.accept(socket)
    socket.end(error)
    await asyncio.wait_for(task, 5)
    assert [(fact.reason, fact.detail) for fact in world.of(AriLost)] == [(reason, str(error))]
    assert world.client.state == reason
    reply = await world.client.perform(PING)
    assert (reply.status, reply.fate) == (0, "unreachable")
    assert world.time.time >= 7


async def test_what_waits_for_a_reply_when_the_socket_ends_is_of_unknown_fate() -> None:
    """Digits are not sent again."""
    world, socket = World(LISTEN), Socket(**{"channels/1/dtmf": None})
    task = await world.accept(socket)
    performing = asyncio.create_task(world.client.perform(Request("channels.sendDTMF", {"channelId": "1", "dtmf": "1"})))
    async with asyncio.timeout(5):
        while "POST channels/1/dtmf" not in socket.uris():
            await asyncio.sleep(0)
    socket.end(ConnectionError("gone"))
    assert (await performing).fate == "unknown"
    await task


async def test_no_reply_in_time_is_of_unknown_fate() -> None:
    """And a reply that comes later is nobody's."""
    world, socket = World(LISTEN), Socket(**{"channels/1/dtmf": None})
    await world.accept(socket)
    reply = await world.client.perform(Request("channels.sendDTMF", {"channelId": "1", "dtmf": "1"}), timeout=0.01)
    assert (reply.fate, reply.body) == ("unknown", b"no reply within 0.01 s")
    socket.say_raw(encode_response(socket.requests[-1], 204, "", b""))
    assert (await world.client.perform(PING)).status == 204
    await world.client.stop()


async def test_an_asterisk_that_started_anew_is_noticed() -> None:
    """Against the journal's start-up time at first, then against the last connection's."""
    world = World(LISTEN, startup_time="2020-01-01T00:00:00")
    first, second, third = Socket(), Socket(), Socket()
    third.answers["asterisk/info"] = (200, INFO.replace(b"01:00", b"02:00"))
    for socket in (first, second, third):
        task = await world.accept(socket)
        socket.end(ConnectionError("gone"))
        await task
    assert [(c.reconnect, c.restarted) for c in world.connected] == [(False, True), (True, False), (True, True)]


async def test_a_newer_socket_takes_over_from_one_that_is_half_open() -> None:
    """The old one would agree to its end only after seconds: nobody waits for it."""
    world, old, new = World(LISTEN), Socket(), Socket()
    first = await world.accept(old)
    old.half_open = True
    second = await world.accept(new)
    await asyncio.wait_for(first, 1)
    assert old.closed
    assert (await world.client.perform(PING)).status == 204
    assert "GET asterisk/ping" in new.uris()
    await world.client.stop()
    assert second.done()


async def test_a_socket_that_comes_while_we_stop_is_left_to_our_successor() -> None:
    """Its events would be read and lost."""
    world, socket = World(LISTEN), Socket()
    await world.client.stop()
    await world.client.accept(socket)
    assert not socket.requests
    assert world.links == 0


@pytest.mark.parametrize("body", [b"", b"[]", b'{"status":'], ids=["nothing", "a list", "half of it"])
async def test_an_info_that_is_none_ends_the_connection(body: bytes) -> None:
    """And not the client."""
    world, socket = World(LISTEN), Socket(**{"asterisk/info": (200, body)})
    await asyncio.wait_for(world.client.accept(socket), 5)
    assert world.client.state == "unavailable"
    assert socket.closed


async def test_a_socket_that_comes_before_asterisk_is_ready_is_kept() -> None:
    """It is asked again until it is; a socket that is cut would be opened again at once."""
    world, socket = World(LISTEN), Socket(**{"asterisk/info": (503, b'{"message":"Asterisk not booted"}')})
    socket.boots_after = 3
    await world.accept(socket)
    assert world.client.ready
    assert not world.of(AriLost)
    assert socket.uris().count("GET asterisk/info") == 3
    await world.client.stop()


async def test_an_asterisk_that_never_gets_ready_ends_the_connection() -> None:
    """After half a minute."""
    world, socket = World(LISTEN), Socket(**{"asterisk/info": (503, b'{"message":"Asterisk not booted"}')})
    await asyncio.wait_for(world.client.accept(socket), 5)
    assert "503" in world.of(AriLost)[0].detail
    assert sum(world.time.slept) == pytest.approx(30)


async def test_a_mistake_of_ours_ends_the_connection_and_not_the_client() -> None:
    """The next connection is greeted like any other."""
    world = World(LISTEN)
    world.broken = KeyError("resume")
    await asyncio.wait_for(world.client.accept(Socket()), 5)
    assert world.client.state == "unavailable"
    assert "KeyError" in world.of(Warned)[0].message
    world.broken = None
    await world.accept(Socket())
    assert world.client.ready
    await world.client.stop()


async def test_who_is_replaced_steps_down() -> None:
    """The socket is closed, the state says why, and no event of it counts any more."""
    world, socket = World(LISTEN), Socket()
    task = await world.accept(socket)
    socket.say(type="ApplicationReplaced", application="other")
    socket.say(type="ApplicationReplaced", application="b")
    socket.say(type="StasisStart")
    await asyncio.wait_for(task, 5)
    assert [fact.app for fact in world.of(AriReplaced)] == ["b"]
    assert world.client.state == "replaced"
    assert "StasisStart" not in world.events
    assert not world.of(AriLost)


# ---- which way a request goes


async def test_requests_go_over_the_socket() -> None:
    """Also those that could block, while nothing runs on their channel."""
    world, socket = World(BOTH, fine), Socket()
    await world.accept(socket)
    assert (await world.client.perform(ANSWER, channel_busy=lambda: False)).status == 204
    assert not world.over_http
    requested = world.of(AriRequested)[-1]
    assert (requested.operation, requested.transport, requested.status, requested.attempt) == ("channels.answer", "ws", 204, 1)
    await world.client.stop()


async def test_what_would_block_goes_over_http() -> None:
    """With our credentials; the socket stays free for all others."""
    world, socket = World(BOTH, fine), Socket()
    await world.accept(socket)
    assert (await world.client.perform(ANSWER, channel_busy=lambda: True)).status == 200
    assert [str(request.url) for request in world.over_http] == ["http://pbx:8088/ari/channels/1/answer"]
    assert world.over_http[0].headers["authorization"].startswith("Basic ")
    assert "POST channels/1/answer" not in socket.uris()
    assert (await world.client.perform(Request("channels.get", {"channelId": "1"}), channel_busy=lambda: True)).status == 204
    await world.client.stop()


@pytest.mark.parametrize("settings", [LISTEN, BOTH], ids=["no url", "http is refused"])
async def test_without_http_it_waits_until_the_channel_is_free(settings: AsteriskSettings) -> None:
    """Other requests pass meanwhile."""
    world, socket = World(settings, refused if settings.url else None), Socket()
    await world.accept(socket)
    busy = True
    waiting = asyncio.create_task(world.client.perform(ANSWER, channel_busy=lambda: busy))
    await asyncio.wait({waiting}, timeout=0.01)
    assert (await world.client.perform(PING)).status == 204
    assert "POST channels/1/answer" not in socket.uris()
    busy = False
    assert (await asyncio.wait_for(waiting, 5)).status == 204
    assert socket.uris()[-1] == "POST channels/1/answer"
    await world.client.stop()


async def test_what_waits_for_its_channel_after_a_loss_holds_up_nobody() -> None:
    """What would make the channel free may be asked for after it, by the same call."""
    world, socket = World(LISTEN), Socket()
    busy = False
    first = asyncio.create_task(world.client.perform(ANSWER, channel_busy=lambda: busy, call="1", patient=True))
    while not world.of(AriRequested):  # nobody is there
        await asyncio.sleep(0)
    busy = True
    await world.accept(socket)
    stop = world.client.perform(Request("playbacks.stop", {"playbackId": "p"}), call="1", patient=True)
    assert (await asyncio.wait_for(stop, 5)).status == 204
    assert "POST channels/1/answer" not in socket.uris()
    busy = False
    assert (await asyncio.wait_for(first, 5)).status == 204
    await world.client.stop()


def set_to(value: str) -> Request:
    return Request("channels.setChannelVar", {"channelId": "1", "variable": "X", "value": value})


async def test_what_is_too_long_for_http_waits_for_the_socket_though_it_would_block() -> None:
    """Asterisk's HTTP server takes a line of 4,000 bytes, its socket 65,535."""
    world, socket = World(BOTH, fine), Socket()
    await world.accept(socket)
    busy = True
    waiting = asyncio.create_task(world.client.perform(set_to("a" * 60_000), channel_busy=lambda: busy))
    await asyncio.wait({waiting}, timeout=0.01)
    assert (await world.client.perform(set_to("a" * 3_000), channel_busy=lambda: busy)).status == 200
    busy = False
    assert (await asyncio.wait_for(waiting, 5)).status == 204
    assert [len(str(request.url)) < 4_000 for request in world.over_http] == [True]
    await world.client.stop()


@pytest.mark.parametrize("value", ["a" * 70_000, "ä" * 11_000, '"' * 30_000])
async def test_what_is_too_long_for_the_socket_is_not_sent(value: str) -> None:
    """Asterisk would close it, and every call would pay for one."""
    world, socket = World(BOTH, fine), Socket()
    await world.accept(socket)
    reply = await world.client.perform(set_to(value))
    assert reply.status == 413
    assert b"Asterisk takes 65535" in reply.body
    assert not any("variable" in uri for uri in socket.uris())
    await world.client.stop()


async def test_without_a_socket_requests_go_over_http() -> None:
    """Calls live on while the socket is away."""
    world = World(BOTH, fine)
    assert (await world.client.perform(PING)).status == 200
    assert world.of(AriRequested)[0].transport == "http"


async def test_an_asterisk_without_requests_on_its_socket_gets_them_over_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 22.4 a request there is read and forgotten."""
    monkeypatch.setattr(greeting_module, "_PROBE_TIMEOUT", 0.01)
    monkeypatch.setattr(greeting_module, "_SOON", 0.001)
    world, socket = World(BOTH, fine), Socket(**{"asterisk/info": None})
    await world.accept(socket)
    assert (await world.client.perform(PING)).status == 200
    assert set(socket.uris()) == {"GET asterisk/info"}
    assert "22.4" in world.of(Warned)[0].message
    await world.client.stop()


OLD = INFO.replace(b"22.10.1", b"16.28.0~dfsg-0+deb11u10")


async def test_nobody_waits_for_an_asterisk_that_is_too_old_to_answer() -> None:
    """HTTP tells its version, and the socket is asked once; it is told, with the versions that could."""
    async def old(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=OLD)

    world, socket = World(BOTH, old), Socket(**{"asterisk/info": None})
    async with asyncio.timeout(1.5):  # a question on the socket is given up after 2 s
        await world.accept(socket)
    assert socket.uris() == ["GET asterisk/info"]
    assert world.connected[0].version.startswith("16.28.0")
    (told,) = world.of(Warned)
    assert "22.4 or newer (20.14 or 21.9 of the older branches)" in told.message
    await world.client.stop()


@pytest.mark.parametrize(
    ("variable", "value", "reads", "asked"),
    [
        pytest.param("A", "1", [404, 404, "1"], 3, id="it is there in the end"),
        pytest.param("__A", "1", ["1"], 1, id="the underscores are none of its name"),
        pytest.param("A", None, ["1", 404], 2, id="it is gone in the end"),
        pytest.param("A", "1", [409], 1, id="the channel has left"),
        pytest.param("A", "1", ["0"] * 30, 20, id="it is never there"),
        pytest.param("CALLERID(name)", "1", ["0"] * 30, 6, id="a function that reads otherwise"),
    ],
)
async def test_an_old_asterisk_is_asked_until_a_variable_is_set(
    variable: str, value: str | None, reads: list[int | str], asked: int
) -> None:
    """It says 204 before it has done it; what comes next reads what was set."""
    names: list[str] = []

    async def old(request: httpx.Request) -> httpx.Response:
        if not request.url.path.endswith("/variable"):
            return httpx.Response(200, content=OLD)
        if request.method == "POST":
            return httpx.Response(204)
        names.append(request.url.params["variable"])
        read = reads.pop(0)
        return httpx.Response(read) if isinstance(read, int) else httpx.Response(200, json={"value": read})

    world, socket = World(BOTH, old), Socket(**{"asterisk/info": None})
    await world.accept(socket)
    given = {} if value is None else {"value": value}
    reply = await world.client.perform(Request("channels.setChannelVar", {"channelId": "1", "variable": variable, **given}))
    assert reply.status == 204
    assert names == [variable.lstrip("_")] * asked
    await world.client.stop()


async def test_a_filter_that_holds_back_replies_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's filter without RESTResponse does not look like an old Asterisk."""
    monkeypatch.setattr(greeting_module, "_PROBE_TIMEOUT", 0.05)
    monkeypatch.setattr(greeting_module, "_SOON", 0.001)
    socket = Socket(**{"asterisk/info": None})

    async def unfiltered(request: httpx.Request) -> httpx.Response:
        socket.answers["asterisk/info"] = (200, INFO)
        return httpx.Response(200, content=b"{}")

    world = World(BOTH, unfiltered)
    await world.accept(socket)
    assert [request.url.path for request in world.over_http] == ["/ari/asterisk/info", "/ari/applications/a/eventFilter"]
    assert (await world.client.perform(PING)).status == 204
    assert not world.of(Warned)
    await world.client.stop()


async def test_what_does_not_exist_is_refused_without_asking() -> None:
    """The name of an operation comes from outside."""
    assert (await World(LISTEN).client.perform(Request("channels.fly", {}))).status == 400


async def test_a_subscription_is_made_now_and_after_each_connect() -> None:
    """Once for each app, and once only."""
    world, socket, second = World(LISTEN), Socket(), Socket()
    task = await world.accept(socket)
    await world.client.subscribe("bridge:1")
    await world.client.subscribe("bridge:1")
    assert sum("bridge%3A1" in request.uri for request in socket.requests) == 2
    socket.end(ConnectionError("gone"))
    await task
    await world.accept(second)
    assert sum("bridge%3A1" in request.uri for request in second.requests) == 2
    await world.client.stop()


async def test_a_file_is_passed_on_over_http_only() -> None:
    """501 without a url, 502 where it does not answer, else Asterisk's own status; its bytes piece by piece."""
    file = "/recordings/stored/x/file"
    assert await World(LISTEN).client.download(file) == 501
    assert await World(BOTH, refused).client.download(file) == 502
    assert await World(BOTH, missing).client.download(file) == 404
    found = await World(BOTH, fine).client.download(file)
    assert not isinstance(found, int)
    assert b"".join([piece async for piece in found.pieces()]) == INFO
    await found.close()


# ---- connecting


class Asterisk:
    """Stands in for `connect`: gives what is next, an exception or a socket; in the end, nobody answers."""

    def __init__(self, *script: Exception | Socket) -> None:
        self.script = list(script)
        self.seen: list[tuple[str, list[tuple[str, str]]]] = []
        self.pings: list[float | None] = []

    async def __call__(
        self, url: str, headers: list[tuple[str, str]], trust: Trust, ping_delay: float | None = None
    ) -> Socket:
        self.seen.append((url, headers))
        self.pings.append(ping_delay)
        await asyncio.sleep(0)
        item = self.script.pop(0) if self.script else OSError("refused")
        if isinstance(item, Exception):
            raise item
        return item


def status(code: int) -> Exception:
    return websockets.exceptions.InvalidStatus(Response(code, "", Headers()))


@pytest.mark.parametrize(
    ("error", "reason", "remedy"),
    [
        pytest.param(status(401), "unauthorized", "ari.conf", id="401"),
        pytest.param(status(403), "unauthorized", "ari.conf", id="403"),
        pytest.param(status(404), "not_found", "prefix", id="404"),
        pytest.param(status(503), "unavailable", "starting", id="503"),
        pytest.param(OSError("refused"), "no_answer", "http.conf", id="refused"),
        pytest.param(TimeoutError(), "no_answer", "http.conf", id="timeout"),
        pytest.param(websockets.exceptions.InvalidMessage("not HTTP"), "no_answer", "http.conf", id="not HTTP"),
    ],
)
async def test_why_it_cannot_connect_is_told_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch, error: Exception, reason: str, remedy: str
) -> None:
    """And the first retry comes within a second."""
    asterisk, world = Asterisk(error, Socket()), World(CONNECT, fine)
    monkeypatch.setattr(client_module, "connect", asterisk)
    await world.client.start()
    await world.until(lambda: world.client.ready)
    lost = world.of(AriLost)[0]
    assert lost.reason == reason
    assert remedy in lost.detail
    assert 0 < world.time.slept[0] == lost.retry_in <= 1
    await world.client.stop()


async def test_where_and_as_whom_it_connects(monkeypatch: pytest.MonkeyPatch) -> None:
    """The apps are in the URL, the password never is."""
    asterisk, world = Asterisk(Socket()), World(CONNECT, fine)
    monkeypatch.setattr(client_module, "connect", asterisk)
    await world.client.start()
    await world.until(lambda: world.client.ready)
    await world.client.stop()
    url, headers = asterisk.seen[0]
    assert url == "ws://pbx:8088/ari/events?app=a%2Cb%20c&subscribeAll=false"
    assert headers == [("authorization", "Basic bWU6cMOkc3N3b3Jk")]


@pytest.mark.parametrize(("error", "longest"), [(OSError("x"), 1.5), (status(401), 15.0)], ids=["away", "unauthorized"])
async def test_it_tries_for_ever_and_ever_more_slowly(
    monkeypatch: pytest.MonkeyPatch, error: Exception, longest: float
) -> None:
    """With jitter, up to a limit, and without filling the log."""
    asterisk, world = Asterisk(*[error] * 50, Socket()), World(CONNECT, fine)
    monkeypatch.setattr(client_module, "connect", asterisk)
    await world.client.start()
    await world.until(lambda: world.client.ready)
    slept = world.time.slept[:50]
    assert slept == sorted(slept)
    assert slept[-1] == longest * 0.75
    assert len(world.of(AriLost)) == 3
    await world.client.stop()


async def test_a_lost_socket_is_opened_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As often as it takes; a connection that worked starts the delays anew."""
    sockets = [Socket() for _ in range(3)]
    asterisk, world = Asterisk(*sockets), World(CONNECT, fine)
    monkeypatch.setattr(client_module, "connect", asterisk)
    await world.client.start()
    for number, socket in enumerate(sockets, 1):
        await world.until(lambda number=number: len(world.of(AriConnected)) == number)  # type: ignore[misc]
        socket.end(ConnectionError("gone"))
    await world.until(lambda: len(world.of(AriLost)) >= 4)
    assert [fact.reason for fact in world.of(AriLost)][:4] == ["closed", "closed", "closed", "no_answer"]
    assert world.time.slept[:3] == [0.375] * 3
    await world.client.stop()


async def test_who_is_replaced_does_not_connect_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """No ping-pong."""
    socket, spare = Socket(), Socket()
    asterisk, world = Asterisk(socket, spare), World(CONNECT, fine)
    monkeypatch.setattr(client_module, "connect", asterisk)
    await world.client.start()
    await world.until(lambda: world.client.ready)
    socket.say(type="ApplicationReplaced", application="a")
    assert world.client._task is not None
    await asyncio.wait_for(world.client._task, 5)
    assert world.client.state == "replaced"
    assert len(asterisk.seen) == 1
    await world.client.stop()


async def test_how_long_its_asterisk_has_been_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """Since it tried to connect, or as long as the socket says that nothing comes; where others stand by it pings more often."""
    socket = Socket()
    asterisk, world = Asterisk(OSError("x"), OSError("x"), socket), World(CONNECT, fine)

    async def permitted(*, or_offered: bool = False) -> bool:
        return True

    world.client._permitted = permitted
    monkeypatch.setattr(client_module, "connect", asterisk)
    away: list[float] = []
    sleep = world.time.sleep

    async def asleep(delay: float) -> None:
        await sleep(delay)
        away.append(world.client.away)

    monkeypatch.setattr(world.time, "sleep", asleep)
    await world.client.start()
    await world.until(lambda: world.client.ready)
    assert away == [sum(world.time.slept[: number + 1]) for number in range(len(away))]
    assert len(away) == 2
    assert world.client.away == 0.0
    socket.quiet = 2.0
    assert world.client.away == 2.0
    assert asterisk.pings == [1.0] * 3
    await world.client.stop()


async def test_the_time_in_which_it_might_not_try_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever waited for the database has not looked for its Asterisk yet."""
    asterisk, world = Asterisk(OSError("x"), Socket()), World(CONNECT, fine)
    away: list[float] = []

    async def permitted(*, or_offered: bool = False) -> bool:
        world.time.time += 0.0 if or_offered else 60.0
        return True

    async def on_connected(connected: Connected) -> None:
        away.append(world.client.away)

    world.client._permitted, world.client._on_connected = permitted, on_connected
    monkeypatch.setattr(client_module, "connect", asterisk)
    await world.client.start()
    await world.until(lambda: world.client.ready)
    assert away == [0.0]
    assert set(asterisk.pings) == {1.0}
    await world.client.stop()
