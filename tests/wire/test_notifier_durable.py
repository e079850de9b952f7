"""Notify deliveries over sockets and restarts: a router's half of the work in a child process that is killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROUTER = """
import asyncio, sys
from pathlib import Path
from hookrouter.clock import SystemClock
from hookrouter.delivery.notifier import Notifier
from hookrouter.delivery.lane import LaneSettings
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.queue import NewDelivery
from hookrouter.facts import Facts
from hookrouter.routing.endpoint import Endpoint
from hookrouter.store.sqlite import SqliteStore

class Route:
    name, order, endpoint = "crm", "call", Endpoint("tcp://endpoint")

async def main():
    path, port, begin, amount = sys.argv[1], *map(int, sys.argv[2:])
    facts = Facts()
    store = SqliteStore(Path(path), facts)

    async def send(route, delivery, number):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(delivery.body + b"\\n")
        status = int(await reader.readline() or b"0")
        writer.close()
        return Attempt(number, "response", status) if status else Attempt(number, "reset")

    notifier = Notifier(store, send, {"crm": Route}.get, facts, SystemClock(), settings=LaneSettings(backlog_rate=2000))
    await store.start()
    await notifier.start()
    for number in range(begin, begin + amount):
        body = f"c{number % 7} {number}".encode()
        notifier.enqueue([NewDelivery(f"e{number}", "crm", "T", body, SystemClock().now(), f"c{number % 7}")])
        store.committed(lambda error, n=number: print(n, flush=True))
        await asyncio.sleep(0.001 if number % 5 else 0)
    while await notifier.pending():
        await asyncio.sleep(0.02)
    print("drained", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


class TcpEndpoint:
    """Answers each line with a status; remembers the lines in order."""

    def __init__(self, dice: random.Random) -> None:
        self.lines: list[str] = []
        self._dice = dice

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = (await reader.readline()).decode().strip()
        await asyncio.sleep(self._dice.choice([0, 0, 0.002, 0.01]))
        if line:
            self.lines.append(line)
            writer.write(b"200\n")
        writer.close()


async def _start(path: Path, port: int, begin: int, amount: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", ROUTER, str(path), str(port), str(begin), str(amount),
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
async def test_what_was_committed_arrives_although_the_router_is_killed(tmp_path: Path, seed: int) -> None:
    """Law 1: over `kill -9` at random moments everything that was reported as committed is received, and in order."""
    dice = random.Random(seed)
    endpoint = TcpEndpoint(dice)
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    committed: list[int] = []
    begin = 0
    for life in range(4):
        last = life == 3
        router = await _start(tmp_path / "s.db", port, begin, 60 if last else 500)
        assert router.stdout is not None
        wanted = dice.randrange(20, 300)
        async with asyncio.timeout(30):
            while (line := (await router.stdout.readline()).decode().strip()) != "drained":
                committed.append(int(line))
                wanted -= 1
                if wanted == 0 and not last:
                    break
        router.send_signal(signal.SIGKILL)
        rest = (await router.stdout.read()).decode().split("\n")
        committed.extend(int(line) for line in rest if line.isdigit())
        await router.wait()
        begin += 500
    server.close()
    await server.wait_closed()
    received = Counter(int(line.split()[1]) for line in endpoint.lines)
    assert set(committed) <= set(received)
    for call in range(7):
        firsts = list(dict.fromkeys(int(line.split()[1]) for line in endpoint.lines if line.startswith(f"c{call} ")))
        assert firsts == sorted(firsts)
    twice = sum(count - 1 for count in received.values())
    assert twice <= 3 * 32, "only what was in flight, or just answered, at a kill comes again"
