"""Faults 25, 27 and 32: the database of two routers goes, or one of them loses it; one call is asked for at both at once."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from rig.endpoint import Endpoint
from rig.group import Group
from rig.load import Load, ask

Measured = Callable[[int, str], None]
_STAYS = [{"action": "pause", "seconds": 2}, {"action": "hangup"}]


async def _away(group: Group, how: str, seconds: float) -> None:
    database = group.database
    if how == "killed":
        await asyncio.to_thread(database.end, signal.SIGQUIT)
        await asyncio.sleep(seconds)
        await asyncio.to_thread(database.start)
    else:
        database.send_to_all(signal.SIGSTOP)
        await asyncio.sleep(seconds)
        database.send_to_all(signal.SIGCONT)


@pytest.mark.parametrize(("how", "seconds"), [("killed", 1.0), ("stands still", 7.0)])
async def test_the_database_goes_and_comes_back(
    how: str, seconds: float, app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """Calls wait, and go on when it is back, at whichever router: nothing is lost, nothing is done twice, nothing wedges."""
    runs, count = (5, 40) if full else (1, 10)
    ask(endpoint)
    waited: list[float] = []
    skipped = calls = 0
    async with Group(app, endpoint, tmp_path) as group:
        for run in range(runs):
            await group.acquainted()
            load = Load(group.pbx, app, endpoint, random.Random(f"{seed}/{how}/{run}"))
            starting = await load.begin(count)
            await _away(group, how, seconds)
            back = time.monotonic()
            await starting
            await group.owner()
            waited.append(time.monotonic() - back)
            await load.refused()
            with group.explained():
                await load.ended(timeout=40)
                skipped += load.check(group)
            calls += len(load.calls)
            await group.again()
    measured(25, f"two routers, the database {how} for {seconds:g} s: {runs} times under {calls} calls, all went to their end; "
                 f"an owner goes on {max(waited):.2f} s after its return at most; {skipped} prompts of unknown fate not played again")


async def test_the_owner_loses_the_database_and_the_other_one_has_it(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """Nothing tells it: it does what is on disk, waits with the rest, and lets go; the other one goes on with all of it."""
    runs, count = (6, 40) if full else (1, 10)
    ask(endpoint)
    seconds: list[float] = []
    skipped = calls = 0
    async with Group(app, endpoint, tmp_path, cables=True) as group:
        for run in range(runs):
            await group.acquainted()
            load = Load(group.pbx, app, endpoint, random.Random(f"{seed}/cut/{run}"))
            starting = await load.begin(count)
            owner = await group.owner()
            other, lost = group.other(owner), owner.logged("entry.lost")
            assert owner.cable is not None
            owner.cable.cut()
            cut = time.monotonic()
            while (await other.router.get("/readyz"))["asterisk"]["main"] != "connected":
                assert time.monotonic() - cut < 15, group.lines()
                await asyncio.sleep(0.02)
            taken = time.monotonic()
            seconds.append(taken - cut)
            await starting
            await load.refused()
            with group.explained():
                await load.ended(timeout=40)
                assert owner.accepted(taken) == []
                owner.cable.mend()
                async with asyncio.timeout(15):
                    while owner.logged("entry.lost") == lost:
                        await asyncio.sleep(0.02)
                skipped += load.check(group)
            calls += len(load.calls)
            await group.again()
    measured(27, f"{runs} times under {calls} calls: the other router had them after {max(seconds):.2f} s at most; "
                 f"acts of the one that was cut off after that: 0; {skipped} prompts of unknown fate not played again")


async def test_one_call_asked_for_at_both_routers_is_one(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, measured: Measured
) -> None:
    """Whoever is asked first or last, Asterisk makes one channel, and both answers name it."""
    count, at_once = (200, 20) if full else (20, 20)
    async with Group(app, endpoint, tmp_path) as group:
        for begin in range(0, count, at_once):
            ids = [f"call-{number}" for number in range(begin, begin + at_once)]
            wanted = [{"to": "Local/wait@callers", "actions": _STAYS, "id": id} for id in ids]
            asked = [member.router.post("/v1/calls", body) for body in wanted for member in group.members]
            answers = await asyncio.gather(*asked)
            assert [answer.get("id") for answer in answers] == [f"hr-call-{id}." for id in ids for _ in group.members], answers
        made = Counter(
            str(seen.body["uri"]).partition("?")[0].rsplit("/", 1)[-1]
            for member in group.members for seen, status in member.answered()
            if seen.body["method"] == "POST" and str(seen.body["uri"]).startswith("channels/hr-call-") and 200 <= status < 300
        )  # fmt: skip
        assert len(made) == count, group.lines()
        assert set(made.values()) == {1}, {id: times for id, times in made.items() if times != 1}
    measured(32, f"{count} calls, each asked for at both routers at once, {at_once} at a time: {sum(made.values())} channels")
