"""`/v1/cluster`: an Asterisk is handed over from the router that owns it to another one, which these say and take.

Rules: any router may be asked; it passes the request on to the owner, once. A tenant's token is for none of it.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hookrouter.cluster.peers import Silent
from hookrouter.cluster.terms import Peer
from hookrouter.errors import HandOverRefused, NotHere
from hookrouter.web.guard import access_of, shown_of
from hookrouter.web.passing import as_it_came, asked_of, not_here, passed
from hookrouter.web.problems import problem

if TYPE_CHECKING:
    from hookrouter.web.app import Router

_SECONDS = 25.0  # that a hand-over may take, at another router


class _To(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    to: str = ""


def cluster_routes(router: Router) -> list[Route]:
    def answering(handler: Callable[[Request, str], Awaitable[Any]]) -> Callable[[Request], Awaitable[Response]]:
        @functools.wraps(handler)
        async def answered(request: Request) -> Response:
            if access_of(request).tenant is not None:
                return problem(403, "Not allowed", "a tenant's token is for its calls alone")
            try:
                found = await handler(request, request.path_params["asterisk"])
            except HandOverRefused as error:
                return problem(error.status, "Not handed over", str(error))
            except (msgspec.MsgspecError, UnicodeDecodeError) as error:
                return problem(422, "Bad request", str(error))
            return found if isinstance(found, Response) else JSONResponse(msgspec.to_builtins(found))

        return answered

    async def look(request: Request, name: str) -> Any:
        return await router.handing.look(name)

    async def take(request: Request, name: str) -> Any:
        return await router.handing.take(name, await request.body())

    async def hand_over(request: Request, name: str) -> Any:
        to = msgspec.json.decode(await request.body() or b"{}", type=_To).to
        try:
            return await router.handing.hand_over(name, to, shown_of(request))
        except NotHere:
            return await _of_another(request, name)

    async def _of_another(request: Request, name: str) -> Response:
        owner = next((lease for lease in router.peers.owners() if lease.entry == name and not lease.over), None)
        if owner is None or passed(request):
            raise HandOverRefused(409, f"nobody owns [asterisk.{name}] at this moment: see `hookrouter cluster`")
        reply = await router.peers.ask(Peer(owner.name, owner.address), await asked_of(request), _SECONDS)
        return not_here([owner], [owner.name]) if isinstance(reply, Silent) else as_it_came(reply)

    return [
        Route("/v1/cluster/{asterisk}", answering(look)),
        Route("/v1/cluster/{asterisk}/hand-over", answering(hand_over), methods=["POST"]),
        Route("/v1/cluster/{asterisk}/take", answering(take), methods=["POST"]),
    ]


__all__ = ["cluster_routes"]
