"""Real SIP calls with real RTP: what the caller hears, to its end, and not longer."""

from __future__ import annotations

import asyncio
from typing import Any

from lab.asterisk import Asterisk
from lab.rtp import power
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.router import Router, route

from hookrouter.facts import ActionFinished, CallFinished

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
HELLO = {"action": "play", "media": "sound:hello-world"}
HELLO_SECONDS = 1.4
EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'


def router(asterisk: Asterisk, app: str, endpoint: Endpoint, events: str = EVENTS) -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=events))


async def test_the_whole_sound_is_heard_and_then_bye(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """RTP arrives for the sound's length, give or take 200 ms; the call ends when it has ended."""
    endpoint.answers["StasisStart"] = [[ANSWER, HELLO, HANGUP]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}", caller="4711")).answered()
        await call.ended()
        assert abs(call.rtp.span - HELLO_SECONDS) < 0.2
        assert len(call.rtp.sound) > 30
        start = endpoint.of("StasisStart")[0]
        assert start.data["channel"]["caller"]["number"] == "4711"
        await running.fact(CallFinished)


async def test_without_waiting_the_sound_is_cut(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """The same with `"wait": false`."""
    endpoint.answers["StasisStart"] = [[ANSWER, HELLO | {"wait": False}, HANGUP]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.ended()
        assert call.rtp.span < 0.4
        await running.fact(CallFinished)


async def test_two_phones_hear_each_other_through_a_bridge(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """A tone of one is heard by the other, and a digit arrives."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "bridge", "name": "two"}, HANGUP]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        one = await (await phone.invite(f"app-{app}")).answered()
        two = await (await phone.invite(f"app-{app}")).answered()
        await asyncio.gather(one.rtp.tone(440, 1.0), two.rtp.tone(1000, 1.0))
        heard = b"".join(payload for _, payload in two.rtp.sound[-25:])
        assert power(heard, 440) > 0.5
        assert power(heard, 1000) < 0.1
        heard = b"".join(payload for _, payload in one.rtp.sound[-25:])
        assert power(heard, 1000) > 0.5
        await one.press("5")
        await two.rtp.until(lambda: two.rtp.digits == "5", 5)
        await one.hangup()
        await running.fact(ActionFinished, verb="bridge", outcome="done")


async def test_a_phone_is_dialled_with_caller_id_and_headers_and_talks(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """The callee rings, answers, hears the caller, and hangs up; 486 and 603 are told apart."""
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        to = {"endpoint": f"PJSIP/far/{phone.address}", "headers": {"X-Shop": "42"}, "callerId": '"Shop" <4912>'}
        endpoint.answers["StasisStart"] = [[{"action": "dial", "to": to, "timeout": 10}, HANGUP]]
        caller = await phone.invite(f"app-{app}")
        callee = await phone.incoming()
        assert "X-Shop: 42" in callee.invite
        assert "4912" in callee.invite
        callee.ring()
        await caller.until(lambda: 180 in caller.statuses or 183 in caller.statuses)
        await callee.answer()
        await caller.answered()
        await asyncio.gather(caller.rtp.tone(440, 0.6), callee.rtp.tone(1000, 0.6))
        assert power(b"".join(p for _, p in callee.rtp.sound[-15:]), 440) > 0.5
        assert power(b"".join(p for _, p in caller.rtp.sound[-15:]), 1000) > 0.5
        await callee.hangup()
        done = await endpoint.wait("DialCompleted")
        assert done.data["status"] == "answered"
        await caller.ended()
        for status, reason, told in ((486, "Busy Here", "busy"), (603, "Decline", "rejected")):
            endpoint.received.clear()
            caller = await phone.invite(f"app-{app}")
            callee = await phone.incoming()
            callee.reject(status, reason)
            assert (await endpoint.wait("DialCompleted")).data["status"] == told
            await caller.ended()


async def test_two_answer_at_once_and_one_hears_the_apology(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """One wins; the other hears the apology and is hung up."""
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as other:
        await running.ready()
        slow = [{"action": "pause", "seconds": 0.3}]
        dial: dict[str, Any] = {"action": "dial", "to": [f"PJSIP/far/{ua.address}" for ua in (phone, other)]}
        endpoint.answers["StasisStart"] = [[dial | {"apology": "sound:hello-world", "confirm": slow}, HANGUP]]
        async with UA(asterisk.sip_port) as caller_phone:
            caller = await caller_phone.invite(f"app-{app}")
            legs = [await phone.incoming(), await other.incoming()]
            for leg in legs:
                await leg.answer()
            await caller.answered()
            async with asyncio.timeout(5):
                while all(leg.ended_at is None for leg in legs):
                    await asyncio.sleep(0.02)
            loser = next(leg for leg in legs if leg.ended_at is not None)
            winner = next(leg for leg in legs if leg is not loser)
            assert len(loser.rtp.sound) > 30
            await winner.hangup()
            assert (await endpoint.wait("DialCompleted")).data["status"] == "answered"
            await caller.ended()


async def test_digits_are_gathered_with_barge_in_and_typed_ahead(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """A key stops the prompt; keys typed during an earlier action count."""
    gather = {"action": "gather", "prompt": "sound:vm-options", "maxDigits": 2, "timeout": 3}
    endpoint.answers["StasisStart"] = [
        [ANSWER, gather | {"id": "menu"}, {"action": "pause", "seconds": 1.2}, gather | {"id": "ahead"}, HANGUP]
    ]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.press("42")
        first = await endpoint.wait("DigitsCollected")
        assert (first.data["digits"], first.data["reason"]) == ("42", "maxDigits")
        await call.press("77")
        second = await endpoint.wait("DigitsCollected", 2)
        assert (second.data["digits"], second.data["action"]["id"]) == ("77", "ahead")
        await call.ended()
        await running.fact(CallFinished)


async def test_what_the_caller_says_is_recorded_and_fetched(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """The key ends it; the duration is right; a hangup in the middle keeps the file."""
    record = {"action": "record", "terminateOn": "#", "maxDurationSeconds": 20}
    endpoint.answers["StasisStart"] = [[ANSWER, record | {"name": f"{app}-one"}, HANGUP], [ANSWER, record]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.rtp.tone(440, 1.5)
        await call.press("#")
        done = await endpoint.wait("RecordingCompleted")
        assert done.data["name"] == f"{app}-one"
        assert 1 <= done.data["duration"] <= 2
        kind, audio = await running.recording(f"{app}-one")
        assert audio[:4] == b"RIFF"
        assert kind.startswith("audio/")
        await call.ended()
        second = await (await phone.invite(f"app-{app}")).answered()
        await second.rtp.tone(440, 1.0)
        await second.hangup()
        kept = await endpoint.wait("RecordingCompleted", 2)
        _, audio = await running.recording(kept.data["name"])
        assert len(audio) > 8000
        assert len(endpoint.of("RecordingCompleted")) == 2
        await running.fact(CallFinished, call=kept.call)
