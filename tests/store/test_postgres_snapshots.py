"""Who holds an old snapshot of the database is found, and told with the remedy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
import pytest
from lab.postgres import Cluster
from rig.owning import own

from hookrouter.facts import Facts, Warned
from hookrouter.store import postgres as module
from hookrouter.store.postgres import PostgresStore


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


async def test_who_holds_a_snapshot_is_told_once(
    postgres: Cluster, told: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only by the router that sees to the database; a session that reads and goes is nothing."""
    monkeypatch.setattr(module, "LOOKED_EVERY", 0.05)
    monkeypatch.setattr(module, "HELD_BACK", 0.3)
    url = postgres.database()
    store = PostgresStore(url, Facts(told.append))
    await store.start()
    try:
        with psycopg.connect(url, application_name="a report") as session:
            session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            session.execute("SELECT count(*) FROM hookrouter.calls")
            held = await own(store)
            await _until(lambda: store.leases.held_back > 0.6)
            (warned,) = [fact for fact in told if isinstance(fact, Warned)]
            process = session.info.backend_pid
            assert warned.subject == "database"
            assert warned.message.startswith(f"process {process} of the user tester (a report, from 127.0.0.1, idle in transaction) ")
            store.hold({})  # another router sees to the database now
            await _until(lambda: store.leases.held_back == 0.0)
            store.hold(held)
            await _until(lambda: store.leases.held_back > 0.6)
            assert len([fact for fact in told if isinstance(fact, Warned)]) == 1
            assert f"pg_terminate_backend({process})" in warned.message
        await _until(lambda: store.leases.held_back == 0.0)
    finally:
        await store.close()
