"""Every scenario in which two talk, with a colleague who picks the ringing phone up and then transfers the talk by REFER."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack

import pytest
from lab.asterisk import Asterisk, free_port
from lab.ua import UA, Call
from rig.scene import Scene, far, scene
from rig.talk import both_hear, handed_on, nothing_left

from hookrouter.facts import CallStarted

Begin = Callable[[Scene, UA, str], Awaitable[Call]]


@pytest.fixture(scope="module")
def asterisk(asterisk: Asterisk) -> Iterator[Asterisk]:
    """One of these tests' own: a pick-up takes whatever rings."""
    with Asterisk(media_clients={"bot": f"ws://127.0.0.1:{free_port()}/media"}) as running:
        yield running


async def calls(running: Scene, phone: UA, app: str) -> Call:
    return await phone.invite(f"app-{app}")


async def presses_1(running: Scene, phone: UA, app: str) -> Call:
    call = await (await calls(running, phone, app)).answered()
    await running.heard(call, "basic-pbx-ivr-main")
    await call.press("1")
    return call


PLANS: dict[str, tuple[Begin, str]] = {
    "menu": (presses_1, "SALES"),
    "voicemail": (calls, "OWNER"),
    "ring_group": (calls, "RECEPTION"),
    "transfer": (calls, "AGENT"),
    "recorded": (calls, "AGENT"),
    "bot": (calls, "HUMAN"),
}


@pytest.mark.parametrize("name", PLANS)
async def test_a_colleague_picks_up_and_transfers(asterisk: Asterisk, app: str, name: str) -> None:
    """The caller talks to the colleague, then to who was transferred to; it is one call, and it ends as it always does."""
    begin, setting = PLANS[name]
    async with AsyncExitStack() as stack:
        caller, agent, colleague, third = [await stack.enter_async_context(UA(asterisk.sip_port)) for _ in range(4)]
        settings = {setting: far(agent)} | ({"NOTICE": "sound:beep"} if name == "recorded" else {})
        running = await stack.enter_async_context(scene(asterisk, app, name, **settings))
        call = await begin(running, caller, app)
        ringing = await agent.incoming()
        ringing.ring()
        picked = await (await colleague.invite("pickup")).answered()
        await ringing.ended()
        await both_hear(call, picked)
        picked.refer_to(caller.at(f"direct-{third.port}"))
        other = await third.incoming()
        await other.answer()
        await both_hear(call, other)
        await handed_on(picked)
        await other.hangup()
        await call.ended()
        [done] = running.of("DialCompleted")
        assert (done["data"]["status"], done["data"]["transferred"]) == ("answered", True)
        assert len(running.of("ActionFailed")) == (name == "bot")  # no bot is there, so a human is
        assert len(running.router.of(CallStarted)) == 1
        await nothing_left(asterisk)
