"""Calls by SRTP: they pass through a talk, are played to, and are recorded as any other."""

from __future__ import annotations

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA, Call
from rig.endpoint import Endpoint
from rig.router import Router, route
from rig.talk import both_hear

HANGUP = {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "DialCompleted", "DigitsCollected"]'


@pytest.mark.parametrize(
    ("caller_sealed", "callee_sealed"),
    [pytest.param(True, False, id="caller"), pytest.param(False, True, id="callee"), pytest.param(True, True, id="both")],
)
async def test_sealed_legs_pass_through_a_dial(
    asterisk: Asterisk, app: str, endpoint: Endpoint, caller_sealed: bool, callee_sealed: bool
) -> None:
    """Both hear each other, keys are read, and what is played is heard."""
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running,
        UA(asterisk.sip_port, sealed=caller_sealed) as phone,
        UA(asterisk.sip_port, sealed=callee_sealed) as other,
    ):
        await running.ready()
        gather = {"action": "gather", "prompt": "sound:hello-world", "maxDigits": 1}
        dial = {"action": "dial", "to": f"PJSIP/{'sealed' if callee_sealed else 'far'}/{other.address}"}
        endpoint.answers["StasisStart"] = [[{"action": "answer"}, gather, dial, HANGUP]]
        caller = await (await phone.invite(f"app-{app}", "sealed" if caller_sealed else "1001")).answered()
        assert is_sealed(caller) is caller_sealed
        await caller.rtp.until(lambda: caller.rtp.sound, 8)
        await caller.press("5")
        assert (await endpoint.wait("DigitsCollected")).data["digits"] == "5"
        callee = await other.incoming()
        await callee.answer()
        await both_hear(caller, callee)
        assert is_sealed(callee) is callee_sealed
        await callee.hangup()
        assert (await endpoint.wait("DialCompleted")).data["status"] == "answered"
        await caller.ended()


def is_sealed(call: Call) -> bool:
    """Whether Asterisk has given it a key, too."""
    return call.rtp.sealed is not None and call.rtp.sealed[1] is not None
