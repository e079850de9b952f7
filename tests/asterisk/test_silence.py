"""Nobody is left in silence on the real Asterisk: calls that stand still, calls that only look so, and loops."""

from __future__ import annotations

import asyncio
import itertools
import json
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from lab.asterisk import Asterisk, free_port
from lab.rtp import power
from lab.ua import UA, Call
from rig.endpoint import Delivery, Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import ActionFinished, CallFinished, CallStandsStill, FallbackTaken, Warned

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
MISSING = {"action": "play", "media": "sound:no-such-sound"}
SORRY = '[routes.fallback]\nactions = [{ action = "hangup", reason = "busy" }]'
CLOCK = [ANSWER, {"action": "pause", "seconds": 2.5}, HANGUP]


def router(asterisk: Asterisk, app: str, endpoint: Endpoint, more: str = "", **options: Any) -> Router:
    events = options.pop("events", '["StasisStart", "StasisEnd"]')
    more = f"silence_timeout = {options.pop('silence', 1.0)}\n{more}\n{SORRY}"
    return Router(asterisk.url, app, route(endpoint.url, events=events, more=more), **options)


def response(status: int, body: str | None) -> web.Response:
    return web.Response(status=status, text=body, content_type="application/json" if body else None)


async def test_answers_that_bring_nothing(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """Everything that a platform says by default: each caller gets the fallback after the route's seconds, no sooner."""
    bodies = [(202, None), (204, None), (200, ""), (200, "null"), (200, "[]"), (200, "{}")]
    turn = itertools.cycle(bodies)
    endpoint.answers["StasisStart"] = lambda delivery: response(*next(turn))
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        calls = [await phone.invite(f"app-{app}", caller=str(index)) for index in range(len(bodies))]
        for call in calls:
            await call.ended()
            assert call.status == 486
        told = running.of(CallStandsStill)
        assert {fact.answered for fact in told} == {
            "202 and an empty body", "204 and an empty body", "200 and an empty body", "200 and `null`", "200 and `[]`",
            "200 and `{}`",
        }  # fmt: skip
        assert all(1.0 <= fact.seconds < 1.5 for fact in told)
        metrics = running.service.metrics().decode()
        assert f'hookrouter_calls_stood_still_total{{route="ivr"}} {len(bodies)}.0' in metrics


async def test_a_sound_that_is_missing_and_an_endpoint_that_does_not_mind(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """README's own endpoint: `play` fails, ActionFailed is answered `[]`, and the hangup behind it would never run."""
    endpoint.answers["StasisStart"] = [[ANSWER, MISSING, HANGUP]]
    endpoint.answers["ActionFailed"] = [[]]
    async with router(asterisk, app, endpoint, silence=600) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.ended(5)
        [fact] = running.of(CallStandsStill)
        assert (fact.event, fact.answered) == ("ActionFailed", "200 and `[]`")
        assert fact.seconds < 1


async def test_a_prompt_and_nothing_after_it(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """The program ran to its end; nobody said what follows."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "play", "media": "sound:beep"}]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.ended()
        [fact] = running.of(CallStandsStill)
        assert fact.answered == "answer, play"


HEARS: dict[str, list[dict[str, Any]]] = {
    "music": [ANSWER, {"action": "moh", "mohClass": "default"}],
    "music by an operation": [ANSWER, {"action": "channels.startMoh"}],
    "ringing": [{"action": "ring"}],
    "ringing by an operation": [{"action": "channels.ring"}],
    "hold": [ANSWER, {"action": "hold"}],
    "a sound by an operation": [ANSWER, {"action": "channels.play", "media": ["number:1234567890", "number:1234567890"]}],
    "a bridge by operations": [
        ANSWER,
        {"action": "bridges.createWithId", "bridgeId": "silence-APP", "type": "mixing"},
        {"action": "bridges.addChannel", "bridgeId": "silence-APP", "channel": "CALL"},
    ],
    "what they say is recorded": [
        ANSWER, {"action": "channels.record", "name": "silence-APP", "format": "wav"},
    ],
    "a sound that nobody waits for": [ANSWER, {"action": "play", "media": "tone:ring", "wait": False}],
    "a queue": [ANSWER, {"action": "enqueue", "queue": "silence"}],
    "a conference": [ANSWER, {"action": "conference", "name": "silence"}],
    "the dialplan": [{"action": "dialplan", "context": "subs", "extension": "away"}],
}  # fmt: skip


async def test_calls_that_hear_something_or_are_busy(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """None of them stands still, while the one that hears nothing does: all at once, for two and a half times the seconds."""

    plan = dict(zip(HEARS, HEARS.values(), strict=True)) | {"nothing": [ANSWER], "the clock": CLOCK}

    def answer(delivery: Delivery) -> Any:
        name = delivery.data["args"][0]
        text = json.dumps(plan[name]).replace("APP", app).replace("CALL", delivery.call)
        return json.loads(text)

    endpoint.answers["StasisStart"] = answer
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        calls = {name: await pbx.call(app, args=name) for name in plan}
        await running.fact(CallFinished, call=calls["the clock"].id)
        names = {call.id: name for name, call in calls.items()}
        assert {names[fact.call] for fact in running.of(CallStandsStill)} == {"nothing"}
        failed = [fact for fact in running.of(ActionFinished) if fact.outcome == "failed"]
        assert not failed
        for name, call in calls.items():
            if name not in ("nothing", "the clock"):
                await call.hangup()
                await running.fact(CallFinished, call=call.id)


MUSIC = [{"action": "moh", "mohClass": "tune"}, {"action": "channels.startMoh", "mohClass": "tune"}]


async def hears_music(call: Call, mark: int = 0) -> None:
    """From a packet on, the class `tune` of the lab."""
    def heard() -> bool:
        return power(b"".join(payload for _, payload in call.rtp.sound[mark:][-10:]) or b"\xff", 620) >= 0.8

    await call.rtp.until(heard, 5)


@pytest.mark.parametrize("music", MUSIC, ids=["moh", "channels.startMoh"])
@pytest.mark.parametrize("prompt", ["play", "channels.play"])
async def test_music_comes_back_after_a_prompt(
    asterisk: Asterisk, app: str, endpoint: Endpoint, music: dict[str, Any], prompt: str
) -> None:
    """Asterisk does not take it up again; the router does, after the last of two prompts, and the call does not stand still."""
    play = {"action": prompt, "media": "sound:beep"}
    endpoint.answers["StasisStart"] = [[ANSWER, music, play, play]]
    async with router(asterisk, app, endpoint, events='["StasisStart", "PlaybackFinished"]') as running:
        async with UA(asterisk.sip_port) as phone:
            await running.ready()
            call = await (await phone.invite(f"app-{app}")).answered()
            await endpoint.wait("PlaybackFinished", 2)
            await hears_music(call, len(call.rtp.sound))
            assert not running.of(CallStandsStill)
            await call.hangup()
            await running.fact(CallFinished)


async def test_music_that_was_ended_does_not_come_back(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """After `mohStop` a prompt is the last that is heard."""
    play = {"action": "play", "media": "sound:beep"}
    endpoint.answers["StasisStart"] = [[ANSWER, MUSIC[0], {"action": "mohStop"}, play]]
    async with router(asterisk, app, endpoint) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.ended()
        assert len(running.of(CallStandsStill)) == 1


async def test_a_function_that_comes_back(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """202, ringing meanwhile, then POST /v1/calls/{id}/actions: in time it goes on, and the ringing has an end."""
    endpoint.answers["StasisStart"] = lambda delivery: response(202, None)
    more = 'while_waiting = [{ action = "ring" }]'
    async with (
        router(asterisk, app, endpoint, more, silence=3, serve=True) as running,
        UA(asterisk.sip_port) as phone,
    ):
        await running.ready()
        call = await phone.invite(f"app-{app}")
        started = await endpoint.wait("StasisStart")
        await running.fact(ActionFinished, verb="ring", outcome="done")
        await call.until(lambda: 180 in call.statuses)  # the phone has it a moment after Asterisk's reply
        late = [ANSWER, {"action": "play", "media": "sound:beep"}, HANGUP]
        assert running.service.act(started.call, json.dumps(late).encode())
        await call.ended()
        assert call.status == 200
        assert (running.of(CallStandsStill), running.of(FallbackTaken)) == ([], [])


async def test_an_endpoint_that_answers_every_event_with_the_same_actions(
    asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """Twenty answers, then the fallback and one warning: not hundreds of requests, and the caller is not left."""
    hello = [ANSWER, {"action": "play", "media": "sound:hello-world"}]
    for type in ("StasisStart", "ChannelStateChange", "PlaybackStarted", "PlaybackFinished", "PlayCompleted", "ChannelVarset"):
        endpoint.answers[type] = lambda delivery: hello
    async with router(asterisk, app, endpoint, events='["*"]') as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        call = await phone.invite(f"app-{app}")
        await call.ended()
        await running.fact(CallFinished)
        assert [fact.reason for fact in running.of(FallbackTaken)] == ["loop"]
        [warned] = [fact for fact in running.of(Warned) if fact.subject == "loop"]
        assert "Look at `type`" in warned.message
        assert len(endpoint.received) < 80


@pytest.mark.parametrize("hears", [True, False], ids=["music", "silence"])
async def test_a_restart_forgets_neither_silence_nor_music(
    asterisk: Asterisk, app: str, endpoint: Endpoint, tmp_path: Path, hears: bool
) -> None:
    """The seconds go on from the journal; music that was begun before the restart is still known."""
    store = f"sqlite:///{tmp_path}/state.db"
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "moh"}] if hears else [ANSWER]]
    async with UA(asterisk.sip_port) as phone:
        async with router(asterisk, app, endpoint, store=store) as running:
            await running.ready()
            call = await (await phone.invite(f"app-{app}")).answered()
            await running.fact(ActionFinished, verb="moh" if hears else "answer", outcome="done")
        endpoint.answers["StasisStart"] = [CLOCK]
        async with router(asterisk, app, endpoint, store=store) as running:
            await running.ready()
            other = await (await phone.invite(f"app-{app}")).answered()
            await other.ended()
            assert (len(running.of(CallStandsStill)), call.ended_at is None) == ((0, True) if hears else (1, False))
            if hears:
                await call.hangup()
            await running.fact(CallFinished, route="ivr")


async def test_who_is_left_alone_in_a_bridge_that_operations_made(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """They talk, and one hangs up: the other hears nothing any more, and gets the fallback."""
    id = f"silence-{app}"
    create = [{"action": "bridges.createWithId", "bridgeId": id, "type": "mixing"}]
    endpoint.answers["StasisStart"] = lambda delivery: [
        ANSWER,
        *(create.pop() for _ in create[:1]),
        {"action": "bridges.addChannel", "bridgeId": id, "channel": delivery.call},
    ]
    async with router(asterisk, app, endpoint, 'scope = "any"') as running:
        await running.ready()
        one = await pbx.call(app)
        await endpoint.wait("StasisStart")
        two = await pbx.call(app)
        await pbx.together(one.id, two.id)
        await two.hangup()
        await running.fact(CallStandsStill, call=one.id)
        await running.fact(CallFinished, call=one.id)


async def test_callers_in_silence_are_red(asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx) -> None:
    """On the dashboard, and in GET /v1/calls."""
    endpoint.answers["StasisStart"] = lambda delivery: response(202, None)
    address = f"127.0.0.1:{free_port()}"
    async with router(asterisk, app, endpoint, silence=60, serve=True, listen=address) as running:
        await running.ready()
        call = await pbx.call(app)
        await endpoint.wait("StasisStart")
        async with asyncio.timeout(5):
            while not running.service.calls()[0]["stands_still_since"]:
                await asyncio.sleep(0.01)
        async with aiohttp.ClientSession() as browser, browser.get(f"http://{address}/") as page:
            assert f'<tr id="call-{call.id}" class="still">' in await page.text()
        await call.hangup()
        await running.fact(CallFinished, call=call.id)
