"""bridge, on a table: who is joined, when it is over, and that nobody is left in a bridge alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.base import Member
from hookrouter.actions.bridge import room_id

ROOM = room_id("app", "", "team")


def joining(**more: Any) -> Table:
    """Asked to be in the room `team`, or with `other`."""
    table = Table(up=True, events=frozenset({"StasisStart", "ChannelDtmfReceived"}))
    table.others.calls["other"] = SimpleNamespace(id="other", channel="other", route="ivr", state_json=b"", tenant="")
    return table.start([{"action": "bridge"} | (more if "with" in more else {"name": "team"} | more)])


def room(**more: Any) -> Table:
    """In the room `team`."""
    table = joining(**more)
    table.settle()
    comes(table, "1")
    return table


def pair(**more: Any) -> Table:
    """Joined with the call `other`."""
    table = joining(**{"with": "other"} | more)
    table.settle()
    comes(table, "other", "1")
    return table


def bridge(table: Table) -> str:
    return next(str(p.params["bridgeId"]) for p in table.asked if p.operation == "bridges.createWithId")


def comes(table: Table, *channels: str) -> None:
    for channel in channels:
        table.happen("ChannelEnteredBridge", channel, bridge={"id": bridge(table), "channels": []})


def goes(table: Table, channel: str) -> None:
    table.happen("ChannelLeftBridge", channel, bridge={"id": bridge(table), "channels": []})


def asked(table: Table, operation: str) -> list[dict[str, Any]]:
    return [p.params for p in table.asked if p.operation == operation]


def result(table: Table) -> tuple[str, float]:
    assert table.types[-1] == "BridgeCompleted"
    assert table.data()["bridge"] == bridge(table)
    assert bridge(table) not in table.owned
    return table.data()["reason"], table.data()["seconds"]


# ---- two calls ----


def test_two_calls_are_joined_and_the_other_one_is_told() -> None:
    """Its program is replaced by the same bridge, seen from its side."""
    table = pair(type="mixing,dtmf_events")
    assert asked(table, "bridges.createWithId")[0]["type"] == "mixing,dtmf_events"
    assert asked(table, "bridges.addChannel") == [{"bridgeId": bridge(table), "channel": ["1", "other"]}]
    assert [(s.target, s.name, s.data) for s in table.signals] == [("other", "bridged", {"bridge": bridge(table), "with": "1"})]
    table.later(20)
    assert table.types == ["StasisStart"]
    table.finish()


def test_when_the_other_one_hangs_up_it_is_told_so() -> None:
    """Their channel leaves the bridge a moment before."""
    table = pair()
    table.later(10)
    goes(table, "other")
    table.turn("on_signal", "gone", {"call": "other"})
    assert result(table) == ("hangup", 10.0)
    assert asked(table, "bridges.destroy") == [{"bridgeId": bridge(table)}]
    table = pair()
    table.turn("on_signal", "gone", {"call": "somebody else"})
    assert table.types == ["StasisStart"]


def test_when_a_leg_of_the_call_hangs_up_it_is_told_so() -> None:
    """One that an operation has called; its channel leaves the bridge a moment before, too."""
    table = Table(up=True, events=frozenset({"StasisStart"}))
    table.start([{"action": "channels.originateWithId", "channelId": "leg", "endpoint": "PJSIP/a", "app": "app"},
                 {"action": "bridge", "with": "leg"}])  # fmt: skip
    table.settle()
    comes(table, "1", "leg")
    assert table.signals == []
    table.later(8)
    goes(table, "leg")
    table.happen("ChannelDestroyed", "leg", cause=16)
    assert result(table) == ("hangup", 8.0)


@pytest.mark.parametrize("who", ["1", "other"])
def test_when_either_is_taken_out_it_is_over(who: str) -> None:
    """Reason `left`; what others do in the bridge ends nothing."""
    table = pair()
    comes(table, "third")
    goes(table, "third")
    goes(table, who)
    goes(table, "other" if who == "1" else "1")
    table.later(0.3)
    assert result(table)[0] == "left"
    table = pair()
    goes(table, who)
    table.happen("BridgeDestroyed", "", bridge={"id": bridge(table)})
    table.later(0.3)
    assert result(table)[0] == "left"


def test_a_caller_who_hangs_up_lets_the_other_one_know() -> None:
    """And the bridge goes."""
    table = pair()
    table.later(5)
    table.hangup()
    assert (table.signals[-1].target, table.signals[-1].name, table.signals[-1].data) == ("other", "gone", {"call": "1"})
    assert result(table) == ("hangup", 5.0)
    assert asked(table, "bridges.destroy") == [{"bridgeId": bridge(table)}]
    table.turn("on_signal", "gone", {"call": "other"})
    assert table.types.count("BridgeCompleted") == 1
    table.finish()


def test_a_time_limit_ends_it() -> None:
    """For both: the bridge goes."""
    table = pair(timeLimit=60)
    table.later(61)
    assert result(table) == ("timeLimit", 60.0)
    assert asked(table, "bridges.destroy") == [{"bridgeId": bridge(table)}]


def test_a_bridge_that_is_destroyed_is_over() -> None:
    """By somebody else, or as is found out after a loss."""
    table = pair()
    table.happen("BridgeDestroyed", "", bridge={"id": bridge(table)})
    assert result(table)[0] == "ended"
    table = pair()
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 404)
    assert result(table)[0] == "ended"


def test_who_left_during_a_loss_is_noticed() -> None:
    """One of the two is not in the bridge any more; and before they are in, nobody can have left."""
    table = pair()
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 200, {"id": bridge(table), "channels": ["1"]})
    table.later(0.3)
    assert result(table)[0] == "left"
    table = joining(**{"with": "other"})
    table.settle()
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 200, {"id": bridge(table), "channels": ["1"]})
    comes(table, "other")
    table.later(60)
    assert table.types == ["StasisStart"]


@pytest.mark.parametrize("other", ["1", "stranger", "foreign"])
def test_only_a_call_of_the_same_route_or_a_part_of_this_call_can_be_joined(other: str) -> None:
    """Nothing is asked of Asterisk."""
    table = Table(up=True)
    table.others.calls["foreign"] = SimpleNamespace(id="foreign", channel="foreign", route="another", state_json=b"", tenant="")
    table.start([{"action": "bridge", "with": other}])
    assert table.data()["error"]["reason"] == "forbidden"
    assert table.operations == []


def test_a_refusal_is_told_and_the_bridge_goes() -> None:
    """Of the bridge, or of one of the two."""
    table = joining(**{"with": "other"})
    table.reply("bridges.createWithId", 500, {"message": "no"})
    assert table.data()["error"]["reason"] == "asterisk_error"
    assert table.signals == []
    table = joining(**{"with": "other"})
    table.reply("bridges.createWithId")
    table.reply("bridges.addChannel", 400, {"message": "Channel not found"})
    assert "Channel not found" in table.data()["error"]["message"]
    assert asked(table, "bridges.destroy") == [{"bridgeId": bridge(table)}]


def test_one_who_does_not_come_is_not_waited_for() -> None:
    """Asterisk's word is no proof: after five seconds it is told who is missing."""
    table = joining(**{"with": "other"})
    table.settle()
    comes(table, "1")
    table.later(5.1)
    assert table.data()["error"]["reason"] == "not_joined"
    assert table.data()["error"]["message"].startswith("other did not")
    assert bridge(table) not in table.owned


def test_who_is_in_before_the_reply_comes_is_in() -> None:
    """The order of the two says nothing."""
    table = joining(**{"with": "other"})
    table.reply("bridges.createWithId")
    comes(table, "1", "other")
    table.reply("bridges.addChannel")
    table.later(60)
    assert table.types == ["StasisStart"]


# ---- rooms ----


def test_the_first_one_makes_the_room_and_the_last_one_removes_it() -> None:
    """It may be there already; while others are in it, it stays."""
    table = joining()
    table.reply("bridges.createWithId", 409)
    table.settle()
    comes(table, "1")
    table.others.rooms[ROOM] = [Member("2", "2", 1.0)]
    table.press("1")
    table.answer([{"action": "pause", "seconds": 1}])
    assert asked(table, "bridges.removeChannel") == [{"bridgeId": ROOM, "channel": ["1"]}]
    assert asked(table, "bridges.destroy") == []
    table = room()
    table.press("1")
    table.answer([{"action": "pause", "seconds": 1}])
    assert asked(table, "bridges.destroy") == [{"bridgeId": ROOM}]


def test_a_room_that_went_with_its_last_member_is_made_again() -> None:
    """Between the two requests; three times at most."""
    table = joining()
    table.reply("bridges.createWithId", 409)
    table.reply("bridges.addChannel", 404)
    table.settle()
    comes(table, "1")
    table.later(3)
    goes(table, "1")
    table.later(0.3)
    assert result(table)[0] == "left"
    table = joining()
    for _ in range(3):
        table.reply("bridges.createWithId", 409)
        table.reply("bridges.addChannel", 422, {"message": "Channel not in Stasis application"})
    assert len(asked(table, "bridges.createWithId")) == 3
    assert "not in Stasis" in table.data()["error"]["message"]


def test_others_come_and_go_in_a_room() -> None:
    """Only this call's own leaving ends it."""
    table = room()
    comes(table, "2")
    goes(table, "2")
    table.happen("ChannelDestroyed", "2", cause=16)
    table.later(60)
    assert table.types == ["StasisStart"]
    table.hangup()
    assert result(table) == ("hangup", 60.0)
    assert asked(table, "bridges.removeChannel") == []


def test_all_in_the_room_hear_who_has_come() -> None:
    """And music, where the room has some."""
    table = room(announce="sound:joined", moh="jazz")
    [params] = asked(table, "bridges.playWithId")
    assert (params["bridgeId"], params["media"]) == (ROOM, ["sound:joined"])
    assert asked(table, "bridges.startMoh") == [{"bridgeId": ROOM, "mohClass": "jazz"}]


@pytest.mark.parametrize("ends", ["heard", "not to be played", "the room is left"])
def test_what_all_in_the_room_are_told_does_not_end_the_talk(ends: str) -> None:
    """From the web it is tried three times; the others hear the rest when the one who came is gone."""
    table = room(announce="https://a.example/x.wav")
    table.settle()
    if ends == "the room is left":
        table.hangup()
        assert asked(table, "playbacks.stop") == []
        assert result(table)[0] == "hangup"
        return
    for _ in range(3):
        table.playback("failed" if ends == "not to be played" else "done")
        table.later(0.4)
        table.settle()
    assert len(asked(table, "bridges.playWithId")) == (3 if ends == "not to be played" else 1)
    assert table.types == ["StasisStart"]


# ---- from the other side ----


def bridged() -> Table:
    """A call that another one has joined with itself."""
    table = Table(up=True, events=frozenset({"StasisStart"})).start([{"action": "pause", "seconds": 600}])
    table.turn("on_signal", "bridged", {"bridge": "b", "with": "other"})
    return table


def test_the_other_side_is_told_when_it_is_over() -> None:
    """Its program was replaced; its function says how it goes on."""
    table = bridged()
    assert ("pause", "stopped") in table.outcomes()
    table.happen("ChannelEnteredBridge", "1", bridge={"id": "b", "channels": []})
    table.later(9)
    table.happen("BridgeDestroyed", "", bridge={"id": "b"})
    assert (table.types[-1], table.data()["reason"], table.data()["seconds"]) == ("BridgeCompleted", "ended", 9.0)
    assert "bridges.destroy" not in table.operations
    assert table.owned == {}


def test_the_other_side_that_is_never_joined_is_told() -> None:
    """It does not wait in silence."""
    table = bridged()
    table.later(5.1)
    assert table.data()["error"]["reason"] == "not_joined"


def test_the_other_side_that_hangs_up_lets_the_first_one_know() -> None:
    """And leaves the bridge to it."""
    table = bridged()
    table.happen("ChannelEnteredBridge", "1", bridge={"id": "b", "channels": []})
    table.hangup()
    assert (table.signals[-1].target, table.signals[-1].name) == ("other", "gone")
    assert "bridges.destroy" not in table.operations
    table.finish()
