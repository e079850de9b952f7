"""After a restart or a reconnect: what may have happened unseen is found out, and nothing is done twice."""

from __future__ import annotations

import json

import pytest
from rig.table import Table

from hookrouter.actions.decode import decode_answer
from hookrouter.calls.call import decode_call, encode_call
from hookrouter.calls.effects import Arm, Perform, Send, Watch

PAUSE = {"action": "pause", "seconds": 5}
PLAY = {"action": "play", "media": "sound:hello-world"}
READ = {"action": "getVariable", "variable": "X"}


def asked(table: Table, operation: str) -> int:
    return table.operations.count(operation)


def in_room() -> tuple[Table, str]:
    """A call that is in a shared room, with one more in it."""
    table = Table(up=True).start([{"action": "bridge", "name": "team"}])
    table.settle()
    room = next(id for id, kind in table.owned.items() if kind == "room")
    table.happen("ChannelEnteredBridge", bridge={"id": room, "channels": ["1"]})
    table.settle()
    return table, room


def talking() -> tuple[Table, str, str]:
    """A caller who talks to a leg."""
    table = Table(up=True).start([{"action": "dial", "to": "PJSIP/a"}])
    leg = next(iter(table.owned))
    table.reply("channels.originateWithId", 200)
    table.happen("StasisStart", leg)
    table.settle()
    bridge = next(id for id, kind in table.owned.items() if kind == "bridge")
    for channel in ("1", leg):
        table.happen("ChannelEnteredBridge", channel, bridge={"id": bridge, "channels": ["1", leg]})
    table.settle()
    return table, leg, bridge


def test_a_restart_does_again_what_may_not_have_been_done_and_nothing_else() -> None:
    """The request is doubtful, the timer as it was, the event in flight the same; and the call hears of its own."""
    table = Table().start([PLAY | {"wait": False}, PAUSE])
    playback = next(iter(table.owned))
    table.press("1")
    effects = table.turn("resume", restarted=True)
    assert [effect.id for effect in effects if isinstance(effect, Watch)] == ["1", playback]
    assert [(e.operation, e.doubtful) for e in effects if isinstance(e, Perform)] == [("channels.playWithId", True)]
    assert [effect.at for effect in effects if isinstance(effect, Arm)] == [1005.0]
    assert [effect.outgoing.id for effect in effects if isinstance(effect, Send)] == [table.call.in_flight]
    table.finish()


def test_a_reconnect_does_nothing_again() -> None:
    """The process was there all the time: its requests, timers and deliveries are under way."""
    table = Table().start([PAUSE])
    table.press("1")
    assert table.turn("resume", restarted=False) == []
    table.finish()


def test_a_call_that_is_over_is_only_told_to_its_end() -> None:
    """What it asked for last and what is to be delivered; it looks at nothing."""
    table = Table(up=True).start([PLAY])
    table.reply("channels.playWithId", 201)
    table.hangup()
    count = len(table.asked)
    table.turn("resume", restarted=True)
    assert len(table.asked) == count
    assert table.sent[-1].id == table.sent[-2].id == table.call.in_flight
    table.finish()


def test_a_prompt_that_ended_unseen_is_over() -> None:
    """It is asked for, and not played again."""
    table = Table().start([PLAY, PAUSE])
    table.reply("channels.playWithId", 201)
    table.turn("resume", restarted=True)
    for _ in range(2):
        table.later(0.5)
        table.reply("playbacks.get", 404)
    assert table.outcomes() == [("play", "done")]
    assert asked(table, "channels.playWithId") == 1
    table.finish()


def test_a_prompt_is_looked_at_when_the_fate_of_its_request_is_known() -> None:
    """Before, nobody can say whether it began."""
    table = Table().start([PLAY])
    table.turn("resume", restarted=True)
    table.later(1)
    assert asked(table, "playbacks.get") == 0
    table.reply("channels.playWithId", 201)
    table.later(0.1)
    assert asked(table, "playbacks.get") == 1
    table.finish()


def test_an_action_that_is_over_with_its_reply_is_not_looked_at() -> None:
    """Neither is the next one, which has begun since."""
    table = Table().start([READ, PLAY])
    table.turn("resume", restarted=True)
    table.reply("channels.getChannelVar", 200, {"value": "1"})
    table.answer([])
    table.reply("channels.playWithId", 201)
    table.later(1)
    assert asked(table, "playbacks.get") == 0
    table.finish()


def test_two_losses_in_a_row_are_two_looks() -> None:
    """The second may have hidden what the first did not: its look follows when the first one's replies are there."""
    table, _leg, _bridge = talking()
    table.turn("resume", restarted=False)
    assert asked(table, "bridges.get") == 1
    table.turn("resume", restarted=False)
    assert asked(table, "bridges.get") == 1
    table.reply("bridges.get", 200, {"channels": ["1", _leg]})
    assert asked(table, "bridges.get") == 2
    table.reply("bridges.get", 200, {"channels": ["1", _leg]})
    assert asked(table, "bridges.get") == 2
    table.finish()


@pytest.mark.parametrize("restarted", [True, False])
def test_a_room_that_is_gone_has_ended(restarted: bool) -> None:
    """The bridge was destroyed while nobody listened."""
    table, _room = in_room()
    table.turn("resume", restarted=restarted)
    table.reply("bridges.get", 404)
    assert (table.types[-1], table.data()["reason"]) == ("BridgeCompleted", "ended")
    table.finish()


def test_who_was_taken_out_of_a_bridge_unseen_has_left_it() -> None:
    """The call goes on after its `bridge`."""
    table, _room = in_room()
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 200, {"channels": ["someone"]})
    table.later(1)
    assert (table.types[-1], table.data()["reason"]) == ("BridgeCompleted", "left")
    table.finish()


def test_who_came_into_a_bridge_unseen_is_in_it() -> None:
    """A conversation that began during the loss is one: it is not torn down because nobody saw it begin."""
    table = Table(up=True).start([{"action": "dial", "to": "PJSIP/a"}])
    leg = next(iter(table.owned))
    table.reply("channels.originateWithId", 200)
    table.happen("StasisStart", leg)
    table.settle()
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 200, {"channels": ["1", leg]})
    table.later(60)
    assert table.types == ["StasisStart"]
    table.happen("ChannelDestroyed", leg, cause=16)
    assert (table.data()["status"], table.data()["talkSeconds"]) == ("answered", 60.0)
    table.finish()


@pytest.mark.parametrize("status", [0, 500])
def test_a_bridge_that_nobody_can_tell_of_stays_as_it_was(status: int) -> None:
    """No answer is no news."""
    table, leg, _bridge = talking()
    table.turn("resume", restarted=False)
    table.reply("bridges.get", status, fate="unreachable" if not status else "replied")
    assert table.types == ["StasisStart"]
    table.happen("ChannelDestroyed", leg, cause=16)
    assert table.data()["status"] == "answered"
    table.finish()


def test_what_follows_the_first_of_several_news_is_not_told_the_others() -> None:
    """Both are gone from the bridge: one end, one result."""
    table, _leg, bridge = talking()
    table.turn("resume", restarted=True)
    table.reply("bridges.get", 404)
    assert table.types == ["StasisStart", "DialCompleted"]
    destroyed = [p for p in table.asked if p.operation == "bridges.destroy" and p.params["bridgeId"] == bridge]
    assert len(destroyed) == 1
    table.finish()


def test_a_leg_that_answered_unseen_is_joined() -> None:
    """`look` is for what runs; the owner is not told of a leg."""
    table = Table(up=True).start([{"action": "dial", "to": "PJSIP/a"}, PAUSE])
    leg = next(iter(table.owned))
    table.settle()
    table.turn("look", table.event("StasisStart", leg))
    assert "bridges.createWithId" in table.operations
    assert table.types == ["StasisStart"]
    table.finish()


def test_a_program_that_waits_for_an_answer_has_nothing_to_look_at() -> None:
    """Its result is delivered again, and its answer goes on as ever."""
    table = Table().start([READ, PAUSE])
    table.reply("channels.getChannelVar", 200, {"value": "1"})
    count = len(table.asked)
    table.turn("resume", restarted=True)
    table.turn("look", table.event("StasisStart", "2"))
    assert len(table.asked) == count
    table.answer([])
    table.later(5)
    assert table.outcomes()[-1] == ("pause", "done")
    table.finish()


def test_the_reply_to_a_request_of_nobody_changes_nothing() -> None:
    """It was answered already, before the crash."""
    table = Table().start([PAUSE])
    assert table.turn("on_reply", "r99", None) == []
    assert table.turn("on_timer", "p99:") == []


def test_what_was_begun_for_nobody_is_taken_back_when_it_is_known_to_have_begun() -> None:
    """Also where nobody can say; not where it certainly was not done."""
    for status, fate, undone in ((201, "replied", True), (0, "unknown", True), (500, "replied", False), (0, "unreachable", False)):
        table = Table().start([PLAY])
        table.press("1")
        table.answer([PAUSE])
        stops = asked(table, "playbacks.stop")
        table.reply("channels.playWithId", status, fate=fate)
        assert (asked(table, "playbacks.stop") > stops) is undone, (status, fate)
        table.finish()


def test_a_snapshot_holds_the_whole_call() -> None:
    """Read back, it is the same; its state is the JSON that was set."""
    table, _leg, _bridge = talking()
    table.turn("inject", decode_answer(b'{"state": {"a": 1}}'))
    again = decode_call(encode_call(table.call))
    assert again == table.call
    assert json.loads(again.state_json) == {"a": 1}
