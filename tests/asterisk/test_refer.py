"""redirect and refer with a phone that follows, or that does not."""

from __future__ import annotations

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.router import Router, route
from rig.scene import hears

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'


def router(asterisk: Asterisk, app: str, endpoint: Endpoint, more: str = "") -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=EVENTS, more=more))


@pytest.mark.parametrize("answered", [True, False], ids=["REFER", "302"])
async def test_a_redirected_phone_calls_there_and_has_left(
    asterisk: Asterisk, app: str, endpoint: Endpoint, answered: bool
) -> None:
    """By REFER after the answer, by 302 before it; the call ends when the phone says that it is done."""
    async with (
        router(asterisk, app, endpoint) as running,
        UA(asterisk.sip_port) as phone,
        UA(asterisk.sip_port) as other,
    ):
        await running.ready()
        there = {"action": "redirect", "to": f"PJSIP/{phone.at(f'direct-{other.port}')}"}
        endpoint.answers["StasisStart"] = [[ANSWER, there] if answered else [there]]
        call = await phone.invite(f"app-{app}")
        new = await call.follow()
        callee = await other.incoming()
        await callee.answer()
        await new.answered()
        if answered:
            call.notify(200, "OK")
            await call.hangup()
        await endpoint.wait("CallEnded")
        await hears(new, callee, 440)
        assert not endpoint.of("ActionFailed")


async def test_a_phone_that_was_referred_calls_there(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """Also where the program hangs up right behind the `transfer`."""
    async with (
        router(asterisk, app, endpoint) as running,
        UA(asterisk.sip_port) as phone,
        UA(asterisk.sip_port) as other,
    ):
        await running.ready()
        to = f"PJSIP/{phone.at(f'direct-{other.port}')}"
        endpoint.answers["StasisStart"] = [[ANSWER, {"action": "transfer", "mode": "refer", "to": to}, HANGUP]]
        call = await (await phone.invite(f"app-{app}")).answered()
        new = await call.follow()
        callee = await other.incoming()
        await callee.answer()
        await new.answered()
        call.notify(200, "OK")
        await call.ended()
        assert (await endpoint.wait("TransferCompleted")).data["status"] == "transferred"
        await hears(new, callee, 440)


async def test_a_redirected_phone_that_reaches_nobody_is_not_left_in_silence(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """It stays, and that is told when the phone has said its last word."""
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        there = {"action": "redirect", "to": f"PJSIP/{phone.at('nobody')}"}
        endpoint.answers["StasisStart"] = [[ANSWER, there]]
        endpoint.answers["ActionFailed"] = [[{"action": "play", "media": "sound:hello-world"}, HANGUP]]
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.until(lambda: call.refer, 5)
        call.notify(180, "Ringing")
        call.notify(603, "Decline")
        assert (await endpoint.wait("ActionFailed")).data["error"]["reason"] == "not_followed"
        await call.ended()
        assert len(call.rtp.sound) > 30
