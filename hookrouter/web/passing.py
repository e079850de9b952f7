"""A request for a call of another router's is passed on to it; where that cannot be, the answer says whose it may be.

Rules: only what is not here is passed on, and only once: who gets such a request answers it for itself. All that may have it
are asked at once, and where something is to be done, the one that has it. A new call is asked of one after another, and of no
further one where it may be under way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from hookrouter.cluster.peers import PASSED, Asked, Peers, Silent
from hookrouter.cluster.terms import Lease
from hookrouter.errors import NotHere
from hookrouter.http.client import HttpReply
from hookrouter.web.guard import by_session, shown_of
from hookrouter.web.origins import SAFE
from hookrouter.web.problems import problem

_KEPT = ("content-type", "accept")

Handler = Callable[[Request], Awaitable[Response]]


class Here(Protocol):
    """The router, as far as this needs it."""

    @property
    def peers(self) -> Peers: ...


def passed(request: Request) -> str:
    """Whether another router asks, which wants to know what is here alone; `session`: for who has one there.

    Anybody may say so: they see less.
    """
    return request.headers.get(PASSED, "")


async def asked_of(request: Request) -> Asked:
    """The same request, to another router."""
    query = f"?{request.url.query}" if request.url.query else ""
    path = request.scope["raw_path"].decode("ascii", "replace")
    kept = tuple((name, request.headers[name]) for name in _KEPT if name in request.headers)
    mark = "session" if by_session(request) else "1"
    return Asked(request.method, path + query, (*kept, *shown_of(request)), await request.body(), mark)


def passing(
    router: Here,
    handler: Handler,
    *,
    in_turn: bool = False,
    here: Callable[[Request], Awaitable[bool]] | None = None,
    absent: Callable[[Request, list[str]], Response] | None = None,
) -> Handler:
    """The handler, with what it does not find asked of the routers that own something. `in_turn`: what is not to be done twice.

    `here`: whether this router is the one to ask; where it is not, the others' answers go before its own. `absent`: what is
    said where those are silent that may have it.
    """

    async def handle(request: Request) -> Response:
        answer: Response | None = None
        own = here is None or not router.peers.shared or await here(request)
        if own:
            try:
                answer = await handler(request)
            except NotHere:
                pass
            if answer is not None and answer.status_code != 404:
                return answer
        if passed(request):
            return answer or (not_here([], []) if own else problem(404, "Not here"))
        reply, silent = await _elsewhere(router, request, in_turn=in_turn)
        if reply is not None:
            return reply
        if not own:
            answer = await handler(request)
        if answer is None or (answer.status_code == 404 and silent):
            return absent(request, silent) if absent is not None else not_here(router.peers.owners(), silent)
        return answer

    return handle


async def _elsewhere(router: Here, request: Request, *, in_turn: bool = False) -> tuple[Response | None, list[str]]:
    """What an owner answers, None: none has it; and the names of those that are silent."""
    peers, asked = router.peers.owning(), await asked_of(request)
    if not peers:
        return None, []
    if in_turn:
        found, silent = await _in_turn(router.peers, asked)
    elif request.method in SAFE or len(peers) == 1:
        found, silent = await router.peers.first(peers, asked)
    else:  # two Asterisks may have given one id: only one of the calls is acted on
        look = Asked("GET", f"/v1/calls/{quote(request.path_params['id'], safe='')}", shown_of(request))
        holder, silent = await router.peers.holder(peers, look)
        found, silent = await router.peers.first([holder], asked) if holder is not None else (None, silent)
    return as_it_came(found) if found is not None else None, silent


async def _in_turn(peers: Peers, asked: Asked) -> tuple[HttpReply | None, list[str]]:
    silent = []
    for peer in peers.owning():
        reply = await peers.ask(peer, asked)
        if isinstance(reply, Silent):
            silent.append(peer.name)
            if not reply.unsent:
                break
        elif reply.status not in (404, 503):  # 503: its Asterisk is another one's by now
            return reply, []
    return None, silent


async def told_to_all(router: Here, request: Request) -> list[str]:
    """What is for each router is done by the others, too; the names of those that do not answer."""
    if passed(request) or not router.peers.shared:
        return []
    replies = await router.peers.ask_all(router.peers.all(), await asked_of(request))
    return sorted(peer.name for peer, reply in replies if isinstance(reply, Silent) or reply.status >= 400)


def as_it_came(reply: HttpReply) -> Response:
    """What another router answered."""
    kept = {name: reply.headers[name] for name in ("retry-after",) if name in reply.headers}
    to = reply.headers.get("location", "")
    if to.startswith("/") and not to.startswith("//"):
        kept["location"] = to
    return Response(reply.body, reply.status, kept, media_type=reply.headers.get("content-type"))


def not_here(others: Sequence[Lease], silent: Sequence[str]) -> Response:
    """503: it may be another router's."""
    owners = [owner_of(lease) for lease in others]
    said = ", ".join(f"[asterisk.{x.entry}] is {x.name}'s" + (f" ({x.address})" if x.address else "") for x in others)
    why = f"; {', '.join(silent)} does not answer, or has no `address` in [cluster]" if silent else ""
    detail = f"another router may have it: {said or 'nobody owns one now'}{why}"
    return problem(503, "Not here", detail, retry_after=1, owners=owners)


def owner_of(lease: Lease) -> dict[str, str]:
    """Whose an Asterisk is, as answers name it."""
    return {"asterisk": lease.entry, "router": lease.name, "address": lease.address}


__all__ = ["as_it_came", "asked_of", "not_here", "owner_of", "passed", "passing", "told_to_all"]
