"""stream, on a table: the media is up before the call is in, and whoever does not take it is told within two seconds."""

from __future__ import annotations

from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.decode import decode_answer
from hookrouter.errors import AnswerRefused


def streaming(to: str = "bot", **more: Any) -> Table:
    """Asked for; the media channel is there, and not up."""
    table = Table(up=True).start([{"action": "stream", "to": to} | more])
    table.reply("channels.externalMedia", 200, {"id": media(table), "state": "Down"})
    return table


def talking(**more: Any) -> Table:
    table = streaming(**more)
    table.happen("ChannelStateChange", media(table))
    table.settle()
    return table


def asked(table: Table, operation: str) -> list[dict[str, Any]]:
    return [p.params for p in table.asked if p.operation == operation]


def media(table: Table) -> str:
    return str(asked(table, "channels.externalMedia")[0]["channelId"])


def bridge(table: Table) -> str:
    return str(asked(table, "bridges.createWithId")[0]["bridgeId"])


def result(table: Table) -> dict[str, Any]:
    assert "StreamCompleted" in [out.type for out in table.call.outbox]
    while table.types[-1] != "StreamCompleted":
        table.answer(None)
    assert table.owned == {}
    return {key: value for key, value in table.data().items() if key != "action"}


def error(table: Table) -> Any:
    table.later(5)
    assert table.types[-1] == "ActionFailed"
    assert table.owned == {}
    return table.data()["error"]


@pytest.mark.parametrize(
    ("to", "params"),
    [
        ("bot", {"external_host": "bot", "encapsulation": "none", "transport": "websocket"}),
        ("rtp:127.0.0.1:9", {"external_host": "127.0.0.1:9", "encapsulation": "rtp", "transport": "udp"}),
        ("audiosocket:h:9", {"external_host": "h:9", "encapsulation": "audiosocket", "transport": "tcp"}),
    ],
)
def test_where_the_media_goes(to: str, params: dict[str, str]) -> None:
    """A client of Asterisk's, RTP, or AudioSocket, which wants a UUID."""
    [given] = asked(streaming(to, format="slin16"), "channels.externalMedia")
    assert params.items() <= given.items()
    assert (given["format"], given["app"], "variables" in given) == ("slin16", "app", False)
    assert ("data" in given) == to.startswith("audio")
    assert asked(streaming(to, metadata={"A": "b"}), "channels.externalMedia")[0]["variables"] == {"A": "b"}


@pytest.mark.parametrize(
    ("to", "words"), [("rtp:h", "no port"), ("audiosocket:h:x", "no port"), ("wss://h/x", "websocket_client.conf")]
)
def test_an_address_that_cannot_be_is_refused(to: str, words: str) -> None:
    """With its place."""
    with pytest.raises(AnswerRefused) as refused:
        decode_answer(b'[{"action": "stream", "to": "%s"}]' % to.encode())
    [fault] = refused.value.faults
    assert str(fault).startswith("/0/to: ")
    assert words in str(fault)


def test_the_call_is_in_when_the_media_is_up() -> None:
    """Not before, so that nothing is said to nobody; and once."""
    table = streaming()
    table.happen("StasisStart", media(table), state="Down")
    table.happen("ChannelStateChange", "1")
    assert "bridges.createWithId" not in table.operations
    table.happen("ChannelStateChange", media(table))
    table.happen("StasisStart", media(table))
    table.settle()
    assert asked(table, "bridges.addChannel") == [
        {"bridgeId": bridge(table), "channel": ["1"]}, {"bridgeId": bridge(table), "channel": [media(table)]}]  # fmt: skip
    assert len(asked(table, "bridges.createWithId")) == 1
    table.later(600)
    assert table.types == ["StasisStart"]
    table.finish()
    table = Table(up=True).start([{"action": "stream", "to": "rtp:127.0.0.1:9"}])
    table.reply("channels.externalMedia", 200, {"state": "Up"})
    assert table.operations[-1] == "bridges.createWithId"


@pytest.mark.parametrize(("direction", "muted"), [("both", []), ("in", ["in"]), ("out", ["out"])])
def test_a_program_that_only_hears_or_only_speaks(direction: str, muted: list[str]) -> None:
    """The other direction of its channel is muted."""
    assert [p["direction"] for p in asked(talking(direction=direction), "channels.mute")] == muted


def test_when_the_program_ends_the_stream_the_call_goes_on() -> None:
    """The seconds are those since the call was in."""
    table = talking()
    table.later(12)
    table.happen("ChannelDestroyed", media(table), cause=16)
    assert result(table) == {"reason": "ended", "seconds": 12.0}
    assert table.operations[-1] == "bridges.destroy"


def test_when_the_caller_hangs_up_the_stream_ends() -> None:
    """As when something else is wanted of the call, or the bridge is destroyed; nothing is left."""
    table = talking()
    table.later(3)
    table.hangup()
    assert result(table) == {"reason": "hangup", "seconds": 3.0}
    table.finish()
    table = streaming()
    table.hangup()
    assert result(table) == {"reason": "hangup", "seconds": 0.0}
    table = talking()
    table.turn("inject", decode_answer(b'[{"action": "pause", "seconds": 60}]'))
    assert table.operations[-3:] == ["channels.hangup", "bridges.removeChannel", "bridges.destroy"]
    table = talking()
    table.happen("BridgeDestroyed", "", bridge={"id": "another", "channels": []})
    table.happen("BridgeDestroyed", "", bridge={"id": bridge(table), "channels": []})
    assert result(table)["reason"] == "ended"
    assert asked(table, "channels.hangup") == [{"channelId": media(table)}]


def test_a_program_that_does_not_take_it_fails() -> None:
    """Refused, or silent for two seconds."""
    table = streaming()
    table.happen("ChannelDestroyed", media(table), cause=111)
    assert error(table)["message"] == "nothing accepts the stream at bot (cause 111): does the program run there?"
    table = streaming()
    table.later(2)
    assert error(table)["message"] == "the media to bot was not up within 2 s"
    assert asked(table, "channels.hangup") == [{"channelId": media(table)}]
    table = Table(up=True).start([{"action": "stream", "to": "bot"}])
    table.reply("channels.externalMedia", 0, fate="unknown")  # it may be there
    table.later(2)
    assert error(table)["reason"] == "stream_refused"


def test_what_asterisk_refuses_is_told_and_nothing_is_left() -> None:
    """A client that it does not know; a bridge that cannot be made, or be entered."""
    table = Table(up=True).start([{"action": "stream", "to": "bot"}])
    table.reply("channels.externalMedia", 400, {"message": "no such client"})
    assert error(table)["message"].startswith("stream to bot (over a WebSocket, which takes chan_websocket of Asterisk 22.6 or ")
    assert error(table)["message"].endswith(": no such client")
    table = streaming()
    table.happen("ChannelStateChange", media(table))
    table.reply("bridges.createWithId", 500, {"message": "no"})
    assert error(table)["reason"] == "asterisk_error"
    table = streaming()
    table.happen("ChannelStateChange", media(table))
    table.reply("bridges.createWithId", 200)
    table.reply("bridges.addChannel", 0, fate="unknown")
    assert error(table)["reason"] == "unknown"
