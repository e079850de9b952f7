"""The router's own HTTP: health, metrics, the control API, the dashboard, and the sockets by which Asterisk comes to us.

Rules: health and metrics need no token; everything under /v1 does where one is configured, and without one it is served
to loopback only. Errors are RFC 9457 problem details, each with what is wrong and what to do.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket, WebSocketDisconnect

from hookrouter.errors import AnswerRefused, Fault
from hookrouter.web.dashboard import dashboard

_MAX_BODY = 1024 * 1024
_LOOPBACK = ("127.", "::1", "::ffff:127.", "localhost", "testclient")


class Router(Protocol):
    """What the web needs of the service."""

    token: str

    def alive(self) -> bool: ...
    def ready(self) -> dict[str, str]:
        """Asterisk → `connected`, or why not."""
        ...

    def metrics(self) -> bytes: ...
    def openapi(self) -> dict[str, Any]: ...
    def calls(self) -> list[dict[str, Any]]: ...
    async def call(self, id: str) -> dict[str, Any] | None: ...
    def act(self, id: str, answer: bytes) -> bool: ...
    async def originate(self, body: bytes) -> dict[str, Any]: ...
    async def hangup(self, id: str) -> bool: ...
    async def deliveries(self, query: dict[str, str]) -> list[dict[str, Any]]: ...
    async def replay(self, query: dict[str, str]) -> int: ...
    async def recording(self, asterisk: str, name: str) -> tuple[int, str, bytes]: ...
    def spoken(self, name: str) -> Path | None: ...
    def events(self) -> AsyncIterator[bytes]: ...
    def inbound(self, name: str, username: str, password: str) -> Callable[[Any], Awaitable[None]] | None:
        """What serves a socket of the Asterisk `name`; None where there is no such, or the credentials are wrong."""
        ...


def problem(status: int, title: str, detail: str = "", **more: Any) -> JSONResponse:
    """RFC 9457."""
    body = {"type": "about:blank", "title": title, "status": status, **({"detail": detail} if detail else {}), **more}
    headers = {"www-authenticate": 'Bearer realm="hookrouter", Basic realm="hookrouter"'} if status == 401 else None
    return JSONResponse(body, status, headers=headers, media_type="application/problem+json")


def faults(error: AnswerRefused | Any) -> list[dict[str, str]]:
    return [{"place": fault.place, "message": fault.message} for fault in error.faults]


class TokenGuard:
    """Refuses /v1 and / to who may not see it."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._guarded(scope["path"]) or self._allowed(scope):
            await self._app(scope, receive, send)
            return
        detail = (
            "send the header `authorization: Bearer TOKEN` with the token of [server] in routes.toml"
            if self._token
            else "no `token` is set under [server]: the control API is served to this machine only"
        )
        await problem(401 if self._token else 403, "Not allowed", detail)(scope, receive, send)

    @staticmethod
    def _guarded(path: str) -> bool:
        return path.startswith("/v1") or path == "/"

    def _allowed(self, scope: Scope) -> bool:
        if not self._token:
            client = scope.get("client")
            return client is not None and str(client[0]).startswith(_LOOPBACK) and _from_here(scope)
        for name, value in scope["headers"]:
            if name == b"authorization":
                kind, _, given = value.partition(b" ")
                if kind.lower() == b"basic":  # a browser asked for the dashboard: any user, the token as password
                    given = _decode_basic(given)[1].encode()
                elif kind.lower() != b"bearer":
                    return False
                return hmac.compare_digest(given.strip(), self._token.encode())
        return False


def _from_here(scope: Scope) -> bool:
    """Whether no web page of somebody else's sent it: a browser on this machine says which one did."""
    headers: dict[str, str] = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get("host", "")
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2] != host:
        return False
    return host.strip("[").startswith(_LOOPBACK)


def _decode_basic(given: bytes) -> tuple[str, str]:
    try:
        user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except ValueError:
        return "", ""
    return user, password


async def _body(request: Request) -> bytes:
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MAX_BODY:
            raise ValueError(f"the body is over {_MAX_BODY} bytes")
    return body


def create_app(router: Router) -> Starlette:
    """The ASGI application of one router."""

    async def healthz(request: Request) -> Response:
        return PlainTextResponse("ok\n" if router.alive() else "stopping\n", 200 if router.alive() else 503)

    async def readyz(request: Request) -> Response:
        states = router.ready()
        ready = bool(states) and all(state == "connected" for state in states.values())
        return JSONResponse({"ready": ready, "asterisk": states}, 200 if ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(router.metrics(), media_type="text/plain; version=0.0.4; charset=utf-8")

    async def openapi(request: Request) -> Response:
        return JSONResponse(router.openapi())

    async def calls(request: Request) -> Response:
        if request.method == "POST":
            try:
                return JSONResponse(await router.originate(await _body(request)), 201)
            except AnswerRefused as error:
                return problem(422, "The call was refused", str(error), faults=faults(error))
            except ValueError as error:
                return problem(422, "The call was refused", str(error))
        return JSONResponse({"calls": router.calls()})

    async def call(request: Request) -> Response:
        id = request.path_params["id"]
        if request.method == "DELETE":
            done = await router.hangup(id)
            return (
                Response(status_code=204) if done else problem(404, "No such call", f"no live call has the id `{id}`")
            )
        found = await router.call(id)
        return JSONResponse(found) if found else problem(404, "No such call", f"no call has the id `{id}`")

    async def actions(request: Request) -> Response:
        id = request.path_params["id"]
        try:
            done = router.act(id, await _body(request))
        except AnswerRefused as error:
            return problem(422, "The actions were refused", str(error), faults=faults(error))
        return Response(status_code=202) if done else problem(404, "No such call", f"no live call has the id `{id}`")

    async def deliveries(request: Request) -> Response:
        try:
            return JSONResponse({"deliveries": await router.deliveries(dict(request.query_params))})
        except ValueError as error:
            return problem(422, "Bad query", str(error))

    async def replay(request: Request) -> Response:
        query = dict(request.query_params)
        if id := request.path_params.get("id"):
            query["id"] = id
        try:
            return JSONResponse({"replayed": await router.replay(query)}, 202)
        except ValueError as error:
            return problem(422, "Bad query", str(error))

    async def recording(request: Request) -> Response:
        status, kind, audio = await router.recording(
            request.query_params.get("asterisk", ""), request.path_params["name"]
        )
        if status != 200:
            name = request.path_params["name"]
            return problem(status, "No recording", f"Asterisk has no stored recording `{name}` (status {status})")
        return Response(audio, media_type=kind)

    async def spoken(request: Request) -> Response:
        path = router.spoken(request.path_params["name"])
        return FileResponse(path, media_type="audio/wav") if path else problem(404, "No such sound")

    async def events(request: Request) -> Response:
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(router.events(), media_type="text/event-stream", headers=headers)

    async def page(request: Request) -> Response:
        return dashboard(router)

    async def inbound(socket: WebSocket) -> None:
        await _inbound(router, socket)

    app = Starlette(
        routes=[
            Route("/", page),
            Route("/healthz", healthz),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/openapi.json", openapi),
            Route("/v1/calls", calls, methods=["GET", "POST"]),
            Route("/v1/calls/{id}", call, methods=["GET", "DELETE"]),
            Route("/v1/calls/{id}/actions", actions, methods=["POST"]),
            Route("/v1/deliveries", deliveries),
            Route("/v1/deliveries/replay", replay, methods=["POST"]),
            Route("/v1/deliveries/{id}/replay", replay, methods=["POST"]),
            Route("/v1/recordings/{name:path}", recording),
            Route("/v1/events", events),
            Route("/speech/{name}", spoken),
            WebSocketRoute("/ari/{name}", inbound),
        ]
    )
    app.add_middleware(TokenGuard, token=router.token)
    return app


class SocketDuplex:
    """A starlette WebSocket as the ARI client wants it."""

    def __init__(self, socket: WebSocket) -> None:
        self._socket = socket

    async def recv(self) -> bytes:
        """The next message. Raises ConnectionError when the socket has ended."""
        try:
            message = await self._socket.receive()
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError(str(error)) from None
        if message["type"] == "websocket.disconnect":
            raise ConnectionError(f"closed with code {message.get('code')}")
        text = message.get("text")
        return text.encode() if text is not None else message.get("bytes") or b""

    async def send(self, data: bytes) -> None:
        """Sends one text message. Raises ConnectionError when the socket has ended."""
        try:
            await self._socket.send_text(data.decode())
        except (WebSocketDisconnect, RuntimeError) as error:
            raise ConnectionError(str(error)) from None

    async def close(self) -> None:
        try:
            await self._socket.close(1001)
        except (WebSocketDisconnect, RuntimeError):
            return  # it had ended already


async def _inbound(router: Router, socket: WebSocket) -> None:
    kind, _, given = socket.headers.get("authorization", "").partition(" ")
    user, password = _decode_basic(given.encode()) if kind.lower() == "basic" else ("", "")
    serve = router.inbound(socket.path_params["name"], user, password)
    if serve is None:
        await socket.close(1008)
        return
    protocols = socket.headers.get("sec-websocket-protocol", "")
    await socket.accept(subprotocol="ari" if "ari" in [p.strip() for p in protocols.split(",")] else None)
    duplex = SocketDuplex(socket)
    try:
        await serve(duplex)
    finally:
        await duplex.close()


async def sse(queue: asyncio.Queue[bytes | None], heartbeat: float = 15.0) -> AsyncIterator[bytes]:
    """Server-sent events from a queue of JSON facts; a comment every `heartbeat` seconds keeps proxies awake."""
    while True:
        try:
            async with asyncio.timeout(heartbeat):
                item = await queue.get()
        except TimeoutError:
            yield b": still here\n\n"
            continue
        if item is None:
            return
        yield b"data: " + item + b"\n\n"


__all__ = ["Fault", "Router", "SocketDuplex", "create_app", "msgspec", "sse"]
