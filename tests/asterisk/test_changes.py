"""Phones that transfer a talk: it goes on with the new party, nobody is cut off, and no party becomes a second call."""

from __future__ import annotations

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
from rig.talk import both_hear, handed_on, nothing_left

from hookrouter.facts import CallFinished, CallStarted

EVENTS = '["StasisStart", "StasisEnd", "DialCompleted", "CallEnded", "BridgeCompleted", "ConferenceCompleted"]'
HANGUP = {"action": "hangup"}
MENU = [{"action": "answer"}, {"action": "play", "media": "sound:demo-congrats"}, HANGUP]


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


async def joined(asterisk: Asterisk, app: str, endpoint: Endpoint, caller: UA, agent: UA, **more: Any) -> tuple[Call, Call]:
    """Caller and agent talk, by `dial`; whoever calls next is played a menu."""
    dial = {"action": "dial", "to": f"PJSIP/far/{agent.address}", "timeout": 8} | more
    endpoint.answers["StasisStart"] = [[dial, {"action": "play", "media": "sound:beep"}, HANGUP], MENU]
    calling = await caller.invite(f"app-{app}")
    leg = await agent.incoming()
    await leg.answer()
    await calling.answered()
    await both_hear(calling, leg)
    return calling, leg


async def consulted(agent: UA, expert: UA) -> tuple[Call, Call]:
    """The agent's phone has called the expert's; both halves."""
    second = await agent.invite(f"direct-{expert.port}")
    third = await expert.incoming()
    await third.answer()
    await second.answered()
    return second, third


@pytest.mark.parametrize("record", [False, True])
async def test_the_callees_phone_transfers_blind_and_the_caller_talks_on(
    asterisk: Asterisk, app: str, endpoint: Endpoint, record: bool
) -> None:
    """With the third party, until one hangs up; then the program goes on. There was one call."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint) as running:
            caller, agent = await joined(asterisk, app, endpoint, one, two, record=record)
            agent.refer_to(one.at(f"direct-{three.port}"))
            third = await three.incoming()
            await third.answer()
            await both_hear(caller, third)
            await handed_on(agent)
            await both_hear(caller, third)
            await third.hangup()
            done = await endpoint.wait("DialCompleted")
            assert (done.data["status"], done.data["reason"]) == ("answered", "hangup")
            assert (done.data["transferred"], done.data["transferredTo"]) == (True, f"direct-{three.port}")
            assert done.data["talkSeconds"] > 0.5
            await caller.ended()
            await running.fact(CallFinished)
            assert len(running.of(CallStarted)) == len(endpoint.of("StasisStart")) == len(endpoint.of("StasisEnd")) == 1


async def test_the_caller_hangs_up_after_a_transfer_and_the_third_is_hung_up(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """Nobody is left alone in a bridge."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint):
            caller, agent = await joined(asterisk, app, endpoint, one, two)
            agent.refer_to(one.at(f"direct-{three.port}"))
            third = await three.incoming()
            await third.answer()
            await both_hear(caller, third)
            await caller.hangup()
            await third.ended()
            assert (await endpoint.wait("DialCompleted")).data["transferred"] is True


async def test_a_third_who_does_not_answer_ends_the_talk(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """The caller's program goes on."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint):
            caller, agent = await joined(asterisk, app, endpoint, one, two)
            agent.refer_to(one.at(f"direct-{three.port}"))
            (await three.incoming()).reject(480, "Temporarily Unavailable")
            assert (await endpoint.wait("DialCompleted")).data["transferred"] is True
            await caller.ended()


async def test_a_transfer_back_into_the_app_is_a_call_of_its_own(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """The caller hears its menu; what the dialplan brings in is a call, what takes the agent's place is none."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two:
        async with router(asterisk, app, endpoint) as running:
            caller, agent = await joined(asterisk, app, endpoint, one, two)
            mark = len(caller.rtp.sound)
            agent.refer_to(one.at(f"app-{app}"))
            await endpoint.wait("StasisStart", 2)
            await caller.rtp.until(lambda: len(caller.rtp.sound) >= mark + 50, 5)
            await caller.hangup()
            await endpoint.wait("CallEnded", 2)
            assert len(running.of(CallStarted)) == len(endpoint.of("StasisStart")) == 2


async def test_a_transfer_to_asterisks_own_queue(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """The caller waits there and talks to its agent."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint):
            caller, agent = await joined(asterisk, app, endpoint, one, two)
            agent.refer_to(one.at(f"queue-{three.port}"))
            third = await three.incoming()
            await third.answer()
            await both_hear(caller, third)
            await third.hangup()
            assert (await endpoint.wait("DialCompleted")).data["transferredTo"] == f"queue-{three.port}"
            await caller.ended()


@pytest.mark.parametrize("swapped", [False, True], ids=["REFER in the first talk", "REFER in the second talk"])
async def test_the_callees_phone_transfers_attended(
    asterisk: Asterisk, app: str, endpoint: Endpoint, swapped: bool
) -> None:
    """REFER with Replaces: the caller talks to whom the agent has asked."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint) as running:
            caller, agent = await joined(asterisk, app, endpoint, one, two)
            agent.reinvite(direction="sendonly")
            second, third = await consulted(two, three)
            if swapped:
                second.refer_to(one.at("1001"), agent)
            else:
                agent.refer_to(one.at(f"direct-{three.port}"), second)
            await handed_on(second if swapped else agent)
            await both_hear(caller, third)
            await third.hangup()
            done = await endpoint.wait("DialCompleted")
            assert done.data["transferred"] is True
            assert done.data["transferredTo"]
            await caller.ended()
            await running.fact(CallFinished)
            assert len(running.of(CallStarted)) == 1


@pytest.mark.parametrize("attended", [False, True], ids=["blind", "attended"])
async def test_the_callers_phone_transfers_and_the_callee_is_not_cut_off(
    asterisk: Asterisk, app: str, endpoint: Endpoint, attended: bool
) -> None:
    """The call goes on with who has taken the caller's place, under its own id."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint) as running:
            caller, agent = await joined(asterisk, app, endpoint, one, two)
            if attended:
                second, third = await consulted(one, three)
                caller.refer_to(one.at(f"direct-{three.port}"), second)
            else:
                caller.refer_to(one.at(f"direct-{three.port}"))
                third = await three.incoming()
                await third.answer()
            await handed_on(caller)
            await both_hear(agent, third)
            assert not endpoint.of("StasisEnd")
            await agent.hangup()
            done = await endpoint.wait("DialCompleted")
            assert (done.data["transferred"], done.data["talkSeconds"] > 0.5) == (True, True)
            await third.ended()  # it has heard the beep in the caller's place
            await running.fact(CallFinished)
            assert len(running.of(CallStarted)) == len(endpoint.of("StasisStart")) == len(endpoint.of("StasisEnd")) == 1


@pytest.mark.parametrize(
    ("who", "attended"), [pytest.param("caller", False, id="caller, blind"), pytest.param("callee", True, id="callee, attended"),
                          pytest.param("caller", True, id="caller, attended")],
)  # fmt: skip
async def test_a_phone_transfers_while_the_router_is_dead(
    app: str, endpoint: Endpoint, tmp_path: Path, who: str, attended: bool
) -> None:
    """In listen mode Asterisk keeps what happened: the talk goes on meanwhile, and the next router knows who is in it."""
    process = RouterProcess(tmp_path, "", app, route(endpoint.url, events=EVENTS), mode="listen")
    with Asterisk(listen={app: f"ws://127.0.0.1:{process.port}/ari/main"}) as asterisk:
        async with process, UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
            caller, agent = await joined(asterisk, app, endpoint, one, two)
            phone, call, stays = (one, caller, agent) if who == "caller" else (two, agent, caller)
            second = third = None
            if attended:
                second, third = await consulted(phone, three)
            process.kill()
            call.refer_to(one.at(f"direct-{three.port}"), second)
            if third is None:
                third = await three.incoming()
                await third.answer()
            await handed_on(call)
            await both_hear(stays, third)
            process.start()
            await process.ready()
            await both_hear(stays, third)
            await (agent if who == "caller" else third).hangup()
            done = await endpoint.wait("DialCompleted")
            assert (done.data["status"], done.data["transferred"]) == ("answered", True)
            await (third if who == "caller" else caller).ended()  # it has heard the beep in the caller's place
            await endpoint.wait("CallEnded")
            assert len(endpoint.of("StasisStart")) == 1
            assert len({d.call for d in endpoint.received}) == 1
            await nothing_left(asterisk)


async def test_a_transfer_while_no_router_is_connected_is_refused_and_the_talk_goes_on(
    asterisk: Asterisk, app: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    """In connect mode nobody can enter the app then; Asterisk tells the phone so, and the call ends as ever."""
    process = RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url, events=EVENTS))
    async with process, UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        caller, agent = await joined(asterisk, app, endpoint, one, two)
        process.kill()
        caller.refer_to(one.at(f"direct-{three.port}"))
        await caller.until(lambda: any("503" in line for line in caller.progress))
        await both_hear(caller, agent)
        process.start()
        await process.ready()
        await both_hear(caller, agent)
        await agent.hangup()
        done = await endpoint.wait("DialCompleted")
        assert (done.data["status"], "transferred" in done.data) == ("answered", False)
        await endpoint.wait("CallEnded")
        await nothing_left(asterisk)  # Asterisk sends this phone no BYE any more
        assert len(endpoint.of("StasisStart")) == 1


@pytest.mark.parametrize("verb", ["bridge", "conference"])
async def test_who_is_transferred_out_of_a_room_is_followed_by_who_takes_the_place(
    asterisk: Asterisk, app: str, endpoint: Endpoint, verb: str
) -> None:
    """Also where neither is a leg of the other's."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as three:
        async with router(asterisk, app, endpoint) as running:
            endpoint.answers["StasisStart"] = [[{"action": "answer"}, {"action": verb, "name": "team"}, HANGUP]]
            first = await (await one.invite(f"app-{app}")).answered()
            second = await (await two.invite(f"app-{app}")).answered()
            await both_hear(first, second)
            first.refer_to(one.at(f"direct-{three.port}"))
            third = await three.incoming()
            await third.answer()
            await handed_on(first)
            await both_hear(second, third)
            assert not endpoint.of("BridgeCompleted") + endpoint.of("ConferenceCompleted")
            await third.hangup()
            await running.fact(CallFinished)
            await second.hangup()
            await endpoint.wait("CallEnded", 2)
            assert len(running.of(CallStarted)) == 2
