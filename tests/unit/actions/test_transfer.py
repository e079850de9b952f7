"""transfer, step by step, on a table: who talks to whom, and who is never left alone."""

from __future__ import annotations

from typing import Any

from rig.table import Table

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
    return [id for id, kind in table.call.owned.items() if kind in ("leg", "bridge")]


def test_one_who_still_rings_after_a_reconnect_goes_on_ringing() -> None:
    """Asterisk counts the leg to the app from its first moment: that is no answer."""
    table = transfer()
    before = table.operations
    table.turn("look", table.event("StasisStart", newest(table), state="Ringing"))
    assert table.operations == before
    table.turn("look", table.event("StasisStart", newest(table)))
    assert joined(table) == [["1", newest(table)]]
