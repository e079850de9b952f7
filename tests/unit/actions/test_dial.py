"""dial, leg by leg, on a table: who wins, who is let go, and what the caller and the endpoint learn of it."""

from __future__ import annotations

from typing import Any

import pytest
from rig.table import Table

from hookrouter.policy.policy import Policy

TWO = [["PJSIP/a"], ["PJSIP/b"]]


def dial(to: Any = "PJSIP/a", *, up: bool = True, events: frozenset[str] = frozenset({"StasisStart"}), **more: Any) -> Table:
    """The call, ringing at `to`; what Asterisk was asked for has been done."""
    table = Table(up=up, events=events).start([{"action": "dial", "to": to, "timeout": 10} | more])
    table.settle()
    return table


def legs(table: Table) -> list[str]:
    """The channels of the legs in the order in which they were called."""
    return [p.params["channelId"] for p in table.asked if p.operation in ("channels.originateWithId", "channels.create")]


def hung_up(table: Table) -> list[tuple[str, str]]:
    """Who was hung up, and what their phone was told."""
    found = [p.params for p in table.asked if p.operation == "channels.hangup"]
    return [(str(params["channelId"]), str(params.get("reason", ""))) for params in found]


def pick_up(table: Table, leg: str) -> None:
    table.happen("StasisStart", leg)


def end(table: Table, leg: str, cause: int = 16) -> None:
    table.happen("ChannelDestroyed", leg, cause=cause)


def bridge(table: Table) -> str:
    return next(str(p.params["bridgeId"]) for p in reversed(table.asked) if p.operation == "bridges.createWithId")


def enter(table: Table, *channels: str) -> None:
    for channel in channels:
        table.happen("ChannelEnteredBridge", channel, bridge={"id": bridge(table), "channels": []})


def talk(table: Table, leg: str) -> None:
    """The leg answers, and the two are joined."""
    pick_up(table, leg)
    table.settle()
    enter(table, "1", leg)


def result(table: Table) -> dict[str, Any]:
    assert table.types[-1] == "DialCompleted"
    return {key: value for key, value in table.data().items() if key != "action"}


def asked(table: Table, operation: str) -> list[dict[str, Any]]:
    return [p.params for p in table.asked if p.operation == operation]


def left_over(table: Table) -> list[str]:
    return [id for id, kind in table.owned.items() if kind in ("leg", "bridge", "snoop")]


# ---- who comes, and who does not ----


def test_the_two_are_joined_when_the_callee_answers_and_parted_when_one_hangs_up() -> None:
    """The caller is answered then and not before; the result has the time of the talk."""
    table = Table(events=frozenset({"StasisStart"})).start([{"action": "dial", "to": "PJSIP/a"}])
    table.settle()
    assert table.operations == ["channels.originateWithId", "channels.getChannelVar", "channels.ring"]
    [leg] = legs(table)
    pick_up(table, leg)
    assert table.operations[3:] == ["channels.ringStop", "channels.answer"]
    table.settle()
    assert asked(table, "bridges.addChannel") == [{"bridgeId": bridge(table), "channel": ["1", leg]}]
    enter(table, leg, "1")
    table.later(42)
    end(table, leg)
    assert result(table) == {"status": "answered", "endpoint": "PJSIP/a", "cause": 16, "talkSeconds": 42.0, "reason": "hangup"}
    assert left_over(table) == []
    table.finish()


@pytest.mark.parametrize(("status", "reason"), [(200, "left"), (404, "hangup")])
def test_a_callee_who_is_out_of_the_app_is_asked_for_where_nothing_is_told_of_its_end(status: int, reason: str) -> None:
    """Somebody has sent it elsewhere, or it has hung up: of a phone that picked another one up Asterisk may not say so."""
    table = dial()
    [leg] = legs(table)
    talk(table, leg)
    table.happen("StasisEnd", leg)
    table.later(0.2)
    table.reply("channels.get", status, {})
    table.later(0.3)
    assert (result(table)["status"], result(table)["reason"]) == ("answered", reason)
    assert left_over(table) == []
    table.finish()


# ---- who had answered hangs up before they are joined ----


def test_a_callee_who_hangs_up_while_the_caller_is_answered_gives_way_to_the_next_group() -> None:
    """The reply to the answer belongs to nobody then: nothing is joined before the next one picks up."""
    table = dial(TWO, up=False)
    first = legs(table)[0]
    pick_up(table, first)
    end(table, first)
    table.settle()
    second = legs(table)[1]
    assert asked(table, "bridges.createWithId") == []
    talk(table, second)
    assert asked(table, "bridges.addChannel") == [{"bridgeId": bridge(table), "channel": ["1", second]}]
    end(table, second)
    assert result(table)["status"] == "answered"
    assert result(table)["endpoint"] == "PJSIP/b"


def test_the_caller_hears_ringing_again_while_the_next_group_rings() -> None:
    """It had been stopped for the one who picked up, and hung up at once."""
    table = dial(TWO)
    pick_up(table, legs(table)[0])
    end(table, legs(table)[0])
    assert [op for op in table.operations if "ring" in op] == ["channels.ring", "channels.ringStop", "channels.ring"]
    table = dial([["PJSIP/a"], ["PJSIP/b"]], ringback="sound:ours")
    table.settle()
    pick_up(table, legs(table)[0])
    end(table, legs(table)[0])
    assert len(asked(table, "channels.playWithId")) == 2


def test_a_bridge_that_was_made_for_nobody_goes_and_the_next_callee_gets_their_own() -> None:
    """A late refusal of the first one does not end the second one's ringing, and nobody sits in an old bridge."""
    table = dial(TWO)
    first = legs(table)[0]
    pick_up(table, first)
    table.reply("bridges.createWithId")
    old = bridge(table)
    end(table, first)
    assert asked(table, "bridges.destroy") == [{"bridgeId": old}]
    table.reply("bridges.addChannel", 400, {"message": "Channel not found"})
    assert table.types == ["StasisStart"]
    table.settle()
    second = legs(table)[1]
    talk(table, second)
    assert bridge(table) != old
    end(table, second)
    assert result(table)["talkSeconds"] == 0.0
    assert result(table)["status"] == "answered"
    assert left_over(table) == []


def test_a_callee_who_cannot_be_joined_any_more_has_hung_up() -> None:
    """Asterisk's refusal comes a moment before the end of the leg: nobody came, and nothing has failed."""
    table = dial()
    [leg] = legs(table)
    pick_up(table, leg)
    table.reply("bridges.createWithId")
    table.reply("bridges.addChannel", 400, {"message": "Channel not found"})
    end(table, leg)
    assert result(table) == {"status": "noAnswer", "endpoint": None, "cause": 16, "talkSeconds": 0.0, "reason": "nobody"}
    assert left_over(table) == []


def test_two_who_cannot_be_joined_are_let_go_and_it_is_told() -> None:
    """Refused, or never seen in the bridge: the callee is hung up, and the endpoint says what follows."""
    table = dial()
    [leg] = legs(table)
    pick_up(table, leg)
    table.reply("bridges.createWithId")
    table.reply("bridges.addChannel", 409, {"message": "Bridge not in Stasis application"})
    table.later(1)
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"]["reason"] == "not_joined"
    assert "Bridge not in Stasis" in table.data()["error"]["message"]
    assert (leg, "normal") in hung_up(table)
    assert left_over(table) == []
    table = dial()
    [leg] = legs(table)
    pick_up(table, leg)
    table.settle()
    enter(table, "1")
    table.later(9)
    assert table.types[-1] == "ActionFailed"
    assert leg in table.data()["error"]["message"]
    assert left_over(table) == []


def test_a_bridge_that_cannot_be_made_is_told() -> None:
    """The callee does not wait in silence."""
    table = dial()
    [leg] = legs(table)
    pick_up(table, leg)
    table.reply("bridges.createWithId", 500, {"message": "no"})
    assert table.types[-1] == "ActionFailed"
    assert (leg, "normal") in hung_up(table)
    assert left_over(table) == []


def test_a_reply_that_is_late_does_not_part_two_who_talk() -> None:
    """They are in the bridge: that was seen, whatever became of the reply."""
    table = dial()
    [leg] = legs(table)
    pick_up(table, leg)
    table.reply("bridges.createWithId")
    enter(table, "1", leg)
    table.reply("bridges.addChannel", 0, fate="unknown")
    table.later(20)
    assert hung_up(table) == []
    end(table, leg)
    assert result(table)["talkSeconds"] == 20.0


# ---- after a loss ----


def test_a_leg_that_still_rings_after_a_reconnect_goes_on_ringing() -> None:
    """Asterisk counts it to the app from its first moment: that is no answer."""
    table = dial()
    [leg] = legs(table)
    before = table.operations
    table.turn("look", table.event("StasisStart", leg, state="Ringing"))
    table.turn("resume", restarted=False)
    assert table.operations == before
    talk(table, leg)
    assert asked(table, "bridges.addChannel") == [{"bridgeId": bridge(table), "channel": ["1", leg]}]


def test_a_leg_that_is_up_is_the_callees_only_once_it_is_in_the_app() -> None:
    """Before that Asterisk would refuse what is asked of it."""
    table = dial(confirm=[{"action": "play", "media": "sound:press-1"}])
    [leg] = legs(table)
    table.happen("ChannelStateChange", leg)
    assert asked(table, "channels.playWithId") == []
    pick_up(table, leg)
    assert [params["channelId"] for params in asked(table, "channels.playWithId")] == [leg]


def test_a_leg_that_answered_during_a_loss_is_joined() -> None:
    """Its StasisStart is inferred."""
    table = dial()
    [leg] = legs(table)
    table.turn("look", table.event("StasisStart", leg))
    table.turn("resume", restarted=True)
    table.reply("bridges.createWithId")
    table.reply("bridges.addChannel")
    table.reply("bridges.get", 200, {"id": bridge(table), "channels": ["1", leg]})
    end(table, leg)
    assert result(table)["status"] == "answered"


def test_who_entered_the_bridge_unseen_is_asked_for() -> None:
    """The talk counts from when it is known."""
    table = dial()
    [leg] = legs(table)
    pick_up(table, leg)
    table.settle()
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 200, {"id": bridge(table), "channels": ["1", leg]})
    table.later(30)
    end(table, leg)
    assert result(table)["talkSeconds"] == 30.0


def test_a_bridge_that_is_gone_after_a_loss_ends_the_talk() -> None:
    """The callee is hung up, and the program goes on."""
    table = dial()
    [leg] = legs(table)
    talk(table, leg)
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 404)
    assert (result(table)["status"], result(table)["reason"]) == ("answered", "ended")
    assert hung_up(table) == [(leg, "normal")]


# ---- early media ----


def early(to: Any = "PJSIP/a", **more: Any) -> Table:
    """Legs that were created, are in the app, and ring."""
    table = Table(events=frozenset({"StasisStart"})).start([{"action": "dial", "to": to, "timeout": 10, "earlyMedia": True} | more])
    table.settle()
    for leg in legs(table):
        table.happen("StasisStart", leg, state="Down")
    return table


def test_with_early_media_the_leg_is_in_the_bridge_before_it_rings() -> None:
    """The caller hears what the callee's side sends, and no ringing of ours."""
    table = early()
    [leg] = legs(table)
    assert table.operations == [
        "channels.create", "channels.getChannelVar", "bridges.createWithId", "channels.progress",
        "bridges.addChannel", "bridges.addChannel", "channels.dial",
    ]  # fmt: skip
    assert [params["channel"] for params in asked(table, "bridges.addChannel")] == [["1"], [leg]]
    table.settle()
    table.happen("Dial", "", peer={"id": leg}, dialstatus="RINGING")
    table.happen("Dial", "", peer={"id": leg}, dialstatus="ANSWER")
    table.happen("ChannelStateChange", leg)
    table.settle()
    assert table.operations.count("channels.answer") == 1
    table.later(7)
    end(table, leg)
    assert result(table)["talkSeconds"] == 7.0
    assert table.operations.count("bridges.createWithId") == 1
    assert left_over(table) == []


def test_with_early_media_busy_is_told_at_once_and_the_created_channel_goes() -> None:
    """It would stay for its whole timeout."""
    table = early()
    [leg] = legs(table)
    table.happen("Dial", "", peer={"id": leg}, dialstatus="BUSY")
    assert result(table)["status"] == "busy"
    assert hung_up(table) == [(leg, "normal")]
    assert left_over(table) == []


def test_a_created_channel_that_cannot_be_dialled_goes() -> None:
    """Nobody came, and nothing is left of it."""
    table = early()
    [leg] = legs(table)
    table.reply("channels.dial", 500, {"message": "Allocation failed"})
    assert result(table)["status"] == "unavailable"
    assert hung_up(table) == [(leg, "normal")]


def test_with_early_media_a_leg_rings_as_long_as_it_says() -> None:
    """Its own timeout holds before the action's."""
    table = early([{"endpoint": "PJSIP/a", "timeout": 60}, "PJSIP/b"])
    assert [params["timeout"] for params in asked(table, "channels.dial")] == [62, 12]


def test_with_early_media_one_who_hangs_up_at_once_leaves_the_bridge_to_the_next() -> None:
    """The caller stays in it."""
    table = early(TWO)
    table.settle()
    first = legs(table)[0]
    table.happen("Dial", "", peer={"id": first}, dialstatus="ANSWER")
    end(table, first)
    table.settle()
    second = legs(table)[1]
    table.happen("StasisStart", second, state="Down")
    table.settle()
    table.happen("ChannelStateChange", second)
    table.settle()
    table.later(3)
    end(table, second)
    assert (result(table)["endpoint"], result(table)["talkSeconds"]) == ("PJSIP/b", 3.0)
    assert table.operations.count("bridges.createWithId") == 1


def test_with_early_media_the_callee_sees_the_given_caller() -> None:
    """As a variable: `channels.create` takes no caller id."""
    table = early([{"endpoint": "PJSIP/a", "headers": {"X-Id": "1"}, "variables": {"A": "b"}}], callerId="<100>")
    [params] = asked(table, "channels.create")
    assert params["variables"] == {"A": "b", "PJSIP_HEADER(add,X-Id)": "1", "CALLERID(all)": "<100>"}


# ---- the end of the talk, and its recording ----

RECORDED = frozenset({"StasisStart", "RecordingCompleted"})


def recorded(table: Table, duration: float = 5) -> None:
    table.happen("RecordingFinished", "", recording={"name": asked(table, "bridges.record")[-1]["name"], "duration": duration})


def test_the_wait_for_the_file_is_no_talk() -> None:
    """The talk ends with the hangup; the result comes when the file is closed, after its own event."""
    table = dial(record="talk-1", events=RECORDED)
    [leg] = legs(table)
    talk(table, leg)
    assert asked(table, "bridges.record")[0]["name"] == "talk-1"
    table.settle()
    table.later(5)
    end(table, leg)
    assert asked(table, "recordings.stop") == [{"recordingName": "talk-1"}]
    table.later(2)
    assert table.types == ["StasisStart"]
    recorded(table)
    assert table.types[-1] == "RecordingCompleted"
    assert table.data()["duration"] == 5
    table.answer([])
    assert result(table)["talkSeconds"] == 5.0


def test_a_file_that_is_never_closed_does_not_hold_the_result() -> None:
    """After three seconds the program goes on."""
    table = dial(record=True)
    talk(table, legs(table)[0])
    table.later(5)
    end(table, legs(table)[0])
    table.later(3)
    table.reply("recordings.getStored", 404)
    assert result(table)["talkSeconds"] == 5.0
    assert "RecordingCompleted" not in table.types
    table.later(20)
    table.finish()


@pytest.mark.parametrize("status", [200, 500])
def test_a_file_whose_end_is_not_told_is_looked_for(status: int) -> None:
    """It is there, or nobody says that it is not: it is told without its length."""
    table = dial(record=True, events=RECORDED)
    talk(table, legs(table)[0])
    end(table, legs(table)[0])
    table.later(3)
    table.reply("recordings.getStored", status)
    assert [out.type for out in table.call.outbox] == ["RecordingCompleted", "DialCompleted"]
    assert table.data()["duration"] is None


def test_a_talk_that_was_over_before_its_recording_began_has_none() -> None:
    """Asterisk says so in one of two ways; it is no failure, and the result need not wait."""
    table = dial(record=True, events=RECORDED)
    talk(table, legs(table)[0])
    end(table, legs(table)[0])
    table.reply("bridges.record", 404, {"message": "Bridge not found"})
    assert result(table)["status"] == "answered"
    table = dial(record=True, events=RECORDED)
    talk(table, legs(table)[0])
    end(table, legs(table)[0])
    table.happen("RecordingFailed", "", recording={"name": asked(table, "bridges.record")[0]["name"]})
    assert result(table)["status"] == "answered"


def test_a_recording_of_unknown_fate_is_taken_to_run() -> None:
    """Asterisk did not reply: the file is told of, should there be one."""
    table = dial(record=True, events=RECORDED)
    talk(table, legs(table)[0])
    table.reply("bridges.record", 0, fate="unknown")
    end(table, legs(table)[0])
    recorded(table)
    assert [out.type for out in table.call.outbox] == ["RecordingCompleted", "DialCompleted"]


def test_a_recording_that_ends_during_the_talk_is_told_and_the_talk_goes_on() -> None:
    """Somebody else has stopped it, or the disk was full: that is told, too."""
    table = dial(record=True, events=RECORDED)
    [leg] = legs(table)
    talk(table, leg)
    recorded(table)
    assert table.types == ["StasisStart", "RecordingCompleted"]
    table.answer([])
    end(table, leg)
    assert result(table)["status"] == "answered"
    table = dial(record=True, events=RECORDED)
    [leg] = legs(table)
    talk(table, leg)
    table.happen("RecordingFailed", "", recording={"name": asked(table, "bridges.record")[0]["name"]})
    assert table.types == ["StasisStart", "ActionFailed"]
    assert table.data()["error"]["message"].endswith("Asterisk gives no cause")
    table.answer([])
    end(table, leg)
    assert result(table)["status"] == "answered"


def test_a_recording_that_cannot_begin_is_told_and_the_two_talk_all_the_same() -> None:
    """Such as one whose name is taken."""
    table = dial(record="taken")
    [leg] = legs(table)
    pick_up(table, leg)
    table.settle()
    enter(table, "1", leg)
    table.reply("bridges.record", 409, {"message": "exists"})
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"]["reason"] == "recording_failed"
    assert hung_up(table) == []
    table.answer([])
    end(table, leg)
    assert result(table)["status"] == "answered"


def test_a_caller_who_hangs_up_ends_the_talk_for_both_and_the_recording_is_still_told() -> None:
    """Each leg is hung up once, and nothing is left."""
    table = dial(record=True, events=RECORDED | {"StasisEnd"})
    [leg] = legs(table)
    talk(table, leg)
    table.later(4)
    table.hangup()
    assert hung_up(table) == [(leg, "normal")]
    assert "bridges.destroy" not in table.operations  # of a bridge that is gone Asterisk tells no file
    table.later(1)
    recorded(table, 4)
    assert asked(table, "bridges.destroy") == [{"bridgeId": bridge(table)}]
    assert left_over(table) == []
    assert not table.call.programs
    told = []
    while table.call.in_flight:
        table.answer([])
        told = table.types
    assert told == ["StasisStart", "StasisEnd", "RecordingCompleted", "DialCompleted"]
    assert (table.data()["talkSeconds"], table.data()["reason"]) == (4.0, "hangup")
    assert hung_up(table) == [(leg, "normal")]


def test_a_caller_who_hangs_up_while_the_file_is_closed_changes_nothing() -> None:
    """The talk had ended before."""
    table = dial(record=True)
    [leg] = legs(table)
    talk(table, leg)
    table.settle()
    table.later(4)
    end(table, leg)
    table.later(1)
    table.hangup()
    recorded(table)
    while table.call.in_flight:
        table.answer([])
    assert table.types[-1] == "DialCompleted"
    assert (table.data()["talkSeconds"], table.data()["reason"]) == (4.0, "hangup")
    assert len(asked(table, "recordings.stop")) == 1


@pytest.mark.parametrize(
    ("answer", "goes_on"), [({"action": "transfer", "to": "PJSIP/bob"}, True), ({"action": "pause", "seconds": 60}, False)]
)
def test_a_recording_of_a_dial_that_is_replaced_is_told_when_its_file_is_closed(answer: dict[str, Any], goes_on: bool) -> None:
    """A transfer takes the talk over, and the recording goes on; else the talk has ended, and the file comes a moment later."""
    table = dial(record="talk-1", events=RECORDED | {"ChannelDtmfReceived"})
    [leg] = legs(table)
    talk(table, leg)
    table.reply("bridges.record", 201)
    table.press("#")
    table.answer([answer])
    assert ("dial", "stopped") in table.outcomes()
    assert ("bridges.destroy" in table.operations) is not goes_on
    assert asked(table, "recordings.stop") == []
    table.later(15 if goes_on else 1)
    if goes_on:
        table.reply("recordings.getLive", 200)
    assert "RecordingCompleted" not in table.types
    recorded(table, 35)
    assert table.types[-1] == "RecordingCompleted"
    assert (table.data()["action"]["action"], table.data()["name"], table.data()["duration"]) == ("dial", "talk-1", 35)


def test_a_recording_that_outlives_its_dial_is_told_even_if_its_end_is_not() -> None:
    """Asterisk is asked after a while; the length is then unknown."""
    table = dial(record="talk-1", events=RECORDED | {"ChannelDtmfReceived"})
    talk(table, legs(table)[0])
    table.press("#")
    table.answer([{"action": "pause", "seconds": 60}])
    table.later(10)
    table.reply("recordings.getLive", 404)
    table.reply("recordings.getStored", 200)
    assert "RecordingCompleted" not in table.types  # what tells of its end may have been overtaken by the reply
    table.later(1)
    table.answer([])
    assert table.types[-1] == "RecordingCompleted"
    assert (table.data()["action"]["action"], table.data()["duration"]) == ("dial", None)


def test_a_recording_that_outlives_its_dial_ends_with_the_call() -> None:
    """It is stopped, and told when its file is closed, or does not come to be."""
    table = dial(record="talk-1", events=RECORDED | {"ChannelDtmfReceived"})
    talk(table, legs(table)[0])
    table.settle()
    table.press("#")
    table.answer([{"action": "transfer", "to": "PJSIP/bob"}])
    table.hangup()
    assert {"recordingName": "talk-1"} in asked(table, "recordings.stop")
    table.later(10)
    table.reply("recordings.getStored", 200)
    table.later(1)
    while table.call.in_flight:
        table.answer([])
    assert table.types.count("RecordingCompleted") == 1


def test_a_time_limit_ends_the_talk() -> None:
    """The callee is hung up, and the program goes on with the caller."""
    table = dial(timeLimit=60)
    [leg] = legs(table)
    talk(table, leg)
    table.later(61)
    assert result(table) == {"status": "answered", "endpoint": "PJSIP/a", "cause": None, "talkSeconds": 60.0, "reason": "timeLimit"}
    assert hung_up(table) == [(leg, "normal")]
    assert left_over(table) == []


# ---- several at once ----


def test_the_first_who_answers_talks_and_the_others_stop_ringing() -> None:
    """Their phones are told that it was answered elsewhere."""
    table = dial(["PJSIP/a", "PJSIP/b", "PJSIP/c"])
    a, b, c = legs(table)
    talk(table, b)
    assert hung_up(table) == [(a, "answered_elsewhere"), (c, "answered_elsewhere")]
    end(table, a, 26)
    end(table, c, 26)
    table.later(3)
    end(table, b)
    assert (result(table)["endpoint"], result(table)["cause"]) == ("PJSIP/b", 16)
    assert len(hung_up(table)) == 2


def test_one_who_answers_too_late_is_hung_up() -> None:
    """Two pick up at the same moment: only one can talk."""
    table = dial(["PJSIP/a", "PJSIP/b"])
    a, b = legs(table)
    pick_up(table, a)
    pick_up(table, b)
    table.settle()
    enter(table, "1", a)
    assert {leg for leg, _ in hung_up(table)} == {b}
    assert {reason for _, reason in hung_up(table)} == {"answered_elsewhere"}
    assert asked(table, "bridges.addChannel") == [{"bridgeId": bridge(table), "channel": ["1", a]}]


def late(**more: Any) -> tuple[Table, str, str]:
    """Two have picked up; the second one hears why nobody talks to them."""
    table = dial(["PJSIP/a", "PJSIP/b"], apology="sound:too-late", **more)
    a, b = legs(table)
    pick_up(table, a)
    pick_up(table, b)
    assert hung_up(table) == []  # a ring that is stopped at once may have been answered in the same instant
    return table, a, b


def test_where_there_is_an_apology_the_others_ring_a_moment_longer() -> None:
    """Who has not answered by then is told that somebody else did; where the first one is lost, they ring on."""
    table = dial(["PJSIP/a", "PJSIP/b"], apology="sound:too-late")
    a, b = legs(table)
    pick_up(table, a)
    assert hung_up(table) == []
    table.later(0.3)
    assert hung_up(table) == [(b, "answered_elsewhere")]
    table = dial(["PJSIP/a", "PJSIP/b"], apology="sound:too-late")
    a, b = legs(table)
    pick_up(table, a)
    end(table, a)
    table.later(0.3)
    assert hung_up(table) == []
    pick_up(table, b)
    table.settle()
    enter(table, "1", b)
    end(table, b)
    assert result(table)["endpoint"] == "PJSIP/b"


def test_one_who_answers_too_late_hears_the_apology_and_is_hung_up_then() -> None:
    """On their own leg."""
    table, a, b = late()
    assert [(p["channelId"], p["media"]) for p in asked(table, "channels.playWithId")] == [(b, ["sound:too-late"])]
    table.settle()
    table.playback()
    assert hung_up(table)[-1] == (b, "answered_elsewhere")
    enter(table, "1", a)
    end(table, b)
    end(table, a)
    assert result(table)["endpoint"] == "PJSIP/a"


def test_who_hangs_up_during_the_apology_is_gone() -> None:
    """Nobody plays to them any more."""
    table, a, b = late()
    table.settle()
    end(table, b)
    assert table.operations[-1] == "playbacks.stop"
    enter(table, "1", a)
    table.later(3)
    end(table, a)
    assert result(table)["talkSeconds"] == 3.0


def test_nobody_is_left_in_silence_when_the_dial_is_over_before_the_apology() -> None:
    """The winner hangs up, or the program is replaced: the other one is hung up, too."""
    table, a, b = late()
    table.settle()
    enter(table, "1", a)
    end(table, a)
    assert result(table)["status"] == "answered"
    assert hung_up(table)[-1] == (b, "normal")
    assert left_over(table) == []
    table, a, b = late(events=frozenset({"StasisStart", "ChannelDtmfReceived"}))
    table.settle()
    table.press("1")
    table.answer([{"action": "answer"}])
    assert hung_up(table)[-2:] == [(a, "normal"), (b, "normal")]
    assert left_over(table) == []


def test_with_early_media_the_apology_is_not_heard_in_the_talk_nor_the_talk_by_the_one_too_late() -> None:
    """They leave the bridge first."""
    table = early(["PJSIP/a", "PJSIP/b"], apology="sound:too-late")
    a, b = legs(table)
    table.settle()
    for leg in (a, b):
        table.happen("Dial", "", peer={"id": leg}, dialstatus="ANSWER")
    assert asked(table, "bridges.removeChannel") == [{"bridgeId": bridge(table), "channel": [b]}]
    assert [params["channelId"] for params in asked(table, "channels.playWithId")] == [b]


# ---- what the caller hears meanwhile ----


def test_the_caller_hears_the_ringback_until_somebody_answers() -> None:
    """Over and over, and no ringing beside it."""
    table = dial(ringback="sound:ours")
    assert "channels.ring" not in table.operations
    table.settle()
    table.playback()
    table.settle()
    assert len(asked(table, "channels.playWithId")) == 2
    pick_up(table, legs(table)[0])
    assert "playbacks.stop" in table.operations


def test_a_ringback_that_cannot_be_played_leaves_ringing() -> None:
    """The caller is not in silence while the callee's phone rings."""
    table = dial(ringback="sound:missing")
    table.playback("failed")
    table.later(1)
    assert table.operations[-1] == "channels.ring"
    assert table.types == ["StasisStart"]
    talk(table, legs(table)[0])
    end(table, legs(table)[0])
    assert result(table)["status"] == "answered"


# ---- screening ----

PRESS_1 = [{"action": "gather", "maxDigits": 1, "timeout": 5, "branches": {"1": [], "default": [{"action": "hangup"}]}}]


def test_a_callee_who_passes_is_joined_and_the_other_hears_the_apology() -> None:
    """Two pick up and are asked; the first who presses 1 talks, the other's question is broken off."""
    table = dial(["PJSIP/a", "PJSIP/b"], confirm=PRESS_1, apology="sound:too-late")
    a, b = legs(table)
    pick_up(table, a)
    pick_up(table, b)
    assert asked(table, "bridges.createWithId") == []
    table.press("1", b)
    assert [params["channelId"] for params in asked(table, "channels.playWithId")] == [a]
    table.press("1", a)
    table.settle()
    enter(table, "1", b)
    end(table, b)
    assert result(table)["endpoint"] == "PJSIP/b"


def test_a_callee_who_does_not_pass_is_hung_up_and_nobody_came() -> None:
    """Rejected: by a `hangup` in the screening, by its failure, or by hanging up meanwhile."""
    table = dial(confirm=PRESS_1)
    [leg] = legs(table)
    pick_up(table, leg)
    table.press("9", leg)
    assert leg in [id for id, _ in hung_up(table)]
    end(table, leg)
    assert result(table)["status"] == "rejected"
    table = dial(confirm=[{"action": "play", "media": "sound:missing"}])
    [leg] = legs(table)
    pick_up(table, leg)
    table.reply("channels.playWithId", 500)
    assert hung_up(table) == [(leg, "rejected")]
    end(table, leg)
    assert result(table)["status"] == "rejected"
    table = dial(confirm=PRESS_1)
    [leg] = legs(table)
    pick_up(table, leg)
    end(table, leg)
    assert result(table)["status"] == "rejected"
    table.finish()


def test_each_leg_may_be_screened_in_its_own_way() -> None:
    """Its own `confirm` holds before the action's."""
    mine = [{"action": "play", "media": "sound:mine"}]
    table = dial([{"endpoint": "PJSIP/a", "confirm": mine}, "PJSIP/b"], confirm=[{"action": "play", "media": "sound:all"}])
    for leg in legs(table):
        pick_up(table, leg)
    assert [params["media"] for params in asked(table, "channels.playWithId")] == [["sound:mine"], ["sound:all"]]


def test_the_callee_hears_the_announcement_before_they_are_joined() -> None:
    """Also when it cannot be played; and a callee who hangs up during it is nobody."""
    table = dial(announce="sound:a-customer")
    [leg] = legs(table)
    pick_up(table, leg)
    assert [params["channelId"] for params in asked(table, "channels.playWithId")] == [leg]
    table.settle()
    assert asked(table, "bridges.createWithId") == []
    table.playback()
    assert len(asked(table, "bridges.createWithId")) == 1
    table = dial(announce="sound:missing")
    pick_up(table, legs(table)[0])
    table.reply("channels.playWithId", 500)
    assert len(asked(table, "bridges.createWithId")) == 1
    table = dial(announce="sound:a-customer")
    [leg] = legs(table)
    pick_up(table, leg)
    table.settle()
    end(table, leg)
    assert result(table)["status"] == "rejected"
    assert left_over(table) == []


def test_the_callee_hears_the_whisper_when_they_are_joined() -> None:
    """By a snoop of their leg, which is asked to play only once it is in the app; it goes with the talk."""
    table = dial(whisper="sound:press-9-to-hang-up")
    [leg] = legs(table)
    talk(table, leg)
    [params] = asked(table, "channels.snoopChannelWithId")
    assert (params["channelId"], params["spy"], params["whisper"]) == (leg, "none", "out")
    assert asked(table, "channels.playWithId") == []
    table.settle()
    table.happen("StasisStart", params["snoopId"])
    [played] = asked(table, "channels.playWithId")
    assert (played["channelId"], played["media"]) == (params["snoopId"], ["sound:press-9-to-hang-up"])
    end(table, leg)
    assert params["snoopId"] in [id for id, _ in hung_up(table)]
    assert left_over(table) == []


@pytest.mark.parametrize("state", ["done", "failed"])
def test_the_snoop_of_a_whisper_goes_when_it_is_over_and_the_talk_goes_on(state: str) -> None:
    """From the web it is tried three times."""
    table = dial(whisper="https://a.example/x.wav")
    [leg] = legs(table)
    talk(table, leg)
    snoop = asked(table, "channels.snoopChannelWithId")[0]["snoopId"]
    table.settle()
    table.happen("StasisStart", snoop)
    for _ in range(3 if state == "failed" else 1):
        assert snoop not in [id for id, _ in hung_up(table)]
        table.settle()
        table.playback(state)
        table.later(0.4)
    assert len(asked(table, "channels.playWithId")) == (3 if state == "failed" else 1)
    assert snoop in [id for id, _ in hung_up(table)]
    table.happen("ChannelDestroyed", snoop, cause=16)
    assert table.types == ["StasisStart"]
    end(table, leg)
    assert result(table)["status"] == "answered"
    assert left_over(table) == []


# ---- nobody comes ----


@pytest.mark.parametrize(
    ("dialstatus", "cause", "status"),
    [("BUSY", 17, "busy"), ("NOANSWER", 19, "noAnswer"), ("NOANSWER", 21, "rejected"), ("CHANUNAVAIL", 20, "unavailable"),
     ("CONGESTION", 34, "unavailable"), ("", 17, "busy"), ("", 18, "noAnswer"), ("", 3, "unavailable")],
)  # fmt: skip
def test_nobody_comes_and_the_result_says_why(dialstatus: str, cause: int, status: str) -> None:
    """From what `Dial` said and the Q.850 cause."""
    table = dial()
    [leg] = legs(table)
    if dialstatus:
        table.happen("Dial", "", peer={"id": leg}, dialstatus=dialstatus)
    end(table, leg, cause)
    assert result(table) == {"status": status, "endpoint": None, "cause": cause, "talkSeconds": 0.0, "reason": "nobody"}
    assert table.operations[-1] == "channels.ringStop"


def test_a_leg_rings_as_long_as_it_may_and_the_next_group_follows() -> None:
    """Each leg by its own timeout; the program goes on when the last group has rung."""
    table = dial([[{"endpoint": "PJSIP/a", "timeout": 5}, "PJSIP/b"], ["PJSIP/c"]])
    a, b = legs(table)
    table.later(6)
    assert hung_up(table) == [(a, "no_answer")]
    table.later(5)
    assert hung_up(table) == [(a, "no_answer"), (b, "no_answer")]
    end(table, a, 0)
    [c] = legs(table)[2:]
    table.settle()
    table.later(11)
    assert hung_up(table)[-1] == (c, "no_answer")
    assert result(table)["status"] == "noAnswer"


def test_of_several_reasons_the_one_that_says_most_is_told() -> None:
    """Busy before rejected before not answered."""
    table = dial([["PJSIP/a"], "PJSIP/b", [{"endpoint": "PJSIP/c"}]])
    for cause in (19, 21, 17):
        end(table, legs(table)[-1], cause)
    assert [params["endpoint"] for params in asked(table, "channels.originateWithId")] == ["PJSIP/a", "PJSIP/b", "PJSIP/c"]
    assert result(table)["status"] == "busy"


def test_an_endpoint_that_asterisk_refuses_is_unavailable() -> None:
    """It does not end the ringing of the others."""
    table = Table(up=True, events=frozenset({"StasisStart"})).start([{"action": "dial", "to": ["PJSIP/no", "PJSIP/b"]}])
    table.reply("channels.originateWithId", 400, {"message": "Allocation failed"})
    assert table.types == ["StasisStart"]
    table.settle()
    talk(table, legs(table)[1])
    end(table, legs(table)[1])
    assert result(table)["endpoint"] == "PJSIP/b"


@pytest.mark.parametrize("there", [404, 200])
def test_a_leg_of_which_nobody_knows_whether_it_was_called_is_looked_for(there: int) -> None:
    """It is not called twice; one that is there rings on."""
    table = Table(up=True, events=frozenset({"StasisStart"})).start([{"action": "dial", "to": "PJSIP/a"}])
    table.reply("channels.originateWithId", 0, fate="unknown")
    table.reply("channels.get", there)
    assert len(legs(table)) == 1
    if there == 404:
        assert result(table)["status"] == "unavailable"
    else:
        talk(table, legs(table)[0])
        end(table, legs(table)[0])
        assert result(table)["status"] == "answered"


def test_the_callee_sees_the_given_number_or_the_callers() -> None:
    """The leg's own before the action's before the caller's; headers are variables of the leg."""
    table = Table(up=True)
    table.call.caller = "100"
    table.start([{"action": "dial", "to": [{"endpoint": "PJSIP/a", "callerId": "<1>", "headers": {"X-Id": "7"}}, "PJSIP/b"],
                  "callerId": "<2>"}])  # fmt: skip
    assert [params["callerId"] for params in asked(table, "channels.originateWithId")] == ["<1>", "<2>"]
    assert asked(table, "channels.originateWithId")[0]["variables"] == {"PJSIP_HEADER(add,X-Id)": "7"}
    table = Table(up=True)
    table.call.caller = "100"
    table.start([{"action": "dial", "to": "PJSIP/a"}])
    assert asked(table, "channels.originateWithId")[0]["callerId"] == "<100>"


# ---- the caller hangs up, or the program is replaced ----


@pytest.mark.parametrize("moment", ["asked", "ringing", "answered", "joining"])
def test_a_caller_who_hangs_up_takes_every_leg_along(moment: str) -> None:
    """At whatever moment: cancelled, and nothing is left."""
    events = frozenset({"StasisStart"})
    table = Table(up=True, events=events).start([{"action": "dial", "to": ["PJSIP/a", "PJSIP/b"]}])
    a, b = legs(table)
    if moment != "asked":
        table.settle()
    if moment in ("answered", "joining"):
        pick_up(table, a)
    if moment == "joining":
        table.settle()
        enter(table, a)
    table.hangup()
    assert {id for id, _ in hung_up(table)} == {a, b}
    assert left_over(table) == []
    assert (result(table)["status"], result(table)["reason"]) == ("cancelled", "hangup")
    table.reply(status=200)
    table.finish()
    if moment == "asked":  # one that was called after it had been hung up
        assert hung_up(table).count((a, "")) == 1


def test_a_dial_that_is_replaced_lets_everybody_go() -> None:
    """While it rings, and while they talk."""
    for talking in (False, True):
        table = dial(events=frozenset({"StasisStart", "ChannelDtmfReceived"}))
        [leg] = legs(table)
        if talking:
            talk(table, leg)
        table.press("1")
        table.answer([{"action": "pause", "seconds": 60}])
        assert hung_up(table) == [(leg, "normal")]
        assert table.operations.count("channels.ringStop") == 1
        assert table.operations.count("bridges.destroy") == talking
        assert left_over(table) == []


def test_a_third_one_in_the_bridge_changes_nothing() -> None:
    """Such as a snoop or a recorder that somebody else put there."""
    table = dial()
    [leg] = legs(table)
    pick_up(table, leg)
    table.settle()
    enter(table, "x", "1", leg)
    table.later(3)
    enter(table, "1", "y")
    end(table, leg)
    assert result(table)["talkSeconds"] == 3.0


def test_what_a_leg_does_before_it_answers_or_after_it_is_gone_changes_nothing() -> None:
    """Progress, and a second word of its end."""
    table = dial(["PJSIP/a", "PJSIP/b"])
    a, _ = legs(table)
    before = table.operations
    table.happen("Dial", "", peer={"id": a}, dialstatus="RINGING")
    table.happen("ChannelStateChange", a, state="Ringing")
    table.happen("Dial", "", peer={"id": a}, dialstatus="ANSWER")
    assert table.operations == before
    end(table, a, 17)
    end(table, a, 21)
    end(table, legs(table)[1], 19)
    assert result(table)["status"] == "busy"


def test_one_who_was_let_go_is_not_hung_up_again_while_the_file_is_closed() -> None:
    """Whatever has become of the timer of their ringing."""
    table = dial(["PJSIP/a", "PJSIP/b"], record=True)
    a, b = legs(table)
    talk(table, a)
    table.later(8)
    end(table, a)
    table.later(2.9)
    assert hung_up(table) == [(b, "answered_elsewhere"), (b, "normal")]
    recorded(table)
    table.answer([])
    assert result(table)["talkSeconds"] == 8.0


@pytest.mark.parametrize("verb", ["dial", "transfer", "originate"])
def test_whom_the_policy_forbids_only_when_they_are_called_is_told_as_forbidden(verb: str) -> None:
    """It is no phone that could not be reached."""
    table = Table(up=True, policy=Policy(endpoints=("PJSIP/bob",))).start([{"action": verb, "to": "PJSIP/alice"}])
    assert "channels.originateWithId" not in table.operations
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"]["reason"] == "forbidden"
