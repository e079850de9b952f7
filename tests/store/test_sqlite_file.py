"""The SQLite store's file: ownership, schema, corruption, retention."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from hookrouter.delivery.queue import Filter, NewDelivery, Progress
from hookrouter.errors import ConfigurationError, StoreError
from hookrouter.facts import Facts, JournalFailed, JournalRecovered, Warned
from hookrouter.store import Retention, committing, open_store, rows
from hookrouter.store.file import open_file
from hookrouter.store.opening import sqlite_path
from hookrouter.store.queries import QUERIES, read_migrations
from hookrouter.store.sqlite import SqliteStore


@pytest.mark.parametrize(
    ("url", "path"),
    [
        pytest.param("sqlite:///./hookrouter.db", "hookrouter.db", id="relative"),
        pytest.param("sqlite:///../state.db", "../state.db", id="above"),
        pytest.param("sqlite:///state.db", "state.db", id="bare name"),
        pytest.param("sqlite:///var/lib/hookrouter/state.db", "/var/lib/hookrouter/state.db", id="absolute"),
        pytest.param("sqlite:////var/lib/state.db", "/var/lib/state.db", id="four slashes"),
        pytest.param("sqlite:///var/with%20space/x.db", "/var/with space/x.db", id="quoted"),
    ],
)
def test_an_address_names_a_file(url: str, path: str) -> None:
    """Three slashes and a path are absolute; a dot or a bare name is relative."""
    assert sqlite_path(url) == Path(path)


@pytest.mark.parametrize("url", ["", "sqlite://", "sqlite:///", "postgresql:", "mysql://x/y", "memory"])
def test_what_is_no_address_is_refused(url: str) -> None:
    """The error names the setting and the forms there are."""
    forms = r"sqlite:///path/to/file\.db, postgresql://user@host/database or memory:"
    with pytest.raises(ConfigurationError, match=f"HOOKROUTER_STORE: .* {forms}"):
        open_store(url)


async def test_a_second_router_on_the_file_is_refused(tmp_path: Path) -> None:
    """The message says who has it and what to do; after the first one is closed the second one may."""
    first, second = SqliteStore(tmp_path / "s.db", Facts()), SqliteStore(tmp_path / "s.db", Facts())
    await first.start()
    with pytest.raises(StoreError, match=r"another hookrouter \(process \d+\) uses this store"):
        await second.start()
    await first.close()
    await first.close()
    await second.start()
    await second.close()


async def test_a_foreign_program_cannot_lock_the_running_store(tmp_path: Path) -> None:
    """Whoever tries to write or lock the file while we run is refused at once, and our commits go on."""
    store = SqliteStore(tmp_path / "s.db", Facts())
    await store.start()
    foreign = sqlite3.connect(tmp_path / "s.db", timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        foreign.execute("BEGIN EXCLUSIVE")
    foreign.close()
    store.save_call("1", "main", b"x")
    await store.settled()
    await store.close()


async def test_a_file_that_is_locked_at_the_start_is_waited_for(tmp_path: Path) -> None:
    """It starts once the other program lets go, and says what is wrong if that takes too long."""
    foreign = sqlite3.connect(tmp_path / "s.db", isolation_level=None)
    foreign.execute("CREATE TABLE t (x)")
    foreign.execute("BEGIN EXCLUSIVE")
    store = SqliteStore(tmp_path / "s.db", Facts())
    with pytest.raises(StoreError, match="another process has locked it: end that process"):
        await store.start(lock_timeout=0.1)
    starting = asyncio.create_task(store.start(lock_timeout=10.0))
    await asyncio.sleep(0)
    foreign.execute("ROLLBACK")
    foreign.close()
    await starting
    await store.close()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """It is left as it is, and the remedy is named."""
    with sqlite3.connect(tmp_path / "s.db") as newer:
        newer.execute("PRAGMA user_version = 999")
    newer.close()
    said = r"newer hookrouter \(schema 999; this is [\d.]+, which knows schema \d+\): install the newer one"
    with pytest.raises(StoreError, match=said):
        await SqliteStore(tmp_path / "s.db", Facts()).start()
    with sqlite3.connect(tmp_path / "s.db") as newer:
        assert newer.execute("PRAGMA user_version").fetchone() == (999,)
        assert newer.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)
    newer.close()


def test_migrations_are_numbered_without_a_gap(tmp_path: Path) -> None:
    """Each brings the version to its own number, and a second run changes nothing."""
    connection, aside = open_file(tmp_path / "s.db")
    assert aside == ""
    assert connection.execute("PRAGMA user_version").fetchone() == (len(read_migrations()),)
    connection.close()
    connection, _ = open_file(tmp_path / "s.db")
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_every_statement_is_valid(tmp_path: Path) -> None:
    """SQLite can prepare each of queries.sql against the schema."""
    connection, _ = open_file(tmp_path / "s.db")
    for sql in QUERIES.values():
        names = dict.fromkeys(("ids", "status", "route", "routes", "call", "type", "reason", "after", "before", "now"))
        arguments = {**names, "limit": 1, "offset": 0} if ":limit" in sql or ":now" in sql else [None] * 12
        count = next(n for n in range(13) if _prepares(connection, sql, arguments, n))
        assert count < 13
    connection.close()


def _prepares(connection: sqlite3.Connection, sql: str, arguments: object, count: int) -> bool:
    try:
        connection.execute(f"EXPLAIN {sql}", arguments if isinstance(arguments, dict) else [None] * count)
    except sqlite3.ProgrammingError:
        return False
    return True


@pytest.mark.parametrize("damage", ["text", "torn", "head"])
async def test_a_corrupt_file_is_moved_aside_with_an_alarm(tmp_path: Path, damage: str) -> None:
    """The router starts with an empty store, the damaged file stays for who wants to look."""
    told: list[object] = []
    path = tmp_path / "s.db"
    store = SqliteStore(path, Facts())
    await store.start()
    for number in range(200):
        store.save_call(str(number), "main", b"x" * 500)
    await store.close()
    whole = path.read_bytes()
    path.write_bytes(
        {
            "text": b"this is no database\n" * 100,
            "torn": whole[: len(whole) // 2 // 4096 * 4096],
            "head": whole[:4096] + b"\xff" * 8192 + whole[12288:],
        }[damage]
    )
    store = SqliteStore(path, Facts(told.append))
    await store.start()
    assert await store.load_calls() == []
    store.save_call("1", "main", b"x")
    await store.settled()
    await store.close()
    (warned,) = told
    assert isinstance(warned, Warned)
    (aside,) = tmp_path.glob("s.db.corrupt-*")
    assert str(aside) in warned.message


async def test_no_directory_is_said_clearly(tmp_path: Path) -> None:
    """The message names the place and the remedy."""
    with pytest.raises(StoreError, match="the directory of the store must exist and be writable"):
        await SqliteStore(tmp_path / "nowhere" / "s.db", Facts()).start()


async def test_retention_keeps_the_youngest(tmp_path: Path, delivery: Callable[..., NewDelivery]) -> None:
    """Of each kind only so many rows, and none older than its age; pending deliveries are never trimmed."""
    keep = Retention(timeline_age=50, timeline_rows=4, finished_age=50, finished_rows=3, delivered_rows=2, dead_rows=1)
    store = SqliteStore(tmp_path / "s.db", Facts())
    await store.start()
    for number in range(10):
        store.log("1", 100.0 + number, "event", b"%d" % number)
        store.finish_call(str(number), "main", 100.0 + number, b"{}")
    store.add([delivery(f"d{n}") for n in range(12)], lambda added: None)
    for number in range(5):
        store.record(Progress(f"d{number}", "crm", "delivered", 1, 101.0))
        store.record(Progress(f"d{number + 5}", "crm", "dead", 1, 101.0, reason="x"))
    await store.settled()
    more = await store._thread.call(lambda c: rows.trim(c, keep, 110.0))
    assert not more
    assert [e.detail for e in await store.timeline("1")] == [b"6", b"7", b"8", b"9"]
    assert [c.call_id for c in await store.recent_calls()] == ["9", "8", "7"]
    left = {(d.id, d.status) for d in await store.find(Filter())}
    assert left == {
        ("d3", "delivered"), ("d4", "delivered"), ("d9", "dead"), ("d10", "pending"), ("d11", "pending"),
    }  # fmt: skip
    await store._thread.call(lambda c: rows.trim(c, keep, 1000.0))
    assert await store.timeline("1") == []
    assert await store.recent_calls() == []
    await store.close()


async def test_the_retention_runs_by_itself_and_reports_its_own_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It trims again and again; when the disk refuses it says so once, and once that it works again."""
    monkeypatch.setattr(committing, "TRIM_DELAY", 0.01)
    told: list[object] = []
    store = SqliteStore(tmp_path / "s.db", Facts(told.append), retention=Retention(timeline_rows=2))
    await store.start()

    async def until(amount: int) -> None:
        async with asyncio.timeout(10):
            while len(told) < amount:
                await asyncio.sleep(0.005)

    await store._thread.call(lambda c: c.execute("PRAGMA query_only = ON").fetchall())
    await until(1)
    await store._thread.call(lambda c: c.execute("PRAGMA query_only = OFF").fetchall())
    await until(2)
    assert [type(fact) for fact in told] == [JournalFailed, JournalRecovered]
    for number in range(5):
        store.log("1", store._clock.now(), "event", b"%d" % number)
    async with asyncio.timeout(10):
        while len(await store.timeline("1")) > 2:
            await asyncio.sleep(0.005)
    await store.close()
