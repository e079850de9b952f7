"""The record of calls is that of all routers: whoever is asked shows what was said at a router that is dead, and what came after."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from click.testing import CliRunner
from rig.endpoint import Endpoint
from rig.group import Group, Member
from rig.load import ANSWER, HANGUP

from hookrouter.cli import main

_PLAY = {"action": "play", "media": "sound:digits/7"}
_LONG = {"action": "pause", "seconds": 600}


async def _whole(member: Member, call: str, last: str) -> list[dict[str, Any]]:
    """The call's ladder as that router shows it, when `last` is there."""
    async with asyncio.timeout(10):
        while True:
            found = await member.router.get(f"/v1/calls/{call}/record")
            entries: list[dict[str, Any]] = found.get("entries", [])
            if last in [entry["what"] for entry in entries]:
                return entries
            await asyncio.sleep(0.02)


async def _act(member: Member, call: str, actions: list[dict[str, Any]]) -> None:
    url = f"http://127.0.0.1:{member.router.port}/v1/calls/{call}/actions"
    async with aiohttp.ClientSession() as session, session.post(url, json=actions) as reply:
        assert reply.status == 202


@pytest.mark.parametrize("how", ["killed", "ended", "hands over"])
async def test_a_call_of_a_dead_router_is_whole_at_any_other(how: str, app: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """One record, in order, with what each of the two has done; also at the router that comes back, and without any.

    Who is told to end or to hand over has written down all that it has heard.
    """
    endpoint.answers["StasisStart"] = {"actions": [ANSWER, _LONG], "tags": {"customer": "4711"}}
    async with Group(app, endpoint, tmp_path) as group:
        owner, epoch = await group.owner(), group.epoch()
        other = group.other(owner)
        call = await group.pbx.call(app, args="stays")
        with group.explained():
            await endpoint.wait("StasisStart", call=call.id)
            before = await _whole(other, call.id, "DeliveryFinished")
            if how == "killed":
                owner.router.kill()
            else:
                await _act(owner, call.id, [_PLAY, _LONG])
                await endpoint.wait("PlayCompleted", call=call.id)
                if how == "ended":
                    await asyncio.to_thread(owner.router.terminate)
                else:
                    await owner.router.post("/v1/cluster/main/hand-over", {"to": other.name})
            await group.taken(other, epoch)
            await _act(other, call.id, [_PLAY, HANGUP])
            await endpoint.wait("CallEnded", call=call.id)
            after = await _whole(other, call.id, "CallFinished")
        kinds = [entry["what"] for entry in after]
        assert after[: len(before)] == before
        assert (kinds[0], kinds.count("CallStarted"), kinds.count("CallResumed")) == ("CallStarted", 1, 1)
        resumed = kinds.index("CallResumed")
        assert resumed >= len(before)
        played = [place for place, entry in enumerate(after) if entry.get("operation") == "channels.playWithId"]
        assert [place > resumed for place in played] == [False] * (how != "killed") + [True]
        heard = [entry.get("type") for entry in after[:resumed]]
        assert heard.count("PlaybackFinished") == (how != "killed")
        assert [entry["at"] for entry in after] == sorted(entry["at"] for entry in after)
        listed = (await other.router.get("/v1/calls?tags=customer:4711"))["calls"]
        assert [(row["id"], row["outcome"]) for row in listed] == [(call.id, "good")]
        await group.again(*([] if how == "hands over" else [owner]))
        assert await _whole(owner, call.id, "CallFinished") == after
        for member in group.members:
            member.router.kill()
        told = ["calls", "-c", str(owner.router.config), "--store", group.store, "show", call.id]
        shown = await asyncio.to_thread(CliRunner().invoke, main, told)
        assert shown.exit_code == 0, shown.output
        assert "the router was away" in shown.output
        assert "sound:digits/7" in shown.output
