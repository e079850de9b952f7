"""Accepts connections that have to begin with a TLS handshake; uvicorn's server has neither a short time nor a cap for it.

Rules: the handshake has `HANDSHAKE_SECONDS`, and few are under way at a time: the oldest one goes for a new one. Who speaks
plain HTTP is told so, and who cannot be agreed with is told of. Source: RFC 8446, 5.1 (the first byte of a handshake).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from typing import Protocol

from hookrouter.http.trust import refused_by_client

HANDSHAKE_SECONDS = 10.0
MOST_HANDSHAKES = 128
ENDED = (
    "the client ended the connection in the handshake, without a word: does it know the authority of our certificate, "
    "is that for the name that it asks for, and has it not expired?"
)
_HANDSHAKE = b"\x16"
_PAUSE = 0.1  # seconds, where no descriptor is left
_PLAIN = (
    b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\nconnection: close\r\ncontent-length: 86\r\n\r\n"
    b'{"title":"Refused","status":400,"detail":"this port speaks TLS: ask it by https:// "}\n'
)


class Refused(Protocol):
    """Is told of what was refused: a word for the metric, an address, and more where there is more to say."""

    def __call__(self, reason: str, address: str, detail: str = "") -> None: ...


class SecureListener:
    """What uvicorn wants of an asyncio server, for one listening socket."""

    def __init__(
        self,
        listening: socket.socket,
        make: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        refused: Refused,
    ) -> None:
        self.sockets = [listening]
        self._make = make
        self._context = context
        self._refused = refused
        self._handshakes: dict[asyncio.Task[None], str] = {}  # the oldest first
        listening.listen(MOST_HANDSHAKES)
        self._task = asyncio.create_task(self._accept(listening), name="accepting")

    def close(self) -> None:
        self._task.cancel()
        for task in self._handshakes:
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(self._task, *self._handshakes, return_exceptions=True)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(_PAUSE)
                continue
            if len(self._handshakes) >= MOST_HANDSHAKES:
                oldest = next(iter(self._handshakes))
                self._refused("too_many_handshakes", self._handshakes.pop(oldest))
                oldest.cancel()
            task = loop.create_task(self._take(connection, address[0]))
            self._handshakes[task] = address[0]
            task.add_done_callback(lambda done: self._handshakes.pop(done, None))

    async def _take(self, connection: socket.socket, address: str) -> None:
        taken, first = False, b""
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                first = await _first_byte(connection)
                if first == _HANDSHAKE:
                    await asyncio.get_running_loop().connect_accepted_socket(
                        self._make, connection, ssl=self._context, ssl_handshake_timeout=HANDSHAKE_SECONDS
                    )
                    taken = True
                    return
            if first:
                self._refused("plain_http_on_a_tls_port", address)
                with contextlib.suppress(OSError):
                    connection.recv(65536)  # so that closing does not take the answer back
                    connection.send(_PLAIN)
        except ssl.SSLError as error:
            self._refused("tls_handshake_failed", address, refused_by_client(error))
        except ConnectionResetError:
            if first:
                self._refused("tls_handshake_failed", address, ENDED)
        except (OSError, TimeoutError):  # ConnectionAbortedError: asyncio's own time was up
            self._refused("tls_handshake_too_slow", address)
        finally:
            if not taken:
                connection.close()


async def _first_byte(connection: socket.socket) -> bytes:
    """It stays where it is, for the handshake. Empty: the other side has closed."""
    loop = asyncio.get_running_loop()
    there = asyncio.Event()
    loop.add_reader(connection.fileno(), there.set)
    try:
        await there.wait()
    finally:
        loop.remove_reader(connection.fileno())
    return connection.recv(1, socket.MSG_PEEK)
