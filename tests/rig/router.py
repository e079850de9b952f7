"""A router in this process, with the facts that it reported."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from hookrouter.config.loader import parse
from hookrouter.facts import Fact, Facts
from hookrouter.service.service import Service

F = TypeVar("F", bound=Fact)


class Router:
    """`routes` is the text of the [[routes]] tables; the Asterisk and the server are put before it."""

    def __init__(
        self,
        url: str,
        app: str,
        routes: str,
        *,
        store: str = "memory:",
        password: str = "hookrouter",
        serve: bool = False,
        extra: str = "",
        listen: str = "127.0.0.1:0",
        mode: str = "connect",
        subscribe: str = "[]",
        asterisk: str = "",
        asterisk_name: str = "main",
    ) -> None:
        place = f'url = "{url}"\n' if url else ""
        if "[policy]" not in extra and "endpoints =" not in routes:  # the far ends of the lab are in its dialplan
            extra += '\n[policy]\nendpoints = ["*", "Local/*"]\n'
        text = f"""
[asterisk.{asterisk_name}]
{place}username = "hookrouter"
password = "{password}"
apps = ["{app}"]
mode = "{mode}"
subscribe = {subscribe}
{asterisk}
[server]
listen = "{listen}"
{extra}
{routes}
"""
        self.config = parse(text, {}, Path("routes.toml"))
        self.facts: list[Fact] = []
        self.changed = asyncio.Condition()
        self._serve = serve
        self.service = Service(self.config, facts=Facts(self._observe), store_url=store)

    def _observe(self, fact: Fact) -> None:
        self.facts.append(fact)
        for waiter, predicate in list(self._waiters):
            if not waiter.done() and predicate(fact):
                waiter.set_result(fact)

    _waiters: list[tuple[asyncio.Future[Any], Callable[[Fact], bool]]]

    async def __aenter__(self) -> Router:
        self._waiters = []
        await self.service.start(serve=self._serve)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.service.stop()

    async def ready(self, timeout: float = 10.0) -> Router:
        """Waits until every Asterisk is connected."""
        async with asyncio.timeout(timeout):
            while not all(client.ready for client in self.service.clients.values()):
                await asyncio.sleep(0.01)
        return self

    def of(self, kind: type[F]) -> list[F]:
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def recording(self, name: str) -> tuple[str, bytes]:
        """A stored recording, as the control API hands it out: its content type and bytes."""
        found = await self.service.recording("main", name)
        assert not isinstance(found, int), found
        audio = b"".join([piece async for piece in found.pieces()])
        await found.close()
        assert found.status == 200
        return found.headers["content-type"], audio

    async def fact(self, kind: type[F], *, timeout: float = 15.0, **fields: Any) -> F:
        """The first fact of this kind with these fields, past or to come."""

        def fits(fact: Fact) -> bool:
            return isinstance(fact, kind) and all(getattr(fact, key) == value for key, value in fields.items())

        for fact in self.facts:
            if fits(fact):
                return fact  # type: ignore[return-value]
        waiter: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiters.append((waiter, fits))
        try:
            async with asyncio.timeout(timeout):
                return await waiter  # type: ignore[no-any-return]
        except TimeoutError:
            call = fields.get("call", "")
            last = [repr(fact)[:300] for fact in self.facts if getattr(fact, "call", call) == call][-25:]
            raise TimeoutError(f"no {kind.__name__} {fields}; last:\n" + "\n".join(last)) from None


def route(url: str, *, name: str = "ivr", events: str = '["StasisStart", "StasisEnd"]', more: str = "") -> str:
    """The text of one [[routes]] table."""
    return f"""
[[routes]]
name = "{name}"
url = "{url}"
events = {events}
{more}
"""
