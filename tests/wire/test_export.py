"""A recorded call as a script: what was real is simulated, and nothing of it differs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from rig.endpoint import Endpoint
from rig.pbx import Caller, Pbx
from rig.router import Router, route

from hookrouter.facts import ActionFinished, ActionStarted, CallFinished
from hookrouter.record.script import script_of
from hookrouter.service.recorded import read_record
from hookrouter.simulator.playing_out import Play
from hookrouter.simulator.script import Script, read_script
from hookrouter.simulator.setting import for_routes

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
MENU = {"action": "gather", "prompt": ["sound:vm-enter-num-to-call"], "maxDigits": 2, "timeout": 10, "interDigitTimeout": 5}
EVENTS = '["StasisStart", "StasisEnd", "DialCompleted", "DigitsCollected", "ActionFailed"]'


def dial(to: str) -> dict[str, Any]:
    return {"action": "dial", "to": to, "timeout": 10}


async def presses(router: Router, call: Caller) -> None:
    """Two keys at the menu, whoever they lead to is busy, and the endpoint hangs up."""
    await router.fact(ActionStarted, call=call.id, verb="gather")
    await call.press("12")


async def talks(router: Router, call: Caller) -> None:
    """The caller hangs up while they talk to somebody."""
    await call.answered()
    await call.pbx.event("ChannelDtmfReceived", call.far)  # the callee presses 5
    await call.hangup()


async def leaves(router: Router, call: Caller) -> None:
    """The caller hangs up in the middle of a prompt that was said twice."""
    await router.fact(ActionFinished, call=call.id, verb="play", outcome="done")
    await call.hangup()


WAYS: list[Any] = [
    pytest.param({"StasisStart": [ANSWER, MENU], "DigitsCollected": [dial("Local/busy@callers")], "DialCompleted": [HANGUP]},
                 presses, "endpoint", ["1", "2"], id="keys-and-busy"),
    pytest.param({"StasisStart": [ANSWER, dial("Local/dtmf-5@callers")]}, talks, "caller", [], id="a-talk"),
    pytest.param({"StasisStart": [ANSWER, {"action": "play", "media": "sound:beep"}, {"action": "play", "media": "sound:beep"},
                                  {"action": "play", "media": "sound:demo-congrats"}, HANGUP]}, leaves, "caller", [], id="leaves"),
]  # fmt: skip


@pytest.mark.parametrize(("answers", "act", "by", "keys"), WAYS)
async def test_a_recorded_call_runs_as_a_script(
    pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint, tmp_path: Path, answers: dict[str, Any], act: Any, by: str,
    keys: list[str],
) -> None:  # fmt: skip
    """Its expectations are met by the endpoint that it was recorded with, and not by one that answers something else."""
    for type, answer in answers.items():
        endpoint.answers[type] = lambda d, answer=answer: answer
    async with Router(pbx_url, app_name, route(endpoint.url, events=EVENTS)) as router:
        await router.ready()
        call = await pbx.call(app_name, number="+4930123456", args="sales,2")
        await act(router, call)
        await router.fact(CallFinished, call=call.id)
        found = await router.service.record(call.id)
        await call.hangup()
        await pbx.gone(call.id, call.far)
    assert found is not None
    path = tmp_path / "call.toml"
    path.write_text(script_of(*read_record(found)))
    script = read_script(path)
    assert script.expect.ended_by == by
    assert [step.press for step in script.steps if step.press] == keys

    async def problems(script: Script) -> list[str]:
        result = await Play("", script, speed=4.0, setting=for_routes(router.config, ["ivr"])).run()
        return [problem.text() for problem in result.problems]

    assert await problems(script) == [], path.read_text()
    hello = [ANSWER, {"action": "play", "media": "sound:hello-world"}, HANGUP]
    endpoint.answers["StasisStart"] = lambda delivery: hello
    assert any("expect.actions" in problem for problem in await problems(script))
