"""`hookrouter erase`: what is kept of one person goes, in every store; what is somebody else's, or still work, stays."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rig.owning import own

from hookrouter.cli import main
from hookrouter.delivery.queue import Filter, NewDelivery, Progress
from hookrouter.facts import Exchanged, Facts
from hookrouter.record.file import RecordFile
from hookrouter.record.finding import NewRow
from hookrouter.record.opening import Place, open_record
from hookrouter.record.writing import Batch, Ending
from hookrouter.store import open_store
from hookrouter.store.file import FileLock
from hookrouter.store.opening import record_place

NUMBER, OTHER = "4930123456", "49301234567"  # the second only begins so


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres").database())
    return f"sqlite:///{tmp_path}/state.db"


def _recorded(place: Place) -> None:
    """Four calls: from the number, one that mentions it, of another number, and one that goes on."""
    answer = b'{"actions": [{"action": "dial", "to": "PJSIP/+%s@trunk"}]}' % NUMBER.encode()
    file = open_record(place)
    for id, call, caller in ((1, "mine", f"+{NUMBER}"), (2, "dialled", "200"), (3, "other", f"+{OTHER}"), (4, "live", f"+{NUMBER}")):
        said = answer if call == "dialled" else b"[]"
        fact = Exchanged(f"e{id}", call, 1, "http://x/", request=b"{}", status=200, answer=said)
        batch = Batch(began=[NewRow(id, call, "main", "app", "ivr", "", caller, "1000", 100.0 + id)], facts={id: [(101.0, fact)]})
        file.write(batch)
        if call != "live":
            file.write(Batch(ended=[Ending(id, 110.0, "good", "hangup", "", "{}")]))
    file.close()


async def _journal(url: str, add: Callable[..., Any]) -> None:
    """Deliveries that are over and on their way, and a line of a timeline."""

    def made(id: str, call: str, number: str) -> NewDelivery:
        return NewDelivery(id, "crm", "StasisEnd", b'{"number":"+%s"}' % number.encode(), 100.0, call)

    store = open_store(url, Facts())
    await store.start()
    await own(store)
    try:
        gone = [made("over", "mine", NUMBER), made("said", "unrecorded", NUMBER)]
        await add(store, *gone, made("others", "other", OTHER), made("pending", "mine", NUMBER))
        for id, status in {"over": "delivered", "said": "dead", "others": "dead"}.items():  # a delivered one has no body any more
            store.record(Progress(id, "crm", status, 1, 101.0))
        store.log("mine", 100.0, "began")
        store.log("other", 100.0, "began")
        await store.settled()
    finally:
        await store.close()


async def _left(url: str) -> tuple[set[str], list[int]]:
    """The deliveries, and how many lines the timelines of `mine` and `other` have."""
    store = open_store(url, Facts())
    await store.start()
    try:
        found = {one.id for one in await store.find(Filter())}
        return found, [len(await store.timeline(call)) for call in ("mine", "other")]
    finally:
        await store.close()


def _run(url: str, *options: str) -> str:
    done = CliRunner().invoke(main, ["erase", f"+{NUMBER}", "--store", url, *options])
    assert done.exit_code == 0, done.output
    return done.output


async def test_what_is_kept_of_a_number_is_shown_and_erased(url: str, add: Callable[..., Any]) -> None:
    """Only with --write; a longer number that begins so is somebody else's; twice is once."""
    record = record_place(url)
    assert record is not None
    _recorded(record)
    await _journal(url, add)
    shown = _run(url)
    assert "2 recorded calls, 2 deliveries that are over, 1 line of the journal; nothing was erased" in shown
    assert await _left(url) == ({"over", "said", "others", "pending"}, [1, 1])
    said = _run(url, "--write")
    assert "1 call that goes on and 1 delivery on its way stay" in said
    assert await _left(url) == ({"others", "pending"}, [0, 1])
    file = open_record(record)
    assert {row.call_id for row in [*file.having(NUMBER), *file.having(OTHER)]} == {"other", "live"}
    file.close()
    assert "0 recorded calls, 0 deliveries that are over, 0 lines" in _run(url, "--write")


async def test_nothing_of_it_is_left_in_the_files(tmp_path: Path, add: Callable[..., Any]) -> None:
    """Not in a free page, the index of words or the log beside it; the record is whole."""
    url = f"sqlite:///{tmp_path}/state.db"
    store = open_store(url, Facts())
    await store.start()
    await add(store, NewDelivery("over", "crm", "StasisEnd", b'{"number":"%s"}' % NUMBER.encode(), 100.0))
    store.record(Progress("over", "crm", "dead", 1, 101.0, reason="gone"))
    await store.settled()
    await store.close()
    file = RecordFile(tmp_path / "record.db")
    for id, caller in ((1, f"+{NUMBER}"), (2, "+33155501234")):
        file.write(Batch(began=[NewRow(id, f"call{id}", "main", "app", "ivr", "", caller, "1000", 100.0)]))
        file.write(Batch(ended=[Ending(id, 110.0, "good", "hangup", "", "{}")]))
    file.close()
    files = [path for path in tmp_path.iterdir() if ".db" in path.name]
    assert any(NUMBER.encode() in path.read_bytes() for path in files)
    _run(url, "--write")
    assert [path.name for path in tmp_path.iterdir() if NUMBER.encode() in path.read_bytes()] == []
    with sqlite3.connect(tmp_path / "record.db") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        (words,) = connection.execute("SELECT count(*) FROM word_index WHERE word_index MATCH '33155501234'").fetchone()
        assert words == 1
    connection.close()


@pytest.mark.parametrize("name", ["state.db", "record.db"])
async def test_a_router_that_runs_keeps_its_files(name: str, tmp_path: Path) -> None:
    """Status 1, and the remedy; of the other file nothing is gone either."""
    url = f"sqlite:///{tmp_path}/state.db"
    _recorded(tmp_path / "record.db")
    store = open_store(url, Facts())
    await store.start()  # so that both are there
    await store.close()
    lock = FileLock(tmp_path / name)
    lock.acquire()
    done = CliRunner().invoke(main, ["erase", NUMBER, "--store", url, "--write"])
    lock.release()
    assert done.exit_code == 1
    assert "another hookrouter" in done.output
    assert "stop it" in done.output
    file = RecordFile(tmp_path / "record.db")
    assert len(file.having(NUMBER)) == 3
    file.close()


@pytest.mark.parametrize("number", ["12", "+49 30 1", "", "a,b"])
def test_what_is_no_number_is_refused(number: str, tmp_path: Path) -> None:
    """Before anything is looked at."""
    done = CliRunner().invoke(main, ["erase", number, "--store", f"sqlite:///{tmp_path}/state.db"])
    assert done.exit_code == 2
    assert "NUMBER" in done.output
