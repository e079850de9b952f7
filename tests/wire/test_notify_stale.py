"""A notify endpoint that ends kept connections as a request arrives: the event is told at once all the same."""

from __future__ import annotations

from rig.pbx import Pbx
from rig.router import Router, route
from rig.wire import endpoints

from hookrouter.facts import DeliveryFinished
from hookrouter.simulator import Simulator


async def test_a_stale_connection_costs_a_notify_event_no_wait() -> None:
    """The schedule is for endpoints that fail; a connection that has grown old says nothing of them."""
    seen: set[int] = set()

    async def behave(peer: endpoints.Peer) -> None:  # type: ignore[name-defined]
        if peer.request.connection in seen:
            peer.reset()
        else:
            seen.add(peer.request.connection)
            await endpoints.well(peer)

    async with endpoints.serving(behave) as server, Simulator() as simulator, Pbx(simulator.url) as pbx:
        routes = route(f"{server.url}/crm", name="crm", more='mode = "notify"')
        async with Router(simulator.url, "app", routes) as router:
            await router.ready()
            for _ in range(3):
                call = await pbx.call("app")
                for type in ("StasisStart", "StasisEnd"):
                    told = await router.fact(DeliveryFinished, type=type, call=call.id, timeout=3)
                    assert (told.outcome, told.attempts) == ("delivered", 1)
