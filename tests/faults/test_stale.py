"""Fault 23: a router that was taken over, and does not know it.

Its lease is taken away within its trust, and what Asterisk tells it of its successor is lost: nothing holds it but the epoch in
the database, and the password in Asterisk.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

from rig.endpoint import Endpoint
from rig.group import Group, Member
from rig.load import Load, ask
from rig.proxy import Fate, Seen

Measured = Callable[[int, str], None]
_ROUND = 10  # stops between two looks at all the laws


async def _until(condition: Callable[[], object], group: Group, timeout: float = 15.0) -> None:
    try:
        async with asyncio.timeout(timeout):
            while not condition():
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"it did not come:\n{group.lines()}") from None


def _shut_out(member: Member) -> float:
    """When Asterisk had taken the member's password as the owner's; 0: it has not."""
    return max((s.answered for s in member.proxy.seen if s.status == 200 and "/res_ari/user/" in str(s.body["uri"])), default=0.0)


async def _connected(member: Member) -> bool:
    return bool((await member.router.get("/readyz"))["asterisk"]["main"] == "connected")


async def _stop(group: Group, rng: random.Random) -> list[str]:
    """The owner stops at some moment, loses its lease, and goes on: what it did after that, and what it wrote."""
    owner, epoch = await group.owner(), group.epoch()
    other, lost = group.other(owner), owner.logged("entry.lost")
    await asyncio.sleep(rng.uniform(0.0, 0.4))
    asked_at = time.monotonic()
    owner.stop()
    await asyncio.to_thread(group.expire)
    while not await _connected(other):
        await asyncio.sleep(0.01)
    since = _shut_out(other)
    since = since if since > asked_at else time.monotonic()
    rows = group.versions(epoch)
    owner.go_on()
    await _until(lambda: owner.logged("entry.lost") > lost, group)
    after = group.versions(epoch)
    written = [f"row of {call}" for call, version in after.items() if rows.get(call) != version]
    return written + owner.accepted(since)


def _deaf(seen: Seen) -> Fate:
    return "drop" if seen.type == "ApplicationReplaced" else "pass"


async def _stops(group: Group, endpoint: Endpoint, runs: int, seed: str, laws: bool) -> tuple[list[str], int, int]:
    """(what stale routers did, calls, requests of stale ones that Asterisk refused)."""
    did: list[str] = []
    calls = refused = 0
    for member in group.members:
        member.proxy.judge = _deaf
    for begin in range(0, runs, _ROUND):
        rng = random.Random(f"{seed}/{begin}")
        load = Load(group.pbx, group.app, endpoint, rng)
        starting = []
        for _ in range(min(_ROUND, runs - begin)):
            starting.append(asyncio.create_task(load.start(12)))
            did += await _stop(group, rng)
        await asyncio.gather(*starting)
        await load.refused()
        if laws:
            with group.explained():
                await load.ended(timeout=60)
                load.check(group)
        else:
            for caller in load.callers:
                await caller.hangup()
        calls += len(load.calls)
        refused += sum(len(m.refused()) for m in group.members)
        await group.again()
    return did, calls, refused


async def test_a_stale_router_can_do_nothing_even_if_its_clock_lies(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, seed: int, measured: Measured
) -> None:
    """It wakes up within its trust, and hears nothing of the other one: 0 acts, 0 rows."""
    runs = 2000 if full else 3
    ask(endpoint)
    (tmp_path / "with").mkdir()
    async with Group(app, endpoint, tmp_path / "with") as group:
        did, calls, refused = await _stops(group, endpoint, runs, str(seed), laws=True)
    assert did == []
    acts = ""
    if full:  # that all this is not for nothing
        (tmp_path / "without").mkdir()
        async with Group(app, endpoint, tmp_path / "without", fence=False) as group:
            found, _, _ = await _stops(group, endpoint, 20, f"{seed}/without", laws=False)
        assert found
        acts = f"; without the user of the owner: {len(found)} acts in 20 stops"
    measured(23, f"connect, with the user of the owner: {runs} stops under {calls} calls, 0 acts and 0 rows of the stale one, "
                 f"{refused} requests of it refused by Asterisk{acts}")
