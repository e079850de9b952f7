"""Faults 21 and 22, and a hand-over: two routers on one database, of which the one that owns the Asterisk goes.

In mode connect, and in mode invite, where no call may be refused meanwhile.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rig.endpoint import Endpoint
from rig.group import Group
from rig.load import Load, ask
from rig.pbx import Pbx

Measured = Callable[[int, str], None]
LEASE = 5.0
both_modes = pytest.mark.parametrize("mode", ["connect", "invite"])


async def _until(condition: Callable[[], Any], group: Group, timeout: float = 20.0) -> float:
    """When it came true."""
    try:
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"it did not come:\n{group.lines()}") from None
    return time.monotonic()


async def _end(group: Group, load: Load) -> int:
    """All calls end as they should, and nothing was done twice by whomever. Prompts of unknown fate."""
    with group.explained():
        await load.ended(timeout=40)
        return load.check(group)


@both_modes
async def test_kill_9_of_the_owner(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured, mode: str
) -> None:
    """Its calls go on at the other one, long before its lease is over; nothing is played, recorded or told twice."""
    runs, count = (100, 25) if full else (1, 10)
    ask(endpoint)
    seconds: list[float] = []
    skipped = calls = outside = 0
    async with Group(app, endpoint, tmp_path, mode=mode) as group:
        for run in range(runs):
            load = Load(group.pbx, app, endpoint, random.Random(f"{seed}/{run}"))
            starting = await load.begin(count)
            owner, epoch = await group.owner(), group.epoch()
            other = group.other(owner)
            owner.router.kill()
            killed = time.monotonic()
            seconds.append(await group.taken(other, epoch) - killed)
            await starting
            outside += await load.refused()
            assert mode == "connect" or not outside, group.lines()
            skipped += await _end(group, load)
            calls += len(load.calls)
            await group.again(owner)
    assert max(seconds) < LEASE
    median, p95 = (sorted(seconds)[int(len(seconds) * share)] for share in (0.5, 0.95))
    measured(21, f"{mode}: {runs} kills, {calls} calls; taken over and all calls looked at after {median:.2f} s (median), "
                 f"{p95:.2f} s (p95), {max(seconds):.2f} s at most; "
                 f"{skipped} prompts of unknown fate not played again; {outside} more calls went on in the dialplan")


@both_modes
async def test_an_owner_that_stands_still_does_nothing_when_it_wakes_up(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured, mode: str
) -> None:
    """SIGSTOP, the other one takes over, SIGCONT: not one act and not one row of the stale one; then it stands by.

    By its clock alone: this Asterisk would carry out what it asks for.
    """
    runs, count = (20, 50) if full else (1, 10)
    ask(endpoint)
    seconds: list[float] = []
    calls = 0
    async with Group(app, endpoint, tmp_path, fence=False, mode=mode) as group:
        for run in range(runs):
            load = Load(group.pbx, app, endpoint, random.Random(f"{seed}/stop/{run}"))
            starting = await load.begin(count)
            owner, epoch = await group.owner(), group.epoch()
            other, lost = group.other(owner), owner.logged("entry.lost")
            owner.stop()
            stopped = time.monotonic()
            taken_at = await group.taken(other, epoch)
            seconds.append(taken_at - stopped)
            taken = group.epoch()
            owner.go_on()
            await _until(lambda owner=owner, lost=lost: owner.logged("entry.lost") > lost, group)
            await starting
            await load.refused()
            await _end(group, load)
            calls += len(load.calls)
            assert owner.acts(taken_at) == []
            assert (await owner.router.get("/readyz"))["asterisk"]["main"] == "standby"
            assert group.epoch() == taken
            await group.again()
    patience = 2.0 if mode == "connect" else 3.0  # Asterisk is given a second to come, and then anew
    assert max(seconds) < LEASE + (patience if full else 3 * patience)  # other tests run beside the short form
    measured(22, f"{mode}: {runs} stops, {calls} calls; taken over after {max(seconds):.2f} s at most; "
                 "acts of the one that woke up: 0")


@both_modes
async def test_sigterm_hands_over_at_once(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured, mode: str
) -> None:
    """Nobody waits for a lease: the other one has all calls within a moment, and no new call is refused meanwhile."""
    runs, count = (20, 50) if full else (1, 10)
    ask(endpoint)
    seconds: list[float] = []
    calls = 0
    async with Group(app, endpoint, tmp_path, mode=mode) as group:
        for run in range(runs):
            rng = random.Random(f"{seed}/term/{run}")
            load = Load(group.pbx, app, endpoint, rng)
            starting = asyncio.create_task(load.start(count, spread=3.0))
            await asyncio.sleep(rng.uniform(0.5, 1.5))
            owner, epoch = await group.owner(), group.epoch()
            began = time.monotonic()
            ending = asyncio.create_task(asyncio.to_thread(owner.router.terminate))
            seconds.append(await group.taken(group.other(owner), epoch) - began)
            assert await ending == 0
            await starting
            assert await load.refused() == 0, group.lines()
            await _end(group, load)
            calls += len(load.calls)
            await group.again(owner)
    assert max(seconds) < 3.0
    measured(31, f"{mode}, SIGTERM of the owner: {runs} hand-overs, {calls} calls, none refused; "
                 f"the other one had them after {max(seconds):.2f} s at most")


async def test_what_an_invited_asterisk_has_forgotten_or_lost_is_made_again(
    app: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    """Started anew it knows neither the invitation nor the owner's user; who takes its app is not left with it."""
    endpoint.answers["StasisStart"] = [[{"action": "answer"}, {"action": "hangup"}]]
    async with Group(app, endpoint, tmp_path, count=1, mode="invite") as group:
        owner = await group.owner()
        await asyncio.to_thread(group.asterisk.restart)
        async with Pbx(group.asterisk.url) as pbx:
            await owner.router.ready()
            async with pbx.session.ws_connect(f"ws{pbx.url.removeprefix('http')}/ari/events?app={app}"):
                await _until(lambda: owner.logged("ari.replaced"), group)
                await owner.router.ready()
                call = await pbx.call(app)
                with group.explained():
                    await endpoint.wait("CallEnded", call=call.id)
        assert owner.logged("entry.lost") == 0
