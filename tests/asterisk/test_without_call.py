"""Events that belong to no call, on the real Asterisk: a control route that names them is asked, and its answer is done."""

from __future__ import annotations

import asyncio
from typing import Any

from lab.asterisk import Asterisk
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import CallStarted, DeliveryFinished, FallbackTaken


async def test_a_text_message_is_answered_by_a_text_message(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """The function hears what was said and by whom, and its answer arrives at the phone; there is no call in it."""
    async with UA(asterisk.sip_port) as phone:
        reply: dict[str, Any] = {"action": "sendMessage", "to": f"pjsip:far/{phone.address}", "from": "sip:pbx@127.0.0.1"}
        endpoint.answers["TextMessageReceived"] = [[reply | {"body": "We open at nine"}]]
        routes = route(endpoint.url, events='["TextMessageReceived"]')
        async with Router(asterisk.url, app, routes, subscribe='["endpoint:PJSIP"]') as router:
            await router.ready()
            phone.message("When do you open?")
            asked = await endpoint.wait("TextMessageReceived")
            assert asked.data["message"]["body"] == "When do you open?"
            assert "call" not in asked.body
            async with asyncio.timeout(5):
                assert await phone.messages.get() == "We open at nine"
            await _empty(router)
            assert not router.of(CallStarted)
            assert router.service.calls() == []


async def test_a_device_calls_somebody(asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx) -> None:
    """`originate` makes a call of it; the call belongs to the route and ends as calls do."""
    lamp = f"Stasis:{app}"
    endpoint.answers["DeviceStateChanged"] = lambda delivery: (
        [{"action": "originate", "to": "Local/wait@callers", "actions": [{"action": "hangup"}], "wait": False}]
        if delivery.data["device_state"] == {"name": lamp, "state": "RINGING"}
        else []
    )
    routes = route(endpoint.url, events='["StasisStart", "DeviceStateChanged", "CallEnded"]')
    async with Router(asterisk.url, app, routes, subscribe=f'["deviceState:{lamp}"]') as router:
        await router.ready()
        await pbx.ari("PUT", f"deviceStates/{lamp}", deviceState="RINGING")
        await endpoint.wait("CallEnded")
        await _empty(router)
        assert len(router.of(CallStarted)) == 1


async def test_an_answer_that_needs_a_call_is_refused_whole(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """Nothing of it runs, the fault has its place, and nobody is given a fallback."""
    lamp = f"Stasis:{app}"
    endpoint.answers["DeviceStateChanged"] = [[{"action": "notify", "url": "/x", "body": 1}, {"action": "answer"}]]
    routes = route(endpoint.url, events='["StasisStart", "DeviceStateChanged"]')
    async with Router(asterisk.url, app, routes, subscribe=f'["deviceState:{lamp}"]') as router:
        await router.ready()
        await pbx.ari("PUT", f"deviceStates/{lamp}", deviceState="BUSY")
        taken = await router.fact(FallbackTaken)
        assert taken.kind == "none"
        refused = router.of(DeliveryFinished)[0]
        assert "/1/action" in refused.detail
        assert "`answer` needs a call" in refused.detail
        await _empty(router)
    assert not endpoint.of("Notify")


async def test_all_events_of_a_call_are_not_those_of_no_call(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """A control route with `*` is not asked about devices; a notify route is told."""
    lamp = f"Stasis:{app}"
    routes = route(endpoint.url, events='["*"]')
    routes += route(f"{endpoint.url}/told", name="told", more='mode = "notify"', events='["DeviceStateChanged"]')
    async with Router(asterisk.url, app, routes, subscribe=f'["deviceState:{lamp}"]') as router:
        await router.ready()
        await pbx.ari("PUT", f"deviceStates/{lamp}", deviceState="BUSY")
        told = await endpoint.wait("DeviceStateChanged")
        assert told.path.endswith("/told")
        assert len(endpoint.of("DeviceStateChanged")) == 1


async def _empty(router: Router) -> None:
    """Nothing is kept of an event that has been answered."""
    async with asyncio.timeout(5):
        while len(router.service.board):
            await asyncio.sleep(0.01)
