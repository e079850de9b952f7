"""Whether this machine reaches an Asterisk now."""

from __future__ import annotations

import httpx

from hookrouter.ari.reasons import basic
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.http.client import Http, TooLarge

_TIMEOUT = 0.5


async def reaches(settings: AsteriskSettings, http: Http) -> bool:
    """Whether its REST interface answers the user of routes.toml, within half a second.

    Source: `asterisk.ping` of Asterisk's REST interface.
    """
    auth = basic(settings.username, settings.password)
    url = f"{settings.url.rstrip('/')}/ari/asterisk/ping"
    try:
        reply = await http.send("GET", url, [auth], b"", timeout=_TIMEOUT, limit=4096, trust=settings.trust)
    except (httpx.TransportError, TooLarge):
        return False
    return reply.status == 200


__all__ = ["reaches"]
