"""Two routers on one database: what the one that stands by answers, and that a standing database stops no call."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import aiohttp
from click.testing import CliRunner
from rig.endpoint import Endpoint
from rig.group import Group

from hookrouter.cli import main

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}


async def _ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session:
        async with session.request(method, f"http://127.0.0.1:{port}{path}", json=body) as reply:
            text = await reply.text()
            return reply.status, json.loads(text) if text else None


async def test_any_router_answers_for_any_call(app: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """The one that stands by passes on what it has not got; where the owner is silent, it says whose the call may be."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "pause", "seconds": 60}]]
    endpoint.answers["PlayCompleted"] = [[{"action": "pause", "seconds": 60}]]
    async with Group(app, endpoint, tmp_path) as group:
        owner = await group.owner()
        port = group.other(owner).router.port
        call = await group.pbx.call(app)
        await call.answered()
        await endpoint.wait("StasisStart", call=call.id)
        assert (await _ask(port, "GET", "/readyz")) == (200, {"ready": True, "asterisk": {"main": "standby"}})
        status, found = await _ask(port, "GET", f"/v1/calls/{call.id}")
        assert (status, found["id"], found["asterisk"]) == (200, call.id, "main")
        play = [{"action": "play", "media": "sound:digits/1"}]
        assert (await _ask(port, "POST", f"/v1/calls/{call.id}/actions", play))[0] == 202
        await endpoint.wait("PlayCompleted", call=call.id)
        status, refused = await _ask(port, "POST", f"/v1/calls/{call.id}/actions", [{"action": "nonsense"}])
        assert status == 422, refused
        status, made = await _ask(port, "POST", "/v1/calls", {"to": "Local/wait@callers", "actions": play, "id": "mine"})
        assert (status, made["asterisk"]) == (201, "main")
        assert (await _ask(port, "GET", "/v1/calls/nobody's"))[0] == 404
        assert (await _ask(port, "DELETE", f"/v1/calls/{call.id}"))[0] == 204
        await endpoint.wait("StasisEnd", call=call.id)
        told = CliRunner().invoke(main, ["cluster", "--store", group.store, "--json"])
        assert told.exit_code == 0, told.output
        (entry,) = json.loads(told.stdout)["entries"]
        assert (entry["entry"], entry["router"], entry["epoch"]) == ("main", owner.name, group.epoch())
        assert [router["name"] for router in json.loads(told.stdout)["routers"]] == ["a", "b"]
        owner.router.kill()
        status, said = await _ask(port, "DELETE", f"/v1/calls/{call.id}")
        address = f"http://127.0.0.1:{owner.router.port}"
        assert CliRunner().invoke(main, ["cluster", "--store", "memory:"]).exit_code == 1
        assert (status, said["owners"]) == (503, [{"asterisk": "main", "router": owner.name, "address": address}])


async def test_a_router_alone_goes_on_without_its_database(app: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """Nobody could take its Asterisk over: calls begin and end as ever, for longer than a lease; then all is as before."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "play", "media": "sound:digits/1"}, HANGUP]]
    async with Group(app, endpoint, tmp_path, count=1) as group:
        epoch = group.epoch()
        await asyncio.to_thread(group.database.end, signal.SIGQUIT)
        until = asyncio.get_running_loop().time() + 6.0
        while asyncio.get_running_loop().time() < until:
            call = await group.pbx.call(app)
            await endpoint.wait("StasisEnd", call=call.id, timeout=5)
        group.database.start()
        call = await group.pbx.call(app)
        await endpoint.wait("StasisEnd", call=call.id)
        assert group.epoch() == epoch, "nobody has taken it"
