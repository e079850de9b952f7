"""spy: who hears whom, at real phones, and which calls of which routes may be heard."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA, Call
from rig.endpoint import Delivery, Endpoint
from rig.router import Router, route
from rig.talk import silent, talk

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "DialCompleted", "SpyCompleted"]'
CALLER, AGENT, SPY = 440, 1000, 1500  # hertz, as each of them speaks


@contextlib.asynccontextmanager
async def line_open(*calls: Call) -> AsyncIterator[None]:
    """They say nothing, and send that, as phones do: Asterisk puts a whisper into what passes."""

    async def say_nothing(call: Call) -> None:
        while True:
            await call.rtp.tone(0, 0.1)

    speaking = [asyncio.create_task(say_nothing(call)) for call in calls]
    try:
        yield
    finally:
        for task in speaking:
            task.cancel()
        await asyncio.gather(*speaking, return_exceptions=True)


@pytest.mark.parametrize(
    ("how", "hears", "heard_by"),
    [
        pytest.param({}, "both", "", id="listen, the default"),
        pytest.param({"mode": "whisper"}, "both", "caller", id="whisper"),
        pytest.param({"mode": "barge"}, "both", "caller agent", id="barge"),
        pytest.param({"spy": "in"}, "caller", "", id="what the caller says"),
        pytest.param({"spy": "out", "whisper": "in"}, "agent", "agent", id="what the caller hears, and as if they said it"),
    ],
)
async def test_who_hears_whom(
    asterisk: Asterisk, app: str, endpoint: Endpoint, how: dict[str, Any], hears: str, heard_by: str
) -> None:
    """Of a talk by `dial`, and a third who listens in on the caller's line."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running:
            await running.ready()
            endpoint.answers["StasisStart"] = [[{"action": "dial", "to": f"PJSIP/far/{two.address}"}, HANGUP]]
            caller = await one.invite(f"app-{app}")
            agent = await two.incoming()
            await agent.answer()
            await caller.answered()
            await talk((caller, agent, CALLER), (agent, caller, AGENT))
            spied = endpoint.of("StasisStart")[0].call
            endpoint.answers["StasisStart"] = [[ANSWER, {"action": "spy", "call": spied} | how, HANGUP]]
            spy = await (await three.invite(f"app-{app}")).answered()
            await talk(*((phone, spy, hertz) for name, phone, hertz in (("caller", caller, CALLER), ("agent", agent, AGENT))
                         if hears in (name, "both")))  # fmt: skip
            for name, phone, hertz in (("caller", caller, CALLER), ("agent", agent, AGENT)):
                if hears not in (name, "both"):
                    await silent(phone, spy, hertz)
                if name in heard_by:
                    async with line_open(caller, agent):
                        await talk((spy, phone, SPY))
                else:
                    await silent(spy, phone, SPY)
            await talk((caller, agent, CALLER), (agent, caller, AGENT))  # as before
            await spy.hangup()
            assert (await endpoint.wait("SpyCompleted")).data["reason"] == "hangup"
            await talk((caller, agent, CALLER), (agent, caller, AGENT))
            await agent.hangup()
            await caller.ended()


@pytest.mark.parametrize(
    ("scope", "same", "allowed"),
    [
        pytest.param("call", True, True, id="the same route"),
        pytest.param("call", False, False, id="another route"),
        pytest.param("any", False, True, id="another route, scope any"),
    ],
)
async def test_which_calls_may_be_heard(
    asterisk: Asterisk, app: str, endpoint: Endpoint, scope: str, same: bool, allowed: bool
) -> None:
    """One of another route is refused in words, and nothing of it is heard."""
    routes = route(endpoint.url, name="spies", events=EVENTS, more=f'scope = "{scope}"\nmatch = {{ channel.caller.number = "2002" }}')
    routes += route(endpoint.url, name="others", events=EVENTS)
    spied: list[str] = []

    def start(delivery: Delivery) -> Any:
        if not spied:
            spied.append(delivery.call)
            return [ANSWER, {"action": "pause", "seconds": 60}]
        return [ANSWER, {"action": "spy", "call": spied[0]}, HANGUP]

    endpoint.answers["StasisStart"] = start
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two:
        async with Router(asterisk.url, app, routes) as running:
            await running.ready()
            heard = await (await one.invite(f"app-{app}", "2002" if same else "1001")).answered()
            await endpoint.wait("StasisStart")
            spy = await (await two.invite(f"app-{app}", "2002")).answered()
            if allowed:
                await talk((heard, spy, CALLER))
                await heard.hangup()
                assert (await endpoint.wait("SpyCompleted")).data["reason"] == "hangup"
            else:
                error = (await endpoint.wait("ActionFailed")).data["error"]
                assert (error["reason"], 'scope = "any"' in error["message"]) == ("forbidden", True)
            await spy.ended()
