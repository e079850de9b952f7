"""dial on the real Asterisk: who answers first, who never does, and what is left of it (nothing)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import CallFinished

EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'
ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}


def far(extension: str) -> str:
    return f"Local/{extension}@callers/n"


def router(asterisk: Asterisk, app: str, endpoint: Endpoint) -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=EVENTS))


@pytest.mark.parametrize(
    ("to", "status"),
    [
        pytest.param(far("busy"), "busy", id="busy"),
        pytest.param(far("ring"), "noAnswer", id="never answers"),
        pytest.param("PJSIP/nobody-of-this-name", "unavailable", id="no such endpoint"),
        pytest.param([far("busy"), far("ring")], "busy", id="together"),
        pytest.param([[far("busy")], [far("ring")]], "busy", id="one after another"),
    ],
)
async def test_nobody_comes(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, to: Any, status: str
) -> None:
    """The result says why, and the program goes on."""
    endpoint.answers["StasisStart"] = [[{"action": "dial", "to": to, "timeout": 1}]]
    endpoint.answers["DialCompleted"] = [[HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        done = await endpoint.wait("DialCompleted")
        assert done.data["status"] == status
        assert done.data["talkSeconds"] == 0
        await running.fact(CallFinished)
        await pbx.gone(call.id, call.far)
    assert not [id for id in await pbx.channels() | await pbx.bridges() if id.startswith("hr-") and call.id in id]


async def test_the_first_who_answers_talks_until_they_hang_up(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """The other leg stops ringing; the result has the talk time and the endpoint."""
    endpoint.answers["StasisStart"] = [[{"action": "dial", "to": [far("ring"), far("answer-hangup")]}, HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        done = await endpoint.wait("DialCompleted")
        assert done.data["status"] == "answered"
        assert done.data["endpoint"] == far("answer-hangup")
        assert 0.5 < done.data["talkSeconds"] < 2
        await endpoint.wait("CallEnded")
        await pbx.gone(call.id, call.far)
    left = await pbx.channels() | await pbx.bridges()
    assert not [id for id in left if call.id in id]


async def test_the_two_hear_each_other(asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx) -> None:
    """A digit that the callee sends arrives at the caller."""
    endpoint.answers["StasisStart"] = [[{"action": "dial", "to": far("dtmf-9")}, HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        assert await call.heard_digit() == "9"
        await call.hangup()
        done = await endpoint.wait("DialCompleted")
        assert done.data["status"] == "answered"
        assert done.data["reason"] == "hangup"
        await running.fact(CallFinished)


async def test_every_leg_stops_when_the_caller_hangs_up(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """Within 500 ms."""
    endpoint.answers["StasisStart"] = [[{"action": "dial", "to": [far("ring"), far("ring")]}]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        async with asyncio.timeout(5):
            while len(legs := [id for id in await pbx.channels() if id.startswith(f"hr-leg-{call.id}")]) < 2:
                await asyncio.sleep(0.01)
        await call.hangup()
        await pbx.gone(*legs, timeout=0.5)
        done = await endpoint.wait("DialCompleted")
        assert done.data["status"] == "cancelled"
        await running.fact(CallFinished)


async def test_screening_a_callee_who_presses_nothing_is_not_connected(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """The actions of `confirm` run on the leg; a hangup in them rejects, and the next group rings."""
    press_one = {
        "action": "gather", "prompt": "sound:beep", "validDigits": "1", "timeout": 0.7,
        "branches": {"1": [], "default": [HANGUP]},
    }  # fmt: skip
    endpoint.answers["StasisStart"] = [
        [{"action": "dial", "to": [[far("wait")], [far("dtmf-1")]], "confirm": [press_one]}, HANGUP]
    ]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        await call.answered()
        legs = {id for id in await pbx.channels() if id.startswith(f"hr-leg-{call.id}") and not id.endswith(";2")}
        assert len(legs) == 1
        await pbx.together(call.id, *legs)
        await call.hangup()
        done = await endpoint.wait("DialCompleted")
        assert done.data["status"] == "answered"
        assert done.data["endpoint"] == far("dtmf-1")
        await running.fact(CallFinished)


async def test_a_time_limit_ends_the_talk_and_a_recording_is_told(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """The file is closed before the result comes."""
    endpoint.answers["StasisStart"] = [
        [ANSWER, {"action": "dial", "to": far("talk"), "timeLimit": 1, "record": True, "announce": "sound:beep"}, HANGUP]
    ]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        await pbx.call(app)
        done = await endpoint.wait("DialCompleted")
        assert done.data["reason"] == "timeLimit"
        assert 0.9 < done.data["talkSeconds"] < 1.5
        recorded = endpoint.of("RecordingCompleted")
        assert len(recorded) == 1
        assert recorded[0].data["name"] in str(list(asterisk.spool.rglob("*.wav")))
        await endpoint.wait("CallEnded")


async def test_early_media_is_heard_before_the_answer(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """The leg is joined before it rings; busy is told at once, and the answer makes it a talk."""
    dial = {"action": "dial", "earlyMedia": True, "timeout": 5}
    endpoint.answers["StasisStart"] = [
        [dial | {"to": far("busy")}, HANGUP],
        [dial | {"to": far("answer-hangup")}, HANGUP],
    ]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        for status in ("busy", "answered"):
            call = await pbx.call(app)
            done = await endpoint.wait("DialCompleted", call=call.id)
            assert done.data["status"] == status
            await running.fact(CallFinished, call=call.id)
            await pbx.gone(call.id, call.far)
    left = await pbx.channels() | await pbx.bridges()
    assert not [id for id in left if id.startswith("hr-") and app in id]
