"""The user of an Asterisk's owner, on the real one: who takes it shuts out everybody before, and loses nothing of its own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from asterisk.conftest import need_asterisk
from asterisk.test_checking import checked, config
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.pbx import Pbx

from hookrouter.ari.client import AriClient, Connected
from hookrouter.ari.events import Head
from hookrouter.ari.operations import Request
from hookrouter.ari.owner import SORCERY, owner_name
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.clock import SystemClock
from hookrouter.cluster.leases import Identity
from hookrouter.facts import AriConnected, AriLost, Fact, Facts, Warned
from hookrouter.http.client import Http


@pytest.fixture(scope="module")
def fencing() -> Iterator[Asterisk]:
    """An Asterisk that keeps users in memory."""
    need_asterisk()
    with Asterisk(files={"sorcery.conf": "[res_pjsip]\n" + SORCERY}) as running:
        yield running


class One:
    """A router's client, which believes that the Asterisk is its own until the test says otherwise."""

    def __init__(self, asterisk: Asterisk, app: str, http: Http) -> None:
        self.facts: list[Fact] = []
        self.doubts = 0
        self.connected: list[Connected] = []
        self.entered: list[str] = []
        self.mine = asyncio.Event()
        self.mine.set()
        self._changed = asyncio.Event()
        self.ari = AriClient(
            AsteriskSettings("main", url=asterisk.url, password="hookrouter", apps=(app,)), on_event=self._event,
            on_link=lambda: None, on_connected=self._on_connected, facts=Facts(self._fact), clock=SystemClock(),
            random=random.random, http=http, permitted=self.permitted, on_replaced=self._doubt,
        )  # fmt: skip

    async def permitted(self, *, or_offered: bool = False) -> bool:
        return await self.mine.wait()

    def _doubt(self) -> None:
        self.doubts += 1
        self._changed.set()

    def _event(self, raw: bytes, head: Head) -> None:
        if head.type == "StasisStart" and head.channel is not None:
            self.entered.append(head.channel.id)
            self._changed.set()

    async def _on_connected(self, connected: Connected) -> None:
        self.connected.append(connected)

    def _fact(self, fact: Fact) -> None:
        self.facts.append(fact)
        self._changed.set()

    def of(self, kind: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def until(self, condition: Callable[[], Any]) -> None:
        try:
            async with asyncio.timeout(10):
                while not condition():
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise TimeoutError(f"doubts: {self.doubts}, facts: {self.facts[-8:]}") from None


@asynccontextmanager
async def owners(asterisk: Asterisk, app: str, count: int = 1) -> AsyncIterator[list[One]]:
    """The first is connected."""
    http = Http(per_host=20)
    found = [One(asterisk, app, http) for _ in range(count)]
    try:
        await found[0].ari.start()
        await found[0].until(lambda: found[0].ari.ready)
        yield found
    finally:
        for one in found:
            await one.ari.stop()
        await http.close()


async def test_a_former_owner_is_refused_both_ways(fencing: Asterisk, app: str) -> None:
    """Over the event socket that it still has, and over HTTP; it hears of it, and the owner of now acts."""
    async with owners(fencing, app, 2) as (former, now), Pbx(fencing.url) as pbx:
        call = await pbx.call(app)
        await former.until(lambda: call.id in former.entered)
        assert (await former.ari.perform(Request("channels.ring", {"channelId": call.id}))).status == 204

        owner = now.ari._owner
        assert owner is not None
        assert await owner.take() is None  # and not connected yet: the former one's socket is open, and nobody replaces it
        former.mine.clear()
        former.mine.set()  # as far as its clock knows

        hang_up = Request("channels.hangup", {"channelId": call.id})
        asking = asyncio.create_task(former.ari.perform(hang_up))
        await former.until(lambda: former.doubts)
        former.mine.clear()
        assert (await pbx.ari("GET", f"channels/{call.id}"))[0] == 200
        asking.cancel()

        before = former.ari._auth
        async with pbx.session.request(
            "DELETE", f"{fencing.url}/ari/channels/{call.id}", headers={before[0]: before[1]}
        ) as reply:
            assert reply.status == 401
        assert (await pbx.ari("GET", f"channels/{call.id}"))[0] == 200

        await now.ari.start()
        await now.until(lambda: now.ari.ready)
        assert (await now.ari.perform(hang_up)).status == 204


async def test_an_owner_that_is_shut_out_by_mistake_comes_back(fencing: Asterisk, app: str) -> None:
    """A former owner's request came late: the owner asks whose the Asterisk is, takes its user again, and goes on."""
    async with owners(fencing, app, 2) as (owner, late), Pbx(fencing.url) as pbx:
        call = await pbx.call(app)
        await owner.until(lambda: call.id in owner.entered)
        user = late.ari._owner
        assert user is not None
        assert await user.take() is None
        reply = await owner.ari.perform(Request("channels.ring", {"channelId": call.id}))
        assert (reply.status, owner.doubts) == (204, 1)
        await owner.until(lambda: len(owner.connected) == 2)  # the request may have gone by HTTP meanwhile
        assert [connected.restarted for connected in owner.connected] == [False, False]


async def test_an_asterisk_that_started_anew_has_forgotten_the_user(fencing: Asterisk, app: str) -> None:
    """The owner makes it again, and doubts nothing: nobody else has come."""
    async with owners(fencing, app) as (owner,):
        await asyncio.to_thread(fencing.restart)
        await owner.until(lambda: len(owner.of(AriConnected)) == 2)
        assert (owner.doubts, owner.connected[-1].restarted) == (0, True)
        assert {lost.reason for lost in owner.of(AriLost)} <= {"closed", "no_answer", "unavailable", "not_found"}
        assert (await owner.ari.perform(Request("asterisk.ping", {}))).status == 200
        assert owner.of(Warned) == []


async def test_an_asterisk_without_the_lines_is_served_and_told_of(asterisk: Asterisk, app: str) -> None:
    """The user of routes.toml acts; the warning names the file, and is given once."""
    async with owners(asterisk, app) as (owner,):
        assert (await owner.ari.perform(Request("asterisk.ping", {}))).status == 200
        (warned,) = owner.of(Warned)
        assert "sorcery.conf" in warned.message
        assert "403" in warned.message
        assert owner.ari._owner is not None
        assert not owner.ari._owner.acts


def test_the_name_of_the_user_is_of_the_app() -> None:
    """No other cluster on the same Asterisk has it, and it fits into a header."""
    assert owner_name(AsteriskSettings("main", apps=("sales:eu", "other"))) == "sales_eu-owner"


async def test_check_tells_which_fence_there_is(fencing: Asterisk, asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """With the lines, without them, and beside an owner; of one router nothing is said. What was made is taken away."""
    users = fencing.cli("ari show users")
    for lab, says in ((fencing, "✓"), (asterisk, "·")):
        of_one = config(lab, endpoint.url)
        of_several = msgspec.structs.replace(of_one, cluster=Identity("a", "http://127.0.0.1:1"))
        findings, said = await checked(of_several)
        (line,) = [line for line in said.splitlines() if "several routers" in line]
        assert line.startswith(f"  {says} asterisk.main: several routers: a router that was taken over is")
        assert findings.unasked == ["the dialplan"]
        assert ("sorcery.conf" in line) == (lab is asterisk)
        assert "several routers" not in (await checked(of_one))[1]
    assert fencing.cli("ari show users") == users
    async with owners(fencing, "checked"):
        users = fencing.cli("ari show users")
        _, said = await checked(msgspec.structs.replace(config(fencing, endpoint.url), cluster=Identity("a")))
        assert "✓ asterisk.main: several routers" in said
        assert fencing.cli("ari show users") == users
