"""Any router tells of the calls of all: its lists, streams, sounds and pages, also while one of them is cut off or killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
from aiohttp import web
from rig.anyone import Anyone, Stream, streams
from rig.endpoint import Endpoint
from rig.group import Group, Member
from rig.load import ANSWER, HANGUP
from rig.pbx import Pbx

ALL, ACME = (f"{name}-0123456789abcdef" for name in ("all", "acme"))
_LONG = {"action": "pause", "seconds": 600}
_SPOKEN = "0123456789abcdef" * 2 + ".wav"
_MORE = """
[[routes]]
name = "acme"
url = "{url}"
tenant = "acme"
events = ["StasisStart", "CallEnded"]
[[routes]]
name = "crm"
url = "{crm}"
mode = "notify"
events = ["StasisStart"]
[[server.tokens]]
token = "{all}"
[[server.tokens]]
token = "{acme}"
tenant = "acme"
[speech]
command = ["true"]
folder = "sounds"
base_url = "http://127.0.0.1:1"
"""


@dataclass
class Lab:
    """Three routers: `first` owns the Asterisk `main`, `second` the other one, `third` nothing."""

    group: Group
    app: str
    endpoint: Endpoint
    session: aiohttp.ClientSession
    pbxs: dict[str, Pbx]
    first: Member
    second: Member
    third: Member

    @property
    def members(self) -> list[Member]:
        return [self.first, self.second, self.third]

    async def call(self, entry: str) -> str:
        """Somebody calls, and stays. The Asterisk must have an owner that is connected."""
        found = await self.pbxs[entry].call(self.app)
        await self.endpoint.wait("StasisStart", call=found.id)
        return found.id


@contextlib.asynccontextmanager
async def lab(app: str, endpoint: Endpoint, folder: Path, **options: Any) -> AsyncIterator[Lab]:
    endpoint.answers["/hook StasisStart"] = [[ANSWER, _LONG]]
    crm = endpoint.url.replace("/hook", "/crm")
    more = _MORE.format(url=endpoint.url, crm=crm, all=ALL, acme=ACME)
    entries = ("main", "second")
    async with (
        Group(app, endpoint, folder, count=3, entries=entries, more=more, **options) as group,
        aiohttp.ClientSession() as session,
        contextlib.AsyncExitStack() as stack,
    ):
        pbxs = {e: await stack.enter_async_context(Pbx(group.asterisks[e].url)) for e in entries}
        first = await group.owner("main")
        await group.owner("second")
        first.proxies["second"].refuse()  # who does not reach an Asterisk gives it to one that does
        await group.taken_over("second", first)
        first.proxies["second"].heal()
        second = await group.owner("second")
        (third,) = [member for member in group.members if member not in (first, second)]
        yield Lab(group, app, endpoint, session, pbxs, first, second, third)


async def everywhere(anyone: Anyone, members: Sequence[Member], calls: set[str]) -> None:
    """Waits until each router names these calls, and none as missing."""
    async with asyncio.timeout(10):
        for member in members:
            while await anyone.calls(member) != (calls, []):
                await asyncio.sleep(0.02)


async def test_any_router_shows_and_does_what_any_other_has_in_hand(app: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """Calls, what happens, recordings, spoken texts, pages and their buttons, dead letters; to a tenant what is theirs."""
    endpoint.answers["/crm StasisStart"] = lambda delivery: web.Response(status=410)
    record = [ANSWER, {"action": "record", "name": "kept", "maxDurationSeconds": 1}, _LONG]
    async with lab(app, endpoint, tmp_path) as at, contextlib.AsyncExitStack() as stack:
        group, session = at.group, at.session
        anyone, acme = Anyone(session, ALL), Anyone(session, ACME)
        told: list[Stream] = await stack.enter_async_context(streams(session, at.members, ALL))
        theirs: list[Stream] = await stack.enter_async_context(streams(session, at.members, ACME))
        with group.explained():
            calls = {"main": await at.call("main"), "second": await at.call("second")}
            wanted = {"to": "Local/wait@callers/n", "route": "acme", "asterisk": "second", "id": "hers"}
            status = 503
            async with asyncio.timeout(10):
                while status == 503:  # it has not heard yet who owns the second one now
                    status, made = await anyone.ask(at.third, "/v1/calls", "POST", json=wanted)
            assert status == 201, made
            hers = made["id"]
            await endpoint.wait("StasisStart", call=hers)
            both = {*calls.values(), hers}
            await everywhere(anyone, at.members, both)
            for member in at.members:
                assert await acme.calls(member) == ({hers}, [])
                narrowed = await anyone.ask(member, "/v1/calls", headers={"hookrouter-passed": "1"})
                assert {call["asterisk"] for call in narrowed[1]["calls"]} <= set(narrowed[1]["asterisks"])
            for stream in told:
                await stream.until(lambda stream=stream: all(stream.of("CallStarted", call) for call in both))
                assert [len(stream.of("CallStarted", call)) for call in both] == [1, 1, 1]
                assert {fact["router"] for fact in stream.facts if fact.get("call") == calls["second"]} == {at.second.name}
            for stream in theirs:
                await stream.until(lambda stream=stream: stream.of("CallStarted", hers))
                assert {fact.get("call") for fact in stream.facts} <= {hers}

            await anyone.ask(at.third, f"/v1/calls/{calls['second']}/actions", "POST", json=record)
            await endpoint.wait("RecordingCompleted", call=calls["second"])
            sounds = [await anyone.ask(member, "/v1/recordings/kept") for member in at.members]
            assert [status for status, _ in sounds] == [200] * 3
            assert len({sound for _, sound in sounds}) == 1
            assert sounds[0][1][:4] == b"RIFF"
            assert (await anyone.ask(at.first, "/v1/recordings/kept?asterisk=main"))[0] == 404
            assert (await acme.ask(at.third, "/v1/recordings/kept"))[0] == 404
            spoken = at.first.router.folder / "sounds" / _SPOKEN
            spoken.parent.mkdir(exist_ok=True)
            spoken.write_bytes(b"RIFF" + bytes(300_000))
            for member in at.members:
                assert await anyone.ask(member, f"/speech/{_SPOKEN}") == (200, spoken.read_bytes())
            assert (await anyone.ask(at.third, f"/speech/{_SPOKEN[::-1]}"))[0] == 404

            for member in at.members:
                status, now = await anyone.ask(member, "/v1/now")
                owns = {one["name"]: list(one.get("owns", {})) for one in now["members"]}
                assert owns == {at.first.name: ["main"], at.second.name: ["second"], at.third.name: []}
                assert (status, now["count"]) == (200, 3)
                page = (await anyone.ask(member, f"/calls/{calls['second']}"))[1].decode()
                assert "Hang up this call" in page
                assert f"<dd>{at.second.name}</dd>" in page
                assert (await acme.ask(member, f"/calls/{calls['second']}"))[0] == 404
                assert (await anyone.ask(member, "/calls/nobody"))[0] == 404
            hang_up = {"data": {"do": "hangup"}}
            await acme.ask(at.third, f"/calls/{calls['second']}", "POST", **hang_up)
            assert await anyone.calls(at.third) == (both, []), "a call of others is not theirs to end"
            assert (await anyone.ask(at.third, f"/calls/{calls['second']}", "POST", **hang_up))[0] == 303
            assert (await anyone.ask(at.second, f"/calls/{calls['main']}", "POST", **hang_up))[0] == 303
            await asyncio.gather(*(endpoint.wait("StasisEnd", call=call) for call in calls.values()))
            await everywhere(anyone, at.members, {hers})
            await send_again_from_anywhere(at, anyone, calls["second"])


async def send_again_from_anywhere(at: Lab, anyone: Anyone, call: str) -> None:
    """A dead letter is sent again by its owner, at once; and a route that is paused at one router is paused at all."""
    dead: list[Any] = []
    async with asyncio.timeout(10):
        while not dead:
            dead = (await anyone.ask(at.third, f"/v1/deliveries?status=dead&call={call}"))[1]["deliveries"]
    del at.endpoint.answers["/crm StasisStart"]
    assert (await anyone.ask(at.third, "/deliveries", "POST", data={"do": "pause", "route": "crm"}))[0] == 303
    for member in at.members:
        assert b"paused by hand" in (await anyone.ask(member, "/deliveries"))[1], member.name
    assert (await anyone.ask(at.first, "/deliveries", "POST", data={"do": "go_on", "route": "crm"}))[0] == 303
    before = len(at.endpoint.received)
    status, said = await anyone.ask(at.third, f"/v1/deliveries/{dead[0]['id']}/replay", "POST")
    assert (status, said) == (202, {"replayed": 1})
    async with asyncio.timeout(5), at.endpoint.changed:
        await at.endpoint.changed.wait_for(lambda: any(d.path == "/crm" for d in at.endpoint.received[before:]))


async def test_who_is_cut_off_or_killed_is_named_within_a_second(app: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """Lists and streams say what is missing, and have it again when the way is whole or another router has taken over."""
    async with lab(app, endpoint, tmp_path, doors=True) as at, contextlib.AsyncExitStack() as stack:
        group, first, second, third = at.group, at.first, at.second, at.third
        anyone = Anyone(at.session, ALL)
        here, there = await stack.enter_async_context(streams(at.session, [first, third], ALL))
        tail = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hookrouter", "tail", "-c", str(first.router.config), "--json",
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        stack.callback(tail.kill)
        assert tail.stdout is not None
        assert tail.stderr is not None
        with group.explained():
            calls = {"main": await at.call("main"), "second": await at.call("second")}
            await everywhere(anyone, at.members, set(calls.values()))
            async with asyncio.timeout(20):  # until it listens
                line = b""
                while calls["second"].encode() not in line:
                    await anyone.ask(second, f"/v1/calls/{calls['second']}/actions", "POST", json=[_LONG])
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(1):
                            line = await tail.stdout.readline()
            anyone.seconds.clear()
            assert second.door is not None
            second.door.cut()
            for member in (first, third):
                assert await anyone.calls(member) == ({calls["main"]}, ["second"])
                status, now = await anyone.ask(member, "/v1/now")
                assert [one["name"] for one in now["members"] if not one.get("answers", True)] == [second.name]
                assert f"router {second.name} does not answer".encode() in (await anyone.ask(member, "/"))[1]
                status, said = await anyone.ask(member, "/v1/recordings/kept")
                assert status == 503
                assert {"asterisk": "second", "router": second.name} in [
                    {name: one[name] for name in ("asterisk", "router")} for one in said["owners"]
                ]
            assert await anyone.calls(second) == (set(calls.values()), []), "the way out is whole"
            assert median(anyone.seconds) < 1.0, anyone.seconds
            for stream in (here, there):
                await stream.until(lambda stream=stream: stream.silent == [second.name])
            async with asyncio.timeout(10):
                assert f"nothing is heard of the router {second.name}" in (await tail.stderr.readline()).decode()
            second.door.mend()
            for stream in (here, there):
                await stream.until(lambda stream=stream: stream.silent == [])
            async with asyncio.timeout(10):
                assert b"all routers are heard again" in await tail.stderr.readline()
            later = await at.call("second")
            for stream in (here, there):
                await stream.until(lambda stream=stream: stream.of("CallStarted", later))

            calls["later"] = later
            await everywhere(anyone, at.members, set(calls.values()))
            anyone.seconds.clear()
            epoch = group.epoch("second")
            second.router.kill()
            ids, missing = await anyone.calls(first)
            assert calls["main"] in ids
            assert missing == ["second"] or ids == set(calls.values())
            assert median(anyone.seconds) < 1.0, anyone.seconds
            await everywhere(anyone, [first, third], set(calls.values()))
            assert group.epoch("second") > epoch
            await group.owner("second")  # it is connected, and its Asterisk takes calls again
            last = await at.call("second")
            for stream in (here, there):
                await stream.until(lambda stream=stream: stream.of("CallStarted", last))
                assert all(len(stream.of("CallStarted", call)) == 1 for call in (later, last))
            assert (await anyone.ask(third, f"/v1/calls/{later}/actions", "POST", json=[HANGUP]))[0] == 202
            await endpoint.wait("StasisEnd", call=later)
