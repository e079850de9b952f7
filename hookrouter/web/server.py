"""uvicorn as a part of somebody else's program: no signal handlers, a word when it is up, and asleep while nothing comes.

Rules:
- uvicorn's own loop wakes ten times a second, in an idle router the better part of its CPU; this one wakes once, for the
  `Date` of the answers.
- What a proxy says of where a request comes from is not believed (uvicorn believes one on this machine).
- Connections have the bounds of `front`, and take at most a quarter of the process's descriptors.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn

from hookrouter.http.trust import renew, server_context
from hookrouter.web.front import MOST, Front, Socket
from hookrouter.web.secure import Refused, SecureListener


def _unheard(reason: str, address: str, detail: str = "") -> None:
    """Nobody wants to know."""


def _not_told_otherwise(record: logging.LogRecord) -> bool:
    """uvicorn would log a line for each handshake that is refused; `auth.refused` tells of them, and has a bound."""
    return "without completing handshake" not in str(record.msg)


class Server(uvicorn.Server):
    """`await serve([socket])` in a task of its own, `await is_up.wait()`, and in the end `end()`."""

    def __init__(
        self, app: Any, refused: Refused = _unheard, tls: tuple[str, str] | None = None, **settings: Any
    ) -> None:
        """`refused` is told of what was over a bound; `tls`: paths of certificate and key; `settings` are uvicorn's.

        Raises OSError, ValueError where the certificate cannot be used.
        """
        self._refused = refused
        self._paths = tls
        self._context = None if tls is None else server_context(*tls)
        self._front = Front(most_connections(), refused)
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", proxy_headers=False, server_header=False, backlog=128,
            http=self._front.protocol, **{"ws": Socket, **settings},
        )  # fmt: skip
        super().__init__(config)
        logging.getLogger("uvicorn.error").addFilter(_not_told_otherwise)
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

    def renew(self) -> None:
        """Takes up a renewed certificate, for the connections to come. Raises OSError, ValueError: the old one stays."""
        if self._paths is not None and self._context is not None:
            renew(self._context, *self._paths)

    async def startup(self, sockets: Any = None) -> None:
        if self._context is None:
            await super().startup(sockets)
        else:
            assert sockets
            listeners: Any = [SecureListener(each, self._connection, self._context, self._refused) for each in sockets]
            self.servers = listeners
            self.started = True
        self.is_up.set()

    def _connection(self) -> asyncio.Protocol:
        made: asyncio.Protocol = self._front.protocol(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=None
        )
        return made

    async def shutdown(self, sockets: Any = None) -> None:
        """uvicorn's; and who does not end by then is cut."""
        try:
            await super().shutdown(sockets)
        finally:
            self._front.end()

    async def main_loop(self) -> None:
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._ending.wait()


def most_connections() -> int:
    """How many leave enough descriptors for calls: each needs some, to its endpoints and for what it says."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return MOST
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST if soft == resource.RLIM_INFINITY else max(16, min(MOST, soft // 4))


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
