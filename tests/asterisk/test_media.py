"""say and stream on the real Asterisk: speech that is heard, and a program that hears and speaks."""

from __future__ import annotations

import asyncio
import os
import shutil
from typing import Any

import pytest
from lab.asterisk import Asterisk, free_port
from lab.audiosocket import EchoProgram
from lab.rtp import power
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.router import Router, route
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from hookrouter.facts import ActionFinished, CallFinished

EVENTS = '["StasisStart", "StasisEnd", "PlayCompleted", "CallEnded"]'
ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}


def need(program: str) -> None:
    """Fails under CI, skips elsewhere."""
    if shutil.which(program) is None:
        message = f"{program} is not installed; `make lab` does it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)


async def test_a_text_is_spoken_once_made_and_heard(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """espeak-ng speaks into a folder that Asterisk sees; the second time nothing is made anew."""
    need("espeak-ng")
    folder = asterisk.folder / "speech"
    folder.mkdir(exist_ok=True)
    shell = 'espeak-ng -v en -w "$1.raw.wav" "$0" && sox "$1.raw.wav" -r 8000 -c 1 "$1"'
    speech = (
        f"[speech]\ncommand = ['sh', '-c', '{shell}', '{{text}}', '{{file}}']\n"
        f'folder = "{folder}"\nasterisk_folder = "{asterisk.inside}/speech"\n'
    )
    need("sox")
    say = {"action": "say", "text": "Welcome to the house of calls.", "lang": "en"}
    endpoint.answers["StasisStart"] = [[ANSWER, say, say, HANGUP]]
    async with (
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS), extra=speech) as running,
        UA(asterisk.sip_port) as phone,
    ):
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.ended()
        assert len(call.rtp.sound) > 80
        assert len(endpoint.of("PlayCompleted")) == 2
        assert len(list(folder.glob("????????????????????????????????.wav"))) == 1
        await running.fact(CallFinished)


@pytest.mark.parametrize(
    ("speech", "told"),
    [
        pytest.param("", "no [speech]", id="not configured"),
        pytest.param('[speech]\ncommand = ["false", "{text}"]\n', "status 1", id="the program fails"),
        pytest.param('[speech]\ncommand = ["echo", "{text}"]\n', "no WAV file", id="no sound"),
        pytest.param('[speech]\nurl = "http://127.0.0.1:9/"\n', "127.0.0.1:9", id="no service"),
    ],
)
async def test_what_cannot_be_spoken_is_told(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Any, speech: str, told: str
) -> None:
    """ActionFailed says what is wrong with the speech."""
    if "base" not in speech and speech:
        speech += 'base_url = "http://127.0.0.1:1"\n'
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "say", "text": f"Hello {app}"}]]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS), extra=speech) as running:
        await running.ready()
        await pbx.call(app)
        failed = await endpoint.wait("ActionFailed")
        assert failed.data["error"]["reason"] == "speech_failed"
        assert told in failed.data["error"]["message"]
        await endpoint.wait("CallEnded")


class Bot:
    """A media program: hears everything, and sends it back."""

    def __init__(self) -> None:
        self.heard = bytearray()
        self.texts: list[str] = []
        self.connected = asyncio.Event()

    async def __call__(self, socket: ServerConnection) -> None:
        self.connected.set()
        try:
            while True:
                message = await socket.recv()
                if isinstance(message, str):
                    self.texts.append(message)
                else:
                    self.heard += message
                    await socket.send(message)
        except ConnectionClosed:
            return


async def test_a_bot_hears_the_caller_and_is_heard(app: str, endpoint: Endpoint) -> None:
    """Both ways over a WebSocket client of Asterisk's; when the call ends the stream does, and nothing is left."""
    bot, port = Bot(), free_port()
    async with serve(bot, "127.0.0.1", port, subprotocols=["media"], compression=None):  # type: ignore[list-item]
        clients = {"bot": f"ws://127.0.0.1:{port}/", "nobody": f"ws://127.0.0.1:{free_port()}/"}
        with Asterisk(media_clients=clients) as asterisk:
            endpoint.answers["StasisStart"] = [[ANSWER, {"action": "stream", "to": "bot", "format": "ulaw"}, HANGUP]]
            endpoint.answers["ActionFailed"] = [[HANGUP]]
            async with (
                Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running,
                UA(asterisk.sip_port) as phone,
            ):
                await running.ready()
                call = await (await phone.invite(f"app-{app}")).answered()
                async with asyncio.timeout(5):
                    await bot.connected.wait()
                await call.rtp.tone(440, 1.5)
                assert power(bytes(bot.heard[-4000:]), 440) > 0.3
                assert power(b"".join(p for _, p in call.rtp.sound[-15:]), 440) > 0.3
                await call.hangup()
                done = await endpoint.wait("StreamCompleted")
                assert done.data["reason"] == "hangup"
                await running.fact(CallFinished)
                endpoint.answers["StasisStart"] = [[ANSWER, {"action": "stream", "to": "nobody"}]]
                second = await (await phone.invite(f"app-{app}")).answered()
                failed = await endpoint.wait("ActionFailed")
                assert failed.data["error"]["reason"] in ("stream_refused", "asterisk_error")
                streamed = [f for f in running.of(ActionFinished) if f.verb == "stream" and f.outcome == "failed"]
                assert streamed[0].seconds < 2.5
                await second.ended()


async def test_media_goes_by_plain_rtp(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """`rtp:HOST:PORT` gets the caller's voice."""
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    class Listener(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, address: Any) -> None:
            heard.put_nowait(data[12:])

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Listener, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "stream", "to": f"rtp:127.0.0.1:{port}"}, HANGUP]]
    try:
        async with (
            Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running,
            UA(asterisk.sip_port) as phone,
        ):
            await running.ready()
            call = await (await phone.invite(f"app-{app}")).answered()
            async with asyncio.timeout(5):
                while not any(len(b["channels"]) == 2 for b in await _bridges(asterisk)):
                    await asyncio.sleep(0.02)
            await call.rtp.tone(440, 1.0)
            received = [heard.get_nowait() for _ in range(heard.qsize())]
            assert power(b"".join(received[-20:]), 440) > 0.3
            await call.hangup()
            await running.fact(CallFinished)
    finally:
        transport.close()


async def test_media_goes_by_audiosocket_both_ways(asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """`audiosocket:HOST:PORT` gets the caller's voice, and what it sends is heard; when it hangs up the program goes on."""
    echo = EchoProgram()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    stream = {"action": "stream", "to": f"audiosocket:127.0.0.1:{port}", "format": "slin"}
    endpoint.answers["StasisStart"] = [[ANSWER, stream, {"action": "play", "media": "sound:digits/1"}, HANGUP]]
    async with (
        server,
        Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as running,
        UA(asterisk.sip_port) as phone,
    ):
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        async with asyncio.timeout(5):
            while not echo.sessions:
                await asyncio.sleep(0.02)
        await call.rtp.tone(440, 1.5)
        assert len(echo.sessions[0]) == 16
        assert power(b"".join(payload for _, payload in call.rtp.sound[-15:]), 440) > 0.3
        echo.hang_up()
        done = await endpoint.wait("StreamCompleted")
        assert done.data["reason"] == "ended"
        await endpoint.wait("PlayCompleted")
        await call.ended()
        await running.fact(CallFinished)


async def _bridges(asterisk: Asterisk) -> Any:
    from rig.pbx import Pbx

    async with Pbx(asterisk.url) as pbx:
        return (await pbx.ari("GET", "bridges"))[1]
