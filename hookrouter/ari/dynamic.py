"""Asterisk's dynamic configuration: objects that it keeps in memory, where sorcery.conf has lines for it.

Source: Asterisk 22.10.1, on a running one (docs/asterisk.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from hookrouter.ari.reasons import basic
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.http.client import Http

_TIMEOUT = 3.0
_MOST = 64 * 1024
_MODULES = {"user": "res_ari", "outbound_websocket": "res_ari", "websocket_client": "res_websocket_client"}


class _Field(msgspec.Struct):
    attribute: str
    value: str


def sorcery_lines(kind: str) -> tuple[str, str]:
    """Of sorcery.conf, in the section of its module: Asterisk keeps such objects in memory, too, besides those of its file."""
    file = f"{_MODULES[kind].removeprefix('res_')}.conf"
    return f"{kind}=config,{file},criteria=type={kind}", f"{kind}=memory"


def object_path(kind: str, name: str) -> str:
    """Where an object (`user`, `outbound_websocket`, `websocket_client`) is, below /ari."""
    return f"/asterisk/config/dynamic/{_MODULES[kind]}/{kind}/{quote(name, safe='')}"


def object_body(fields: Mapping[str, str]) -> bytes:
    """What makes it, or changes it: each field that is not named gets its default."""
    return msgspec.json.encode({"fields": [_Field(key, value) for key, value in fields.items()]})


def object_fields(body: bytes) -> dict[str, str]:
    """The fields that Asterisk tells. Raises msgspec.DecodeError."""
    return {field.attribute: field.value for field in msgspec.json.decode(body, type=list[_Field])}


class Dynamic:
    """One Asterisk's, by the user of routes.toml. `auth`: that user."""

    def __init__(self, settings: AsteriskSettings, http: Http) -> None:
        self.auth = basic(settings.username, settings.password)
        self._http, self._trust = http, settings.trust
        self._base = settings.url.rstrip("/") + "/ari"

    async def ask(self, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
        """Status and body of a reply. Raises httpx.TransportError."""
        headers = [self.auth, *([("content-type", "application/json")] if body else [])]
        reply = await self._http.send(
            method, self._base + path, headers, body, timeout=_TIMEOUT, limit=_MOST, trust=self._trust
        )
        return reply.status, reply.body


__all__ = ["Dynamic", "object_body", "object_fields", "object_path", "sorcery_lines"]
