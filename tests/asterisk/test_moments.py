"""What a callee's phone does in the moment in which the two are joined: nobody is left alone, and the two hear each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.router import Router, route
from rig.talk import both_hear, nothing_left

from hookrouter.facts import CallFinished

EVENTS = '["StasisStart", "DialCompleted", "CallEnded"]'
HANGUP = {"action": "hangup"}
KEY = {"action": "gather", "maxDigits": 1, "timeout": 5, "branches": {"1": [], "default": [HANGUP]}}
CONFIRMS: dict[str, list[dict[str, Any]]] = {
    "a key": [KEY],
    "a prompt and a key": [{"action": "play", "media": "sound:hello-world"}, KEY],
    "a recording and a key": [{"action": "record", "maxDurationSeconds": 1, "terminateOn": "none"}, KEY],
}


@pytest.fixture(scope="module")
def asterisk(asterisk: Asterisk) -> Iterator[Asterisk]:
    """One of these tests' own: what others have left behind does not count."""
    with Asterisk() as running:
        yield running


@asynccontextmanager
async def router(asterisk: Asterisk, app: str, endpoint: Endpoint) -> AsyncIterator[Router]:
    async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running:
        yield await running.ready()
        await nothing_left(asterisk)


@pytest.mark.parametrize("early", [False, True], ids=["", "early media"])
@pytest.mark.parametrize("what", list(CONFIRMS))
async def test_who_is_asked_is_heard_by_nobody_and_then_talks(
    asterisk: Asterisk, app: str, endpoint: Endpoint, what: str, early: bool
) -> None:
    """`confirm`, also where the leg was in the bridge for its early media."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two:
        async with router(asterisk, app, endpoint):
            dial = {"action": "dial", "to": f"PJSIP/far/{two.address}", "earlyMedia": early, "confirm": CONFIRMS[what]}
            endpoint.answers["StasisStart"] = [[dial, HANGUP]]
            caller = await one.invite(f"app-{app}")
            agent = await two.incoming()
            agent.ring()
            await agent.answer()
            for _ in range(12):  # the question may not be asked yet
                await agent.press("1")
            await caller.answered()
            await both_hear(caller, agent)
            await agent.hangup()
            assert (await endpoint.wait("DialCompleted")).data["status"] == "answered"
            await caller.ended()


@pytest.mark.parametrize("early", [False, True], ids=["", "early media"])
@pytest.mark.parametrize("change", ["hold and back", "another codec", "hangs up"])
async def test_in_the_moment_of_the_join(
    asterisk: Asterisk, app: str, endpoint: Endpoint, change: str, early: bool
) -> None:
    """A re-INVITE or a BYE right behind the answer."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two:
        async with router(asterisk, app, endpoint) as running:
            dial = {"action": "dial", "to": f"PJSIP/far/{two.address}", "earlyMedia": early}
            endpoint.answers["StasisStart"] = [[dial, HANGUP]]
            caller = await one.invite(f"app-{app}")
            agent = await two.incoming()
            agent.ring()
            await agent.answer()
            await agent.until(lambda: agent.acknowledged)
            if change == "hangs up":
                await agent.hangup()
                assert (await endpoint.wait("DialCompleted")).data["status"] in ("answered", "noAnswer", "unavailable")
            else:
                agent.reinvite(**({"direction": "sendonly"} if change == "hold and back" else {"codecs": "8 0"}))
                await agent.until(lambda: agent.reinvited)
                agent.reinvite()
                await agent.until(lambda: len(agent.reinvited) == 2)
                await caller.answered()
                await both_hear(caller, agent)
                await agent.hangup()
                assert (await endpoint.wait("DialCompleted")).data["status"] == "answered"
            await caller.ended()
            await running.fact(CallFinished)
