"""Which call an event belongs to, by the ids in it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hookrouter.actions.bridge import BridgeRun
from hookrouter.actions.dialplan import DialplanRun
from hookrouter.ari.events import decode_head
from hookrouter.calls.board import Board, Live, ids_of
from hookrouter.calls.call import Call, Program

KINDS = ("channel", "bridge", "playback", "recording")


def live(id: str, *owned: str, asterisk: str = "main", key: str = "") -> Live:
    return Live(Call(key=key or f"{asterisk}/{id}", id=id, asterisk=asterisk, app="app", route="ivr", started_at=0.0,
                     owned={kind: dict.fromkeys(owned, "leg") for kind in KINDS if owned}), None)  # fmt: skip


def put(board: Board, *lives: Live) -> None:
    for one in lives:
        board.add(one)
        for kind, id in (("channel", one.call.id), *one.call.things()):
            board.watch(one, kind, id)


def found(board: Board, asterisk: str = "main", **event: Any) -> list[str]:
    head = decode_head(json.dumps({"type": "X", **event}).encode())
    return [one.call.key for one in board.find(asterisk, head)]


@pytest.mark.parametrize(
    "event",
    [
        {"channel": {"id": "a"}},
        {"playback": {"id": "a"}},
        {"playback": {"id": "p", "target_uri": "channel:a"}},
        {"playback": {"id": "p", "target_uri": "bridge:a"}},
        {"bridge": {"id": "a"}},
        {"recording": {"name": "a"}},
        {"recording": {"name": "r", "target_uri": "channel:a"}},
        {"peer": {"id": "a"}},
        {"caller": {"id": "a"}, "peer": {"id": "x"}},
        {"referred_by": {"source_channel": {"id": "a"}}},
    ],
)
def test_an_event_belongs_to_the_call_that_owns_what_it_tells_of(event: Any) -> None:
    """Whichever of its parts names it."""
    board = Board()
    put(board, live("1", "a"), live("2", "b"))
    assert found(board, **event) == ["main/1"]
    assert found(board, "other", **event) == []


@pytest.mark.parametrize(
    "event", [{}, {"channel": {"id": "x"}}, {"referred_by": {}}, {"playback": {"id": "p"}}, {"recording": {"name": "r"}}]
)
def test_an_event_of_nobody_belongs_to_nobody(event: Any) -> None:
    """As most of what a busy Asterisk does."""
    board = Board()
    put(board, live("1", "a"))
    assert found(board, **event) == []


def test_an_event_of_two_calls_is_told_to_each_once() -> None:
    """One that enters a bridge which both have, named in it twice."""
    board = Board()
    put(board, live("1", "b"), live("2", "b"))
    assert found(board, channel={"id": "1"}, bridge={"id": "b"}) == ["main/1", "main/2"]


def test_what_is_watched_twice_is_watched_once() -> None:
    """After a restart a call watches its own again; given up, it is given up."""
    board = Board()
    one = live("1", "a")
    put(board, one, one)
    board.unwatch(one, "channel", "a")
    board.unwatch(one, "channel", "a")
    assert found(board, channel={"id": "a"}) == []


def test_a_call_does_not_lose_its_own_channel() -> None:
    """Whatever it gives up, as long as it lives."""
    board = Board()
    one = live("1")
    put(board, one)
    board.unwatch(one, "channel", "1")
    assert found(board, channel={"id": "1"}) == ["main/1"]
    board.remove(one)
    assert found(board, channel={"id": "1"}) == []
    assert len(board) == 0
    board.remove(one)


def test_what_two_watch_one_may_give_up() -> None:
    """The other still hears of it."""
    board = Board()
    one, two = live("1", "b"), live("2", "b")
    put(board, one, two)
    board.remove(one)
    assert found(board, bridge={"id": "b"}) == ["main/2"]


def test_a_channel_that_comes_back_is_another_call_beside_the_one_that_is_still_told_about() -> None:
    """Each has a key of its own; what happens now is the new one's, and the old one is found where no other is."""
    board = Board()
    old = live("1")
    put(board, old)
    old.call.ended = True
    assert board.by_channel("1") is old
    assert board.of("main", "channel", "1") is None
    key = board.free_key("main", "1")
    new = live("1", key=key)
    put(board, new)
    assert board.free_key("main", "1") not in ("main/1", key)
    assert board.of("main", "channel", "1") is board.by_channel("1", "main") is new
    assert board.by_channel("1", "second") is None
    assert board.by_channel("2") is None
    assert [one.call.key for one in board] == ["main/1", key]


def test_who_is_in_a_room_is_what_the_runs_say() -> None:
    """In order of entry, and only those who are in that room."""
    board = Board()
    one, two, three, four = (live(id, "hr-room-a") for id in "1234")
    put(board, one, two, three, four)
    for at, (call, room) in enumerate(((two, "hr-room-a"), (one, "hr-room-a"), (three, "hr-room-b"))):
        call.call.programs = {"p": Program("p", "main", [], call.call.id, run=BridgeRun(bridge=room), step_at=float(at))}
    four.call.programs = {"p": Program("p", "main", [], "4")}
    assert [member.call for member in board.members("main", "hr-room-a")] == ["2", "1"]
    assert board.members("second", "hr-room-a") == []


def test_what_plays_or_records_makes_a_call_busy() -> None:
    """Some requests wait behind it; a leg or a bridge is nothing of that kind."""
    one = live("1")
    one.call.owned = {"channel": {"a": "leg"}, "bridge": {"b": "bridge"}, "recording": {"c": "call-recording"}}
    assert not one.busy
    one.call.owned["recording"]["r"] = "recording"
    assert one.busy
    one.call.owned = {"playback": {"p": "playback"}}
    assert one.busy


def test_a_call_that_is_lent_is_away() -> None:
    """As long as the verb `dialplan` says so."""
    one = live("1")
    one.call.programs = {"p": Program("p", "main", [], "1"), "q": Program("q", "main", [], "1", run=DialplanRun())}
    assert not one.away
    one.call.programs["q"].run = DialplanRun(away=True)
    assert one.away


def test_every_id_is_looked_for() -> None:
    """A phone's own REFER names its channel only there."""
    head = decode_head(b'{"type":"ChannelTransfer","channel":{"id":"1"},"referred_by":{"source_channel":{"id":"2"}}}')
    assert list(ids_of(head)) == [("channel", "1"), ("channel", "2")]
