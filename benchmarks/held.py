"""A simulated Asterisk whose callers stay on the line: says its URL, then takes as many calls as each line of its input says."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import aiohttp

from hookrouter.simulator import Simulator

_ORIGINATE = "{}/ari/channels?endpoint=Local/wait@callers&app=hookrouter&appArgs=hold"


class Callers:
    """`with Callers() as callers`: a process of its own, at `url`; `call(count)` returns when so many more have called."""

    def __enter__(self) -> Callers:
        self._process = subprocess.Popen([sys.executable, "-m", "benchmarks.held"], cwd=Path(__file__).parents[1], text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        self.url = self._said()
        return self

    def call(self, count: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        self._said()

    def _said(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()


async def main() -> None:
    login = {"authorization": aiohttp.encode_basic_auth("hookrouter", "hookrouter")}
    async with Simulator() as simulator, aiohttp.ClientSession(headers=login) as session:
        print(simulator.url, flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            for _ in range(int(line)):
                async with session.post(_ORIGINATE.format(simulator.url)) as reply:
                    assert reply.status == 200, await reply.text()
            print("called", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
