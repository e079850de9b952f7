"""A web function under the test's control: it answers what it is told, and remembers what it was sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

Answer = Any | Callable[["Delivery"], Any] | Callable[["Delivery"], Awaitable[Any]]


@dataclass
class Delivery:
    """One request as it came."""

    path: str
    headers: dict[str, str]
    raw: bytes
    at: float
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def type(self) -> str:
        return str(self.body["type"])

    @property
    def call(self) -> str:
        return str(self.body.get("call", {}).get("id", ""))

    @property
    def data(self) -> Any:
        return self.body["data"]


class Endpoint:
    """Runs on loopback. `answers[type]` (or `"path type"`) is an answer, a function, or a list of answers in turn."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.received: list[Delivery] = []
        self._by_call: dict[str, list[Delivery]] = {}  # thousands of calls are waited for one by one
        self.changed = asyncio.Condition()
        self.in_flight: dict[str, int] = {}
        self.most_in_flight = 0

    async def __aenter__(self) -> Endpoint:
        app = web.Application(client_max_size=2**22)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        delivery = Delivery(
            request.path, {k.lower(): v for k, v in request.headers.items()}, raw, asyncio.get_running_loop().time()
        )
        delivery.body = json.loads(raw)
        call = delivery.call
        self.in_flight[call] = self.in_flight.get(call, 0) + 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight[call])
        self.received.append(delivery)
        self._by_call.setdefault(call, []).append(delivery)
        async with self.changed:
            self.changed.notify_all()
        try:
            answer = self.answers.get(f"{delivery.path} {delivery.type}", self.answers.get(delivery.type))
            if isinstance(answer, list) and answer and isinstance(answer[0], list | web.Response):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
            if callable(answer):
                answer = answer(delivery)
            if asyncio.iscoroutine(answer):
                answer = await answer
        finally:
            self.in_flight[call] -= 1
        if isinstance(answer, web.StreamResponse):
            return answer
        return web.json_response(answer) if answer is not None else web.Response(status=204)

    def of(self, type: str, call: str | None = None) -> list[Delivery]:
        among = self.received if call is None else self._by_call.get(call, [])
        return [d for d in among if d.type == type]

    async def wait(self, type: str, count: int = 1, *, timeout: float = 15.0, call: str | None = None) -> Delivery:
        """The `count`-th delivery of this type. Raises TimeoutError with what came instead."""
        try:
            async with asyncio.timeout(timeout), self.changed:
                await self.changed.wait_for(lambda: len(self.of(type, call)) >= count)
        except TimeoutError:
            raise TimeoutError(f"no {type} number {count}; came: {[d.type for d in self.received]}") from None
        return self.of(type, call)[count - 1]
