"""The ARI client on the real Asterisk: both ways of connecting, both ways of asking, and what Asterisk does to it."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets.asyncio.server
import websockets.exceptions
from lab.asterisk import Asterisk, free_port
from rig.pbx import Pbx

from hookrouter.ari.client import AriClient, Connected
from hookrouter.ari.events import Head
from hookrouter.ari.operations import Request
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.clock import SystemClock
from hookrouter.facts import AriLost, AriReplaced, AriRequested, Fact, Facts, Warned
from hookrouter.http.client import Http

LONG = ["sound:vm-options", "sound:vm-options"]


class Client:
    """A client, its events and what it said."""

    def __init__(self, settings: AsteriskSettings, http: Http | None) -> None:
        self.events: list[Head] = []
        self.connections: list[Connected] = []
        self.facts: list[Fact] = []
        self._changed = asyncio.Event()
        self.ari = AriClient(
            settings, on_event=self._event, on_link=lambda: None, on_connected=self._connected,
            facts=Facts(self._fact), clock=SystemClock(), random=random.random, http=http,
        )  # fmt: skip

    def _event(self, raw: bytes, head: Head) -> None:
        self.events.append(head)
        self._changed.set()

    async def _connected(self, connected: Connected) -> None:
        self.connections.append(connected)

    def _fact(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._changed.set()

    def of(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def until(self, condition: Callable[[], Any], timeout: float = 10.0) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"events: {[e.type for e in self.events]}, facts: {self.facts[-8:]}") from None

    async def ready(self, timeout: float = 10.0) -> Client:
        await self.until(lambda: self.ari.ready, timeout)
        return self

    async def ask(self, operation: str, busy: bool = False, **params: Any) -> tuple[int, float]:
        """(status, seconds)."""
        began = time.monotonic()
        reply = await self.ari.perform(Request(operation, params), channel_busy=lambda: busy)
        return reply.status, time.monotonic() - began

    def transport(self, operation: str) -> str:
        return str([fact for fact in self.of(AriRequested) if fact.operation == operation][-1].transport)

    async def channel(self, caller: str = "wait") -> str:
        """A channel in our app, answered, whose other half runs `caller`."""
        id = f"test-{secrets.token_hex(4)}"
        status, _ = await self.ask(
            "channels.originateWithId", channelId=id, endpoint=f"Local/{caller}@callers/n", app=self.ari.apps[0]
        )
        assert status == 200
        await self.until(lambda: any(e.type == "StasisStart" and e.channel and e.channel.id == id for e in self.events))
        return id


@asynccontextmanager
async def connected(asterisk: Asterisk, app: str, **more: Any) -> AsyncIterator[Client]:
    http = Http(per_host=60)
    client = Client(AsteriskSettings("main", **({"url": asterisk.url, "password": "hookrouter", "apps": (app,)} | more)), http)
    await client.ari.start()
    try:
        yield client
    finally:
        await client.ari.stop()
        await http.close()


async def test_it_connects_and_asks_both_ways(asterisk: Asterisk, app: str) -> None:
    """Over the socket as a rule, over HTTP what waits for a prompt; the socket stays free for every other channel."""
    async with connected(asterisk, app) as client:
        await client.ready()
        assert client.connections == [Connected(False, False, client.ari.startup_time, client.ari.version)]
        assert client.ari.version.startswith("22.")
        assert client.ari.startup_time
        one, other = await client.channel(), await client.channel()
        assert client.transport("channels.originateWithId") == "ws"
        assert (await client.ask("channels.play", channelId=one, media=LONG))[0] == 201
        await client.until(lambda: any(e.type == "PlaybackStarted" for e in client.events))
        blocked = asyncio.create_task(client.ask("channels.setChannelVar", busy=True, channelId=one, variable="A", value="b"))
        worst = 0.0
        for _ in range(20):
            status, seconds = await client.ask("channels.setChannelVar", channelId=other, variable="A", value="b")
            assert status == 204
            worst = max(worst, seconds)
            await asyncio.sleep(0.02)
        assert client.transport("channels.setChannelVar") == "ws"
        assert not blocked.done()
        assert worst < 0.05
        assert (await client.ask("channels.hangup", channelId=one))[0] == 204
        await asyncio.wait_for(blocked, 5)
        assert client.transport("channels.setChannelVar") == "http"
        await client.ask("channels.hangup", channelId=other)


async def test_on_one_socket_a_request_that_waits_holds_up_the_others(asterisk: Asterisk, app: str) -> None:
    """Why the above is needed: Asterisk serves a socket's requests one after another."""
    async with connected(asterisk, app) as client:
        await client.ready()
        one = await client.channel()
        await client.ask("channels.play", channelId=one, media=LONG)
        await client.until(lambda: any(e.type == "PlaybackStarted" for e in client.events))
        blocked = asyncio.create_task(client.ask("channels.setChannelVar", channelId=one, variable="A", value="b"))
        await asyncio.sleep(0)
        held_up = asyncio.create_task(client.ask("asterisk.ping"))
        done, _ = await asyncio.wait({held_up}, timeout=0.5)
        assert not done
        async with Pbx(asterisk.url) as pbx:
            await pbx.ari("DELETE", f"channels/{one}")
        await asyncio.wait_for(asyncio.gather(blocked, held_up), 5)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        pytest.param({"password": "wrong"}, "unauthorized", id="password"),
        pytest.param({"username": "nobody"}, "unauthorized", id="user"),
        pytest.param({"url": "{url}/nowhere"}, "not_found", id="prefix"),
        pytest.param({"url": "http://127.0.0.1:{port}"}, "no_answer", id="port"),
    ],
)
async def test_why_it_cannot_connect(asterisk: Asterisk, app: str, more: dict[str, str], reason: str) -> None:
    """Each reason is told apart, and the client goes on trying."""
    more = {key: value.format(url=asterisk.url, port=free_port()) for key, value in more.items()}
    async with connected(asterisk, app, **more) as client:
        await client.until(lambda: client.of(AriLost))
        assert client.of(AriLost)[0].reason == reason
        assert client.ari.state == reason
        assert 0 < client.of(AriLost)[0].retry_in <= 1


async def test_only_what_is_wanted_is_sent(asterisk: Asterisk, app: str) -> None:
    """The filter holds back the rest at its source, survives a reconnect, and can be taken away; replies always come."""
    async with connected(asterisk, app) as client:
        client.ari.set_events({"StasisStart", "StasisEnd"})
        await client.ready()
        one = await client.channel()
        await client.ask("channels.setChannelVar", channelId=one, variable="A", value="b")
        await client.ask("channels.hangup", channelId=one)
        await client.until(lambda: client.events[-1].type == "StasisEnd")
        assert {event.type for event in client.events} <= {"StasisStart", "StasisEnd", "ApplicationRegistered"}
        client.ari.set_events(None)
        await client.ari.refilter()
        one = await client.channel()
        await client.ask("channels.setChannelVar", channelId=one, variable="A", value="b")
        await client.until(lambda: any(event.type == "ChannelVarset" for event in client.events))
        await client.ask("channels.hangup", channelId=one)


async def test_a_filter_of_somebody_else_does_not_lock_us_out(asterisk: Asterisk, app: str) -> None:
    """One without RESTResponse swallows every reply on the socket: it is replaced."""
    async with Pbx(asterisk.url) as pbx, pbx.session.ws_connect(f"{pbx.url}/ari/events?app={app}"):
        filtered = {"allowed": [{"type": "StasisStart"}]}
        assert (await pbx.ari("PUT", f"applications/{app}/eventFilter", filtered))[0] == 200
        async with connected(asterisk, app) as client:
            await client.ready()
            assert (await client.ask("asterisk.ping"))[0] == 200
            assert client.transport("asterisk.ping") == "ws"
            assert not client.of(Warned)


async def test_who_is_replaced_knows_it_at_once(asterisk: Asterisk, app: str) -> None:
    """Within 100 ms, and does not come back."""
    async with connected(asterisk, app) as old:
        await old.ready()
        async with connected(asterisk, app) as new:
            await new.ready()
            await old.until(lambda: old.of(AriReplaced), timeout=0.5)
            assert old.ari.state == "replaced"
            one = await new.channel()
            await new.ask("channels.hangup", channelId=one)
            assert not new.of(AriReplaced)
        assert not old.ari.ready
        assert not old.of(AriLost)


async def test_after_a_restart_of_asterisk_it_is_back_and_knows_it(own_asterisk: Asterisk, app: str) -> None:
    """Within 2 s of its return, with the subscriptions of before."""
    async with connected(own_asterisk, app) as client:
        await client.ready()
        await client.ari.subscribe("deviceState:Stasis:x")
        own_asterisk.kill()
        await client.until(lambda: client.of(AriLost))
        await asyncio.to_thread(own_asterisk.start)
        returned = time.monotonic()
        await client.until(lambda: len(client.connections) == 2)
        await client.ready()
        assert time.monotonic() - returned < 2
        assert (client.connections[1].reconnect, client.connections[1].restarted) == (True, True)
        status, _ = await client.ask("deviceStates.update", deviceName="Stasis:x", deviceState="BUSY")
        assert status == 204
        await client.until(lambda: any(event.type == "DeviceStateChanged" for event in client.events))


async def test_subscriptions_last_over_a_lost_socket(asterisk: Asterisk, app: str) -> None:
    """A client that comes back is not told that Asterisk had restarted."""
    async with connected(asterisk, app, subscribe=("deviceState:Stasis:y",)) as client:
        await client.ready()
        assert client.ari._link is not None
        await client.ari._link.close()
        await client.until(lambda: len(client.connections) == 2)
        await client.ready()
        assert (client.connections[1].reconnect, client.connections[1].restarted) == (True, False)
        await client.ask("deviceStates.update", deviceName="Stasis:y", deviceState="BUSY")
        await client.until(lambda: any(event.type == "DeviceStateChanged" for event in client.events))


# ---- Asterisk connects to us


class Served:
    """The server's end of a socket, as a Duplex."""

    def __init__(self, connection: websockets.asyncio.server.ServerConnection) -> None:
        self.connection = connection

    async def recv(self) -> bytes:
        try:
            return await self.connection.recv(decode=False)
        except websockets.exceptions.ConnectionClosed as error:
            raise ConnectionError(str(error)) from None

    async def send(self, data: bytes) -> None:
        await self.connection.send(data, text=True)

    async def close(self) -> None:
        await self.connection.close()


@asynccontextmanager
async def listening(port: int, *apps: str) -> AsyncIterator[Client]:
    """A client in listen mode, without HTTP."""
    client = Client(AsteriskSettings("main", url="", apps=apps, mode="listen"), None)
    await client.ari.start()

    async def serve(connection: Any) -> None:
        assert connection.request.headers["authorization"].startswith("Basic ")
        await client.ari.accept(Served(connection))

    server = await websockets.asyncio.server.serve(
        serve, "127.0.0.1", port, subprotocols=["ari"], compression=None, max_queue=None, close_timeout=1  # type: ignore[list-item]
    )
    try:
        yield await client.ready(20)
    finally:
        await client.ari.stop()
        server.close()
        await server.wait_closed()


@pytest.fixture
def caller_home(asterisk: Asterisk) -> Iterator[tuple[Asterisk, int]]:
    """An Asterisk that connects to a port of ours, for two apps over one socket; nobody listens there yet."""
    port = free_port()
    with Asterisk(listen={"one,two": f"ws://127.0.0.1:{port}/ari/main"}) as running:
        yield running, port


async def test_all_goes_over_the_one_socket_that_asterisk_opens(caller_home: tuple[Asterisk, int]) -> None:
    """Both apps, every request, and what would block waits until its channel is free."""
    asterisk, port = caller_home
    async with listening(port, "one", "two") as client, Pbx(asterisk.url) as pbx:
        for name in ("one", "two"):
            status, body = await pbx.ari("GET", f"applications/{name}")
            assert (status, body["name"]) == (200, name)
        one, other = await client.channel(), await client.channel()
        assert client.transport("channels.originateWithId") == "ws"
        await client.ask("channels.play", channelId=one, media=LONG)
        await client.until(lambda: any(e.type == "PlaybackStarted" for e in client.events))
        busy = True
        request = Request("channels.setChannelVar", {"channelId": one, "variable": "A", "value": "b"})
        waiting = asyncio.create_task(client.ari.perform(request, channel_busy=lambda: busy))
        for _ in range(10):
            status, seconds = await client.ask("channels.get", channelId=other)
            assert status == 200
            assert seconds < 0.05
        assert not waiting.done()
        await client.ask("channels.hangup", channelId=one)
        await pbx.gone(one)
        busy = False
        assert (await asyncio.wait_for(waiting, 5)).status == 404
        await client.ask("channels.hangup", channelId=other)


async def test_what_happens_while_we_are_away_comes_when_we_are_back(caller_home: tuple[Asterisk, int]) -> None:
    """New calls too, of every app, in order: a restart of ours loses nothing."""
    asterisk, port = caller_home
    async with Pbx(asterisk.url) as pbx:
        async with listening(port, "one", "two"):
            pass
        calls = []
        for name in ("two", "one"):
            calls.append(await pbx.call(name))
            async with asyncio.timeout(5):
                while calls[-1].id not in (await pbx.ari("GET", f"applications/{name}"))[1]["channel_ids"]:
                    await asyncio.sleep(0.01)
        first, second = calls
        await first.hangup()
        await pbx.gone(first.id)
        async with listening(port, "one", "two") as client:

            def seen() -> list[tuple[str, str]]:
                wanted = {first.id: "first", second.id: "second"}
                return [
                    (e.type, wanted[e.channel.id]) for e in client.events
                    if e.channel and e.channel.id in wanted and e.type in ("StasisStart", "StasisEnd")
                ]  # fmt: skip

            await client.until(lambda: len(seen()) == 3)
            assert seen() == [("StasisStart", "first"), ("StasisStart", "second"), ("StasisEnd", "first")]
            assert not client.connections[0].restarted
            await second.hangup()
