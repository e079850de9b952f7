"""Keys at a real phone: each belongs to who asked for it, and counts once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA, Call
from rig.endpoint import Endpoint
from rig.router import Router, route
from rig.scene import far, hears

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
ASK = {"action": "gather", "prompt": "sound:hello-world", "maxDigits": 1, "timeout": 3, "id": "after"}
EVENTS = '["StasisStart", "StasisEnd"]'


@asynccontextmanager
async def calling(asterisk: Asterisk, app: str, endpoint: Endpoint, *steps: Any) -> AsyncIterator[Call]:
    """A phone that has called, and is answered by these actions."""
    endpoint.answers["StasisStart"] = [[ANSWER, *steps, HANGUP]]
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as router,
        UA(asterisk.sip_port) as phone,
    ):
        await router.ready()
        yield await (await phone.invite(f"app-{app}")).answered()


async def asked_afresh(call: Call, endpoint: Endpoint) -> None:
    """The question after it is heard from its beginning, waits, and takes the key that is pressed then."""
    before = len(call.rtp.sound)
    await call.rtp.until(lambda: len(call.rtp.sound) >= before + 20, 8)
    answered = len(endpoint.of("DigitsCollected"))
    assert not [d for d in endpoint.of("DigitsCollected") if d.data["action"]["id"] == "after"]
    await call.press("3")
    told = await endpoint.wait("DigitsCollected", answered + 1)
    assert (told.data["digits"], told.data["reason"]) == ("3", "maxDigits")
    await call.ended()


async def test_the_key_that_ends_a_recording_is_used_up(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """`#` ends it, and does not end the question after it."""
    record = {"action": "record", "terminateOn": "#", "maxDurationSeconds": 10}
    async with calling(asterisk, app, endpoint, record, ASK) as call:
        await call.rtp.tone(440, 0.6)
        await call.press("5#")
        await endpoint.wait("RecordingCompleted")
        await asked_afresh(call, endpoint)


async def test_the_key_behind_a_complete_entry_is_part_of_it(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """`1234#` where four digits are enough: the question after it is heard."""
    pin = {"action": "gather", "prompt": "sound:vm-options", "maxDigits": 4, "id": "pin"}
    async with calling(asterisk, app, endpoint, pin, ASK) as call:
        await call.press("1234#")
        told = await endpoint.wait("DigitsCollected")
        assert (told.data["digits"], told.data["reason"]) == ("1234", "maxDigits")
        await asked_afresh(call, endpoint)


async def test_keys_are_typed_ahead_from_prompt_to_prompt(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """A PIN with its key and the choice after it, while the first prompt is heard."""
    pin = {"action": "gather", "prompt": "sound:vm-options", "maxDigits": 4, "id": "pin"}
    async with calling(asterisk, app, endpoint, {"action": "play", "media": "sound:hello-world"}, pin, ASK) as call:
        await call.press("1234#2")
        first, second = await endpoint.wait("DigitsCollected"), await endpoint.wait("DigitsCollected", 2)
        assert (first.data["digits"], second.data["digits"]) == ("1234", "2")
        await call.ended()


TALKS: dict[str, Any] = {
    "dial": {"action": "dial", "timeLimit": 1.2},
    "bridge": {"action": "bridge", "name": "talk", "timeLimit": 1.2},
    "conference": {"action": "conference", "name": "talk", "exitOn": "*"},
    "enqueue": {"action": "enqueue", "queue": "talk", "timeout": 1.2},
    "dialplan": {"action": "dialplan", "context": "subs", "extension": "pause"},
}


@pytest.mark.parametrize("verb", TALKS)
async def test_keys_of_a_talk_answer_no_question_after_it(
    asterisk: Asterisk, app: str, endpoint: Endpoint, verb: str
) -> None:
    """Pressed while the caller talks, waits, or is in the dialplan."""
    async with UA(asterisk.sip_port) as callee:
        talk = TALKS[verb] | ({"to": far(callee)} if verb == "dial" else {})
        async with calling(asterisk, app, endpoint, talk, ASK) as call:
            if verb == "dial":
                await (await callee.incoming()).answer()
                await hears(call, callee.calls[next(iter(callee.calls))], 440)
            await call.press("7#*" if verb == "conference" else "7#")
            await asked_afresh(call, endpoint)
