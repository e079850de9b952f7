"""say, and sounds from the web, at real phones: as the documentation shows it, and for many callers at once."""

from __future__ import annotations

import asyncio
import math
import os
import re
import secrets
import shutil
import wave
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from lab.asterisk import Asterisk
from lab.rtp import power
from lab.ua import UA, Call
from rig.endpoint import Endpoint
from rig.router import Router, route

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "PlayCompleted"]'
CROWD = 21
DOCUMENTED = re.findall(r"^\[speech\]\ncommand = .*$", (Path(__file__).parents[2] / "docs/routes.md").read_text(), re.M)[0]
"""The table of [speech] that docs/routes.md shows."""


def need(program: str) -> None:
    """Fails under CI, skips elsewhere."""
    if shutil.which(program) is None:
        message = f"{program} is not installed; `make lab` does it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


async def crowd(asterisk: Asterisk, app: str, callers: int) -> list[Call]:
    """So many phones call at the same moment, and hear the call to its end."""
    async with AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(UA(asterisk.sip_port)) for _ in range(callers)]
        calls = await asyncio.gather(*[phone.invite(f"app-{app}") for phone in phones])
        await asyncio.gather(*[call.ended() for call in calls])
        return calls


def silent(calls: list[Call]) -> int:
    return sum(len(call.rtp.sound) < 10 for call in calls)


@pytest.mark.parametrize("callers", [1, CROWD])
async def test_say_as_the_documentation_shows_it_is_heard_by_all(
    asterisk: Asterisk, app: str, endpoint: Endpoint, callers: int
) -> None:
    """Nothing but the command is configured; the text is new."""
    need("espeak-ng")
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "say", "text": f"Welcome, {secrets.token_hex(3)}"}, HANGUP]]
    async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS), serve=True, extra=DOCUMENTED) as router:
        await router.ready()
        calls = await crowd(asterisk, app, callers)
        assert silent(calls) == 0
        assert not endpoint.of("ActionFailed")
        assert len(endpoint.of("PlayCompleted")) == callers
        assert all(abs(call.rtp.span - calls[0].rtp.span) < 1.5 for call in calls)


@asynccontextmanager
async def sounds(
    tmp_path: Path, headers: dict[str, str], *, refused: int = 0, hertz: int = 440
) -> AsyncIterator[str]:
    """An endpoint's own sound on the web, a tone; its address. The first `refused` who fetch it do not get it."""
    tries = iter(range(refused))
    path = tmp_path / "tone.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        tone = (int(9000 * math.sin(2 * math.pi * hertz * i / 8000)) for i in range(8000))
        file.writeframes(b"".join(sample.to_bytes(2, "little", signed=True) for sample in tone))

    async def serve(request: web.Request) -> web.Response:
        await asyncio.sleep(0.05)  # as far away as a web server is
        if next(tries, None) is not None:
            return web.Response(status=503)
        return web.Response(body=path.read_bytes(), content_type="audio/x-wav", headers=headers)

    server = web.Application()
    server.router.add_get("/{name}", serve)
    runner = web.AppRunner(server, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/{secrets.token_hex(6)}.wav"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("headers", [{"cache-control": "max-age=60"}, {}], ids=["cacheable", "not cacheable"])
async def test_a_sound_of_the_web_is_heard_by_all_who_fetch_it_at_once(
    asterisk: Asterisk, app: str, endpoint: Endpoint, tmp_path: Path, headers: dict[str, str]
) -> None:
    """For the first time; also where its server does not let anybody keep it."""
    async with sounds(tmp_path, headers) as url, Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as router:
        await router.ready()
        endpoint.answers["StasisStart"] = [[ANSWER, {"action": "play", "media": url}, HANGUP]]
        calls = await crowd(asterisk, app, CROWD)
        assert silent(calls) == 0
        assert not endpoint.of("ActionFailed")
        assert all(power(b"".join(p for _, p in call.rtp.sound[5:25]), 440) > 0.5 for call in calls)


async def test_whoever_a_sound_of_the_web_is_for_hears_it_where_the_first_fetch_fails(
    asterisk: Asterisk, app: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    """The one who is dialled, in a talk, and nobody else; all in a room."""
    async with AsyncExitStack() as stack:
        caller, callee = [await stack.enter_async_context(UA(asterisk.sip_port)) for _ in range(2)]
        router = await stack.enter_async_context(Router(asterisk.url, app, route(endpoint.url, events=EVENTS)))
        await router.ready()
        for to, action in (
            ("callee", {"action": "dial", "to": f"PJSIP/far/{callee.address}", "whisper": ""}),
            ("caller", {"action": "bridge", "name": app, "announce": ""}),
        ):
            url = await stack.enter_async_context(sounds(tmp_path, {}, refused=2, hertz=1000))
            endpoint.answers["StasisStart"] = [[ANSWER, action | {next(k for k in action if not action[k]): url}, HANGUP]]
            calling = await caller.invite(f"app-{app}")
            called = calling if to == "caller" else await callee.incoming()
            if called is not calling:
                await called.answer()
            await calling.answered()
            await hears(called, 1000, calling)
            heard = b"".join(payload for _, payload in calling.rtp.sound)  # that it rings, perhaps
            assert to == "caller" or not heard or power(heard, 1000) < 0.1
            await calling.hangup()
            await called.ended()


async def hears(call: Call, hertz: float, other: Call) -> None:
    """Until it does, while the other's line is silent."""
    async with asyncio.timeout(10):
        while len(call.rtp.sound) < 15 or power(b"".join(payload for _, payload in call.rtp.sound[-15:]), hertz) < 0.5:
            await other.rtp.tone(0, 0.1)
