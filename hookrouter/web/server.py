"""uvicorn as a part of somebody else's program: no signal handlers, a word when it is up, and asleep while nothing comes.

Rule: uvicorn's own loop wakes ten times a second, in an idle router the better part of its CPU; this one wakes once, for
the `Date` of the answers.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn


class Server(uvicorn.Server):
    """`await serve([socket])` in a task of its own, `await is_up.wait()`, and in the end `end()`."""

    def __init__(self, app: Any, **settings: Any) -> None:
        """`settings` are uvicorn's."""
        super().__init__(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", **settings))
        self.is_up = asyncio.Event()
        self._ending = asyncio.Event()

    def end(self) -> None:
        """No new connections; `serve` returns when those that are there have ended, or uvicorn's time is up."""
        self.should_exit = True
        self._ending.set()

    @property
    def port(self) -> int:
        return int(self.servers[0].sockets[0].getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self.is_up.set()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._ending.wait()


def bind(host: str, port: int) -> socket.socket:
    """A listening socket made for TCP by name: asyncio sets TCP_NODELAY only on such. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((host, port))
    except BaseException:
        bound.close()
        raise
    bound.setblocking(False)
    return bound


__all__ = ["Server", "bind"]
