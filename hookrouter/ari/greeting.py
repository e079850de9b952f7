"""The first question on a new socket: who is there, and does it answer requests on its socket at all?

Rules: one that is too old for it says nothing, ever. Where it is slow to answer, HTTP is asked for its version, so that nobody waits
for such a one; where the version could answer, somebody else's filter may hold back the replies, and is replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from hookrouter.ari.operations import Request, build
from hookrouter.ari.reasons import info_of
from hookrouter.ari.versions import REQUESTS_ON_SOCKET, version_of
from hookrouter.ari.websocket import Link
from hookrouter.clock import Clock
from hookrouter.errors import AriFateUnknown, AriUnreachable

_PROBE_TIMEOUT = 2.0
_SOON = 0.25  # seconds, in which it usually has answered by far
_BOOT_DELAY = 0.1
_MOST_BOOTING = 300  # questions, while Asterisk is not ready yet
WHO = Request("asterisk.getInfo", {"only": ["status", "system"]})

Info = dict[str, Any]


class Greeting:
    """`over_http`: the same question by HTTP, once; None: there is no URL. `refilter`: sets our event filter."""

    def __init__(
        self, clock: Clock, over_http: Callable[[], Awaitable[Info]] | None, refilter: Callable[[], Awaitable[None]]
    ) -> None:
        self._clock, self._over_http, self._refilter = clock, over_http, refilter

    async def who(self, link: Link) -> tuple[Info, bool]:
        """Asterisk's info; and whether it answers on the socket. Raises AriUnreachable, AriFateUnknown."""
        asking = asyncio.create_task(self._info(link))
        try:
            await asyncio.wait({asking}, timeout=_SOON)
            if not asking.done() and (info := await self._of_an_old_one()) is not None:
                return info, False
            return await asking, True
        except AriFateUnknown:
            if not link.open:
                raise
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
        await self._refilter()
        try:
            return await self._info(link), True
        except AriFateUnknown:
            if not link.open or self._over_http is None:
                raise
            return await self._over_http(), False

    async def _of_an_old_one(self) -> Info | None:
        """What it tells by HTTP, if it is one that answers nothing on its socket."""
        if self._over_http is None:
            return None
        try:
            info = await self._over_http()
        except (AriUnreachable, AriFateUnknown):
            return None
        version = version_of(str((info.get("system") or {}).get("version", "")))
        return None if REQUESTS_ON_SOCKET.there(version) else info

    async def _info(self, link: Link) -> Info:
        """Over the socket, which Asterisk may have opened before it answers requests (503). Raises as `who`."""
        question = build(WHO)
        reply = await link.ask(question, _PROBE_TIMEOUT)
        for _ in range(_MOST_BOOTING):
            if reply.status != 503:
                break
            await self._clock.sleep(_BOOT_DELAY)
            reply = await link.ask(question, _PROBE_TIMEOUT)
        return info_of(reply)


__all__ = ["WHO", "Greeting"]
