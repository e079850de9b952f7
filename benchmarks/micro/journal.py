"""What the journal costs: CPU per save and commit, and how long a commit takes, at several rates and snapshot sizes.

Run: python benchmarks/micro/journal.py [directory or postgresql://…]    (the directory decides which disk is measured)
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

from hookrouter.facts import Facts
from hookrouter.store import Store, open_store
from hookrouter.store.sqlite import SqliteStore


async def paced(store: Store, rate: float, size: int, seconds: float) -> tuple[float, float, float, int]:
    """`rate` inputs a second, each saving one of 50 calls, one timeline entry, and waiting for the commit.

    Median and 99th percentile of the wait in ms, CPU in µs an input (of which a bare timer costs up to 120), inputs.
    """
    snapshot = os.urandom(size)
    waits: list[float] = []
    loop = asyncio.get_running_loop()
    amount = int(rate * seconds)
    end = loop.create_future()
    begun, cpu = loop.time(), time.process_time()

    def step(index: int) -> None:
        started = time.perf_counter()

        def done(error: object) -> None:
            waits.append(time.perf_counter() - started)
            if len(waits) == amount:
                end.set_result(None)

        store.save_call(f"call {index % 50}", "main", lambda: snapshot)
        store.log(f"call {index % 50}", started, "event", b'{"type":"x"}')
        store.committed(done)
        if index + 1 < amount:
            loop.call_at(begun + (index + 1) / rate, step, index + 1)

    step(0)
    await end
    used = time.process_time() - cpu
    waits.sort()
    return waits[len(waits) // 2] * 1e3, waits[int(len(waits) * 0.99)] * 1e3, used / amount * 1e6, amount


async def burst(store: Store, waiting: int, size: int, rows: int) -> tuple[float, float]:
    """Rows a second, and CPU µs a row, with so many inputs waiting at a time."""
    snapshot = os.urandom(size)
    begun, cpu = time.perf_counter(), time.process_time()
    for batch in range(rows // waiting):
        for index in range(waiting):
            store.save_call(f"call {batch % 4} {index}", "main", lambda: snapshot)
        await store.settled()
    return rows / (time.perf_counter() - begun), (time.process_time() - cpu) / rows * 1e6


async def main() -> None:
    place = sys.argv[1] if len(sys.argv) > 1 else None
    url = place if place and place.startswith("postgresql://") else ""
    with tempfile.TemporaryDirectory(dir=None if url else place) as room:
        store: Store = SqliteStore(Path(room) / "bench.db", Facts()) if not url else open_store(url, Facts())
        await store.start()
        print("inputs/s  snapshot  wait p50   p99 ms  CPU µs/input (save + entry + commit)")
        for rate, size in ((1, 1500), (200, 1500), (1000, 1500), (2000, 1500), (1000, 10_000)):
            p50, p99, cpu, _ = await paced(store, rate, size, 5 if rate == 1 else 2)
            print(f"{rate:8} {size:9} {p50:9.2f} {p99:8.2f} {cpu:8.0f}")
        print("waiting  snapshot     rows/s  CPU µs/row")
        for waiting, size in ((1, 1500), (16, 1500), (64, 1500), (64, 10_000)):
            rows_a_second, cpu = await burst(store, waiting, size, 4096)
            print(f"{waiting:7} {size:9} {rows_a_second:10.0f} {cpu:11.1f}")
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
