"""Notify routes are told causes before results, whatever the cause and whatever comes of it."""

from __future__ import annotations

from typing import Any

import pytest
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import CallFinished

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}

CHAINS: list[tuple[str, list[Any], str, str]] = [
    ("a hangup", [ANSWER, HANGUP], "StasisEnd", "CallEnded"),
    ("a prompt", [ANSWER, {"action": "play", "media": "sound:beep"}, HANGUP], "PlaybackFinished", "PlayCompleted"),
    ("a recording", [ANSWER, {"action": "record", "maxDurationSeconds": 1, "ifExists": "overwrite"}, HANGUP], "RecordingFinished",
     "RecordingCompleted"),
    ("a refusal", [{"action": "dial", "to": "Local/busy@callers"}, HANGUP], "ChannelDestroyed", "DialCompleted"),
    ("a talk", [ANSWER, {"action": "dial", "to": "Local/answer-hangup@callers"}, HANGUP], "ChannelLeftBridge", "DialCompleted"),
    ("a missing sound", [ANSWER, {"action": "play", "media": "sound:no-such", "onError": "stop"}], "PlaybackFinished", "ActionFailed"),
]  # fmt: skip


@pytest.mark.parametrize(("actions", "cause", "result"), [pytest.param(*rest, id=name) for name, *rest in CHAINS])
async def test_the_cause_is_told_first(
    pbx: Pbx, app_name: str, endpoint: Endpoint, actions: list[Any], cause: str, result: str
) -> None:
    """By the number in `call.sequence`, which is the order in which they were told."""
    async with Endpoint() as told:
        endpoint.answers["StasisStart"] = [actions, [HANGUP]]
        endpoint.answers["ActionFailed"] = [[HANGUP]]
        routes = route(endpoint.url) + route(told.url, name="crm", events='["*"]', more='mode = "notify"')
        async with Router(pbx.url, app_name, routes) as running:
            await running.ready()
            call = await pbx.call(app_name)
            await running.fact(CallFinished, call=call.id)
            await told.wait("CallEnded", call=call.id)
            of = await told.wait(result, call=call.id)
            before = await told.wait(cause, call=call.id)
            assert before.body["call"]["sequence"] < of.body["call"]["sequence"]
