"""Faults 3 and 4: hostile answers and every status, as callers meet them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lab.asterisk import Asterisk
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.router import Router, route
from rig.wire import endpoints as wire

from hookrouter.facts import CallFinished, FallbackTaken

Measured = Callable[[int, str], None]
FALLBACK = 'fallback = { actions = [{ action = "hangup" }] }'
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, *range(520, 528), 530}
GOOD = 1000
HOSTILE = {
    "1 GB": wire.endless(),
    "1 GB in chunks": wire.endless(None),
    "gzip bomb": wire.status(200, wire.GZIP_BOMB, "content-encoding: gzip"),
    "JSON nested 100,000 deep": wire.status(200, wire.DEEP),
}


async def test_a_hostile_answer_costs_its_call_and_no_memory(
    asterisk: Asterisk, app: str, pbx: Pbx, tmp_path: Path, full: bool, measured: Measured
) -> None:
    """At most 256 KiB of it are read, memory grows by at most 10 MB, and the caller gets the fallback."""
    count = 25 if full else 5
    current = wire.well

    async def behave(peer: Any) -> None:
        await current(peer)

    async with wire.serving(behave) as server:
        routes = route(server.url, events='["StasisStart"]', more=f"deadline = 2.0\n{FALLBACK}")
        async with RouterProcess(tmp_path, asterisk.url, app, routes) as router:
            current = wire.status(200, b'[{"action":"hangup"}]')
            await _calls(pbx, app, 20)
            before, told = router.resident(), []
            for name, hostile in HOSTILE.items():
                current = hostile
                await _calls(pbx, app, count)
                told.append(f"{name} {(router.resident() - before) / 1e6:+.1f} MB")
                assert router.resident() - before < 10e6, told
            fallbacks = await router.metric("hookrouter_fallbacks_total")
        assert fallbacks == count * len(HOSTILE)
    measured(3, f"{count} calls each: {', '.join(told)}; {fallbacks:g} fallbacks")


async def _calls(pbx: Pbx, app: str, count: int) -> None:
    """One after another, each until it is gone."""
    for _ in range(count):
        call = await pbx.call(app)
        await pbx.gone(call.id)


async def test_every_status_as_the_table_says(
    asterisk: Asterisk, app: str, pbx: Pbx, full: bool, measured: Measured
) -> None:
    """From 100 to 599 and a malformed status line, a real call each: attempts, and the fallback or the program."""
    some = [100, 199, 200, 202, 204, 301, 400, 401, 404, 410, 422, *sorted(RETRIED), 501, 599]
    codes = [*(range(100, 600) if full else some), 0]

    async def behave(peer: Any) -> None:
        code = int(json.loads(peer.request.body)["data"]["args"][0])
        if code == GOOD:
            await wire.status(200, b'[{"action":"hangup"}]')(peer)
        elif code == 0:
            await wire.raw(b"HTTP/1.1 two hundred\r\n\r\n")(peer)
        else:
            await wire.status(code, b'[{"action":"hangup"}]')(peer)

    async with wire.serving(behave) as server:
        routes = route(server.url, events='["StasisStart"]', more=f"deadline = 8.0\nidle_timeout = 1\n{FALLBACK}")
        async with Router(asterisk.url, app, routes) as router:
            await router.ready()
            gate = asyncio.Semaphore(4)  # with a good one after each, never five failures in a row: no breaker opens

            async def one(code: int) -> None:
                async with gate:
                    for answer in (code, GOOD):
                        call = await pbx.call(app, args=str(answer))
                        await router.fact(CallFinished, call=call.id, timeout=30)
                        await pbx.gone(call.id)

            await asyncio.gather(*map(one, codes))
            attempts: dict[int, int] = {}
            for request in server.requests:
                code = int(json.loads(request.body)["data"]["args"][0])
                attempts[code] = attempts.get(code, 0) + 1
            assert attempts.pop(GOOD) == len(codes)
            wrong = {code: count for code, count in attempts.items() if count != (3 if code in RETRIED else 1)}
            assert not wrong
            assert len(attempts) == len(codes)
            good = sum(200 <= code < 300 for code in codes)
            taken = [fact for fact in router.of(FallbackTaken) if fact.reason != "idle_timeout"]
            assert len(taken) == len(codes) - good
    told = f"{sum(attempts.values())} attempts and {len(taken)} fallbacks"
    measured(4, f"{len(codes)} statuses, a call each: {told}, as the table says")
