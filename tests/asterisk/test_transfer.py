"""transfer with real phones: blind, attended with a word in between, cancelled, and by the phone's own REFER."""

from __future__ import annotations

import asyncio
from typing import Any

from lab.asterisk import Asterisk
from lab.rtp import power
from lab.ua import UA
from rig.endpoint import Delivery, Endpoint
from rig.router import Router, route

from hookrouter.facts import CallFinished

EVENTS = '["StasisStart", "StasisEnd", "ChannelDtmfReceived", "CallEnded"]'
HANGUP = {"action": "hangup"}


async def hears(one: Any, other: Any, hertz: float, *, yes: bool = True) -> None:
    """A tone of one phone arrives at the other (or does not)."""
    before = len(other.rtp.sound)
    await one.rtp.tone(hertz, 0.6)
    heard = b"".join(payload for _, payload in other.rtp.sound[before:][-15:])
    assert (bool(heard) and power(heard, hertz) > 0.4) is yes


def function(to: str, mode: str) -> Any:
    """`#` from the agent's leg transfers."""

    def answer(delivery: Delivery) -> Any:
        if delivery.data["digit"] == "#" and delivery.data["channel"]["id"] != delivery.call:
            return [{"action": "transfer", "to": to, "mode": mode, "timeout": 5}, HANGUP]
        return []

    return answer


async def test_attended_the_agent_asks_first_and_hands_over(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """The caller does not hear the consultation; when the agent hangs up, caller and expert talk, and are recorded on."""
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS[:-1] + ', "RecordingCompleted", "TransferCompleted"]')) as running,
        UA(asterisk.sip_port) as caller_phone, UA(asterisk.sip_port) as agent_phone, UA(asterisk.sip_port) as expert_phone,
    ):  # fmt: skip
        await running.ready()
        endpoint.answers["StasisStart"] = [
            [{"action": "dial", "to": f"PJSIP/far/{agent_phone.address}", "record": True}, HANGUP]
        ]
        endpoint.answers["ChannelDtmfReceived"] = function(f"PJSIP/far/{expert_phone.address}", "attended")
        caller = await caller_phone.invite(f"app-{app}")
        agent = await agent_phone.incoming()
        await agent.answer()
        await caller.answered()
        await hears(agent, caller, 440)
        await agent.press("#")
        expert = await expert_phone.incoming()
        await expert.answer()
        await _two(asterisk)
        await hears(agent, expert, 440)
        await hears(expert, caller, 1000, yes=False)
        await agent.hangup()
        await _two(asterisk)
        await hears(expert, caller, 1000)
        await hears(caller, expert, 700)
        await expert.hangup()
        done = await endpoint.wait("TransferCompleted")
        assert done.data["status"] == "transferred"
        await caller.ended()
        await running.fact(CallFinished)
        [recorded] = endpoint.of("RecordingCompleted")
        assert recorded.data["action"]["action"] == "dial"
        seconds = await _seconds_of(asterisk, recorded.data["name"])
        assert seconds >= 2  # by far longer than what came before the transfer
        assert recorded.data["duration"] is None or abs(recorded.data["duration"] - seconds) <= 1
    async with asyncio.timeout(5):  # its list lags behind what it says is done
        while [bridge for bridge in await _bridges(asterisk) if bridge["name"].startswith("dial ")]:
            await asyncio.sleep(0.02)


async def test_attended_and_cancelled_the_caller_is_back_with_the_agent(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """`*` while it rings; and a blind transfer afterwards."""
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running,
        UA(asterisk.sip_port) as caller_phone, UA(asterisk.sip_port) as agent_phone, UA(asterisk.sip_port) as expert_phone,
    ):  # fmt: skip
        await running.ready()
        endpoint.answers["StasisStart"] = [[{"action": "dial", "to": f"PJSIP/far/{agent_phone.address}"}, HANGUP]]
        endpoint.answers["ChannelDtmfReceived"] = function(f"PJSIP/far/{expert_phone.address}", "attended")
        caller = await caller_phone.invite(f"app-{app}")
        agent = await agent_phone.incoming()
        await agent.answer()
        await caller.answered()
        await agent.press("#")
        expert = await expert_phone.incoming()
        expert.ring()
        await agent.press("*")
        await expert.ended()
        await hears(agent, caller, 440)
        await agent.hangup()
        done = await endpoint.wait("TransferCompleted")
        assert done.data["status"] == "cancelled"
        await caller.ended()


async def test_blind_the_agent_goes_and_the_caller_gets_the_next(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """The agent is hung up at once."""
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running,
        UA(asterisk.sip_port) as caller_phone, UA(asterisk.sip_port) as agent_phone, UA(asterisk.sip_port) as expert_phone,
    ):  # fmt: skip
        await running.ready()
        endpoint.answers["StasisStart"] = [[{"action": "dial", "to": f"PJSIP/far/{agent_phone.address}"}, HANGUP]]
        endpoint.answers["ChannelDtmfReceived"] = function(f"PJSIP/far/{expert_phone.address}", "blind")
        caller = await caller_phone.invite(f"app-{app}")
        agent = await agent_phone.incoming()
        await agent.answer()
        await caller.answered()
        await agent.press("#")
        expert = await expert_phone.incoming()
        await agent.ended()
        await expert.answer()
        await hears(expert, caller, 1000)
        await caller.hangup()
        await expert.ended()
        done = await endpoint.wait("TransferCompleted")
        assert done.data["status"] == "transferred"


async def test_by_refer_the_callers_phone_is_asked_to_call_elsewhere(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """The phone gets a REFER with the new address."""
    to = "PJSIP/far/sip:200@127.0.0.1"
    endpoint.answers["StasisStart"] = [[{"action": "answer"}, {"action": "transfer", "to": to, "mode": "refer"}]]
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running,
        UA(asterisk.sip_port) as phone,
    ):
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.until(lambda: call.refer or call.ended_at, 5)
        assert "200@127.0.0.1" in call.refer
        done = await endpoint.wait("TransferCompleted")
        assert done.data["status"] == "transferred"


async def _two(asterisk: Asterisk) -> None:
    """Waits until two are in the bridge."""
    async with asyncio.timeout(5):
        while not any(len(bridge["channels"]) == 2 for bridge in (await _bridges(asterisk))):
            await asyncio.sleep(0.02)


async def _seconds_of(asterisk: Asterisk, recording: str) -> float:
    from rig.pbx import Pbx

    async with Pbx(asterisk.url) as pbx, pbx.session.get(f"{pbx.url}/ari/recordings/stored/{recording}/file") as reply:
        return len(await reply.read()) / 16_000  # of 8,000 samples a second


async def _bridges(asterisk: Asterisk) -> Any:
    from rig.pbx import Pbx

    async with Pbx(asterisk.url) as pbx:
        return (await pbx.ari("GET", "bridges"))[1]
