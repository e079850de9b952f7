"""Calls that leave: into the dialplan for a while, for good, or without a word."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.table import Table

from hookrouter.calls.effects import Missing
from hookrouter.facts import CallFinished, FallbackTaken, LateAnswer
from hookrouter.routing.endpoint import Endpoint, Fallback

HANGUP = {"action": "hangup"}
PAUSE = {"action": "pause", "seconds": 5}
BORROW = {"action": "dialplan", "context": "subs", "extension": "greet", "read": ["DIGITS"]}
CONTINUE = {"action": "continue"}


def lent(**borrow: Any) -> Table:
    """A call that is in the dialplan for a while."""
    table = Table(up=True).start([BORROW | borrow, HANGUP])
    table.reply("channels.getChannelVar", 200, {"value": "1"})
    table.settle()
    table.happen("StasisEnd")
    return table


def reason(table: Table) -> str:
    return next(fact.reason for fact in table.facts if isinstance(fact, CallFinished))


def test_a_call_that_is_lent_to_the_dialplan_is_one_call() -> None:
    """Its function is told neither that it ended nor that it began again, but what it brought back."""
    table = lent()
    assert not table.call.ended
    table.happen("StasisStart")
    table.reply("channels.getChannelVar", 200, {"value": "42"})
    assert table.types == ["StasisStart", "DialplanCompleted"]
    assert table.data()["values"] == {"DIGITS": "42"}
    table.answer([])
    assert table.operations[-1] == "channels.hangup"
    table.finish()


def test_a_call_that_ends_in_the_dialplan_is_told_to_have_ended() -> None:
    """No StasisEnd comes from there: it is inferred, and told as ever."""
    table = lent()
    table.happen("ChannelDestroyed", cause=16)
    table.later(1)
    assert table.missing
    table.infer_end()
    assert (table.types[-1], table.sent[-1].inferred) == ("StasisEnd", True)
    table.answer([])
    assert (table.types[-1], table.data()["reason"]) == ("CallEnded", "hangup")
    table.finish()


@pytest.mark.parametrize("reason_", ["", "asterisk_restarted"])
def test_a_lent_call_that_was_lost_with_the_connection_ends(reason_: str) -> None:
    """What the router found out by asking is no lending: the call does not stay for ever."""
    table = lent()
    table.call.end_reason = reason_
    table.infer_end()
    assert table.call.ended
    table.finish()
    assert reason(table) == (reason_ or "hangup")


@pytest.mark.parametrize(
    ("place", "back"),
    [
        pytest.param({"app_name": "Stasis", "app_data": "app,x"}, True, id="back"),
        pytest.param({"app_name": "Stasis", "app_data": "other"}, False, id="in another app"),
        pytest.param({"app_name": "Wait", "app_data": "9"}, False, id="in the dialplan"),
        pytest.param(None, False, id="gone"),
    ],
)
@pytest.mark.parametrize("restarted", [True, False])
def test_a_call_that_came_back_while_nobody_listened_goes_on(restarted: bool, place: Any, back: bool) -> None:
    """After a reconnect or a restart it is asked for: the lost StasisStart leaves nobody in silence."""
    table = lent()
    table.turn("resume", restarted=restarted)
    table.reply("channels.get", 200 if place else 404, {"dialplan": place})
    assert (table.operations[-1] == "channels.getChannelVar") is back
    if not back:
        table.happen("StasisStart")
    table.reply("channels.getChannelVar", 200, {"value": "42"})
    table.answer([])
    assert table.outcomes()[0] == ("dialplan", "done")
    table.finish()


def test_a_call_that_comes_back_after_all_is_not_taken_back_twice() -> None:
    """Its StasisStart, which was held, came before the reply."""
    table = lent(read=[])
    table.turn("resume", restarted=False)
    table.happen("StasisStart")
    table.reply("channels.get", 200, {"dialplan": {"app_name": "Stasis", "app_data": "app"}})
    assert table.types == ["StasisStart", "DialplanCompleted"]
    table.turn("resume", restarted=False)  # it is here now: there is nothing to ask
    assert table.operations[-1] == "channels.get"
    assert table.operations.count("channels.get") == 1
    table.finish()


@pytest.mark.parametrize("name", ["app", "go", "exists", "where"])
def test_any_variable_may_be_brought_back(name: str) -> None:
    """Whatever its name is, it is read, and nothing else happens."""
    table = lent(read=[name])
    table.happen("StasisStart")
    asked = len(table.asked)
    table.reply("channels.getChannelVar", 200, {"value": "42"})
    assert table.data()["values"] == {name: "42"}
    assert len(table.asked) == asked
    table.finish()


def test_a_call_that_does_not_leave_although_it_was_sent_falls_back_when_it_has_waited_too_long() -> None:
    """Given back to the dialplan, and still here: its caller is not left in silence."""
    fallback = Fallback(Endpoint(""), (b'{"action":"hangup"}',))
    table = Table(up=True, silence_timeout=0.0, idle_timeout=60.0, fallback=fallback).start(
        [{"action": "continue"}]
    )
    table.reply("channels.continueInDialplan")
    for _ in range(25):
        table.later(3)
        if "channels.get" in [pending.operation for pending in table.call.requests.values()]:
            table.reply("channels.get", 200)
    assert [fact.reason for fact in table.facts if isinstance(fact, FallbackTaken)] == ["idle_timeout"]
    assert "channels.hangup" in table.operations
    table.finish()


def test_a_call_that_was_sent_away_and_hangs_up_first_is_asked_for_no_more() -> None:
    """The reply to the question comes after the end."""
    table = Table().start([CONTINUE])
    table.reply()
    table.later(3)
    assert table.operations[-1] == "channels.get"
    table.hangup()
    table.reply("channels.get", 404)
    assert ":leave" not in table.call.timers
    table.finish()
    assert not table.missing
    assert reason(table) == "left"


@pytest.mark.parametrize("answer", [{"actions": [CONTINUE], "mode": "parallel"}, [CONTINUE | {"wait": False}]])
def test_a_call_that_is_sent_on_beside_the_program_has_left_too(answer: Any) -> None:
    """Whichever program gave it away, its end is no hangup."""
    table = Table().start(answer)
    table.reply()
    table.hangup()
    table.finish()
    assert reason(table) == "left"


def test_a_call_that_hangs_up_while_it_is_being_sent_on_has_left() -> None:
    """Its StasisEnd came before the reply that says so."""
    table = Table().start([CONTINUE])
    table.hangup()
    table.finish()
    assert reason(table) == "left"


def test_a_call_that_was_hung_up_has_not_left() -> None:
    """Neither has one that hung up in a prompt."""
    for action in (HANGUP, PAUSE):
        table = Table().start([action])
        table.hangup()
        table.finish()
        assert reason(table) == "hangup"


def test_a_call_that_is_gone_is_told_once() -> None:
    """Inferred, and then the StasisEnd comes after all: one end, and one event of it."""
    table = Table().start([PAUSE])
    table.infer_end()
    table.hangup()
    table.answer([])
    assert table.types == ["StasisStart", "StasisEnd", "CallEnded"]
    table.finish()


def test_a_call_that_left_unseen_ends_with_the_reason_why() -> None:
    """It is in the app again as a new call: the old one is over, and what was made for it goes."""
    table = Table(up=True).start([{"action": "dial", "to": "PJSIP/a"}])
    table.settle()
    table.turn("lost", "left")
    assert table.call.end_reason == "left"
    assert "channels.hangup" in table.operations
    table.turn("lost", "again")
    assert table.call.end_reason == "left"
    table.finish()


def test_an_answer_for_a_call_that_is_over_is_counted_as_late_only_if_it_wants_something() -> None:
    """An empty answer to the last event is what one expects."""
    table = Table().start()
    table.hangup()
    table.answer([PAUSE])
    table.answer([])
    assert sum(isinstance(fact, LateAnswer) for fact in table.facts) == 1
    table.finish()


def test_a_request_on_a_channel_that_is_gone_for_good_asks_for_the_end() -> None:
    """404 twice, and no StasisEnd: it was lost, and is inferred; no ActionFailed."""
    table = Table().start([{"action": "answer"}])
    table.reply("channels.answer", 404)
    table.reply("channels.get", 404)
    effects = table.turn("on_timer", ":gone")
    assert any(isinstance(effect, Missing) for effect in effects)
    table.infer_end()
    table.finish()
    assert "ActionFailed" not in table.types


def test_what_never_says_that_it_is_over_ends_after_a_while() -> None:
    """A recording whose file nobody reports does not keep a dead call."""
    table = Table(up=True).start([{"action": "record", "name": "voice"}])
    table.reply("channels.record", 201)
    table.hangup()
    assert not table.gone
    table.later(60)
    table.finish()


def test_what_a_call_made_goes_when_its_last_action_has_told_its_result() -> None:
    """Also a bridge that nobody was in yet, and what was made by name."""
    table = Table(up=True, scope="any").start([{"action": "bridges.create", "type": "mixing"}])
    table.reply("bridges.create", 200, {"id": "x"})
    made = next(iter(table.owned))
    table.hangup()
    destroyed = [p.params for p in table.asked if p.operation == "bridges.destroy"]
    assert destroyed == [{"bridgeId": made}]
    table.finish()


def test_keys_and_answers_are_known_of_the_call_itself_only() -> None:
    """What a callee types is not typed ahead by the caller, and a callee who is up does not make the caller so."""
    table = Table().start([PAUSE])
    table.happen("ChannelStateChange", "2", state="Up")
    table.press("5", "2")
    assert (table.call.up, table.call.digits) == (False, "")
    table.press("6")
    assert (table.call.up, table.call.digits) == (True, "6")
    table.hangup()
    table.press("7")
    assert table.call.digits == "6"
    assert json.loads(table.sent[1].data)["digit"] == "5"
