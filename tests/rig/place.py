"""An Asterisk, a proxy, a router process and callers, in either mode: where most faults happen."""

from __future__ import annotations

import contextlib
from pathlib import Path

from lab.asterisk import Asterisk

from rig.endpoint import Endpoint
from rig.load import EVENTS
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.proxy import Proxy
from rig.router import route


class Place:
    """`async with Place(...)`: everything is up; the proxy stands between Asterisk and the router."""

    def __init__(
        self, mode: str, app: str, endpoint: Endpoint, folder: Path, *, routes: str = "", more: str = "", events: str = EVENTS
    ) -> None:
        self.mode, self.app, self.folder = mode, app, folder
        self.routes = routes or route(endpoint.url, events=events, more=more)

    async def __aenter__(self) -> Place:
        self._stack = contextlib.AsyncExitStack()
        async with self._stack:
            self.proxy = await self._stack.enter_async_context(Proxy(0))
            if self.mode == "listen":
                self.router = RouterProcess(self.folder, "", self.app, self.routes, mode="listen")
                self.proxy.target = self.router.port
                listen = {self.app: f"ws://127.0.0.1:{self.proxy.port}/ari/main"}
                self.asterisk = self._stack.enter_context(Asterisk(listen=listen))
            else:
                self.asterisk = self._stack.enter_context(Asterisk())
                self.proxy.target = self.asterisk.http_port
                self.router = RouterProcess(self.folder, self.proxy.url, self.app, self.routes)
            self.pbx = await self._stack.enter_async_context(Pbx(self.asterisk.url))
            await self._stack.enter_async_context(self.router)
            self._stack = self._stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()
