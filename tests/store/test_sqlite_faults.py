"""The SQLite store when the machine lets it down: killed, full, read-only, silent."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from hookrouter.delivery.queue import Added, Filter, NewDelivery, Progress
from hookrouter.errors import StoreError
from hookrouter.facts import Fact, Facts, JournalFailed, JournalRecovered, Warned
from hookrouter.store import committing
from hookrouter.store.sqlite import SqliteStore

Make = Callable[..., NewDelivery]

WRITER = """
import asyncio, sys
from pathlib import Path
from hookrouter.delivery.queue import NewDelivery, Progress
from hookrouter.facts import Facts
from hookrouter.store.sqlite import SqliteStore

async def main():
    store = SqliteStore(Path(sys.argv[1]), Facts())
    await store.start()
    number = 0
    while True:
        number += 1
        for call in range(5):
            store.save_call(str(call), "main", b"%d" % number)
        delivery = NewDelivery(f"d{number}", "crm", "T", b"body", float(number))
        store.add([delivery], lambda added: None)
        if number > 1:
            store.record(Progress(f"d{number - 1}", "crm", "delivered", 1, 1.0))
        store.committed(lambda error, n=number: sys.stdout.write(f"{n}\\n") and sys.stdout.flush())
        if number % 3 == 0:
            await store.settled()
        await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 7, 40, 150])
async def test_what_was_reported_as_committed_survives_kill_9(tmp_path: Path, lines: int) -> None:
    """A process killed in the middle of writing has on disk at least what its callbacks said, and a whole state."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, str(tmp_path / "s.db"), stdout=subprocess.PIPE, env=_environment()
    )
    assert child.stdout is not None
    for _ in range(lines):
        await asyncio.wait_for(child.stdout.readline(), 30)
    child.send_signal(signal.SIGKILL)
    rest = (await child.stdout.read()).decode().split()
    await child.wait()
    reported = int(rest[-1]) if rest and rest[-1].isdigit() else lines
    store = SqliteStore(tmp_path / "s.db", Facts())
    await store.start()
    numbers = {int(call.snapshot) for call in await store.load_calls()}
    assert len(numbers) == 1, "the five calls are saved together or not at all"
    (kept,) = numbers
    assert kept >= reported - (1 if rest and not rest[-1].isdigit() else 0)
    deliveries = await store.find(Filter(), limit=100_000)
    assert len(deliveries) == kept
    assert [d.id for d in deliveries if d.status == "pending"] == [f"d{kept}"]
    await store.close()


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from hookrouter.facts import Facts
from hookrouter.store.sqlite import SqliteStore

async def main():
    told = []
    store = SqliteStore(Path(sys.argv[1]), Facts(told.append))
    await store.start()
    store.save_call("before", "main", b"x")
    await store.settled()
    most = Path(sys.argv[1] + "-wal").stat().st_size + 100_000
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, resource.RLIM_INFINITY))
    errors = []
    for number in range(40):
        store.save_call(f"call {number}", "main", b"x" * 8000)
        store.committed(errors.append)
        try:
            await store.settled()
        except Exception as error:
            last = error
    assert type(last).__name__ == "StoreError", last
    assert [type(fact).__name__ for fact in told] == ["JournalFailed"], told
    assert len(errors) == 40 and errors[0] is None and errors[-1] is not None
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    while len(told) < 2:
        await asyncio.sleep(0.01)
    assert type(told[1]).__name__ == "JournalRecovered", told
    await store.settled()
    assert len(await store.load_calls()) == 41
    await store.close()
    print("passed", last)

asyncio.run(main())
"""


async def test_a_full_disk_stops_nobody_and_all_is_written_when_there_is_room(tmp_path: Path) -> None:
    """Writes past the file-size limit fail as on a full disk: callbacks say so, one alarm, then everything is kept."""
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIMITED, str(tmp_path / "s.db"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(),
    )  # fmt: skip
    out, err = await asyncio.wait_for(child.communicate(), 30)
    assert child.returncode == 0, err.decode()
    assert out.startswith(b"passed")


@pytest.fixture
def told() -> list[Fact]:
    return []


@pytest.fixture
async def store(tmp_path: Path, told: list[Fact], monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SqliteStore]:
    monkeypatch.setattr(committing, "RETRY_DELAY", 0.02)
    opened = SqliteStore(tmp_path / "s.db", Facts(told.append), patience=0.1)
    await opened.start()
    yield opened
    await opened.close()


async def _pragma(store: SqliteStore, text: str) -> None:
    await store._thread.call(lambda connection: connection.execute(f"PRAGMA {text}").fetchall())


async def _recovery(told: list[Fact]) -> None:
    async with asyncio.timeout(10):
        while not any(isinstance(fact, JournalRecovered) for fact in told):
            await asyncio.sleep(0.005)


async def test_a_read_only_store_goes_on_and_comes_back_with_current_snapshots(
    store: SqliteStore, told: list[Fact]
) -> None:
    """Callbacks get the error at once, one alarm is told, and what is written at last is the newest of every call."""
    await _pragma(store, "query_only = ON")
    state = [b"old"]
    store.save_call("1", "main", lambda: state[0])
    store.save_call("2", "main", b"second")
    with pytest.raises(StoreError, match="it is read-only: make the file"):
        await store.settled()
    called: list[object] = []
    store.committed(called.append)
    assert isinstance(called[0], StoreError), "while the disk refuses nobody waits"
    store.drop_call("2")
    store.save_call("3", "main", b"third")
    state[0] = b"new"
    with pytest.raises(StoreError):
        await store.load_calls()
    assert await store.recent_calls() == []
    await _pragma(store, "query_only = OFF")
    await _recovery(told)
    assert {(c.call_id, c.snapshot) for c in await store.load_calls()} == {("1", b"new"), ("3", b"third")}
    assert [type(fact) for fact in told] == [JournalFailed, JournalRecovered]


async def test_deliveries_wait_in_memory_and_are_refused_beyond_its_bound(
    store: SqliteStore, told: list[Fact], delivery: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is told whether it is kept; those kept are in the queue after the recovery, with what became of them."""
    monkeypatch.setattr(committing, "MOST_WAITING", 3)
    await _pragma(store, "query_only = ON")
    outcomes: list[Added] = []
    store.add([delivery("a")], outcomes.append)
    with pytest.raises(StoreError):
        await store.settled()
    for name in "bcdef":
        store.add([delivery(name)], outcomes.append)
    store.record(Progress("a", "crm", "delivered", 1, 101.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [added.kept for added in outcomes] == [True, True, True, False, False, False]
    assert all(added.error is not None and added.new for added in outcomes)
    await _pragma(store, "query_only = OFF")
    await _recovery(told)
    assert {(d.id, d.status) for d in await store.find(Filter())} == {
        ("a", "delivered"), ("b", "pending"), ("c", "pending"),
    }  # fmt: skip


async def test_memory_is_bounded_while_the_disk_refuses(
    store: SqliteStore, told: list[Fact], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest entries of timelines go first, and how many were not kept is told afterwards."""
    monkeypatch.setattr(committing, "MOST_WAITING_ENTRIES", 10)
    await _pragma(store, "query_only = ON")
    for number in range(25):
        store.log("1", float(number), "event")
    with pytest.raises(StoreError):
        await store.settled()
    await _pragma(store, "query_only = OFF")
    await _recovery(told)
    assert [e.at for e in await store.timeline("1")] == [float(number) for number in range(15, 25)]
    (warned,) = [fact for fact in told if isinstance(fact, Warned)]
    assert "15 entries were not kept" in warned.message


async def test_a_silent_disk_is_not_waited_for(store: SqliteStore, told: list[Fact], delivery: Make) -> None:
    """After `patience` those who wait are told; when the write ends after all, everything was kept, once."""
    gate = threading.Event()
    stuck = asyncio.create_task(store._thread.call(lambda connection: gate.wait(10)))
    await asyncio.sleep(0)
    store.save_call("1", "main", b"x")
    outcomes: list[Added] = []
    store.add([delivery("a")], outcomes.append)
    with pytest.raises(StoreError, match=r"has not answered for 0\.1 s"):
        await store.settled()
    assert [(added.kept, added.error is not None) for added in outcomes] == [(True, True)]
    gate.set()
    await stuck
    await _recovery(told)
    assert [c.call_id for c in await store.load_calls()] == ["1"]
    assert await store.backlog() == {"crm": 1}
    assert len(outcomes) == 1


async def test_one_snapshot_that_fails_costs_no_other(store: SqliteStore, told: list[Fact]) -> None:
    """A function that raises is reported by its call; the others of the batch are kept."""

    def broken() -> bytes:
        raise ValueError("not serialisable")

    store.save_call("1", "main", broken)
    store.save_call("2", "main", b"x")
    await store.settled()
    assert [c.call_id for c in await store.load_calls()] == ["2"]
    (fact,) = told
    assert isinstance(fact, JournalFailed)
    assert (fact.what, fact.detail) == ("call 1", "ValueError: not serialisable")


async def test_a_callback_that_raises_keeps_nobody_waiting(store: SqliteStore) -> None:
    """Its error goes to the event loop's handler, the next callback comes."""
    reported: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context))

    def broken(error: object) -> None:
        raise ValueError("mine")

    store.save_call("1", "main", b"x")
    store.committed(broken)
    await store.settled()
    assert [str(context["exception"]) for context in reported] == ["mine"]


async def test_an_unreadable_request_is_a_store_error(store: SqliteStore) -> None:
    """What SQLite says on reading becomes the store's error with the file's name."""
    await store._thread.call(lambda connection: connection.execute("DROP TABLE timeline"))
    with pytest.raises(StoreError, match=r"s\.db: OperationalError: no such table: timeline"):
        await store.timeline("1")
    with pytest.raises(sqlite3.OperationalError):
        await store._thread.call(lambda connection: connection.execute("SELECT * FROM timeline"))
