"""The floor for Python: the events of a call one after another over hookrouter's own HTTP client, and nothing else is done.

No journal, no signature, no retry, no log, no record. ARI, HOOK and WANTED (types, comma-separated) are set.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import msgspec
import uvloop
import websockets

from hookrouter.http.client import Http

HOOK = os.environ["HOOK"]
WANTED = frozenset(filter(None, os.environ.get("WANTED", "").split(",")))
SOCKET = os.environ["ARI"].replace("http", "ws", 1) + "/ari/events?app=hookrouter&api_key=hookrouter:hookrouter"
HEADERS = [("content-type", "application/json")]


class Channel(msgspec.Struct):
    id: str


class Received(msgspec.Struct):
    type: str
    channel: Channel | None = None
    request_id: str = ""


class Action(msgspec.Struct):
    action: str


class Loop:
    """One socket, one HTTP client, a queue for each call."""

    def __init__(self, socket: Any, http: Http) -> None:
        self.socket, self.http = socket, http
        self.waiting: dict[str, asyncio.Future[None]] = {}
        self.asked = 0
        self.calls: dict[str, list[bytes]] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    async def ask(self, method: bytes, uri: str) -> None:
        self.asked += 1
        id = str(self.asked)
        reply = self.waiting[id] = asyncio.get_running_loop().create_future()
        request = b'{"type":"RESTRequest","request_id":"%s","method":"%s","uri":"%s"}'
        await self.socket.send(request % (id.encode(), method, uri.encode()), text=True)
        await reply

    async def forward(self, id: str) -> None:
        """The events of one call until none is left."""
        queue = self.calls[id]
        while queue:
            answer = await self.http.send("POST", HOOK, HEADERS, queue[0], timeout=3.0, limit=2**18)
            for step in decode_actions(answer.body):
                if step.action == "answer":
                    await self.ask(b"POST", f"channels/{id}/answer")
                elif step.action == "hangup":
                    await self.ask(b"DELETE", f"channels/{id}")
            queue.pop(0)
        del self.calls[id]

    async def run(self) -> None:
        while True:
            raw = await self.socket.recv(decode=False)
            event = decode_event(raw)
            if event.type == "RESTResponse":
                self.waiting.pop(event.request_id).set_result(None)
            elif event.channel is not None and (not WANTED or event.type in WANTED):
                queue = self.calls.setdefault(event.channel.id, [])
                queue.append(raw)
                if len(queue) == 1:
                    task = asyncio.create_task(self.forward(event.channel.id))
                    self.tasks.add(task)
                    task.add_done_callback(self.tasks.discard)


decode_event = msgspec.json.Decoder(Received).decode
decode_actions = msgspec.json.Decoder(list[Action]).decode


async def main() -> None:
    async with websockets.connect(SOCKET, max_queue=None, compression=None) as socket:
        print("up", flush=True)
        await Loop(socket, Http()).run()


uvloop.run(main())
