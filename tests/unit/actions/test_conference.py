"""conference, on a table: who starts it, who ends it, and whose the file of the room is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.base import Member
from hookrouter.actions.bridge import shared_id
from hookrouter.actions.decode import decode_answer

ROOM = shared_id("conference", "app", "", "team")
TALKING = {"starts": True, "in": True, "records": False, "recording": False}


def others(table: Table, *said: dict[str, Any]) -> None:
    """Who is there beside the call, and what they say of themselves."""
    table.others.rooms[ROOM] = [Member(f"c{n}", f"c{n}", 900.0 + n, TALKING | data) for n, data in enumerate(said)]


def coming(*there: dict[str, Any], **more: Any) -> Table:
    """At the door; `there` are the others."""
    table = Table(up=True, events=frozenset({"StasisStart"}))
    others(table, *there)
    return table.start([{"action": "conference", "name": "team"} | more])


def member(*there: dict[str, Any], **more: Any) -> Table:
    table = coming(*there, **more)
    table.settle()
    moved(table, "ChannelEnteredBridge", "1", *(f"c{n}" for n in range(len(there))))
    return table


def moved(table: Table, type: str, channel: str = "1", *channels: str) -> None:
    table.happen(type, channel, bridge={"id": ROOM, "channels": [channel, *channels]})


def closed(table: Table, name: str, duration: float = 4.0, type: str = "RecordingFinished", **more: Any) -> None:
    recording = {"name": name, "format": "wav", "state": "done", "target_uri": f"bridge:{ROOM}", "duration": duration}
    table.happen(type, "", recording=recording | more)


def asked(table: Table, operation: str) -> list[dict[str, Any]]:
    return [p.params for p in table.asked if p.operation == operation]


def signals(table: Table) -> list[tuple[str, str]]:
    return [(s.target, s.name) for s in table.signals]


def result(table: Table) -> dict[str, Any]:
    """The last result that was queued, whatever is told before it."""
    [found] = [out for out in table.call.outbox if out.type == "ConferenceCompleted"]
    assert ROOM not in table.owned
    while table.types[-1] != "ConferenceCompleted":
        table.answer([])
    assert table.sent[-1].id == found.id
    return {key: value for key, value in table.data().items() if key != "action"}


# ---- who comes in ----


def test_who_may_start_it_goes_in_at_once_and_tells_those_who_wait() -> None:
    """The room is made, and the channel put into it."""
    table = member()
    assert table.operations == ["bridges.createWithId", "bridges.addChannel"]
    assert asked(table, "bridges.addChannel") == [{"bridgeId": ROOM, "channel": ["1"]}]
    assert signals(table) == [(ROOM, "started")]
    table.later(60)
    assert table.types == ["StasisStart"]
    table.finish()


def test_who_may_not_start_it_hears_music_until_somebody_does() -> None:
    """And is then joined."""
    table = coming({"starts": False, "in": False}, startOnEnter=False, moh="jazz")
    assert asked(table, "channels.startMoh") == [{"channelId": "1", "mohClass": "jazz"}]
    assert signals(table) == []
    table.turn("on_signal", "started", {})
    assert table.operations[1:] == ["channels.stopMoh", "bridges.createWithId"]
    table.settle()
    moved(table, "ChannelEnteredBridge")
    table.turn("on_signal", "started", {})  # another one who may
    assert len(table.asked) == 4
    table = coming(startOnEnter=False)
    assert asked(table, "channels.startMoh") == [{"channelId": "1"}]
    table.turn("on_signal", "ended", {})
    assert result(table) == {"reason": "ended", "seconds": 0.0, "members": 0}
    assert table.operations == ["channels.startMoh", "channels.stopMoh"]


@pytest.mark.parametrize("there", [{"starts": True, "in": False}, {"starts": False, "in": True}])
def test_what_has_started_is_not_waited_for(there: dict[str, Any]) -> None:
    """Somebody is in who may start it, or was let in by one who has left."""
    table = coming(there, startOnEnter=False)
    assert table.operations == ["bridges.createWithId"]


def test_one_too_many_is_refused() -> None:
    """Nothing is asked of Asterisk for them."""
    table = coming({}, {"in": False}, maxMembers=2)
    assert result(table) == {"reason": "full", "seconds": 0.0, "members": 2}
    assert table.asked == []
    assert coming({}, maxMembers=2).operations == ["bridges.createWithId"]


def test_who_only_listens_is_not_heard() -> None:
    """Before they are in; by the way that `unmute` takes back. The room is there already: that is no fault."""
    table = coming({}, mute=True)
    table.reply(status=409, body={"message": "Bridge already exists"})
    assert asked(table, "bridges.addChannel") == [{"bridgeId": ROOM, "channel": ["1"]}]
    assert table.operations.index("channels.mute") < table.operations.index("bridges.addChannel")


def test_a_room_that_has_just_been_left_is_made_again() -> None:
    """Twice; then something else is wrong."""
    table = coming({})
    for _ in range(2):
        table.reply(status=409, body={"message": "there"})
        table.reply(status=404, body={"message": "Bridge not found"})
    assert table.operations.count("bridges.createWithId") == 3
    table.reply(status=200)
    table.reply(status=404, body={"message": "Bridge not found"})
    table.later(5)
    assert table.data()["error"] == {
        "reason": "not_joined", "status": 404, "message": "the conference: Bridge not found"}  # fmt: skip
    assert ROOM not in table.owned


def test_a_room_that_cannot_be_made_fails_the_action() -> None:
    """As does one that is never entered."""
    table = coming()
    table.reply(status=500, body={"message": "Internal"})
    assert table.data()["error"]["reason"] == "not_joined"
    table = coming()
    table.settle()
    table.later(9)
    assert table.data()["error"]["message"] == "the call did not enter the conference within 8 s"
    assert asked(table, "bridges.removeChannel") == [{"bridgeId": ROOM, "channel": ["1"]}]
    assert asked(table, "bridges.destroy") == [{"bridgeId": ROOM}]


# ---- who goes ----


def test_a_key_leaves_it() -> None:
    """A key that is not one of those is let through; the room goes with its last member."""
    table = member(exitOn="#", beep=True)
    assert asked(table, "bridges.play") == [{"bridgeId": ROOM, "media": ["sound:beep"]}]
    table.press("12")
    table.press("5", channel="c0")
    assert table.call.outbox == []
    table.later(10)
    table.press("#")
    assert result(table) == {"reason": "exit", "seconds": 10.0, "members": 1}
    assert table.operations[-2:] == ["bridges.removeChannel", "bridges.destroy"]
    assert len(asked(table, "bridges.play")) == 1  # nobody is left to hear the other
    assert signals(table) == [(ROOM, "started")]


def test_who_leaves_others_behind_leaves_the_room() -> None:
    """They hear that somebody has gone."""
    table = member({}, {"in": False}, exitOn="#", beep=True)
    table.press("#")
    assert result(table)["members"] == 3
    assert asked(table, "bridges.play")[-1] == {"bridgeId": ROOM, "media": ["sound:beeperr"]}
    assert table.operations[-1] == "bridges.removeChannel"


def test_when_the_moderator_goes_all_go() -> None:
    """By a key, by hanging up, or because the function wants something else of them."""
    table = member({}, endOnExit=True, exitOn="*")
    table.press("*")
    assert signals(table)[-1] == (ROOM, "ended")
    table = member({}, endOnExit=True)
    table.hangup()
    assert signals(table)[-1] == (ROOM, "ended")
    assert result(table)["reason"] == "hangup"
    assert "bridges.removeChannel" not in table.operations
    table = member({}, endOnExit=True)
    table.turn("inject", _decoded([{"action": "pause", "seconds": 1}]))
    assert signals(table)[-1] == (ROOM, "ended")
    assert table.operations[-1] == "bridges.removeChannel"
    table = member({})
    table.turn("inject", _decoded([{"action": "pause", "seconds": 1}]))
    assert signals(table) == []
    table.finish()


def test_who_is_sent_away_is_told_once() -> None:
    """`ended`, and no echo of it to the others."""
    table = member({}, endOnExit=True)
    table.turn("on_signal", "ended", {})
    assert result(table)["reason"] == "ended"
    assert signals(table) == []
    table.turn("on_signal", "ended", {})
    table.finish()


def test_a_room_that_is_destroyed_has_ended() -> None:
    """Whoever did it; what happens to others ends nothing."""
    table = member({})
    moved(table, "ChannelLeftBridge", "c0")
    table.happen("BridgeDestroyed", "", bridge={"id": "another", "channels": []})
    table.later(1)
    assert table.call.outbox == []
    table.happen("BridgeDestroyed", "", bridge={"id": ROOM, "channels": []})
    assert result(table)["reason"] == "ended"
    table = coming({})
    table.happen("BridgeDestroyed", "", bridge={"id": ROOM, "channels": []})  # before it is entered: it is made again
    assert table.call.outbox == []


def test_who_is_taken_out_has_left_and_who_hangs_up_has_hung_up() -> None:
    """A hangup takes the channel out first, and says so a moment later."""
    table = member({})
    moved(table, "ChannelLeftBridge")
    table.later(0.3)
    assert result(table)["reason"] == "left"
    table = member({})
    moved(table, "ChannelLeftBridge")
    table.hangup()
    assert result(table)["reason"] == "hangup"
    table.finish()


def test_who_hangs_up_while_they_wait_is_told() -> None:
    """Nothing is asked of a channel that is gone."""
    table = coming(startOnEnter=False)
    table.hangup()
    assert result(table) == {"reason": "hangup", "seconds": 0.0, "members": 0}
    assert table.operations == ["channels.startMoh"]


def test_after_a_loss_it_is_known_whether_the_call_is_still_in() -> None:
    """Asked of Asterisk; who was only waiting waits on, room or no room."""
    table = member({})
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 200, {"id": ROOM, "channels": ["c0"]})
    table.later(0.3)
    assert result(table)["reason"] == "left"
    table = coming(startOnEnter=False)
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 404)
    table.later(10)
    assert table.call.outbox == []


# ---- the file ----


def test_the_room_is_recorded_from_the_first_who_asks_for_it() -> None:
    """The file is closed when they leave; only then the result is sent, after what tells of the file."""
    table = member(record="team-1", exitOn="#")
    assert asked(table, "bridges.record") == [
        {"bridgeId": ROOM, "name": "team-1", "format": "wav", "ifExists": "fail"}]  # fmt: skip
    table.settle()
    table.later(10)
    table.press("#")
    assert asked(table, "recordings.stop") == [{"recordingName": "team-1"}]
    assert table.call.outbox == []
    moved(table, "ChannelLeftBridge")
    table.happen("BridgeDestroyed", "", bridge={"id": ROOM, "channels": []})
    table.press("#")
    table.later(1)
    closed(table, "another")
    closed(table, "team-1", type="RecordingStarted")
    assert table.call.outbox == []
    closed(table, "team-1")
    assert [out.type for out in table.call.outbox] == ["RecordingCompleted", "ConferenceCompleted"]
    assert table.data() | {"action": None} == {
        "name": "team-1", "format": "wav", "duration": 4.0, "url": "/v1/recordings/team-1?asterisk=main", "action": None,
    }  # fmt: skip
    assert result(table)["seconds"] == 10.0
    table.finish()


def test_a_room_is_recorded_once() -> None:
    """Who comes later and asks for it too finds it running."""
    table = member({"records": True, "recording": True}, record=True, exitOn="#")
    assert asked(table, "bridges.record") == []
    table.press("#")
    assert result(table)["reason"] == "exit"
    assert asked(table, "recordings.stop") == []


def test_the_file_is_left_to_another_who_asks_for_it() -> None:
    """Who does not ask, or is not in, gets nothing to do with it."""
    table = member({}, {"records": True, "in": False}, {"records": True}, record=True, exitOn="#")
    name = asked(table, "bridges.record")[0]["name"]
    table.press("#")
    assert (table.signals[-1].target, table.signals[-1].data) == ("c2", {"bridge": ROOM, "name": name})
    assert asked(table, "recordings.stop") == []
    assert name not in table.owned
    assert result(table)["reason"] == "exit"


def test_who_is_left_the_file_tells_of_it() -> None:
    """A file of another room is not theirs."""
    table = member({"records": True, "recording": True}, record=True, exitOn="#")
    table.turn("on_signal", "recording", {"bridge": "another", "name": "no"})
    table.turn("on_signal", "recording", {"bridge": ROOM, "name": "team-1"})
    table.turn("on_signal", "recording", {"bridge": ROOM, "name": "team-2"})
    assert table.owned["team-1"] == "call-recording"
    others(table)
    table.press("#")
    assert asked(table, "recordings.stop") == [{"recordingName": "team-1"}]
    closed(table, "team-1")
    assert [out.type for out in table.call.outbox] == ["RecordingCompleted", "ConferenceCompleted"]


def test_with_the_moderator_the_file_ends_too() -> None:
    """All leave: there is nobody to leave it to."""
    table = member({"records": True}, record=True, endOnExit=True)
    table.settle()
    table.hangup()
    assert len(asked(table, "recordings.stop")) == 1
    assert signals(table)[-1] == (ROOM, "ended")
    assert table.call.outbox == []
    table.later(6)  # Asterisk says nothing of it: if it is there, it is told without its length
    table.reply("recordings.getStored", 200)
    assert [out.type for out in table.call.outbox] == ["RecordingCompleted", "ConferenceCompleted"]
    assert table.data()["duration"] is None
    table.finish()


def test_who_is_called_away_tells_of_the_file_all_the_same() -> None:
    """Beside whatever they do then; also where only the file was still waited for."""
    table = member(record="team-1")
    table.settle()
    table.turn("inject", _decoded([{"action": "pause", "seconds": 60}]))
    assert asked(table, "recordings.stop") == [{"recordingName": "team-1"}]
    closed(table, "team-1")
    assert [out.type for out in table.call.outbox] == ["RecordingCompleted"]
    table = member(record="team-1", exitOn="#")
    table.press("#")
    table.turn("inject", _decoded([{"action": "pause", "seconds": 60}]))
    closed(table, "team-1")
    assert [out.type for out in table.call.outbox] == ["RecordingCompleted"]
    table = member({"records": True}, record="team-1")
    table.turn("inject", _decoded([{"action": "pause", "seconds": 60}]))
    assert signals(table)[-1] == ("c0", "recording")
    closed(table, "team-1")
    assert table.call.outbox == []


def test_who_hangs_up_while_the_file_is_closed_gets_one_result() -> None:
    """The reason is the first one."""
    table = member(record="team-1", exitOn="#")
    table.press("#")
    table.hangup()
    closed(table, "team-1")
    assert result(table)["reason"] == "exit"
    table.finish()


def test_a_file_that_cannot_be_written_is_told_and_ends_nothing() -> None:
    """Refused at once, or failed later."""
    table = member(record="team-1", exitOn="#")
    table.reply("bridges.record", 409, {"message": "Recording team-1 already exists on the bridge"})
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"]["message"] == "recording `team-1`: Recording team-1 already exists on the bridge"
    table.answer(None)
    table.press("#")
    assert result(table)["reason"] == "exit"
    table = member(record="team-1", exitOn="#")
    table.settle()
    closed(table, "team-1", type="RecordingFailed", state="failed")
    assert table.data()["error"]["message"] == "recording `team-1`: Asterisk gives no cause"
    closed(table, "team-1")
    assert table.types.count("RecordingCompleted") == 0


def test_a_recording_of_unknown_fate_is_taken_to_run() -> None:
    """Asterisk did not reply: the file is told of, should there be one."""
    table = member(record="team-1")
    table.reply("bridges.record", 0, fate="unknown")
    assert table.types == ["StasisStart"]
    closed(table, "team-1")
    assert table.types[-1] == "RecordingCompleted"


def _decoded(answer: Any) -> Any:
    return decode_answer(json.dumps(answer).encode())
