"""A simulated Asterisk whose callers stay on the line: says its URL, then takes as many calls as each line of its input says."""

from __future__ import annotations

import asyncio
import sys

import aiohttp

from hookrouter.simulator import Simulator

_ORIGINATE = "{}/ari/channels?endpoint=Local/wait@callers&app=hookrouter&appArgs=hold"


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
