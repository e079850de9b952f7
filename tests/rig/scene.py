"""A scenario of examples/ as its users run it: the file itself, in each of its languages, with the routes at its own top."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import socket
import struct
import sys
import tempfile
import time
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch
from urllib.parse import urljoin, urlsplit

import httpx
import msgspec
import uvicorn
from examples.serving import SCENARIOS, SECRET, Served, routes_of, scenario, serve_scenario
from lab.asterisk import Asterisk, free_port
from lab.rtp import power, ulaw
from lab.ua import UA, Call

from hookrouter.cli.replaying import asked, compared, send_again
from hookrouter.delivery.signing import parse_secret, sign
from hookrouter.facts import ActionFinished
from hookrouter.record.finding import Query
from hookrouter.routing.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router

CLOCK = ("/actions/*/body/at",)  # what an example takes from its own clock is never the same again


def far(phone: UA) -> str:
    """A phone as Asterisk dials it."""
    return f"PJSIP/far/{phone.address}"


class Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Scene:
    """The running example: `events` is what it was sent. In Python `module` is the file (its constants may be set)."""

    rewrite: Callable[[bytes], bytes] | None = None  # each answer in other words
    language = "python"

    def __init__(self, name: str, asterisk: Asterisk, pbx: Pbx) -> None:
        self.served: Served | None = None
        self.client = httpx.AsyncClient(trust_env=False, timeout=30)
        if self.language == "python":
            spec = importlib.util.spec_from_file_location(f"scenario_{name}", scenario("python", name))
            assert spec is not None
            assert spec.loader is not None
            self.module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(self.module)
        self.asterisk, self.pbx = asterisk, pbx
        self.events: list[dict[str, Any]] = []
        self.changed = asyncio.Condition()
        self.router: Router
        self.url = ""
        self.serving: asyncio.Task[None]
        config = uvicorn.Config(self, lifespan="off", log_level="warning", ws="websockets-sansio")  # type: ignore[arg-type]
        self.server = Server(config)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The example's app, overheard."""
        body = bytearray()

        async def listen() -> Any:
            message = await receive()
            if message["type"] == "http.request":
                body.extend(message.get("body", b""))
                if not message.get("more_body"):
                    self.events.append(json.loads(body) | {"path": scope["path"]})
                    async with self.changed:
                        self.changed.notify_all()
            return message

        if self.rewrite is None or scope["type"] != "http":
            await self._app(scope, listen, send)
        else:
            await self._rewritten(scope, listen, send, self.rewrite)

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        """In Python the app itself; another language's server gets the same request, and its answer is handed on."""
        if self.served is None:
            await self.module.app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        answer = await self.client.post(urljoin(self.served.url, scope["path"]), content=body, headers=scope["headers"])
        told = [pair for pair in answer.headers.raw if pair[0].lower() in (b"content-type", b"retry-after")]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": told})
        await send({"type": "http.response.body", "body": answer.content})

    async def _rewritten(self, scope: Any, receive: Any, send: Any, rewrite: Callable[[bytes], bytes]) -> None:
        """Each answer of 200 in other words."""
        head: dict[str, Any] = {}
        body = bytearray()

        async def gather(message: Any) -> None:
            if message["type"] == "http.response.start":
                head.update(message)
            else:
                body.extend(message.get("body", b""))

        await self._app(scope, receive, gather)
        if head["status"] == 200:
            body[:] = rewrite(bytes(body))
            kept = [pair for pair in head["headers"] if pair[0].lower() != b"content-length"]
            head["headers"] = [*kept, (b"content-length", str(len(body)).encode())]
        await send(head)
        await send({"type": "http.response.body", "body": bytes(body)})

    def of(self, type: str, path: str = "/", **data: Any) -> list[dict[str, Any]]:
        """The events of this type, at this path, whose data has these members."""
        found = [event for event in self.events if (event["type"], event["path"]) == (type, path)]
        return [event for event in found if all(event["data"].get(key) == value for key, value in data.items())]

    async def event(self, type: str, count: int = 1, *, path: str = "/", **data: Any) -> dict[str, Any]:
        """The `count`-th of them. Raises TimeoutError with what came instead."""
        try:
            async with asyncio.timeout(15), self.changed:
                await self.changed.wait_for(lambda: len(self.of(type, path, **data)) >= count)
        except TimeoutError:
            raise TimeoutError(f"no {type} {data} number {count}; came: {[e['type'] for e in self.events]}") from None
        return self.of(type, path, **data)[count - 1]

    async def again(self, event: dict[str, Any]) -> None:
        """One of `events` is delivered once more, as a retry is."""
        at, body = int(time.time()), msgspec.json.encode({key: event[key] for key in event if key != "path"})
        headers = {"webhook-id": event["id"], "webhook-timestamp": str(at)}
        headers["webhook-signature"] = sign(event["id"], at, body, [parse_secret(SECRET)])
        answer = await self.client.post(urljoin(self.url, event["path"]), content=body, headers=headers)
        assert answer.is_success, answer.text

    async def stop(self) -> None:
        """The function is down from now on."""
        self.server.should_exit = self.server.force_exit = True
        await self.serving
        await self.client.aclose()
        if self.served is not None:
            self.served.stop()

    async def replayed(self, url: str) -> None:
        """Every call that was recorded, sent to the example once more: it answers the same; changed, it does not."""
        told: tuple[Endpoint, list[dict[str, Any]], str] | None = None
        service, endpoint = self.router.service, Endpoint(url, (parse_secret(SECRET),))
        for row in await service.recorder.find(Query(limit=100)):
            record = await service.record(row.call_id)
            assert record is not None
            said = list(asked(record["entries"]))
            if not said:
                continue
            there = msgspec.structs.replace(endpoint, url=urljoin(url, urlsplit(said[0]["url"]).path))
            if said[0]["status"] == 200:
                told = (there, said, row.call_id)
            for exchange, attempt in zip(said, await send_again(there, said, row.call_id), strict=True):
                assert not list(compared(exchange, attempt, CLOCK)), (exchange["type"], attempt)
        if told is not None:
            there, said, call = told
            self.rewrite = _with_a_beep(self.rewrite)
            (attempt,) = await send_again(there, said[:1], call)
            assert [found for found in compared(said[0], attempt, CLOCK) if found.startswith("/actions/0")]

    async def done(self, verb: str) -> None:
        """Waits until an action of this name is complete."""
        await self.router.fact(ActionFinished, verb=verb, outcome="done")

    async def clean(self) -> None:
        """Waits until nothing of its calls is left in Asterisk."""
        calls = {event["call"]["id"] for event in self.events if "call" in event}
        left: list[str] = []
        try:
            async with asyncio.timeout(8):
                while left := [id for id in await self._ids() if any(call in id for call in calls)]:
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(f"still there: {left}") from None

    async def _ids(self) -> set[str]:
        """Channels and bridges; a room is named by those who are in it."""
        bridges = (await self.pbx.ari("GET", "bridges"))[1]
        return await self.pbx.channels() | {f"{bridge['id']} {' '.join(bridge['channels'])}" for bridge in bridges}

    async def heard(self, call: Call, sound: str, timeout: float = 8.0) -> None:
        """Waits until the beginning of a sound of Asterisk's own has arrived at a phone."""
        pieces = _pieces(self.asterisk, sound)

        def there() -> bool:
            stream = b"".join(payload for _, kind, payload in call.rtp.packets if kind == 0)
            return sum(piece in stream for piece in pieces) >= 3

        try:
            await call.rtp.until(there, timeout)
        except TimeoutError:
            raise TimeoutError(f"{sound} was not heard in {len(call.rtp.packets)} packets") from None


def _with_a_beep(rewrite: Callable[[bytes], bytes] | None) -> Callable[[bytes], bytes]:
    """The same answers with one action more at the beginning."""

    def changed(body: bytes) -> bytes:
        answer = json.loads(rewrite(body) if rewrite is not None else body)
        beep = {"action": "play", "media": "sound:beep"}
        if isinstance(answer, list):
            return json.dumps([beep, *answer]).encode()
        return json.dumps(answer | {"actions": [beep, *(answer.get("actions") or [])]}).encode()

    return changed


def _pieces(asterisk: Asterisk, sound: str) -> list[bytes]:
    """Short pieces of the first 600 ms of a sound, as µ-law: Asterisk rounds to multiples of 4 before it encodes."""
    path = asterisk.root / f"usr/share/asterisk/sounds/en_US_f_Allison/{sound}.wav"
    if not path.exists():
        path = next(asterisk.root.glob(f"usr/share/asterisk/sounds/*/{sound}.wav"))
    with wave.open(str(path)) as file:
        frames = file.readframes(file.getnframes())
    samples = [value for (value,) in struct.iter_unpack("<h", frames)]
    begin = next(i for i, sample in enumerate(samples) if abs(sample) > 1000)
    codes = bytes(ulaw(sample & ~3) for sample in samples[begin : begin + 4800])
    pieces = (codes[i : i + 24] for i in range(0, len(codes), 24))
    return [piece for piece in pieces if len(set(piece)) > 14]


async def hears(one: Call, other: Call, hertz: float, timeout: float = 5.0) -> None:
    """One speaks until the other hears it."""
    async with asyncio.timeout(timeout):
        while True:
            before = len(other.rtp.sound)
            await one.rtp.tone(hertz, 0.3)
            heard = b"".join(payload for _, payload in other.rtp.sound[before:][-8:])
            if heard and power(heard, hertz) > 0.4:
                return


async def deaf(one: Call, other: Call, hertz: float) -> None:
    """One speaks, and the other does not hear it."""
    before = len(other.rtp.sound)
    await one.rtp.tone(hertz, 0.4)
    heard = b"".join(payload for _, payload in other.rtp.sound[before:])
    assert not heard or power(heard, hertz) < 0.1


@asynccontextmanager
async def scene(
    asterisk: Asterisk, app: str, name: str, *, port: int = 0, **settings: str
) -> AsyncIterator[Scene]:
    """The example `name` with its settings (environment variables), and a router with its routes. `port`: of the example."""
    control = free_port()
    environment = {"HOOKROUTER_SECRET": SECRET, "ROUTER": f"http://127.0.0.1:{control}", **settings}
    language = Scene.language
    listener = socket.socket()
    listener.bind(("127.0.0.1", port if language == "python" else 0))
    with (
        patch.dict(os.environ, environment), patch.object(sys, "path", [str(SCENARIOS), *sys.path]),
        tempfile.TemporaryDirectory() as folder,
    ):  # fmt: skip
        async with Pbx(asterisk.url) as pbx:
            running = Scene(name, asterisk, pbx)
            running.url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            if language != "python":
                running.served = await asyncio.to_thread(serve_scenario, language, name, Path(folder), port)
            running.serving = asyncio.create_task(running.server.serve([listener]))
            routes = routes_of(scenario(language, name)).replace("${HOOKROUTER_SECRET}", SECRET)
            routes = routes.replace("http://127.0.0.1:8000/", running.url)
            address = f"127.0.0.1:{control}"
            try:
                if running.served is not None:
                    await asyncio.to_thread(running.served.wait)
                async with Router(asterisk.url, app, routes, serve=True, listen=address) as running.router:
                    await running.router.ready()
                    yield running
                    if not running.serving.done():
                        await running.replayed(running.url)
            finally:
                await running.stop()
                listener.close()
