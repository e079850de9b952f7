"""`POST /v1/listen`: events of live calls to who asks for them, and `POST /v1/listen/{id}/{number}`: their answers.

Rule: both change what happens in calls, and so are POST: the guard keeps them from tokens that may only look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hookrouter.web.guard import access_of, holds_of
from hookrouter.web.problems import problem
from hookrouter.web.streamed import Streamed

if TYPE_CHECKING:
    from hookrouter.web.app import Router


def listening_routes(router: Router) -> list[Route]:
    async def listen(request: Request) -> Response:
        try:
            ear: Any = router.listening.add(await request.body(), access_of(request), holds_of(request))
        except ValueError as error:
            return problem(422, "Bad request", str(error))
        if ear is None:
            return problem(503, "Too many listen", "others listen already: end one, and try again", retry_after=10)

        async def gone() -> None:
            router.listening.remove(ear)

        return Streamed.events(ear.stream(), gone)

    async def answered(request: Request) -> Response:
        id, given = request.path_params["id"], request.path_params["number"]
        number = int(given) if given.isascii() and given.isdigit() and len(given) < 18 else 0
        body = await request.body()
        try:
            known = router.listening.answer(id, number, access_of(request), dict(request.query_params), body)
        except ValueError as error:
            return problem(422, "Bad answer", str(error))
        gone = "nobody waits for this answer any more: it came too late, or the call is over"
        return Response(status_code=204) if known else problem(404, "Too late", gone)

    return [
        Route("/v1/listen", listen, methods=["POST"]),
        Route("/v1/listen/{id}/{number}", answered, methods=["POST"]),
    ]


__all__ = ["listening_routes"]
