"""The control API of any router, as somebody with a token asks it, and the streams that it tells them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from types import TracebackType
from typing import Any

import aiohttp

from rig.group import Member


class Anyone:
    """`ask` returns the status and what came; `seconds` of each answer."""

    def __init__(self, session: aiohttp.ClientSession, token: str) -> None:
        self._session = session
        self.headers = {"authorization": f"Bearer {token}"}
        self.seconds: list[float] = []

    async def ask(self, member: Member, path: str, method: str = "GET", **options: Any) -> tuple[int, Any]:
        began = time.monotonic()
        url = f"http://127.0.0.1:{member.router.port}{path}"
        headers = self.headers | options.pop("headers", {})
        async with self._session.request(method, url, headers=headers, allow_redirects=False, **options) as reply:
            body = await reply.read()
            self.seconds.append(time.monotonic() - began)
            return reply.status, json.loads(body) if "json" in reply.content_type else body

    async def calls(self, member: Member) -> tuple[set[str], list[str]]:
        """The ids of the live calls, and the Asterisks whose calls are missing."""
        status, found = await self.ask(member, "/v1/calls")
        assert status == 200, found
        ids = [call["id"] for call in found["calls"]]
        assert len(ids) == len(set(ids)), ids
        return set(ids), [one["asterisk"] for one in found.get("missing", [])]


class Stream:
    """`async with` it: what a router tells by /v1/events. `facts` in order; `silent`: the routers that it does not hear of."""

    def __init__(self, session: aiohttp.ClientSession, member: Member, token: str) -> None:
        self._session, self._member, self._token = session, member, token
        self.facts: list[dict[str, Any]] = []
        self.silent: list[str] = []
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Stream:
        url = f"http://127.0.0.1:{self._member.router.port}/v1/events"
        patience = aiohttp.ClientTimeout(total=None)
        headers = {"authorization": f"Bearer {self._token}"}
        self._reply = await self._session.get(url, headers=headers, timeout=patience)
        assert self._reply.status == 200
        await self._reply.content.readuntil(b"\n\n")
        self._task = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._task.cancel()
        self._reply.close()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _read(self) -> None:
        while not self._reply.content.at_eof():
            block = (await self._reply.content.readuntil(b"\n\n")).decode()
            if block.startswith("data: "):
                self.facts.append(json.loads(block.removeprefix("data: ")))
            elif block.startswith("event: silent\ndata: "):
                self.silent = json.loads(block.partition("\ndata: ")[2])
            else:
                assert block.startswith(":"), block
            async with self._changed:
                self._changed.notify_all()

    def of(self, kind: str, call: str) -> list[dict[str, Any]]:
        return [fact for fact in self.facts if fact["fact"] == kind and fact.get("call") == call]

    async def until(self, holds: Callable[[], Any], timeout: float = 15.0) -> None:
        try:
            async with asyncio.timeout(timeout), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            ends = [f"{fact['router']}: {fact['fact']} {fact.get('call', '')}" for fact in self.facts[-20:]]
            raise TimeoutError(f"at {self._member.name}, silent {self.silent}; last: {ends}") from None


@contextlib.asynccontextmanager
async def streams(session: aiohttp.ClientSession, members: list[Member], token: str) -> Any:
    """One at each."""
    async with contextlib.AsyncExitStack() as stack:
        yield [await stack.enter_async_context(Stream(session, member, token)) for member in members]


__all__ = ["Anyone", "Stream", "streams"]
