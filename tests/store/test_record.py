"""The record: what is kept of a call comes back as it was, is found again, stays small, and never costs a call anything."""

from __future__ import annotations

import os
import sqlite3
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from rig.recording import statement

from hookrouter.clock import SystemClock
from hookrouter.facts import (
    ActionFinished,
    AnswerCompared,
    CallFinished,
    CallResumed,
    CallStarted,
    CallTagged,
    DeliveryAttempted,
    DeliveryFinished,
    EventReceived,
    Exchanged,
    Fact,
    Facts,
    FallbackTaken,
    Warned,
)
from hookrouter.record import gathering
from hookrouter.record.file import RecordFile
from hookrouter.record.finding import NewRow, Query
from hookrouter.record.gathering import Ended, Plan
from hookrouter.record.opening import Place, open_record
from hookrouter.record.postgres import RecordDatabase
from hookrouter.record.recorder import Recorder
from hookrouter.record.timeline import timeline
from hookrouter.record.writing import Batch, Ending

RAW = b'{"type":"StasisStart","channel":{"id":"1.1","name":"PJSIP/alice-00000001","state":"Ring"},"args":["sales"]}'
BODY = b'{"id":"evt_1","type":"StasisStart","data":' + RAW + b',"call":{"id":"1.1","state":{"account":"A4711"}}}'
ANSWER = b'[{"action":"answer"},{"action":"play","media":"sound:hello-world"}]'
EXCHANGED = Exchanged(
    "evt_1", "1.1", 1, "http://ivr/", {"webhook-id": "evt_1"}, BODY, 200, {"content-type": "application/json"}, ANSWER, 0.001,
    0.002, 0.003,
)  # fmt: skip


def call(id: str = "1.1", *, route: str = "ivr", fails: str = "", caller: str = "+4930123456") -> list[Fact]:
    """What happens in a call; `fails`: the reason why its first event got no answer."""
    outcome = ("unanswered", 3, 0.5, fails) if fails else ("answered", 1, 0.003, "", ("answer", "play"))
    more: list[Fact] = [FallbackTaken(id, route, "evt_1", fails, "continue")] if fails else []
    return [
        CallStarted(id, "main", "app", route, caller, "1000"),
        EventReceived("main", "StasisStart", "evt_1", id, RAW),
        msgspec.structs.replace(EXCHANGED, call=id),
        DeliveryAttempted("evt_1", "StasisStart", id, route, "http://ivr/", 1, 200, "response", 0.003, "control"),
        DeliveryFinished("evt_1", "StasisStart", id, route, "control", *outcome),
        *more,
        ActionFinished(id, "p1", 0, "answer", "done", 0.001),
        CallFinished(id, "main", route, "hangup", 2.5),
    ]


class Desk:
    """A recorder with its file, and what it warned of."""

    def __init__(self, place: Place, plan: Callable[[str], Plan]) -> None:
        self.place = place
        self.warned: list[Warned] = []
        self.facts = Facts()
        self.facts.subscribe(self.warned.append, {Warned}.__contains__)
        self.recorder = Recorder(place, self.facts, SystemClock(), plan)

    def happens(self, facts: list[Fact]) -> None:
        for fact in facts:
            self.facts.emit(fact)

    async def found(self, **which: Any) -> list[tuple[str, str]]:
        return [(row.call_id, row.outcome) for row in await self.recorder.find(Query(**which))]


def plan(route: str) -> Plan:
    """What the routes of these tests keep: `careful` what failed, `off` nothing; `blue` is another tenant's."""
    if route == "shadowed":
        return Plan(shadow=True, redact=("state.card",))
    return Plan("failed" if route == "careful" else "none" if route == "off" else "all", "blue" if route == "blue" else "")


@pytest.fixture
async def desk(place: Place) -> AsyncIterator[Desk]:
    desk = Desk(place, plan)
    await desk.recorder.start()
    yield desk
    await desk.recorder.stop()


async def test_a_call_comes_back_to_the_letter(desk: Desk) -> None:
    """Bodies, headers and times, while it lives and when it is over; the webhook's body is whole."""
    *living, last = call()
    desk.happens(living)
    live = await desk.recorder.read("1.1")
    assert live is not None
    assert (live[0].outcome, live[0].caller, live[0].route) == ("live", "+4930123456", "ivr")
    desk.happens([last])
    over = await desk.recorder.read("1.1")
    assert over is not None
    assert (over[0].outcome, over[0].reason, over[0].left_out) == ("good", "hangup", 0)
    assert over[1][:-1] == live[1]
    exchanged = over[1][2]
    assert (exchanged.what, exchanged.fields["request"], exchanged.fields["answer"]) == ("Exchanged", BODY, ANSWER)
    assert exchanged.fields["answer_headers"] == {"content-type": "application/json"}
    assert [entry["what"] for entry in timeline(over[1])] == [
        "CallStarted", "EventReceived", "DeliveryAttempted", "DeliveryFinished", "ActionFinished",
    ]  # fmt: skip


@pytest.mark.parametrize(("events", "size"), [(60_000, 100), (10_000, 50_000)])
async def test_a_burst_takes_no_more_memory_than_there_is_for_it(desk: Desk, events: int, size: int) -> None:
    """What one call does faster than the file takes it is counted, and told in its place; its end and its troubles are there."""
    started, *_, last = call()
    desk.happens([started])
    raws = [b'{"n":%d,"x":"%s"}' % (number, b"x" * size) for number in range(64)]
    tracemalloc.start()
    for number in range(events):
        desk.facts.emit(EventReceived("main", "ChannelVarset", f"evt_{number}", "1.1", bytes(bytearray(raws[number % 64]))))
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert held < 2 * gathering.MOST_GATHERED_BYTES
    desk.happens([FallbackTaken("1.1", "ivr", "evt_1", "limit", "continue"), last])
    found = await desk.recorder.read("1.1")
    assert found is not None
    kept = [entry.what for entry in found[1]]
    told = next(entry.fields["message"] for entry in found[1] if entry.what == "Warned")
    assert told.startswith(f"{events - kept.count('EventReceived')} entries more are not in the record of this call")
    assert (kept[0], kept[-3:]) == ("CallStarted", ["FallbackTaken", "CallFinished", "Warned"])
    desk.happens([*call()])
    again = await desk.recorder.read("1.1")
    assert again is not None
    assert "Warned" not in [entry.what for entry in again[1]]


@pytest.mark.parametrize(("outcome", "most"), [("done", 2_100), ("failed", 4_100)])
async def test_a_loop_of_actions_is_bounded_too(desk: Desk, outcome: str, most: int) -> None:
    """What is done counts as anything else; there is more room for what fails, and not without an end."""
    started, *_, last = call()
    desk.happens([started, *[ActionFinished("1.1", "p1", 0, "play", outcome, 0.001) for _ in range(10_000)], last])
    found = await desk.recorder.read("1.1")
    assert found is not None
    kept = [entry.what for entry in found[1]]
    assert most - 200 < kept.count("ActionFinished") <= most
    assert kept[-2:] == ["CallFinished", "Warned"]


async def test_two_do_not_share_a_file(tmp_path: Path) -> None:
    """The second one is told who has it and what to do, and goes on without; when the first has stopped, it is free."""
    desk = Desk(tmp_path / "record.db", plan)
    await desk.recorder.start()
    second, third = (Desk(tmp_path / "record.db", plan) for _ in range(2))
    await second.recorder.start()
    assert second.warned[0].message.startswith(f"{tmp_path}/record.db cannot be opened: ")
    assert f"another hookrouter (process {os.getpid()}) uses this record: each needs a folder" in second.warned[0].message
    await desk.recorder.stop()
    await third.recorder.start()
    assert third.warned == []
    for one in (second, third):
        await one.recorder.stop()


async def test_why_a_call_failed_is_one_sentence(desk: Desk) -> None:
    """The first thing that went wrong, with its reason."""
    desk.happens(call(fails="timeout"))
    found = await desk.recorder.read("1.1")
    assert found is not None
    assert found[0].outcome == "failed"
    assert found[0].sentence == "StasisStart got no usable answer after 3 attempts (timeout)"


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({}, ["3", "2", "1"]),
        ({"text": "+4930123456"}, ["3", "1"]),
        ({"text": "49301"}, ["3", "1"]),
        ({"text": "a4711 hello"}, ["3", "2", "1"]),
        ({"text": "sales"}, ["3", "2", "1"]),
        ({"text": "timeout"}, ["2"]),
        ({"text": "nothing of the kind"}, []),
        ({"text": '" OR * NEAR('}, []),
        ({"outcome": "failed"}, ["2"]),
        ({"caller": "42"}, ["2"]),
        ({"since": 4e9}, []),
        ({"limit": 1}, ["3"]),
    ],
)
async def test_calls_are_found_again(desk: Desk, which: dict[str, Any], expected: list[str]) -> None:
    """By numbers, ids, reasons and bodies, the beginnings of words too; by outcome and time; the newest first."""
    desk.happens(call("1"))
    desk.happens(call("2", fails="timeout", caller="42"))
    desk.happens(call("3"))
    assert [id for id, _ in await desk.found(**which)] == expected


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        ({"text": "A4711"}, ["3", "2", "1"]),
        ({"text": "a4711 49301"}, ["3", "2", "1"]),
        ({"text": "a4711", "outcome": "live"}, ["3", "2"]),
        ({"text": "a4711", "outcome": "good"}, ["1"]),
        ({"text": "a4711", "limit": 2}, ["3", "2"]),
        ({"text": "a4711", "tenant": "blue"}, ["2"]),
        ({"tenant": ""}, ["3", "1"]),
        ({"text": "a4711", "since": 4e9}, []),
        ({"text": "a4711 nobody"}, []),
    ],
)
async def test_words_of_calls_that_go_on_are_found_too(desk: Desk, which: dict[str, Any], expected: list[str]) -> None:
    """Live and over in one list, each tenant its own."""
    desk.happens(call("1"))
    desk.happens(call("2", route="blue")[:-1])
    desk.happens(call("3")[:-1])
    assert [id for id, _ in await desk.found(**which)] == expected


async def test_a_page_follows_the_other(desk: Desk) -> None:
    """`before`: the last one's row; with words and without."""
    for number in range(5):
        desk.happens(call(str(number)) if number != 3 else call(str(number))[:-1])
    for text in ("", "a4711"):
        first = await desk.recorder.find(Query(text=text, limit=3))
        rest = await desk.recorder.find(Query(text=text, limit=3, before=first[-1].id))
        assert [row.call_id for row in (*first, *rest)] == ["4", "3", "2", "1", "0"]


async def test_a_route_says_what_is_kept(desk: Desk) -> None:
    """All of it, what failed, or nothing."""
    for route in ("careful", "off"):
        desk.happens(call(f"{route}-good", route=route))
        desk.happens(call(f"{route}-bad", route=route, fails="status"))
    desk.happens(call("off-live", route="off")[:-1])
    assert await desk.found() == [("careful-bad", "failed")]
    (kept,) = await desk.recorder.find(Query())
    await desk.recorder.stop()  # a file is its alone
    assert statement(desk.place, "SELECT DISTINCT call FROM {}parts") == [(kept.id,)]


async def test_what_nobody_keeps_is_not_made(desk: Desk) -> None:
    """An exchange is dear to make: it is wanted from the first call on that is kept, and of that call it is there."""
    wanted = [desk.facts.wanted(Exchanged)]
    for route in ("off", "ivr", "off"):
        desk.happens(call(route, route=route))
        wanted.append(desk.facts.wanted(Exchanged))
    assert wanted == [False, False, True, True]
    found = await desk.recorder.read("ivr")
    assert found is not None
    assert [entry.what for entry in found[1]] == [type(fact).__name__ for fact in call()]


async def test_a_call_goes_on_where_it_was_after_a_restart(place: Place) -> None:
    """A process that is killed loses nothing that was written; a call that is gone meanwhile is closed."""
    first, second = call("1"), call("2")
    before = Desk(place, lambda route: Plan())
    await before.recorder.start()
    before.happens(first[:4] + second[:4])
    assert len(await before.found(outcome="live")) == 2
    before.recorder._file.close()  # killed: nothing is said
    after = Desk(place, lambda route: Plan())
    await after.recorder.start(["1"])
    after.happens(first[4:])
    found = await after.recorder.read("1")
    assert found is not None
    assert [entry.what for entry in found[1]] == [type(fact).__name__ for fact in first]
    assert found[1][2].fields["request"] == BODY
    assert sorted(await after.found()) == [("1", "good"), ("2", "failed")]
    assert await after.found(text="a4711") == [("2", "failed"), ("1", "good")]
    await after.recorder.stop()


async def test_a_file_that_refuses_costs_no_call_anything(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told once, what came meanwhile is written later."""
    write = desk.recorder._file.write

    def refuse(batch: Batch) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(desk.recorder._file, "write", refuse)
    monkeypatch.setattr("hookrouter.record.recorder.RETRY_DELAY", 0.0)
    desk.happens(call("1"))
    await desk.recorder.find(Query())
    monkeypatch.setattr(desk.recorder._file, "write", write)
    desk.happens(call("2"))
    while len(await desk.found()) < 2:
        pass
    assert sorted(await desk.found()) == [("1", "good"), ("2", "good")]
    said = [warning.message.removeprefix(f"{desk.recorder._file.place} ")[:15] for warning in desk.warned]
    assert said == ["refuses: databa", "takes writes ag"]


async def test_a_file_that_cannot_be_opened_stops_no_start(tmp_path: Path) -> None:
    """It is told, and nothing is recorded."""
    (tmp_path / "record.db").mkdir()
    desk = Desk(tmp_path / "record.db", lambda route: Plan())
    await desk.recorder.start()
    desk.happens(call())
    assert (await desk.found(), await desk.recorder.read("1.1")) == ([], None)
    assert "record.db cannot be opened" in desk.warned[0].message
    await desk.recorder.stop()


@pytest.mark.parametrize(
    ("value", "text", "found"),
    [
        ('"Büro x4711y"', "büro", True),
        ('"Büro x4711y"', "customer x4711y", True),
        ('"plain Text"', "text", True),
        ('"plain Text"', "zebra", False),
        ("[17171]", "17171", True),
        (f'"{"9" * 70}"', "9" * 70, True),
    ],
)
async def test_what_is_set_in_a_call_is_found(desk: Desk, value: str, text: str, found: bool) -> None:
    """A variable's name and value, whatever letters they have; not what Asterisk says of the channel each time."""
    raw = f'{{"variable":"CUSTOMER","value":{value},"channel":{{"id":"1.1","name":"PJSIP/zebra-1"}}}}'.encode()
    desk.happens([*call()[:-1], EventReceived("main", "ChannelVarset", "evt_2", "1.1", raw)])
    for _ in ("live", "over"):
        assert [id for id, _ in await desk.found(text=text)] == ["1.1"] * found
        desk.happens(call()[-1:])


Opened = RecordFile | RecordDatabase


@pytest.fixture
def opened(place: Place) -> Iterator[Opened]:
    file = open_record(place)
    yield file
    file.close()


def fill(file: Opened, outcomes: str) -> None:
    """A call for each letter: `g` went well, `f` failed."""
    for number, letter in enumerate(outcomes, 1):
        row = NewRow(number, f"c{number}", "main", "app", "ivr", "", "100", "200", float(number))
        facts: list[tuple[float, Fact]] = [(float(number), fact) for fact in call(f"c{number}")]
        outcome = "failed" if letter == "f" else "good"
        file.write(Batch([row], {number: facts}, [Ending(number, float(number), outcome, "hangup", "", "{}")]))


@pytest.mark.parametrize("short", [0, 1024], ids=["words compressed", "words as they are"])
def test_the_oldest_go_first_and_failed_ones_last(opened: Opened, place: Place, monkeypatch: pytest.MonkeyPatch, short: int) -> None:
    """By age all of them; by size those that went well before those that failed. The index forgets them too."""
    monkeypatch.setattr("hookrouter.record.file._SHORT", short)
    fill(opened, "gfgfgf")
    assert opened.trim(older_than=2.5, most_bytes=10**9)
    assert [row.call_id for row in opened.find(Query())] == ["c6", "c5", "c4", "c3"]
    assert not opened.trim(older_than=2.5, most_bytes=10**9)
    assert opened.trim(older_than=0.0, most_bytes=1)
    assert [row.call_id for row in opened.find(Query(text="sales"))] == ["c6", "c4"]
    assert opened.trim(older_than=0.0, most_bytes=1)
    assert opened.find(Query()) == []
    if isinstance(opened, RecordFile):
        assert opened.connection.execute("SELECT rowid FROM word_index WHERE word_index MATCH 'sales'").fetchall() == []
    else:
        assert not opened.trim(older_than=0.0, most_bytes=0)
        assert (opened.on_disk(), statement(place, "SELECT * FROM {}parts")) == (0, [])


def test_of_a_long_call_the_newest_entries_are_kept(opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    """And how many are not is told."""
    monkeypatch.setattr("hookrouter.record.writing.MOST_CALL_BYTES", 20_000)
    monkeypatch.setattr("hookrouter.record.writing._CHUNK_BYTES", 4_000)
    row = NewRow(1, "c1", "main", "app", "ivr", "", "100", "200", 1.0)
    opened.write(Batch([row]))
    for number in range(200):
        event = EventReceived("main", "ChannelVarset", f"evt_{number}", "c1", RAW + b"%d" % number)
        opened.write(Batch([], {1: [(float(number), event)]}))
    opened.write(Batch([], {}, [Ending(1, 300.0, "good", "hangup", "", "{}")]))
    (found,) = opened.find(Query())
    kept = opened.entries(1)
    assert (found.left_out + len(kept), kept[-1].fields["event_id"]) == (200, "evt_199")
    assert found.left_out > 50


def test_one_damaged_part_hides_no_other(opened: Opened, place: Place) -> None:
    """It is an entry that says so."""
    fill(opened, "gg")
    if isinstance(opened, RecordFile):
        opened.connection.execute("UPDATE parts SET data = x'00ff' WHERE call = 1")
    else:
        statement(place, r"UPDATE {}parts SET data = '\x00ff' WHERE call = 1")
    assert [entry.what for entry in opened.entries(1)] == ["Unreadable"]
    assert len(opened.entries(2)) == len(call())


async def test_what_went_wrong_before_a_kill_still_counts(place: Place) -> None:
    """The reason, the tags, and what the journal knows of a call that ended unseen; one that began unseen has its line."""
    before = Desk(place, plan)
    await before.recorder.start()
    for id in ("1", "2", "3"):
        before.happens([*call(id, fails="timeout" if id != "3" else "")[:-1], CallTagged(id, {"customer": "4711"})])
    await before.recorder.settled()
    before.recorder._file.close()  # killed
    after = Desk(place, plan)
    await after.recorder.start(["1", "4"], {"2": Ended(9.0, "hangup"), "3": Ended(9.5, "left")})
    after.happens([
        CallResumed("1", "main", "app", "ivr", "+4930123456", "1000", 1.0),
        CallResumed("4", "main", "app", "blue", "42", "1000", 7.0, ("StasisStart",), ("main: play (1 of 2)",)),
    ])  # fmt: skip
    after.happens([CallFinished("1", "main", "ivr", "hangup", 2.5)])
    rows = {row.call_id: row for row in await after.recorder.find(Query())}
    said = "StasisStart got no usable answer after 3 attempts (timeout)"
    assert (rows["1"].outcome, rows["1"].sentence, rows["1"].tags) == ("failed", said, '{"customer":"4711"}')
    assert (rows["2"].outcome, rows["2"].sentence, rows["2"].ended_at, rows["2"].reason) == ("failed", said, 9.0, "hangup")
    assert (rows["3"].outcome, rows["3"].reason, rows["3"].ended_at) == ("good", "left", 9.5)
    assert (rows["4"].outcome, rows["4"].started_at, rows["4"].tenant, rows["4"].caller) == ("live", 7.0, "blue", "42")
    entries = await after.recorder.read("4")
    assert entries is not None
    assert entries[1][0].what == "CallResumed"
    assert entries[1][0].fields["waiting"] == ["StasisStart"]
    await after.recorder.stop()


@pytest.mark.parametrize("live", [True, False])
async def test_a_call_is_found_by_its_tags(desk: Desk, live: bool) -> None:
    """By name and value, by the name alone, and by words; a later value takes the place of an earlier one."""
    facts = call("1")
    facts[4:4] = [CallTagged("1", {"customer": "4711", "order": "old"}), CallTagged("1", {"order": "A 12"})]
    desk.happens(facts[:-1] if live else facts)
    desk.happens(call("2"))
    for which in ({"tags": {"customer": "4711"}}, {"tags": {"order": "A 12", "customer": ""}}, {"text": "4711 customer"}):
        assert [id for id, _ in await desk.found(**which)] == ["1"]
    for which in ({"tags": {"customer": "471"}}, {"tags": {"order": "old"}}, {"tags": {"sold": ""}}):
        assert not await desk.found(**which)


async def test_a_call_without_a_record_is_let_alone_by_tags_and_restarts(desk: Desk) -> None:
    """Its route keeps nothing."""
    desk.happens([CallResumed("9", "main", "app", "off", "1", "2", 1.0), CallTagged("9", {"a": "b"})])
    desk.happens(call("9", route="off"))
    assert not await desk.found()


async def test_what_a_candidate_answers_after_the_call_is_kept(desk: Desk) -> None:
    """Of a route that has one; what its route leaves out is left out of it, too. Of other routes nothing comes later."""
    late = AnswerCompared("evt_1", "StasisStart", "1.1", "shadowed", "http://next/", "different", 1.0, 200, ("/state",), "",
                          b'{"state": {"card": "4111"}}')  # fmt: skip
    desk.happens([*call("1.1", route="shadowed"), *call("2.1", route="ivr")])
    await desk.recorder.settled()
    before = await desk.recorder.find(Query(call_id="1.1"))
    desk.happens([late, msgspec.structs.replace(late, call="2.1"), msgspec.structs.replace(late, call="nobody")])
    found, other = await desk.recorder.read("1.1"), await desk.recorder.read("2.1")
    assert found is not None
    assert other is not None
    assert [entry.what for entry in found[1]][-2:] == ["CallFinished", "AnswerCompared"]
    assert found[1][-1].fields["answer"] == b'{"state":{"card":"(left out)"}}'
    assert found[0].bytes > before[0].bytes
    assert other[1][-1].what == "CallFinished"
