"""Writes wait for one another: who is in a hurry takes along who is not."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from hookrouter.facts import Facts
from hookrouter.store import rows
from hookrouter.store.batch import Inserted, Rows
from hookrouter.store.sqlite import SqliteStore


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The calls of each transaction."""
    found: list[list[str]] = []
    write = rows.write

    def noted(connection: sqlite3.Connection, batch: Rows) -> list[Inserted]:
        found.append([row[0] for row in batch.calls])
        return write(connection, batch)

    monkeypatch.setattr(rows, "write", noted)
    return found


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    opened = SqliteStore(tmp_path / "state.db", Facts())
    await opened.start()
    yield opened
    await opened.close()


def save(store: SqliteStore, call: str, within: float) -> asyncio.Future[float]:
    """When it was on disk."""
    done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    store.save_call(call, "main", b"x")
    store.committed(lambda error: done.set_result(time.monotonic()), within=within)
    return done


async def test_what_may_wait_waits(store: SqliteStore, writes: list[list[str]]) -> None:
    """Alone it is written when its time is up, and not before; so is what nobody asks for."""
    begun = time.monotonic()
    assert await save(store, "1.1", 0.03) - begun >= 0.03
    store.save_call("1.2", "main", b"x")
    while len(writes) < 2:
        await asyncio.sleep(0.005)
    assert writes == [["1.1"], ["1.2"]]


async def test_who_is_in_a_hurry_takes_the_others_along(store: SqliteStore, writes: list[list[str]]) -> None:
    """Those that could have waited for an hour are in the same transaction, whoever came first."""
    found = [save(store, f"1.{number}", within) for number, within in enumerate((3600, 0.05, 0, 3600))]
    async with asyncio.timeout(10):
        await asyncio.gather(*found)
    assert writes == [["1.0", "1.1", "1.2", "1.3"]]


async def test_a_hurry_that_begins_while_a_write_runs_is_remembered(store: SqliteStore, writes: list[list[str]]) -> None:
    """The next write begins as soon as it may."""
    first = save(store, "1.1", 0)
    while not writes:
        await asyncio.sleep(0)
    second = [save(store, "1.2", 3600), save(store, "1.3", 0), save(store, "1.4", 3600)]
    async with asyncio.timeout(10):
        await asyncio.gather(first, *second)
    assert writes == [["1.1"], ["1.2", "1.3", "1.4"]]
