"""transfer, step by step, on a table: who talks to whom, and who is never left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.decode import decode_answer

BOB = {"action": "transfer", "to": "PJSIP/bob", "timeout": 10}


def transfer(**more: Any) -> Table:
    """A caller who talks to nobody is given to Bob, whose phone rings."""
    table = Table(up=True, events=frozenset({"StasisStart"})).start([BOB | more])
    table.settle()
    return table


def consult(**more: Any) -> tuple[Table, str, str]:
    """A caller who talks to an agent; the agent asks for Bob. The agent's leg, and Bob's."""
    events = frozenset({"StasisStart", "ChannelDtmfReceived"})
    table = Table(up=True, events=events).start([{"action": "dial", "to": "PJSIP/agent"}])
    table.settle()
    agent = newest(table)
    table.happen("StasisStart", agent)
    table.settle()
    for channel in ("1", agent):
        table.happen("ChannelEnteredBridge", channel, bridge={"id": bridge(table), "channels": []})
    again(table, agent, **more)
    return table, agent, newest(table)


def again(table: Table, who: str, **more: Any) -> None:
    """A key of theirs is answered with a transfer."""
    table.happen("ChannelDtmfReceived", who, digit="#")
    table.answer([BOB | {"mode": "attended"} | more])
    table.settle()


def newest(table: Table) -> str:
    return next(str(p.params["channelId"]) for p in reversed(table.asked) if p.operation == "channels.originateWithId")


def bridge(table: Table) -> str:
    return next(str(p.params["bridgeId"]) for p in reversed(table.asked) if p.operation == "bridges.createWithId")


def asked(table: Table, operation: str, key: str = "channelId") -> list[Any]:
    return [p.params[key] for p in table.asked if p.operation == operation]


def joined(table: Table) -> list[Any]:
    return asked(table, "bridges.addChannel", "channel")


def result(table: Table) -> tuple[str, float, str]:
    assert table.types[-1] == "TransferCompleted"
    assert table.data()["endpoint"] == "PJSIP/bob"
    return table.data()["status"], table.data()["talkSeconds"], table.data()["reason"]


def left_over(table: Table) -> list[str]:
    return [id for id, kind in table.owned.items() if kind in ("leg", "bridge")]


def test_one_who_still_rings_after_a_reconnect_goes_on_ringing() -> None:
    """Asterisk counts the leg to the app from its first moment: that is no answer."""
    table = transfer()
    before = table.operations
    table.turn("look", table.event("StasisStart", newest(table), state="Ringing"))
    assert table.operations == before
    table.turn("look", table.event("StasisStart", newest(table)))
    assert joined(table) == [["1", newest(table)]]


# ---- blind ----


def test_blind_the_caller_hears_music_until_the_new_one_answers_and_then_they_talk() -> None:
    """The result comes when they have talked."""
    table = transfer(moh="jazz")
    assert asked(table, "channels.startMoh", "mohClass") == ["jazz"]
    bob = newest(table)
    assert joined(table) == []
    table.happen("StasisStart", bob)
    table.settle()
    assert joined(table) == [["1", bob]]
    assert asked(table, "channels.stopMoh") == ["1"]
    table.later(30)
    table.happen("ChannelDestroyed", bob, cause=16)
    assert result(table) == ("transferred", 30.0, "hangup")
    assert left_over(table) == []
    table.finish()


def test_one_whose_end_asterisk_does_not_tell_is_asked_for_once_it_has_left_the_app() -> None:
    """The caller is not left alone in the bridge."""
    table = transfer()
    table.settle()
    leg = newest(table)
    table.happen("StasisStart", leg)
    table.settle()
    table.happen("StasisEnd", leg)
    table.later(0.2)
    table.reply("channels.get", 404, {})
    assert result(table)[0] == "transferred"
    assert left_over(table) == []
    table.finish()


def test_blind_the_agent_leaves_the_conversation() -> None:
    """Their phone, if it had asked for it, learns that it is done; the caller goes on in the same bridge."""
    table, agent, bob = consult(mode="blind", callerId="<7>")
    assert asked(table, "channels.transfer_progress", "states") == ["channel_answered"]
    assert asked(table, "channels.hangup") == [agent]
    assert asked(table, "bridges.removeChannel", "channel") == [["1"]]
    table.happen("StasisStart", bob)
    table.settle()
    assert joined(table)[-1] == ["1", bob]
    assert [p.params.get("callerId") for p in table.asked if p.params.get("channelId") == bob] == ["<7>"]
    assert len(asked(table, "bridges.createWithId", "bridgeId")) == 1
    table.happen("ChannelDestroyed", bob, cause=16)
    assert result(table)[0] == "transferred"
    assert left_over(table) == []


@pytest.mark.parametrize(
    ("dialstatus", "cause", "status"),
    [("BUSY", 17, "busy"), ("NOANSWER", 19, "noAnswer"), ("", 21, "rejected"), ("CHANUNAVAIL", 20, "unavailable")],
)
def test_blind_nobody_comes_and_the_result_says_why(dialstatus: str, cause: int, status: str) -> None:
    """The music stops, and the program goes on with the caller."""
    table = transfer()
    bob = newest(table)
    table.happen("Dial", "", peer={"id": bob}, dialstatus=dialstatus)
    table.happen("ChannelDestroyed", bob, cause=cause)
    assert result(table) == (status, 0.0, "nobody")
    assert asked(table, "channels.stopMoh") == ["1"]
    assert left_over(table) == []


def test_one_who_never_answers_is_given_up_though_their_end_is_not_told() -> None:
    """Such as one of whom nobody knows whether they were called: the caller does not hear music for ever."""
    table = Table(up=True, events=frozenset({"StasisStart"})).start([BOB])
    table.reply("channels.originateWithId", 0, fate="unknown")
    table.settle()
    bob = newest(table)
    table.later(9.9)
    assert table.types == ["StasisStart"]
    table.later(0.2)
    assert asked(table, "channels.hangup") == [bob]
    assert result(table) == ("noAnswer", 0.0, "nobody")
    assert left_over(table) == []


def test_an_endpoint_that_asterisk_refuses_is_unavailable() -> None:
    """The program goes on at once."""
    table = Table(up=True, events=frozenset({"StasisStart"})).start([BOB])
    table.reply("channels.originateWithId", 400)
    assert result(table) == ("unavailable", 0.0, "nobody")


def test_two_who_cannot_be_joined_are_let_go_and_it_is_told() -> None:
    """Nobody waits in a bridge alone."""
    table = transfer()
    bob = newest(table)
    table.happen("StasisStart", bob)
    table.reply("channels.stopMoh")
    table.reply("bridges.addChannel", 400, {"message": "Channel not found"})
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"] == {"status": 400, "reason": "not_joined", "message": "Channel not found"}
    assert asked(table, "channels.hangup") == [bob]
    assert left_over(table) == []


@pytest.mark.parametrize("talking", [False, True])
def test_a_caller_who_hangs_up_takes_the_new_one_along(talking: bool) -> None:
    """While it rings, and while they talk."""
    table = transfer()
    bob = newest(table)
    if talking:
        table.happen("StasisStart", bob)
        table.settle()
        table.later(4)
    table.hangup()
    assert asked(table, "channels.hangup") == [bob]
    assert result(table) == (("transferred", 4.0, "hangup") if talking else ("cancelled", 0.0, "hangup"))
    assert left_over(table) == []
    table.finish()


def test_a_transfer_that_is_replaced_gives_everything_back() -> None:
    """The music, the phone that rings, the bridge."""
    table, agent, bob = consult()
    table.press("1")
    table.answer([{"action": "pause", "seconds": 60}])
    assert asked(table, "channels.stopMoh") == ["1"]
    assert set(asked(table, "channels.hangup")) == {agent, bob}
    assert left_over(table) == []


# ---- attended ----


def test_attended_the_agent_asks_first_and_hands_over_by_hanging_up() -> None:
    """The caller hears music meanwhile, and is joined with the new one then."""
    table, agent, bob = consult()
    assert asked(table, "bridges.removeChannel", "channel") == [["1"]]
    assert asked(table, "channels.startMoh") == ["1"]
    assert asked(table, "channels.ring")[-1] == agent
    table.happen("StasisStart", bob)
    table.settle()
    assert asked(table, "channels.ringStop")[-1] == agent
    assert joined(table)[-1] == [bob]
    assert asked(table, "channels.hangup") == []
    table.happen("ChannelDestroyed", agent, cause=16)
    table.settle()
    assert joined(table)[-1] == ["1"]
    assert asked(table, "channels.stopMoh") == ["1"]
    table.later(12)
    table.happen("ChannelDestroyed", bob, cause=16)
    assert result(table) == ("transferred", 12.0, "hangup")
    assert left_over(table) == []


def test_attended_an_agent_who_hangs_up_while_it_rings_has_handed_over() -> None:
    """The caller gets the new one as soon as they answer, or nobody."""
    table, agent, bob = consult()
    table.happen("ChannelDestroyed", agent, cause=16)
    table.happen("StasisStart", bob)
    assert joined(table)[-1] == ["1", bob]
    table, agent, bob = consult()
    table.happen("ChannelDestroyed", agent, cause=16)
    table.happen("ChannelDestroyed", bob, cause=17)
    assert result(table) == ("busy", 0.0, "nobody")


def back(table: Table) -> None:
    """The caller is with the agent again."""
    assert joined(table)[-1] == ["1"]
    assert asked(table, "channels.stopMoh") == ["1"]
    assert table.types[-1] == "ChannelDtmfReceived"


def test_attended_nobody_there_and_the_caller_is_back_with_the_agent() -> None:
    """The result comes when those two have talked."""
    table, agent, bob = consult()
    table.happen("ChannelDestroyed", bob, cause=17)
    back(table)
    assert asked(table, "channels.ringStop")[-1] == agent
    table.later(5)
    table.happen("ChannelDestroyed", agent, cause=16)
    assert result(table) == ("busy", 0.0, "hangup")
    assert left_over(table) == []


@pytest.mark.parametrize("consulting", [False, True])
def test_attended_the_agent_takes_the_caller_back_by_a_key(consulting: bool) -> None:
    """While it rings, and while they talk; other keys, and the caller's, do nothing."""
    table, agent, bob = consult(cancelOn="*0")
    if consulting:
        table.happen("StasisStart", bob)
    table.press("1", agent)
    table.answer([])
    table.press("*")
    table.answer([])
    assert asked(table, "channels.hangup") == []
    table.press("0", agent)
    assert asked(table, "channels.hangup") == [bob]
    back(table)
    table.answer([])
    before = table.operations
    table.press("*", agent)
    assert table.operations == before
    table.answer([])
    table.happen("ChannelDestroyed", agent, cause=16)
    assert result(table)[0] == "cancelled"


def test_attended_a_late_refusal_changes_nothing_after_the_agent_has_cancelled() -> None:
    """The caller is joined once, and the result says what it was."""
    table, agent, _ = consult()
    table.happen("ChannelDestroyed", newest(table), cause=0)  # the first attempt, out of the way
    table.press("#", agent)
    table.answer([BOB | {"mode": "attended"}])
    table.press("*", agent)
    times = len(joined(table))
    table.reply("channels.originateWithId", 400)
    assert len(joined(table)) == times
    table.answer([])
    table.happen("ChannelDestroyed", agent, cause=16)
    assert result(table)[0] == "cancelled"


def test_attended_a_new_one_who_hangs_up_at_once_leaves_the_caller_with_the_agent() -> None:
    """Whether that is told before or after they could not be joined with the agent."""
    table, agent, bob = consult()
    table.happen("StasisStart", bob)
    table.reply("channels.ringStop")
    table.reply("bridges.addChannel", 400, {"message": "Channel not found"})
    back(table)
    assert agent not in asked(table, "channels.hangup")
    table, agent, bob = consult()
    table.happen("StasisStart", bob)
    table.happen("ChannelDestroyed", bob, cause=16)
    back(table)
    table.settle()
    table.happen("ChannelDestroyed", agent, cause=16)
    assert result(table)[0] == "cancelled"


def test_after_a_failed_attempt_the_agent_tries_somebody_else() -> None:
    """And again: the conversation is handed on each time."""
    table, agent, bob = consult()
    table.happen("ChannelDestroyed", bob, cause=17)
    table.settle()
    again(table, agent)
    second = newest(table)
    assert second != bob
    assert "ActionFailed" not in table.types
    assert asked(table, "channels.hangup") == []
    table.happen("StasisStart", second)
    table.happen("ChannelDestroyed", agent, cause=16)
    table.settle()
    assert joined(table)[-1] == ["1"]
    again(table, second)  # and who was called may hand on, too
    third = newest(table)
    table.happen("StasisStart", third)
    table.settle()
    assert joined(table)[-1] == [third]
    assert asked(table, "channels.hangup") == []


@pytest.mark.parametrize("consulting", [False, True])
def test_an_agent_who_thinks_better_of_it_asks_somebody_else(consulting: bool) -> None:
    """The first one is let go; agent and caller stay."""
    table, agent, bob = consult()
    if consulting:
        table.happen("StasisStart", bob)
        table.settle()
    again(table, agent)
    assert asked(table, "channels.hangup") == [bob]
    table.happen("StasisStart", newest(table))
    table.settle()
    assert joined(table)[-1] == [newest(table)]
    assert "ActionFailed" not in table.types


def test_a_blind_transfer_that_is_replaced_by_another_begins_anew() -> None:
    """With the caller alone, who hears music still."""
    table = transfer()
    bob = newest(table)
    table.turn("inject", decode_answer(json.dumps([BOB]).encode()))
    assert asked(table, "channels.hangup") == [bob]
    assert [op for op in table.operations if "Moh" in op] == ["channels.startMoh", "channels.stopMoh", "channels.startMoh"]
    assert len(left_over(table)) == 2


def test_without_a_conversation_there_is_nobody_to_consult() -> None:
    """Nobody is called."""
    table = transfer(mode="attended")
    assert table.operations == []
    assert table.data()["error"]["reason"] == "nobody_to_consult"


# ---- refer ----


def test_refer_asks_the_callers_phone() -> None:
    """Complete when it was asked; a refusal fails."""
    table = Table(up=True, events=frozenset({"StasisStart"})).start([BOB | {"mode": "refer"}])
    assert table.operations == ["channels.redirect"]
    table.reply("channels.redirect")
    assert result(table) == ("transferred", 0.0, "refer")
    table = Table(up=True, events=frozenset({"StasisStart"})).start([BOB | {"mode": "refer"}])
    table.reply("channels.redirect", 422, {"message": "no"})
    assert table.types[-1] == "ActionFailed"


def test_refer_lets_the_agent_go_when_the_phone_was_asked() -> None:
    """Nobody is left in the old bridge."""
    table, agent, _ = consult(mode="refer")
    assert result(table) == ("transferred", 0.0, "refer")
    assert asked(table, "channels.hangup") == [agent]
    assert left_over(table) == []


def test_refer_where_the_phone_refuses_the_caller_goes_on_with_the_agent() -> None:
    """And the end of their talk is seen: the caller is not left alone."""
    table, agent, _ = consult(mode="attended")
    table.happen("ChannelDestroyed", newest(table), cause=17)
    table.settle()
    table.press("#", agent)
    table.answer([BOB | {"mode": "refer"}])
    table.reply("channels.redirect", 422)
    assert asked(table, "channels.hangup") == []
    table.happen("ChannelDestroyed", agent, cause=16)
    assert result(table) == ("rejected", 0.0, "hangup")
    assert left_over(table) == []


def test_a_dial_that_still_rings_has_nobody_to_hand_over() -> None:
    """The phone that rings is let go; blind, the new one is called for the caller alone."""
    table = Table(up=True, events=frozenset({"StasisStart"})).start([{"action": "dial", "to": "PJSIP/agent"}])
    table.settle()
    agent = newest(table)
    table.turn("inject", decode_answer(json.dumps([BOB]).encode()))
    assert asked(table, "channels.hangup") == [agent]
    table.happen("StasisStart", newest(table))
    assert joined(table) == [["1", newest(table)]]


def test_a_caller_who_waits_is_called_somebody_in_place_of_the_rest() -> None:
    """What ran has nobody to hand over."""
    table = Table(up=True).start([{"action": "pause", "seconds": 60}, {"action": "hangup"}])
    table.turn("inject", decode_answer(json.dumps([BOB]).encode()))
    table.settle()
    table.happen("StasisStart", newest(table))
    assert joined(table) == [["1", newest(table)]]
    table.later(120)
    assert asked(table, "channels.hangup") == []
