"""Fault 36: faults 21 to 31 at random under load, three routers, for as long as one likes (`make soak HOURS=1`)."""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from rig.endpoint import Endpoint
from rig.group import Group, Member
from rig.load import Load, ask
from rig.pbx import Pbx
from rig.soaking import descriptors, quarters

Measured = Callable[[int, str], None]
WEIGHTS = {
    "router killed": 3, "router ended": 2, "router stands still": 2, "database killed": 2, "database stands still": 1,
    "router cut off from the database": 2, "router cut off from Asterisk": 2, "routers cut off from each other": 1,
    "Asterisk killed": 1,
}  # fmt: skip
SMALL = ("calls", "leases", "routers", "lanes")
"""Tables that have no history: they stay small, however long it takes."""
SIZE = 20e6  # bytes: the database clears away what was replaced when that is 2,000 rows, of 5 KB at most


class Soak:
    """Rounds of calls, with one fault in each; after each the laws hold, and every router is there."""

    def __init__(self, group: Group, rng: random.Random) -> None:
        self.group, self.rng = group, rng
        self.struck: Counter[str] = Counter()
        self.calls = self.outside = self.skipped = 0
        self.memory: list[int] = []
        self.tables: list[int] = []
        self.strikes: dict[str, Callable[[Member], Awaitable[None]]] = {
            "router killed": self._kill, "router ended": self._end, "router stands still": self._stop,
            "database killed": self._database, "database stands still": self._still,
            "router cut off from the database": self._cable, "router cut off from Asterisk": self._proxy,
            "routers cut off from each other": self._doors, "Asterisk killed": self._asterisk,
        }  # fmt: skip

    async def round(self, fault: str, count: int) -> None:
        group = self.group
        self.struck[fault] += 1
        await group.acquainted()
        async with Pbx(group.asterisk.url) as pbx:
            load = Load(pbx, group.app, group.endpoint, self.rng)
            if fault == "Asterisk killed":
                await load.start(count)
            starting = await load.begin(0 if fault == "Asterisk killed" else count)
            await self.strikes[fault](await group.owner())
            await starting
            for member in group.members:
                await member.router.ready(timeout=30)
            await group.owner(timeout=20)
            if fault == "Asterisk killed":
                await self._ended(load)
            else:
                self.outside += await load.refused()
                await load.ended(timeout=60)
                self.skipped += load.check(group)
        self.calls += len(load.calls)
        self.memory.append(max(member.router.resident() for member in group.members))
        self.tables.append(await asyncio.to_thread(self._size))
        await group.again()

    async def _ended(self, load: Load) -> None:
        """Asterisk has died under them: who was told to be there was told to be over, once."""
        told = {delivery.call for delivery in self.group.endpoint.of("StasisStart")} & load.calls.keys()
        for call in told:
            await self.group.endpoint.wait("CallEnded", call=call, timeout=30)
        for call in told:
            ids = {delivery.body["id"] for delivery in self.group.endpoint.of("CallEnded", call)}
            assert len(ids) == 1, f"{call} was told to be over under the ids {ids}"

    def _size(self) -> int:
        sizes = " + ".join(f"pg_total_relation_size('hookrouter.{name}')" for name in SMALL)
        return int(str(self.group.database.execute(f"SELECT {sizes}", self.group.store)[0][0]))

    async def _kill(self, owner: Member) -> None:
        owner.router.kill()
        await asyncio.sleep(self.rng.choice((0.0, self.rng.uniform(0.0, 8.0))))
        owner.router.start()

    async def _end(self, owner: Member) -> None:
        assert await asyncio.to_thread(owner.router.terminate, 10.0) == 0
        owner.router.start()

    async def _stop(self, owner: Member) -> None:
        owner.stop()
        await asyncio.sleep(self.rng.uniform(1.0, 10.0))
        owner.go_on()

    async def _database(self, owner: Member) -> None:
        await asyncio.to_thread(self.group.database.end, self.rng.choice((signal.SIGINT, signal.SIGQUIT)))
        await asyncio.sleep(self.rng.uniform(0.0, 2.0))
        await asyncio.to_thread(self.group.database.start)

    async def _still(self, owner: Member) -> None:
        self.group.database.send_to_all(signal.SIGSTOP)
        await asyncio.sleep(self.rng.uniform(1.0, 8.0))
        self.group.database.send_to_all(signal.SIGCONT)

    async def _cable(self, owner: Member) -> None:
        assert owner.cable is not None
        owner.cable.cut()
        await asyncio.sleep(self.rng.uniform(1.0, 8.0))
        owner.cable.mend()

    async def _proxy(self, owner: Member) -> None:
        """Refused, or not a word; both ways, where Asterisk comes by itself."""
        ways = [owner.proxy, *([owner.invited] if owner.invited is not None else [])]
        silent = self.rng.random() < 0.5
        for way in ways:
            way.freeze() if silent else way.refuse()
        await asyncio.sleep(self.rng.uniform(1.0, 8.0))
        for way in ways:
            way.heal()

    async def _doors(self, owner: Member) -> None:
        for member in self.group.members:
            assert member.door is not None
            member.door.cut()
        await asyncio.sleep(self.rng.uniform(1.0, 8.0))
        for member in self.group.members:
            assert member.door is not None
            member.door.mend()

    async def _asterisk(self, owner: Member) -> None:
        self.group.asterisk.kill()
        await asyncio.sleep(self.rng.uniform(0.0, 2.0))
        await asyncio.to_thread(self.group.asterisk.start)


@pytest.mark.parametrize("mode", ["connect", "invite"])
async def test_several_routers_under_faults_at_random(
    app: str, endpoint: Endpoint, tmp_path: Path, mode: str, request: pytest.FixtureRequest, seed: int, measured: Measured
) -> None:
    """The laws hold in every round; memory, descriptors and tables do not grow. Without `--soak-hours` it is one short round."""
    hours = float(request.config.getoption("--soak-hours"))
    rng = random.Random(f"{seed}/several/{mode}")
    ask(endpoint)
    async with Group(app, endpoint, tmp_path, count=3, mode=mode, cables=True, doors=True) as group:
        soak = Soak(group, rng)
        await group.owner()
        fewest = max(member.router.descriptors() for member in group.members)
        until = time.monotonic() + hours * 1800  # half of it for each mode
        if not hours:
            await soak.round("router killed" if mode == "connect" else "router ended", 6)
        while time.monotonic() < until:
            fault = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
            try:
                await soak.round(fault, 16)
            except (AssertionError, TimeoutError) as error:
                raise AssertionError(f"round {soak.struck.total()}, {fault}, seed {seed}: {error}\n{group.lines()}") from error
        left = await descriptors([member.router for member in group.members], fewest + 8)
        assert left <= fewest + 8
    if not hours:
        return
    (first, last), (small, large) = quarters(soak.memory), quarters(soak.tables)
    assert last < first * 1.1 + 8e6, soak.memory
    assert large < SIZE, soak.tables
    struck = ", ".join(f"{fault} {count}×" for fault, count in sorted(soak.struck.items()))
    measured(36, f"{mode}, three routers, {hours / 2:g} h: {struck} under {soak.calls} calls, the laws held; {soak.skipped} prompts "
                 f"of unknown fate not played again; the largest router has {first / 1e6:.0f} MB in the first quarter, "
                 f"{last / 1e6:.0f} MB in the last; descriptors {fewest} at first, {left} in the end; tables without history "
                 f"{small / 1e6:.1f} and then {large / 1e6:.1f} MB; {soak.outside} more calls went on in the dialplan")  # fmt: skip
