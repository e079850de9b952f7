"""Files of an Asterisk, which it gives out over HTTP alone."""

from __future__ import annotations

from urllib.parse import quote

import httpx
import msgspec

from hookrouter.ari.performing import Reply
from hookrouter.ari.recorded import seconds_of
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.http.client import Http
from hookrouter.http.streaming import Download


class Downloads:
    """A part of the client of one Asterisk."""

    settings: AsteriskSettings
    _http: Http | None
    _base: str
    _auth: tuple[str, str]

    async def download(self, target: str) -> Download | int:
        """A file below /ari (a stored recording), to be closed; or the status of the answer. Needs HTTP."""
        if self._http is None:
            return 501
        try:
            found = await self._http.download(self._base + target, [self._auth], self.settings.trust)
        except httpx.TransportError:
            return 502
        if found.status == 200:
            return found
        await found.close()
        return found.status

    async def length(self, name: str, format: str) -> Reply:
        """200 and {"seconds": …} of a stored recording, by the head of its file's download; 404 where that does not tell."""
        found = await self.download(f"/recordings/stored/{quote(name, safe='')}/file")
        if isinstance(found, int):
            return Reply(404)
        await found.close()
        size = found.headers.get("content-length", "")
        seconds = seconds_of(format, int(size)) if size.isdigit() else None
        return Reply(404) if seconds is None else Reply(200, msgspec.json.encode({"seconds": seconds}))


__all__ = ["Downloads"]
