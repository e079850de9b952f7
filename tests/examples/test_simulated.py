"""Every scenario, and the sample in every language, as docs/simulate.md says that they are tried."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from examples.serving import EXAMPLES, SECRET, Served
from rig.process import free_port

from hookrouter.config import load, parse
from hookrouter.simulator.playing_out import Play, Result
from hookrouter.simulator.script import read_script
from hookrouter.simulator.setting import for_routes

FOLDER = EXAMPLES / "simulate"
SPEED = 6.0
ROUTES = {
    "menu": ["menu"],
    "voicemail": ["voicemail"],
    "call_centre": ["call-centre"],
    "ring_group": ["ring-group"],
    "transfer": ["transfer"],
    "conference": ["conference"],
    "call_back": ["call-back", "wishes"],
    "recorded": ["recorded", "archive"],
    "bot": ["bot"],
    "lookup": ["lookup"],
}


async def simulated(name: str, url: str, routes: list[str]) -> Result:
    """As `hookrouter simulate -c … --route … --script … --speed 6`."""
    environ = {"HOOKROUTER_SECRET": SECRET, "IVR_URL": url}
    path = FOLDER / "routes.toml"
    text = path.read_text().replace("http://127.0.0.1:8000/", url)
    config = parse(text, environ, path)
    script = read_script(FOLDER / f"{name}.toml")
    return await Play("", script, speed=SPEED, setting=for_routes(config, routes)).run()


@pytest.fixture
async def crm() -> AsyncIterator[str]:
    """What lookup.py asks."""

    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"name": "Ann"})

    app = web.Application()
    app.router.add_get("/number/{number}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/number/"
    await runner.cleanup()


@pytest.mark.parametrize("name", list(ROUTES))
async def test_a_scenario(name: str, crm: str, tmp_path: Path) -> None:
    """Its script, its routes, and nothing wrong."""
    port = free_port()
    environ = os.environ | {"HOOKROUTER_SECRET": SECRET, "SECONDS": "1", "CRM": crm}
    command = [
        sys.executable,
        "-m",
        "uvicorn",
        "--app-dir",
        str(EXAMPLES / "scenarios"),
        f"{name}:app",
        "--port",
        str(port),
    ]
    process = subprocess.Popen(  # noqa: ASYNC220
        command, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stderr is not None
        await asyncio.to_thread(lambda: any("running on" in line for line in process.stderr or ()))
        result = await simulated(name, f"http://127.0.0.1:{port}/", ROUTES[name])
        assert [problem.text() for problem in result.problems] == [], result.ladder.text()
        assert result.notes == []
    finally:
        process.terminate()
        process.communicate()


async def test_the_sample_in_every_language(ivr: Served) -> None:
    """The same script for each."""
    result = await simulated("ivr", ivr.url, ["ivr"])
    assert [problem.text() for problem in result.problems] == [], result.ladder.text()


def test_every_scenario_has_a_script_and_its_routes() -> None:
    """None is forgotten; the routes are those at the scenario's top."""
    scenarios = {path.stem for path in (EXAMPLES / "scenarios").glob("*.py")} - {"webhook"}
    assert set(ROUTES) == scenarios
    assert {path.stem for path in FOLDER.glob("*.toml")} == scenarios | {"ivr", "routes"}
    here = {route["name"]: route for route in tomllib.loads((FOLDER / "routes.toml").read_text())["routes"]}
    for name in scenarios:
        source = (EXAMPLES / "scenarios" / f"{name}.py").read_text()
        blocks = re.findall(r"^(    \[\[routes\]\]\n(?:    .*\n)+)", source, re.MULTILINE)
        for route in tomllib.loads("\n".join(textwrap.dedent(block) for block in blocks))["routes"]:
            assert here[route["name"]] == route
    load(FOLDER / "routes.toml", {"HOOKROUTER_SECRET": SECRET})
