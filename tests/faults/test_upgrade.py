"""Fault 10, one router with SQLite: the upgrade and the way back of docs/operations.md, while calls are live."""

from __future__ import annotations

import asyncio
import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import aiohttp
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.load import ANSWER, EVENTS, Load, ask
from rig.newer import NEWER, make_newer
from rig.pbx import Caller, Pbx
from rig.process import RouterProcess
from rig.proxy import Proxy
from rig.router import route

from hookrouter import __version__

Measured = Callable[[int, str], None]
_PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
_PLACE = "/var/lib/private/hookrouter"
_STAYS = {"action": "pause", "seconds": 600}


class Machine:
    """What the commands of the page are given to: a router, its data, and which version is installed."""

    def __init__(self, router: RouterProcess, data: Path, newer: dict[str, str]) -> None:
        self.router, self.data, self._newer = router, data, newer
        self.installed: dict[str, str] = {}
        text = _PAGE.read_text().partition("\n## Upgrading\n")[2]
        self.there, self.back = (block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```", text, re.S | re.M)[:2])

    async def run(self, commands: list[str]) -> None:
        for command in commands:
            words = command.partition("#")[0].removeprefix("sudo ").split()
            if words[0] == "dpkg":
                self.installed = {} if "--force-downgrade" in words else self._newer
            elif words[:2] == ["systemctl", "stop"]:
                if self.router.process is not None:
                    assert await asyncio.to_thread(self.router.terminate) == 0
            elif words[:2] == ["systemctl", "start"]:
                self.router.start(**self.installed)
                await self.router.ready()
            else:
                here = [word.replace(_PLACE, str(self.data)) for word in words]
                await asyncio.to_thread(subprocess.run, here, check=True)

    async def starts(self) -> str:
        """What it says where it does not."""
        self.router.start(**self.installed)
        assert self.router.process is not None
        assert await asyncio.to_thread(self.router.process.wait, 30) == 1
        self.router.process = None
        return self.router.log.read_text().splitlines()[-1]


async def test_a_new_version_and_the_way_back_under_live_calls(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path, full: bool, rng: random.Random, measured: Measured
) -> None:
    """Calls go on in the new version and, by the copy of before, in the old one; that does not start on the new one's data."""
    stays, count = (20, 50) if full else (3, 8)
    ask(endpoint)
    program = endpoint.answers["StasisStart"]
    endpoint.answers["StasisStart"] = lambda d: [ANSWER, _STAYS] if d.data["args"] == ["stays"] else program(d)
    data = tmp_path / "data"
    data.mkdir()
    async with Proxy(asterisk.http_port) as proxy:
        router = RouterProcess(tmp_path, proxy.url, app, route(endpoint.url, events=EVENTS), store=f"sqlite:///{data}/state.db")
        async with router:
            machine = Machine(router, data, make_newer(tmp_path))
            old = [await _stay(pbx, app, endpoint) for _ in range(stays)]
            load = Load(pbx, app, endpoint, rng)
            await load.start(count, spread=1.0, kinds=("prompts", "gather", "record"))
            await machine.run(machine.there)
            async with asyncio.timeout(5):
                while f"(hookrouter {NEWER})" not in router.log.read_text():
                    await asyncio.sleep(0.02)
            outside = await load.refused()
            await load.ended()
            skipped = load.check(proxy)
            await _go_on(router, endpoint, old)
            gone = old.pop()
            await gone.hangup()
            await endpoint.wait("CallEnded", call=gone.id)
            new = [await _stay(pbx, app, endpoint) for _ in range(stays)]
            await _go_on(router, endpoint, new)
            assert await asyncio.to_thread(router.terminate) == 0
            machine.installed = {}
            said = await machine.starts()
            assert f"was written by a newer hookrouter (schema 2; this is {__version__}, which knows schema 1)" in said, said
            assert "install the newer one" in said, said
            over = new.pop()
            await over.hangup()
            await machine.run(machine.back)
            await _go_on(router, endpoint, old)
            assert (await endpoint.wait("StasisEnd", 2, call=gone.id)).body["inferred"], "which the old one has not known"
            for call in new:
                began = await endpoint.wait("StasisStart", 2, call=call.id)
                assert began.body["inferred"], "it is a call that nobody knows, and begins anew"
            await _go_on(router, endpoint, new)
            assert (await router.get("/readyz"))["asterisk"] == {"main": "connected"}
            assert {call["id"] for call in (await router.get("/v1/calls"))["calls"]} == {call.id for call in (*old, *new)}
            for call in (*old, *new):
                await call.hangup()
                await endpoint.wait("CallEnded", call=call.id)
    measured(10, f"one router with SQLite, a newer schema and the way back by the copy: {len(load.calls)} calls under way and "
                 f"{stays} that stay went on in the new version, the latter in the old one too, {len(new)} that began between "
                 f"were told as new ones; {outside} calls went on in the dialplan, {skipped} prompts of unknown fate not played again")


async def _stay(pbx: Pbx, app: str, endpoint: Endpoint) -> Caller:
    call = await pbx.call(app, args="stays")
    await endpoint.wait("StasisStart", call=call.id)
    return call


async def _go_on(router: RouterProcess, endpoint: Endpoint, calls: list[Caller]) -> None:
    """Each does what it is told, and tells it."""
    async with aiohttp.ClientSession() as session:
        for call in calls:
            told = len(endpoint.of("PlayCompleted", call.id))
            url = f"http://127.0.0.1:{router.port}/v1/calls/{call.id}/actions"
            async with session.post(url, json=[{"action": "play", "media": "sound:digits/1"}, _STAYS]) as reply:
                assert reply.status == 202, await reply.text()
            await endpoint.wait("PlayCompleted", told + 1, call=call.id)
