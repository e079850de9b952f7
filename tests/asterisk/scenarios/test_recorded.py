"""examples/scenarios/recorded.py with real phones: what is in the file, and what is not."""

from __future__ import annotations

from lab.asterisk import Asterisk
from lab.rtp import power, ulaw
from lab.ua import UA, Call
from rig.scene import Scene, far, hears, scene


async def recording(scene: Scene) -> tuple[dict[str, str], bytes]:
    """What the second route was told, and the file's audio as µ-law."""
    told = (await scene.event("RecordingCompleted", path="/archive"))["data"]
    _, audio = await scene.router.recording(told["name"])
    samples = (int.from_bytes(audio[i : i + 2], "little", signed=True) for i in range(44, len(audio) - 1, 2))
    return told, bytes(ulaw(sample) for sample in samples)


def most(audio: bytes, hertz: float) -> float:
    """The most of a frequency that any tenth of a second has."""
    return max(power(audio[i : i + 800], hertz) for i in range(0, len(audio) - 800, 800))


async def talk(recorded: Scene, phone: UA, agent_phone: UA, app: str) -> tuple[Call, Call]:
    call = await (await phone.invite(f"app-{app}")).answered()
    await recorded.heard(call, "conf-now-recording")
    agent = await agent_phone.incoming()
    await agent.answer()
    await hears(call, agent, 440)
    return call, agent


async def test_both_sides_are_in_the_file_and_the_card_is_not(asterisk: Asterisk, app: str) -> None:
    """Each side's tone is found, that of the pause is not."""
    async with (
        UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as agent_phone,
        scene(asterisk, app, "recorded", AGENT=far(agent_phone), NOTICE="sound:conf-now-recording") as recorded,
    ):  # fmt: skip
        call, agent = await talk(recorded, phone, agent_phone, app)
        await hears(agent, call, 1000)
        await agent.press("*")
        await recorded.event("ChannelDtmfReceived", digit="*")
        await recorded.done("pauseRecording")
        await hears(call, agent, 1700)
        await agent.press("*")
        await recorded.done("resumeRecording")
        await hears(call, agent, 600)
        await agent.hangup()
        await call.ended()
        told, audio = await recording(recorded)
        assert told["name"].startswith("calls/")
        assert most(audio, 440) > 0.5
        assert most(audio, 1000) > 0.5
        assert most(audio, 600) > 0.5
        assert most(audio, 1700) < 0.1
        await recorded.clean()


async def test_the_callers_key_pauses_nothing_and_a_hangup_in_the_pause_keeps_the_file(
    asterisk: Asterisk, app: str
) -> None:
    """Only the agent's * counts; what was said before the pause is there."""
    async with (
        UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as agent_phone,
        scene(asterisk, app, "recorded", AGENT=far(agent_phone), NOTICE="sound:conf-now-recording") as recorded,
    ):  # fmt: skip
        call, agent = await talk(recorded, phone, agent_phone, app)
        await call.press("*")
        await recorded.event("ChannelDtmfReceived", digit="*")
        await hears(call, agent, 1000)
        await agent.press("*")
        await recorded.done("pauseRecording")
        await call.hangup()
        await agent.ended()
        _, audio = await recording(recorded)
        assert most(audio, 1000) > 0.5
        assert not recorded.of("ActionFailed")
        await recorded.clean()
