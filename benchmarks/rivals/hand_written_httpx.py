"""What a Python user writes in an afternoon: websockets and httpx, a task for each event; no order, no second try."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import httpx
import websockets

ARI, HOOK = os.environ["ARI"], os.environ["HOOK"]
WANTED = frozenset(filter(None, os.environ.get("WANTED", "").split(",")))
LIMITS = httpx.Limits(max_connections=200, max_keepalive_connections=200)


async def handle(event: dict[str, Any], hook: httpx.AsyncClient, ari: httpx.AsyncClient) -> None:
    answer = await hook.post(HOOK, json=event)
    for step in answer.json():
        channel = event["channel"]["id"]
        if step["action"] == "answer":
            await ari.post(f"/ari/channels/{channel}/answer")
        elif step["action"] == "hangup":
            await ari.delete(f"/ari/channels/{channel}")


async def main() -> None:
    url = ARI.replace("http", "ws", 1) + "/ari/events?app=hookrouter&api_key=hookrouter:hookrouter"
    tasks = set()
    async with (
        httpx.AsyncClient(limits=LIMITS, timeout=10) as hook,
        httpx.AsyncClient(base_url=ARI, auth=("hookrouter", "hookrouter"), limits=LIMITS, timeout=10) as ari,
        websockets.connect(url, max_queue=None) as socket,
    ):
        print("up", flush=True)
        async for message in socket:
            event = json.loads(message)
            if WANTED and event["type"] not in WANTED:
                continue
            task = asyncio.create_task(handle(event, hook, ari))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


asyncio.run(main())
