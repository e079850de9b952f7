"""examples/scenarios/call_back.py with real phones: the wish outlives the call, and is one call however often it is told."""

from __future__ import annotations

import asyncio
import time

from lab.asterisk import Asterisk
from lab.ua import UA
from rig.scene import far, hears, scene

from hookrouter.facts import EventReceived


async def test_the_caller_is_called_back_and_talks_to_an_agent(asterisk: Asterisk, app: str) -> None:
    """They press 1 and hang up; it is too early, and two seconds later their phone rings; then the agent's."""
    async with (
        UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as agent_phone,
        scene(asterisk, app, "call_back", AFTER="1.8", AGENT=far(agent_phone),
              CUSTOMER=f"PJSIP/far/sip:{{}}@127.0.0.1:{phone.port}") as wishes,
    ):  # fmt: skip
        call = await (await phone.invite(f"app-{app}", caller="4711")).answered()
        await wishes.heard(call, "vm-tocallback")
        await call.press("1")
        await wishes.event("DigitsCollected", digits="1")
        hung_up = time.monotonic()
        await call.hangup()
        back = await phone.incoming()
        assert time.monotonic() - hung_up > 0.5
        assert "sip:4711@" in back.invite
        await back.answer()
        await wishes.heard(back, "pls-hold-while-try")
        agent = await agent_phone.incoming()
        await agent.answer()
        await hears(back, agent, 440)
        await hears(agent, back, 1000)
        wish = wishes.of("Notify", "/wishes")
        assert len(wish) == 2
        assert len({event["id"] for event in wish}) == 1
        await wishes.again(wish[0])
        await agent.hangup()
        await back.ended()
        await wishes.again(wish[0])
        assert phone.waiting.empty()
        await wishes.clean()


async def test_who_does_not_answer_the_call_back_leaves_nothing_and_may_be_called_again(
    asterisk: Asterisk, app: str
) -> None:
    """The phone refuses the first time; the same wish again rings it again."""
    async with (
        UA(asterisk.sip_port) as phone,
        scene(asterisk, app, "call_back", CUSTOMER=f"PJSIP/far/sip:{{}}@127.0.0.1:{phone.port}") as wishes,
    ):
        wish = {"id": app, "number": "4711", "at": 0.0}
        for _ in range(2):
            await asyncio.to_thread(wishes.module.call_customer, wish)
            back = await phone.incoming()
            assert wishes.router.service.flow.expected.calls
            back.reject(486, "Busy Here")
            await wishes.router.fact(EventReceived, type="ChannelDestroyed")
            assert not wishes.router.service.flow.expected.calls
            wishes.router.facts.clear()


async def test_who_presses_nothing_is_not_called(asterisk: Asterisk, app: str) -> None:
    """They hear goodbye."""
    async with UA(asterisk.sip_port) as phone, scene(asterisk, app, "call_back") as wishes:
        wishes.module.OFFER |= {"prompt": "sound:beep", "timeout": 0.2}
        call = await (await phone.invite(f"app-{app}")).answered()
        await wishes.heard(call, "vm-goodbye")
        await call.ended()
        await wishes.event("StasisEnd")
        assert not wishes.of("Notify", "/wishes")
        await wishes.clean()
