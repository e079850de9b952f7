"""What happens at the other routers, for those who listen here: their own `/v1/events`, while somebody does.

Rules:
- One stream from each router that runs, for each token that is listened with: what that may see there, that router decides.
- A stream that ends is opened again, and so is one of a router that turns up. Who listens is told which routers are silent.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import msgspec

from hookrouter.cluster.peers import Asked, Peers
from hookrouter.cluster.terms import LOOK, Peer
from hookrouter.web.listeners import Listener

PEER_HEARTBEAT = 1.0
_SILENCE = 3.0  # seconds without a word, not even that heartbeat
_OPENED = 1.0
_REFUSED = 5.0
"""Seconds until a router is asked again that has refused to tell."""
_MOST = 1024 * 1024  # bytes of one event

Shown = tuple[tuple[str, str], ...]


class Feeds:
    """Those of the router that is called `name`."""

    def __init__(self, peers: Peers, name: str) -> None:
        self._peers = peers
        self._own = b'"router":%s}' % msgspec.json.encode(name)
        self._of: dict[Shown, _Feed] = {}

    def __len__(self) -> int:
        return len(self._of)

    async def join(self, listener: Listener, shown: Shown) -> None:
        """From now on it gets what the others tell to who shows that; returns when each has been asked. `leave` in the end."""
        if not self._peers.shared:
            return
        feed = self._of.get(shown)
        if feed is None:
            feed = self._of[shown] = _Feed(self._peers, shown, self._own)
        feed.add(listener)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OPENED):
                await feed.begun.wait()

    def leave(self, listener: Listener, shown: Shown) -> None:
        feed = self._of.get(shown)
        if feed is not None and feed.remove(listener):
            del self._of[shown]

    async def stop(self) -> None:
        feeds, self._of = list(self._of.values()), {}
        for feed in feeds:
            feed.task.cancel()
        await asyncio.gather(*(feed.task for feed in feeds), return_exceptions=True)


class _Feed:
    """What one token gets to hear. `begun`: each router that there was has been asked."""

    def __init__(self, peers: Peers, shown: Shown, own: bytes) -> None:
        self._peers = peers
        self._own = own
        self._asked = Asked("GET", "/v1/events", shown)
        self._listeners: set[Listener] = set()
        self._silent: set[Peer] = set()
        self._unasked: set[Peer] = set()
        self.begun = asyncio.Event()
        self.task = asyncio.create_task(self._run(), name="feed")

    def add(self, listener: Listener) -> None:
        self._listeners.add(listener)
        listener.without(self._names())

    def remove(self, listener: Listener) -> bool:
        """Whether nobody is left, and it has ended."""
        self._listeners.discard(listener)
        if not self._listeners:
            self.task.cancel()
        return not self._listeners

    def _names(self) -> list[str]:
        return sorted(peer.name for peer in self._silent)

    async def _run(self) -> None:
        streams: dict[Peer, asyncio.Task[None]] = {}
        self._unasked = set(self._peers.all())
        try:
            while True:
                there = set(self._peers.all())
                for peer in streams.keys() - there:
                    streams.pop(peer).cancel()
                    self._heard(peer, silent=False)
                for peer in there - streams.keys():
                    streams[peer] = asyncio.create_task(self._follow(peer), name="feed")
                if not self._unasked & there:
                    self.begun.set()
                await asyncio.sleep(LOOK)
        finally:
            for task in streams.values():
                task.cancel()
            await asyncio.gather(*streams.values(), return_exceptions=True)

    async def _follow(self, peer: Peer) -> None:
        """For as long as the router is known."""
        while True:
            try:
                wait = await self._hear(peer)
            except (httpx.TransportError, httpx.InvalidURL, TimeoutError, ValueError):
                wait = LOOK
            self._heard(peer, silent=True)
            await asyncio.sleep(wait)

    async def _hear(self, peer: Peer) -> float:
        """Until it tells no more; seconds until it is to be asked again. Raises TransportError, TimeoutError, ValueError."""
        if not peer.address:
            return _REFUSED
        async with asyncio.timeout(_OPENED):
            found = await self._peers.open(peer, self._asked)
        try:
            if found.status != 200:
                return _REFUSED
            self._heard(peer, silent=False)
            pieces, rest = found.pieces(), b""
            while (piece := await _next(pieces)) is not None:
                *blocks, rest = (rest + piece).split(b"\n\n")
                if len(rest) > _MOST:
                    raise ValueError("one event has no end")
                for block in blocks:
                    self._tell(block)
        finally:
            await found.close()
        return LOOK

    def _tell(self, block: bytes) -> None:
        """One server-sent event of another router's."""
        if block.endswith(self._own):
            return  # an address of another router's leads to us
        if block.startswith(b"data: {"):
            for listener in self._listeners:
                listener.put(block.removeprefix(b"data: "))
        elif block.startswith(b"event: missed\ndata: "):
            many = int(block.removeprefix(b"event: missed\ndata: "))
            for listener in self._listeners:
                listener.miss(many)

    def _heard(self, peer: Peer, *, silent: bool) -> None:
        before = self._names()
        (self._silent.add if silent else self._silent.discard)(peer)
        self._unasked.discard(peer)
        if not self._unasked:
            self.begun.set()
        if (names := self._names()) != before:
            for listener in self._listeners:
                listener.without(names)


async def _next(pieces: AsyncIterator[bytes]) -> bytes | None:
    async with asyncio.timeout(_SILENCE):
        return await anext(pieces, None)


__all__ = ["PEER_HEARTBEAT", "Feeds"]
