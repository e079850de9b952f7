"""What is one request or one word to somebody: its parameters, on a table."""

from __future__ import annotations

from typing import Any

import pytest
from rig.table import URL, Table

from hookrouter.actions.base import error_message
from hookrouter.ari.client import Reply
from hookrouter.calls.effects import Push


@pytest.mark.parametrize(
    ("action", "operation", "params"),
    [
        ({"action": "deviceState", "device": "Stasis:a", "state": "BUSY"}, "deviceStates.update",
         {"deviceName": "Stasis:a", "deviceState": "BUSY"}),
        ({"action": "mailbox", "mailbox": "1@d", "newMessages": 2}, "mailboxes.update",
         {"mailboxName": "1@d", "oldMessages": 0, "newMessages": 2}),
        ({"action": "sendMessage", "to": "pjsip:a/sip:c@h", "from": "sip:b", "body": "x", "variables": {"A": "b"}},
         "endpoints.sendMessage",
         {"to": "pjsip:a/sip:c@h", "from": "sip:b", "body": "x", "variables": {"A": "b"}}),
        ({"action": "sendMessage", "to": "xmpp:a", "from": "sip:b"}, "endpoints.sendMessage",
         {"to": "xmpp:a", "from": "sip:b", "body": ""}),
        ({"action": "userEvent", "eventName": "e", "variables": {"A": "b"}}, "events.userEvent",
         {"eventName": "e", "application": "app", "source": "channel:1", "variables": {"A": "b"}}),
        ({"action": "userEvent", "eventName": "e"}, "events.userEvent",
         {"eventName": "e", "application": "app", "source": "channel:1"}),
        ({"action": "sendDtmf", "dtmf": "1#", "between": 50}, "channels.sendDTMF", {"channelId": "1", "dtmf": "1#", "between": 50}),
        ({"action": "mute"}, "channels.mute", {"channelId": "1", "direction": "both"}),
        ({"action": "unmute", "direction": "in"}, "channels.unmute", {"channelId": "1", "direction": "in"}),
        ({"action": "hold"}, "channels.hold", {"channelId": "1"}),
        ({"action": "moh", "mohClass": "jazz"}, "channels.startMoh", {"channelId": "1", "mohClass": "jazz"}),
        ({"action": "moh"}, "channels.startMoh", {"channelId": "1"}),
        ({"action": "ringStop"}, "channels.ringStop", {"channelId": "1"}),
        ({"action": "progress"}, "channels.progress", {"channelId": "1"}),
    ],
)  # fmt: skip
def test_one_request_with_what_was_given(action: Any, operation: str, params: Any) -> None:
    """Complete when Asterisk has taken it; no result is sent."""
    table = Table(up=True, events=frozenset({"StasisStart"})).start([action])
    assert [(p.operation, p.params) for p in table.asked] == [(operation, params)]
    assert table.outcomes() == []
    table.reply(status=204)
    assert table.outcomes() == [(action["action"], "done")]
    assert table.types == ["StasisStart"]


@pytest.mark.parametrize(
    "action",
    [
        {"action": "sendMessage", "to": "pjsip:alice", "from": "sip:b"},
        {"action": "endpoints.sendMessage", "to": "PJSIP:alice", "from": "sip:b"},
        {"action": "endpoints.sendMessageToEndpoint", "tech": "PJSIP", "resource": "alice", "from": "sip:b"},
        {"action": "endpoints.refer", "to": "pjsip:alice", "from": "sip:b", "refer_to": "sip:c@h"},
        {"action": "endpoints.referToEndpoint", "tech": "pjsip", "resource": "alice", "from": "sip:b", "refer_to": "sip:c@h"},
    ],
    ids=lambda action: action["action"],
)
@pytest.mark.parametrize("state", ["online", "offline", "there is none"])
def test_whether_an_endpoint_can_be_reached_is_asked_first(action: dict[str, Any], state: str) -> None:
    """One that cannot gets nothing: Asterisk would crash where it has no `aors`."""
    table = Table(up=True, scope="any").start([action])
    (question,) = table.asked
    assert (question.operation, question.params) == ("endpoints.get", {"tech": "PJSIP", "resource": "alice"})
    if state == "there is none":
        table.reply(status=404, body={"message": "Endpoint not found"})
        table.turn("on_timer", next(key for key in table.call.timers if key.endswith("~doubt")))
    else:
        table.reply(status=200, body={"technology": "PJSIP", "resource": "alice", "state": state})
    sent = [perform.operation for perform in table.asked if perform.operation.startswith("endpoints.") and perform is not question]
    if state == "online":
        wanted = action["action"] if "." in action["action"] else "endpoints.sendMessage"
        assert sent == [wanted]
        table.reply(status=202)
        assert table.outcomes() == [(action["action"], "done")]
    else:
        assert sent == []
        assert table.outcomes() == [(action["action"], "failed")]


def test_an_operation_on_others_is_not_asked_for_without_leave() -> None:
    table = Table(up=True).start([{"action": "endpoints.sendMessage", "to": "pjsip:a", "from": "sip:b"}])
    assert table.asked == []
    assert table.outcomes() == [("endpoints.sendMessage", "failed")]


def test_notify_is_a_durable_delivery_beside_the_call() -> None:
    """To a url of the route's origin, or to a route; the program does not wait for it."""
    table = Table(up=True)
    table.turn("begin", table.event("StasisStart", state="Ring"))
    effects = table.answer(
        [{"action": "notify", "url": "/log", "body": {"a": 1}}, {"action": "notify", "route": "crm", "body": 2}, {"action": "ring"}]
    )
    pushed = [effect for effect in effects if isinstance(effect, Push)]
    assert [(p.url, p.route, p.body) for p in pushed] == [("http://127.0.0.1/log", "", b'{"a": 1}'), ("", "crm", b"2")]
    assert len({p.id for p in pushed}) == 2
    assert URL.startswith("http://127.0.0.1/")
    assert table.operations == ["channels.ring"]


@pytest.mark.parametrize(
    ("reply", "reason", "message"),
    [
        (Reply(400, b'{"message":"no"}'), "refused", "no"),
        (Reply(422, b"<html>"), "refused", "<html>"),
        (Reply(503, b""), "asterisk_error", ""),
        (Reply(0, b"", "unreachable"), "unreachable", "Asterisk did not reply; whether it was done is not known"),
        (Reply(0, b"reset", "unknown"), "unknown", "reset"),
    ],
)
def test_a_failure_has_asterisks_own_words(reply: Reply, reason: str, message: str) -> None:
    """And one word to decide by."""
    table = Table(up=True).start([{"action": "ring"}])
    table.turn("on_reply", next(iter(table.call.requests)), reply)
    assert table.data()["error"] == {"status": reply.status or None, "reason": reason, "message": message}


def test_what_is_no_json_is_told_shortened() -> None:
    """As text, whatever its bytes."""
    assert error_message(Reply(500, b"\xff" + b"x" * 500)) == "\ufffd" + "x" * 199


def test_a_channel_that_asterisk_cannot_use_now_is_a_conflict() -> None:
    """It is looked whether the caller is still there, first."""
    table = Table(up=True).start([{"action": "ring"}])
    table.reply("channels.ring", 409, {"message": "Channel not in Stasis application"})
    table.reply("channels.get", 200)
    table.later(1.1)
    assert table.data()["error"]["reason"] == "conflict"
