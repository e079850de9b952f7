"""dialplan, the leaving verbs and variables, on a table: where the call is, and whose it is."""

from __future__ import annotations

from typing import Any

import pytest
from rig.table import Table

from hookrouter.facts import CallFinished

PIECE = {"action": "dialplan", "context": "subs", "extension": "greet", "read": ["A", "B"]}


def asked(table: Table, operation: str) -> list[dict[str, Any]]:
    return [p.params for p in table.asked if p.operation == operation]


def away(**more: Any) -> Table:
    """In the dialplan."""
    table = Table(up=True, events=frozenset({"StasisStart", "StasisEnd", "ChannelDtmfReceived"})).start([PIECE | more])
    table.reply("channels.getChannelVar", 200, {"value": "1"})
    table.settle()
    table.happen("StasisEnd")
    return table


def failure(table: Table) -> str:
    assert table.types[-1] == "ActionFailed"
    return str(table.data()["error"]["reason"])


def test_the_call_goes_into_the_dialplan_and_comes_back_with_its_variables() -> None:
    """It is one call all the time: neither its leaving nor its coming back is told."""
    table = away()
    [app] = asked(table, "channels.setChannelVar")
    assert (app["variable"], app["value"]) == ("HOOKROUTER_APP", "app")
    assert asked(table, "channels.continueInDialplan") == [{"channelId": "1", "context": "subs", "extension": "greet", "priority": 1}]
    table.later(120)
    table.happen("StasisStart")
    table.reply("channels.getChannelVar", 200, {"value": "x"})
    table.reply("channels.getChannelVar", 404)
    assert table.types == ["StasisStart", "DialplanCompleted"]
    assert table.data()["values"] == {"A": "x", "B": None}
    table.answer([])
    table.finish()


def test_a_hangup_in_the_dialplan_ends_the_call() -> None:
    """The channel was subscribed to; its StasisEnd is inferred."""
    table = away()
    assert asked(table, "applications.subscribe") == [{"applicationName": "app", "eventSource": ["channel:1"]}]
    table.happen("ChannelDestroyed", cause=16)
    table.settle()
    table.later(1)
    assert table.missing
    table.infer_end()
    table.answer([])
    table.settle()
    assert table.gone
    assert [fact.reason for fact in table.facts if isinstance(fact, CallFinished)] == ["hangup"]


def test_a_call_whose_program_is_replaced_in_the_dialplan_ends_with_its_channel() -> None:
    """There is no second StasisEnd: it is inferred."""
    table = away()
    table.press("1")
    table.answer([{"action": "pause", "seconds": 600}])
    table.happen("ChannelDestroyed", cause=16)
    table.later(1)
    assert table.missing


def test_a_place_that_does_not_exist_fails_and_the_call_stays() -> None:
    """Asterisk would hang it up."""
    table = Table(up=True).start([PIECE])
    table.reply("channels.getChannelVar", 200, {"value": "0"})
    assert failure(table) == "no_such_extension"
    assert "channels.continueInDialplan" not in table.operations


@pytest.mark.parametrize(("status", "fate"), [(500, "replied"), (0, "unreachable")])
def test_a_call_that_could_not_go_is_not_away(status: int, fate: str) -> None:
    """The endpoint is told, and its hangup is a hangup."""
    table = Table(up=True).start([PIECE])
    table.reply("channels.getChannelVar", 500)  # nobody knows whether the place exists: it is tried
    table.reply("applications.subscribe")
    table.reply("channels.setChannelVar")
    table.reply("channels.continueInDialplan", status, fate=fate)
    assert table.types[-1] == "ActionFailed"
    table.hangup()
    assert table.call.ended


def test_a_call_that_may_have_gone_is_waited_for() -> None:
    """Nobody knows what became of the request."""
    table = Table(up=True).start([PIECE | {"read": []}])
    table.reply("channels.getChannelVar", 200, {"value": "1"})
    table.reply("applications.subscribe")
    table.reply("channels.setChannelVar")
    table.reply("channels.continueInDialplan", 0, fate="unknown")
    table.happen("StasisEnd")
    table.happen("StasisStart")
    assert table.types[-1] == "DialplanCompleted"
    assert table.data()["values"] == {}


# ---- leaving ----


@pytest.mark.parametrize(
    ("more", "params"),
    [({}, {}), ({"reason": "busy"}, {"reason": "busy"}), ({"reason_code": 17}, {"reason_code": "17"}),
     ({"reason_code": "USER_BUSY"}, {"reason_code": "USER_BUSY"})],
)  # fmt: skip
def test_a_hangup_says_why(more: Any, params: Any) -> None:
    """In Asterisk's words, or as a Q.850 cause."""
    table = Table(up=True).start([{"action": "hangup"} | more])
    assert asked(table, "channels.hangup") == [{"channelId": "1"} | params]


@pytest.mark.parametrize("status", [204, 404])
def test_a_call_that_is_gone_already_has_left_all_the_same(status: int) -> None:
    """No failure is told, and nothing of the program runs any more."""
    table = Table(up=True).start([{"action": "hangup"}, {"action": "ring"}])
    table.reply("channels.hangup", status)
    assert table.outcomes() == [("hangup", "done")]
    table.hangup()
    assert table.operations == ["channels.hangup"]
    assert "ActionFailed" not in table.types


def test_a_hangup_that_asterisk_refuses_is_told() -> None:
    """The caller is still there."""
    table = Table(up=True).start([{"action": "hangup"}])
    table.reply("channels.hangup", 500)
    assert failure(table) == "asterisk_error"


def test_continue_looks_whether_the_place_exists() -> None:
    """Asterisk says 204 to one that does not, and hangs the call up."""
    place = {"action": "continue", "context": "c", "extension": "100", "label": "vip"}
    table = Table(up=True).start([place])
    assert asked(table, "channels.getChannelVar") == [{"channelId": "1", "variable": "DIALPLAN_EXISTS(c,100,vip)"}]
    table.reply(status=200, body={"value": "0"})
    assert failure(table) == "no_such_extension"
    assert "channels.continueInDialplan" not in table.operations
    for reply in ({"status": 200, "body": {"value": "1"}}, {"status": 500}):
        table = Table(up=True).start([place])
        table.reply(**reply)  # type: ignore[arg-type]
        assert asked(table, "channels.continueInDialplan") == [{"channelId": "1", "context": "c", "extension": "100", "label": "vip"}]
        table.reply(status=204)
        assert table.outcomes() == [("continue", "done")]


def test_a_continue_that_asterisk_refuses_is_told() -> None:
    """The call is still ours."""
    table = Table(up=True).start([{"action": "continue"}])
    table.reply("channels.continueInDialplan", 500)
    assert failure(table) == "asterisk_error"


MOVE = {"action": "move", "app": "other", "args": ["a", "b"]}


def moved() -> Table:
    """Asterisk has taken it."""
    table = Table(up=True).start([MOVE])
    assert asked(table, "applications.get") == [{"applicationName": "other"}]
    table.reply("applications.get", 200)
    assert asked(table, "channels.move") == [{"channelId": "1", "app": "other", "appArgs": "a,b"}]
    table.reply("channels.move", 204)
    return table


def test_a_call_that_was_moved_has_left() -> None:
    """Its StasisEnd is no hangup; where it does not come, it is asked for."""
    table = moved()
    table.hangup()
    table.finish()
    assert [fact.reason for fact in table.facts if isinstance(fact, CallFinished)] == ["left"]
    table = moved()
    table.later(3.1)
    assert table.outcomes() == [("move", "done")]
    table.later(3.1)
    assert table.operations[-1] == "channels.get"


def test_a_move_to_an_app_that_is_not_there_fails() -> None:
    """Before it is asked for, and when its router went away in between; another call's failure is not ours."""
    table = Table(up=True).start([{"action": "move", "app": "other"}])
    table.reply("applications.get", 404)
    table.later(2)
    assert failure(table) == "no_such_app"
    assert "channels.move" not in table.operations
    table = moved()
    table.happen("ApplicationMoveFailed", "another")
    assert table.outcomes() == []
    table.happen("ApplicationMoveFailed")
    assert failure(table) == "no_such_app"
    table = Table(up=True).start([{"action": "move", "app": "other"}])
    table.reply("applications.get", 200)
    assert asked(table, "channels.move") == [{"channelId": "1", "app": "other"}]
    table.reply("channels.move", 500)
    assert failure(table) == "asterisk_error"


def test_redirect_sends_the_phone_elsewhere() -> None:
    """The call leaves us when the phone follows."""
    table = Table(up=True).start([{"action": "redirect", "to": "PJSIP/sip:1@a"}, {"action": "ring"}])
    assert asked(table, "channels.redirect") == [{"channelId": "1", "endpoint": "PJSIP/sip:1@a"}]
    table.reply(status=204)
    assert asked(table, "channels.setChannelVar")  # answered when the phone has said its last word
    table.reply(status=204)
    table.hangup()
    table.finish()
    assert table.operations == ["channels.redirect", "channels.setChannelVar"]
    assert "ActionFailed" not in table.types


def test_a_redirected_phone_that_stays_has_not_followed() -> None:
    """After its last word."""
    table = Table(up=True).start([{"action": "redirect", "to": "PJSIP/sip:1@a"}])
    table.reply(status=204)
    table.reply(status=204)
    table.later(2.1)
    assert failure(table) == "not_followed"


# ---- variables ----


def test_variables_are_set_one_after_the_other() -> None:
    """In their order; no value removes one."""
    both = {"action": "setVariable", "variables": {"A": "1", "B": "2"}}
    table = Table(up=True).start([both, {"action": "setVariable", "variable": "C"}])
    table.reply(status=204)
    table.reply(status=204)
    given = [(p["variable"], p.get("value")) for p in asked(table, "channels.setChannelVar")]
    assert given == [("A", "1"), ("B", "2"), ("C", None)]
    table.reply(status=400, body={"message": "no"})
    assert failure(table) == "refused"


def test_an_empty_value_is_written_to_a_function() -> None:
    """There is nothing to remove, and Asterisk would write the same."""
    table = Table(up=True).start([{"action": "setVariable", "variables": {"CALLERID(name)": "", "A": ""}}])
    table.settle()
    assert [p.get("value") for p in asked(table, "channels.setChannelVar")] == ["", None]


def test_variables_are_read_and_one_that_is_not_set_is_null() -> None:
    """A function that does not work fails."""
    table = Table(up=True).start([{"action": "getVariable", "variables": ["A", "B"]}])
    table.reply(status=200, body={"value": "x"})
    table.reply(status=404)
    assert (table.types[-1], table.data()["values"]) == ("VariableRead", {"A": "x", "B": None})
    table = Table(up=True).start([{"action": "getVariable", "variable": "CHANNEL(x)"}])
    table.reply(status=500, body={"message": "Unable to read provided function"})
    assert failure(table) == "asterisk_error"
