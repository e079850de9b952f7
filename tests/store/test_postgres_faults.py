"""The PostgreSQL store when the database or the way to it lets it down: killed, stopped, locked, read-only, taken."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator

import psycopg
import pytest
from lab.postgres import Cluster, cluster
from rig.owning import own
from rig.router import Router, route

from hookrouter.calls.call import Call, encode_call
from hookrouter.cluster.leases import Identity
from hookrouter.delivery.queue import Added, AttemptEntry, Filter, NewDelivery, Progress
from hookrouter.errors import ConfigurationError, StoreError
from hookrouter.facts import Facts, JournalFailed, JournalRecovered
from hookrouter.store import committing, open_store, postgres, postgres_leases, postgres_rows
from hookrouter.store.postgres import PostgresStore
from hookrouter.store.retention import Retention

Make = Callable[..., NewDelivery]


@pytest.fixture
def server() -> Iterator[Cluster]:
    """One that may be killed."""
    with cluster() as made:
        yield made


@pytest.fixture(autouse=True)
def _in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "RETRY_DELAY", 0.05)
    monkeypatch.setattr(postgres_rows, "DEADLINE", 1.0)
    monkeypatch.setattr(postgres, "_WATCH_EVERY", 0.05)


@pytest.fixture
async def store(postgres: Cluster, told: list[object]) -> AsyncIterator[PostgresStore]:
    opened = PostgresStore(postgres.database(), Facts(told.append), patience=0.2)
    await opened.start()
    await own(opened)
    yield opened
    await opened.close()


async def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def _count(told: list[object], kind: type) -> int:
    return sum(isinstance(fact, kind) for fact in told)


class Load:
    """Calls that go on whatever the database does: each step saves, logs, adds a delivery and waits for its commit."""

    def __init__(self, store: PostgresStore) -> None:
        self.store = store
        self.steps = 0
        self.longest = 0.0
        self.outcomes: list[StoreError | None] = []
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.steps += 1
            for call in range(5):
                self.store.save_call(str(call), "main", b"%d" % self.steps)
            self.store.log("0", float(self.steps), "step", b"%d" % self.steps)
            self.store.add([NewDelivery(f"d{self.steps}", "crm", "T", b"{}", 1.0, "0")], lambda added: None)
            done: asyncio.Future[StoreError | None] = loop.create_future()
            begun = loop.time()
            self.store.committed(done.set_result)
            self.outcomes.append(await done)
            self.longest = max(self.longest, loop.time() - begun)
            await asyncio.sleep(0.005)

    async def more(self, steps: int = 10, *, failing: bool | None = None) -> None:
        """So many steps more, or until one of them fails (or no longer does)."""
        if failing is not None:
            await _until(lambda: bool(self.outcomes) and (self.outcomes[-1] is not None) == failing)
        goal = self.steps + steps
        await _until(lambda: self.steps >= goal)

    async def end(self) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)


async def _all_is_written(store: PostgresStore, steps: int) -> None:
    await store.settled()
    assert {call.snapshot for call in await store.load_calls()} == {b"%d" % steps}
    assert [int(entry.detail) for entry in await store.timeline("0")] == list(range(1, steps + 1)), "each entry once"
    assert await store.backlog() == {"crm": steps}


@pytest.mark.parametrize("by", [signal.SIGKILL, signal.SIGQUIT, signal.SIGINT])
async def test_calls_go_on_while_the_server_is_away(server: Cluster, told: list[object], by: int) -> None:
    """Killed, ended at once and ended in order, under load: nobody waits, and all is there afterwards, once."""
    # patient: a machine that is busy here and there is no failure of the database
    store = PostgresStore(server.database(), Facts(told.append), patience=3.0)
    await store.start()
    await own(store)
    load = Load(store)
    await load.more(20)
    await asyncio.to_thread(server.end, by)
    await load.more(20, failing=True)
    assert "it cannot be reached" in str(load.outcomes[-1])
    server.start()
    await load.more(20, failing=False)
    await load.end()
    assert load.longest < 5.0
    assert (_count(told, JournalFailed), _count(told, JournalRecovered)) == (1, 1)
    await _all_is_written(store, load.steps)
    await store.close()


async def test_a_server_that_stands_still_is_given_up_and_taken_again(server: Cluster, told: list[object]) -> None:
    """Its socket takes everything and answers nothing. What it did with the batch that it had is found out."""
    store = PostgresStore(server.database(), Facts(told.append), patience=0.2)
    await store.start()
    await own(store)
    load = Load(store)
    await load.more(20)
    server.send_to_all(signal.SIGSTOP)
    try:
        await load.more(1, failing=True)
        assert "the database has not answered for 0.2 s" in str(load.outcomes[-1])
        await _until(lambda: "it cannot be reached" in str(load.outcomes[-1]))
    finally:
        server.send_to_all(signal.SIGCONT)
    await load.more(20, failing=False)
    await load.end()
    await _all_is_written(store, load.steps)
    await store.close()


async def test_a_write_that_hangs_in_the_server_is_ended_before_the_next(
    store: PostgresStore, told: list[object]
) -> None:
    """What a lock held up is not written after what is newer: its session is ended first, lock or not."""
    with psycopg.connect(store._writer._conninfo) as other:
        other.execute("LOCK TABLE hookrouter.calls IN SHARE MODE")
        store.save_call("1", "main", b"old")
        with pytest.raises(StoreError, match="has not answered"):
            await store.settled()
        store.save_call("1", "main", b"new")
        store.drop_call("2")
        await _until(lambda: store._flying is None)
        other.rollback()
    await _until(lambda: _count(told, JournalRecovered) >= 1)
    await store.settled()
    assert [call.snapshot for call in await store.load_calls()] == [b"new"]


async def test_a_database_that_only_reads_is_told(postgres: Cluster, store: PostgresStore, told: list[object]) -> None:
    """As after a switch to a standby: the connection goes, and the next that writes is taken."""
    name = store._place.rpartition("/")[2]
    postgres.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    store.save_call("1", "main", b"x")
    with pytest.raises(StoreError):
        await store.settled()
    await _until(lambda: "read-only" in str(store._failure))
    postgres.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
    await _until(lambda: _count(told, JournalRecovered) >= 1)
    assert [call.call_id for call in await store.load_calls()] == ["1"]


async def test_of_two_routers_of_one_name_the_second_waits(postgres: Cluster) -> None:
    """It is refused while the first is there; afterwards it has all at once, under greater epochs."""
    url = postgres.database()
    first, second = PostgresStore(url, Facts()), PostgresStore(url, Facts())
    await first.start()
    held = await own(first)
    with pytest.raises(StoreError, match=r"another hookrouter of the name `.*` uses this store"):
        await second.start(lock_timeout=0.2)
    await first.close()
    third = PostgresStore(url, Facts())
    await third.start()
    later = await own(third)
    assert later.keys() == held.keys(), "the first one's session has ended: what it had is free"
    assert all(later[entry] > held[entry] for entry in held)
    await third.close()


async def test_nothing_of_an_epoch_that_is_over_is_written(
    postgres: Cluster, store: PostgresStore, told: list[object], delivery: Make
) -> None:
    """What is of the entry that another router has taken is thrown away, the rest of the batch is written at once."""
    url = store._writer._conninfo
    store.save_call("main/1", "main", b"mine")
    store.add([NewDelivery("d0", "crm", "T", b"", 1.0, asterisk="main")], lambda added: None)
    await store.settled()
    lost: list[list[str]] = []
    store.on_lost = lost.append
    with psycopg.connect(url, autocommit=True) as other:
        other.execute("UPDATE hookrouter.leases SET epoch = epoch + 1, router = 'the other' WHERE entry = 'main'")
    store.save_call("main/1", "main", b"stale")
    store.save_call("other/1", "other", b"mine still")
    store.put_meta("announced/main/1", b"stale")
    store.put_meta("announced/other/1", b"mine")
    store.finish_call("1", "main", 1.0, b"stale")
    store.add([NewDelivery("d1", "crm", "T", b"stale", 1.0, asterisk="main")], lambda added: None)
    store.add([NewDelivery("d2", "crm", "T", b"mine", 1.0, asterisk="other")], lambda added: None)
    store.record(Progress("d0", "crm", "delivered", 1, 1.0))
    await store.settled()
    assert lost == [["main"]]
    assert not told, "nothing has failed"
    assert store.held.keys() == {"other", "~house"}
    with psycopg.connect(url) as other:
        assert other.execute("SELECT snapshot FROM hookrouter.calls ORDER BY call_id").fetchall() == [(b"mine",), (b"mine still",)]
        assert other.execute("SELECT key FROM hookrouter.meta").fetchall() == [("announced/other/1",)]
        assert other.execute("SELECT id, status FROM hookrouter.deliveries ORDER BY id").fetchall() == [
            ("d0", "pending"), ("d2", "pending"),
        ]  # fmt: skip
        assert other.execute("SELECT * FROM hookrouter.finished").fetchall() == []


async def test_what_an_owner_has_written_is_there_for_the_next(postgres: Cluster, delivery: Make) -> None:
    """Its calls and its deliveries; those of another entry's owner are not among them."""
    url = postgres.database()
    first = PostgresStore(url, Facts(), identity=Identity("first"))
    second = PostgresStore(url, Facts(), identity=Identity("second"))
    await first.start()
    await second.start()
    held = await own(first, "a", "b")
    assert await own(second, "a", "b") == {}
    for entry in ("a", "b"):
        first.save_call(f"{entry}/1", entry, entry.encode())
        first.add([NewDelivery(f"of {entry}", "crm", "T", b"", 1.0, asterisk=entry)], lambda added: None)
    await first.settled()
    await first.leases.release({"a": held["a"], "b": held["b"] - 1})
    assert (await own(second, "a", "b")).keys() == {"a"}, "the other one was not given back under the right epoch"
    assert [call.snapshot for call in await second.load_calls("a")] == [b"a"]
    assert [d.id for d in (await second.due("crm", 2.0, 10, ())).due] == ["of a"]
    second.record(Progress("of b", "crm", "delivered", 1, 2.0))
    second.record(Progress("of a", "crm", "delivered", 1, 2.0))
    await second.settled()
    assert {(d.id, d.status) for d in await second.find(Filter())} == {("of a", "delivered"), ("of b", "pending")}
    await first.close()
    await second.close()


async def test_a_batch_that_hangs_does_not_keep_its_entry(postgres: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its session is ended once the lease is over, by who takes over; nothing of it is written."""
    monkeypatch.setattr(postgres_leases, "LEASE", 0.5)
    monkeypatch.setattr(postgres_rows, "DEADLINE", 60.0)
    url = postgres.database()
    first = PostgresStore(url, Facts(), identity=Identity("first"), patience=0.2)
    second = PostgresStore(url, Facts(), identity=Identity("second"))
    await first.start()
    await second.start()
    held = await own(first, "a")
    with psycopg.connect(url) as other:
        other.execute("LOCK TABLE hookrouter.calls IN SHARE MODE")
        first.save_call("a/1", "a", b"stale")
        with pytest.raises(StoreError, match="has not answered"):
            await first.settled()
        taken = None
        async with asyncio.timeout(20):
            while taken is None:
                with contextlib.suppress(StoreError):  # the end of the session may take longer than a question may
                    taken = await second.leases.take("a", held["a"])
                await asyncio.sleep(0.05)
        assert taken > held["a"]
    await second.settled()
    assert await second.load_calls("a") == []
    await first.close()
    await second.close()


async def test_text_that_postgresql_cannot_keep_costs_no_batch(store: PostgresStore, delivery: Make) -> None:
    """NUL and half a character are replaced; what is asked for by such a text is found."""
    store.add([delivery("a\x00b", call="\ud83d")], lambda added: None)
    entry = AttemptEntry(1, 2.0, "status_500", 500, 0.1, "body\x00\udc00")
    store.record(Progress("a\x00b", "crm", "pending", 1, 2.0, 2.0, 3.0, "status_500", entry))
    store.save_call("1", "main", b"\x00")
    await store.settled()
    (found,) = await store.find(Filter(ids=("a\x00b",), call="\ud83d"))
    assert (found.id, found.attempts) == ("a\ufffdb", 1)
    assert [e.detail for e in await store.history("a\x00b", "crm")] == ["body\ufffd?"]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("postgresql://tester@127.0.0.1:{port}/nowhere", "there is no such database: make it"),
        ("postgresql://tester:geheim@127.0.0.1:1/x", "it cannot be reached, or does not answer"),
    ],
)
async def test_what_is_wrong_at_the_start_is_said_without_the_password(postgres: Cluster, url: str, said: str) -> None:
    """With the place, the fault and the remedy."""
    with pytest.raises(StoreError, match=said) as caught:
        await open_store(url.format(port=postgres.port)).start()
    assert "geheim" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_an_address_that_is_none_is_a_fault_of_the_configuration() -> None:
    """Before anything is tried."""
    with pytest.raises(ConfigurationError, match="is no address of PostgreSQL"):
        open_store("postgresql://host/db?no_such_parameter=1")


async def test_newer_tables_are_refused(postgres: Cluster) -> None:
    """They are left as they are."""
    url = postgres.database()
    store = PostgresStore(url, Facts())
    await store.start()
    await store.close()
    postgres.execute("UPDATE hookrouter.schema SET version = 99", url)
    with pytest.raises(StoreError, match="was written by a newer hookrouter"):
        await PostgresStore(url, Facts()).start()


async def test_retention_keeps_the_youngest(store: PostgresStore, delivery: Make) -> None:
    """Of each kind only so many rows, and none older than its age; pending deliveries are never trimmed."""
    keep = Retention(timeline_age=50, timeline_rows=4, finished_age=50, finished_rows=3, delivered_rows=2, dead_rows=1)
    for number in range(10):
        store.log("1", 100.0 + number, "event", b"%d" % number)
        store.finish_call(str(number), "main", 100.0 + number, b"{}")
    store.add([delivery(f"d{n}") for n in range(12)], lambda added: None)
    for number in range(5):
        entry = AttemptEntry(1, 101.0, "x", None)
        store.record(Progress(f"d{number}", "crm", "delivered", 1, 101.0))
        store.record(Progress(f"d{number + 5}", "crm", "dead", 1, 101.0, reason="x", failed=entry))
    await store.settled()
    assert not await store._thread.call(lambda link: postgres_rows.trim(link, keep, 110.0))
    assert [e.detail for e in await store.timeline("1")] == [b"6", b"7", b"8", b"9"]
    assert [c.call_id for c in await store.recent_calls()] == ["9", "8", "7"]
    left = {(d.id, d.status) for d in await store.find(Filter())}
    assert left == {("d3", "delivered"), ("d4", "delivered"), ("d9", "dead"), ("d10", "pending"), ("d11", "pending")}
    kept = await store._reader.call(lambda link: link.run(lambda c: c.execute(b"TABLE hookrouter.attempts").fetchall(), 5.0))
    assert len(kept) == 1, "attempts go with their delivery"
    await store._thread.call(lambda link: postgres_rows.trim(link, keep, 1000.0))
    assert (await store.timeline("1"), await store.recent_calls()) == ([], [])


WRITER = """
import asyncio, sys
from hookrouter.delivery.queue import NewDelivery, Progress
from hookrouter.facts import Facts
from hookrouter.store.postgres import PostgresStore
from rig.owning import own

async def main():
    store = PostgresStore(sys.argv[1], Facts())
    await store.start()
    await own(store)
    number = 0
    while True:
        number += 1
        for call in range(5):
            store.save_call(str(call), "main", b"%d" % number)
        store.add([NewDelivery(f"d{number}", "crm", "T", b"body", float(number))], lambda added: None)
        if number > 1:
            store.record(Progress(f"d{number - 1}", "crm", "delivered", 1, 1.0))
        store.committed(lambda error, n=number: sys.stdout.write(f"{n}\\n") and sys.stdout.flush())
        if number % 3 == 0:
            await store.settled()
        await asyncio.sleep(0)

asyncio.run(main())
"""


@pytest.mark.parametrize("lines", [1, 40])
async def test_what_was_reported_as_committed_survives_kill_9_of_the_router(postgres: Cluster, lines: int) -> None:
    """The next router may begin at once, and finds at least what the callbacks said, and a whole state."""
    url = postgres.database()
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", WRITER, url, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert child.stdout is not None
    last = 0
    for _ in range(lines):
        last = int(await asyncio.wait_for(child.stdout.readline(), 30))
    child.send_signal(signal.SIGKILL)
    await child.communicate()
    store = PostgresStore(url, Facts())
    await store.start()
    (kept,) = {int(call.snapshot) for call in await store.load_calls()}
    assert kept >= last
    deliveries = await store.find(Filter(), limit=100_000)
    assert [d.id for d in deliveries if d.status == "pending"] == [f"d{kept}"]
    assert len(deliveries) == kept
    await store.close()


async def test_deliveries_that_waited_are_there_once(store: PostgresStore, delivery: Make) -> None:
    """Handed over while the session is ended under it again and again."""
    outcomes: list[Added] = []
    for number in range(60):
        store.add([delivery(f"d{number}", call="1")], outcomes.append)
        store.log("1", float(number), "event")
        if number % 20 == 10:
            with psycopg.connect(store._writer._conninfo, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(backend) FROM hookrouter.routers")
        await asyncio.sleep(0.002)
    await _until(lambda: len(outcomes) == 60)
    async with asyncio.timeout(20):
        while True:
            with contextlib.suppress(StoreError):
                await store.settled()
                break
            await asyncio.sleep(0.01)
    assert {d.id for d in await store.find(Filter())} == {f"d{number}" for number in range(60)}
    assert [e.at for e in await store.timeline("1")] == [float(number) for number in range(60)]


async def test_what_the_database_has_lost_is_written_again(server: Cluster) -> None:
    """All live calls, also those in which nothing has happened since: a standby that took over may never have had them."""
    url = server.database()
    store = PostgresStore(url, Facts())
    await store.start()
    await own(store)
    for number in range(450):
        call = Call(key=f"main/{number}", id=str(number), asterisk="main", app="app", route="ivr", started_at=1.0)
        store.save_call(call.key, "main", encode_call(call))
    await store.close()
    async with Router("http://127.0.0.1:9", "app", route("http://127.0.0.1:9"), store=url) as router:
        server.execute("DELETE FROM hookrouter.calls", url)
        await asyncio.to_thread(server.end)
        router.service.store.put_meta("x", b"y")
        await router.fact(JournalFailed)
        server.start()
        await router.fact(JournalRecovered)
        async with asyncio.timeout(20):
            while server.execute("SELECT count(*) FROM hookrouter.calls", url) != [(450,)]:
                await asyncio.sleep(0.05)


async def test_what_is_offered_may_be_taken_until_its_owner_has_taken_it_back(postgres: Cluster) -> None:
    """Under its epoch alone; a question that comes late changes nothing, and one that comes twice changes nothing more."""
    url = postgres.database()
    mine, other = (PostgresStore(url, Facts(), identity=Identity(name)) for name in "ab")
    await mine.start()
    await other.start()
    try:
        epoch = (await own(mine, "main"))["main"]

        async def offered() -> bool:
            return [lease.offered for lease in (await other.leases.look()).leases if lease.entry == "main"] == [True]

        assert not await offered()
        assert await other.leases.take("main", epoch, offered=True) is None
        assert await mine.leases.offer("main", epoch, 1)
        assert await mine.leases.offer("main", epoch, 1)
        assert await offered()
        assert await mine.leases.offer("main", epoch, 2)
        assert not await mine.leases.offer("main", epoch, 1)
        assert not await offered()
        assert await other.leases.take("main", epoch, offered=True) is None
        assert not await other.leases.offer("main", epoch, 3)
        assert await mine.leases.offer("main", epoch, 3)
        taken = await other.leases.take("main", epoch, offered=True)
        assert taken is not None
        assert taken > epoch
        assert not await offered()
        assert not await mine.leases.offer("main", epoch, 4)
        assert await mine.leases.take("main", taken, offered=True) is None
    finally:
        await mine.close()
        await other.close()
