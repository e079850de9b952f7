"""Every scenario, and the sample in every language, as docs/simulate.md says that they are tried."""

from __future__ import annotations

import asyncio
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from examples.serving import EXAMPLES, SECRET, SUFFIXES, Served, routes_of, scenario, scenarios, serve_scenario

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
    """Its script, its routes, and nothing wrong: in every language, all at once."""
    served: dict[str, Served] = {}
    try:
        for language in SUFFIXES:
            folder = tmp_path / language
            folder.mkdir()
            served[language] = serve_scenario(language, name, folder, SECONDS="1", CRM=crm)
        waited = [asyncio.to_thread(one.wait) for one in served.values()]
        urls = [one.url for one in await asyncio.gather(*waited)]
        results = await asyncio.gather(*(simulated(name, url, ROUTES[name]) for url in urls))
        for language, result in zip(served, results, strict=True):
            found = language, [problem.text() for problem in result.problems], result.notes
            assert found == (language, [], []), result.ladder.text()
    finally:
        for one in served.values():
            one.stop()


async def test_the_sample_in_every_language(ivr: Served) -> None:
    """The same script for each."""
    result = await simulated("ivr", ivr.url, ["ivr"])
    assert [problem.text() for problem in result.problems] == [], result.ladder.text()


def test_every_scenario_has_a_script_and_its_routes() -> None:
    """None is forgotten in any language; the routes are those at the scenario's top."""
    assert [scenarios(language) for language in SUFFIXES] == [set(ROUTES)] * len(SUFFIXES)
    assert {path.stem for path in FOLDER.glob("*.toml")} == set(ROUTES) | {"ivr", "routes"}
    here = {route["name"]: route for route in tomllib.loads((FOLDER / "routes.toml").read_text())["routes"]}
    for name, routes in ROUTES.items():
        at_its_top = tomllib.loads(routes_of(scenario("python", name)))["routes"]
        assert {route["name"] for route in at_its_top} >= set(routes)
        assert at_its_top == [here[route["name"]] for route in at_its_top]
        assert {routes_of(scenario(language, name)) for language in SUFFIXES} == {routes_of(scenario("python", name))}
    load(FOLDER / "routes.toml", {"HOOKROUTER_SECRET": SECRET})


def test_every_scenario_is_on_the_page() -> None:
    """A row of the table has it in each language."""
    page = (EXAMPLES / "README.md").read_text()
    for name in ROUTES:
        paths = [scenario(language, name).relative_to(EXAMPLES) for language in SUFFIXES]
        assert " | ".join(f"[{path.name}]({path})" for path in paths) in page
