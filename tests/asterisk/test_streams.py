"""stream: each format over each of its three ways, to a program and back, at a real phone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from lab.asterisk import Asterisk, free_port
from lab.audiosocket import EchoProgram
from lab.rtp import power
from lab.ua import UA, Call
from rig.endpoint import Endpoint
from rig.router import Router, route
from websockets.asyncio.server import ServerConnection, serve

from hookrouter.facts import FallbackTaken

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
EVENTS = '["StasisStart", "StreamCompleted"]'
BYTES = {
    "ulaw": 160, "alaw": 160, "g722": 160, "slin": 320, "slin12": 480, "slin16": 640, "slin24": 960, "slin32": 1280,
    "slin44": 1764, "slin48": 1920, "slin96": 3840, "slin192": 7680,
}  # fmt: skip
"""Of 20 ms of sound in each format."""
BOT = free_port()


@pytest.fixture(scope="module")
def asterisk(asterisk: Asterisk) -> Iterator[Asterisk]:
    """One whose websocket_client.conf has a client `bot`."""
    with Asterisk(media_clients={"bot": f"ws://127.0.0.1:{BOT}/"}) as running:
        yield running


class Echo:
    """Sends back all that it hears; `sizes` of what came."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    async def websocket(self, socket: ServerConnection) -> None:
        async for message in socket:
            if isinstance(message, bytes):
                self.sizes.append(len(message))
                await socket.send(message)


@contextlib.asynccontextmanager
async def echo(way: str, format: str) -> AsyncIterator[tuple[list[int], str]]:
    """The sizes of what an echo hears, and how `stream` names it."""
    if way == "websocket":
        program = Echo()
        async with serve(program.websocket, "127.0.0.1", BOT, subprotocols=["media"], compression=None):  # type: ignore[list-item]
            yield program.sizes, "bot"
    else:
        heard = EchoProgram(format)
        async with await asyncio.start_server(heard, "127.0.0.1", 0) as server:
            yield heard.sizes, f"audiosocket:127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("way", ["websocket", "audiosocket"])
async def test_a_program_hears_and_is_heard_in_each_format(
    asterisk: Asterisk, app: str, endpoint: Endpoint, way: str
) -> None:
    """What it hears has the format's size, and what it says is heard; the format that nobody names is one that works."""
    formats = [format for format in BYTES if way == "websocket" or format.startswith("slin")]
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running,
        UA(asterisk.sip_port) as phone,
    ):
        await running.ready()
        for format in (None, *formats):
            async with echo(way, format or formats[0]) as (sizes, to):
                stream: dict[str, Any] = {"action": "stream", "to": to, "format": format}
                endpoint.answers["StasisStart"] = [[ANSWER, stream, HANGUP]]
                call = await (await phone.invite(f"app-{app}")).answered()
                await hears_itself(call)
                assert sizes[-1] == BYTES[format or formats[0]], format
                await call.hangup()
        await endpoint.wait("StreamCompleted", len(formats) + 1)
        assert not endpoint.of("ActionFailed")


async def hears_itself(call: Call) -> None:
    """What the phone says comes back, and nothing else."""
    async with asyncio.timeout(8):
        while power(b"".join(payload for _, payload in call.rtp.sound[-10:]) or b"\xff", 440) < 0.3:
            await call.rtp.tone(440, 0.1)


async def test_a_format_that_would_be_noise_is_refused_at_its_place(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """Of AudioSocket."""
    async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running, UA(asterisk.sip_port) as phone:
        await running.ready()
        stream = {"action": "stream", "to": "audiosocket:127.0.0.1:9", "format": "ulaw"}
        endpoint.answers["StasisStart"] = [[ANSWER, stream, HANGUP]]
        await phone.invite(f"app-{app}")
        await running.fact(FallbackTaken)
        assert any("`ulaw` would be noise" in str(fact) for fact in running.facts)
