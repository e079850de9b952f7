"""Why a call failed, in one sentence at the top: on its page and by `calls show`, each of ten ways, also after a kill -9."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from click.testing import CliRunner
from lab.asterisk import Asterisk
from lab.installing import ensure_mounted
from markupsafe import escape
from rig.endpoint import Endpoint
from rig.pbx import Caller, Pbx
from rig.process import RouterProcess
from rig.router import Router, route

from hookrouter.cli import main
from hookrouter.facts import CallFinished
from hookrouter.simulator import Simulator

ANSWER, HANGUP, PAUSE = {"action": "answer"}, {"action": "hangup"}, {"action": "pause", "seconds": 60}
NOWHERE = "http://127.0.0.1:9/"
QUICK = "deadline = 0.6\ntimeout = 0.6\n"
GONE = "Asterisk went away in the middle of the call, and has restarted"


async def slow(delivery: Any) -> list[Any]:
    await asyncio.sleep(1.5)
    return []


@dataclass
class Way:
    """What the endpoint answers to a call's beginning, None: it is down; `more`: keys of the route."""

    answer: Any
    sentence: str
    more: str = ""
    events: str = '["StasisStart", "StasisEnd"]'


WAYS = {
    "endpoint-down": Way(None, "StasisStart got no usable answer after", QUICK),
    "slow": Way(slow, "StasisStart got no usable answer after 1 attempt (deadline: no answer within", QUICK),
    "wrong-answer": Way([{"action": "plai"}], "unknown action `plai`; did you mean `play`?", QUICK),
    "wrong-secret": Way(lambda _: web.Response(status=401), "does it have the route's secret", QUICK),
    "missing-sound": Way([ANSWER, {"action": "play", "media": "sound:no-such-sound"}, HANGUP], "`play` failed ("),
    "busy-leg": Way([ANSWER, {"action": "dial", "to": "Local/busy@callers"}, HANGUP], "`dial` of Local/busy@callers: busy"),
    "stood-still": Way([ANSWER], "hears nothing", "silence_timeout = 0.3\n"),
    "loop": Way([ANSWER, {"action": "play", "media": "sound:hello-world"}], "20 answers with actions", events='["*"]'),
    "forbidden": Way([ANSWER, {"action": "channels.hangup", "channelId": "another"}, HANGUP],
                     "`channels.hangup` failed (forbidden"),
}  # fmt: skip
LOOPED = ("ChannelStateChange", "PlaybackStarted", "PlaybackFinished", "PlayCompleted", "ChannelVarset")


def answers(endpoint: Endpoint, name: str, way: Way, then: list[Any] | None = None) -> str:
    """The endpoint of one way, at a path of its own; `then`: what it answers to a failed action. Its URL."""
    path, given = f"/{name}", way.answer
    always = given if callable(given) else lambda delivery: given
    endpoint.answers[f"{path} StasisStart"] = always
    if name == "loop":
        for type in LOOPED:
            endpoint.answers[f"{path} {type}"] = always
    if then is not None:
        endpoint.answers[f"{path} ActionFailed"] = endpoint.answers[f"{path} DialCompleted"] = lambda delivery: then
    return NOWHERE if given is None else endpoint.url.replace("/hook", path)


async def shown(config: Path, id: str) -> str:
    """What `hookrouter calls show` prints."""
    found = await asyncio.to_thread(CliRunner().invoke, main, ["calls", "-c", str(config), "show", id])
    assert found.exit_code == 0, found.output
    return found.output


async def page(address: str, id: str) -> str:
    """The sentence at the top of the call's page."""
    async with aiohttp.ClientSession() as session, session.get(f"{address}/calls/{id}") as reply:
        text = await reply.text()
    return text.partition('id="sentence"')[2].partition("</p>")[0]


async def explained(address: str, config: Path, id: str, sentence: str) -> None:
    """At the top of both."""
    assert sentence in (await shown(config, id)).splitlines()[0]
    assert str(escape(sentence)) in await page(address, id)


@pytest.mark.parametrize("name", WAYS)
async def test_why_a_call_failed(
    pbx: Pbx, pbx_url: str, app_name: str, endpoint: Endpoint, tmp_path: Path, name: str
) -> None:
    """The page and the command say it, and the list has it."""
    way = WAYS[name]
    which = route(answers(endpoint, name, way), events=way.events, more=way.more)
    async with Router(pbx_url, app_name, which, serve=True) as router:
        await router.ready()
        call = await pbx.call(app_name)
        await router.fact(CallFinished, call=call.id)
        (row,) = await router.service.find_calls({"outcome": "failed"})
        address = router.service.address
        config = tmp_path / "routes.toml"
        config.write_text(
            f'[asterisk.main]\nurl = "{pbx_url}"\npassword = "x"\n[server]\nlisten = "{address.removeprefix("http://")}"\n{which}'
        )
        assert way.sentence in row["sentence"]
        await explained(address, config, call.id, way.sentence)
        await call.hangup()
        await pbx.gone(call.id, call.far)


@dataclass
class Mortal:
    """A PBX that may be killed."""

    url: str
    restart: Callable[[], Awaitable[object]]  # without a farewell, at the same address


@pytest.fixture(params=["simulator", pytest.param("asterisk", marks=pytest.mark.asterisk)])
async def mortal(request: pytest.FixtureRequest) -> AsyncIterator[Mortal]:
    if request.param == "simulator":
        async with Simulator() as simulator:
            yield Mortal(simulator.url, simulator.restart)
        return
    request.getfixturevalue("lab_asterisk")  # skips, or fails, where there is none
    ensure_mounted()

    def restart() -> None:
        running.kill()
        running.start()

    with Asterisk() as running:
        yield Mortal(running.url, lambda: asyncio.to_thread(restart))


async def failed(router: RouterProcess, id: str) -> None:
    """Waits until the call is over, and is told to have failed."""
    async with asyncio.timeout(30):
        while id not in [call["id"] for call in (await router.get("/v1/calls?outcome=failed&limit=50"))["calls"]]:
            await asyncio.sleep(0.05)


TROUBLE = {"FallbackTaken", "CallStandsStill"}


async def troubled(router: RouterProcess, id: str) -> None:
    """Waits until what went wrong is in the record, and the call goes on all the same."""
    async with asyncio.timeout(30):
        while True:
            record = await router.get(f"/v1/calls/{id}/record")
            for entry in record.get("entries", ()):
                failed = entry["what"] == "ActionFinished" and (entry["outcome"] == "failed" or entry.get("result") == "busy")
                if entry["what"] in TROUBLE or failed:
                    assert record["call"]["outcome"] == "live"
                    return
            await asyncio.sleep(0.05)


async def test_why_is_known_after_a_kill(mortal: Mortal, app_name: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """Ten calls, one each way: the router is killed after the failure and before the end of the call. The tenth one's
    Asterisk goes away: once while the router lives, once with it.
    """
    after = 'fallback = { actions = [{ action = "pause", seconds = 60 }] }\n'
    routes = ""
    for name, way in WAYS.items():
        events = way.events.replace("]", ', "ActionFailed", "DialCompleted"]') if way.events != '["*"]' else way.events
        more = f'match = {{ args = ["{name}"] }}\n{after}{way.more}'
        routes += route(answers(endpoint, name, way, [PAUSE]), name=name, events=events, more=more)
    endpoint.answers["/gone StasisStart"] = lambda delivery: [ANSWER, PAUSE, HANGUP]
    routes += route(endpoint.url.replace("/hook", "/gone"), name="gone")
    async with RouterProcess(tmp_path, mortal.url, app_name, routes) as router:
        await router.ready()
        address = f"http://127.0.0.1:{router.port}"
        async with Pbx(mortal.url) as pbx:
            calls: dict[str, Caller] = {name: await pbx.call(app_name, args=name) for name in WAYS}
            for call in calls.values():
                await troubled(router, call.id)
            first = await pbx.call(app_name, args="gone")
            await endpoint.wait("StasisStart", call=first.id)
            router.kill()
            router.start()
            await router.ready()
            for call in calls.values():
                await call.hangup()
            for name, call in calls.items():
                await failed(router, call.id)
                await explained(address, router.config, call.id, WAYS[name].sentence)
            record = await router.get(f"/v1/calls/{calls['stood-still'].id}/record")
            assert len([entry for entry in record["entries"] if entry["what"] == "CallResumed" and entry["programs"]]) == 1
        await mortal.restart()
        await router.ready()
        await failed(router, first.id)
        await explained(address, router.config, first.id, GONE)
        async with Pbx(mortal.url) as pbx:
            second = await pbx.call(app_name, args="gone")
            await endpoint.wait("StasisStart", call=second.id)
            async with asyncio.timeout(10):
                while (await router.get(f"/v1/calls/{second.id}/record")).get("call", {}).get("outcome") != "live":
                    await asyncio.sleep(0.05)
            router.kill()
        await mortal.restart()
        router.start()
        await router.ready()
        await failed(router, second.id)
        await explained(address, router.config, second.id, GONE)
