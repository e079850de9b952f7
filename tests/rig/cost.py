"""How much code one call runs: every bytecode in the router's own threads, counted; the same on every machine.

Of several calls the cheapest counts: on a busy machine the same work comes in smaller pieces, and each costs a little more.

The simulator and the endpoint are in a thread of their own and do not count; the router's loop (uvloop, as in production)
and its writers do. Nothing here looks at a clock.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import uvloop

from hookrouter.config.loader import parse
from hookrouter.facts import CallFinished, Facts
from hookrouter.service.service import Service
from hookrouter.simulator import Simulator
from hookrouter.telemetry.logs import Log
from rig.endpoint import Delivery, Endpoint

_CALLS = 7
_VARIABLES = 5


class Town(threading.Thread):
    """Asterisk (simulated) and the endpoint: a call is answered and hung up, and nine events tell of it."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self._up = threading.Event()
        self.start()
        self._up.wait()

    def run(self) -> None:
        asyncio.run(self._live())

    async def _live(self) -> None:
        self._loop, self._over = asyncio.get_running_loop(), asyncio.Event()
        async with Simulator() as self.simulator, Endpoint() as self.endpoint:
            self.endpoint.answers["StasisStart"] = self._answer
            self._up.set()
            await self._over.wait()

    async def call(self) -> None:
        """One call, from its beginning to its end."""
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._call(), self._loop))

    async def _call(self) -> None:
        caller = await self.simulator.call("hookrouter", "1000")
        await caller.ended()

    def _answer(self, delivery: Delivery) -> list[dict[str, str]]:
        for number in range(_VARIABLES):
            self.simulator.pbx.channels[delivery.call].set_variable(f"VARIABLE{number}", "a value")
        return [{"action": "answer"}, {"action": "hangup"}]

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._over.set)
        self.join()


class Meter:
    """Counts bytecodes of this thread and of threads that are started while it is on."""

    def __init__(self) -> None:
        self.of: Counter[tuple[str, str]] = Counter()
        self.counting = False

    def trace(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        """For `sys.settrace`."""
        path = frame.f_code.co_filename
        if "/tests/" in path:
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        name = path.rpartition("/hookrouter/")[2] if "/hookrouter/" in path else Path(path).name
        key = (name, frame.f_code.co_name)

        def local(frame: FrameType, event: str, _: Any) -> Any:
            if event == "opcode" and self.counting:
                self.of[key] += 1
            return local

        return local


async def _measure(folder: Path, events: str, more: str) -> list[Counter[tuple[str, str]]]:
    """Of each call, what it ran."""
    town = Town()
    meter = Meter()
    over: asyncio.Queue[None] = asyncio.Queue()
    facts = Facts()
    lines = (folder / "log").open("wb")
    log = Log("json", "info", lines)
    facts.subscribe(log, log.wants)
    facts.subscribe(lambda _: over.put_nowait(None), {CallFinished}.__contains__)
    text = f"""
[asterisk.main]
url = "{town.simulator.url}"
username = "hookrouter"
password = "hookrouter"
apps = ["hookrouter"]
[server]
listen = "127.0.0.1:0"
[[routes]]
name = "cost"
url = "{town.endpoint.url}"
secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
events = {events}
{more}
"""
    before, of_threads = sys.gettrace(), threading.gettrace()  # a measurement of coverage goes on afterwards
    threading.settrace(meter.trace)  # the writers
    sys.settrace(meter.trace)
    service = Service(parse(text, {}, Path("routes.toml")), facts=facts, store_url=f"sqlite:///{folder}/state.db")
    try:
        await service.start(serve=False)
        while not all(client.ready for client in service.clients.values()):
            await asyncio.sleep(0.01)

        async def call(then: Callable[[], Awaitable[Any]]) -> None:
            await town.call()
            await over.get()
            await then()

        for _ in range(2):  # what is made once
            await call(service.recorder.settled)
        calls = []
        for _ in range(_CALLS):
            meter.of, meter.counting = Counter(), True
            await call(service.recorder.settled)
            meter.counting = False
            calls.append(meter.of)
    finally:
        sys.settrace(before)
        threading.settrace(of_threads)  # type: ignore[arg-type]
        await service.stop()
        town.stop()
        lines.close()
    return calls


def bytecodes(folder: Path, events: str, more: str = "") -> dict[tuple[str, str], int]:
    """Bytecodes of one call by (file, function). `events` as in routes.toml, `more`: other keys of the route."""
    calls = uvloop.run(_measure(folder, events, more))
    return dict(min(calls, key=Counter.total).most_common())


def by_room(found: dict[tuple[str, str], int]) -> list[tuple[str, int]]:
    """The sums of folders, the dearest first."""
    rooms: Counter[str] = Counter()
    for (name, _), count in found.items():
        rooms[name.split("/")[0]] += count
    return rooms.most_common()


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        told = bytecodes(Path(place), sys.argv[1], "\n".join(sys.argv[2:]))
    for (file, function), count in list(told.items())[:60]:
        print(f"{count:8}  {file} {function}")  # noqa: T201
    for room, count in by_room(told)[:20]:
        print(f"{count:8}  {room}")  # noqa: T201
    print(f"{sum(told.values()):8}  in all")  # noqa: T201
