"""`GET /v1/events`: facts as server-sent events, to a few listeners, each with a bounded queue.

Rules: a listener that reads too slowly misses facts, and is told how many; it costs nobody else anything. `end` never waits.
What has opened one (a session) may end before it does: then it hears nothing more. Routers that listen to each other have
places of their own.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Sequence

import msgspec

from hookrouter.config import ALL, Access

MOST = 32
HEARTBEAT = 15.0
_MOST_LINES = 1000
_MOST_BYTES = 512 * 1024


class Listener:
    """What one of them has not read yet. `peer`: it is another router."""

    def __init__(self, access: Access = ALL, holds: Callable[[], bool] = lambda: True, *, peer: bool = False) -> None:
        self.access = access
        self.holds = holds
        self.peer = peer
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._missed = 0
        self._silent: Sequence[str] = ()
        self._told_silent: Sequence[str] = ()
        self._ended = False
        self._last = b""
        self._changed = asyncio.Event()

    def put(self, line: bytes) -> bool:
        """One fact as JSON; whether there was room for it."""
        if self._ended or len(self._lines) >= _MOST_LINES or self._size + len(line) > _MOST_BYTES:
            self._missed += 1
            return False
        self._lines.append(line)
        self._size += len(line)
        self._changed.set()
        return True

    def miss(self, many: int) -> None:
        """So many facts did not come as far as here."""
        self._missed += many
        self._changed.set()

    def without(self, silent: Sequence[str]) -> None:
        """From now on what happens at these routers does not come."""
        self._silent = tuple(silent)
        self._changed.set()

    def end(self, last: bytes = b"") -> None:
        """What waits is not told any more, only `last`."""
        self._ended, self._last = True, last
        self._changed.set()

    async def stream(self, heartbeat: float = HEARTBEAT) -> AsyncIterator[bytes]:
        """Server-sent events; a comment every `heartbeat` seconds keeps proxies awake, and finds who is gone."""
        yield b": hookrouter\n\n"
        while not self._ended and self.holds():
            self._changed.clear()
            while self._lines and not self._ended:
                line = self._lines.popleft()
                self._size -= len(line)
                yield b"data: " + line + b"\n\n"
            if self._missed:
                missed, self._missed = self._missed, 0
                yield b"event: missed\ndata: %d\n\n" % missed
            if self._silent != self._told_silent:
                self._told_silent = self._silent
                yield b"event: silent\ndata: %s\n\n" % msgspec.json.encode(self._silent)
            if self._lines or self._ended:
                continue
            try:
                async with asyncio.timeout(heartbeat):
                    await self._changed.wait()
            except TimeoutError:
                yield b": still here\n\n"
        if self._last:
            yield b"data: " + self._last + b"\n\n"


class Listeners:
    """Those of one router. `listen` begins to hand facts to `put`, and returns what ends that: only while somebody is there."""

    def __init__(self, listen: Callable[[], Callable[[], None]]) -> None:
        self._all: set[Listener] = set()
        self._listen = listen
        self._end_listening: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._all)

    def add(
        self, access: Access = ALL, holds: Callable[[], bool] = lambda: True, *, peer: bool = False
    ) -> Listener | None:
        """A new one, who gets what `access` opens while that `holds`; None: there are `MOST`. `remove` it in the end."""
        if sum(listener.peer is peer for listener in self._all) >= MOST:
            return None
        if not self._all:
            self._end_listening = self._listen()
        listener = Listener(access, holds, peer=peer)
        self._all.add(listener)
        return listener

    def remove(self, listener: Listener) -> None:
        self._all.discard(listener)
        if not self._all:
            self._end_listening()
            self._end_listening = lambda: None

    def put(self, line: bytes, tenant: Callable[[], str | None] = lambda: None) -> None:
        """`tenant`: whose it is, asked for where that matters; None: nobody's, for who sees all."""
        for listener in self._all:
            if listener.access.tenant is None or listener.access.tenant == tenant():
                listener.put(line)

    def look_again(self) -> None:
        """Something that had opened listeners has ended."""
        for listener in self._all:
            if not listener.holds():
                listener.end()

    def end(self) -> None:
        for listener in self._all:
            listener.end()
