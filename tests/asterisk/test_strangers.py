"""What enters the app and is no caller: texts, calls that are over, and who pretends to be a leg of ours."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.router import Router, route
from rig.talk import both_hear, nothing_left

from hookrouter.facts import CallFinished, CallStarted, Warned

EVENTS = '["StasisStart", "StasisEnd", "ChannelDtmfReceived", "TextMessageReceived", "CallEnded"]'
ANSWER: dict[str, Any] = {"action": "answer"}
HANGUP = {"action": "hangup"}


@pytest.fixture(scope="module")
def asterisk(asterisk: Asterisk) -> Iterator[Asterisk]:
    """One of these tests' own: what others have left behind does not count."""
    with Asterisk() as running:
        yield running


async def test_a_text_that_reaches_the_app_is_let_go_and_the_next_one_comes_through(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """It is no call; each is delivered as the text that it is, where a route names that; one warning names the line."""
    async with UA(asterisk.sip_port) as phone:
        subscribe = '["endpoint:PJSIP"]'
        async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS), subscribe=subscribe) as running:
            await running.ready()
            for count in range(1, 4):
                phone.message(f"number {count}", to=f"app-{app}")
                told = await endpoint.wait("TextMessageReceived", count)
                assert told.data["message"]["body"] == f"number {count}"
            await running.fact(Warned, subject="dialplan")
            assert not running.of(CallStarted)
            assert not endpoint.of("StasisStart") + endpoint.of("StasisEnd")
            [warned] = [fact for fact in running.of(Warned) if fact.subject == "dialplan"]
            assert f"extension app-{app}" in warned.message
            assert "message_context" in warned.message


@pytest.mark.parametrize("ends", ["the caller hangs up", "we do", "it goes on in the dialplan"])
async def test_the_extension_h_makes_no_second_call(
    asterisk: Asterisk, app: str, endpoint: Endpoint, ends: str
) -> None:
    """Of a pattern that fits it: one warning names the line and the remedy."""
    last = {"we do": [HANGUP], "it goes on in the dialplan": [{"action": "continue"}]}.get(ends, [])
    endpoint.answers["StasisStart"] = [[ANSWER, *last]]
    async with UA(asterisk.sip_port) as phone, Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running:
        await running.ready()
        for _ in range(2):
            call = await (await phone.invite(f"loose-{app}")).answered()
            if not last:
                await call.hangup()
            await call.ended()
        await endpoint.wait("CallEnded", 2)
        await nothing_left(asterisk)
        assert len(running.of(CallStarted)) == len(endpoint.of("StasisStart")) == len(endpoint.of("StasisEnd")) == 2
        [warned] = [fact for fact in running.of(Warned) if fact.subject == "dialplan"]
        assert "context [loose]" in warned.message
        assert "exten => h,1,NoOp()" in warned.message


async def test_who_pretends_to_be_a_leg_of_another_call_is_none(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """A caller's own words in the arguments of Stasis() take nobody's place."""
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two, UA(asterisk.sip_port) as thief:
        async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running:
            await running.ready()
            endpoint.answers["StasisStart"] = [[{"action": "dial", "to": f"PJSIP/far/{two.address}"}, HANGUP]]
            caller = await one.invite(f"app-{app}")
            agent = await two.incoming()
            agent.ring()
            [started] = running.of(CallStarted)
            leg = next(iter(running.service.board.of("main", "channel", started.call).call.owned["channel"]))  # type: ignore[union-attr]
            forged = await thief.invite(f"forged-{app}-hookrouter-leg%2C0%2C{leg}")
            await forged.ended()
            await agent.answer()
            await caller.answered()
            await both_hear(caller, agent)
            await caller.hangup()
            await running.fact(CallFinished)
            assert len(running.of(CallStarted)) == 1
        await nothing_left(asterisk)


@pytest.mark.parametrize("verb", ["conference", "bridge"])
@pytest.mark.parametrize("phone", ["far", "info", "inband"])
async def test_keys_are_events_in_a_room_of_two_phones(
    asterisk: Asterisk, app: str, endpoint: Endpoint, verb: str, phone: str
) -> None:
    """By RFC 4733, by INFO and as sound; and the two hear each other."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": verb, "name": "two"}, HANGUP]]
    async with UA(asterisk.sip_port) as one, UA(asterisk.sip_port) as two:
        async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running:
            await running.ready()
            first = await (await one.invite(f"app-{app}", caller=phone if phone != "far" else "1001")).answered()
            second = await (await two.invite(f"app-{app}")).answered()
            await both_hear(first, second)
            press = {"far": first.press, "info": first.press_info, "inband": first.rtp.keys}[phone]
            await press("57")
            digits = [await endpoint.wait("ChannelDtmfReceived", count) for count in (1, 2)]
            assert [delivery.data["digit"] for delivery in digits] == ["5", "7"]
            await first.hangup()
            await second.hangup()
            await endpoint.wait("CallEnded", 2)
        async with asyncio.timeout(5):
            await nothing_left(asterisk)
