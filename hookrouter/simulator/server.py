"""The simulator as a server: ARI over HTTP and WebSocket on loopback, and callers to play with.

Rules: one instance is one Asterisk; `kill` and `restart` are a process's death and new start: calls are gone, stored
recordings stay. REST on a socket is served one request after another, as Asterisk does.
Source: Asterisk's res_ari, res_http_websocket, res_ari_events; docs/asterisk.md.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Mapping
from typing import Any

import msgspec
import websockets.asyncio.client
import websockets.exceptions
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from hookrouter.ari.protocol import decode_request, encode_response
from hookrouter.simulator import on_bridges, on_originate, on_system
from hookrouter.simulator.apps import Session
from hookrouter.simulator.caller import Caller
from hookrouter.simulator.dialplan import Dialplan
from hookrouter.simulator.pbx import Follows, Pbx, Phones
from hookrouter.simulator.rest import perform, reason
from hookrouter.simulator.timing import Timing
from hookrouter.web.server import Server, bind

_METHODS = ["GET", "POST", "PUT", "DELETE", "PATCH"]
_RECONNECT = 0.5
_UNAUTHORIZED = Response(
    b'{"message":"Authentication required"}',
    401,
    {"www-authenticate": 'Basic realm="Asterisk REST Interface"'},
    "application/json",
)
__all__ = ["Simulator", "on_bridges", "on_originate", "on_system"]


class Simulator:
    """`async with Simulator() as sim:` serves ARI at `sim.url`. `speed` 10 makes everything ten times as fast."""

    def __init__(
        self,
        port: int = 0,
        speed: float = 1.0,
        *,
        username: str = "hookrouter",
        password: str = "hookrouter",
        dialplan: str | None = None,
        sounds: Mapping[str, int] | None = None,
        phones: Phones | None = None,
        follows: Follows | None = None,
    ) -> None:
        self.username, self.password = username, password
        self.timing = Timing(speed)
        self._port = port
        self._dialplan = Dialplan.default() if dialplan is None else Dialplan.parse(dialplan)
        self._sounds, self._phones, self._follows = sounds, phones, follows
        self._listening: dict[str, str] = {}
        self._stored: tuple[dict[str, str], dict[str, float]] = ({}, {})
        self._tasks: set[asyncio.Task[Any]] = set()
        self._outbound: set[asyncio.Task[Any]] = set()
        self._sessions: set[Session] = set()
        self._server: Server | None = None
        self.pbx = self._new_pbx()

    def _new_pbx(self) -> Pbx:
        pbx = Pbx(self.timing, self._dialplan, self._sounds, self._phones, self._follows)
        pbx.stored, lengths = self._stored
        pbx.lengths.update(lengths)
        for app in self._listening:
            pbx.app(app).persistent = True
        return pbx

    # ---- its life ---------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Simulator:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Serves when it returns. Raises OSError where the port is taken."""
        app = Starlette(routes=[
            WebSocketRoute("/ari/events", self._events),
            Route("/ari/{path:path}", self._rest, methods=_METHODS),
        ])  # fmt: skip
        bound = bind("127.0.0.1", self._port)
        self._port = bound.getsockname()[1]
        self._server = Server(
            app, host="127.0.0.1", port=self._port, ws="websockets-sansio", ws_per_message_deflate=False,
            ws_ping_interval=None, timeout_graceful_shutdown=1,
        )  # fmt: skip
        self._start_task(self._tasks, self._server.serve([bound]))
        await self._server.is_up.wait()
        for app_name, url in self._listening.items():
            self._start_task(self._outbound, self._connect_out(app_name, url))

    def _start_task(self, group: set[asyncio.Task[Any]], work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        group.add(task)
        task.add_done_callback(group.discard)

    async def kill(self) -> None:
        """Dies at once, as by SIGKILL: no event says so, and every call is gone."""
        self._stored = (self.pbx.stored, dict(self.pbx.lengths))
        self.pbx.end()
        self.drop_sockets()
        outbound = list(self._outbound)
        for task in outbound:
            task.cancel()
        await asyncio.gather(*outbound, return_exceptions=True)
        if self._server is not None:
            self._server.end()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            self._server = None

    async def restart(self) -> None:
        """A new Asterisk at the same address; stored recordings are still there."""
        if self._server is not None:
            await self.kill()
        self.pbx = self._new_pbx()
        await self.start()

    def drop_sockets(self) -> None:
        """Ends every event socket; the applications turn inactive, their channels stay."""
        for session in list(self._sessions):
            session.end()

    def listen(self, app: str, url: str) -> None:
        """Connects to a router by itself, for ever: `outbound_websocket` with `connection_type=persistent`."""
        self._listening[app] = url
        self.pbx.app(app).persistent = True
        if self._server is not None:
            self._start_task(self._outbound, self._connect_out(app, url))

    # ---- callers ----------------------------------------------------------------------------------------------

    async def call(
        self, app: str, caller: str = "", exten: str = "1000", args: list[str] | None = None, name: str = ""
    ) -> Caller:
        """Somebody calls, and the dialplan hands the call to `app`."""
        return Caller(self.pbx, app, caller, exten, args or [], name)

    # ---- HTTP -------------------------------------------------------------------------------------------------

    def _allowed(self, headers: Mapping[str, str], query: Mapping[str, str]) -> bool:
        if given := query.get("api_key"):
            return given == f"{self.username}:{self.password}"
        kind, _, token = headers.get("authorization", "").partition(" ")
        wanted = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        return kind.lower() == "basic" and token.strip() == wanted

    async def _rest(self, request: Request) -> Response:
        body = await request.body()
        if not self._allowed(request.headers, request.query_params):
            return _UNAUTHORIZED
        target = request.scope["raw_path"].decode().removeprefix("/ari")
        if request.url.query:
            target += "?" + request.url.query
        status, answer, kind = await perform(self.pbx, request.method, target, body)
        return Response(answer, status, media_type=kind if answer else None)

    async def _events(self, socket: WebSocket) -> None:
        if not self._allowed(socket.headers, socket.query_params):
            await socket.send_denial_response(_UNAUTHORIZED)
            return
        apps = tuple(name for name in socket.query_params.get("app", "").split(",") if name)
        if not apps:
            await socket.send_denial_response(Response(b'{"message":"Missing parameter app"}', 400))
            return
        protocols = [part.strip() for part in socket.headers.get("sec-websocket-protocol", "").split(",")]
        session = Session(apps)
        everything = socket.query_params.get("subscribeAll", "").lower() in ("true", "yes", "1")
        await socket.accept(subprotocol="ari" if "ari" in protocols else None)
        self._take_over(session, everything)

        async def receive() -> bytes:
            try:
                message = await socket.receive()
            except (WebSocketDisconnect, RuntimeError):
                raise ConnectionError from None
            if message["type"] == "websocket.disconnect":
                raise ConnectionError
            return str(message["text"]).encode() if message.get("text") is not None else bytes(message["bytes"])

        async def send(data: bytes) -> None:
            try:
                await socket.send_text(data.decode())
            except (WebSocketDisconnect, RuntimeError):
                raise ConnectionError from None

        await self._converse(session, receive, send)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(1001)

    # ---- sockets ----------------------------------------------------------------------------------------------

    def _take_over(self, session: Session, everything: bool = False) -> None:
        for name in session.apps:
            app = self.pbx.app(name)
            if app.session is not None and app.session is not session:
                timestamp = self.timing.stamp()
                app.session.send({"type": "ApplicationReplaced", "timestamp": timestamp, "application": name})
            app.session = session
            app.subscribe_all = everything

    async def _converse(self, session: Session, receive: Any, send: Any) -> None:
        """One socket until it ends, from whichever side it was opened."""
        self._sessions.add(session)
        requests: asyncio.Queue[bytes] = asyncio.Queue()

        async def read() -> None:
            while True:
                requests.put_nowait(await receive())

        async def write() -> None:
            while (message := await session.outgoing.get()) is not None:
                await send(message)

        async def serve() -> None:
            while True:
                await self._serve_request(session, await requests.get())

        tasks = [asyncio.get_running_loop().create_task(work()) for work in (read, write, serve)]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            self._sessions.discard(session)
            for name in session.apps:
                app = self.pbx.app(name)
                if app.session is session:
                    app.session = None
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, ConnectionError):
                raise result

    async def _serve_request(self, session: Session, raw: bytes) -> None:
        try:
            request = decode_request(raw)
        except msgspec.DecodeError:
            return
        status, body, _ = await perform(self.pbx, request.method, request.uri, request.body)
        if all(self.pbx.app(name).wants("RESTResponse") for name in session.apps):
            session.send(encode_response(request, status, reason(status), body))

    async def _connect_out(self, name: str, url: str) -> None:
        token = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        while True:
            with contextlib.suppress(OSError, TimeoutError, websockets.exceptions.WebSocketException):
                async with websockets.asyncio.client.connect(
                    url, additional_headers=[("authorization", f"Basic {token}")],
                    subprotocols=[websockets.Subprotocol("ari")], compression=None, proxy=None, close_timeout=1,
                ) as connection:  # fmt: skip
                    await self._outbound_session(name, connection)
            await asyncio.sleep(_RECONNECT)

    async def _outbound_session(self, name: str, connection: websockets.asyncio.client.ClientConnection) -> None:
        app, session = self.pbx.app(name), Session((name,))
        while app.waiting:
            session.send(app.waiting.popleft())
        session.send({"type": "ApplicationRegistered", "timestamp": self.timing.stamp(), "application": name})
        self._take_over(session)

        async def receive() -> bytes:
            try:
                return await connection.recv(decode=False)
            except websockets.exceptions.ConnectionClosed:
                raise ConnectionError from None

        async def send(data: bytes) -> None:
            try:
                await connection.send(data, text=True)
            except websockets.exceptions.ConnectionClosed:
                raise ConnectionError from None

        await self._converse(session, receive, send)
