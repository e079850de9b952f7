"""The sockets by which an Asterisk comes to us, with `mode = "listen"` or `mode = "invite"`."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hmac
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from starlette.websockets import WebSocket, WebSocketDisconnect

from hookrouter.ari.events import Head
from hookrouter.ari.protocol import decode_message
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.web.guard import client_of
from hookrouter.web.problems import problem
from hookrouter.web.refusals import Refusals

_INTRODUCTION_SECONDS = 2.0
Serve = Callable[[Any], Awaitable[None]]


class Refused(msgspec.Struct, frozen=True):
    """Why a socket is not taken: a word for the metric, and what the operator can do."""

    reason: str
    detail: str


NOT_YET = Refused("not_invited", "nobody was invited yet")
"""An Asterisk that was another router's, or this one's when it ran before, may come before it is told anew."""


class SocketDuplex:
    """A starlette WebSocket as the ARI client wants it."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket
        self.ahead: list[bytes] = []  # read already, and not yet given to the client

    async def receive(self) -> bytes:
        """The next message of the socket. Raises ConnectionError when it has ended."""
        try:
            message = await self._socket.receive()
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError(str(error)) from None
        if message["type"] == "websocket.disconnect":
            raise ConnectionError(f"closed with code {message.get('code')}")
        text = message.get("text")
        return text.encode() if text is not None else message.get("bytes") or b""

    async def recv(self) -> bytes:
        """The next message. Raises ConnectionError when the socket has ended."""
        return self.ahead.pop(0) if self.ahead else await self.receive()

    async def send(self, data: bytes) -> None:
        """Sends one text message. Raises ConnectionError when the socket has ended."""
        try:
            await self._socket.send_text(data.decode())
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError(str(error)) from None

    async def close(self) -> None:
        try:
            await self._socket.close(1001)
        except (WebSocketDisconnect, RuntimeError):
            return  # it had ended already


def refusal(
    asterisks: Mapping[str, AsteriskSettings],
    name: str,
    credentials: tuple[str, str] | None,
    invited: tuple[str, str] | None = None,
) -> Refused | None:
    """Why a socket at `/ari/NAME` with this user and password is not taken; None: it is. `invited`: what it was told to show."""
    settings = asterisks.get(name)
    if settings is None:
        known = ", ".join(sorted(asterisks))
        return Refused("unknown_name", f"routes.toml has no [asterisk.NAME] by the name in the path; it has: {known}")
    place = f"[asterisk.{name}] of routes.toml"
    if credentials is None:
        return Refused("no_credentials", f"no user and password came with it; {place} has those to present")
    username, password = credentials
    if settings.mode == "invite":
        if invited is None:
            return NOT_YET
        right = hmac.compare_digest(":".join(credentials).encode(), ":".join(invited).encode())
        return None if right else Refused("not_invited", f"{place} has told Asterisk to show another user or password")
    right = hmac.compare_digest(password.encode(), settings.password.encode())
    if not hmac.compare_digest(username.encode(), settings.username.encode()):
        return Refused("wrong_username", f"`username` in websocket_client.conf is not the `username` of {place}")
    if not right:
        return Refused("wrong_password", f"`password` in websocket_client.conf is not the `password` of {place}")
    if settings.mode != "listen":
        return Refused("not_listening", f'{place} has mode = "connect": write mode = "listen", or remove this client')
    return None


class Host(Protocol):
    """Whom the sockets are for."""

    def inbound(self, name: str) -> Serve | None: ...
    def invited(self, name: str) -> tuple[str, str] | None: ...
    def inbound_refused(self, name: str, reason: str) -> None: ...


async def inbound(socket: WebSocket, asterisks: Mapping[str, AsteriskSettings], host: Host, refusals: Refusals) -> None:
    """Serves one socket until it ends."""
    name = socket.path_params["name"]
    why = refusal(asterisks, name, _credentials(socket), host.invited(name))
    if why is NOT_YET:
        await socket.send_denial_response(problem(503, "Nobody was invited"))
        return
    if why is None and "origin" in socket.headers and "sec-fetch-mode" in socket.headers:
        why = Refused("origin", "a browser's page opened it")
    if why is not None:
        slow = await _refuse(socket, host, refusals, name, why)
        await socket.send_denial_response(problem(401 if slow else 429, "Not allowed"))
        return
    settings = asterisks[name]
    served = host.inbound(name)
    if served is None:
        await socket.send_denial_response(problem(503, "Stopping"))
        return
    await socket.accept(subprotocol="ari" if "ari" in socket.scope.get("subprotocols", ()) else None)
    duplex = SocketDuplex(socket)
    try:
        apps = [] if settings.mode == "invite" else await _introduced(duplex, settings.apps)  # those that we have told
        if apps:
            names = f"{', '.join(apps)}, not {', '.join(settings.apps)}"
            detail = f"its `apps` in ari.conf are {names}; those of [asterisk.{name}] of routes.toml must be the same"
            await _refuse(socket, host, refusals, name, Refused("wrong_app", detail))
        else:
            await served(duplex)
    finally:
        await duplex.close()


async def _refuse(socket: WebSocket, host: Host, refusals: Refusals, name: str, why: Refused) -> bool:
    """Tells of it, and returns when the answer may go out; False: it is one of too many."""
    client = client_of(socket.scope)
    refusals.tell("ari", why.reason, client, socket.url.path, why.detail)
    host.inbound_refused(name, why.reason)
    return await refusals.slow_down(client)


async def _introduced(duplex: SocketDuplex, apps: Sequence[str]) -> list[str]:
    """The apps that Asterisk says this socket is for, where none of them is ours; empty: one is, or it says nothing.

    It says so first of all, and here nothing else is touched yet: a socket of another app must not take the place of one
    that works. Source: ast_ari_websocket_session, Asterisk 22.5.
    """
    others: list[str] = []
    with contextlib.suppress(TimeoutError, ConnectionError, msgspec.DecodeError, UnicodeDecodeError):
        async with asyncio.timeout(_INTRODUCTION_SECONDS):
            while True:
                raw = await duplex.receive()
                duplex.ahead.append(raw)
                message = decode_message(raw)
                if not isinstance(message, Head) or message.type != "ApplicationRegistered":
                    break
                if message.application in apps:
                    return []
                others.append(message.application)
    return others


def _credentials(socket: WebSocket) -> tuple[str, str] | None:
    """User and password, as Basic; None where there are none."""
    given = socket.headers.getlist("authorization")
    kind, _, secret = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    if kind.lower() != "basic":
        return None
    try:
        user, _, password = base64.b64decode(secret.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return user, password
