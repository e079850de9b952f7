"""How a call ended is told right, by what real phones answer: dial, originate and POST /v1/calls."""

from __future__ import annotations

import json
from typing import Any

import aiohttp
import pytest
from lab.asterisk import Asterisk
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.router import Router, route
from rig.scene import far

from hookrouter.facts import CallFinished

HANGUP = {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'
ANSWERS = {
    400: "unavailable", 404: "unavailable", 410: "unavailable", 484: "unavailable", 488: "unavailable", 500: "unavailable",
    503: "unavailable", 604: "unavailable", 486: "busy", 600: "busy", 603: "rejected", 403: "rejected", 480: "noAnswer",
}  # fmt: skip


@pytest.mark.parametrize("early", [False, True], ids=["", "early media"])
async def test_what_a_phone_answers_is_what_dial_tells(
    asterisk: Asterisk, app: str, endpoint: Endpoint, early: bool
) -> None:
    """A number that does not exist is not one that does not answer."""
    told: dict[int, Any] = {}
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as router,
        UA(asterisk.sip_port) as phone,
        UA(asterisk.sip_port) as callee,
    ):
        await router.ready()
        dial = {"action": "dial", "to": far(callee), "timeout": 5, "earlyMedia": early}
        endpoint.answers["StasisStart"] = [[dial, HANGUP]]
        for count, status in enumerate(ANSWERS, 1):
            call = await phone.invite(f"app-{app}")
            (await callee.incoming()).reject(status, "No")
            done = await endpoint.wait("DialCompleted", count)
            told[status] = done.data["status"]
            assert done.data["cause"]
            await call.ended()
    assert told == ANSWERS


@pytest.mark.parametrize(
    ("answer", "status"), [(486, "busy"), (404, "unavailable"), (603, "rejected"), (0, "noAnswer")]
)
async def test_a_call_by_post_that_nobody_takes_is_told(
    asterisk: Asterisk, app: str, endpoint: Endpoint, answer: int, status: str
) -> None:
    """To its route, and to who asks for it afterwards; while it rings it is there."""
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS), serve=True) as router,
        UA(asterisk.sip_port) as callee,
        aiohttp.ClientSession(router.service.address) as http,
    ):
        await router.ready()
        wanted = {"to": far(callee), "route": "ivr", "id": f"order-{app}", "timeout": 1, "state": {"order": 4711}}
        async with http.post("/v1/calls", json=wanted) as reply:
            assert reply.status == 201
            made = await reply.json()
        ringing = await callee.incoming()
        async with http.get(f"/v1/calls/{made['id']}") as reply:
            assert (await reply.json())["ended"] is False
        if answer:
            ringing.reject(answer, "No")
        told = await endpoint.wait("OriginateCompleted")
        assert (told.data["call"], told.data["status"]) == (made["id"], status)
        assert told.data["action"] == {"action": "originate"} | wanted
        async with http.get(f"/v1/calls/{made['id']}") as reply:
            found = await reply.json()
        assert (found["ended"], found["reason"], found["route"]) == (True, status, "ivr")
        assert not endpoint.of("StasisStart")
        async with http.post("/v1/calls", json=wanted | {"to": "PJSIP/nobody", "id": f"no-{app}"}) as reply:
            assert reply.status == 422
        assert len(endpoint.of("OriginateCompleted")) == 1


async def test_a_call_by_post_that_is_taken_is_told_by_its_start(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """And by nothing else; what watched it is gone."""
    endpoint.answers["StasisStart"] = [[HANGUP]]
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS), serve=True) as router,
        UA(asterisk.sip_port) as callee,
    ):
        await router.ready()
        made = await router.service.originate(json.dumps({"to": far(callee), "route": "ivr"}).encode())
        await (await callee.incoming()).answer()
        await endpoint.wait("CallEnded", call=made["id"])
        assert not endpoint.of("OriginateCompleted")
        await router.fact(CallFinished, call=made["id"])
        assert not router.service.board.calls
