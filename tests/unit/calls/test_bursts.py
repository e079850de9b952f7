"""A burst of events on one call: what is over the bound is told as such, the call lives, and memory is bounded."""

from __future__ import annotations

import json
import tracemalloc
from typing import Any

import pytest
from rig.table import URL, Others, Table

from hookrouter.ari.events import make_event
from hookrouter.calls import keys, outbox
from hookrouter.calls.call import Call, decode_call, encode_call
from hookrouter.calls.doer import Doer
from hookrouter.calls.machine import Turn
from hookrouter.facts import Warned
from hookrouter.routing.endpoint import Endpoint, Route

BURST = 60_000
FEW = 50
PAUSE = {"action": "pause", "seconds": 5}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> Table:
    """A call whose program runs, and whose endpoint takes its time; of few events, as each is written and read again."""
    monkeypatch.setattr(outbox, "MOST_WAITING", FEW)
    monkeypatch.setattr(outbox, "MOST_WAITING_BYTES", 100_000)
    monkeypatch.setattr(keys, "MOST_DIGITS", 100)
    found = Table(events=None).start([PAUSE, {"action": "hangup"}])
    found.happen("ChannelVarset", variable="FIRST", value="1")
    return found


def data(out: Any) -> Any:
    return json.loads(out.data)


def test_what_is_over_the_bound_is_counted_by_type_and_told_in_its_place(table: Table) -> None:
    """Everything before it is delivered, in order; then how many are missing; then what came when there was room again."""
    for number in range(20 * FEW):
        table.happen("ChannelVarset" if number % 10 else "ChannelTalkingStarted", variable="X", value=str(number))
    assert len(table.call.outbox) == outbox.MOST_WAITING
    assert len(encode_call(table.call)) < 2 * outbox.MOST_WAITING_BYTES
    while len(table.call.outbox) > outbox.MOST_WAITING // 2:
        table.answer([])
    gap = table.call.outbox[-1]
    assert gap.type == "EventsLeftOut"
    missing = 20 * FEW + 1 - outbox.MOST_WAITING
    assert data(gap)["count"] == missing == sum(data(gap)["types"].values())
    assert set(data(gap)["types"]) == {"ChannelVarset", "ChannelTalkingStarted"}
    table.happen("ChannelVarset", variable="LAST", value="1")
    assert [out.type for out in table.call.outbox[-2:]] == ["EventsLeftOut", "ChannelVarset"]
    assert [out.sequence for out in table.call.outbox] == sorted(out.sequence for out in table.call.outbox)


def test_the_call_lives(table: Table) -> None:
    """Its program is told of every event, goes on, and ends as it would have; one warning."""
    for number in range(10 * FEW):
        table.happen("ChannelVarset", variable="X", value=str(number))
    warnings = [fact for fact in table.facts if isinstance(fact, Warned) and fact.subject == "burst"]
    assert len(warnings) == 1
    table.later(5)
    assert table.operations[-1] == "channels.hangup"
    table.hangup()
    types = [out.type for out in table.call.outbox[-3:]]
    assert types == ["EventsLeftOut", "StasisEnd", "CallEnded"]
    while table.call.in_flight:
        table.answer([])
    table.finish()


def test_it_is_bounded_by_bytes_too(table: Table) -> None:
    """A user event may be large."""
    for number in range(30):
        table.happen("ChannelUserevent", eventname="x", userevent={"text": "y" * 20_000, "number": number})
    assert table.call.waiting_bytes <= outbox.MOST_WAITING_BYTES + 30_000
    again = decode_call(encode_call(table.call))
    assert (again.waiting_bytes, again.left_out) == (table.call.waiting_bytes, table.call.left_out)
    while table.call.in_flight:
        table.answer([])
    assert table.call.waiting_bytes == 0


@pytest.mark.parametrize(("events", "left"), [(1000, 0), (BURST, BURST - outbox.MOST_WAITING)])
def test_a_thousand_events_are_no_burst_and_sixty_thousand_are_bounded(events: int, left: int) -> None:
    """All of the former are kept; the latter take less memory than is promised, and no time that grows with them."""
    call = Call(key="main/1", id="1", asterisk="main", app="app", route="ivr", started_at=1000.0)
    route = Route("ivr", Endpoint(URL), events=None)
    event = make_event("main", b'{"type":"ChannelVarset","channel":{"id":"1","state":"Up"},"variable":"X","value":"1"}')
    tracemalloc.start()
    for _ in range(events):
        Turn(call, route, Others(), 1001.0, Doer).on_event(event)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sum(call.left_out.values()) == left
    assert held < outbox.MOST_WAITING_BYTES


def test_keys_that_nobody_asked_for_are_bounded(table: Table) -> None:
    """The last ones are kept."""
    for _ in range(2 * keys.MOST_DIGITS):
        table.press("1")
    table.press("2")
    assert len(table.call.digits) == keys.MOST_DIGITS
    assert table.call.digits.endswith("2")
