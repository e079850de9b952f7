"""A burst of events on one call, whole: from the socket over the disk to the endpoint, in a router of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from rig.endpoint import Delivery, Endpoint
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.router import route

from hookrouter.simulator import Simulator

BURST = 60_000
ANSWER = {"action": "answer"}


async def test_sixty_thousand_events_of_one_call(tmp_path: Path, endpoint: Endpoint) -> None:
    """Its endpoint stands still: what is too much is told as such, memory is bounded, others are served, the call lives."""
    go_on = asyncio.Event()

    async def held(delivery: Delivery) -> Any:
        await go_on.wait()
        return []

    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "pause", "seconds": 600}], [ANSWER, {"action": "hangup"}]]
    endpoint.answers["ChannelVarset"] = held
    endpoint.answers["EventsLeftOut"] = [{"action": "hangup"}]
    routes = route(endpoint.url, events='["StasisStart", "ChannelVarset", "EventsLeftOut", "StasisEnd"]', more="deadline = 60")
    async with (
        Simulator() as simulator,
        RouterProcess(tmp_path, simulator.url, "burst", routes) as router,
        Pbx(simulator.url) as pbx,
    ):
        call = await pbx.call("burst")
        await endpoint.wait("StasisStart")
        session = simulator.pbx.apps["burst"].session
        assert session is not None
        before = router.resident()
        channel = {"id": call.id, "name": "Local/a", "state": "Up"}
        varset = {"type": "ChannelVarset", "application": "burst", "variable": "BURST", "channel": channel}
        for number in range(BURST):
            session.send(varset | {"value": str(number)})
        other = await pbx.call("burst")  # its StasisStart is behind them all
        await endpoint.wait("StasisEnd", call=other.id, timeout=60)
        assert router.resident() - before < 64 * 1024 * 1024
        go_on.set()
        told = await endpoint.wait("EventsLeftOut", timeout=60)
        came = {d.data["value"]: d for d in endpoint.of("ChannelVarset", call.id) if d.data["variable"] == "BURST"}
        assert len(came) + told.data["types"]["ChannelVarset"] == BURST
        assert list(came) == [str(number) for number in range(len(came))]
        await endpoint.wait("StasisEnd", call=call.id)
        assert (await router.get("/v1/calls"))["calls"] == []
        assert router.log.read_text().count("told as EventsLeftOut") == 1
