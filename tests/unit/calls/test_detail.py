"""The call detail record: instants, talk and legs, from what Asterisk tells."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.table import EVENTS, Table

from hookrouter.ari.events import Event, make_event
from hookrouter.calls import detail
from hookrouter.calls.call import Call
from hookrouter.calls.detail import MOST_LEGS, call_detail, instant

HANGUP = {"action": "hangup"}


def stamp(second: float) -> str:
    return f"2026-11-23T01:21:{int(second):02d}.{round(second % 1 * 1000):03d}+0000"


def at(second: float, type: str, channel: str = "1", state: str = "Up", **more: Any) -> Event:
    """An event of second `second` by Asterisk's clock."""
    body = {"type": type, "timestamp": stamp(second), "channel": {"id": channel, "state": state}, **more}
    return make_event("main", json.dumps(body).encode())


def bridge(*channels: str, type: str = "mixing") -> dict[str, Any]:
    return {"bridge": {"id": "b", "channels": list(channels), "bridge_type": type}}


def dialling(*to: str, **more: Any) -> Table:
    """A call that entered at second 0 and dials; the answer's legs are asked for."""
    table = Table(events=EVENTS, **more)
    table.turn("begin", at(0, "StasisStart", state="Ring"))
    table.answer([{"action": "dial", "to": list(to)}])
    return table


def legs(table: Table) -> list[str]:
    return [one.params["channelId"] for one in table.asked if one.operation == "channels.originateWithId"]


def record(table: Table) -> Any:
    """What CallEnded held."""
    found = [out for out in table.sent if out.type == "CallEnded"]
    assert len(found) == 1
    return json.loads(found[0].data)


def over(table: Table) -> Any:
    table.finish()
    return record(table)


def test_a_dialled_call_tells_each_instant() -> None:
    """Who, whom, when; the talk is that of the bridge, and the leg's seconds are from its answer to its end."""
    table = dialling("PJSIP/alice")
    (leg,) = legs(table)
    table.turn("on_event", at(3, "StasisStart", leg))
    table.settle()
    table.turn("on_event", at(3.1, "ChannelStateChange"))
    table.turn("on_event", at(3.2, "ChannelEnteredBridge", **bridge("1")))
    table.turn("on_event", at(3.3, "ChannelEnteredBridge", leg, **bridge("1", leg)))
    table.turn("on_event", at(10.3, "ChannelLeftBridge", **bridge(leg)))
    table.turn("on_event", at(10.4, "StasisEnd"))
    assert "CallEnded" not in table.types + [out.type for out in table.call.outbox], "the leg's end is waited for"
    table.turn("on_event", at(10.5, "ChannelDestroyed", leg, cause=16))
    found = over(table)
    assert found | {"legs": []} == {
        "reason": "hangup", "seconds": 10.4, "caller": "", "called": "", "direction": "in", "channel": "", "route": "ivr",
        "tenant": "", "tags": {}, "startedAt": "2026-11-23T01:21:00.000Z", "answeredAt": "2026-11-23T01:21:03.100Z",
        "endedAt": "2026-11-23T01:21:10.400Z", "answeredSeconds": 7.3, "talkSeconds": 7.0, "legs": [],
    }  # fmt: skip
    (told,) = found["legs"]
    assert (told["to"], told["result"], told["cause"], told["seconds"]) == ("PJSIP/alice", "answered", 16, 7.5)
    assert told["answeredAt"] == "2026-11-23T01:21:03.000Z"


@pytest.mark.parametrize(
    ("dialstatus", "cause", "result"),
    [
        pytest.param("BUSY", 17, "busy", id="busy"),
        pytest.param("NOANSWER", 19, "noAnswer", id="nobody"),
        pytest.param("", 21, "rejected", id="rejected"),
        pytest.param("CHANUNAVAIL", 0, "unavailable", id="not there"),
    ],
)
def test_a_leg_that_does_not_answer_says_why(dialstatus: str, cause: int, result: str) -> None:
    """Its result is that of `dial`, and no seconds are billed."""
    table = dialling("PJSIP/alice")
    (leg,) = legs(table)
    if dialstatus:
        table.turn("on_event", at(2, "Dial", "", peer={"id": leg}, dialstatus=dialstatus))
    table.turn("on_event", at(2, "ChannelDestroyed", leg, cause=cause))
    (told,) = over(table)["legs"]
    assert (told["result"], told["cause"], told["seconds"], told["answeredAt"]) == (result, cause or None, 0.0, None)
    assert told["endedAt"] == "2026-11-23T01:21:02.000Z"


def test_who_was_not_quick_enough_is_cancelled() -> None:
    """Of two that ring, one answers; a hangup of ours has no cause that would tell."""
    table = dialling("PJSIP/alice", "PJSIP/bob")
    slow, quick = legs(table)
    table.turn("on_event", at(1, "StasisStart", quick))
    table.settle()
    table.turn("on_event", at(1.1, "ChannelDestroyed", slow, cause=26))
    table.turn("on_event", at(5, "ChannelDestroyed", quick, cause=16))
    assert [leg["result"] for leg in over(table)["legs"]] == ["cancelled", "answered"]


def test_a_leg_that_asterisk_refuses_was_never_there() -> None:
    """400: no such technology."""
    table = dialling("PJSIP/alice")
    table.reply("channels.originateWithId", 400, {"message": "no"})
    (told,) = over(table)["legs"]
    assert (told["result"], told["cause"]) == ("unavailable", None)


def test_an_end_that_is_never_told_is_waited_for_a_moment_only() -> None:
    """The record has the instant in which the leg was hung up."""
    table = dialling("PJSIP/alice")
    table.turn("on_event", at(4, "StasisEnd"))
    table.settle()
    table.later(detail.LEGS_TIMEOUT - 0.1)
    assert "CallEnded" not in [out.type for out in table.call.outbox]
    table.later(0.2)
    assert "CallEnded" in [out.type for out in table.call.outbox]
    assert over(table)["legs"][0]["result"] == "cancelled"


def test_early_media_and_waiting_are_no_talk() -> None:
    """Two in a bridge talk once both have answered; in a holding bridge nobody does."""
    call = Call(key="main/1", id="1", asterisk="main", app="app", route="ivr", started_at=0.0)
    detail.began(call, at(0, "StasisStart", state="Ring").head, 0)
    detail.dialled(call, {"channelId": "leg", "endpoint": "PJSIP/a"}, 0)
    for event in [
        at(1, "ChannelEnteredBridge", **bridge("1", "x", type="holding")),
        at(2, "ChannelEnteredBridge", "leg", **bridge("1", "leg")),
        at(3, "ChannelStateChange"),
        at(4, "Dial", "", peer={"id": "leg"}, dialstatus="ANSWER"),
        at(9, "BridgeDestroyed", "", **bridge()),
        at(10, "ChannelEnteredBridge", "other", **bridge("1", "other")),
    ]:
        detail.told(call, event.head, 0)
    detail.ended(call, instant(stamp(12), 0))
    assert call.talked == pytest.approx(5 + 2)


def test_a_leg_that_another_channel_takes_over_goes_on() -> None:
    """A transfer: what is billed is the place, not the phone."""
    table = dialling("PJSIP/alice")
    (leg,) = legs(table)
    table.turn("on_event", at(3, "StasisStart", leg))
    detail.replaced(table.call, leg, "new", 0)
    table.turn("on_event", at(4, "ChannelDestroyed", leg, cause=16))
    table.turn("on_event", at(9, "ChannelDestroyed", "new", cause=16))
    (told,) = over(table)["legs"]
    assert (told["to"], told["seconds"]) == ("PJSIP/alice", 6.0)


def test_the_newest_legs_of_a_call_that_dials_for_ever_are_kept() -> None:
    """The others are counted, with their seconds."""
    call = Call(key="main/1", id="1", asterisk="main", app="app", route="ivr", started_at=0.0)
    for number in range(MOST_LEGS + 3):
        detail.dialled(call, {"channelId": f"leg{number}", "endpoint": "PJSIP/a"}, 0.0)
        detail.told(call, at(1, "StasisStart", f"leg{number}").head, 0.0)
        detail.told(call, at(3, "ChannelDestroyed", f"leg{number}", cause=16).head, 0.0)
    detail.ended(call, instant(stamp(4), 0))
    found = json.loads(call_detail(call))
    assert len(found["legs"]) == MOST_LEGS
    assert found["legsLeftOut"] == {"count": 3, "seconds": 6.0}


def test_a_call_that_we_begin_is_no_leg() -> None:
    """It has a record of its own."""
    table = Table(events=EVENTS).start([{"action": "originate", "to": "PJSIP/alice"}])
    table.finish()
    assert record(table)["legs"] == []


@given(st.text(max_size=30))
def test_a_timestamp_that_cannot_be_read_is_now(text: str) -> None:
    """Whatever Asterisk says."""
    assert instant(text, 7.0) == 7.0 or text[:1].isdigit()
