"""Fault 15 in one process: a backlog waits, the endpoint comes back, new events keep coming; how evenly does it drain?

Run: python benchmarks/micro/notify.py [events] [directory]    (100,000 events drain in about 8 minutes: 200 a second)
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Literal

from hookrouter.clock import SystemClock
from hookrouter.delivery.lane import LaneSettings
from hookrouter.delivery.notifier import Notifier
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.queue import NewDelivery, StoredDelivery
from hookrouter.facts import Facts
from hookrouter.routing.endpoint import Endpoint
from hookrouter.store.sqlite import SqliteStore


class Route:
    """The one route there is."""

    name = "crm"
    endpoint = Endpoint("http://crm/")
    order: Literal["call", "strict"] = "call"


async def main() -> None:
    amount = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    back = False
    arrivals: list[float] = []
    waits: list[float] = []

    async def send(route: Route, delivery: StoredDelivery, number: int) -> Attempt:
        await asyncio.sleep(0.005)
        if not back:
            return Attempt(number, "response", 503)
        arrivals.append(time.time())
        if delivery.id.startswith("new"):
            waits.append(time.time() - delivery.created_at)
        return Attempt(number, "response", 200)

    with tempfile.TemporaryDirectory(dir=sys.argv[2] if len(sys.argv) > 2 else None) as room:
        store = SqliteStore(Path(room) / "bench.db", Facts())
        await store.start()
        notifier = Notifier(store, send, {"crm": Route()}.get, Facts(), SystemClock(), settings=LaneSettings())
        await notifier.start()
        body = b"x" * 1200
        begun, cpu = time.time(), time.process_time()
        for number in range(0, amount, 100):
            batch = range(number, min(number + 100, amount))
            notifier.enqueue([NewDelivery(f"old{n}", "crm", "T", body, time.time(), f"call{n // 4}") for n in batch])
            await store.settled()
        print(
            f"{amount} enqueued in {time.time() - begun:.1f} s, {(time.process_time() - cpu) / amount * 1e6:.0f} µs CPU"
        )
        await asyncio.sleep(3)
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        back, begun, cpu = True, time.time(), time.process_time()
        number = 0
        while (await notifier.pending()).get("crm", 0) > 50:
            for _ in range(10):
                number += 1
                notifier.enqueue(
                    [NewDelivery(f"new{number}", "crm", "T", body, time.time(), f"new call {number // 4}")]
                )
                await asyncio.sleep(0.05)
        taken = time.time() - begun
        used = (time.process_time() - cpu) / len(arrivals) * 1e6
        seconds = Counter(int(at - begun) for at in arrivals)
        rates = [seconds[second] for second in range(max(1, int(taken)))]
        waits.sort()
        print(f"drained in {taken:.1f} s, {used:.0f} µs CPU each, peak memory {memory:.0f} MB")
        print(f"a second: mean {sum(rates) / len(rates):.0f}, most {max(rates)}, least {min(rates)}")
        print(f"{len(waits)} new events: p50 {waits[len(waits) // 2]:.3f} s, p95 {waits[int(len(waits) * 0.95)]:.3f} s")
        await notifier.stop()
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
