"""Flows that answer before they have run, as Power Automate, Make and Zapier do, and come back later by the router's own HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from aiohttp import web
from lab.asterisk import free_port
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import ActionFinished, CallFinished, FallbackTaken
from hookrouter.simulator import Simulator

TOKEN = "a-token-of-the-router"
ZAPIER = {"attempt": "018f", "id": "018f", "request_id": "018f", "status": "success"}
RING = 'while_waiting = [{ action = "ring" }]'
HOLD = '[routes.fallback]\nactions = [{ action = "ring" }, { action = "pause", seconds = 20 }, { action = "hangup" }]\n'
HELLO = [{"action": "answer"}, {"action": "play", "media": "sound:hello-world"}, {"action": "hangup"}]


@pytest.fixture
async def simulator() -> AsyncIterator[str]:
    async with Simulator(speed=4) as running:
        yield running.url


@pytest.mark.parametrize(
    ("answer", "more", "fallen"),
    [
        pytest.param(lambda delivery: web.Response(status=202), RING, [], id="Power Automate"),
        pytest.param(lambda delivery: web.Response(status=202, text="Accepted"), RING, [], id="Make"),
        pytest.param(lambda delivery: ZAPIER, HOLD, ["refused_answer"], id="Zapier"),
    ],
)
async def test_a_flow_that_comes_back(
    simulator: str, app_name: str, endpoint: Endpoint, answer: object, more: str, fallen: list[str]
) -> None:
    """Its actions take the place of what the caller hears meanwhile; a recording is fetched by the address in its event."""
    endpoint.answers["StasisStart"] = answer
    record = [{"action": "answer"}, {"action": "record", "maxDurationSeconds": 1, "name": "message-1"}]
    port, events = free_port(), '["StasisStart", "StasisEnd"]'
    routes, extra = route(endpoint.url, events=events, more=more), f'token = "{TOKEN}"\n'
    made = Router(simulator, app_name, routes, serve=True, listen=f"127.0.0.1:{port}", extra=extra)
    async with made as router, Pbx(simulator) as pbx:
        await router.ready()
        call = await pbx.call(app_name)
        started = await endpoint.wait("StasisStart")
        if fallen:
            await router.fact(FallbackTaken)
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as flow:
            assert (await flow.post(f"/v1/calls/{started.call}/actions", json=record)).status_code == 202
            recorded = await endpoint.wait("RecordingCompleted")
            audio = await flow.get(recorded.data["url"])
            assert (audio.status_code, audio.headers["content-type"]) == (200, "audio/wav")
            assert audio.content.startswith(b"RIFF")
            assert (await flow.get(recorded.data["url"], headers={"authorization": "Bearer another"})).status_code == 401
            assert (await flow.post(f"/v1/calls/{started.call}/actions", json=HELLO)).status_code == 202
        await router.fact(ActionFinished, verb="play", outcome="done")
        await router.fact(CallFinished, call=call.id)
        assert [fact.reason for fact in router.of(FallbackTaken)] == fallen
