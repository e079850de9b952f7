"""Asterisk's own operations, on a table: what they may touch, and what becomes of what they make."""

from __future__ import annotations

from typing import Any

import pytest
from rig.table import Table

from hookrouter.ari.client import Reply


def doing(action: dict[str, Any], **route: Any) -> Table:
    return Table(up=True, events=frozenset({"StasisStart"}), **route).start([action])


def params(table: Table) -> dict[str, Any]:
    return dict(table.asked[-1].params)


def refused(table: Table) -> bool:
    assert table.operations == []
    return bool(table.types[-1] == "ActionFailed" and table.data()["error"]["reason"] == "forbidden")


def test_the_calls_own_channel_is_meant_where_none_is_given() -> None:
    """And another one of the call's where it is."""
    table = doing({"action": "channels.hold"})
    assert (table.operations, params(table)) == (["channels.hold"], {"channelId": "1"})
    table.reply(status=204)
    assert table.outcomes() == [("channels.hold", "done")]
    assert table.types == ["StasisStart"]


@pytest.mark.parametrize(
    ("body", "told"), [(b'{"value":"x"}', {"value": "x"}), (b"RIFF\xff", "RIFF\ufffd"), (b"[1]", [1])]
)
def test_what_asterisk_returns_is_told(body: bytes, told: Any) -> None:
    """As JSON, or as text."""
    table = doing({"action": "channels.getChannelVar", "variable": "A"})
    table.turn("on_reply", next(iter(table.call.requests)), Reply(200, body))
    assert table.types[-1] == "OperationCompleted"
    assert (table.data()["status"], table.data()["body"]) == (200, told)


def test_a_refusal_of_asterisks_fails() -> None:
    """With its words."""
    table = doing({"action": "channels.getChannelVar", "variable": "A"})
    table.reply(status=400, body={"message": "no"})
    assert table.data()["error"] == {"status": 400, "reason": "refused", "message": "channels.getChannelVar: no"}


@pytest.mark.parametrize(
    "action",
    [
        {"action": "channels.hangup", "channelId": "another"},
        {"action": "bridges.addChannel", "bridgeId": "another", "channel": ["1"]},
        {"action": "channels.snoopChannel", "channelId": "another", "app": "app", "spy": "both"},
        {"action": "asterisk.getGlobalVar", "variable": "A"},
    ],
)
def test_what_does_not_belong_to_the_call_is_refused_unless_the_route_allows_it(action: Any) -> None:
    """Another call's channel, somebody's bridge, Asterisk as a whole."""
    assert refused(doing(action))
    assert doing(action, scope="any").operations == [action["action"]]
    assert doing(action, allow=(action["action"],)).operations == [action["action"]]


def test_several_channels_at_once_must_all_be_the_calls() -> None:
    """In a list, or with commas between them."""
    made = {"action": "bridges.createWithId", "bridgeId": "b"}
    for channel in (["1", "another"], "1,another"):
        table = Table(up=True).start([made, {"action": "bridges.addChannel", "bridgeId": "b", "channel": channel}])
        table.settle()
        assert table.operations == ["bridges.get", "bridges.createWithId"]
        assert table.data()["error"]["reason"] == "forbidden"
        assert "another" in table.data()["error"]["message"]
    table = Table(up=True).start([made, {"action": "bridges.addChannel", "bridgeId": "b", "channel": ["1"]}])
    table.settle()
    assert table.operations[-1] == "bridges.addChannel"


def test_what_is_made_belongs_to_the_call_and_goes_with_it() -> None:
    """With an id of ours where none was given."""
    table = doing({"action": "channels.snoopChannel", "app": "app", "spy": "both"})
    id = params(table)["snoopId"]
    assert id.startswith("hr-snoop-")
    assert table.owned == {id: "snoop"}
    table.reply(status=200, body={"id": id})
    table.answer([])
    table.hangup()
    assert (table.operations[-1], params(table)) == ("channels.hangup", {"channelId": id})
    table.finish()


def test_what_could_not_be_made_is_not_the_calls() -> None:
    """But what may have been made, as far as anybody knows, goes with the call."""
    table = doing({"action": "bridges.create"})
    table.reply(status=500)
    assert table.owned == {}
    table = doing({"action": "bridges.create"})
    id = params(table)["bridgeId"]
    table.reply(status=0, fate="unknown")
    assert table.types[-1] == "ActionFailed"
    table.answer([])
    table.hangup()
    assert (table.operations[-1], params(table)) == ("bridges.destroy", {"bridgeId": id})


def test_a_recording_is_known_by_its_name() -> None:
    """Which is the endpoint's own."""
    table = doing({"action": "channels.record", "name": "mine", "format": "wav"})
    assert table.owned == {}
    table.settle()
    assert table.owned == {"mine": "recording"}
