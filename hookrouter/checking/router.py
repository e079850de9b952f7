"""Asks the router that runs by this configuration, if one does: whether it has each Asterisk."""

from __future__ import annotations

import httpx
import msgspec

from hookrouter.config import Server
from hookrouter.http.client import Http, TooLarge
from hookrouter.http.trust import SYSTEM, Trust

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


class _Ready(msgspec.Struct):
    asterisk: dict[str, str]


def address(server: Server) -> str:
    """Where this machine reaches it."""
    host = _ANYWHERE.get(server.host, server.host)
    return f"{server.scheme}://{f'[{host}]' if ':' in host else host}:{server.port}"


def itself(server: Server) -> Trust:
    """Our own certificate is all that is trusted, whatever name it is for: we ask by an address of this machine."""
    return Trust(server.certificate, pinned=True) if server.certificate else SYSTEM


async def running_router(server: Server, http: Http) -> dict[str, str] | None:
    """Asterisk → `connected`, or why not. None: no router answers at `server.listen`."""
    try:
        reply = await http.send(
            "GET", f"{address(server)}/readyz", [], b"", timeout=3, limit=2**16, trust=itself(server)
        )
        return msgspec.json.decode(reply.body, type=_Ready).asterisk
    except (httpx.TransportError, TooLarge, msgspec.DecodeError):
        return None
