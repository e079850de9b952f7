"""The other routers, asked over HTTP: one of them, or all at once.

Rules:
- Only addresses that the database names are asked: those of owners, and of routers that run.
- What is asked is marked with `PASSED`: who gets it answers for itself alone, so that nothing goes round.
- What was shown here to be let in is shown there too, and the other router decides itself what that opens.
- One that has not answered for a moment is asked whether it is there at all: who is cut off is not waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

import httpx
import msgspec

from hookrouter.cluster.terms import Lease, Peer
from hookrouter.http.client import NOT_SENT, Http, HttpReply, TooLarge
from hookrouter.http.streaming import Download

PASSED = "hookrouter-passed"
_TIMEOUT = 5.0
_SOON = 0.3  # seconds in which nearly every answer comes
_THERE = 0.4  # and that of one that is there
_LIMIT = 32 * 1024 * 1024

T = TypeVar("T")
Found = TypeVar("Found", HttpReply, Download)


class Asked(msgspec.Struct, frozen=True):
    """What a router is asked. `target`: path and query, as they go over the line; `mark`: with which it is marked."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    mark: str = "1"

    @property
    def lines(self) -> list[tuple[str, str]]:
        """All headers that go with it."""
        return [*self.headers, (PASSED, self.mark)]


class Silent(msgspec.Struct, frozen=True):
    """No answer came. `unsent`: it has surely not got the request."""

    unsent: bool = False


class Peers:
    """`owners`: what other routers own or have owned last; `running`: those that run; both as far as is known.

    `shared`: whether there can be others at all; `streams`: for what is too large to hold, or goes on.
    """

    def __init__(
        self, http: Http, streams: Http, owners: Callable[[], Sequence[Lease]], running: Callable[[], Sequence[Peer]],
        *, shared: bool,
    ) -> None:  # fmt: skip
        self._http, self._streams = http, streams
        self.owners, self.running, self.shared = owners, running, shared

    def owning(self, entry: str = "") -> list[Peer]:
        """Who owns something, or had it last; `entry`: only that."""
        found = (Peer(lease.name, lease.address) for lease in self.owners() if entry in ("", lease.entry))
        return list(dict.fromkeys(found))

    def all(self) -> list[Peer]:
        """Who owns something now, or runs."""
        holding = (Peer(lease.name, lease.address) for lease in self.owners() if not lease.over)
        return list(dict.fromkeys([*self.running(), *holding]))

    # ---- asking

    async def ask(self, peer: Peer, asked: Asked, timeout: float = _TIMEOUT) -> HttpReply | Silent:
        if not peer.address:
            return Silent(unsent=True)
        sending = self._http.send(
            asked.method, peer.address + asked.target, asked.lines, asked.body,
            timeout=timeout, limit=_LIMIT,
        )  # fmt: skip
        return await self._patiently(peer, sending)

    async def ask_all(self, peers: Iterable[Peer], asked: Asked) -> list[tuple[Peer, HttpReply | Silent]]:
        """Each one's answer, all asked at once."""
        known = list(peers)
        return list(zip(known, await asyncio.gather(*(self.ask(peer, asked) for peer in known)), strict=True))

    async def first(self, peers: Iterable[Peer], asked: Asked) -> tuple[HttpReply | None, list[str]]:
        """The first answer of one that has it, all asked at once; and the names of those that are silent.

        404: it has not got it; from 500 on: it cannot tell.
        """
        reply, _, silent = await _first(peers, lambda peer: self.ask(peer, asked))
        return reply, silent

    async def holder(self, peers: Iterable[Peer], asked: Asked) -> tuple[Peer | None, list[str]]:
        """Who has it: the first that says so."""
        _, peer, silent = await _first(peers, lambda peer: self.ask(peer, asked))
        return peer, silent

    async def fetch(self, peers: Iterable[Peer], asked: Asked) -> tuple[Download | None, list[str]]:
        """Likewise, what is too large to hold. It is to be closed."""

        async def fetched(peer: Peer) -> Download | Silent:
            return await self._patiently(peer, self.open(peer, asked)) if peer.address else Silent(unsent=True)

        found, _, silent = await _first(peers, fetched)
        return found, silent

    async def open(self, peer: Peer, asked: Asked) -> Download:
        """The answer piece by piece, to be closed. Raises httpx.TransportError."""
        return await self._streams.download(peer.address + asked.target, asked.lines)

    async def _patiently(self, peer: Peer, asking: Awaitable[T]) -> T | Silent:
        sending = asyncio.ensure_future(asking)
        try:
            await asyncio.wait({sending}, timeout=_SOON)
            if not sending.done() and not await self._is_there(peer.address):
                sending.cancel()
            (found,) = await asyncio.gather(sending, return_exceptions=True)
        finally:
            sending.cancel()
        if isinstance(found, httpx.TransportError | httpx.InvalidURL | TooLarge | asyncio.CancelledError):
            return Silent(unsent=isinstance(found, NOT_SENT))
        if isinstance(found, BaseException):
            raise found
        return found

    async def _is_there(self, address: str) -> bool:
        try:
            found = await self._http.send("GET", f"{address}/healthz", [], b"", timeout=_THERE, limit=_LIMIT)
        except (httpx.TransportError, TooLarge):
            return False
        return found.status == 200


async def _first(
    peers: Iterable[Peer], asking: Callable[[Peer], Awaitable[Found | Silent]]
) -> tuple[Found | None, Peer | None, list[str]]:
    """What one of them has, who that is, and who is silent."""
    tasks = {asyncio.ensure_future(asking(peer)): peer for peer in peers}
    waiting, silent = set(tasks), list[str]()
    best: Found | None = None
    holder: Peer | None = None
    try:
        while waiting and best is None:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                found = task.result()
                if isinstance(found, Silent) or found.status >= 500:
                    silent.append(tasks[task].name)
                elif found.status != 404 and best is None:
                    best, holder = found, tasks[task]
    finally:
        for task in waiting:
            task.cancel()
        for left in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(left, Download) and left is not best:
                await left.close()
    return best, holder, sorted(silent)


__all__ = ["PASSED", "Asked", "Peers", "Silent"]
