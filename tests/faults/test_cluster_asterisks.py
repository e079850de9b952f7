"""Faults 24 and 28: one of the two Asterisks of two routers is killed, or its owner does not reach it any more."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rig.endpoint import Endpoint
from rig.group import Group, Way
from rig.ledger import changed_bodies, incomplete, twice
from rig.load import Load, ask
from rig.pbx import Pbx

Measured = Callable[[int, str], None]
_TOLD = ["StasisStart", "StasisEnd", "CallEnded"]


def _connected_again(group: Group, entry: str) -> int:
    return sum(member.router.log.read_text().count(f" {entry}: connected again ") for member in group.members)


async def test_kill_9_of_one_of_two_asterisks(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """Each of its calls is ended once; those of the other Asterisk do not notice: no socket, no action of theirs fails."""
    runs, count = (20, 25) if full else (1, 8)
    ask(endpoint)
    waited: list[float] = []
    calls = ended = 0
    async with Group(app, endpoint, tmp_path, entries=("main", "second")) as group:
        for run in range(runs):
            rng = random.Random(f"{seed}/asterisk/{run}")
            victim, other = rng.sample(group.entries, 2)
            before = _connected_again(group, other)
            async with contextlib.AsyncExitStack() as stack:
                pbxs = {e: await stack.enter_async_context(Pbx(group.asterisks[e].url)) for e in group.entries}
                loads = {e: Load(pbx, app, endpoint, rng) for e, pbx in pbxs.items()}
                await asyncio.gather(*(load.start(count) for load in loads.values()))
                await asyncio.sleep(rng.uniform(0.0, 0.5))
                group.asterisks[victim].kill()
                killed = time.monotonic()
                await asyncio.to_thread(group.asterisks[victim].start)
                back = time.monotonic()
                await group.owner(victim)
                waited.append(time.monotonic() - back)
                told = {delivery.call for delivery in endpoint.of("StasisStart")} & set(loads[victim].calls)
                with group.explained():
                    for call in told:
                        await endpoint.wait("CallEnded", call=call)
                    await loads[other].ended(timeout=40)
                    assert loads[other].check(group.way(other)) == 0
                    assert not [d for d in endpoint.of("ActionFailed") if d.call in loads[other].calls]
                broken = incomplete(endpoint.received, told, _TOLD) + changed_bodies(endpoint.received)
                broken += twice(Way([seen for seen in group.way(victim).seen if seen.at < killed]))
                broken += [act for m in group.members for act in m.accepted(killed, victim) if any(call in act for call in told)]
                assert not broken, f"{broken}\n{group.lines()}"
            by_death = [d for d in endpoint.of("CallEnded") if d.data["reason"] == "asterisk_restarted"]
            assert {d.call for d in by_death} <= told
            assert _connected_again(group, other) == before, group.lines()
            ended += len({d.call for d in by_death})
            calls += len(loads[other].calls)
            await group.again()
    assert ended
    measured(24, f"connect, two Asterisks: {runs} kills; {ended} calls ended once each as asterisk_restarted, {calls} at the other "
                 f"Asterisk went on as ever; the killed one was served again {max(waited):.2f} s after its return at most")


@pytest.mark.parametrize("how", ["refuses", "says nothing"])
async def test_the_owner_does_not_reach_its_asterisk_and_another_router_does(
    how: str, app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """It gives the Asterisk up before anybody takes it, the other one goes on with all calls, and it stands by when it is back."""
    runs, count, cut_for = (5, 40, 30.0) if full else (1, 8, 0.0)
    ask(endpoint)
    seconds: list[float] = []
    skipped = calls = 0
    async with Group(app, endpoint, tmp_path) as group:
        for run in range(runs):
            await group.acquainted()
            load = Load(group.pbx, app, endpoint, random.Random(f"{seed}/{how}/{run}"))
            starting = await load.begin(count)
            owner, epoch = await group.owner(), group.epoch()
            other = group.other(owner)
            cut = time.monotonic()
            owner.proxy.refuse() if how == "refuses" else owner.proxy.freeze()
            taken = await group.taken(other, epoch)
            seconds.append(taken - cut)
            await starting
            await load.refused()
            with group.explained():
                await load.ended(timeout=40)
                await asyncio.sleep(max(0.0, cut + cut_for - time.monotonic()))
                owner.proxy.heal()
                assert owner.accepted(taken) == []
                assert (await owner.router.get("/readyz"))["asterisk"]["main"] == "standby"
                assert group.epoch() > epoch
                skipped += load.check(group)
            calls += len(load.calls)
            await group.again()
    assert max(seconds) < 5.0
    measured(28, f"connect, the way {how}: {runs} times under {calls} calls: another router had them after {max(seconds):.2f} s at "
                 f"most; acts of the one that was cut off after that: 0; {skipped} prompts of unknown fate not played again")


async def test_nobody_takes_what_nobody_reaches(app: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """Its owner offers it, and takes it back when the Asterisk answers again: its calls were never anybody else's."""
    ask(endpoint)
    async with Group(app, endpoint, tmp_path) as group:
        await group.acquainted()
        load = Load(group.pbx, app, endpoint, random.Random(1))
        await load.start(4)
        owner, epoch = await group.owner(), group.epoch()
        for member in group.members:
            member.proxy.refuse()
        query = "SELECT hookrouter.offered_v1(epoch, offers) FROM hookrouter.leases WHERE entry = 'main'"
        async with asyncio.timeout(5):
            while not (await asyncio.to_thread(group.database.execute, query, group.store))[0][0]:
                await asyncio.sleep(0.02)
        states = [(await member.router.get("/readyz"))["asterisk"]["main"] for member in (owner, group.other(owner))]
        assert states == ["no_answer", "standby"]
        owner.proxy.heal()
        with group.explained():
            assert await group.owner() is owner
            await load.ended(timeout=40)
            load.check(group)
        assert group.epoch() == epoch
