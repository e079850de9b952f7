"""Recordings, on a table: the caller's words as a file, both sides beside the program, and what is asked of one that runs."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.decode import decode_answer

VOICEMAIL = {"action": "record", "name": "vm/1", "format": "gsm", "maxSilenceSeconds": 2, "beep": True}
AFTER = {"action": "hangup"}


def recording(**more: Any) -> Table:
    """The caller speaks."""
    table = Table(up=True).start([VOICEMAIL | more, AFTER])
    table.reply("channels.record", 201)
    return table


def both(*, up: bool = True, entered: bool = True, **more: Any) -> Table:
    """Both sides are recorded beside a pause."""
    table = Table(up=up).start([{"action": "startRecording", "name": "both"} | more, {"action": "pause", "seconds": 600}])
    if entered:
        table.reply("channels.snoopChannelWithId", 200, {"id": "snoop"})
        table.happen("StasisStart", snoop(table))
    return table


def snoop(table: Table) -> str:
    return next(str(p.params["snoopId"]) for p in table.asked if "snoopId" in p.params)


def closed(table: Table, name: str = "vm/1", type: str = "RecordingFinished", **more: Any) -> None:
    table.happen(type, "", recording={"name": name, "format": "gsm", "state": "done", "duration": 7} | more)


def asked(table: Table, operation: str) -> list[dict[str, Any]]:
    return [p.params for p in table.asked if p.operation == operation]


def replaced(table: Table) -> None:
    table.turn("inject", decode_answer(json.dumps([{"action": "pause", "seconds": 60}]).encode()))


def error(table: Table) -> Any:
    """What has failed; what might have been a hangup is looked at first."""
    table.later(5)
    assert table.types[-1] == "ActionFailed"
    return table.data()["error"]


def told(table: Table) -> list[tuple[str, Any]]:
    """Which files were told, with their lengths."""
    found = []
    for out in table.call.outbox:
        if out.type == "RecordingCompleted":
            data = json.loads(out.data)
            found.append((data["name"], data["duration"]))
    return found


# ---- record ----


def test_what_the_caller_says_is_told_when_its_file_is_closed() -> None:
    """With what Asterisk was asked for; the program goes on then."""
    table = recording()
    assert asked(table, "channels.record") == [
        {"channelId": "1", "name": "vm/1", "format": "gsm", "maxDurationSeconds": 0, "maxSilenceSeconds": 2, "beep": True,
         "terminateOn": "none", "ifExists": "fail"}
    ]  # fmt: skip
    closed(table, "another")
    table.happen("RecordingStarted", "", recording={"name": "vm/1", "state": "recording"})
    table.turn("resume", restarted=False)
    table.reply("recordings.getLive", 200)
    assert table.operations == ["channels.record", "recordings.getLive"]
    closed(table)
    assert table.types[-1] == "RecordingCompleted"
    assert table.data() | {"action": 0} == {
        "name": "vm/1", "format": "gsm", "duration": 7, "url": "/v1/recordings/vm/1?asterisk=main", "action": 0}  # fmt: skip
    table.answer(None)
    assert table.operations[-1] == "channels.hangup"
    table.finish()


def test_a_recording_without_a_name_gets_one_that_can_be_a_file() -> None:
    """No `;` of a Local channel's id."""
    table = Table(up=True).start([{"action": "record"}])
    [params] = asked(table, "channels.record")
    assert params["name"].startswith("hr-")
    assert ";" not in params["name"]


def test_a_recording_that_is_refused_fails_in_words_of_asterisk() -> None:
    """It is not the name; perhaps the caller has just hung up, and that is looked at first."""
    table = Table(up=True).start([VOICEMAIL])
    table.reply("channels.record", 409, {"message": "Channel is in a bridge"})
    table.reply("recordings.getStored", 404)
    assert error(table) == {"reason": "conflict", "message": "recording `vm/1`: Channel is in a bridge", "status": 409}
    assert table.owned == {}


def test_a_name_that_exists_is_told_at_once() -> None:
    """Asterisk's 409 may be one of several things; asking tells which."""
    table = Table(up=True).start([VOICEMAIL])
    table.reply("channels.record", 409, {"message": "Recording exists"})
    table.reply("recordings.getStored", 200, {"name": "vm/1"})
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"]["reason"] == "exists"
    assert table.owned == {}


def test_a_recording_that_fails_says_why() -> None:
    """A full disk, say."""
    table = recording()
    closed(table, type="RecordingFailed", cause="no space")
    assert error(table)["message"] == "Asterisk could not record `vm/1`: no space"
    table = recording()
    closed(table, type="RecordingFailed")
    assert error(table)["message"].endswith("it gives no cause")


def test_who_hangs_up_has_been_recorded() -> None:
    """The file is closed a moment later; if nothing is heard of that, it is looked for."""
    table = recording()
    table.hangup()
    assert told(table) == []
    closed(table)
    assert told(table) == [("vm/1", 7)]
    table.finish()
    table = recording()
    table.hangup()
    table.later(10)
    table.reply("recordings.getStored", 200)
    table.later(1)
    assert told(table) == [("vm/1", None)]
    table.finish()
    table = recording()
    table.hangup()
    table.later(10)
    table.reply("recordings.getStored", 404)
    assert told(table) == []
    assert table.call.programs == {}
    table.finish()


def test_who_hangs_up_before_they_are_recorded_has_said_nothing() -> None:
    """Neither a file nor a failure is told."""
    table = Table(up=True).start([VOICEMAIL])
    table.hangup()
    table.reply("channels.record", 404, {"message": "Channel not found"})
    assert table.call.programs == {}
    assert [out.type for out in table.call.outbox] == ["StasisEnd", "CallEnded"]
    table = recording()
    table.hangup()
    closed(table, type="RecordingFailed")
    assert table.call.programs == {}


def test_a_recording_of_unknown_fate_is_looked_for() -> None:
    """It runs; it is there; or it never began, and is asked for once more."""
    table = Table(up=True).start([VOICEMAIL])
    table.reply("channels.record", 0, fate="unknown")
    table.reply("recordings.getLive", 200)
    assert table.types == ["StasisStart"]
    closed(table)
    assert told(table) == [("vm/1", 7)]
    table = Table(up=True).start([VOICEMAIL])
    table.reply("channels.record", 0, fate="unknown")
    table.reply("recordings.getLive", 404)
    table.reply("recordings.getStored", 200)
    closed(table)  # the reply has overtaken it
    assert told(table) == [("vm/1", 7)]
    table = Table(up=True).start([VOICEMAIL])
    for _ in range(2):
        table.reply("channels.record", 0, fate="unknown")
        table.reply("recordings.getLive", 404)
        table.reply("recordings.getStored", 404)
    assert error(table)["message"] == "Asterisk has no recording `vm/1`"
    table = Table(up=True).start([VOICEMAIL])
    table.reply("channels.record", 0, fate="unknown")
    table.reply("recordings.getLive", 404)
    table.reply("recordings.getStored", 404)
    table.reply("channels.record", 409)  # it had begun after all
    closed(table)
    assert told(table) == [("vm/1", 7)]


def test_after_a_loss_it_is_looked_whether_it_still_runs() -> None:
    """Its end may have been missed: then the length is not known."""
    table = recording()
    table.turn("resume", restarted=False)
    table.reply("recordings.getLive", 404)
    table.reply("recordings.getStored", 200)
    table.later(1)
    assert told(table) == [("vm/1", None)]


def test_what_was_said_before_the_program_is_replaced_is_told() -> None:
    """It is stopped, and kept; one that was not there yet is taken back."""
    table = recording()
    replaced(table)
    assert asked(table, "recordings.stop") == [{"recordingName": "vm/1"}]
    closed(table)
    assert told(table) == [("vm/1", 7)]
    assert json.loads(table.call.outbox[0].data)["format"] == "gsm"
    table.answer(None)
    table.finish()
    table = Table(up=True).start([VOICEMAIL])
    replaced(table)
    table.reply("channels.record", 201)
    assert asked(table, "recordings.stop") == [{"recordingName": "vm/1"}]
    closed(table)
    assert told(table) == []
    table.finish()


# ---- startRecording ----


def test_both_sides_are_recorded_beside_the_program() -> None:
    """Through a snoop that goes when the file is closed."""
    table = both()
    assert asked(table, "channels.record") == [{"channelId": snoop(table), "name": "both", "format": "wav", "ifExists": "fail"}]
    table.happen("ChannelDtmfReceived", "1", digit="1")
    table.reply("channels.record", 201)
    closed(table, "both")
    assert told(table) == [("both", 7)]
    assert asked(table, "channels.hangup") == [{"channelId": snoop(table)}]
    table.finish()


def test_a_snoop_that_says_nothing_is_recorded_all_the_same() -> None:
    """After two seconds; and once, whatever comes later."""
    table = both(entered=False)
    table.reply("channels.snoopChannelWithId", 200)
    table.later(2)
    assert len(asked(table, "channels.record")) == 1
    table.happen("StasisStart", snoop(table))
    table.later(10)
    assert len(asked(table, "channels.record")) == 1
    table.happen("RecordingStarted", "", recording={"name": "both", "state": "recording"})
    table = both(entered=False)
    table.turn("resume", restarted=False)  # nothing to look for yet
    table.happen("RecordingStarted", "", recording={"name": "both", "state": "recording"})
    table.happen("StasisStart", snoop(table))  # before the reply
    table.reply("channels.snoopChannelWithId", 200)
    table.later(10)
    assert len(asked(table, "channels.record")) == 1


def test_a_snoop_that_is_refused_is_told() -> None:
    """Nothing is left of it."""
    table = both(entered=False)
    table.reply("channels.snoopChannelWithId", 409, {"message": "no"})
    assert error(table)["message"] == "recording `both`: no"
    assert table.owned == {}


def test_a_snoop_whose_recording_is_refused_goes() -> None:
    """Nobody would hear what it hears."""
    table = both()
    table.reply("channels.record", 409, {"message": "exists"})
    table.reply("recordings.getStored", 200, {"name": "all"})
    assert error(table)["reason"] == "exists"
    assert asked(table, "channels.hangup") == [{"channelId": snoop(table)}]


def test_who_hangs_up_ends_it_and_it_is_told() -> None:
    """Where it had begun."""
    table = both()
    table.reply("channels.record", 201)
    table.hangup()
    assert asked(table, "recordings.stop") == [{"recordingName": "both"}]
    closed(table, "both")
    assert told(table) == [("both", 7)]
    table.finish()
    table = both()
    table.reply("channels.record", 201)
    table.hangup()
    table.later(10)
    table.reply("recordings.getStored", 200)
    table.later(1)
    assert told(table) == [("both", None)]
    table = both(entered=False)
    table.reply("channels.snoopChannelWithId", 200)
    table.hangup()
    assert asked(table, "recordings.stop") == []
    assert asked(table, "channels.hangup") == [{"channelId": snoop(table)}]
    assert table.call.programs == {}
    table.finish()


@pytest.mark.parametrize("entered", [True, False])
def test_one_that_the_program_waits_for_is_told_when_that_is_replaced(entered: bool) -> None:
    """Where it had begun; the snoop goes in either case."""
    table = both(wait=True, entered=entered)
    replaced(table)
    assert asked(table, "channels.hangup") == [{"channelId": snoop(table)}]
    closed(table, "both")
    assert told(table) == ([("both", 7)] if entered else [])
    table.finish()


def test_a_bridge_is_recorded_as_it_is() -> None:
    """Where the call is in one of its own."""
    table = Table(up=True).start([{"action": "startRecording", "of": "bridge"}])
    assert error(table)["reason"] == "not_bridged"
    table = Table(up=True)
    room = {"action": "bridge", "name": "team", "wait": False}
    table.start([room, {"action": "startRecording", "of": "bridge", "name": "all"}, {"action": "pause", "seconds": 600}])
    [params] = asked(table, "bridges.record")
    assert (params["bridgeId"], params["name"]) == (asked(table, "bridges.createWithId")[0]["bridgeId"], "all")
    table.settle()
    table.hangup()
    assert asked(table, "recordings.stop") == [{"recordingName": "all"}]
    closed(table, "all")
    assert told(table) == [("all", 7)]


# ---- what is asked of one that runs ----


_PAUSED = [{"action": "startRecording", "name": "both"}, {"action": "pauseRecording", "id": "card"}, {"action": "hangup"}]


def _asked_to_pause() -> Table:
    table = Table(up=True).start(_PAUSED)
    table.reply("channels.snoopChannelWithId", 200, {"id": "snoop"})
    assert "channels.record" not in table.operations  # Asterisk would say 409: it is not in the app yet
    table.happen("StasisStart", next(str(p.params["snoopId"]) for p in table.asked if "snoopId" in p.params))
    assert table.operations[-1] == "channels.record"
    return table


def test_a_recording_that_has_not_begun_is_paused_as_soon_as_it_has() -> None:
    """404 is asked again, and the program goes on once it is done."""
    table = _asked_to_pause()
    assert "recordings.pause" not in table.operations  # whose recording it is is not known yet
    table.reply("channels.record", 201)
    table.later(0.2)
    table.reply("recordings.pause", 404)
    assert "channels.hangup" not in table.operations
    table.later(0.2)
    assert table.operations.count("recordings.pause") == 2
    table.reply("recordings.pause", 204)
    assert ("pauseRecording", "done") in table.outcomes()
    assert "channels.hangup" in table.operations


def test_a_recording_that_never_begins_is_told() -> None:
    """After a second of asking, not for ever."""
    table = _asked_to_pause()
    table.reply("channels.record", 201)
    table.later(0.1)
    for _ in range(9):
        table.reply("recordings.pause", 404)
        table.later(0.2)
    assert table.operations.count("recordings.pause") == 9
    table.later(5)  # a 404 might have been a hangup: that is looked at first
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"]["status"] == 404


def test_a_recording_of_nobody_is_not_waited_for() -> None:
    """One that this call does not have is refused at once."""
    table = Table(up=True).start([{"action": "stopRecording", "name": "another"}])
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"]["reason"] == "not_recording"
