"""The simulator as a program that dies, comes back, and connects by itself."""

from __future__ import annotations

import asyncio

from rig.endpoint import Endpoint
from rig.router import Router, route

from hookrouter.facts import AriConnected, CallFinished
from hookrouter.simulator import Simulator

HELLO = [{"action": "answer"}, {"action": "play", "media": "sound:hello-world"}, {"action": "hangup"}]


async def test_a_caller_hears_the_program() -> None:
    """What was played, in order, and the cause at the end."""
    async with Endpoint() as endpoint, Simulator(speed=20) as simulator:
        endpoint.answers["StasisStart"] = [HELLO]
        async with Router(simulator.url, "ivr", route(endpoint.url)) as router:
            await router.ready()
            caller = await simulator.call("ivr", "+491", "1000", ["sales"])
            assert await caller.ended(60) == 16
            assert [heard.what for heard in caller.heard] == ["answered", "media", "media ended", "ended"]
            start = await endpoint.wait("StasisStart")
            assert start.data["args"] == ["sales"]
            await router.fact(CallFinished)


async def test_a_router_comes_back_after_a_restart() -> None:
    """Dropped sockets are opened again, and a new Asterisk at the same address is found."""
    async with Endpoint() as endpoint, Simulator(speed=20) as simulator:
        endpoint.answers["StasisStart"] = [HELLO]
        async with Router(simulator.url, "ivr", route(endpoint.url)) as router:
            await router.ready()
            simulator.drop_sockets()
            await router.fact(AriConnected, reconnect=True)
            await simulator.restart()
            async with asyncio.timeout(10):
                while len(router.of(AriConnected)) < 3:
                    await asyncio.sleep(0.01)
            caller = await simulator.call("ivr")
            await caller.ended(60)


async def test_events_wait_for_a_router_that_listens() -> None:
    """A call that came before the router did is delivered when it is there."""
    async with Endpoint() as endpoint, Simulator(speed=20) as simulator:
        endpoint.answers["StasisStart"] = [HELLO]
        async with Router(simulator.url, "ivr", route(endpoint.url), mode="listen", serve=True) as router:
            simulator.pbx.app("ivr").persistent = True
            caller = await simulator.call("ivr")
            simulator.listen("ivr", f"ws{router.service.address.removeprefix('http')}/ari/main")
            await caller.ended(200)
            await router.fact(CallFinished)
