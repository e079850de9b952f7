"""Fault 9 at length: kill -9 at seeded moments under live calls with prompts, digits, recordings and bridges."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from rig.endpoint import Endpoint
from rig.load import Load, ask
from rig.place import Place

Measured = Callable[[int, str], None]


@pytest.mark.parametrize("mode", ["connect", "listen"])
async def test_killed_at_any_moment_every_call_goes_on_where_it_was(
    app: str, endpoint: Endpoint, tmp_path: Path, mode: str, full: bool, seed: int, measured: Measured
) -> None:
    """Some runs kill it twice. Nothing is played, recorded or told twice; every call ends as it should."""
    runs, count = (100, 50) if full else (3, 10)
    skipped = calls = kills = outside = 0
    ask(endpoint)
    async with Place(mode, app, endpoint, tmp_path) as place:
        for run in range(runs):
            rng = random.Random(f"{seed}/{mode}/{run}")
            place.proxy.seen.clear()
            endpoint.received.clear()
            place.pbx.events.clear()
            load = Load(place.pbx, app, endpoint, rng)
            starting = asyncio.create_task(load.start(count))
            for _ in range(rng.choice((1, 1, 2))):
                await asyncio.sleep(rng.uniform(0.0, 3.0))
                place.router.kill()
                await asyncio.sleep(rng.choice((0.0, rng.uniform(0.0, 1.0))))
                place.router.start()
                kills += 1
            await starting
            await place.router.ready()
            outside += await load.refused() if mode == "connect" else 0
            try:
                await load.ended()
                skipped += load.check(place.proxy)
            except (AssertionError, TimeoutError) as error:
                raise AssertionError(f"run {run} of seed {seed}: {error}\n{place.router.log.read_text()[-3000:]}") from error
            calls += len(load.calls)
            assert not [id for id in await place.pbx.bridges() if id.startswith("hr-")]
    measured(9, f"{mode}: {runs} runs, {kills} kills, {calls} calls; {skipped} prompts of unknown fate not played again; "
                f"{outside} more calls came while nobody was there and went on in the dialplan")
