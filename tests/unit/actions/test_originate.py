"""originate, on a table: what the calling call learns of the new one, and what it never does to it."""

from __future__ import annotations

from typing import Any

import pytest
from rig.table import Table

from hookrouter.calls.effects import Announce, Effect
from hookrouter.policy.authority import token

CALL = {"action": "originate", "to": "PJSIP/a", "id": "4711", "timeout": 20}
ID = "hr-call-4711."
PROOF = token("", ID)


class Listening(Table):
    """Keeps what was announced."""

    def __init__(self, **route: Any) -> None:
        self.announced: list[Announce] = []
        super().__init__(**route)

    def turn(self, name: str, *args: Any, **more: Any) -> list[Effect]:
        effects = super().turn(name, *args, **more)
        self.announced += [effect for effect in effects if isinstance(effect, Announce)]
        return effects


def calling(**more: Any) -> Listening:
    table = Listening(up=True, events=frozenset({"StasisStart", "ChannelDtmfReceived"}))
    table.start([CALL | more])
    return table


def result(table: Table) -> dict[str, Any]:
    assert table.types[-1] == "OriginateCompleted"
    assert table.owned == {}
    return {key: value for key, value in table.data().items() if key != "action"}


def withdrawn(table: Listening) -> bool:
    return table.announced[-1] == Announce(ID, "", (), None, by="main/1 1000.0")


def test_the_new_call_is_announced_before_it_rings() -> None:
    """To whom it belongs, what it does first, its state."""
    table = calling(route="sales", actions=[{"action": "answer"}], state={"a": 1}, callerId="<7>", variables={"A": "b"})
    said = Announce(ID, "sales", (b'{"action":"answer"}',), b'{"a": 1}', by="main/1 1000.0", token=PROOF, to="PJSIP/a")
    assert table.announced == [said]
    [asked] = table.asked
    assert asked.operation == "channels.originateWithId"
    assert asked.params == {"channelId": ID, "endpoint": "PJSIP/a", "app": "app", "timeout": 20, "callerId": "<7>",
                            "appArgs": f"hookrouter-call,{PROOF},{ID}", "variables": {"A": "b"}}  # fmt: skip
    table = calling()
    assert table.announced == [Announce(ID, "ivr", (), None, by="main/1 1000.0", token=PROOF, to="PJSIP/a")]


def test_without_an_id_each_is_a_call_of_its_own() -> None:
    """Two originates call twice."""
    table = Table(up=True).start([{"action": "originate", "to": "PJSIP/a", "wait": False}] * 2)
    ids = [p.params["channelId"] for p in table.asked]
    assert len(set(ids)) == 2
    assert all(id.startswith("hr-call-") for id in ids)


def test_it_is_complete_when_the_new_call_is_answered() -> None:
    """And knows no more of it: its end is another call's business."""
    table = calling()
    table.settle()
    table.happen("Dial", "", peer={"id": ID}, dialstatus="RINGING")
    table.happen("ChannelStateChange", ID)
    assert table.types == ["StasisStart"]
    table.happen("StasisStart", ID)
    assert result(table) == {"call": ID, "status": "answered", "cause": None}
    table.answer([])
    table.hangup()
    assert "channels.hangup" not in table.operations
    table.finish()


@pytest.mark.parametrize(
    ("dialstatus", "cause", "status"), [("BUSY", 17, "busy"), ("NOANSWER", 19, "noAnswer"), ("NOANSWER", 21, "rejected")]
)
def test_nobody_answers_and_the_result_says_why(dialstatus: str, cause: int, status: str) -> None:
    """Nothing waits for the new call any more."""
    table = calling()
    table.settle()
    table.happen("Dial", "", peer={"id": ID}, dialstatus=dialstatus)
    table.happen("ChannelDestroyed", ID, cause=cause)
    assert result(table) == {"call": ID, "status": status, "cause": cause}
    assert withdrawn(table)


def test_the_same_id_twice_is_one_call() -> None:
    """Asterisk says that it is there."""
    table = calling()
    table.reply(status=409)
    assert result(table) == {"call": ID, "status": "answered", "cause": None, "already": True}
    assert len(table.announced) == 1


def test_an_endpoint_that_asterisk_refuses_is_unavailable() -> None:
    """With its words."""
    table = calling()
    table.reply(status=400, body={"message": "Endpoint not found"})
    assert result(table) == {"call": ID, "status": "unavailable", "cause": None, "message": "Endpoint not found"}
    assert withdrawn(table)


@pytest.mark.parametrize(("status", "fate"), [(200, "replied"), (0, "unknown")])
def test_one_of_whom_nothing_is_heard_has_not_answered(status: int, fate: str) -> None:
    """A while after its time; it is not called again."""
    table = calling()
    table.reply(status=status, fate=fate)
    table.later(24)
    assert table.types == ["StasisStart"]
    table.later(2)
    assert result(table)["status"] == "noAnswer"
    assert len(table.operations) == 1
    assert withdrawn(table)


def test_the_new_call_lives_on_when_the_caller_hangs_up() -> None:
    """It is not this call's to end."""
    table = calling()
    table.settle()
    table.hangup()
    assert table.operations == ["channels.originateWithId"]
    assert not withdrawn(table)
    table.finish()
