"""The record in PostgreSQL, of several routers, and when the database lets it down: nothing waits for it, and it is told."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from lab.postgres import Cluster, cluster
from rig.recording import statement

from hookrouter.clock import SystemClock
from hookrouter.facts import (
    CallFinished,
    CallResumed,
    CallStarted,
    CallTagged,
    EventReceived,
    Fact,
    Facts,
    FallbackTaken,
    Warned,
)
from hookrouter.record import postgres as engine
from hookrouter.record import recorder as recording
from hookrouter.record.finding import NewRow, Query
from hookrouter.record.gathering import Ended, Plan
from hookrouter.record.postgres import RecordDatabase
from hookrouter.record.recorder import Recorder
from hookrouter.record.writing import Batch, Ending


def event(number: int, call: str = "1") -> EventReceived:
    return EventReceived("main", "ChannelVarset", f"evt_{number}", call, b'{"variable":"N","value":"word%d"}' % number)


def started(call: str = "1", caller: str = "+4930123456", entry: str = "main") -> CallStarted:
    return CallStarted(call, entry, "app", "ivr", caller, "1000")


def resumed(call: str = "1") -> CallResumed:
    return CallResumed(call, "main", "app", "ivr", "+4930123456", "1000", 1.0)


def over(call: str = "1") -> CallFinished:
    return CallFinished(call, "main", "ivr", "hangup", 2.5)


async def nothing() -> dict[str, Ended]:
    return {}


class Router:
    """A recorder of one of several routers, and what it warned of."""

    def __init__(self, place: str) -> None:
        self.warned: list[Warned] = []
        self.facts = Facts()
        self.facts.subscribe(self.warned.append, {Warned}.__contains__)
        self.recorder = Recorder(place, self.facts, SystemClock(), lambda route: Plan())

    async def begin(self, epoch: int, *live: str) -> None:
        """It owns `main` from now on."""
        await self.recorder.start(None)
        self.recorder.take_up("main", epoch, live, nothing)

    def happens(self, *facts: Fact) -> None:
        for fact in facts:
            self.facts.emit(fact)

    async def rows(self, **which: Any) -> list[tuple[str, str]]:
        return [(row.call_id, row.outcome) for row in await self.recorder.find(Query(**which))]

    async def entries(self, call: str = "1") -> list[str]:
        found = await self.recorder.read(call)
        return [str(entry.fields.get("event_id", entry.what)) for entry in found[1]] if found is not None else []

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                await asyncio.sleep(0.01)
        await self.recorder.settled()

    def said(self) -> list[str]:
        return [warned.message for warned in self.warned]


@pytest.fixture
def url(record_url: str) -> str:
    return record_url


@pytest.fixture
async def routers(url: str) -> AsyncIterator[tuple[Router, Router]]:
    both = Router(url), Router(url)
    yield both
    for router in both:
        await router.recorder.stop()


async def test_a_call_that_another_router_goes_on_with_is_one_record(routers: tuple[Router, Router]) -> None:
    """In order, what happens before it is known what was before among it; what went wrong at the first one counts."""
    first, second = routers
    await first.begin(1)
    first.happens(started(), event(1), FallbackTaken("1", "ivr", "evt_1", "timeout", "none"), CallTagged("1", {"a": "b"}), event(2))
    await first.recorder.settled()
    await second.begin(2, "1")
    second.happens(resumed(), event(3))  # nobody waits
    second.happens(over())
    await second.until(lambda: not second.recorder._taking)
    ladder = ["CallStarted", "evt_1", "evt_1", "CallTagged", "evt_2", "CallResumed", "evt_3", "CallFinished"]
    for router in routers:
        assert await router.rows() == [("1", "failed")]
        assert await router.entries() == ladder
        assert await router.rows(text="word1 word3") == [("1", "failed")]
        assert await router.rows(tags={"a": "b"}) == [("1", "failed")]
    assert second.warned == []


async def test_a_call_that_begins_before_it_is_known_what_was_is_let_alone(
    routers: tuple[Router, Router], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the new owner's from the beginning, also where the database has to be asked twice."""
    monkeypatch.setattr(recording, "RETRY_DELAY", 0.05)
    first, second = routers
    await first.begin(1)
    first.happens(started(), event(1))
    await first.recorder.settled()
    await second.recorder.start(None)
    claim, times = second.recorder._file.claim, []

    def lose(*terms: Any) -> Any:
        times.append(claim(*terms))
        if len(times) == 1:
            raise engine.StoreError("the answer was lost")
        return times[-1]

    monkeypatch.setattr(second.recorder._file, "claim", lose)
    second.recorder.take_up("main", 2, ["1"], nothing)
    second.happens(resumed(), started("new"), event(2, "new"), event(2))
    await second.recorder.settled()
    await second.until(lambda: not second.recorder._taking)
    assert len(times) == 2
    assert await second.rows() == [("new", "live"), ("1", "live")]
    assert await second.entries("new") == ["CallStarted", "evt_2"]
    assert await second.entries() == ["CallStarted", "evt_1", "CallResumed", "evt_2"]


async def test_what_a_router_that_was_taken_over_still_writes_does_no_harm(
    routers: tuple[Router, Router], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an end nor an entry of it is taken; a call that it believes to have is closed, and all it had before is kept."""
    monkeypatch.setattr(recording, "TRIM_DELAY", 0.05)
    stale, owner = routers
    await stale.begin(1)
    stale.happens(started(), event(1))
    await stale.recorder.settled()
    await owner.begin(2, "1")
    await owner.until(lambda: not owner.recorder._taking)
    stale.happens(event(8), over(), started("late"), event(9, "late"))
    await stale.recorder.settled()
    owner.happens(resumed(), event(2))
    ladder = ["CallStarted", "evt_1", "CallResumed", "evt_2"]
    assert await owner.entries() == ladder
    assert ("1", "live") in await owner.rows()
    owner.happens(over())
    assert await owner.entries() == [*ladder, "CallFinished"]
    while ("late", "failed") not in (found := await owner.rows()):
        pass
    assert sorted(found) == [("1", "good"), ("late", "failed")]
    assert stale.warned == owner.warned == []


async def test_what_is_let_go_is_not_written_any_more(routers: tuple[Router, Router]) -> None:
    """Nor is it ended; when it is ours again, it goes on where the other one has left it."""
    first, second = routers
    await first.begin(1)
    first.happens(started(), event(1))
    await first.recorder.settled()
    first.happens(event(8))
    first.recorder.let_go("main")
    first.happens(event(9))
    await second.begin(2, "1")
    second.happens(event(2))
    await second.until(lambda: not second.recorder._taking)
    second.recorder.let_go("main")
    first.recorder.take_up("main", 3, ["1"], nothing)
    first.happens(event(3), over())
    await first.until(lambda: not first.recorder._taking)
    assert await first.entries() == ["CallStarted", "evt_1", "evt_2", "evt_3", "CallFinished"]


async def test_calls_that_ended_unseen_are_closed_by_the_next_owner(routers: tuple[Router, Router]) -> None:
    """As the journal has it, or as not known; those of another Asterisk are let alone."""
    first, second = routers
    await first.begin(1)
    first.happens(started("1"), started("2"), started("3", entry="other"))
    await first.recorder.settled()

    async def ended() -> dict[str, Ended]:
        return {"2": Ended(9.0, "hangup")}

    await second.recorder.start(None)
    second.recorder.take_up("main", 2, [], ended)
    await second.until(lambda: not second.recorder._taking)
    assert await second.rows() == [("3", "live"), ("2", "good"), ("1", "failed")]


@pytest.mark.parametrize("fate", ["written", "not written"])
async def test_a_batch_whose_answer_was_lost_is_there_once(url: str, fate: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes again over another connection, and is found there or not."""
    file = RecordDatabase(url)
    row = NewRow(1, "c", "main", "app", "ivr", "", "100", "200", 1.0)
    file.write(Batch([row], {1: [(1.0, event(0))]}))
    run = file.connection.run

    def lose(job: Callable[[Any], Any], seconds: float) -> Any:
        if fate == "written":
            run(job, seconds)
        raise psycopg.OperationalError("the connection is lost")

    batches = [Batch([], {1: [(float(number), event(number))]}) for number in (2, 3)]
    batches += [Batch([], {1: [(9.0, event(9))]}, [Ending(1, 9.0, "good", "hangup", "", "{}")])]
    for batch in batches:
        with monkeypatch.context() as patch:
            patch.setattr(file, "_begin", lambda batch, begin=file._begin: (begin(batch), patch.setattr(file.connection, "run", lose)))
            with pytest.raises(engine.StoreError):
                file.write(batch)
        file.write(batch)
    assert [entry.fields["event_id"] for entry in file.entries(1)] == ["evt_0", "evt_2", "evt_3", "evt_9"]
    assert [found.outcome for found in file.find(Query(text="word9 word2"))] == ["good"]
    file.close()


@pytest.fixture
def server() -> Iterator[Cluster]:
    """One that may be killed, or stand still."""
    with cluster() as made:
        yield made
        made.send_to_all(signal.SIGCONT)


@pytest.mark.parametrize("how", ["killed", "stands still"])
async def test_a_database_that_is_away_costs_no_call_anything(how: str, server: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """What fits into memory is there when it is back, the rest is counted, and both are told once."""
    monkeypatch.setattr(recording, "RETRY_DELAY", 0.05)
    monkeypatch.setattr(recording, "MOST_WAITING", 50)
    monkeypatch.setattr(engine, "DEADLINE", 0.3)
    router = Router(server.database())
    await router.begin(1)
    router.happens(started("0"), event(0, "0"))
    assert await router.entries("0") == ["CallStarted", "evt_0"]
    if how == "killed":
        await asyncio.to_thread(server.end, signal.SIGKILL)
    else:
        server.send_to_all(signal.SIGSTOP)
    router.happens(event(1, "0"))
    await router.until(lambda: len(router.warned) == 1)
    for call in range(1, 61):
        router.happens(started(str(call)), event(call, str(call)), over(str(call)))
    async with asyncio.timeout(20):
        while not router.recorder._lost:  # until it was tried again, in vain
            await asyncio.sleep(0.01)
    if how == "killed":
        await asyncio.to_thread(server.start)
    else:
        server.send_to_all(signal.SIGCONT)
    await router.until(lambda: len(router.warned) == 2)
    assert await router.entries("0") == ["CallStarted", "evt_0", "evt_1"]
    assert await router.entries("60") == ["CallStarted", "evt_60", "CallFinished"]
    assert len(await router.rows(limit=100)) == 61, "each is in the list"
    refused, again = router.said()
    assert f"127.0.0.1:{server.port}" in refused
    assert "refuses: it " in refused
    assert again.endswith("132 entries were not kept"), again
    await router.recorder.stop()


async def test_a_batch_that_can_never_be_written_is_counted(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and what comes after it is written."""
    router = Router(url)
    await router.begin(1)
    router.happens(started("1"), event(1))
    await router.recorder.settled()
    file = router.recorder._file
    assert isinstance(file, RecordDatabase)
    begin = file._begin

    def broken(batch: Batch) -> None:
        begin(batch)
        file._execute(b"SELECT 1 / 0")

    monkeypatch.setattr(file, "_begin", broken)
    router.happens(event(2))
    await router.recorder.settled()
    monkeypatch.setattr(file, "_begin", begin)
    router.happens(event(3), over())
    assert await router.entries() == ["CallStarted", "evt_1", "evt_3", "CallFinished"]
    assert [said.partition("; ")[2] for said in router.said()] == [
        "calls go on, and are recorded when it takes writes again", "1 entries were not kept",
    ]  # fmt: skip
    await router.recorder.stop()


def test_only_who_keeps_house_trims(url: str) -> None:
    """The size is known to all."""
    file = RecordDatabase(url)
    row = NewRow(1, "c", "main", "app", "ivr", "", "100", "200", 1.0)
    file.write(Batch([row], {1: [(1.0, event(0))]}, [Ending(1, 9.0, "good", "hangup", "", "{}")]))
    assert not file.trim(older_than=100.0, most_bytes=0, house=False)
    assert len(file.find(Query())) == 1
    assert file.on_disk() > 400
    assert file.trim(older_than=100.0, most_bytes=10**9)
    assert not file.find(Query())
    file.close()


def test_all_of_it_goes_by_what_the_page_says(url: str) -> None:
    """While a router writes: what it still has of a call that goes on is of none that is kept."""
    page = (Path(__file__).parents[2] / "docs/privacy.md").read_text()
    (words,) = re.findall("`(TRUNCATE [^`]+)`", page)
    file = RecordDatabase(url)
    rows = [NewRow(id, f"c{id}", "main", "app", "ivr", "", "100", "200", float(id)) for id in (1, 2, 3)]
    file.write(Batch(rows[:1], {1: [(1.0, event(0))]}, [Ending(1, 9.0, "good", "hangup", "", "{}")]))
    file.write(Batch(rows[1:2], {2: [(1.0, event(1))]}))
    for statement_ in words.split("; "):
        statement(url, statement_)
    file.write(Batch(rows[2:], {2: [(1.0, event(2))], 3: [(1.0, event(3))]}, [Ending(2, 9.0, "good", "hangup", "", "{}")]))
    assert [row.call_id for row in file.find(Query())] == ["c3"]
    assert statement(url, "SELECT DISTINCT call FROM {}parts") == [(3,)]
    file.trim(older_than=0.0, most_bytes=10**9)
    assert 0 < file.on_disk() < 400
    file.close()


def test_a_call_that_nobody_goes_on_with_goes_after_its_time(url: str) -> None:
    """One whose Asterisk is owned under the epoch that it was begun under stays, however long it takes."""
    file = RecordDatabase(url)
    statement(url, "INSERT INTO hookrouter.leases VALUES ('main', 7, 'x', now(), now(), false)")
    for id, (entry, epoch) in enumerate({"main": 7, "former": 3}.items(), 1):
        file.own(entry, epoch)
        file.write(Batch([NewRow(id, entry, entry, "app", "ivr", "", "100", "200", 1.0)]))
    assert file.trim(older_than=100.0, most_bytes=10**9)
    assert [row.call_id for row in file.find(Query())] == ["main"]
    file.close()


@pytest.mark.parametrize(
    ("recent", "some"),
    [((2_000, 12_000), 4_000), ((2, 12_000), 4_000), ((2, 4), 1), ((2, 12_000), 1)],
    ids=["among the newest", "by the index", "by all of the index", "among more of the newest"],
)
def test_words_are_found_any_way(url: str, recent: tuple[int, int], some: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole ones, the last one begun, with and without marks, of some calls of the conditions."""
    monkeypatch.setattr(engine, "_RECENT", recent)
    monkeypatch.setattr(engine, "_SOME", some)
    file = RecordDatabase(url)
    for id in range(1, 9):
        row = NewRow(id, f"c{id}", "main", "app", "ivr", "blue" if id % 2 else "", "+4930123456", "Zoë", float(id))
        file.write(Batch([row], {id: [(1.0, event(id))]}, [Ending(id, 9.0, "good", "hangup", "", f'{{"k":"v{id}"}}')]))
    for which, expected in (
        ({"text": "word2"}, [2]), ({"text": "wor"}, [8, 7, 6, 5, 4, 3, 2, 1]), ({"text": "zoe"}, [8, 7, 6, 5, 4, 3, 2, 1]),
        ({"text": "ZOË word3"}, [3]), ({"text": "word3", "tenant": ""}, []),
        ({"text": "word", "tenant": "blue", "limit": 3}, [7, 5, 3]), ({"text": "word", "tenant": "blue", "before": 5}, [3, 1]),
        ({"tags": {"k": "v1"}}, [1]), ({"text": "nobody"}, []),
    ):  # fmt: skip
        assert [row.id for row in file.find(Query(**which))] == expected, which
    assert [row.id for row in file.having("word1")] == [1]
    assert file.having("word") == []
    file.close()


def test_text_that_postgresql_cannot_keep_costs_nothing(url: str) -> None:
    """A NUL, half of a character; the call is there, and so are others that are looked for by the same tag."""
    file = RecordDatabase(url)
    tags = '{"k":"a\\u0000b","n":"\\\\u0000"}'
    row = NewRow(1, "c\x00", "main", "app", "ivr", "", "\udc00", "200", 1.0)
    file.write(Batch([row], {1: [(1.0, event(1))]}, [Ending(1, 9.0, "good", "\x00", "\udc00", tags)], {1: tags}))
    assert [found.caller for found in file.find(Query(tags={"k": ""}))] == ["?"]
    assert [found.id for found in file.find(Query(tags={"n": "\\u0000"}))] == [1]
    assert file.find(Query(caller="\x00", call_id="\udc00")) == []
    file.close()
