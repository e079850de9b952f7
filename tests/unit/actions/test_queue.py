"""enqueue and dequeue, on a table: who waits where, who is taken, and that a place is kept or given back."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from rig.table import URL, Table

from hookrouter.actions.base import Member
from hookrouter.actions.decode import decode_answer
from hookrouter.actions.queue import queue_room

ROOM = queue_room("app", "", "support")
CLAIMED = {"call": "c1", "channel": "c1", "state": '{"vip":true}', "caller": "100", "waitSeconds": 42.0}


def member(call: str, since: float = 900.0, priority: int = 0, claimed: bool = False) -> Member:
    return Member(call, call, since, {"priority": priority, "claimed": claimed, "since": since})


def signals(table: Table) -> list[tuple[str, str]]:
    return [(s.target, s.name) for s in table.signals]


def asked(table: Table, operation: str) -> list[dict[str, Any]]:
    return [p.params for p in table.asked if p.operation == operation]


def result(table: Table) -> dict[str, Any]:
    [found] = [out for out in table.call.outbox if out.type == "QueueCompleted"]
    while table.types[-1] != "QueueCompleted":
        table.answer(None)
    assert table.sent[-1].id == found.id
    return {key: value for key, value in table.data().items() if key not in ("action", "queue")}


def replaced(table: Table) -> None:
    table.turn("inject", decode_answer(b'[{"action": "pause", "seconds": 600}]'))


# ---- the caller's side ----


def waiting(*others: Member, **more: Any) -> Table:
    """In the queue, since 1000.0."""
    table = Table(up=True, events=frozenset({"StasisStart"}))
    table.others.rooms[ROOM] = [*others, member("1", 1000.0)]
    return table.start([{"action": "enqueue", "queue": "support"} | more])


def claimed(**more: Any) -> Table:
    """An agent has asked for the caller."""
    table = waiting(**more)
    table.later(10)
    table.turn("on_signal", "claim", {"agent": "a1"})
    return table


def connecting(**more: Any) -> Table:
    table = claimed(**more)
    table.turn("on_signal", "connect", {"agent": "a1", "bridge": "b1", "state": '{"name":"Ann"}'})
    return table


def talking(**more: Any) -> Table:
    table = connecting(**more)
    table.happen("ChannelEnteredBridge", "a1", bridge={"id": "b1", "channels": []})
    table.happen("ChannelEnteredBridge", "1", bridge={"id": "b1", "channels": []})
    return table


def left(table: Table) -> None:
    """Nothing is: neither the place, nor the bridge."""
    assert table.owned == {}


def test_the_caller_hears_music_and_learns_the_place() -> None:
    """At once and every so often; the actions of the answer are heard between the music."""
    table = waiting(member("c2", 900.0), member("c3", 1001.0), moh="jazz", waitUrl="/wait", every=20)
    assert asked(table, "channels.startMoh") == [{"channelId": "1", "mohClass": "jazz"}]
    table.later(0.1)
    assert (table.types[-1], table.sent[-1].url) == ("QueueWaiting", URL.rsplit("/", 1)[0] + "/wait")
    assert table.data() | {"action": 0} == {"queue": "support", "position": 2, "size": 3, "waitSeconds": 0.0, "action": 0}
    table.answer([{"action": "play", "media": "sound:soon"}])
    assert table.operations[-2:] == ["channels.stopMoh", "channels.playWithId"]
    table.settle()
    table.playback()
    assert table.operations[-1] == "channels.startMoh"
    table.later(20)
    assert table.types.count("QueueWaiting") == 2
    assert table.data()["waitSeconds"] == 20.0
    table.answer([])
    assert table.operations[-1] == "channels.startMoh"


def test_who_is_not_listed_yet_is_the_last() -> None:
    """The place is at least the first."""
    table = Table(up=True).start([{"action": "enqueue", "queue": "support", "waitUrl": "/wait"}])
    assert (table.data()["position"], table.data()["size"]) == (1, 1)
    assert asked(table, "channels.startMoh") == [{"channelId": "1"}]


def test_patience_has_an_end() -> None:
    """Then the program goes on."""
    table = waiting(timeout=30)
    table.later(30)
    assert result(table) == {"reason": "timeout", "waitSeconds": 30.0, "talkSeconds": 0.0}
    assert table.operations == ["channels.startMoh", "channels.stopMoh"]
    left(table)


def test_patience_does_not_end_while_an_agent_is_asked() -> None:
    """If they reject, it does."""
    table = claimed(timeout=12)
    table.later(5)
    assert table.call.outbox == []
    table.turn("on_signal", "release", {"agent": "a1"})
    table.later(1)
    assert result(table)["reason"] == "timeout"


def test_a_key_leaves_the_queue() -> None:
    """One of those; not another one, nor an agent's."""
    table = waiting(exitOn="*#")
    table.press("1")
    table.press("*", channel="a1")
    assert table.call.outbox == []
    table.press("*")
    assert result(table)["reason"] == "exit"
    left(table)
    table = claimed(exitOn="*")
    table.press("*")
    assert signals(table)[-1] == ("a1", "caller gone")
    assert result(table)["call"] == "a1"
    table = talking(exitOn="*")
    table.press("*")
    assert table.call.outbox == []


def test_a_hangup_leaves_the_queue() -> None:
    """And says so to an agent who has asked."""
    table = waiting()
    table.hangup()
    assert result(table)["reason"] == "hangup"
    assert table.operations == ["channels.startMoh"]
    assert signals(table) == []
    table.finish()
    table = claimed()
    table.hangup()
    assert signals(table)[-1] == ("a1", "caller gone")
    table.finish()


def test_something_else_is_wanted_of_who_waits() -> None:
    """The place is given up, and the agent learns it."""
    table = claimed()
    replaced(table)
    assert table.operations[-1] == "channels.stopMoh"
    assert signals(table)[-1] == ("a1", "caller gone")
    left(table)
    table = waiting()
    replaced(table)
    assert signals(table) == []
    left(table)
    table = talking()
    replaced(table)
    assert signals(table)[-1] == ("a1", "caller gone")
    left(table)


def test_one_agent_gets_the_caller() -> None:
    """The second one is refused, while it is asked for and while it talks."""
    table = claimed()
    [signal] = table.signals
    assert (signal.target, signal.name) == ("a1", "claimed")
    assert signal.data == {"ok": True, "call": "1", "channel": "1", "state": "{}", "caller": "", "waitSeconds": 10.0}
    table.turn("on_signal", "claim", {"agent": "a2"})
    assert table.signals[-1].data["ok"] is False
    table.turn("on_signal", "connect", {"agent": "a2", "bridge": "b2", "state": "null"})
    table.turn("on_signal", "release", {"agent": "a2"})
    table.turn("on_signal", "gone", {"agent": "a2"})
    assert "b2" not in table.owned
    table = talking()
    table.turn("on_signal", "claim", {"agent": "a2"})
    assert table.signals[-1].data["ok"] is False


def test_the_two_talk_until_one_hangs_up() -> None:
    """The result has the agent's state, and how long was waited and talked."""
    table = talking()
    assert table.operations == ["channels.startMoh", "channels.stopMoh"]
    table.later(60)
    table.happen("ChannelLeftBridge", "a1", bridge={"id": "b1", "channels": []})
    table.turn("on_signal", "gone", {"agent": "a1"})
    assert result(table) == {
        "reason": "answered", "waitSeconds": 10.0, "talkSeconds": 60.0, "call": "a1", "state": {"name": "Ann"}}  # fmt: skip
    left(table)
    table = talking()
    table.later(5)
    table.hangup()
    assert signals(table)[-1] == ("a1", "caller gone")
    assert (result(table)["reason"], table.data()["talkSeconds"]) == ("answered", 5.0)
    table.finish()


@pytest.mark.parametrize(("type", "channel"), [("ChannelLeftBridge", "1"), ("BridgeDestroyed", "")])
def test_who_is_out_of_the_bridge_has_talked(type: str, channel: str) -> None:
    """Whoever did it; also where the agent's word is lost."""
    table = talking()
    table.happen(type, channel, bridge={"id": "b1", "channels": []})
    table.later(0.3)
    assert result(table)["reason"] == "answered"


def test_a_waiting_prompt_ends_when_the_agent_is_ready() -> None:
    """And no music begins after it."""
    table = waiting(waitUrl="/wait")
    table.later(0.1)
    table.answer([{"action": "play", "media": "sound:soon"}])
    table.turn("on_signal", "claim", {"agent": "a1"})
    table.turn("on_signal", "connect", {"agent": "a1", "bridge": "b1", "state": "null"})
    table.settle()
    assert "playbacks.stop" in table.operations
    assert len(asked(table, "channels.startMoh")) == 1
    table.later(100)
    assert table.types.count("QueueWaiting") == 1


def test_words_that_come_too_late_are_not_heard() -> None:
    """The answer to `QueueWaiting` comes when the two are already being joined."""
    table = waiting(waitUrl="/wait")
    table.later(0.1)
    table.turn("on_signal", "claim", {"agent": "a1"})
    table.turn("on_signal", "connect", {"agent": "a1", "bridge": "b1", "state": "null"})
    table.answer([{"action": "play", "media": "sound:soon"}])
    assert "channels.playWithId" not in table.operations


def test_who_is_given_back_waits_as_before() -> None:
    """Music, place and patience: after a rejection, and after a join that failed."""
    table = claimed()
    table.turn("on_signal", "release", {"agent": "a1"})
    assert table.operations[-1] == "channels.startMoh"
    table.turn("on_signal", "claim", {"agent": "a2"})
    assert table.signals[-1].data["ok"] is True
    table = connecting()
    table.turn("on_signal", "release", {"agent": "a1"})
    assert table.operations[-1] == "channels.startMoh"
    table = connecting(timeout=60, waitUrl="/wait", every=20)
    table.answer(None)
    table.later(8)
    table.turn("on_signal", "release", {"agent": "a1"})
    assert table.operations[-1] == "channels.startMoh"
    assert "b1" not in table.owned
    table.later(20)
    assert table.types.count("QueueWaiting") == 2
    table.answer(None)
    table.later(22)
    table.answer(None)
    assert result(table)["waitSeconds"] == 60.0
    table = waiting(waitUrl="/wait")
    table.later(0.1)
    table.answer([{"action": "play", "media": "sound:soon"}])
    table.turn("on_signal", "claim", {"agent": "a1"})
    table.turn("on_signal", "release", {"agent": "a1"})
    assert len(asked(table, "channels.startMoh")) == 1  # the prompt is still heard


# ---- the agent's side ----


def taking(*there: Member, **more: Any) -> Table:
    """The agent asks for the next caller."""
    table = Table(up=True, events=frozenset({"StasisStart", "CallerTaken"}))
    table.others.rooms[ROOM] = list(there or (member("c1"),))
    return table.start([{"action": "dequeue", "queue": "support"} | more])


def got(**more: Any) -> Table:
    table = taking(**more)
    table.turn("on_signal", "claimed", CLAIMED | {"ok": True})
    table.answer(None)
    return table


def bridge(table: Table) -> str:
    return str(asked(table, "bridges.createWithId")[-1]["bridgeId"])


def joined(**more: Any) -> Table:
    table = got(**more)
    table.settle()
    for channel in ("1", "c1"):
        table.happen("ChannelEnteredBridge", channel, bridge={"id": bridge(table), "channels": []})
    return table


def test_the_first_who_is_free_is_taken() -> None:
    """The highest priority, then the longest wait; one who is being asked for is left out."""
    there = [member("c1", 950), member("c2", 900), member("c3", 990, 5, claimed=True), member("c4", 980, 1)]
    assert signals(taking(*there)) == [("c4", "claim")]
    assert signals(taking(there[0], there[1])) == [("c2", "claim")]
    guest = Member("c9", "c9", 1.0, {})  # somebody in a room of that name who does not wait
    assert result(taking(guest, there[2])) == {"reason": "empty"}


def test_who_is_taken_by_another_meanwhile_is_not_waited_for() -> None:
    """The next one is asked for; also where nothing is heard of the first."""
    table = taking(member("c1", 900), member("c2", 950))
    table.others.rooms[ROOM] = [member("c1", claimed=True), member("c2", 950)]
    table.turn("on_signal", "claimed", CLAIMED | {"ok": False})
    assert signals(table) == [("c1", "claim"), ("c2", "claim")]
    table.turn("on_signal", "claimed", CLAIMED | {"ok": True})  # of c1: too late
    assert "bridges.createWithId" not in table.operations
    table.others.rooms[ROOM] = []
    table.later(8)
    assert result(table) == {"reason": "empty"}


def test_the_two_talk_and_the_agent_knows_with_whom() -> None:
    """Before they are joined, and in the result."""
    table = taking()
    table.turn("on_signal", "claimed", CLAIMED | {"ok": True})
    assert table.types[-1] == "CallerTaken"
    assert table.data() | {"action": 0} == {
        "call": "c1", "state": {"vip": True}, "caller": "100", "queue": "support", "waitSeconds": 42.0, "action": 0}  # fmt: skip
    table.answer(None)
    assert [(s.target, s.name, s.data) for s in table.signals[1:]] == [
        ("c1", "connect", {"agent": "1", "bridge": bridge(table), "state": "{}"})]  # fmt: skip
    table.settle()
    assert asked(table, "bridges.addChannel") == [{"bridgeId": bridge(table), "channel": ["1", "c1"]}]
    table.turn("on_signal", "claimed", CLAIMED | {"ok": True})
    for channel in ("1", "x", "c1"):
        table.happen("ChannelEnteredBridge", channel, bridge={"id": bridge(table), "channels": []})
    table.happen("ChannelEnteredBridge", "c1", bridge={"id": "another", "channels": []})
    table.later(30)
    table.happen("ChannelLeftBridge", "c1", bridge={"id": bridge(table), "channels": []})
    table.later(0.2)  # a moment in which a hangup is told
    assert signals(table)[-1] == ("c1", "gone")
    assert result(table) == {
        "reason": "answered", "waitSeconds": 42.0, "call": "c1", "talkSeconds": 30.1, "state": {"vip": True}}  # fmt: skip
    assert asked(table, "bridges.destroy") == [{"bridgeId": bridge(table)}]
    left(table)


def test_a_caller_who_hangs_up_ends_the_talk() -> None:
    """They need not be told."""
    table = joined()
    table.later(5)
    table.turn("on_signal", "caller gone", {"call": "c1"})
    assert (result(table)["reason"], table.data()["talkSeconds"]) == ("answered", 5.0)
    assert signals(table)[-1] == ("c1", "connect")
    table = joined()
    table.hangup()
    assert signals(table)[-1] == ("c1", "gone")
    assert result(table)["reason"] == "answered"
    table.finish()
    table = joined()
    replaced(table)
    assert signals(table)[-1] == ("c1", "gone")
    left(table)


def test_a_caller_who_hangs_up_before_has_abandoned() -> None:
    """While the agent is asked; what they hear ends."""
    table = got(whisper="sound:beep")
    assert "channels.playWithId" in table.operations
    table.turn("on_signal", "caller gone", {"call": "c1"})
    assert result(table)["reason"] == "abandoned"
    table.settle()
    assert "playbacks.stop" in table.operations
    assert signals(table) == [("c1", "claim")]


def test_the_agent_hears_something_and_is_asked() -> None:
    """Then the two are joined; that the whisper cannot be played is no reason not to."""
    confirm = [{"action": "gather", "prompt": "sound:take", "maxDigits": 1}]
    table = got(whisper="sound:beep", confirm=confirm)
    table.settle()
    table.playback("failed")
    table.later(2)
    assert len(asked(table, "channels.playWithId")) == 2
    table.settle()
    table.press("1")
    assert "bridges.createWithId" not in table.operations
    table.answer(None)
    assert "bridges.createWithId" in table.operations


@pytest.mark.parametrize("who", ["rejects", "hangs up", "is hung up", "is replaced"])
def test_an_agent_who_does_not_take_the_caller_gives_the_place_back(who: str) -> None:
    """What `confirm` asks fails, or hangs them up; they hang up; or the function wants something else of them."""
    confirm: dict[str, dict[str, Any]] = {
        "rejects": {"action": "play", "media": "sound:missing"}, "is hung up": {"action": "hangup"}}  # fmt: skip
    table = got(confirm=[confirm.get(who, {"action": "pause", "seconds": 9})])
    table.settle()
    if who == "rejects":
        table.playback("failed")
        table.later(2)
    elif who == "is replaced":
        replaced(table)
    else:
        assert ("channels.hangup" in table.operations) is (who == "is hung up")
        table.hangup()
    assert signals(table)[-1] == ("c1", "release")
    if who != "is replaced":
        assert result(table)["reason"] == ("hangup" if who == "hangs up" else "rejected")
    left(table)


@pytest.mark.parametrize("operation", ["bridges.createWithId", "bridges.addChannel"])
def test_a_join_that_is_refused_gives_the_place_back(operation: str) -> None:
    """Unless the reason was that the caller has hung up: that is told a moment later."""
    table = got()
    if operation == "bridges.addChannel":
        table.reply("bridges.createWithId", 200)
    table.reply(operation, 422, {"message": "Channel not in Stasis application"})
    table.later(5)
    assert signals(table)[-1] == ("c1", "release")
    assert table.data()["error"] == {
        "reason": "not_joined", "message": "Channel not in Stasis application", "status": 422}  # fmt: skip
    assert asked(table, "bridges.destroy") == [{"bridgeId": bridge(table)}]
    table = got()
    table.reply("bridges.createWithId", 200)
    table.reply("bridges.addChannel", 400, {"message": "Channel not found"})
    table.turn("on_signal", "caller gone", {"call": "c1"})
    assert result(table)["reason"] == "abandoned"


def test_a_caller_who_does_not_come_gives_the_place_back() -> None:
    """After eight seconds."""
    table = got()
    table.settle()
    table.later(9)
    assert signals(table)[-1] == ("c1", "release")
    assert table.data()["error"]["message"] == "the caller did not enter the bridge within 8 s"


def test_an_agent_may_take_one_after_the_other() -> None:
    """What is still said of the first does not touch the second."""
    table = joined()
    table.turn("on_signal", "caller gone", {"call": "c1"})
    assert json.loads(table.call.outbox[-1].data)["reason"] == "answered"
    table.others.rooms[ROOM] = [member("c2")]
    table.others.calls["c2"] = SimpleNamespace(id="c2", channel="c2", route="ivr", state_json=b"", tenant="")
    table.answer([{"action": "dequeue", "queue": "support"}])
    table.turn("on_signal", "caller gone", {"call": "c1"})
    assert signals(table)[-1] == ("c2", "claim")
    assert table.call.outbox == []
