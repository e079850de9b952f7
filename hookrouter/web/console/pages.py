"""Which page is at which address; now, and the list of calls.

Rules: a page shows what the token may see; what changes something is a POST to the page's own address, which `guard` refuses
to tokens that may only look, and whose button they do not have.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from hookrouter.cluster.peers import Asked
from hookrouter.web.console.call import call_form, call_page
from hookrouter.web.console.render import render
from hookrouter.web.console.working import (
    deliveries_form,
    deliveries_page,
    logs_page,
    route_form,
    route_page,
    routes_page,
)
from hookrouter.web.guard import access_of, shown_of
from hookrouter.web.passing import passing

if TYPE_CHECKING:
    from hookrouter.web.app import Router

_CALLS_SHOWN = 50
Session = Callable[[Request], bool]


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form; of those of one name the last. None of a form that has too many."""
    try:
        given = parse_qs((await request.body()).decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=500)
    except ValueError:  # too many fields
        return {}
    return {name: values[-1] for name, values in given.items()}


def console_routes(router: Router, session: Session) -> list[Route]:
    """`session`: whether a request has one that can be ended."""

    async def now(request: Request) -> Response:
        found = await router.console.everywhere(access_of(request), asked_now(request))
        return render("now.html", page="Now", live=2000, session=session(request), now=found)

    async def calls(request: Request) -> Response:
        query = {name: value for name, value in request.query_params.items() if value}
        return await _calls(router, request, query, session(request))

    async def call(request: Request) -> Response:
        if request.method == "POST":
            return await call_form(
                router, request, access_of(request), await form_of(request), session=session(request)
            )
        return await call_page(router, request, access_of(request), session=session(request))

    async def here(request: Request) -> bool:
        return bool(await router.console.here(request.path_params["id"], access_of(request)))

    def absent(request: Request, silent: list[str]) -> Response:
        who = f"{', '.join(silent)}, which does not answer"
        what = f"the call `{request.path_params['id']}` may be with {who}: try again in some seconds"
        return render("missing.html", 503, page="Calls", live=2000, session=session(request), what=what)

    async def deliveries(request: Request) -> Response:
        page = deliveries_form if request.method == "POST" else deliveries_page
        return await page(router, request, session=session(request))

    async def routes(request: Request) -> Response:
        return await routes_page(router, request, session=session(request))

    async def route(request: Request) -> Response:
        if request.method == "POST":
            form = await form_of(request)
            return await route_form(router, request, form, access_of(request), session=session(request))
        return await route_page(router, request, session=session(request))

    async def logs(request: Request) -> Response:
        return await logs_page(router, request, session=session(request))

    return [
        Route("/", now),
        Route("/calls", calls),
        Route("/calls/{id:path}", passing(router, call, here=here, absent=absent), methods=["GET", "POST"]),
        Route("/deliveries", deliveries, methods=["GET", "POST"]),
        Route("/routes", routes),
        Route("/routes/{name:path}", route, methods=["GET", "POST"]),
        Route("/logs", logs),
    ]


def asked_now(request: Request) -> Asked:
    """The question to another router how it goes there."""
    return Asked("GET", "/v1/now", shown_of(request))


async def _calls(router: Router, request: Request, query: dict[str, str], session: bool) -> Response:
    access, fault, found = access_of(request), "", list[dict[str, Any]]()
    try:
        found = await router.find_calls({**query, "limit": str(_CALLS_SHOWN + 1)}, access)
    except ValueError as error:
        fault = str(error)
    more = len(found) > _CALLS_SHOWN
    found = found[:_CALLS_SHOWN]
    following = f"/calls?{urlencode({**query, 'before': found[-1]['row']})}" if more else ""
    names = [route.name for route, _, _ in router.console.routes(access)]
    return render(
        "calls.html", 422 if fault else 200, page="Calls", live=0 if "before" in query or fault else 3000, session=session,
        query=query, calls=found, next=following, fault=fault, routes=names, at=router.console.clock(),
        several=len(router.asterisks()) > 1,
    )  # fmt: skip


__all__ = ["asked_now", "console_routes", "form_of"]
