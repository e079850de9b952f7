"""The same IVR in every language: it answers what the router takes, refuses what is not signed, and carries a whole call."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from typing import Any

import httpx
from examples.serving import COMMANDS, SECRET, Served
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.actions.decode import decode_answer
from hookrouter.delivery.envelope import CallContext, envelope
from hookrouter.delivery.signing import parse_secret, sign
from hookrouter.facts import ActionFinished, ActionStarted, CallFinished, DeliveryAttempted, DeliveryFinished

_NOW = "2026-11-23T01:21:20.227Z"


def _signed(body: bytes, secret: str = SECRET, at: int | None = None) -> dict[str, str]:
    at = int(time.time()) if at is None else at
    signature = "v1,b3RoZXI= " + sign("evt_1", at, body, [parse_secret(secret)])
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(at), "webhook-signature": signature}
    return headers | {"content-type": "application/json"}


def _event(type: str, data: dict[str, Any], state: bytes = b'{"number":"100"}') -> bytes:
    call = CallContext("1.1", "main", "hookrouter", "ivr", 1, state)
    return envelope("evt_1", type, _NOW, json.dumps(data, ensure_ascii=False).encode(), call)


def _post(ivr: Served, body: bytes, headers: dict[str, str]) -> httpx.Response:
    return httpx.post(ivr.url, content=body, headers=headers, trust_env=False)


def _play(media: str) -> dict[str, Any]:
    return {"action": "play", "media": media}


_MENU = {
    "action": "gather",
    "prompt": ["sound:hello-world", "sound:vm-press", "digits:1", "sound:vm-press", "digits:2"],
    "validDigits": ["1", "2"],
    "timeout": 8,
    "tries": 2,
}
_RECORD = {"action": "record", "beep": True, "maxSilenceSeconds": 3, "maxDurationSeconds": 60, "terminateOn": "#"}
_GOODBYE = [_play("sound:vm-goodbye"), {"action": "hangup"}]
_CHANNEL = {"channel": {"name": "PJSIP/Jürgen 日本-1", "caller": {"name": "", "number": "100"}}}
_TOLD: list[tuple[bytes, Any]] = [
    (_event("StasisStart", _CHANNEL, b"{}"), {"actions": [{"action": "answer"}, _MENU], "state": {"number": "100"}}),
    (_event("DigitsCollected", {"digits": "1", "reason": "valid"}), {"actions": [_play("digits:100"), _MENU]}),
    (_event("DigitsCollected", {"digits": "1", "reason": "valid"}, b"{}"), {"actions": [_play("digits:0"), _MENU]}),
    (_event("DigitsCollected", {"digits": "1", "reason": "valid"}, b'{"number":""}'), {"actions": [_play("digits:0"), _MENU]}),
    (
        _event("DigitsCollected", {"digits": "1", "reason": "valid"}, b'{"number":"1,recording:voicemail/2"}'),
        {"actions": [_play("digits:12"), _MENU]},
    ),
    (
        _event("DigitsCollected", {"digits": "1", "reason": "valid"}, b'{"number":"+49 (30) 1*2#"}'),
        {"actions": [_play("digits:49301*2#"), _MENU]},
    ),
    (_event("DigitsCollected", {"digits": "1", "reason": "valid"}, b'{"number":"alice"}'), {"actions": [_play("digits:0"), _MENU]}),
    (_event("DigitsCollected", {"digits": "2", "reason": "valid"}), {"actions": [_play("sound:vm-leavemsg"), _RECORD]}),
    (_event("DigitsCollected", {"digits": "", "reason": "timeout"}), {"actions": _GOODBYE}),
    (_event("RecordingCompleted", {"name": "message", "duration": 3}), {"actions": [_play("recording:message"), *_GOODBYE]}),
    (_event("ActionFailed", {"error": {}}), {"actions": [{"action": "hangup"}]}),
    (_event("StasisEnd", {}), {"actions": []}),
]


def test_a_whole_conversation(ivr: Served) -> None:
    """Menu, number, message, goodbye: each answer is that of the others, and one that the router takes."""
    for body, wanted in _TOLD:
        response = _post(ivr, body, _signed(body))
        assert response.status_code == 200, response.text
        assert response.json() == wanted
        decode_answer(response.content, response.headers["content-type"], first=True)
    body = envelope("evt_1", "DeviceStateChanged", _NOW, b"{}", None)
    response = _post(ivr, body, _signed(body))
    assert response.status_code in (200, 204)
    assert not decode_answer(response.content, response.headers.get("content-type", "")).steps


def test_a_repeated_delivery_gets_the_same_answer(ivr: Served) -> None:
    """Also when it is signed anew, a second later, as a retry is."""
    body, _ = _TOLD[0]
    now = int(time.time())
    first, again = _post(ivr, body, _signed(body, at=now - 1)), _post(ivr, body, _signed(body, at=now))
    assert first.json() == again.json()


def test_a_wrong_signature_is_refused(ivr: Served) -> None:
    """Another key, too old, of tomorrow, another body, no headers, headers without a sense."""
    body, now = _event("StasisEnd", {}), int(time.time())
    refused = [
        (body, _signed(body, "whsec_YW5vdGhlciBzZWNyZXQhIQ==")),
        (body, _signed(body, at=now - 400)),
        (body, _signed(body, at=now + 400)),
        (body + b" ", _signed(body)),
        (body + b"\n", _signed(body)),
        (body, {"content-type": "application/json"}),
        (body, _signed(body) | {"webhook-timestamp": "soon"}),
        (body, _signed(body) | {"webhook-signature": ""}),
        (body, _signed(body) | {"webhook-signature": "v1,"}),
    ]
    assert [_post(ivr, raw, headers).status_code for raw, headers in refused] == [401] * len(refused)


async def _one_call(router: Router, pbx: Pbx, app: str, language: str) -> list[tuple[str, str]]:
    """The caller hears their number, speaks a message and ends it with #; the verbs, and how each ended."""
    caller = await pbx.call(app, args=language, number="4711")
    await router.fact(ActionStarted, call=caller.id, verb="gather", index=1, timeout=60)
    await caller.press("1")
    await router.fact(ActionStarted, call=caller.id, verb="gather", index=3, timeout=60)
    await caller.press("2")
    await router.fact(ActionStarted, call=caller.id, verb="record", timeout=60)
    await pbx.ari("POST", f"channels/{caller.far}/play", media="sound:hello-world")
    await caller.press("#")  # its turn comes when those words are spoken
    finished = await router.fact(CallFinished, call=caller.id, timeout=60)
    assert finished.route == language
    await router.fact(DeliveryFinished, call=caller.id, type="StasisEnd", timeout=60)
    tried = [(fact.type, fact.status) for fact in router.of(DeliveryAttempted) if fact.call == caller.id]
    told = ["StasisStart", "DigitsCollected", "DigitsCollected", "RecordingCompleted", "StasisEnd"]
    assert tried == [(type, 200) for type in told]
    (number,) = [fact.action for fact in router.of(ActionStarted) if fact.call == caller.id and fact.index == 2]
    assert json.loads(number)["media"] == "digits:4711"
    program = next(fact.program for fact in router.of(ActionStarted) if fact.call == caller.id)  # prompts have their own
    mine = [fact for fact in router.of(ActionFinished) if (fact.call, fact.program) == (caller.id, program)]
    return [(fact.verb, fact.outcome) for fact in mine]


async def test_a_call_from_end_to_end(pbx: Pbx, served: Callable[[str], Served]) -> None:
    """All languages at once, each with a caller of its own."""
    app = f"app{secrets.token_hex(4)}"
    more = f'secret = "{SECRET}"\ntimeout = 10\ndeadline = 20'  # all at once, on a machine with two cores
    routes = [route(served(name).url, name=name, more=f'{more}\nmatch = {{ args = ["{name}"] }}') for name in COMMANDS]
    async with Router(pbx.url, app, "".join(routes)) as router:
        await router.ready()
        heard = await asyncio.gather(*(_one_call(router, pbx, app, name) for name in COMMANDS), return_exceptions=True)
    verbs = ["answer", "gather", "play", "gather", "play", "record", "play", "play", "hangup"]
    wanted = [(verb, "done") for verb in verbs]
    assert dict(zip(COMMANDS, heard, strict=True)) == dict.fromkeys(COMMANDS, wanted)
