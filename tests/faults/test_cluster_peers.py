"""Faults 29, 30 and 33: the ways between the routers are cut, or the owner's to all but Asterisk; any router is asked for any call."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from rig.endpoint import Endpoint
from rig.group import Group, Member
from rig.load import ANSWER, EVENTS, HANGUP, Load, ask
from rig.pbx import Caller

from hookrouter.cluster.terms import LEASE, MARGIN

Measured = Callable[[int, str], None]
TRUST = LEASE - MARGIN
_LONG = {"action": "pause", "seconds": 600}
_DIGITS = [f"sound:digits/{number}" for number in range(10)]


class Control:
    """The control API of any router, with the seconds that each answer took."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self.seconds: list[float] = []

    async def ask(self, member: Member, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        began = time.monotonic()
        url = f"http://127.0.0.1:{member.router.port}/v1/calls/{path}"
        async with self._session.request(method, url, json=body) as reply:
            found = await reply.json(content_type=None)
            self.seconds.append(time.monotonic() - began)
            return reply.status, found


async def test_routers_that_do_not_reach_each_other(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """For longer than a lease nothing moves, and calls go on; what would be passed on is refused within a second."""
    count, asked = (50, 50) if full else (6, 4)
    ask(endpoint)
    stays = "stays"
    program = endpoint.answers["StasisStart"]
    endpoint.answers["StasisStart"] = lambda d: [ANSWER, _LONG] if d.data["args"] == [stays] else program(d)
    async with Group(app, endpoint, tmp_path, doors=True) as group, aiohttp.ClientSession() as session:
        control = Control(session)
        owner, epoch = await group.owner(), group.epoch()
        other = group.other(owner)
        call = await group.pbx.call(app, args=stays)
        await endpoint.wait("StasisStart", call=call.id)
        assert (await control.ask(other, "GET", call.id))[0] == 200, "it is passed on"
        control.seconds.clear()
        for member in group.members:
            assert member.door is not None
            member.door.cut()
        load = Load(group.pbx, app, endpoint, random.Random(f"{seed}/apart"))
        starting = asyncio.create_task(load.start(count, spread=4.0))
        for _ in range(asked):
            for method, path, body in (("GET", "", None), ("POST", "/actions", [HANGUP]), ("DELETE", "", None)):
                status, said = await control.ask(other, method, call.id + path, body)
                assert (status, [found["router"] for found in said["owners"]]) == (503, [owner.name])
        await starting
        with group.explained():
            await load.ended(timeout=40)
            assert load.check(group) == 0
            assert await group.owner() is owner
            assert call.id in await group.pbx.channels(), "and nobody has hung it up"
        assert group.epoch() == epoch
        assert sum(member.logged("entry.lost") for member in group.members) == 0
        for member in group.members:
            assert member.door is not None
            member.door.mend()
        assert (await control.ask(other, "DELETE", call.id))[0] == 204
        refused = control.seconds[:-1]
    assert max(refused) < 1.0, refused
    measured(29, f"two routers under {len(load.calls)} calls: nothing moved; {len(refused)} requests for a call of the other one "
                 f"answered 503 after {max(refused):.2f} s at most")


@pytest.mark.parametrize(("cut_for", "moves"), [(2.0, False), (12.0, True)])
async def test_the_owner_is_alone_with_its_asterisk(
    cut_for: float, moves: bool, app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """It waits, and goes on where it was when it hears of the database in time; or another one goes on with all calls."""
    runs, count = (6, 40) if full else (1, 8)
    ask(endpoint)
    seconds: list[float] = []
    skipped = calls = 0
    async with Group(app, endpoint, tmp_path, cables=True, doors=True) as group:
        for run in range(runs):
            await group.acquainted()
            load = Load(group.pbx, app, endpoint, random.Random(f"{seed}/alone/{cut_for}/{run}"))
            starting = await load.begin(count)
            owner, epoch = await group.owner(), group.epoch()
            other = group.other(owner)
            cables = [owner.cable, owner.door, other.door]
            for cable in cables:
                assert cable is not None
                cable.cut()
            cut = time.monotonic()
            if moves:
                taken = await group.taken(other, epoch)
                seconds.append(taken - cut)
            await asyncio.sleep(max(0.0, cut + cut_for * (full or not moves) - time.monotonic()))
            for cable in cables:
                assert cable is not None
                cable.mend()
            if not moves:
                mended = time.monotonic()
                assert await group.owner() is owner
                seconds.append(time.monotonic() - mended)
            await starting
            await load.refused()
            with group.explained():
                await load.ended(timeout=40)
                skipped += load.check(group)
                assert not moves or owner.accepted(taken) == []
                assert moves == (group.epoch() > epoch)
            calls += len(load.calls)
            await group.again()
    assert max(seconds) < 10.0
    then = "another router had them after {:.2f} s" if moves else "it went on {:.2f} s after the end of that"
    measured(30, f"for {cut_for:g} s: {runs} times under {calls} calls: {then.format(max(seconds))} at most; "
                 f"{skipped} prompts of unknown fate not played again")


async def test_nobody_reaches_the_database_nor_another_router(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """However long that is: the owner does nothing that the next one could do again, and calls go on when the database is back."""
    runs, count, cut_for = (3, 40, 30.0) if full else (1, 6, 6.0)
    ask(endpoint)
    waited: list[float] = []
    skipped = calls = 0
    async with Group(app, endpoint, tmp_path, cables=True, doors=True) as group:
        cables = [cable for member in group.members for cable in (member.cable, member.door) if cable is not None]
        for run in range(runs):
            await group.acquainted()
            load = Load(group.pbx, app, endpoint, random.Random(f"{seed}/nobody/{run}"))
            starting = await load.begin(count)
            for cable in cables:
                cable.cut()
            cut = time.monotonic()
            await asyncio.sleep(cut_for)
            assert [act for member in group.members for act in member.accepted(cut + TRUST + 0.5)] == []
            for cable in cables:
                cable.mend()
            mended = time.monotonic()
            await group.owner()
            waited.append(time.monotonic() - mended)
            await starting
            await load.refused()
            with group.explained():
                await load.ended(timeout=60)
                skipped += load.check(group)
            calls += len(load.calls)
            await group.again()
    measured(30, f"and nobody reaches the database, for {cut_for:g} s: {runs} times under {calls} calls: no act from {TRUST:g} s "
                 f"on; an owner goes on {max(waited):.2f} s after its end at most; {skipped} prompts of unknown fate not played again")


async def test_any_router_does_for_any_call_what_its_owner_does(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """The same answers, the same effects, each once and in order; and nearly as fast."""
    count, steps, asked = (50, 6, 1000) if full else (6, 3, 30)
    rng = random.Random(f"{seed}/any")
    endpoint.answers["StasisStart"] = [[ANSWER, _LONG]]
    async with Group(app, endpoint, tmp_path, count=3, events=EVENTS) as group, aiohttp.ClientSession() as session:
        owner = await group.owner()
        others = [member for member in group.members if member is not owner]
        calls = [await group.pbx.call(app) for _ in range(count)]
        for call in calls:
            await endpoint.wait("StasisStart", call=call.id)
            await group.pbx.subscribe(call.id)
        took = {True: Control(session), False: Control(session)}
        for number in range(asked * 2):
            member = owner if number % 2 else rng.choice(others)
            control, call = took[member is owner], rng.choice(calls)
            assert (await control.ask(member, "POST", f"{call.id}/actions", [_LONG]))[0] == 202
        control = Control(session)

        async def talk(call: Caller) -> None:
            """All that can be asked of a call, each at some router."""
            told = rng.choices(_DIGITS, k=steps)
            for place, media in enumerate(told):
                play = [{"action": "play", "media": media}, _LONG]
                assert (await control.ask(rng.choice(group.members), "POST", f"{call.id}/actions", play))[0] == 202
                await endpoint.wait("PlayCompleted", place + 1, call=call.id)
            status, found = await control.ask(rng.choice(group.members), "POST", f"{call.id}/actions", [{"action": "nonsense"}])
            assert status == 422, found
            status, found = await control.ask(rng.choice(group.members), "GET", call.id)
            assert (status, found["id"]) == (200, call.id)
            assert (await control.ask(rng.choice(group.members), "DELETE", call.id))[0] == 204
            await endpoint.wait("CallEnded", call=call.id)
            target = f"channel:{call.id}"
            heard = [e["playback"] for e in group.pbx.events if e["type"] == "PlaybackStarted"]
            assert [found["media_uri"] for found in heard if found["target_uri"] == target] == told

        with group.explained():
            await asyncio.gather(*map(talk, calls))
    p95 = {here: sorted(control.seconds)[int(len(control.seconds) * 0.95)] for here, control in took.items()}
    added = p95[False] - p95[True]
    assert added < (0.005 if full else 0.25), p95
    measured(33, f"three routers, {count} calls: {len(control.seconds)} requests at a router by chance, all as at the owner; p95 of "
                 f"{asked} requests at the owner {p95[True] * 1000:.1f} ms, at the others {added * 1000:+.1f} ms")
