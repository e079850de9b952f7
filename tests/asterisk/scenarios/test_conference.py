"""examples/scenarios/conference.py with real phones: the PIN, the moderator, and who comes too often with a wrong one."""

from __future__ import annotations

from lab.asterisk import Asterisk
from lab.ua import UA
from rig.scene import deaf, hears, scene


async def test_guests_wait_for_the_moderator_and_go_with_them(asterisk: Asterisk, app: str) -> None:
    """Three phones; the first tries a wrong PIN; before the moderator comes nobody hears anybody."""
    async with UA(asterisk.sip_port) as phone, scene(asterisk, app, "conference") as conference:
        guests = [await (await phone.invite(f"app-{app}")).answered() for _ in range(2)]
        await conference.heard(guests[0], "conf-getpin")
        await guests[0].press("1111")
        await conference.heard(guests[0], "conf-invalidpin")
        for guest in guests:
            await guest.press("1234")
            await conference.heard(guest, "conf-placeintoconf")
        await deaf(guests[0], guests[1], 1000)
        moderator = await (await phone.invite(f"app-{app}")).answered()
        await moderator.press("9876")
        await hears(moderator, guests[0], 440)
        await hears(guests[0], guests[1], 700)
        await guests[1].press("#")
        await conference.event("ConferenceCompleted", reason="exit")
        await hears(guests[0], moderator, 700)
        await moderator.hangup()
        await conference.event("ConferenceCompleted", reason="ended")
        await conference.heard(guests[0], "conf-leaderhasleft")
        for guest in guests:
            await guest.ended()
        await conference.clean()


async def test_three_wrong_pins_end_the_call(asterisk: Asterisk, app: str) -> None:
    """And a caller who hangs up at the prompt leaves nothing."""
    async with UA(asterisk.sip_port) as phone, scene(asterisk, app, "conference") as conference:
        conference.module.ASK |= {"prompt": "sound:beep", "invalid": "sound:beeperr"}
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.press("111122223333")
        await conference.heard(call, "vm-goodbye")
        await call.ended()
        other = await (await phone.invite(f"app-{app}")).answered()
        await conference.heard(other, "beep")
        await other.hangup()
        await conference.event("StasisEnd", 2)
        await conference.clean()
