"""The limit for Python: every event is posted, every action carried out, and nothing else is done.

uvloop, aiohttp and msgspec; requests go over the event socket. ARI, HOOK and WANTED (types, comma-separated) are set.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import aiohttp
import msgspec
import uvloop
import websockets

HOOK = os.environ["HOOK"]
WANTED = frozenset(filter(None, os.environ.get("WANTED", "").split(",")))
SOCKET = os.environ["ARI"].replace("http", "ws", 1) + "/ari/events?app=hookrouter&api_key=hookrouter:hookrouter"


class Channel(msgspec.Struct):
    id: str


class Received(msgspec.Struct):
    type: str
    channel: Channel | None = None
    request_id: str = ""


class Action(msgspec.Struct):
    action: str


class Loop:
    """One socket, one pool of connections, a task for each event."""

    def __init__(self, socket: Any, session: aiohttp.ClientSession) -> None:
        self.socket = socket
        self.session = session
        self.waiting: dict[str, asyncio.Future[None]] = {}
        self.asked = 0
        self.tasks: set[asyncio.Task[None]] = set()

    async def ask(self, method: bytes, uri: str) -> None:
        self.asked += 1
        id = str(self.asked)
        reply = self.waiting[id] = asyncio.get_running_loop().create_future()
        request = b'{"type":"RESTRequest","request_id":"%s","method":"%s","uri":"%s"}'
        await self.socket.send(request % (id.encode(), method, uri.encode()), text=True)
        await reply

    async def forward(self, raw: bytes, event: Received) -> None:
        async with self.session.post(HOOK, data=raw, headers={"content-type": "application/json"}) as answer:
            actions = decode_actions(await answer.read())
        for step in actions:
            assert event.channel is not None
            if step.action == "answer":
                await self.ask(b"POST", f"channels/{event.channel.id}/answer")
            elif step.action == "hangup":
                await self.ask(b"DELETE", f"channels/{event.channel.id}")

    async def run(self) -> None:
        while True:
            raw = await self.socket.recv(decode=False)
            event = decode_event(raw)
            if event.type == "RESTResponse":
                self.waiting.pop(event.request_id).set_result(None)
            elif not WANTED or event.type in WANTED:
                task = asyncio.create_task(self.forward(raw, event))
                self.tasks.add(task)
                task.add_done_callback(self.tasks.discard)


decode_event = msgspec.json.Decoder(Received).decode
decode_actions = msgspec.json.Decoder(list[Action]).decode


async def main() -> None:
    async with (
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=200)) as session,
        websockets.connect(SOCKET, max_queue=None, compression=None) as socket,
    ):
        print("up", flush=True)
        await Loop(socket, session).run()


uvloop.run(main())
