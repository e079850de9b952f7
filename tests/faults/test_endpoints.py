"""Faults 1, 2, 5, 6 and 16: endpoints that are gone, hang, reset, answer late; and what the others notice of it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable
from typing import Any

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.ledger import lost, twice, waits
from rig.pbx import Pbx
from rig.proxy import Proxy
from rig.router import Router, route
from rig.wire import endpoints as wire

from hookrouter.facts import CallFinished, DeliveryAttempted, DeliveryFinished, FallbackTaken, LateAnswer
from hookrouter.http.client import LATE_SECONDS

Measured = Callable[[int, str], None]
FALLBACK = 'fallback = { actions = [{ action = "hangup" }] }'
ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}


async def _calls(pbx: Pbx, router: Router, app: str, count: int, gap: float = 0.02) -> list[str]:
    ids = []
    for _ in range(count):
        ids.append((await pbx.call(app)).id)
        await asyncio.sleep(gap)
    for id in ids:
        await router.fact(CallFinished, call=id, timeout=30)
    return ids


async def test_nobody_is_left_in_silence_by_an_endpoint_that_refuses(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, full: bool, measured: Measured
) -> None:
    """Control: the fallback within the deadline, and at once when the breaker is open. Notify: all told when it is back."""
    seconds = 60.0 if full else 5.0
    with wire.closed_port() as dead:
        port = int(dead.split(":")[2].split("/")[0])
        async with Proxy(asterisk.http_port) as proxy, Proxy(endpoint.port) as door:
            door.refuse()
            routes = route(dead, more=f"deadline = 2.0\ntimeout = 1.0\n{FALLBACK}")
            routes += route(f"{door.url}/crm", name="crm", more='mode = "notify"')
            async with Router(proxy.url, app, routes) as router:
                await router.ready()
                began, ids = time.monotonic(), []
                while time.monotonic() - began < seconds:
                    ids += await _calls(pbx, router, app, 5)
                door.heal()
                for id in ids:
                    await endpoint.wait("StasisEnd", call=id, timeout=90)
                assert not lost(proxy, endpoint.received, ["StasisStart", "StasisEnd"])
                assert len(router.of(FallbackTaken)) == len(ids)
                found = waits(proxy)
                opened = [
                    fact.seconds for fact in router.of(DeliveryFinished)
                    if fact.kind == "control" and fact.reason == "breaker_open" and not fact.attempts
                ]  # fmt: skip
        assert port
    assert len(found) == len(ids)
    assert found[-1] < 2.25
    assert opened
    assert max(opened) < 0.05
    measured(1, f"{len(ids)} calls in {seconds:g} s: fallback after {statistics.median(found) * 1000:.0f} ms (median), "
                f"{found[-1] * 1000:.0f} ms at most; breaker open: {max(opened) * 1000:.1f} ms; notify: none lost")  # fmt: skip


@pytest.mark.parametrize("how", ["hangs", "drips"])
async def test_an_endpoint_that_never_ends_its_answer(
    asterisk: Asterisk, app: str, pbx: Pbx, how: str, full: bool, measured: Measured
) -> None:
    """The fallback within the deadline, at most three attempts, and neither sockets nor tasks grow."""
    behave = wire.hang if how == "hangs" else wire.drip(1.0)
    async with wire.serving(behave) as server, Proxy(asterisk.http_port) as proxy:
        routes = route(server.url, more=f"deadline = 2.0\ntimeout = 0.9\n{FALLBACK}")
        async with Router(proxy.url, app, routes) as router:
            await router.ready()
            tasks = len(asyncio.all_tasks())
            ids = await _calls(pbx, router, app, 40 if full else 12, gap=0.2)
            await server.all_closed(LATE_SECONDS + 5)  # for so long the late answer is listened for
            assert len(asyncio.all_tasks()) <= tasks + 3
            attempts = max(fact.attempt for fact in router.of(DeliveryAttempted))
        found = waits(proxy)
    assert len(found) == len(ids)
    assert found[-1] < 2.25
    assert attempts <= 3
    measured(2, f"{how}: {len(ids)} calls, fallback after {found[-1]:.2f} s at most (deadline 2 s), {attempts} attempts, "
                "every connection closed")  # fmt: skip


async def test_the_answer_is_lost_after_the_endpoint_has_acted(
    asterisk: Asterisk, app: str, pbx: Pbx, full: bool, measured: Measured
) -> None:
    """The connection is reset: the retry has the same id and bytes, and one program runs."""
    answer = b'[{"action":"answer"},{"action":"hangup"}]'
    async with Proxy(asterisk.http_port) as proxy:
        first: set[str] = set()

        async def behave(peer: Any) -> None:
            id = peer.request.headers["webhook-id"]
            if id not in first:
                first.add(id)
                peer.reset()
                return
            await peer.answer(answer, "200 OK", "content-type: application/json")

        async with wire.serving(behave) as server, Router(proxy.url, app, route(server.url, events='["StasisStart"]')) as router:
            await router.ready()
            ids = []
            for _ in range(50 if full else 4):
                ids += await _calls(pbx, router, app, 1)
            bodies: dict[str, set[bytes]] = {}
            for request in server.requests:
                bodies.setdefault(request.headers["webhook-id"], set()).add(request.body)
            assert len(bodies) == len(ids)
            assert all(len(raws) == 1 for raws in bodies.values())
            assert len(server.requests) == 2 * len(ids)
            assert not router.of(FallbackTaken)
        assert not twice(proxy)
        answers = [seen for seen in proxy.seen if seen.type == "RESTRequest" and str(seen.body["uri"]).endswith("/answer")]
    assert len(answers) == len(ids)
    measured(5, f"{len(ids)} answers lost: {len(ids)} retries with the same id and bytes, one program each")


@pytest.mark.parametrize("late", [0.001, 10.0])
async def test_an_answer_after_the_deadline_is_thrown_away_and_counted(
    asterisk: Asterisk, app: str, pbx: Pbx, late: float, full: bool, measured: Measured
) -> None:
    """One millisecond, or ten seconds, too late: the fallback has begun, and the answer's program does not run."""
    late = late if full or late < 1 else 3.0
    deadline = 1.0
    answer = b'[{"action":"answer"},{"action":"play","media":"sound:hello-world"},{"action":"hangup"}]'

    async def behave(peer: Any) -> None:
        await asyncio.sleep(deadline + late)
        await peer.answer(answer, "200 OK", "content-type: application/json")

    async with wire.serving(behave) as server, Proxy(asterisk.http_port) as proxy:
        routes = route(server.url, events='["StasisStart"]', more=f"deadline = {deadline}\ntimeout = {deadline}\n{FALLBACK}")
        async with Router(proxy.url, app, routes) as router:
            await router.ready()
            ids = await _calls(pbx, router, app, 3)
            await asyncio.sleep(late + 0.3)
            counted = router.of(LateAnswer)
            assert len(router.of(FallbackTaken)) == len(ids)
        played = [seen for seen in proxy.seen if "/play" in str(seen.body.get("uri"))]
        found = waits(proxy)
    assert not played
    assert found[-1] < deadline + 0.25
    assert len(counted) == len(ids) or late > 5
    measured(6, f"{late * 1000:g} ms late: {len(ids)} thrown away, {len(counted)} counted, fallback after {found[-1]:.3f} s")
