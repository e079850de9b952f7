"""examples/scenarios/call_centre.py with real phones: places, agents, and a caller who gives up."""

from __future__ import annotations

from lab.asterisk import Asterisk
from lab.ua import UA
from rig.scene import hears, scene


async def test_callers_hear_their_place_and_the_agent_gets_one_after_the_other(asterisk: Asterisk, app: str) -> None:
    """The second waits, the third gives up, and the agent talks to the first and the second; then nobody waits."""
    async with (
        UA(asterisk.sip_port) as phone,
        UA(asterisk.sip_port) as agent_phone,
        scene(asterisk, app, "call_centre") as centre,
    ):
        first = await (await phone.invite(f"app-{app}", caller="1")).answered()
        await centre.heard(first, "queue-youarenext")
        second = await (await phone.invite(f"app-{app}", caller="2")).answered()
        third = await (await phone.invite(f"app-{app}", caller="3")).answered()
        await centre.heard(second, "queue-thereare")
        waiting = await centre.event("QueueWaiting", path="/position", position=3)
        assert waiting["data"]["size"] == 3
        await third.hangup()
        abandoned = await centre.event("QueueCompleted", reason="hangup")
        assert abandoned["call"]["state"] == {"caller": "3"}
        agent = await (await agent_phone.invite(f"app-{app}", caller="201")).answered()
        await hears(agent, first, 440)
        await hears(first, agent, 1000)
        await first.hangup()
        await hears(agent, second, 440)
        await hears(second, agent, 700)
        talked = await centre.event("QueueCompleted", reason="answered")
        assert talked["data"]["state"] in ({"agent": "201"}, {"caller": "1"})
        await second.hangup()
        await centre.event("QueueCompleted", reason="empty")
        await agent.hangup()
        await centre.clean()


async def test_an_agent_who_goes_in_mid_talk_ends_it_and_who_presses_9_waits_no_longer(
    asterisk: Asterisk, app: str
) -> None:
    """The caller is sent home by BYE; the impatient one hears that nobody is there."""
    async with (
        UA(asterisk.sip_port) as phone,
        UA(asterisk.sip_port) as agent_phone,
        scene(asterisk, app, "call_centre") as centre,
    ):
        agent = await (await agent_phone.invite(f"app-{app}", caller="202")).answered()
        await centre.event("QueueCompleted", reason="empty")
        caller = await (await phone.invite(f"app-{app}", caller="1")).answered()
        await hears(caller, agent, 440)
        impatient = await (await phone.invite(f"app-{app}", caller="2")).answered()
        await centre.event("QueueWaiting", 1, path="/position", position=1, size=1)
        await impatient.press("9")
        await centre.heard(impatient, "vm-nobodyavail")
        await agent.hangup()
        await caller.ended()
        await impatient.ended()
        await centre.clean()
