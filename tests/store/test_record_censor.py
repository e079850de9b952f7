"""What of a call is not kept: values at a route's paths, and the digits of sensitive actions; that it is left out is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from rig.recording import all_bytes

from hookrouter.clock import SystemClock
from hookrouter.facts import (
    ActionFinished,
    ActionStarted,
    AriRequested,
    CallFinished,
    CallStarted,
    CallTagged,
    EventReceived,
    Exchanged,
    Fact,
    Facts,
    Warned,
)
from hookrouter.record.censor import LEFT_OUT
from hookrouter.record.finding import Query, Row
from hookrouter.record.gathering import Plan
from hookrouter.record.opening import Place
from hookrouter.record.recorder import Recorder

CARD = "4111222233334444"
CALLER = "+4930123456"
Read = Callable[[], Any]


def event(type: str, id: str = "evt_1", **more: Any) -> tuple[EventReceived, bytes]:
    raw = json.dumps({"type": type, "channel": {"id": "1.1", "caller": {"number": CALLER, "name": "Eveline"}}, **more}).encode()
    return EventReceived("main", type, id, "1.1", raw), raw


def exchanged(type: str, data: Any, answer: Any = (), id: str = "evt_1", **call: Any) -> Exchanged:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    head = json.dumps({"type": type, "call": {"id": "1.1", "caller": CALLER, **call}}).encode()
    body = head[:-1] + b', "data": ' + raw + b"}"
    return Exchanged(id, "1.1", 1, "http://ivr/", {}, body, 200, {}, json.dumps(answer).encode())


def started(verb: str = "gather", **more: Any) -> ActionStarted:
    return ActionStarted("1.1", "p1", 0, verb, json.dumps({"action": verb, **more}).encode())


BEGAN = CallStarted("1.1", "main", "app", "ivr", CALLER, "1000")
OVER = CallFinished("1.1", "main", "ivr", "hangup", 1.0)


async def kept(place: Place, facts: list[Fact], *redact: str, whole: bool = True) -> tuple[Row, str, bytes]:
    """The row of the call, all its entries as text, and every byte that is kept."""
    stream = Facts()
    recorder = Recorder(place, stream, SystemClock(), lambda route: Plan(redact=redact))
    await recorder.start()
    for fact in facts:
        stream.emit(fact)
        if not whole:
            await recorder.settled()
    found = await recorder.read("1.1")
    await recorder.stop()
    assert found is not None
    return found[0], str(found[1]), all_bytes(place)


@pytest.mark.parametrize("whole", [True, False], ids=["at-once", "one-by-one"])
async def test_digits_of_a_sensitive_gather_are_never_kept(place: Place, whole: bool) -> None:
    """As events, as webhooks, in the result, typed ahead, said again by the endpoint, and in what Asterisk is asked for."""
    facts: list[Fact] = [BEGAN, started("play", media="sound:a")]
    for index, digit in enumerate("97"):  # typed ahead
        told, raw = event("ChannelDtmfReceived", f"ahead_{index}", digit=digit)
        facts += [told, exchanged("ChannelDtmfReceived", raw, id=f"ahead_{index}")]
    facts.append(started(sensitive=True))
    for index, digit in enumerate("86"):
        told, raw = event("ChannelDtmfReceived", f"key_{index}", digit=digit)
        facts += [told, exchanged("ChannelDtmfReceived", raw, id=f"key_{index}")]
    result = {"action": {"action": "gather", "sensitive": True}, "digits": CARD, "reason": "maxDigits"}
    facts += [
        ActionFinished("1.1", "p1", 0, "gather", "done", 1.0, result="maxDigits"),
        exchanged("DigitsCollected", result, {"state": {"card": CARD}, "actions": [{"action": "say", "text": f"you typed {CARD}"}]},
                  "evt_2"),
        exchanged("PlaybackFinished", {}, state={"card": CARD}, id="evt_3"),
        AriRequested("main", "channels.setChannelVar", 204, 0.1, "ws", 1, "1.1", params={"variable": "CARD", "value": CARD}),
        Warned("endpoint", f"`{CARD}` was refused", "1.1"),
        CallTagged("1.1", {"card": CARD}),
        OVER,
    ]  # fmt: skip
    row, text, data = await kept(place, facts, whole=whole)
    assert CARD not in text
    assert CARD.encode() not in data
    assert CARD not in row.tags
    for digit in "9786":
        assert f'"digit":"{digit}"' not in text.replace(" ", "")
    assert text.count("what='ActionStarted'") == 2  # what was written before it is there once
    assert text.count(LEFT_OUT) >= 12
    assert '"maxDigits"' in text
    assert CALLER in text


async def test_what_is_not_sensitive_is_kept(place: Place) -> None:
    """Digits before and after it, in the same call."""
    told, raw = event("ChannelDtmfReceived", "key", digit="7")
    facts: list[Fact] = [
        BEGAN, started(sensitive=True), ActionFinished("1.1", "p1", 0, "gather", "done", 1.0), started(), told,
        exchanged("ChannelDtmfReceived", raw, id="key"),
        exchanged("DigitsCollected", {"action": {"action": "gather"}, "digits": "7788"}, id="evt_4"), OVER,
    ]  # fmt: skip
    _, text, _ = await kept(place, facts)
    assert '"digit": "7"' in text
    assert "7788" in text


async def test_a_call_killed_in_a_sensitive_gather_goes_on_without_digits(place: Place) -> None:
    """What was begun before counts after it."""
    stream = Facts()
    first = Recorder(place, stream, SystemClock(), lambda route: Plan())
    await first.start()
    stream.emit(BEGAN)
    stream.emit(started(sensitive=True))
    await first.settled()
    first._file.close()  # killed
    told, raw = event("ChannelDtmfReceived", "key", digit="8")
    stream = Facts()
    second = Recorder(place, stream, SystemClock(), lambda route: Plan())
    await second.start(["1.1"])
    stream.emit(told)
    stream.emit(exchanged("ChannelDtmfReceived", raw, id="key"))
    found = await second.read("1.1")
    await second.stop()
    assert found is not None
    assert '"8"' not in str(found[1])


@pytest.mark.parametrize(
    ("path", "secret", "kept_beside"),
    [
        ("channel.caller.number", CALLER, "Eveline"),
        ("channel.caller", "Eveline", "StasisStart"),
        ("channel.*.name", "Eveline", CALLER),
        ("call.caller", CALLER, "Eveline"),
        ("state.card", CARD, "shoe size"),
        ("state.*", "shoe size", CALLER),
        ("text", "good morning", "sound:a"),
        ("actions.text", "good morning", "sound:a"),
        ("note", "good morning", "sound:a"),
        ("args", "blue", "Eveline"),
    ],
)
async def test_values_at_paths_are_left_out(place: Place, path: str, secret: str, kept_beside: str) -> None:
    """In the event, the webhook that holds it, the answer, its actions, and whatever repeats them; nothing else."""
    told, raw = event("StasisStart", args=["red", "blue"])
    answer = {
        "actions": [{"action": "play", "media": "sound:a"}, {"action": "say", "text": "good morning"}],
        "state": {"card": CARD, "more": "shoe size"}, "note": "good morning",
    }  # fmt: skip
    facts: list[Fact] = [
        BEGAN, told, exchanged("StasisStart", raw, answer, state={"card": CARD, "more": "shoe size"}),
        AriRequested("main", "channels.get", 200, 0.1, "ws", 1, "1.1", reply=raw),
        ActionStarted("1.1", "p1", 0, "say", b'{"action":"say","text":"good morning"}'), OVER,
    ]  # fmt: skip
    row, text, data = await kept(place, facts, path)
    assert secret not in text.replace(f"'{path}'", "")
    assert secret.encode() not in data
    assert LEFT_OUT in text
    assert kept_beside in text
    if secret == CALLER and path in ("channel.caller.number", "call.caller"):
        assert row.caller == LEFT_OUT


async def test_what_is_left_out_is_not_found(place: Place) -> None:
    """Neither by its words nor as the caller."""
    told, raw = event("StasisStart")
    stream = Facts()
    recorder = Recorder(place, stream, SystemClock(), lambda route: Plan(redact=("channel.caller.number",)))
    await recorder.start()
    for fact in (BEGAN, told, exchanged("StasisStart", raw), OVER):
        stream.emit(fact)
    assert not await recorder.find(Query(text=CALLER))
    assert not await recorder.find(Query(caller=CALLER))
    assert len(await recorder.find(Query())) == 1
    await recorder.stop()
