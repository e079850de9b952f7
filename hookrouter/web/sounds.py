"""Recordings and spoken texts, piece by piece: of any Asterisk, through the router that owns it, and from any router's folder.

Rule: only `MOST_DOWNLOADS` are passed on at a time, whoever asks.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from hookrouter.cluster.peers import Asked
from hookrouter.http.streaming import Download
from hookrouter.web.guard import access_of
from hookrouter.web.passing import asked_of, not_here, passed
from hookrouter.web.problems import problem
from hookrouter.web.streamed import Streamed

if TYPE_CHECKING:
    from hookrouter.web.app import Router

_FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}  # one text, one name
MOST_DOWNLOADS = 8
"""Recordings that are passed on at a time."""


class _Passing:
    """How many are."""

    def __init__(self) -> None:
        self.count = 0

    @property
    def full(self) -> bool:
        return self.count >= MOST_DOWNLOADS

    def answer(self, found: Download, kind: str, headers: dict[str, str]) -> Response:
        """What is there, which is counted until it is over."""
        self.count += 1

        async def closed() -> None:
            self.count -= 1
            await found.close()

        length = found.headers.get("content-length", "")
        headers = headers | ({"content-length": length} if length.isdigit() else {})
        return Streamed(found.pieces(), closed, media_type=kind, headers=headers)


def sound_routes(router: Router) -> list[Route]:
    passing = _Passing()

    async def recording(request: Request) -> Response:
        if passing.full:
            why = f"{MOST_DOWNLOADS} are being passed on already: try again"
            return problem(503, "Too many recordings", why, retry_after=5)
        passing.count += 1
        try:
            found = await _recording(router, request)
        finally:
            passing.count -= 1
        if not isinstance(found, Download):
            return found
        kind = found.headers.get("content-type", "")
        return passing.answer(found, kind if re.fullmatch(r"audio/[\w.+-]+", kind) else "application/octet-stream", {})

    async def spoken(request: Request) -> Response:
        name = request.path_params["name"]
        if (path := router.spoken(name)) is not None:
            return FileResponse(path, media_type="audio/wav", headers=_FOR_EVER)
        if passed(request) or passing.full or not router.speaks(name):
            return problem(404, "No such sound")
        passing.count += 1
        try:
            found, _ = await router.peers.fetch(router.peers.all(), Asked("GET", f"/speech/{name}"))
        finally:
            passing.count -= 1
        if found is not None and found.status == 200:
            return passing.answer(found, "audio/wav", _FOR_EVER)
        if found is not None:
            await found.close()
        return problem(404, "No such sound")

    return [Route("/v1/recordings/{name:path}", recording), Route("/speech/{name}", spoken)]


async def _recording(router: Router, request: Request) -> Download | Response:
    """Of an Asterisk of ours, else of one of another router's."""
    name, asterisk = request.path_params["name"], request.query_params.get("asterisk", "")
    found = await router.recording(asterisk, name, access_of(request))
    if not isinstance(found, int):
        return found
    silent: list[str] = []
    if not passed(request) and asterisk not in router.owned():
        known = asterisk if asterisk in router.asterisks() else ""
        there, silent = await router.peers.fetch(router.peers.owning(known), await asked_of(request))
        if there is not None and there.status == 200:
            return there
        if there is not None:
            await there.close()
            found = there.status
    if silent:
        return not_here(router.peers.owners(), silent)
    return problem(found, "No recording", f"Asterisk has no stored recording `{name}` (status {found})")


__all__ = ["MOST_DOWNLOADS", "sound_routes"]
