"""Fault 31: a rolling upgrade of three routers under load, to a version that migrates their database."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from rig.endpoint import Endpoint
from rig.group import Group, Member
from rig.load import Load, ask
from rig.newer import NEWER, make_newer

from hookrouter import __version__

Measured = Callable[[int, str], None]


@pytest.mark.parametrize("mode", ["connect", "invite"])
async def test_routers_are_upgraded_one_after_the_other(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured, mode: str
) -> None:
    """No call is refused, all are told to their end, old routers go on beside the new tables; and none begins there any more."""
    runs, count, spread = (3, 60, 20.0) if full else (1, 8, 4.0)
    ask(endpoint)
    newer = make_newer(tmp_path)
    calls = skipped = outside = beside = 0
    longest = 0.0
    for run in range(runs):
        folder = tmp_path / str(run)
        folder.mkdir()
        endpoint.received.clear()
        async with Group(app, endpoint, folder, count=3, mode=mode) as group:
            load = Load(group.pbx, app, endpoint, random.Random(f"{seed}/upgrade/{mode}/{run}"))
            starting = asyncio.create_task(load.start(count, spread=spread))
            order = load.rng.sample(group.members, 3) if full else group.members
            for done, member in enumerate(order, 1):
                await asyncio.sleep(load.rng.uniform(0.2, 1.0))
                began = time.monotonic()
                assert await asyncio.to_thread(member.router.terminate, 15.0) == 0
                owner = await group.owner()
                longest = max(longest, time.monotonic() - began)
                beside += done > 1 and owner in order[done:]
                member.router.start(**newer)
                await member.router.ready(60.0)
                assert await _versions(group) == {one.name: NEWER if one in order[:done] else __version__ for one in order}
            await starting
            outside += await load.refused()
            assert mode == "connect" or not outside, group.lines()
            with group.explained():
                await load.ended(timeout=60)
                skipped += load.check(group)
            calls += len(load.calls)
            await _too_old(group, order[-1])
    measured(31, f"{mode}, three routers to a newer schema, one after the other: {runs} times, {calls} calls, all told to their end, "
                 f"{outside} more went on in the dialplan; the next owner was there after {longest:.2f} s at most; an old one owned "
                 f"the Asterisk beside the newer schema {beside} times; {skipped} prompts of unknown fate not played again")


async def _versions(group: Group) -> dict[str, str]:
    query = "SELECT name, version FROM hookrouter.routers"
    return {str(name): str(version) for name, version in await asyncio.to_thread(group.database.execute, query, group.store)}


async def _too_old(group: Group, member: Member) -> None:
    """Started in its old version again it says why it cannot, and takes nothing."""
    assert await asyncio.to_thread(member.router.terminate, 15.0) == 0
    owner, epoch = await group.owner(), group.epoch()
    member.router.start()
    assert member.router.process is not None
    assert await asyncio.to_thread(member.router.process.wait, 30) == 1
    member.router.process = None
    said = member.router.log.read_text().splitlines()[-1]
    assert f"was written by a newer hookrouter ({NEWER}, schema " in said, said
    assert f"this is {__version__}, which knows schema " in said, said
    assert "install the newer one" in said, said
    assert (await group.owner(), group.epoch()) == (owner, epoch)
