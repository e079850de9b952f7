"""examples/scenarios/ring_group.py with real phones: reception, everybody, and a mobile that must press 1."""

from __future__ import annotations

from contextlib import AsyncExitStack

from lab.asterisk import Asterisk
from lab.ua import UA
from rig.scene import far, hears, scene

PHONES = ("caller", "reception", "alice", "bob", "mobile")


async def test_each_group_rings_in_its_turn_and_the_mobile_confirms(asterisk: Asterisk, app: str) -> None:
    """The reception does not answer, everybody refuses; the mobile hears why it rings, presses 1, and talks."""
    async with AsyncExitStack() as stack:
        phones = {name: await stack.enter_async_context(UA(asterisk.sip_port)) for name in PHONES}
        settings = {name.upper(): far(phones[name]) for name in ("reception", "mobile")}
        settings["EVERYBODY"] = f"{far(phones['alice'])},{far(phones['bob'])}"
        group = await stack.enter_async_context(scene(asterisk, app, "ring_group", SECONDS="1.0", **settings))
        call = await phones["caller"].invite(f"app-{app}")
        alone = await phones["reception"].incoming()
        alone.ring()
        assert phones["alice"].waiting.empty()
        await alone.ended()
        for name in ("reception", "alice", "bob"):
            (await phones[name].incoming()).reject(486, "Busy Here")
        mobile = await phones["mobile"].incoming()
        await mobile.answer()
        await group.heard(mobile, "screen-callee-options")
        assert call.status < 200, "the caller is connected before the mobile has confirmed"
        await mobile.press("1")
        await call.answered()
        await hears(call, mobile, 440)
        await hears(mobile, call, 1000)
        await mobile.hangup()
        done = await group.event("DialCompleted")
        assert (done["data"]["status"], done["data"]["endpoint"]) == ("answered", settings["MOBILE"])
        await call.ended()
        await group.clean()


async def test_a_voicemail_that_takes_the_call_is_not_connected_and_one_answers_of_many(
    asterisk: Asterisk, app: str
) -> None:
    """The mobile presses nothing: the caller hears that nobody is there. In the next call bob answers, alice stops ringing."""
    async with AsyncExitStack() as stack:
        phones = {name: await stack.enter_async_context(UA(asterisk.sip_port)) for name in PHONES}
        settings = {name.upper(): far(phones[name]) for name in ("reception", "mobile")}
        settings["EVERYBODY"] = f"{far(phones['alice'])},{far(phones['bob'])}"
        group = await stack.enter_async_context(scene(asterisk, app, "ring_group", **settings))
        group.module.SCREEN |= {"timeout": 0.3, "prompt": "sound:beep"}
        call = await phones["caller"].invite(f"app-{app}")
        for name in ("reception", "reception", "alice", "bob"):
            (await phones[name].incoming()).reject(486, "Busy Here")
        mobile = await phones["mobile"].incoming()
        await mobile.answer()
        await mobile.ended()
        await group.heard(call, "vm-nobodyavail")
        await call.hangup()
        call = await phones["caller"].invite(f"app-{app}")
        (await phones["reception"].incoming()).reject(486, "Busy Here")
        alice, bob = await phones["alice"].incoming(), await phones["bob"].incoming()
        alice.ring()
        await bob.answer()
        await call.answered()
        await alice.ended()
        await hears(call, bob, 440)
        await call.hangup()
        await bob.ended()
        await group.event("DialCompleted", status="answered")
        await group.clean()
