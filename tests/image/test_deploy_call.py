"""The files of deploy/ at work: their Asterisk, their routes, and a sample endpoint, without containers."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from lab import asterisk as lab
from lab import installing
from lab.ua import UA
from rig.page import Walk
from rig.process import RouterProcess

ROOT = Path(__file__).parents[2]
SECRET = "whsec_b25seSBmb3IgdHJ5aW5nIHRoaW5ncyE="
TOKEN = "0123456789abcdef"
FAR_END = "\n[callers]\nexten => wait,1,Answer()\n same => n,Wait(60)\n"
pytestmark = pytest.mark.asterisk


@pytest.fixture
def endpoint() -> Iterator[int]:
    """examples/python, on a port of its own."""
    port = lab.free_port()
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(ROOT / "examples/python"), "ivr:app", "--port", str(port)]
    environ = os.environ | {"HOOKROUTER_SECRET": SECRET}
    process = subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any("running on" in line for line in process.stderr)
    yield port
    process.terminate()
    process.communicate()


@pytest.fixture
def router(tmp_path: Path, endpoint: int) -> Iterator[RouterProcess]:
    """deploy/routes.compose.toml, with ports of its own; not started."""
    process = RouterProcess(tmp_path, "", "hookrouter", "")
    text = (ROOT / "deploy/routes.compose.toml").read_text()
    text = text.replace("0.0.0.0:8080", f"127.0.0.1:{process.port}").replace("endpoint:8000", f"127.0.0.1:{endpoint}")
    process.config.write_text(text)
    yield process
    process.kill()


@pytest.fixture
def asterisk(router: RouterProcess) -> Iterator[lab.Asterisk]:
    """The lab's, with the files of deploy/asterisk that matter to the router."""
    if installing.installed() is None:
        message = "no Asterisk here; `make lab` installs one (root, Debian)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    installing.ensure_mounted()
    found = lab.Asterisk()
    found._write()
    for name in ("ari.conf", "websocket_client.conf", "extensions.conf"):
        text = (ROOT / "deploy/asterisk" / name).read_text().replace("router:8080", f"127.0.0.1:{router.port}")
        (found.folder / "etc" / name).write_text(text + (FAR_END if name == "extensions.conf" else ""))
    with found:
        yield found


async def _calls(router: RouterProcess, wanted: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Waits until the live calls are as `wanted`."""
    headers = {"authorization": f"Bearer {TOKEN}"}
    found: list[dict[str, Any]] = []
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{router.port}", headers=headers, trust_env=False) as client:
        try:
            async with asyncio.timeout(15):
                while not wanted(found):
                    await asyncio.sleep(0.05)  # another process
                    found = (await client.get("/v1/calls")).json()["calls"]
        except TimeoutError:
            raise AssertionError(f"{found}\n{router.log.read_text()[-3000:]}") from None


def _gathers(call: dict[str, Any]) -> bool:
    return any(step["actions"][step["index"]]["action"] == "gather" for step in call["programs"] if step["kind"] == "main")


async def test_the_walk_of_an_operator(asterisk: lab.Asterisk, router: RouterProcess, tmp_path: Path) -> None:
    """The secrets as compose.yaml says; then, in place of `docker compose up` (no engine is here), what its services run.

    The phone is the lab's: that of deploy/asterisk/pjsip.conf wants an image's own folders.
    """
    assert "`docker compose up --build`" in (ROOT / "README.md").read_text()
    (line,) = re.findall(r"^#   (export .*)$", (ROOT / "compose.yaml").read_text(), re.MULTILINE)
    walk = Walk(tmp_path, {})
    walk.export(line)
    assert len(walk.environ["PHONE_PASSWORD"]) >= 8
    router.start(HOOKROUTER_SECRET=SECRET, HOOKROUTER_TOKEN=walk.environ["HOOKROUTER_TOKEN"])
    await router.ready()
    async with UA(asterisk.sip_port) as phone:
        asterisk.cli(f"channel originate PJSIP/far/{phone.address} extension 1000@from-phones")
        call = await phone.incoming()
        await call.answer()
        await call.rtp.until(lambda: len(call.rtp.sound) > 30, 10)
        await call.hangup()
    walk.end()


async def test_a_call_and_a_restart(asterisk: lab.Asterisk, router: RouterProcess) -> None:
    """The sample answers a call; one that comes while the router is away waits for it."""
    router.start(HOOKROUTER_SECRET=SECRET, HOOKROUTER_TOKEN=TOKEN)
    await router.ready()
    asterisk.cli("channel originate Local/1000@from-phones extension wait@callers")
    await _calls(router, lambda calls: len(calls) == 1 and _gathers(calls[0]))
    assert router.terminate() == 0
    asterisk.cli("channel originate Local/1000@from-phones extension wait@callers")
    router.start(HOOKROUTER_SECRET=SECRET, HOOKROUTER_TOKEN=TOKEN)
    await router.ready()
    await _calls(router, lambda calls: len(calls) == 2 and any(map(_gathers, calls)))
