"""A called phone that forwards, is picked up elsewhere, or is one of several: who answers is who talks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA, Call
from rig.endpoint import Endpoint
from rig.process import RouterProcess
from rig.router import Router, route
from rig.talk import both_hear, nothing_left

from hookrouter.facts import CallFinished, CallStarted, FallbackTaken

EVENTS = '["StasisStart", "StasisEnd", "DialCompleted", "TransferCompleted", "OriginateCompleted", "CallEnded"]'
HANGUP = {"action": "hangup"}


@pytest.fixture(scope="module")
def asterisk(asterisk: Asterisk) -> Iterator[Asterisk]:
    """One of these tests' own: what others have left behind does not count."""
    with Asterisk() as running:
        yield running


@asynccontextmanager
async def router(asterisk: Asterisk, app: str, endpoint: Endpoint, **more: Any) -> AsyncIterator[Router]:
    async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS), **more) as running:
        yield await running.ready()
        await nothing_left(asterisk)


async def ringing(app: str, endpoint: Endpoint, caller: UA, agent: UA, **more: Any) -> tuple[Call, Call]:
    """The caller dials the agent, whose phone rings."""
    dial = {"action": "dial", "to": f"PJSIP/far/{agent.address}", "timeout": 10} | more
    endpoint.answers["StasisStart"] = [[dial, HANGUP], [{"action": "answer"}, {"action": "pause", "seconds": 20}]]
    calling = await caller.invite(f"app-{app}")
    leg = await agent.incoming()
    leg.ring()
    await calling.until(lambda: {180, 183} & set(calling.statuses))
    return calling, leg


async def ends_well(endpoint: Endpoint, caller: Call, winner: Call, **more: Any) -> None:
    await caller.answered()
    await both_hear(caller, winner)
    await winner.hangup()
    done = await endpoint.wait("DialCompleted")
    assert (done.data["status"], done.data["reason"]) == ("answered", "hangup")
    await caller.ended()


@pytest.mark.parametrize("early", [False, True], ids=["", "early media"])
async def test_a_phone_that_forwards_is_followed(
    asterisk: Asterisk, app: str, endpoint: Endpoint, early: bool
) -> None:
    """302: the caller talks to who answers there."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint) as running:
            caller, agent = await ringing(app, endpoint, one, two, earlyMedia=early)
            agent.redirect(one.at(f"direct-{three.port}"))
            third = await three.incoming()
            third.ring()
            await third.answer()
            await ends_well(endpoint, caller, third)
            await running.fact(CallFinished)
            assert len(running.of(CallStarted)) == 1


async def test_a_forwarded_phone_that_nobody_answers_counts_as_such(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """And it stops ringing."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint):
            caller, agent = await ringing(app, endpoint, one, two, timeout=2)
            agent.redirect(one.at(f"direct-{three.port}"))
            third = await three.incoming()
            assert (await endpoint.wait("DialCompleted")).data["status"] == "noAnswer"
            await third.ended()
            await caller.ended()


async def test_a_phone_that_forwards_to_nowhere_is_unavailable(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """The program goes on at once."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two:
        async with router(asterisk, app, endpoint):
            caller, agent = await ringing(app, endpoint, one, two)
            agent.redirect(one.at("nowhere"))
            assert (await endpoint.wait("DialCompleted", timeout=4)).data["status"] == "unavailable"
            await caller.ended()


async def test_a_phone_that_forwards_back_to_us_makes_a_second_call(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """What the dialplan brings into the app is a call; the caller talks to it."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two:
        async with router(asterisk, app, endpoint) as running:
            caller, agent = await ringing(app, endpoint, one, two)
            agent.redirect(one.at(f"app-{app}"))
            await caller.answered()
            await endpoint.wait("StasisStart", 2)
            await caller.hangup()
            await endpoint.wait("CallEnded", 2)
            assert len(running.of(CallStarted)) == 2


@pytest.mark.parametrize("early", [False, True], ids=["", "early media"])
@pytest.mark.parametrize("how", ["pickup", "grab-far", "*8"])
async def test_a_colleague_picks_the_ringing_phone_up(
    asterisk: Asterisk, app: str, endpoint: Endpoint, how: str, early: bool
) -> None:
    """The colleague talks; the phone stops ringing."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint) as running:
            caller, agent = await ringing(app, endpoint, one, two, earlyMedia=early)
            colleague = await (await three.invite(how)).answered()
            await agent.ended()
            await ends_well(endpoint, caller, colleague)
            await running.fact(CallFinished)
            assert len(running.of(CallStarted)) == 1


async def test_who_picks_up_is_asked_as_well(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """`confirm` runs on the colleague's phone."""
    asked = {"action": "gather", "maxDigits": 1, "timeout": 4, "branches": {"1": [], "default": [HANGUP]}}
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint):
            caller, _ = await ringing(app, endpoint, one, two, confirm=[asked])
            colleague = await (await three.invite("pickup")).answered()
            await colleague.press("1")
            await ends_well(endpoint, caller, colleague)


async def test_a_transfer_that_is_picked_up(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """The verb `transfer` rings a phone; a colleague answers it."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint):
            transfer = {"action": "transfer", "to": f"PJSIP/far/{two.address}"}
            endpoint.answers["StasisStart"] = [[{"action": "answer"}, transfer, HANGUP]]
            caller = await (await one.invite(f"app-{app}")).answered()
            agent = await two.incoming()
            agent.ring()
            await agent.until(lambda: agent.incoming is not None)
            colleague = await (await three.invite("pickup")).answered()
            await both_hear(caller, colleague)
            await colleague.hangup()
            assert (await endpoint.wait("TransferCompleted")).data["status"] == "transferred"
            await caller.ended()


@pytest.mark.parametrize("change", ["picked up", "forwarded"])
async def test_a_call_that_we_make_is_answered_elsewhere(
    asterisk: Asterisk, app: str, endpoint: Endpoint, change: str
) -> None:
    """`POST /v1/calls`: its id stays, its actions run for who answers."""
    async with UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint) as running:
            body = {"to": f"PJSIP/far/{two.address}", "id": app, "route": "ivr",
                    "actions": [{"action": "play", "media": "sound:hello-world"}, HANGUP]}  # fmt: skip
            made = await running.service.originate(json.dumps(body).encode())
            agent = await two.incoming()
            agent.ring()
            if change == "forwarded":
                agent.redirect(two.at(f"direct-{three.port}"))
                who = await three.incoming()
                await who.answer()
            else:
                who = await (await three.invite("pickup")).answered()
            await who.ended()
            assert len(who.rtp.sound) > 30
            ended = await endpoint.wait("CallEnded")
            assert ended.call == made["id"]


@pytest.mark.parametrize(
    ("asked_by", "moved"), [pytest.param("the control API", False, id="at once"), pytest.param("an action", True, id="kept")]
)
async def test_a_call_that_we_make_is_forwarded_and_the_router_killed(
    asterisk: Asterisk, app: str, endpoint: Endpoint, tmp_path: Path, asked_by: str, moved: bool
) -> None:
    """While the second phone rings: who answers there is the call that was asked for, under its id."""
    wanted = {"to": "", "id": app, "route": "ivr", "actions": [{"action": "play", "media": "sound:hello-world"}, HANGUP]}
    endpoint.answers["StasisStart"] = lambda delivery: [
        {"action": "answer"}, {"action": "originate", "wait": False} | wanted, {"action": "pause", "seconds": 60}]  # fmt: skip
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        wanted["to"] = f"PJSIP/far/{two.address}"
        async with RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url, events=EVENTS)) as running:
            id = f"hr-call-{app}."
            if asked_by == "an action":
                caller = await (await one.invite(f"app-{app}")).answered()
            else:
                assert (await running.post("/v1/calls", wanted))["id"] == id
            agent = await two.incoming()
            agent.ring()
            agent.redirect(two.at(f"direct-{three.port}"))
            third = await three.incoming()
            third.ring()
            if moved:
                async with asyncio.timeout(5):
                    while (await running.get(f"/v1/calls/{id}")).get("channel") in (id, None):
                        await asyncio.sleep(0.01)
                await running.get("/v1/calls/nobody")  # who reads the journal waits for all that it is to keep
            running.kill()
            running.start()
            await running.ready()
            ringing = await running.get(f"/v1/calls/{id}")
            assert (ringing["ended"], ringing["up"], moved <= (ringing["channel"] != id)) == (False, False, True)
            await third.answer()
            await third.ended()
            assert len(third.rtp.sound) > 30
            await endpoint.wait("CallEnded", call=id)
            if asked_by == "an action":
                assert (await endpoint.wait("OriginateCompleted")).data["status"] == "answered"
                await caller.hangup()
        await nothing_left(asterisk)


@pytest.mark.parametrize("early", [False, True], ids=["", "early media"])
async def test_all_phones_of_one_name_ring_and_the_first_talks(
    asterisk: Asterisk, app: str, endpoint: Endpoint, early: bool
) -> None:
    """Two registrations; the one that loses stops ringing."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port, "alice") as two, UA(asterisk.sip_port, "alice") as three:
        async with router(asterisk, app, endpoint):
            await two.register()
            await three.register()
            endpoint.answers["StasisStart"] = [[{"action": "dial", "to": "PJSIP/alice", "earlyMedia": early}, HANGUP]]
            for winner, loser in ((two, three), (three, two)):
                endpoint.received.clear()
                caller = await one.invite(f"app-{app}")
                wins, loses = await winner.incoming(), await loser.incoming()
                wins.ring()
                loses.ring()
                await wins.answer()
                await loses.ended()
                await ends_well(endpoint, caller, wins)
            await two.register(0)
            await three.register(0)


async def test_two_endpoints_in_one_are_refused_at_their_place(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """`PJSIP/a&PJSIP/b`: the remedy is a list."""
    async with UA(asterisk.sip_port) as one:
        async with router(asterisk, app, endpoint) as running:
            endpoint.answers["StasisStart"] = [[{"action": "dial", "to": "PJSIP/alice&PJSIP/bob"}, HANGUP]]
            caller = await one.invite(f"app-{app}")
            await running.fact(FallbackTaken)
            told = [str(fact) for fact in running.facts if "takes a list" in str(fact)]
            assert told
            assert "/0/to" in told[0]
            await caller.hangup()
