"""Fault 35: a session holds a snapshot of the database under load, so that nothing that calls replace can be cleared away."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import psycopg
import pytest
from rig.endpoint import Endpoint
from rig.group import Group
from rig.ledger import waits
from rig.load import ANSWER, HANGUP

Measured = Callable[[int, str], None]
_GAP = 0.05
_PIECE = 10.0
_STEPS = [{"action": "setVariable", "variable": f"STEP{number}", "value": "1"} for number in range(10)]


async def _answers(group: Group, app: str, endpoint: Endpoint, seconds: float) -> list[float]:
    """How long each caller of so many seconds waited for the first action."""
    found: list[float] = []
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        piece, ids = min(until, time.monotonic() + _PIECE), []
        while time.monotonic() < piece:
            began = time.monotonic()
            ids.append((await group.pbx.call(app)).id)
            await asyncio.sleep(max(0.0, began + _GAP - time.monotonic()))
        with group.explained():
            for id in ids:
                await endpoint.wait("CallEnded", call=id, timeout=30)
        found += waits(group.members[0].proxy)
        await group.again()
    return found


def _p99(found: list[float]) -> float:
    return sorted(found)[int(len(found) * 0.99)]


@pytest.mark.alone
async def test_a_snapshot_is_held_under_load(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, measured: Measured
) -> None:
    """Answers come as fast as ever, and it is told who holds it."""
    before, during = (60.0, 600.0) if full else (3.0, 8.0)
    endpoint.answers["StasisStart"] = [[ANSWER, *_STEPS, HANGUP]]
    async with Group(app, endpoint, tmp_path, count=1) as group:
        router = group.members[0].router
        await _answers(group, app, endpoint, 2.0)
        without = await _answers(group, app, endpoint, before)
        with psycopg.connect(group.store, application_name="a report") as session:
            process = session.info.backend_pid
            session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            session.execute("SELECT count(*) FROM hookrouter.calls")
            found = await _answers(group, app, endpoint, during)
            held = await router.metric("hookrouter_database_snapshot_seconds")
            assert held > during / 4, group.lines()
        after = await _answers(group, app, endpoint, before)  # the machine may have become busier meanwhile
        said = [line for line in router.log.read_text().splitlines() if " warned " in line]
        assert len(said) == full, said
        assert all("database" in line and f"process {process} " in line for line in said), said
    late = found[-int(before / _GAP) :]
    if full:
        assert _p99(late) <= 2 * max(_p99(without), _p99(after))
    assert median(late) <= 2 * max(median(without), median(after)) + 0.05
    measured(35, f"for {during:g} s under {len(found)} calls: p99 of answers {_p99(without) * 1000:.1f} ms before, "
                 f"{_p99(late) * 1000:.1f} ms in the last {before:g} s with it, {_p99(after) * 1000:.1f} ms "
                 f"after it; it was told after a minute")
