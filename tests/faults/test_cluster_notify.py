"""Fault 34: many notify events wait for two routers, and one of the two is killed before they are told."""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rig.endpoint import Endpoint
from rig.group import Group
from rig.router import route
from rig.wire import endpoints as wire

Measured = Callable[[int, str], None]
_RATE = 200.0  # of a lane's backlog, a second
_WINDOW = 5.0  # seconds over which the pace is counted
_ID = re.compile(rb'"id":"(\w+)-(\d+)-(\d+)"')
_FILL = """
INSERT INTO hookrouter.deliveries (id, lane, route, url, call, type, created_at, next_at, body, entry)
SELECT format('%s-%s-%s', e.name, n / 4, n % 4), 'crm', 'crm', '', format('%s call %s', e.name, n / 4), 'Old', {at}, {at},
    convert_to(format('{{"type":"Old","id":"%s-%s-%s"}}', e.name, n / 4, n % 4) || repeat(' ', 1000), 'UTF8'), e.name
FROM generate_series(0, {amount} - 1) AS n CROSS JOIN (VALUES ('main'), ('second')) AS e(name) ORDER BY n
"""


async def test_a_backlog_of_two_routers_of_which_one_dies(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, measured: Measured
) -> None:
    """All of it is told, of each call in order, and two routers together send no faster than one alone."""
    amount = 100_000 if full else 2_400
    arrivals: list[tuple[float, tuple[bytes, ...]]] = []

    async def behave(peer: Any) -> None:
        found = _ID.search(peer.request.body)
        assert found is not None
        arrivals.append((time.monotonic(), found.groups()))
        await peer.answer(b"")

    async with wire.serving(behave) as crm:
        more = route(f"http://127.0.0.1:{crm.port}/crm", name="crm", more='mode = "notify"\norder = "strict"', events='["CallEnded"]')
        async with Group(app, endpoint, tmp_path, entries=("main", "second"), more=more) as group:
            first, second = group.members
            for member in group.members:
                member.router.kill()
            fill = _FILL.format(at=time.time(), amount=amount // 2)
            await asyncio.to_thread(group.database.execute, fill, group.store)
            for member in group.members:
                member.router.start()
                await member.router.ready()
            await group.owner("second")
            give = "UPDATE hookrouter.leases SET released = true WHERE entry = 'second'"
            while await group.owner("second") is not second:
                await asyncio.to_thread(group.database.execute, give, group.store)
                await asyncio.sleep(0.5)
            shared = time.monotonic()
            assert await group.owner("main") is first
            while len(arrivals) < amount // 2:
                await asyncio.sleep(0.02)
            killed, epoch = time.monotonic(), group.epoch()
            first.router.kill()
            taken = await group.taken(second, epoch) - killed
            with group.explained():
                async with asyncio.timeout(amount / _RATE + 30):
                    while len({id for _, id in arrivals}) < amount:
                        await asyncio.sleep(0.05)
    told: dict[tuple[bytes, ...], list[int]] = {}
    for _, (entry, call, place) in arrivals:
        seen = told.setdefault((entry, call), [])
        if int(place) not in seen:
            seen.append(int(place))
    assert [places for places in told.values() if places != [0, 1, 2, 3]] == []
    counts = Counter(int((at - shared) / _WINDOW) for at, _ in arrivals if at >= shared)
    pace = max(counts.values()) / _WINDOW
    again = len(arrivals) - amount
    assert pace <= _RATE * 1.1, counts
    measured(34, f"{amount} events of two Asterisks, a router each; one killed, and the other had all after {taken:.2f} s: "
                 f"each told, {again} twice with the same id, of each call in order; at most {pace / _RATE:.2f} of one router's pace")
