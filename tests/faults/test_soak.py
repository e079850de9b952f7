"""Fault 20: faults 1, 9, 11 and 12 at random under load, for as long as one likes (`make soak HOURS=1`)."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from rig.endpoint import Endpoint
from rig.ledger import changed_bodies, incomplete, silent, twice
from rig.load import EVENTS, Load, ask
from rig.pbx import Pbx
from rig.place import Place
from rig.proxy import Proxy
from rig.router import route
from rig.soaking import descriptors, quarters

Measured = Callable[[int, str], None]
DEADLINE = 2.0
TOLD = ["StasisStart", "StasisEnd"]
WEIGHTS = {"endpoint gone": 3, "socket gone": 3, "half open": 2, "router killed": 2, "Asterisk killed": 1}


class Soak:
    """Rounds of calls, with one fault in each; after each the three laws hold, and the router is as small as before."""

    def __init__(self, place: Place, door: Proxy, endpoint: Endpoint, rng: random.Random) -> None:
        self.place, self.door, self.endpoint, self.rng = place, door, endpoint, rng
        self.struck: Counter[str] = Counter()
        self.calls = self.outside = 0
        self.memory: list[int] = []
        self.fewest = 0  # descriptors of a process that has just begun
        self.strikes: dict[str, Callable[[], Awaitable[None]]] = {
            "endpoint gone": self._endpoint, "socket gone": self._socket, "half open": self._half_open,
            "router killed": self._kill, "Asterisk killed": self._asterisk,
        }  # fmt: skip

    async def round(self, fault: str, count: int) -> None:
        self.struck[fault] += 1
        self.place.proxy.seen.clear()
        self.endpoint.received.clear()
        async with Pbx(self.place.asterisk.url) as pbx:
            load = Load(pbx, self.place.app, self.endpoint, self.rng)
            starting = asyncio.create_task(load.start(count, spread=1.0))
            if fault == "Asterisk killed":
                await starting  # nobody can call an Asterisk that is not there
            await asyncio.sleep(self.rng.uniform(0.0, 2.0))
            await self.strikes[fault]()
            await starting
            await self.place.router.ready()
            if fault == "Asterisk killed":
                seen = {seen.body["channel"]["id"] for seen in self.place.proxy.events("StasisStart")}
                load.calls = {call: kind for call, kind in load.calls.items() if call in seen}
                load.callers.clear()
            elif self.place.mode == "connect":
                self.outside += await load.refused()
            await self._all_told(load)
            self._check(load, fault)
            assert not [id for id in await pbx.bridges() if id.startswith("hr-")] or fault == "Asterisk killed"
        self.calls += len(load.calls)
        self.memory.append(self.place.router.resident())

    async def _all_told(self, load: Load) -> None:
        await load.ended(timeout=60, type="StasisEnd")
        async with asyncio.timeout(60), self.endpoint.changed:
            await self.endpoint.changed.wait_for(lambda: not self._untold(load))

    def _untold(self, load: Load) -> list[str]:
        told = [delivery for delivery in self.endpoint.received if delivery.path == "/crm"]
        return incomplete(told, load.calls, TOLD)

    def _check(self, load: Load, fault: str) -> None:
        broken = incomplete(self.endpoint.received, load.calls, TOLD) + changed_bodies(self.endpoint.received)
        broken += twice(self.place.proxy) + load.heard_wrong()
        if fault == "endpoint gone":
            broken += silent(self.place.proxy, DEADLINE)
        assert not broken, "\n".join(broken)

    # ---- faults

    async def _endpoint(self) -> None:
        self.door.refuse()
        await asyncio.sleep(self.rng.uniform(0.5, 4.0))
        self.door.heal()

    async def _socket(self) -> None:
        self.place.proxy.refuse()
        await asyncio.sleep(self.rng.uniform(0.0, 3.0))
        self.place.proxy.heal()

    async def _half_open(self) -> None:
        self.place.proxy.freeze()
        await asyncio.sleep(self.rng.uniform(1.0, 12.0))
        self.place.proxy.heal()

    async def _kill(self) -> None:
        self.place.router.kill()
        await asyncio.sleep(self.rng.choice((0.0, self.rng.uniform(0.0, 2.0))))
        self.place.router.start()

    async def _asterisk(self) -> None:
        self.place.asterisk.kill()
        await asyncio.sleep(self.rng.uniform(0.0, 2.0))
        await asyncio.to_thread(self.place.asterisk.start)


@pytest.mark.parametrize("mode", ["connect", "listen"])
async def test_faults_at_random_for_a_long_time(
    app: str, endpoint: Endpoint, tmp_path: Path, mode: str, request: pytest.FixtureRequest, seed: int, measured: Measured
) -> None:
    """The laws hold in every round; neither memory nor descriptors grow. Without `--soak-hours` it is one short round."""
    hours = float(request.config.getoption("--soak-hours"))
    rng = random.Random(f"{seed}/{mode}")
    ask(endpoint)
    async with Proxy(endpoint.port) as door:
        routes = route(f"{door.url}/hook", events=EVENTS, more=f"deadline = {DEADLINE}\ntimeout = 1.0\n"
                       'fallback = { actions = [{ action = "hangup" }] }')  # fmt: skip
        routes += route(f"{door.url}/crm", name="crm", more='mode = "notify"')
        async with Place(mode, app, endpoint, tmp_path, routes=routes) as place:
            soak = Soak(place, door, endpoint, rng)
            soak.fewest = place.router.descriptors()
            until = time.monotonic() + hours * 1800  # half of it for each mode
            if not hours:
                await soak.round("socket gone" if mode == "connect" else "endpoint gone", 8)
            while time.monotonic() < until:
                fault = rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
                try:
                    await soak.round(fault, 24)
                except (AssertionError, TimeoutError) as error:
                    log = place.router.log.read_text()[-3000:]
                    raise AssertionError(f"round {soak.struck.total()}, {fault}, seed {seed}: {error}\n{log}") from error
            left = await descriptors([place.router], soak.fewest + 4)
            assert left <= soak.fewest + 4
    if not hours:
        return
    first, last = quarters(soak.memory)
    assert last < first * 1.1 + 8e6, soak.memory
    struck = ", ".join(f"{fault} {count}×" for fault, count in sorted(soak.struck.items()))
    measured(20, f"{mode}, {hours / 2:g} h: {struck} under {soak.calls} calls, the laws held; memory {first / 1e6:.0f} MB in the "
                 f"first quarter, {last / 1e6:.0f} MB in the last; descriptors "
                 f"{soak.fewest} at first, {left} in the end; {soak.outside} more calls went on in the dialplan")  # fmt: skip
