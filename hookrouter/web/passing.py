"""A request for a call of another router's is passed on to it; where that cannot be, the answer says whose it may be.

Rules: only what is not here is passed on, and only once: who gets such a request answers it. What the sender shows to be
let in goes with it: all routers know the same tokens. An owner that has not answered for a moment is asked whether it is there
at all: who is cut off is not waited for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import httpx
from starlette.requests import Request
from starlette.responses import Response

from hookrouter.cluster.terms import Lease
from hookrouter.errors import NotHere
from hookrouter.http.client import Http, HttpReply, TooLarge
from hookrouter.web.problems import problem

PASSED = "hookrouter-passed"
_KEPT = ("authorization", "content-type", "accept")
_TIMEOUT = 5.0
_SOON = 0.3  # seconds in which nearly every answer comes
_THERE = 0.4  # and that of one that is there
_LIMIT = 32 * 1024 * 1024

Handler = Callable[[Request], Awaitable[Response]]


class Here(Protocol):
    """The router, as far as this needs it."""

    http: Http

    def others(self) -> Sequence[Lease]:
        """What other routers own or have owned last, as far as is known."""
        ...


def passing(router: Here, handler: Handler) -> Handler:
    """The handler, with what it does not find asked of the routers that own something."""

    async def handle(request: Request) -> Response:
        try:
            answer: Response | None = await handler(request)
        except NotHere:
            answer = None
        if answer is not None and answer.status_code != 404:
            return answer
        others = [] if PASSED in request.headers else list(router.others())
        silent = []
        for address, name in {lease.address: lease.name for lease in others}.items():
            reply = await _asked(router.http, address, request) if address else None
            if reply is None or reply.status >= 500:
                silent.append(name)
            elif reply.status != 404:
                kind = reply.headers.get("content-type", "application/json")
                return Response(reply.body, reply.status, media_type=kind)
        if silent or answer is None:
            return _not_here(others, silent)
        return answer

    return handle


async def _asked(http: Http, address: str, request: Request) -> HttpReply | None:
    query = f"?{request.url.query}" if request.url.query else ""
    headers = [(name, request.headers[name]) for name in _KEPT if name in request.headers]
    asked = http.send(
        request.method, f"{address}{request.url.path}{query}", [*headers, (PASSED, "1")], await request.body(),
        timeout=_TIMEOUT, limit=_LIMIT,
    )  # fmt: skip
    sending = asyncio.ensure_future(asked)
    try:
        await asyncio.wait({sending}, timeout=_SOON)
        if not sending.done() and not await _is_there(http, address):
            sending.cancel()
        (found,) = await asyncio.gather(sending, return_exceptions=True)
    finally:
        sending.cancel()
    if isinstance(found, httpx.TransportError | TooLarge | asyncio.CancelledError):
        return None
    if isinstance(found, BaseException):
        raise found
    return found


async def _is_there(http: Http, address: str) -> bool:
    try:
        return (await http.send("GET", f"{address}/healthz", [], b"", timeout=_THERE, limit=_LIMIT)).status == 200
    except (httpx.TransportError, TooLarge):
        return False


def _not_here(others: Sequence[Lease], silent: Sequence[str]) -> Response:
    """503: it may be another router's."""
    owners = [{"asterisk": x.entry, "router": x.name, "address": x.address} for x in others]
    said = ", ".join(f"[asterisk.{x.entry}] is {x.name}'s" + (f" ({x.address})" if x.address else "") for x in others)
    why = f"; {', '.join(silent)} does not answer, or has no `address` in [cluster]" if silent else ""
    detail = f"another router may have it: {said or 'nobody owns one now'}{why}"
    return problem(503, "Not here", detail, retry_after=1, owners=owners)


__all__ = ["passing"]
