"""examples/scenarios/transfer.py with real phones: by keys, and by the phone's own REFER."""

from __future__ import annotations

from lab.asterisk import Asterisk
from lab.ua import UA
from rig.scene import deaf, far, hears, scene


def extension(phone: UA) -> str:
    return f"PJSIP/far/sip:{{}}@127.0.0.1:{phone.port}"


async def test_by_keys_the_agent_asks_first_and_hands_over(asterisk: Asterisk, app: str) -> None:
    """# and three digits ring the colleague; the caller hears nothing of it; the caller's own keys do nothing."""
    async with (
        UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as agent_phone, UA(asterisk.sip_port) as colleague_phone,
        scene(asterisk, app, "transfer", AGENT=far(agent_phone), COLLEAGUE=extension(colleague_phone)) as transfer,
    ):  # fmt: skip
        call = await phone.invite(f"app-{app}")
        agent = await agent_phone.incoming()
        await agent.answer()
        await call.answered()
        await call.press("#200")
        await transfer.event("ChannelDtmfReceived", 4)
        await hears(agent, call, 440)
        assert colleague_phone.waiting.empty()
        await agent.press("#200")
        colleague = await colleague_phone.incoming()
        assert "sip:200@" in colleague.invite
        await colleague.answer()
        await hears(agent, colleague, 440)
        await deaf(colleague, call, 1000)
        await agent.hangup()
        await hears(colleague, call, 1000)
        await hears(call, colleague, 700)
        await call.hangup()
        await colleague.ended()
        await transfer.event("TransferCompleted", status="transferred")
        await transfer.clean()


async def test_a_colleague_who_is_busy_leaves_the_caller_with_the_agent(asterisk: Asterisk, app: str) -> None:
    """And so does a caller's hangup in the consultation: everybody is hung up."""
    async with (
        UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as agent_phone, UA(asterisk.sip_port) as colleague_phone,
        scene(asterisk, app, "transfer", AGENT=far(agent_phone), COLLEAGUE=extension(colleague_phone)) as transfer,
    ):  # fmt: skip
        call = await phone.invite(f"app-{app}")
        agent = await agent_phone.incoming()
        await agent.answer()
        await call.answered()
        await agent.press("#200")
        (await colleague_phone.incoming()).reject(486, "Busy Here")
        await hears(agent, call, 440)
        await call.hangup()
        await agent.ended()
        await transfer.event("TransferCompleted", status="busy")
        await transfer.clean()


async def test_by_refer_the_agents_phone_hands_over(asterisk: Asterisk, app: str) -> None:
    """The phone's transfer key: REFER is accepted, the phone is told that it is done, and the caller talks to the colleague."""
    async with (
        UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as agent_phone, UA(asterisk.sip_port) as colleague_phone,
        scene(asterisk, app, "transfer", AGENT=far(agent_phone), COLLEAGUE=extension(colleague_phone)) as transfer,
    ):  # fmt: skip
        call = await phone.invite(f"app-{app}")
        agent = await agent_phone.incoming()
        await agent.answer()
        await call.answered()
        await hears(agent, call, 440)
        agent.refer_to(f"sip:201@127.0.0.1:{asterisk.sip_port}")
        colleague = await colleague_phone.incoming()
        assert "sip:201@" in colleague.invite
        await agent.ended()
        assert agent.progress == ["SIP/2.0 100 Trying", "SIP/2.0 200 OK"]
        await colleague.answer()
        await hears(colleague, call, 1000)
        await hears(call, colleague, 700)
        await colleague.hangup()
        await call.ended()
        await transfer.event("TransferCompleted", status="transferred")
        await transfer.clean()
