"""Callers of a PBX, by ARI alone: the same on the real Asterisk and on the simulator."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from typing import Any

import aiohttp


class Pbx:
    """Whatever speaks ARI at `url`, with the lab's dialplan."""

    def __init__(self, url: str, username: str = "hookrouter", password: str = "hookrouter") -> None:
        self.url, self.username, self.password = url, username, password

    async def __aenter__(self) -> Pbx:
        self.session = aiohttp.ClientSession(auth=aiohttp.BasicAuth(self.username, self.password))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.session.close()

    async def ari(self, method: str, path: str, body: Any = None, **params: str) -> tuple[int, Any]:
        async with self.session.request(method, f"{self.url}/ari/{path}", params=params, json=body) as reply:
            text = await reply.read()
            return reply.status, (await reply.json(content_type=None) if text.strip() else None)

    async def call(
        self, app: str, caller: str = "wait", *, args: str = "", number: str = "", variables: dict[str, str] | None = None
    ) -> Caller:
        """Somebody calls: the half that enters `app`, and the half of the caller (`callers` in the dialplan)."""
        id = f"test-{secrets.token_hex(5)}"
        wanted = dict(variables or {})
        if args:
            wanted["__ARGS"] = args
        params = {
            "endpoint": f"Local/call-{app}@in/n",
            "context": "callers",
            "extension": caller,
            "priority": "1",
            "otherChannelId": f"{id}-in",
            "timeout": "60",
        }
        if number:
            params["callerId"] = number
        status, body = await self.ari("POST", f"channels/{id}-far", {"variables": wanted} if wanted else None, **params)
        assert status == 200, (status, body)
        return Caller(self, f"{id}-in", f"{id}-far")

    async def channels(self) -> set[str]:
        return {channel["id"] for channel in (await self.ari("GET", "channels"))[1]}

    async def bridges(self) -> set[str]:
        return {bridge["id"] for bridge in (await self.ari("GET", "bridges"))[1]}

    async def gone(self, *ids: str, timeout: float = 10.0) -> None:
        """Waits until none of the channels (or bridges) is there any more."""
        try:
            async with asyncio.timeout(timeout):
                while (left := (await self.channels() | await self.bridges()) & set(ids)):
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(f"still there: {left}") from None


@dataclass
class Caller:
    """A caller: `id` is the half in the app (the call's id), `far` the other half."""

    pbx: Pbx
    id: str
    far: str

    async def press(self, digits: str, **params: str) -> None:
        status, body = await self.pbx.ari("POST", f"channels/{self.id}/dtmf", dtmf=digits) if False else (0, None)
        del status, body
        raise NotImplementedError

    async def hangup(self) -> None:
        await self.pbx.ari("DELETE", f"channels/{self.far}")

    async def variable(self, name: str) -> str | None:
        status, body = await self.pbx.ari("GET", f"channels/{self.id}/variable", variable=name)
        return body["value"] if status == 200 else None
