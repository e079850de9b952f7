"""Mode `invite`: an Asterisk is told, by its dynamic configuration alone, to open its event socket to us.

Rules:
- Two objects in Asterisk's memory do it: a `websocket_client` with our address, and an `outbound_websocket` that leads our apps
  there. They are named after the app, so that the next router changes the same two. They stay when we go: Asterisk keeps calls
  and events for who comes next.
- Each invitation has a password of its own, by which we know who comes. As an object is another then, Asterisk leaves whom it was
  connected to, and comes as the local user that there is now: until an object changes it keeps the header of the last one.
- One that was pointed at another router, and does not come, may wait for ever in a handshake with a machine that stands
  still. Its socket is deleted and made anew then: that costs what Asterisk keeps for it, and calls of that moment, and so
  it is done for nothing else.
- Only a reload of res_ari makes Asterisk look at them.
Source: Asterisk 22.10.1, on a running one (docs/asterisk.md, tests/asterisk/test_invite.py).
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import quote

import httpx

from hookrouter.ari.dynamic import Dynamic, object_body, object_fields, object_path, sorcery_lines
from hookrouter.ari.reasons import no_answer, not_there, refusal
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.ari.versions import OUTBOUND_SOCKET
from hookrouter.http.client import Http

SORCERY = {
    "res_ari": (*sorcery_lines("user"), *sorcery_lines("outbound_websocket")),
    "res_websocket_client": sorcery_lines("websocket_client"),
}
"""Sections of sorcery.conf with their lines: Asterisk then keeps in memory what it is told, besides what its files say. The
users are for several routers (`hookrouter.ari.owner`).
"""

COME = 1.0
"""Seconds in which an Asterisk that was told to come has come: it takes some ms, or one `reconnect_interval`."""

_CLIENT = {
    "protocols": "ari", "connection_type": "persistent", "connection_timeout": "1000", "reconnect_interval": "300",
    "reconnect_attempts": "1",
}  # fmt: skip
_PLAIN = {"tls_enabled": "no"}


class NotInvited(Exception):
    """Asterisk was not told, or not all of it: `why` is the reason, and the remedy in words."""

    def __init__(self, why: tuple[str, str]) -> None:
        super().__init__(why[1])
        self.why = why


def invited_name(app: str) -> str:
    """What both objects are called: an app belongs to one socket, so that nobody else's have the same name."""
    return f"{app.replace(':', '_')}-invited"


class Invitation:
    """`address`: `ws://HOST:PORT` or `wss://…`, where Asterisk reaches us; asked before each invitation; it may raise OSError."""

    def __init__(self, settings: AsteriskSettings, http: Http, address: Callable[[], Awaitable[str]]) -> None:
        self.uri = ""
        self.sent = False  # Asterisk has it, as far as we know
        self.anothers = False  # Asterisk has another router's
        self.anew = False  # another client has taken the app: only a new socket of Asterisk's own gets it back
        self.elsewhere = False  # Asterisk was pointed at another address before, and has not been made anew since
        self._settings, self._address = settings, address
        self._dynamic = Dynamic(settings, http)
        self._name = invited_name(settings.apps[0])
        self._password = ""
        self._user = ""
        self._here = asyncio.Event()  # while a socket of Asterisk's is served; then `_visit` tells how it ends
        self._visit: asyncio.Future[tuple[str, str]]

    @property
    def credentials(self) -> tuple[str, str] | None:
        """What Asterisk shows us when it comes; None: nobody was invited yet, or the socket that comes would be a dead app's."""
        return (self._settings.username, self._password) if self._password and not self.anew else None

    async def look(self) -> tuple[str, str] | None:
        """Whether Asterisk still has what it was told: `sent` and `anothers` say so; why it may not be told again, or None."""
        self.anothers = False
        if not self.sent:
            return None
        try:
            found = await self._there()
        except NotInvited as error:
            return error.why
        self.sent = found is not None and found.get("password") == self._password
        self.anothers = found is not None and not self.sent
        return ("unavailable", "another router has invited this Asterisk to itself") if self.anothers else None

    async def visit(self, user: str) -> tuple[str, str]:
        """Has it come, if it was not told yet; why it did not, or why the socket ended that came of it."""
        try:
            if not self.sent or self.anew:
                await self.send(user)
            if not await self._comes() and self.elsewhere:
                await self.send_anew()
        except NotInvited as error:
            return error.why
        if not await self._comes():
            return "not_come", f"Asterisk was told to come to {self.uri}, and has not: does it reach that address?"
        return await asyncio.shield(self._visit)

    async def serve(self, serving: Awaitable[tuple[str, str]]) -> tuple[str, str]:
        """Asterisk is here, until that ends: why it did."""
        why = "closed", "by us"
        self._visit = asyncio.get_running_loop().create_future()
        self._here.set()
        try:
            why = await serving
        finally:
            self._here.clear()
            self._visit.set_result(why)
        return why

    async def _comes(self) -> bool:
        """Whether Asterisk is here, or is within a moment."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(COME):
                await self._here.wait()
        return self._here.is_set()

    async def send(self, user: str) -> None:
        """Has Asterisk come, and carry out what we ask for as this user of its. Raises NotInvited."""
        try:
            uri = f"{await self._address()}/ari/{quote(self._settings.name)}"
        except OSError as error:
            raise NotInvited(no_answer(error, self._settings.url)) from None
        former = await self._there()
        self.elsewhere = former is not None and former.get("uri") != uri
        self.uri, self._user, self._password = uri, user, secrets.token_urlsafe(24)
        who = {"uri": uri, "username": self._settings.username, "password": self._password}
        tls = {"tls_enabled": "yes", "ca_list_file": self._settings.advertise_ca} if uri.startswith("wss:") else _PLAIN
        await self._put("websocket_client", _CLIENT | who | tls)
        if self.anew:
            await self.send_anew()
        else:
            await self._socket()

    async def send_anew(self) -> None:
        """Has it come by a socket that is made anew. Raises NotInvited."""
        self.elsewhere = self.anew = False
        status, body = await self._ask("DELETE", object_path("outbound_websocket", self._name))
        if status not in (204, 404):
            raise NotInvited(self._refused("outbound_websocket", status, body))
        await self._reload()
        await self._socket()

    async def _socket(self) -> None:
        apps = ",".join(self._settings.apps)
        fields = {"websocket_client_id": self._name, "apps": apps, "local_ari_user": self._user, "subscribe_all": "no"}
        await self._put("outbound_websocket", fields)
        await self._reload()
        self.sent = True

    async def _there(self) -> dict[str, str] | None:
        status, body = await self._ask("GET", object_path("websocket_client", self._name))
        if status == 404:
            return None
        if status != 200:
            raise NotInvited(self._refused("websocket_client", status, body))
        return object_fields(body)

    async def _put(self, kind: str, fields: dict[str, str]) -> None:
        status, body = await self._ask("PUT", object_path(kind, self._name), object_body(fields))
        if status != 200:
            raise NotInvited(self._refused(kind, status, body))

    async def _reload(self) -> None:
        status, body = await self._ask("PUT", "/asterisk/modules/res_ari.so")
        if status != 204:
            raise NotInvited(self._refused("reload of res_ari.so", status, body))

    def _refused(self, what: str, status: int, body: bytes) -> tuple[str, str]:
        if status == 401 or status >= 500 or not_there(status, body):
            return refusal(status)
        said = body[:200].decode("utf-8", "replace")
        return "not_invited", (
            f"{what}: status {status}: {said}; mode invite needs {OUTBOUND_SOCKET}, and lines in "
            "its sorcery.conf, which `hookrouter setup` adds; then restart Asterisk"
        )

    async def _ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        try:
            return await self._dynamic.ask(method, path, body)
        except httpx.TransportError as error:
            raise NotInvited(no_answer(error, self._settings.url)) from None


__all__ = ["COME", "SORCERY", "Invitation", "NotInvited", "invited_name"]
