"""examples/scenarios/bot.py with real phones: the caller talks to the bot, then to a human; and when the bot is not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lab.asterisk import Asterisk, free_port
from lab.rtp import power
from lab.ua import UA
from rig.scene import Scene, far, hears, scene


@asynccontextmanager
async def bot(app: str, *, there: bool = True) -> AsyncIterator[tuple[Scene, UA, UA]]:
    """An Asterisk whose configuration names the bot of the example, a caller's phone and a human's."""
    port = free_port()
    address = f"ws://127.0.0.1:{port if there else free_port()}/media"
    with Asterisk(media_clients={"bot": address}) as asterisk:
        async with UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as human:
            async with scene(asterisk, app, "bot", port=port, HUMAN=far(human)) as running:
                yield running, phone, human


async def test_the_caller_hears_the_bot_presses_0_and_gets_a_human(app: str) -> None:
    """What they say comes back from the bot; after the key it does not, and the two talk."""
    async with bot(app) as (running, phone, human_phone):
        call = await (await phone.invite(f"app-{app}")).answered()
        async with asyncio.timeout(5):
            while power(b"".join(payload for _, payload in call.rtp.sound[-10:]) or b"\xff", 440) < 0.3:
                await call.rtp.tone(440, 0.2)
        await call.press("0")
        done = await running.event("StreamCompleted")
        assert done["data"]["reason"] == "ended"
        human = await human_phone.incoming()
        await human.answer()
        await hears(human, call, 1000)
        await hears(call, human, 700)
        await human.hangup()
        await call.ended()
        second = await (await phone.invite(f"app-{app}")).answered()
        async with asyncio.timeout(5):
            while power(b"".join(payload for _, payload in second.rtp.sound[-10:]) or b"\xff", 440) < 0.3:
                await second.rtp.tone(440, 0.2)
        await second.hangup()
        await running.event("StreamCompleted", reason="hangup")
        await running.clean()
        assert human_phone.waiting.empty()


async def test_without_a_bot_a_human_answers(app: str) -> None:
    """The stream fails within two seconds."""
    async with bot(app, there=False) as (running, phone, human_phone):
        call = await (await phone.invite(f"app-{app}")).answered()
        await running.heard(call, "pls-hold-while-try")
        (await human_phone.incoming()).reject(486, "Busy Here")
        await running.heard(call, "vm-nobodyavail")
        await call.ended()
        await running.clean()
