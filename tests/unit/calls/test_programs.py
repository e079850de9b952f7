"""Programs side by side, children of an action, and events that belong to no call."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from rig.table import Table

from hookrouter.actions.base import Member
from hookrouter.actions.decode import decode_answer
from hookrouter.actions.queue import queue_room
from hookrouter.calls.call import Call
from hookrouter.calls.doer import Doer
from hookrouter.calls.machine import Turn
from hookrouter.facts import CallFinished, FallbackTaken, Warned
from hookrouter.routing.endpoint import Endpoint, Fallback

HANGUP = {"action": "hangup"}
PAUSE = {"action": "pause", "seconds": 5}
READ = {"action": "getVariable", "variable": "X"}
LAMP = {"action": "deviceState", "device": "Stasis:a", "state": "BUSY"}


def screened(*confirm: dict[str, Any]) -> tuple[Table, str]:
    """A callee who has picked up and is asked whether to take the call."""
    table = Table(up=True).start([{"action": "dial", "to": "PJSIP/a", "confirm": list(confirm)}])
    leg = next(iter(table.owned))
    table.settle()
    table.happen("StasisStart", leg)
    return table, leg


def no_call(*answer: dict[str, Any], **route: Any) -> Table:
    """An event that belongs to no call, and its answer."""
    table = Table(events=None, **route)
    table.call = Call(key="main/evt_1", id="evt_1", asterisk="main", app="app", route="ivr", started_at=1000.0, channelless=True)
    table.turn("begin", table.event("DeviceStateChanged", ""))
    if answer:
        table.answer(list(answer))
    return table


def test_a_hangup_in_the_screening_is_that_of_the_callee() -> None:
    """The caller stays, and is told that nobody took the call."""
    table, leg = screened(HANGUP)
    assert table.asked[-1].params == {"channelId": leg}
    table.settle()
    table.happen("ChannelDestroyed", leg, cause=16)
    assert (table.types[-1], table.data()["status"]) == ("DialCompleted", "rejected")
    assert not table.call.ended
    table.finish()


def test_a_screening_ends_with_the_program_that_it_belongs_to() -> None:
    """The callee hears no more of it, and is let go; once."""
    table, leg = screened({"action": "play", "media": "sound:x"}, PAUSE)
    table.turn("inject", decode_answer(b'[{"action": "pause", "seconds": 5}]'))
    assert "playbacks.stop" in table.operations
    hung_up = [p.params["channelId"] for p in table.asked if p.operation == "channels.hangup"]
    assert hung_up == [leg]
    assert [program.kind for program in table.call.programs.values()] == ["main"]
    table.finish()


def test_a_callee_who_is_being_sent_away_when_the_caller_hangs_up() -> None:
    """The caller has hung up, and has not left: the action that leaves was the callee's."""
    table, leg = screened({"action": "redirect", "to": "PJSIP/b"})
    table.hangup()
    assert table.asked[-1].operation == "channels.hangup"
    assert table.asked[-1].params["channelId"] == leg
    table.finish()
    assert [fact.reason for fact in table.facts if isinstance(fact, CallFinished)] == ["hangup"]


def test_a_recording_beside_goes_on_when_the_program_is_replaced() -> None:
    """That is what `startRecording` is for."""
    table = Table(up=True).start([{"action": "startRecording", "wait": False}, PAUSE])
    table.turn("inject", decode_answer(b'[{"action": "ring"}]'))
    assert ("startRecording", "stopped") not in table.outcomes()
    assert sorted(program.kind for program in table.call.programs.values()) == ["beside", "main"]
    table.finish()


def test_a_new_program_stops_the_filler_and_what_is_beside_it_once() -> None:
    """Each playback gets one stop."""
    music = b'{"action": "play", "media": "sound:x", "loop": 0, "wait": false}'
    table = Table(while_waiting=(music,)).start()
    table.later(1.1)
    table.reply("channels.playWithId", 201)
    table.turn("inject", decode_answer(b'[{"action": "ring"}]'))
    assert table.operations == ["channels.playWithId", "playbacks.stop", "channels.ring"]
    table.finish()


def test_two_programs_hear_the_same_signal_and_one_that_waits_hears_none() -> None:
    """A conference that starts does so for each that waits for it, and not for a result on its way."""
    wait = {"action": "conference", "name": "team", "startOnEnter": False}
    table = Table(up=True).start([READ, PAUSE])
    table.reply("channels.getChannelVar", 200, {"value": "1"})
    table.turn("inject", decode_answer(json.dumps({"actions": [wait], "mode": "parallel"}).encode()))
    table.turn("on_signal", "started", {})
    assert table.operations[-1] == "bridges.createWithId"
    table.finish()


def test_a_timer_of_an_action_that_is_over_does_nothing() -> None:
    """It came due in the same moment."""
    table = Table().start([READ])
    table.reply("channels.getChannelVar", 200, {"value": "1"})
    program = next(iter(table.call.programs))
    for key in (f"{program}:", "p99:"):
        table.call.timers[key] = table.now
        table.turn("on_timer", key)
    assert table.call.programs[program].waiting == table.call.in_flight
    table.finish()


def test_an_action_that_says_twice_that_it_is_over_is_over_once() -> None:
    """Also when the second time it is a failure: one outcome, one step."""
    table = Table().start([PAUSE, PAUSE])
    turn = Turn(table.call, table.route, table.others, table.now, Doer)
    do = Doer(turn, next(iter(table.call.programs.values())))
    do.finish()
    do.finish()
    do.fail("late", "too late")
    program = next(iter(table.call.programs.values()))
    assert (program.index, program.run) == (1, None)
    assert [type(effect).__name__ for effect in turn.effects] == ["Report", "Disarm"]


def test_members_of_a_room_are_in_order_of_entry_and_none_twice() -> None:
    """What others are known to be, and this call's own as it is now."""
    table = Table(up=True)
    table.others.rooms[queue_room("app", "", "support")] = [
        Member("1", "1", 0.0, {"priority": 9}),  # ourselves, as the board saw us before this turn
        Member("2", "2", 5000.0, {"priority": 0, "claimed": False}),
        Member("3", "3", 900.0, {"priority": 0, "claimed": False}),
    ]
    table.start([{"action": "enqueue", "queue": "support", "waitUrl": "/w"}])
    assert (table.data()["position"], table.data()["size"]) == (2, 3)
    table.finish()


def test_a_url_that_an_edited_route_allows_no_more_is_the_owners_business() -> None:
    """It was right when it was answered: the result goes to the owner, and the log says why."""
    table = Table().start([READ | {"url": "https://elsewhere.example/x"}])
    table.reply("channels.getChannelVar", 200, {"value": "1"})
    assert (table.types[-1], table.sent[-1].url) == ("VariableRead", "")
    assert [fact.subject for fact in table.facts if isinstance(fact, Warned)] == ["action.url"]
    table.finish()


def test_an_event_of_no_call_is_answered_and_forgotten() -> None:
    """Its actions run; there is no call that began or ended, and nothing waits for an hour."""
    table = no_call(LAMP)
    assert table.operations == ["deviceStates.update"]
    assert not table.gone
    table.settle()
    assert table.gone
    assert not [fact for fact in table.facts if isinstance(fact, CallFinished)]
    assert table.types == ["DeviceStateChanged"]


def test_an_event_of_no_call_that_nobody_answers_is_forgotten() -> None:
    """Nobody is on the line: no actions, and no music either."""
    route = {"fallback": Fallback(Endpoint(""), (b'{"action":"ring"}',)), "while_waiting": (b'{"action":"ring"}',)}
    table = no_call(**route)
    table.later(2)
    table.unanswered()
    assert table.gone
    assert table.operations == []
    assert [fact.kind for fact in table.facts if isinstance(fact, FallbackTaken)] == ["none"]


def test_an_action_that_needs_a_call_fails_where_there_is_none() -> None:
    """Nested in one that needs none it gets that far; Asterisk is not asked about a channel of that name."""
    table = no_call(LAMP | {"onError": [{"action": "ring"}]})
    table.reply("deviceStates.update", 500)
    assert table.operations == ["deviceStates.update"]
    assert (table.types[-1], table.data()["error"]["reason"]) == ("ActionFailed", "no_call")
    table.answer([])
    assert table.gone


def test_when_done_means_nothing_without_a_call() -> None:
    """There is nothing to hang up."""
    table = no_call()
    table.turn("answered", table.call.in_flight, decode_answer(b'{"whenDone": "hangup"}'))
    assert table.gone
    table = no_call()
    body = msgspec.json.encode({"actions": [LAMP], "whenDone": "hangup"})
    table.turn("answered", table.call.in_flight, decode_answer(body))
    table.settle()
    assert table.gone
    assert table.operations == ["deviceStates.update"]


def test_what_goes_on_beside_is_over_when_it_is() -> None:
    """It ends nothing, and its result is told without anybody waiting for the answer."""
    table = Table().start([READ | {"wait": False}, PAUSE])
    table.reply("channels.getChannelVar", 200, {"value": "1"})
    assert table.types[-1] == "VariableRead"
    assert [program.kind for program in table.call.programs.values()] == ["main"]
    table.later(5)
    assert table.outcomes() == [("getVariable", "done"), ("pause", "done")]
    table.finish()


def test_a_screening_that_fails_lets_the_callee_go() -> None:
    """Nobody is joined with somebody who was not asked; the failure is the callee's, not the program's."""
    table, leg = screened({"action": "play", "media": "sound:x"})
    table.reply("channels.playWithId", 500)
    assert table.asked[-1].operation == "channels.hangup"
    assert table.asked[-1].params["channelId"] == leg
    assert "ActionFailed" not in table.types
    table.finish()


def test_a_prompt_that_was_typed_over_before_it_began_is_not_played() -> None:
    """Keys typed ahead count, and nobody has to hear what they know."""
    table = Table(events=frozenset({"StasisStart"})).start([PAUSE, {"action": "gather", "prompt": "sound:x", "maxDigits": 1}])
    table.press("7")
    table.later(5)
    assert (table.types[-1], table.data()["digits"]) == ("DigitsCollected", "7")
    assert "channels.playWithId" not in table.operations
    table.finish()


def test_a_transfer_goes_on_with_the_conversation_that_it_replaces() -> None:
    """The callee's phone asked for it: the caller stays in the bridge and is not hung up on the way."""
    table = Table(up=True).start([{"action": "dial", "to": "PJSIP/a"}])
    leg = next(iter(table.owned))
    table.settle()
    table.happen("StasisStart", leg)
    table.settle()
    bridge = next(id for id, kind in table.owned.items() if kind == "bridge")
    for channel in ("1", leg):
        table.happen("ChannelEnteredBridge", channel, bridge={"id": bridge})
    table.turn("inject", decode_answer(b'[{"action": "transfer", "to": "PJSIP/b", "mode": "attended"}]'))
    assert bridge in table.owned
    assert "bridges.destroy" not in table.operations
    assert leg not in [p.params.get("channelId") for p in table.asked if p.operation == "channels.hangup"]
    table.finish()


def test_a_recording_that_could_not_begin_because_the_caller_had_gone() -> None:
    """The call has ended by the time that one knows: nothing is missed, and nothing has failed."""
    table = Table(up=True).start([{"action": "record", "name": "voice"}])
    table.reply("channels.record", 404)
    table.hangup()
    table.reply("channels.get", 404)
    table.later(1)
    assert not table.missing
    table.finish()
    assert "ActionFailed" not in table.types


def test_what_does_not_say_that_it_is_over_is_stopped_a_while_after_the_call() -> None:
    """The last resort: a call that has ended is forgotten, whatever its actions still wait for."""
    table = Table(up=True).start([{"action": "record", "name": "voice"}])
    table.reply("channels.record", 201)
    table.hangup()
    assert ":closing" in table.call.timers
    table.turn("on_timer", ":closing")
    assert not table.call.programs
    assert table.outcomes() == [("record", "stopped")]
    table.finish()


def test_who_took_the_caller_is_told_beside_the_program() -> None:
    """`CallerTaken` goes to the owner while agent and caller are being joined; nothing waits for its answer."""
    table = Table(up=True)
    room = queue_room("app", "", "support")
    table.others.rooms[room] = [Member("9", "9", 900.0, {"priority": 0, "claimed": False})]
    table.start([{"action": "dequeue", "queue": "support"}])
    assert [(signal.target, signal.name) for signal in table.signals] == [("9", "claim")]
    table.turn("on_signal", "claimed", {"call": "9", "channel": "9", "ok": True,
                                        "state": '{"n": 1}', "caller": "0301", "waitSeconds": 7.5})
    assert (table.types[-1], table.data()["call"], table.data()["state"]) == ("CallerTaken", "9", {"n": 1})
    assert table.operations[-1] == "bridges.createWithId"
    table.finish()


def test_a_child_is_one_of_its_name_and_may_be_called_off_before_it_begins() -> None:
    """The second takes the place of the first; one that was called off does nothing, and is told to nobody."""
    table = Table().start([PAUSE])
    turn = Turn(table.call, table.route, table.others, table.now, Doer)
    do = Doer(turn, next(iter(table.call.programs.values())))
    do.spawn([b'{"action":"ring"}'], "sound")
    do.spawn([b'{"action":"moh"}'], "sound")
    do.spawn([b'{"action":"silence"}'], "other")
    do.kill("other")
    assert (do.running("sound"), do.running("other")) == (True, False)
    turn.inject(decode_answer(b"{}"))
    assert [pending.operation for pending in table.call.requests.values()] == ["channels.startMoh"]
