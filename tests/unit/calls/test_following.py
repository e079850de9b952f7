"""A call whose channels change: what meant the one means the other, and nobody is lost or taken for two."""

from __future__ import annotations

from typing import Any

import pytest
from rig.table import Table

from hookrouter.calls.following import FORMER_GRACE, renamed


def talking(**more: Any) -> tuple[Table, str, str]:
    """The caller talks to a leg, by `dial`; then a beep, and hangs up."""
    table = Table(events=frozenset({"StasisStart", "StasisEnd"}))
    table.start([{"action": "dial", "to": "PJSIP/a"} | more, {"action": "play", "media": "sound:beep"}])
    leg = str(table.asked[0].params["channelId"])
    table.happen("StasisStart", leg)
    table.settle()
    bridge = next(str(p.params["bridgeId"]) for p in table.asked if p.operation == "bridges.createWithId")
    for channel in ("1", leg):
        table.happen("ChannelEnteredBridge", channel, bridge={"id": bridge, "channels": []})
    return table, leg, bridge


def replace(table: Table, old: str, new: str, exten: str = "200") -> None:
    event = table.event("StasisStart", new, replace_channel={"id": old})
    assert event.head.channel is not None
    event.head.channel.dialplan = None
    event.head.channel.name = f"Local/{exten}"
    table.turn("take_place", old, new, event)


def hung_up(table: Table) -> list[str]:
    return [str(p.params["channelId"]) for p in table.asked if p.operation == "channels.hangup"]


def test_a_leg_that_is_replaced_is_no_end_and_the_new_one_is() -> None:
    """The old channel is let go after a moment; its end is nobody's."""
    table, leg, bridge = talking()
    replace(table, leg, "new")
    table.happen("ChannelLeftBridge", leg, bridge={"id": bridge, "channels": ["1"]})
    assert "applications.subscribe" in table.operations
    table.later(FORMER_GRACE)
    assert hung_up(table) == [leg]
    table.happen("StasisEnd", leg)
    table.happen("ChannelDestroyed", leg, cause=16)
    assert table.types == ["StasisStart"]
    table.happen("ChannelDestroyed", "new", cause=16)
    assert table.types[-1] == "DialCompleted"
    assert (table.data()["transferred"], table.data()["transferredTo"], table.data()["reason"]) == (True, "Local/200", "hangup")


def test_a_caller_who_is_replaced_leaves_the_call_to_who_comes() -> None:
    """Under the same id: the old channel's end is not told, the program goes on for the new one, whose end is the call's."""
    table, leg, _ = talking()
    replace(table, "1", "new")
    table.happen("StasisEnd", "1")
    assert not table.call.ended
    table.happen("ChannelDestroyed", leg, cause=16)
    assert table.data()["transferred"] is True
    table.answer([])
    assert table.asked[-1].operation == "channels.playWithId"
    assert table.asked[-1].params["channelId"] == "new"
    table.happen("StasisEnd", "new")
    assert table.call.ended
    assert table.call.id == "1"


def test_a_leg_that_is_forwarded_keeps_its_place_and_its_time() -> None:
    """The end of the old one counts for nothing; the new one rings no longer than the old one would have."""
    table = Table(events=frozenset({"StasisStart"})).start([{"action": "dial", "to": "PJSIP/a", "timeout": 20}])
    leg = str(table.asked[0].params["channelId"])
    table.later(15)
    table.happen("Dial", "", dialstatus="CANCEL", forward="200", peer={"id": leg}, forwarded={"id": "new"})
    table.happen("ChannelDestroyed", leg, cause=23)
    assert table.types == ["StasisStart"]
    table.later(6)
    assert "new" in hung_up(table)
    assert table.data()["status"] == "noAnswer"


def test_of_a_call_that_ends_who_was_replaced_is_hung_up_as_well() -> None:
    """At once."""
    table, leg, _ = talking()
    replace(table, leg, "new")
    table.hangup()
    table.settle()
    table.answer([])
    assert {leg, "new"} <= set(hung_up(table))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a", "b"),
        ("ring a", "ring b"),
        ("a ring", "a ring"),
        ("aa", "aa"),
        (["a", "x"], ["b", "x"]),
        ({"a": 1, "x": "a"}, {"b": 1, "x": "a"}),
    ],
)
def test_what_is_renamed(value: Any, expected: Any) -> None:
    """A channel's own id, alone or as the last word of a name."""
    assert renamed(value, "a", "b") == expected
