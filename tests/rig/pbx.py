"""Callers of a PBX, by ARI alone: the same on the real Asterisk and on the simulator.

A caller is the other half of a Local channel. By default it is in a Stasis app of the test's own, and so under its hand
(`press`); otherwise it runs an extension of the context `callers`.
"""

from __future__ import annotations

import asyncio
import base64
import secrets
from dataclasses import dataclass
from typing import Any

import aiohttp


class Pbx:
    """Whatever speaks ARI at `url`, with the lab's dialplan."""

    def __init__(self, url: str, username: str = "hookrouter", password: str = "hookrouter") -> None:
        self.url, self.username, self.password = url, username, password

    def _authorization(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    async def __aenter__(self) -> Pbx:
        self.session = aiohttp.ClientSession(headers={"authorization": self._authorization()})
        self.hand = f"hand{secrets.token_hex(4)}"
        self.events: list[dict[str, Any]] = []
        self.changed = asyncio.Condition()
        self._socket = await self.session.ws_connect(f"ws{self.url.removeprefix('http')}/ari/events?app={self.hand}")
        self._reader = asyncio.create_task(self._read())
        return self

    async def _read(self) -> None:
        async for message in self._socket:
            self.events.append(message.json())
            async with self.changed:
                self.changed.notify_all()

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._socket.close()
        await self.session.close()

    async def event(self, type: str, channel: str, timeout: float = 10.0, count: int = 1) -> dict[str, Any]:
        """The `count`-th event of this type on a caller's far half."""

        def found() -> list[dict[str, Any]]:
            return [e for e in self.events if e["type"] == type and e.get("channel", {}).get("id") == channel]

        try:
            async with asyncio.timeout(timeout), self.changed:
                await self.changed.wait_for(lambda: len(found()) >= count)
        except TimeoutError:
            raise TimeoutError(f"no {type} of {channel}; came: {[e['type'] for e in self.events]}") from None
        return found()[count - 1]

    async def ari(self, method: str, path: str, body: Any = None, **params: str) -> tuple[int, Any]:
        async with self.session.request(method, f"{self.url}/ari/{path}", params=params, json=body) as reply:
            text = await reply.read()
            return reply.status, (await reply.json(content_type=None) if text.strip() else None)

    async def call(
        self, app: str, caller: str = "", *, args: str = "", number: str = "", variables: dict[str, str] | None = None
    ) -> Caller:
        """Somebody calls: the half that enters `app`, and the half of the caller (`callers` in the dialplan)."""
        id = f"test-{secrets.token_hex(5)}"
        wanted = dict(variables or {})
        if args:
            wanted["__ARGS"] = args
        params = {
            "endpoint": f"Local/call-{app}@in/n",
            **({"context": "callers", "extension": caller, "priority": "1"} if caller else {"app": self.hand}),
            "otherChannelId": f"{id}-in",
            "timeout": "60",
        }
        if number:
            params["callerId"] = number
        status, body = await self.ari("POST", f"channels/{id}-far", {"variables": wanted} if wanted else None, **params)
        assert status == 200, (status, body)
        return Caller(self, f"{id}-in", f"{id}-far")

    async def subscribe(self, channel: str) -> None:
        """Events of that channel come to the test too."""
        source = f"channel:{channel}"
        status, body = await self.ari("POST", f"applications/{self.hand}/subscription", eventSource=source)
        assert status in (200, 422), body  # 422: it has gone already

    async def channels(self) -> set[str]:
        return {channel["id"] for channel in (await self.ari("GET", "channels"))[1]}

    async def bridges(self) -> set[str]:
        return {bridge["id"] for bridge in (await self.ari("GET", "bridges"))[1]}

    async def together(self, *ids: str, timeout: float = 5.0) -> str:
        """Waits until all of these channels, and nobody else, are in one bridge; its id."""
        async with asyncio.timeout(timeout):
            while True:
                for bridge in (await self.ari("GET", "bridges"))[1]:
                    if set(bridge["channels"]) == set(ids):
                        return str(bridge["id"])
                await asyncio.sleep(0.01)

    async def recorded(self, name: str, timeout: float = 5.0) -> None:
        """Waits until a recording of this name runs."""
        async with asyncio.timeout(timeout):
            while (await self.ari("GET", f"recordings/live/{name}"))[0] != 200:
                await asyncio.sleep(0.01)

    async def ringing(self, *ids: str, timeout: float = 5.0) -> None:
        """Waits until all of these channels ring."""
        async with asyncio.timeout(timeout):
            while True:
                states = {channel["id"]: channel["state"] for channel in (await self.ari("GET", "channels"))[1]}
                if all(states.get(id) == "Ringing" for id in ids):
                    return
                await asyncio.sleep(0.01)

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
        """The caller presses keys: DTMF from the far half towards the app. The call must be answered."""
        await self.answered()
        wanted = {"dtmf": digits, "duration": "100", "between": "100", **params}
        status, body = await self.pbx.ari("POST", f"channels/{self.far}/dtmf", **wanted)
        assert status == 204, (status, body)

    async def answered(self) -> None:
        """Waits until somebody has answered."""
        await self.pbx.event("StasisStart", self.far)

    async def heard_digit(self, count: int = 1) -> str:
        """The `count`-th DTMF digit that reached the caller."""
        return str((await self.pbx.event("ChannelDtmfReceived", self.far, count=count))["digit"])

    async def hangup(self) -> None:
        await self.pbx.ari("DELETE", f"channels/{self.far}")

    async def variable(self, name: str) -> str | None:
        status, body = await self.pbx.ari("GET", f"channels/{self.id}/variable", variable=name)
        return body["value"] if status == 200 else None
