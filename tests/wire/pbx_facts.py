"""What the tests of both PBXes share: waiting for an event, and a call that is up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from rig.pbx import Caller, Pbx

Event = dict[str, Any]


async def until(app: Pbx, fits: Callable[[Event], bool], count: int = 1, timeout: float = 10.0) -> Event:
    """The `count`-th event that fits. Raises TimeoutError with what came instead."""

    def found() -> list[Event]:
        return [event for event in app.events if fits(event)]

    try:
        async with asyncio.timeout(timeout), app.changed:
            await app.changed.wait_for(lambda: len(found()) >= count)
    except TimeoutError:
        raise TimeoutError(f"it did not come; came: {[event['type'] for event in app.events]}") from None
    return found()[count - 1]


async def playback(app: Pbx, type: str, id: str) -> Event:
    return await until(app, lambda event: event["type"] == type and event["playback"]["id"] == id)


async def recording(app: Pbx, type: str, name: str) -> Event:
    return await until(app, lambda event: event["type"] == type and event["recording"]["name"] == name)


async def start(app: Pbx, id: str) -> Event:
    return await app.event("StasisStart", id)


async def call_up(pbx: Pbx, app: Pbx, **more: Any) -> Caller:
    """A caller in `app`, answered."""
    caller = await pbx.call(app.hand, **more)
    await start(app, caller.id)
    assert (await app.ari("POST", f"channels/{caller.id}/answer"))[0] == 204
    await caller.answered()
    return caller


def types(app: Pbx, *ids: str) -> list[str]:
    """The types of the events about these channels, in order."""
    return [event["type"] for event in app.events if event.get("channel", {}).get("id") in ids]


def shape(value: Any) -> Any:
    """A value's structure: the types of what is in it."""
    if isinstance(value, dict):
        return {key: shape(one) for key, one in value.items()}
    return type(value).__name__


async def not_found(app: Pbx, path: str) -> None:
    """Polls until it is 404: Asterisk forgets a playback a moment after it has said that it is finished."""
    async with asyncio.timeout(5):
        while (await app.ari("GET", path))[0] != 404:
            await asyncio.sleep(0.01)
