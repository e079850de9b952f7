"""What the tests of the console look at: a router on a simulated Asterisk, with an endpoint that does as it is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from lab.asterisk import free_port
from lab.postgres import cluster
from playwright.async_api import Browser, BrowserContext, Page

from hookrouter.facts import CallFinished
from hookrouter.simulator import Simulator
from hookrouter.simulator.caller import Caller
from rig.endpoint import Endpoint
from rig.router import Router, route

APP = "ivr"
ALL, LOOK, ACME = (f"{name}-0123456789abcdef" for name in ("all", "look", "acme"))
_SERVER = f"""token = "{ALL}"
[[server.tokens]]
token = "{LOOK}"
access = "read"
[[server.tokens]]
token = "{ACME}"
tenant = "acme"
"""
MENU = [
    {"action": "answer"},
    {"action": "gather", "prompt": "sound:demo-instruct", "maxDigits": 1, "timeout": 5},
]
_OF_A_STATUS = "Failed to load resource"  # an answer such as 404, which is no fault of the page
WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


class Scene:
    """`async with` it: `url` is the console; `call` begins calls."""

    def __init__(self, folder: Path, *, speed: float = 4.0) -> None:
        self._folder, self._speed = folder, speed
        self.endpoint = Endpoint()

    async def __aenter__(self) -> Scene:
        self._stack = contextlib.AsyncExitStack()
        enter = self._stack.enter_async_context
        await enter(self.endpoint)
        self.simulator = await enter(Simulator(speed=self._speed))
        base = self.endpoint.url.removesuffix("/hook")
        routes = route(f"{base}/ivr", more='match = { app = "ivr" }\nsilence_timeout = 60') + route(
            f"{base}/crm", name="crm", events='["StasisStart", "StasisEnd"]', more='mode = "notify"'
        )
        self.router = await enter(
            Router(self.simulator.url, APP, routes, password=self.simulator.password, serve=True, extra=_SERVER,
                   store=f"sqlite:///{self._folder}/state.db")
        )  # fmt: skip
        await self.router.ready()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        return self.router.service.address

    async def call(self, number: str = "+4930123456", called: str = "1000", name: str = "") -> Caller:
        """Somebody calls the app."""
        return await self.simulator.call(APP, number, called, [], name)

    async def finished(self, caller: Caller) -> None:
        """Everything of the call is delivered."""
        await self.router.fact(CallFinished, call=caller.id)

    async def until(self, holds: Callable[[], bool], timeout: float = 5.0) -> None:
        async with asyncio.timeout(timeout):
            while not holds():
                await asyncio.sleep(0.01)


class Pair:
    """`async with` it: two routers that share a database, each with a simulated Asterisk of its own, and one endpoint.

    `a` has the Asterisk `main`, `b` has `second`; `url` is the console of `a`.
    """

    async def __aenter__(self) -> Pair:
        self._stack = contextlib.AsyncExitStack()
        async with self._stack:
            enter = self._stack.enter_async_context
            self.endpoint = await enter(Endpoint())
            database = (await asyncio.to_thread(self._stack.enter_context, cluster())).database()
            ports = {"main": free_port(), "second": free_port()}
            self.simulators = {name: await enter(Simulator(speed=4.0)) for name in ports}
            routers = [await enter(self._router(*one, database)) for one in zip("ab", ports.items(), strict=True)]
            self.a, self.b = [await router.ready() for router in routers]
            self._stack = self._stack.pop_all()
        return self

    def _router(self, name: str, place: tuple[str, int], database: str) -> Router:
        asterisk, port = place
        simulator = self.simulators[asterisk]
        return Router(
            simulator.url, APP, route(self.endpoint.url), password=simulator.password, serve=True, store=database,
            listen=f"127.0.0.1:{port}", asterisk_name=asterisk,
            extra=f'{_SERVER}[cluster]\nname = "{name}"\naddress = "http://127.0.0.1:{port}"\n',
        )  # fmt: skip

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        return self.a.service.address

    async def acquainted(self) -> None:
        """Waits until each knows of the other and of what it owns."""
        async with asyncio.timeout(10):
            while not all(router.service.peers.owning() and router.service.peers.running() for router in (self.a, self.b)):
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def reader(
    browser: Browser, scene: Scene | Pair, token: str = ALL, *, width: dict[str, int] = WIDE, scheme: str = "light"
) -> AsyncIterator[Page]:
    """A page of somebody who has logged in. What the browser says against a page, or asks of others, is a failure."""
    options: dict[str, Any] = {"viewport": width, "color_scheme": scheme, "base_url": scene.url, "locale": "en-GB"}
    context: BrowserContext = await browser.new_context(**options)
    faults: list[str] = []
    try:
        page = await context.new_page()
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if said.type == "error" and _OF_A_STATUS not in said.text else None)
        page.on("request", lambda asked: None if asked.url.startswith(scene.url) else faults.append(asked.url))
        await page.goto("/login")
        await page.get_by_label("The token of").fill(token)
        await page.get_by_role("button", name="Log in").click()
        await page.wait_for_url("**/")
        yield page
    finally:
        await context.close()
    assert faults == []
