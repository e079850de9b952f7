"""What single verbs promise, at the far end: variables, mute, recordings, queues."""

from __future__ import annotations

from typing import Any

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route
from rig.scene import deaf, far, hears

from hookrouter.facts import ActionFinished

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'


def router(asterisk: Asterisk, app: str, endpoint: Endpoint, **more: Any) -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=EVENTS), **more)


async def test_an_empty_value_removes_the_variable(asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx) -> None:
    """It is null afterwards; a function is written to."""
    names = ["A", "CALLERID(name)"]
    endpoint.answers["StasisStart"] = [
        [
            ANSWER, {"action": "setVariable", "variables": {"A": "1", "CALLERID(name)": "Bob"}},
            {"action": "getVariable", "variables": names},
            {"action": "setVariable", "variables": {"A": "", "CALLERID(name)": ""}},
            {"action": "getVariable", "variables": names}, HANGUP,
        ]
    ]  # fmt: skip
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        await pbx.call(app)
        before, after = await endpoint.wait("VariableRead"), await endpoint.wait("VariableRead", 2)
        assert before.data["values"] == {"A": "1", "CALLERID(name)": "Bob"}
        assert after.data["values"] == {"A": None, "CALLERID(name)": ""}


async def test_who_only_listens_to_a_conference_is_heard_after_unmute_and_after_it(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """`mute` of the conference, taken back by the verb; and by leaving."""
    member = {"action": "conference", "name": app, "exitOn": "*"}
    again = [ANSWER, member | {"mute": True}, member | {"id": "again"}, HANGUP]
    endpoint.answers["StasisStart"] = [[ANSWER, member], again]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        speaker = await (await phone.invite(f"app-{app}")).answered()
        listener = await (await phone.invite(f"app-{app}")).answered()
        id = (await endpoint.wait("StasisStart", 2)).call
        await hears(speaker, listener, 440)
        await deaf(listener, speaker, 700)
        running.service.act(id, b'{"actions": [{"action": "unmute", "direction": "in"}], "mode": "parallel"}')
        await hears(listener, speaker, 700)
        running.service.act(id, b'{"actions": [{"action": "mute", "direction": "in"}], "mode": "parallel"}')
        await running.fact(ActionFinished, verb="mute")
        await hears(speaker, listener, 440)
        await deaf(listener, speaker, 700)
        await listener.press("*")
        await endpoint.wait("ConferenceCompleted", call=id)
        await hears(listener, speaker, 1000)


async def test_an_agent_whose_confirm_hangs_up_has_rejected(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """And the caller keeps their place."""
    programs = {
        "caller": [ANSWER, {"action": "enqueue", "queue": app}],
        "agent": [ANSWER, {"action": "dequeue", "queue": app, "confirm": [HANGUP]}],
    }
    endpoint.answers["StasisStart"] = lambda delivery: programs[delivery.data["args"][0]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        caller = await pbx.call(app, args="caller")
        await caller.answered()
        agent = await pbx.call(app, args="agent")
        done = await endpoint.wait("QueueCompleted", call=agent.id)
        assert (done.data["reason"], done.data["call"]) == ("rejected", caller.id)
        assert not endpoint.of("QueueCompleted", caller.id)


@pytest.mark.parametrize("verb", ["record", "startRecording", "dial"])
async def test_a_recordings_duration_is_that_of_its_file(
    asterisk: Asterisk, app: str, endpoint: Endpoint, verb: str
) -> None:
    """To the millisecond, not in whole seconds."""
    async with (
        router(asterisk, app, endpoint) as running,
        UA(asterisk.sip_port) as phone,
        UA(asterisk.sip_port) as callee,
    ):
        await running.ready()
        steps: list[Any] = {
            "record": [{"action": "record", "terminateOn": "#"}],
            "startRecording": [{"action": "startRecording"}, {"action": "gather", "maxDigits": 1}],
            "dial": [{"action": "dial", "to": far(callee), "record": True}],
        }[verb]
        endpoint.answers["StasisStart"] = [[ANSWER, *steps, HANGUP]]
        call = await (await phone.invite(f"app-{app}")).answered()
        if verb == "dial":
            other = await callee.incoming()
            await other.answer()
            await hears(call, other, 440)
        await call.rtp.tone(440, 1.5)
        await call.press("#")
        if verb == "dial":
            await call.hangup()
        done = await endpoint.wait("RecordingCompleted")
        path = asterisk.spool / "recording" / f"{done.data['name']}.wav"
        seconds = (path.stat().st_size - 44) / 16_000
        assert done.data["duration"] == pytest.approx(seconds, abs=0.001)


async def test_a_call_copies_fetches_and_deletes_its_own_recordings(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """Without any grant; somebody else's it does not."""
    file = f"{app}-voice"
    endpoint.answers["StasisStart"] = [
        [
            ANSWER, {"action": "record", "name": file, "terminateOn": "#"},
            {"action": "recordings.copyStored", "recordingName": file, "destinationRecordingName": f"{file}-copy"},
            {"action": "recordings.getStored", "recordingName": f"{file}-copy"},
            {"action": "play", "media": f"recording:{file}-copy"},
            {"action": "recordings.deleteStored", "recordingName": file},
            {"action": "recordings.getStored", "recordingName": file, "onError": "continue"},
            {"action": "recordings.deleteStored", "recordingName": "of-somebody-else", "id": "others"},
        ]
    ]  # fmt: skip
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.rtp.tone(440, 0.6)
        await call.press("#")
        failed = await endpoint.wait("ActionFailed")
        assert failed.data["action"].get("id") == "others", failed.data
        assert failed.data["error"]["reason"] == "forbidden"
        assert len(call.rtp.sound) > 10
        assert (asterisk.spool / "recording" / f"{file}-copy.wav").exists()
        assert not (asterisk.spool / "recording" / f"{file}.wav").exists()
        await call.ended()
