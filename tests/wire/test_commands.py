"""`hookrouter calls`, `tail`, `replay` and `deliveries` beside a router that runs, and of the file where none does."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.router import route

from hookrouter.simulator import Simulator

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
HELLO = {"actions": [ANSWER, {"action": "play", "media": "sound:hello-world"}, HANGUP], "tags": {"customer": "4711"}}
SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="


async def run(router: RouterProcess, *words: str, at: int = 1) -> tuple[int, str]:
    """The exit status and all that was printed. `at`: behind how many words the configuration is named."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hookrouter", *words[:at], "-c", str(router.config), *words[at:],
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL, cwd=router.folder,
        env=os.environ | {"HOOKROUTER_STORE": router.store},
    )  # fmt: skip
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


class Place:
    """A router with two calls in its record: `good`, and `bad`, whose sound is missing."""

    def __init__(self, router: RouterProcess, endpoint: Endpoint) -> None:
        self.router, self.endpoint = router, endpoint
        self.good = self.bad = ""


@pytest.fixture
async def place(tmp_path: Path, endpoint: Endpoint, app_name: str) -> AsyncIterator[Place]:
    missing = [ANSWER, {"action": "play", "media": "sound:no-such-sound"}, HANGUP]
    endpoint.answers["StasisStart"] = lambda d: missing if d.data["args"] == ["bad"] else HELLO
    routes = route(endpoint.url, more=f'secret = "{SECRET}"\nsilence_timeout = 0.3\n')
    async with Simulator() as simulator, RouterProcess(tmp_path, simulator.url, app_name, routes) as router:
        await router.ready()
        found = Place(router, endpoint)
        async with Pbx(simulator.url) as pbx:
            for args in ("good", "bad"):
                call = await pbx.call(app_name, args=args, number="+4930123456")
                await endpoint.wait("StasisEnd", call=call.id)
                setattr(found, args, call.id)
                await call.hangup()
                await pbx.gone(call.id, call.far)
        yield found


@pytest.mark.parametrize("running", [True, False], ids=["of-the-router", "of-the-file"])
async def test_calls_are_listed_and_shown(place: Place, running: bool) -> None:
    """All, those that failed, by words; one as a ladder with why it failed on top, with bodies, and as JSON."""
    router = place.router
    async with asyncio.timeout(10):
        while len((await router.get("/v1/calls?outcome=failed"))["calls"]) < 1:
            await asyncio.sleep(0.05)
    if not running:
        router.kill()
    status, listed = await run(router, "calls")
    assert (status, place.good in listed, place.bad in listed) == (0, True, True)
    assert listed.splitlines()[0].split()[:4] == ["began", "outcome", "took", "caller"]
    _, listed = await run(router, "calls", "--failed", "--since", "1h", "--caller", "+4930123456")
    assert (place.good in listed, place.bad in listed) == (False, True)
    assert "`play` failed (" in listed
    _, listed = await run(router, "calls", "--text", "4711", "--json")
    assert [call["id"] for call in json.loads(listed)] == [place.good]
    status, drawn = await run(router, "calls", "show", place.bad)
    assert status == 0
    assert drawn.startswith("`play` failed (")
    for piece in ("StasisStart", "200 in ", ": answer,", "fallback", "over: "):
        assert piece in drawn
    _, drawn = await run(router, "calls", "show", place.good, "--verbose")
    assert drawn.startswith("the call went well")
    assert '"media": "sound:hello-world"' in drawn
    assert "customer=4711" in drawn.splitlines()[1]
    _, whole = await run(router, "calls", "show", place.good, "--json")
    assert json.loads(whole)["entries"][0]["what"] == "CallStarted"
    status, said = await run(router, "calls", "show", "nobody")
    assert (status, "nothing is kept of a call" in said) == (1, True)


@pytest.mark.parametrize("words", [("calls", "show"), ("calls", "export"), ("deliveries", "list")], ids=" ".join)
async def test_the_configuration_may_be_named_behind_a_part(place: Place, words: tuple[str, ...]) -> None:
    """As before it: nobody has to know which of the words the option belongs to."""
    more = (place.good,) if words[0] == "calls" else ()
    before, behind = [await run(place.router, *words, *more, at=at) for at in (1, 2 + len(more))]
    assert before == behind
    assert before[0] == 0


async def test_a_recorded_call_is_exported_and_simulated(place: Place) -> None:
    """The script runs against the same endpoint, and finds what is not as it was."""
    script = place.router.folder / "call.toml"

    async def simulate() -> tuple[int, str]:
        status, text = await run(place.router, "calls", "export", place.good)
        assert status == 0, text
        script.write_text(text)
        return await run(place.router, "simulate", place.endpoint.url, "--route", "ivr", "--script", str(script), "--speed", "4")

    status, said = await simulate()
    assert (status, "All is well: 3 actions" in said) == (0, True), said
    changed: Any = [ANSWER, HANGUP]
    place.endpoint.answers["StasisStart"] = lambda d: changed
    status, said = await simulate()
    assert (status, "expect.heard: `sound:hello-world` is missing" in said) == (1, True), said


async def test_a_recorded_call_is_replayed(place: Place) -> None:
    """The same endpoint answers the same; a changed one is told difference by difference; requests are signed."""
    for id in (place.good, place.bad):
        status, said = await run(place.router, "replay", id, "--to", place.endpoint.url)
        assert (status, said.splitlines()[0]) == (0, "= StasisStart")
        assert "every answer is as it was" in said
    again = place.endpoint.of("StasisStart", place.good)
    assert [d.raw for d in again] == [again[0].raw] * 2
    assert again[1].headers["webhook-signature"].startswith("v1,")
    assert again[1].headers["webhook-id"] == again[0].headers["webhook-id"]
    changed: Any = {"actions": [ANSWER, {"action": "play", "media": "sound:vm-goodbye"}, HANGUP], "state": {"a": 1}}
    place.endpoint.answers["StasisStart"] = lambda d: changed
    status, said = await run(place.router, "replay", place.good, "--to", place.endpoint.url)
    assert status == 1
    assert '/actions/1/media: "sound:hello-world" was recorded, "sound:vm-goodbye" came' in said
    assert '/state: nothing was recorded, {"a": 1} came' in said
    assert '/tags/customer: "4711" was recorded, nothing came' in said
    places = ("/actions/*", "/state", "/tags/*")
    status, said = await run(
        place.router, "replay", place.good, "--to", place.endpoint.url, *(word for one in places for word in ("--ignore", one))
    )
    assert status == 0, said
    status, said = await run(place.router, "replay", place.good, "--to", "http://127.0.0.1:9/")
    assert (status, "refused_connection" in said) == (1, True)


async def test_what_happens_is_followed(place: Place) -> None:
    """A line a step, of one route; deliveries have headings; over a restart it goes on; where no router is, that is said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "hookrouter", "tail", "-c", str(place.router.config), "--route", "ivr",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    await _told(place, process.stdout)
    status, said = await run(place.router, "deliveries", "list")
    assert (status, said.split()[:3]) == (0, ["made", "status", "tries"])
    assert place.router.terminate() == 0
    async with asyncio.timeout(20):
        assert b"has closed the connection: waiting for it" in await process.stderr.readline()
        status, said = await run(place.router, "tail")
        assert (status, "is `hookrouter serve` running?" in said) == (1, True)
        place.router.start()
        await place.router.ready()
        assert b"is back" in await process.stderr.readline()
    await _told(place, process.stdout)
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(10):
        await process.communicate()
    assert process.returncode == 0


async def _told(place: Place, lines: asyncio.StreamReader) -> None:
    """Calls are made until one is told."""
    body = json.dumps({"to": "Local/wait@callers", "route": "ivr"}).encode()
    async with asyncio.timeout(20), aiohttp.ClientSession() as session:
        line = b""
        while b"call.started" not in line:
            async with session.post(f"http://127.0.0.1:{place.router.port}/v1/calls", data=body) as reply:
                assert reply.status == 201
            try:
                async with asyncio.timeout(1.0):
                    while b"call.started" not in line:
                        line = await lines.readline()
            except TimeoutError:
                continue


async def test_a_sample_is_sent(endpoint: Endpoint, tmp_path: Path) -> None:
    """Signed; what comes back is said, and whether it would be taken."""
    routes = route(endpoint.url, more=f'secret = "{SECRET}"\nheaders = {{ x-own = "1" }}\n')
    router = RouterProcess(tmp_path, "http://127.0.0.1:9", "app", routes)
    to = ["--to", endpoint.url, "--secret", SECRET]

    async def trigger(*words: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "hookrouter", "trigger", *words, *to,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd=router.folder,
        )  # fmt: skip
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()

    endpoint.answers["DigitsCollected"] = lambda d: [HANGUP]
    status, said = await trigger("DigitsCollected", "--set", "digits=42")
    assert (status, "It would be taken: hangup." in said) == (0, True), said
    (sent,) = endpoint.received
    assert sent.data["digits"] == "42"
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    signed = f"{sent.headers['webhook-id']}.{sent.headers['webhook-timestamp']}.".encode() + sent.raw
    wanted = base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    assert sent.headers["webhook-signature"] == f"v1,{wanted}"
    to = ["--route", "ivr", "-c", str(router.config)]
    status, said = await trigger("DigitsCollected")
    assert (status, "It would be taken: hangup." in said) == (0, True), said
    sent = endpoint.received[-1]
    assert sent.headers["x-own"] == "1"
    assert sent.headers["webhook-signature"]
    status, said = await trigger("DigitsCollected", "--to", endpoint.url)
    assert (status, "--to or --route" in said) == (2, True), said
    to[1] = "none"
    status, said = await trigger("DigitsCollected")
    assert (status, "has no route `none`: it has ivr" in said) == (2, True), said
    to[1] = "ivr"
    endpoint.answers["DigitsCollected"] = lambda d: [{"action": "hangpu"}]
    status, said = await trigger("DigitsCollected")
    assert (status, "unknown action `hangpu`; did you mean `hangup`?" in said) == (1, True), said
