"""spy, on a table: what is asked for, and that the snoop and its bridge go."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.decode import decode_answer
from hookrouter.errors import AnswerRefused


def spying(**more: Any) -> Table:
    """The supervisor asks to hear the call `other`."""
    table = Table(up=True)
    table.others.calls["other"] = SimpleNamespace(id="other", channel="other", route="ivr", state_json=b"", tenant="")
    return table.start([{"action": "spy", "call": "other"} | more])


def listening() -> Table:
    table = spying()
    table.settle()
    table.happen("StasisStart", snoop(table))
    table.settle()
    return table


def asked(table: Table, operation: str) -> list[dict[str, Any]]:
    return [p.params for p in table.asked if p.operation == operation]


def snoop(table: Table) -> str:
    return str(asked(table, "channels.snoopChannelWithId")[0]["snoopId"])


def bridge(table: Table) -> str:
    return str(asked(table, "bridges.createWithId")[0]["bridgeId"])


def result(table: Table) -> dict[str, Any]:
    assert "SpyCompleted" in [out.type for out in table.call.outbox]
    while table.types[-1] != "SpyCompleted":
        table.answer(None)
    assert table.owned == {}
    return {key: value for key, value in table.data().items() if key != "action"}


@pytest.mark.parametrize(
    ("more", "spy", "whisper"),
    [
        ({}, "both", "none"),
        ({"mode": "listen"}, "both", "none"),
        ({"mode": "whisper"}, "both", "out"),
        ({"mode": "barge"}, "both", "both"),
        ({"spy": "in"}, "in", "none"),
        ({"whisper": "out"}, "none", "out"),
    ],
)
def test_which_direction_is_heard_and_spoken_into(more: dict[str, Any], spy: str, whisper: str) -> None:
    """By a mode, or direction by direction."""
    [params] = asked(spying(**more), "channels.snoopChannelWithId")
    assert (params["channelId"], params["spy"], params["whisper"]) == ("other", spy, whisper)


def test_a_mode_and_a_direction_say_too_much() -> None:
    """Refused with the place."""
    with pytest.raises(AnswerRefused) as refused:
        decode_answer(b'[{"action": "spy", "call": "1", "mode": "barge", "spy": "in"}]')
    assert [str(fault) for fault in refused.value.faults] == ["/0/mode: give either `mode`, or `spy` and `whisper`"]


def test_the_two_are_in_a_bridge_when_the_snoop_is_in_the_app() -> None:
    """Before that Asterisk says 422; where nothing is heard of it, after two seconds."""
    table = spying()
    table.settle()
    assert "bridges.createWithId" not in table.operations
    table.happen("StasisStart", snoop(table))
    table.settle()
    assert asked(table, "bridges.addChannel") == [{"bridgeId": bridge(table), "channel": ["1", snoop(table)]}]
    table.later(5)
    assert len(asked(table, "bridges.createWithId")) == 1
    table.finish()
    table = spying()
    table.settle()
    table.later(2)
    assert len(asked(table, "bridges.createWithId")) == 1


@pytest.mark.parametrize("type", ["StasisEnd", "ChannelDestroyed"])
def test_when_the_other_call_ends_it_is_over(type: str) -> None:
    """Its snoop goes with it."""
    table = listening()
    table.later(30)
    table.happen(type, "another")
    table.happen("BridgeDestroyed", "", bridge={"id": "another", "channels": []})
    table.happen(type, snoop(table))
    assert result(table) == {"reason": "hangup", "seconds": 30.0, "call": "other"}
    assert table.operations[-2:] == ["bridges.destroy", "channels.hangup"]


def test_when_the_supervisor_hangs_up_it_is_over() -> None:
    """Nothing is left; nor when something else is wanted of them."""
    table = listening()
    table.hangup()
    assert result(table)["reason"] == "hangup"
    table = listening()
    table.turn("inject", decode_answer(b'[{"action": "pause", "seconds": 60}]'))
    assert asked(table, "channels.hangup") == [{"channelId": snoop(table)}]
    assert asked(table, "bridges.destroy") == [{"bridgeId": bridge(table)}]


def test_a_bridge_that_comes_too_late_is_taken_back() -> None:
    """The program was replaced while it was made."""
    table = spying()
    table.settle()
    table.happen("StasisStart", snoop(table))
    table.turn("inject", decode_answer(b'[{"action": "pause", "seconds": 60}]'))
    table.settle()
    assert asked(table, "bridges.destroy") == [{"bridgeId": bridge(table)}] * 2


def test_a_bridge_that_is_destroyed_ends_it() -> None:
    """By somebody else, or as is found out after a loss."""
    table = listening()
    table.happen("BridgeDestroyed", "", bridge={"id": bridge(table), "channels": []})
    assert result(table)["reason"] == "ended"


def test_whom_it_may_not_hear() -> None:
    """Itself, and calls of other routes."""
    assert Table(up=True).start([{"action": "spy", "call": "stranger"}]).data()["error"]["reason"] == "forbidden"
    assert Table(up=True).start([{"action": "spy", "call": "1"}]).data()["error"]["message"] == "a call cannot spy on itself"


def test_what_asterisk_refuses_is_told_and_nothing_is_left() -> None:
    """The call has ended meanwhile, say."""
    table = spying()
    table.reply("channels.snoopChannelWithId", 404, {"message": "Channel not found"})
    table.later(5)
    assert table.data()["error"]["message"] == "spy: Channel not found"
    assert table.owned == {}
