"""CPU of one small POST over kept connections: our HTTP client, a whole control delivery over it, and bare aiohttp.

    python benchmarks/post.py [--uvloop]

The server is another process and is not counted. The best of five rounds, in microseconds of CPU per POST.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import aiohttp

from hookrouter.clock import SystemClock
from hookrouter.delivery.deliverer import Deliverer
from hookrouter.delivery.envelope import CallContext, Message, envelope
from hookrouter.delivery.sender import Sender
from hookrouter.facts import Facts
from hookrouter.http.client import Http
from hookrouter.routing.endpoint import Endpoint

ANSWER = b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 43\r\n\r\n[{"action":"answer"},{"action":"hangup"}]  '
DATA = b'{"type":"StasisStart","filler":"%s"}' % (b"x" * 1000)
TIME = "2026-11-23T01:21:20.227Z"


class Server(asyncio.Protocol):
    """Answers every request that has come whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (end := self.buffer.find(b"\r\n\r\n")) >= 0:
            length = int(self.buffer[:end].lower().partition(b"content-length: ")[2].partition(b"\r")[0])
            if len(self.buffer) < end + 4 + length:
                return
            self.buffer = self.buffer[end + 4 + length :]
            self.transport.write(ANSWER)  # type: ignore[attr-defined]


async def serve() -> None:
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def message() -> Message:
    call = CallContext("1795396880.3", "main", "hookrouter", "ivr", 1)
    body = envelope("evt_1", "StasisStart", TIME, DATA, call)
    return Message("evt_1", "StasisStart", body, "control", "1795396880.3", "ivr", TIME, "main")


async def measure(name: str, post: Callable[[], Awaitable[object]]) -> None:
    for at_once, count in ((1, 2000), (64, 6000)):
        best = float("inf")
        for _ in range(5):
            left = iter(range(count))

            async def worker(left: object = left) -> None:
                for _ in left:  # type: ignore[attr-defined]
                    await post()

            started = time.process_time()
            await asyncio.gather(*(worker() for _ in range(at_once)))
            best = min(best, time.process_time() - started)
        print(f"{name:24} {at_once:3} at once {best / count * 1e6:7.1f} µs")


async def run(port: int) -> None:
    url = f"http://127.0.0.1:{port}/ivr"
    headers = [("content-type", "application/json"), ("webhook-id", "evt_1"), ("user-agent", "bench")]
    body, http, clock = message().body, Http(), SystemClock()
    deliverer = Deliverer(Sender(http, clock), Facts(), clock, lambda: 0.0)
    endpoint = Endpoint(url, (b"0123456789abcdef01234567",))
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:

        async def bare() -> None:
            async with session.post(url, data=body, headers=dict(headers)) as response:
                await response.read()

        await measure("aiohttp", bare)
    await measure("hookrouter.http.client", lambda: http.send("POST", url, headers, body, timeout=3.0, limit=2**18))
    await measure(
        "control delivery",
        lambda: deliverer.control(endpoint, message(), deadline=8.0, decode=lambda answer, content_type: answer),
    )
    await http.close()


def main() -> None:
    if sys.argv[1:] == ["server"]:
        asyncio.run(serve())
        return
    factory = None
    if "--uvloop" in sys.argv:
        import uvloop

        factory = uvloop.new_event_loop
    with subprocess.Popen([sys.executable, __file__, "server"], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        try:
            with asyncio.Runner(loop_factory=factory) as runner:
                runner.run(run(int(server.stdout.readline())))
        finally:
            server.terminate()


if __name__ == "__main__":
    main()
