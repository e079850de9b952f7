"""The router's own HTTP: health, metrics, the control API, the pages, and the sockets by which Asterisk comes to us.

Rules: who may is decided in `guard`, before a handler runs. Errors are RFC 9457 problem details, each with what is wrong and
what to do. What can be large is streamed, and what can be many has a cap.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import (
    JSONResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
)
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket

from hookrouter.ari.settings import AsteriskSettings
from hookrouter.cluster.peers import Peers
from hookrouter.config import Access, Token
from hookrouter.errors import AnswerRefused, OverTheLimit, StoreError
from hookrouter.facts import Facts, Warned
from hookrouter.http.streaming import Download
from hookrouter.web import pages
from hookrouter.web.cluster import cluster_routes
from hookrouter.web.console.pages import asked_now, console_routes, form_of
from hookrouter.web.feeds import PEER_HEARTBEAT, Feeds
from hookrouter.web.guard import Guard, Keys, access_of, client_of, holds_of, is_secure, shown_of
from hookrouter.web.inbound import Serve, inbound
from hookrouter.web.listeners import HEARTBEAT, Listeners
from hookrouter.web.listening import listening_routes
from hookrouter.web.lists import live_calls
from hookrouter.web.passing import passed, passing, told_to_all
from hookrouter.web.problems import Protected, problem
from hookrouter.web.refusals import Refusals
from hookrouter.web.sessions import Sessions, cookie, secrets_in
from hookrouter.web.sounds import sound_routes
from hookrouter.web.streamed import Streamed

_READY = ("connected", "standby")


class Router(Protocol):
    """What the web needs of the service."""

    name: str  # among several routers; empty: it is alone
    tokens: tuple[Token, ...]
    facts: Facts
    refusals: Refusals
    listeners: Listeners
    listening: Any  # hookrouter.service.listening.Listening: who answers events over this API
    handing: Any  # hookrouter.service.handing.Handing: what goes from one router to another
    console: Any  # hookrouter.service.console.View: what the pages ask for

    peers: Peers
    feeds: Feeds

    def alive(self) -> bool: ...
    def owned(self) -> list[str]:
        """The Asterisks that this router has in hand."""
        ...

    def ready(self) -> dict[str, str]:
        """Asterisk → `connected`, or why not."""
        ...

    def metrics(self) -> bytes: ...
    def openapi(self) -> dict[str, Any]: ...
    def calls(self, access: Access) -> list[dict[str, Any]]: ...
    async def find_calls(self, query: dict[str, str], access: Access) -> list[dict[str, Any]]:
        """Recorded calls, live and over. Raises ValueError."""
        ...

    def has(self, id: str, access: Access) -> bool:
        """Whether it has the call in hand."""
        ...

    async def call(self, id: str, access: Access) -> dict[str, Any] | None: ...
    async def record(self, id: str, access: Access) -> dict[str, Any] | None:
        """All that is kept of a call."""
        ...

    def act(self, id: str, answer: bytes, access: Access) -> bool: ...
    async def originate(self, body: bytes, access: Access) -> dict[str, Any]: ...
    async def hangup(self, id: str, access: Access) -> bool: ...
    async def deliveries(self, query: dict[str, str], access: Access) -> list[dict[str, Any]]: ...
    async def replay(self, query: dict[str, str], access: Access, *, told: bool = False) -> int: ...
    async def recording(self, asterisk: str, name: str, access: Access) -> Download | int:
        """The file, to be closed; or the status of the answer that there is none."""
        ...

    def spoken(self, name: str) -> Path | None: ...
    def speaks(self, name: str) -> bool: ...
    def asterisks(self) -> Mapping[str, AsteriskSettings]: ...
    def inbound(self, name: str) -> Serve | None:
        """What serves a socket of the Asterisk `name`; None where we are stopping."""
        ...

    def invited(self, name: str) -> tuple[str, str] | None:
        """The user and password that the Asterisk `name` was told to show when it comes; None: it was told nothing yet."""
        ...

    def inbound_refused(self, name: str, reason: str) -> None:
        """A socket of the Asterisk `name` was not taken."""
        ...


def faults(error: AnswerRefused | Any) -> list[dict[str, str]]:
    return [{"place": fault.place, "message": fault.message} for fault in error.faults]


def create_app(router: Router) -> Starlette:
    """The ASGI application of one router."""
    keys, sessions = Keys(router.tokens), Sessions(time.monotonic)

    def guard(app: Any) -> Guard:
        return Guard(app, keys, sessions, router.refusals)

    app = Starlette(
        routes=[
            *_open(router),
            *_browser(router, keys, sessions),
            *_api(router),
            *cluster_routes(router),
            *sound_routes(router),
            *_sockets(router),
        ],
        middleware=[Middleware(Protected), Middleware(guard)],
        exception_handlers={HTTPException: _refused, StoreError: _away, Exception: _failed(router)},  # type: ignore[dict-item]
    )
    app.router.redirect_slashes = False  # the address of a redirect would be what the sender calls us
    return app


# ---- errors


async def _refused(request: Request, error: HTTPException) -> Response:
    said = error.detail
    if error.status_code == 404:
        said = f"nothing is at {request.url.path[:200]}: GET /openapi.json says what is where"
    elif error.status_code == 405:
        said = f"{request.method} is not for this path"
    titles = {404: "Not found", 405: "Method not allowed", 408: "Too slow", 413: "Too large"}
    answer = problem(error.status_code, titles.get(error.status_code, "Refused"), said)
    answer.headers.update(error.headers or {})
    return answer


async def _away(request: Request, error: StoreError) -> Response:
    """The log says why: whoever asks may be a tenant."""
    return problem(503, "Not to be read now", "the database does not answer, and calls go on: ask again", retry_after=1)


def _failed(router: Router) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def failed(request: Request, error: Exception) -> Response:
        said = f"{type(error).__name__}: {error}"
        router.facts.emit(Warned("internal", f"{request.method} {request.url.path[:200]}: {said[:500]}"))
        return problem(500, "Internal error", "a mistake in the router itself: its log has the details")

    return failed


# ---- what is open to all


def _open(router: Router) -> list[Route]:
    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n" if router.alive() else "stopping\n", 200 if router.alive() else 503)

    async def readyz(request: Request) -> Response:
        states = router.ready()
        ready = bool(states) and all(state in _READY for state in states.values())
        return JSONResponse({"ready": ready, "asterisk": states}, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(router.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(request: Request) -> Response:
        return JSONResponse(router.openapi())

    return [
        Route("/healthz", healthz),
        Route("/readyz", readyz),
        Route("/metrics", metrics),
        Route("/openapi.json", openapi),
    ]


# ---- pages


def _browser(router: Router, keys: Keys, sessions: Sessions) -> list[Route | Mount]:
    async def login(request: Request) -> Response:
        if request.method != "POST":
            return pages.login()
        form = await form_of(request)
        then = form.get("then", "")
        access = keys.opened_by(form.get("token", "").strip().encode("utf-8", "replace"))
        if access is None:
            client = client_of(request.scope)
            router.refusals.tell("login", "wrong_token", client, "POST /login", "the token is wrong")
            if not await router.refusals.slow_down(client):
                return pages.login(429, "Too many wrong tokens: wait a little.", then)
            return pages.login(401, "The token is wrong.", then)
        secure = is_secure(request.scope)
        answer = RedirectResponse(pages.page_of(then), 303)
        answer.headers["set-cookie"] = cookie(sessions.begin(access, form.get("token", "").strip()), secure=secure)
        return answer

    async def logout(request: Request) -> Response:
        for secret in _sessions_of(request):
            sessions.end(secret)
        router.listeners.look_again()
        router.listening.look_again()
        answer = RedirectResponse("/login", 303)
        answer.headers["set-cookie"] = cookie("", secure=is_secure(request.scope))
        return answer

    return [
        *console_routes(router, lambda request: bool(_sessions_of(request)) or passed(request) == "session"),
        Route("/login", login, methods=["GET", "POST"]),
        Route("/logout", logout, methods=["POST"]),
        Mount("/static", StaticFiles(directory=pages.STATIC)),
    ]


def _sessions_of(request: Request) -> list[str]:
    secure = is_secure(request.scope)
    return [secret for header in request.headers.getlist("cookie") for secret in secrets_in(header, secure=secure)]


# ---- the control API


def _api(router: Router) -> list[Route]:
    async def calls(request: Request) -> Response:
        if request.method == "POST":
            try:
                return JSONResponse(await router.originate(await request.body(), access_of(request)), 201)
            except AnswerRefused as error:
                return problem(422, "The call was refused", str(error), faults=faults(error))
            except OverTheLimit as error:
                return problem(429, "Too many calls", str(error))
            except ValueError as error:
                return problem(422, "The call was refused", str(error))
        if not request.query_params:
            return await live_calls(router, request)
        try:
            found = await router.find_calls(dict(request.query_params), access_of(request))
        except ValueError as error:
            return problem(422, "Bad query", str(error))
        return JSONResponse({"calls": found})

    async def record(request: Request) -> Response:
        id = request.path_params["id"]
        found = await router.record(id, access_of(request))
        return JSONResponse(found) if found else problem(404, "No such call", f"nothing is kept of a call `{id}`")

    async def call(request: Request) -> Response:
        id = request.path_params["id"]
        if request.method == "DELETE":
            done = await router.hangup(id, access_of(request))
            return (
                Response(status_code=204) if done else problem(404, "No such call", f"no live call has the id `{id}`")
            )
        found = await router.call(id, access_of(request))
        return JSONResponse(found) if found else problem(404, "No such call", f"no call has the id `{id}`")

    async def in_hand(request: Request) -> bool:
        return router.has(request.path_params["id"], access_of(request))

    async def actions(request: Request) -> Response:
        id = request.path_params["id"]
        try:
            done = router.act(id, await request.body(), access_of(request))
        except AnswerRefused as error:
            return problem(422, "The actions were refused", str(error), faults=faults(error))
        return Response(status_code=202) if done else problem(404, "No such call", f"no live call has the id `{id}`")

    async def deliveries(request: Request) -> Response:
        try:
            return JSONResponse({"deliveries": await router.deliveries(dict(request.query_params), access_of(request))})
        except ValueError as error:
            return problem(422, "Bad query", str(error))

    async def replay(request: Request) -> Response:
        query = dict(request.query_params)
        if id := request.path_params.get("id"):
            query["id"] = id
        try:
            found: dict[str, Any] = {
                "replayed": await router.replay(query, access_of(request), told=bool(passed(request)))
            }
        except ValueError as error:
            return problem(422, "Bad query", str(error))
        if silent := await told_to_all(router, request):
            found["silent"] = silent
        return JSONResponse(found, 202)

    async def now(request: Request) -> Response:
        others = None if passed(request) else asked_now(request)
        return Response(await router.console.said(access_of(request), others), media_type="application/json")

    return [
        Route("/v1/calls", passing(router, calls, in_turn=True), methods=["GET", "POST"]),
        Route("/v1/calls/{id}", passing(router, call, here=in_hand), methods=["GET", "DELETE"]),
        Route("/v1/calls/{id}/record", passing(router, record)),
        Route("/v1/calls/{id}/actions", passing(router, actions), methods=["POST"]),
        Route("/v1/deliveries", deliveries),
        Route("/v1/deliveries/replay", replay, methods=["POST"]),
        Route("/v1/deliveries/{id}/replay", replay, methods=["POST"]),
        Route("/v1/events", _events(router)),
        Route("/v1/now", now),
        *listening_routes(router),
    ]


def _events(router: Router) -> Callable[[Request], Awaitable[Response]]:
    async def events(request: Request) -> Response:
        mine, shown = bool(passed(request)), shown_of(request)
        listener = router.listeners.add(access_of(request), holds_of(request), peer=mine)
        if listener is None:
            why = "others listen to /v1/events already: end one, and try again"
            return problem(503, "Too many listeners", why, retry_after=10)

        async def removed() -> None:
            router.feeds.leave(listener, shown)
            router.listeners.remove(listener)

        try:
            if not mine:
                await router.feeds.join(listener, shown)
        except BaseException:
            await removed()
            raise
        return Streamed.events(listener.stream(PEER_HEARTBEAT if mine else HEARTBEAT), removed)

    return events


# ---- sockets of Asterisk


def _sockets(router: Router) -> list[WebSocketRoute]:
    async def ari(socket: WebSocket) -> None:
        await inbound(socket, router.asterisks(), router, router.refusals)

    return [WebSocketRoute("/ari/{name}", ari)]


__all__ = ["Router", "create_app"]
