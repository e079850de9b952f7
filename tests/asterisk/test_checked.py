"""Promises that nobody had tried at a real phone: DTMF timings, labels, languages, faults that have words."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from lab.asterisk import Asterisk
from lab.rtp import power
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route
from rig.scene import deaf, far

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
OWN_CLASS = {"action": "setVariable", "variable": "CHANNEL(musicclass)", "value": "tune"}
EVENTS = '["StasisStart", "StasisEnd", "CallEnded", "ChannelUserevent"]'


def router(asterisk: Asterisk, app: str, endpoint: Endpoint, more: str = "") -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=EVENTS, more=more))


async def test_dtmf_has_the_timings_that_were_asked_for(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """Before, between, how long, and after: the phone measures it, and what follows comes behind all of it."""
    dtmf = {"action": "sendDtmf", "dtmf": "12#", "before": 300, "between": 200, "duration": 160, "after": 400}
    endpoint.answers["StasisStart"] = [[ANSWER, dtmf, {"action": "play", "media": "sound:hello-world"}, HANGUP]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.ended()
        assert call.rtp.digits == "12#"
        events = [(at, payload) for at, kind, payload in call.rtp.packets if kind == 101]
        begins = [next(at for at, payload in events if payload[0] == key) for key in (1, 2, 11)]
        lengths = [max(int.from_bytes(p[2:4], "big") for _, p in events if p[0] == key) / 8000 for key in (1, 2, 11)]
        assert lengths == pytest.approx([0.16] * 3, abs=0.03)
        assert [b - a for a, b in pairwise(begins)] == pytest.approx([0.36] * 2, abs=0.06)
        heard = next(at for at, payload in call.rtp.sound)
        assert heard - begins[-1] > 0.16 + 0.4 - 0.05


async def test_a_call_goes_on_at_a_label(asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx) -> None:
    """And a label that is not there is a fault with words; the call is still ours."""
    there = {"action": "continue", "context": "subs", "extension": "labels", "label": "second"}
    endpoint.answers["StasisStart"] = [[ANSWER, there | {"label": "third"}]]
    endpoint.answers["ActionFailed"] = [[there]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        failed = await endpoint.wait("ActionFailed")
        assert failed.data["error"]["reason"] == "no_such_extension"
        assert "third" in failed.data["error"]["message"]
        async with asyncio.timeout(5):
            while await call.variable("LABEL") != "second":
                await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("action", "reason", "words"),
    [
        pytest.param({"action": "bridge", "with": "nobody"}, "forbidden", "not a live call", id="bridge with nobody"),
        pytest.param({"action": "bridges.get", "bridgeId": "nobody"}, "forbidden", "nobody", id="an unknown bridge"),
        pytest.param({"action": "startRecording", "of": "bridge"}, "not_bridged", "in no bridge", id="no bridge to record"),
        pytest.param({"action": "play", "media": "sound:no-such"}, "media_failed", "no-such", id="sound"),
        pytest.param({"action": "redirect", "to": "Local/x@y"}, "refused", "technology", id="redirect"),
        pytest.param({"action": "mailbox", "mailbox": "1@d", "newMessages": 2}, "not_found", "load `res_mwi_external`", id="mailbox"),
    ],
)
async def test_what_is_not_there_is_a_fault_with_words(
    asterisk: Asterisk, app: str, endpoint: Endpoint, action: Any, reason: str, words: str
) -> None:
    """And not silence."""
    endpoint.answers["StasisStart"] = [[ANSWER, action, {"action": "pause", "seconds": 3}]]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        failed = await endpoint.wait("ActionFailed", timeout=6)
        assert failed.data["error"]["reason"] == reason, failed.data
        assert words in failed.data["error"]["message"]
        await call.ended()


async def test_a_transfer_to_nowhere_says_so_and_the_call_goes_on(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """`unavailable`; the next action is heard."""
    nowhere = {"action": "transfer", "to": "PJSIP/nobody-of-this-name"}
    endpoint.answers["StasisStart"] = [[ANSWER, nowhere, {"action": "play", "media": "sound:hello-world"}, HANGUP]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        done = await endpoint.wait("TransferCompleted")
        assert (done.data["status"], done.data["talkSeconds"]) == ("unavailable", 0)
        await call.ended()
        assert len(call.rtp.sound) > 30


async def test_who_answers_in_the_same_instant_hears_the_apology(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """Without anything that would hold up the first."""
    async with (
        router(asterisk, app, endpoint) as running,
        UA(asterisk.sip_port) as phone,
        UA(asterisk.sip_port) as one,
        UA(asterisk.sip_port) as other,
    ):
        await running.ready()
        dial = {"action": "dial", "to": [far(one), far(other)], "apology": "sound:hello-world"}
        endpoint.answers["StasisStart"] = [[dial, HANGUP]]
        caller = await phone.invite(f"app-{app}")
        legs = [await one.incoming(), await other.incoming()]
        for leg in legs:
            await leg.answer()
        await caller.answered()
        async with asyncio.timeout(5):
            while all(leg.ended_at is None for leg in legs):
                await asyncio.sleep(0.02)
        loser = next(leg for leg in legs if leg.ended_at is not None)
        assert len(loser.rtp.sound) > 30
        await caller.hangup()
        assert (await endpoint.wait("DialCompleted")).data["status"] == "answered"


@pytest.mark.parametrize("format", ["ulaw", "alaw", "slin", "slin16", "g722"])
async def test_a_stream_has_the_format_that_was_asked_for(
    asterisk: Asterisk, app: str, endpoint: Endpoint, format: str
) -> None:
    """What the caller says arrives in packets of that codec's size, for 20 ms of sound each."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: Any) -> None:
            heard.put_nowait(data[12:])

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    stream = {"action": "stream", "to": f"rtp:127.0.0.1:{port}", "format": format}
    endpoint.answers["StasisStart"] = [[ANSWER, stream, HANGUP]]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    try:
        async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
            await running.ready()
            call = await (await phone.invite(f"app-{app}")).answered()
            async with asyncio.timeout(5):
                while not heard.qsize() > 10:
                    await call.rtp.tone(440, 0.1)
            assert not endpoint.of("ActionFailed")
            size = {"ulaw": 160, "alaw": 160, "slin": 320, "slin16": 640, "g722": 160}[format]
            packets = [heard.get_nowait() for _ in range(heard.qsize())]
            assert len(packets[-1]) == size
            assert len(set(packets[-1])) > 4
            await call.hangup()
            assert (await endpoint.wait("StreamCompleted")).data["reason"] == "hangup"
    finally:
        transport.close()


async def test_a_held_caller_hears_nobody_and_nobody_them(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """A bridge of type `holding`."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "bridge", "name": app, "type": "holding"}, HANGUP]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone, Pbx(asterisk.url) as pbx:
        await running.ready()
        one = await (await phone.invite(f"app-{app}")).answered()
        two = await (await phone.invite(f"app-{app}")).answered()
        ids = [(await endpoint.wait("StasisStart", count)).call for count in (1, 2)]
        await pbx.together(*ids)
        await deaf(one, two, 440)
        await deaf(two, one, 700)
        await one.hangup()
        assert (await endpoint.wait("BridgeCompleted", call=ids[0])).data["reason"] == "hangup"


@pytest.mark.parametrize(
    "actions",
    [
        pytest.param([{"action": "bridge", "name": "hold", "type": "holding", "moh": "tune"}], id="a holding bridge"),
        pytest.param([{"action": "bridge", "name": "talk", "moh": "tune"}], id="a bridge"),
        pytest.param([{"action": "conference", "name": "wait", "moh": "tune", "startOnEnter": False}], id="a conference that waits"),
        pytest.param([{"action": "enqueue", "queue": "wait", "moh": "tune"}], id="a queue"),
        pytest.param([OWN_CLASS, {"action": "moh", "mohClass": "none"}], id="a class that is not there"),
    ],
)
async def test_music_is_heard(asterisk: Asterisk, app: str, endpoint: Endpoint, actions: list[Any]) -> None:
    """In place of an unknown class the channel's own is."""
    endpoint.answers["StasisStart"] = [[ANSWER, *actions, {"action": "pause", "seconds": 30}]]
    async with router(asterisk, app, endpoint, 'functions = ["CHANNEL"]') as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.rtp.until(lambda: len(call.rtp.sound) >= 25, 8)
        assert power(b"".join(payload for _, payload in call.rtp.sound[-20:]), 620) > 0.5
        assert not endpoint.of("ActionFailed")
        await call.hangup()


async def test_a_sound_is_played_in_its_language(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """`lang` of one that is not there falls back to English; the playback says which it was."""
    play = {"action": "play", "media": "sound:hello-world", "lang": "fr", "skipms": 500, "offsetms": 700}
    routes = route(endpoint.url, events='["StasisStart", "PlaybackFinished"]')
    endpoint.answers["StasisStart"] = [[ANSWER, play, HANGUP]]
    async with Router(asterisk.url, app, routes) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        finished = await endpoint.wait("PlaybackFinished")
        assert (finished.data["playback"]["language"], finished.data["playback"]["state"]) == ("fr", "done")
        await call.ended()
        assert call.rtp.span == pytest.approx(0.7, abs=0.25)  # half of it was skipped
