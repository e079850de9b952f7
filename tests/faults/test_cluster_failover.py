"""Fault 26: the database dies, and an asynchronous standby that has not got the last seconds takes its place."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

from rig.endpoint import Endpoint
from rig.group import Group
from rig.load import Load, ask

Measured = Callable[[int, str], None]
_LIVE = "SELECT count(*) FROM hookrouter.calls"
_FINISHED = "SELECT count(*) FROM hookrouter.finished"
_FORGOTTEN = "the database has forgotten the last "


async def _count(group: Group, url: str, query: str = _FINISHED) -> int:
    return int(str((await asyncio.to_thread(group.database.execute, query, url))[0][0]))


async def _fail_over(
    group: Group, app: str, endpoint: Endpoint, rng: random.Random, count: int, lag: float
) -> tuple[float, float, int, int, int]:
    """(seconds until an owner goes on, seconds that the routers say are forgotten, calls that the standby knew, calls that it
    did not know, and of how many of those no end was told).
    """
    standby = group.store.replace(f"127.0.0.1:{group.database.port},", "")
    before = Load(group.pbx, app, endpoint, rng)
    await before.start(4)
    await before.ended(timeout=40)
    before.check(group)
    async with asyncio.timeout(10):
        while await _count(group, standby) < len(before.calls):
            await asyncio.sleep(0.02)
    known = Load(group.pbx, app, endpoint, rng)
    await known.start(4, spread=0.1, kinds=("prompts", "record"))  # which take some seconds
    async with asyncio.timeout(10):
        while await _count(group, standby, f"{_LIVE} WHERE call_id ~ '{'|'.join(known.calls)}'") < len(known.calls):
            await asyncio.sleep(0.02)
    group.line.cut()
    cut, first = time.monotonic(), group.epoch()
    load = Load(group.pbx, app, endpoint, rng)
    starting = asyncio.create_task(load.start(count, spread=lag))
    killed = await group.owner()
    killed.router.kill()
    other = group.other(killed)
    await group.taken(other, first)
    unknown = group.epoch()  # of this the standby will never know
    await asyncio.sleep(max(0.0, cut + lag - time.monotonic()))
    await asyncio.to_thread(group.database.end, signal.SIGKILL)
    await asyncio.to_thread(group.standby.promote)
    promoted = time.monotonic()
    async with asyncio.timeout(20):
        while group.epoch() <= first:
            await asyncio.sleep(0.02)
    await group.taken(other, unknown)
    seconds = time.monotonic() - promoted
    await starting
    await load.refused()
    await known.ended(timeout=40)
    await group.pbx.gone(*load.calls, *[caller.far for caller in load.callers], timeout=40)
    assert await _count(group, group.store) >= len(before.calls), "what the standby had"
    forgotten = [line.partition(_FORGOTTEN)[2] for line in other.router.log.read_text().splitlines() if _FORGOTTEN in line]
    assert forgotten, "it is told"
    killed.router.start()
    await killed.router.ready()
    after = Load(group.pbx, app, endpoint, rng)
    await after.start(4)
    await after.ended(timeout=40)
    after.check()
    untold = [call for call in load.calls if not endpoint.of("CallEnded", call)]
    return seconds, float(forgotten[0].split()[0]), len(known.calls), len(load.calls), len(untold)


async def test_a_standby_that_lags_takes_the_place_of_the_database(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """Epochs grow past one that it never knew; what it lacks is told; every call ends, and is told of unless it is of what is lost."""
    runs, count, lag = (5, 20, 5.0) if full else (1, 4, 1.5)
    ask(endpoint)
    found = []
    for run in range(runs):
        (folder := tmp_path / str(run)).mkdir()
        async with Group(app, endpoint, folder, followed=True) as group:
            with group.explained():
                found.append(await _fail_over(group, app, endpoint, random.Random(f"{seed}/lag/{run}"), count, lag))
    seconds, forgotten, known, unknown, untold = zip(*found, strict=True)
    measured(26, f"asynchronous standby, {lag:g} s behind, with a take-over that it did not know of: {runs} times; an owner "
                 f"{max(seconds):.2f} s after the promotion at most, under a new epoch; told as forgotten: {min(forgotten):.1f} to "
                 f"{max(forgotten):.1f} s; {sum(known)} calls that it knew were told to their end, {sum(unknown)} that it did not "
                 f"know ended, of which {sum(untold)} were not told")
