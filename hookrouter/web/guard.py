"""Who may: every request passes here before anything of it is read but its head.

Rules:
- Open to all: health, metrics, the OpenAPI document, the login, the files of the pages, sounds by their unguessable name.
- All else wants a token (`authorization: Bearer`) or a session (a cookie, by the login). Where no token is configured it is
  this machine's alone, and what that is `origins` says.
- What changes something is refused to a web page of another site, whatever else the request shows.
- A body is read within a time and up to a size that depend on the path.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Callable, Sequence
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hookrouter.config import Access, Token
from hookrouter.config.values import ALL
from hookrouter.web import origins
from hookrouter.web.pages import is_page, login
from hookrouter.web.problems import problem
from hookrouter.web.refusals import Refusals
from hookrouter.web.sessions import Sessions, secrets_in

MAX_BODY = 256 * 1024
_SMALL_BODY = 4 * 1024
BODY_SECONDS = 20.0
_TAKE = ("/v1/listen/", "/calls/", "/deliveries", "/routes/")
_ACCESS, _HOLDS, _SHOWN = "hookrouter.access", "hookrouter.holds", "hookrouter.shown"
_WITHOUT = "no `token` is set under [server]: the control API and the dashboard serve this machine only"
_BEARER = "send the header `authorization: Bearer TOKEN` with the token of [server] in routes.toml"


class Keys:
    """The tokens of the configuration."""

    def __init__(self, tokens: Sequence[Token]) -> None:
        self._of = [(sha256(token.secret.encode()).digest(), token.access) for token in tokens]

    def __bool__(self) -> bool:
        return bool(self._of)

    def opened_by(self, secret: bytes) -> Access | None:
        """What this one opens; None: it is none of them. Takes as long for each."""
        given, found = sha256(secret).digest(), None
        for digest, access in self._of:
            if hmac.compare_digest(given, digest):
                found = access
        return found


def access_of(request: Request) -> Access:
    """What the sender of a guarded request may see and do."""
    access: Access = request.scope[_ACCESS]
    return access


def holds_of(request: Request) -> Callable[[], bool]:
    """Whether what has let a request through still does: a session ends, a token does not."""
    holds: Callable[[], bool] = request.scope.get(_HOLDS, _for_ever)
    return holds


def by_session(request: Request) -> bool:
    """Whether a session has let it through."""
    return _HOLDS in request.scope


def shown_of(request: Request) -> tuple[tuple[str, str], ...]:
    """The header that opens at another router what this request has opened here; none where no token was shown."""
    secret: str = request.scope.get(_SHOWN, "")
    return (("authorization", f"Bearer {secret}"),) if secret else ()


def _for_ever() -> bool:
    return True


def has_access(scope: Any) -> bool:
    """Whether the guard has let it through, by a token, a session, or as this machine's own."""
    return _ACCESS in scope


def client_of(scope: Scope) -> str:
    """The address that the connection comes from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def is_secure(scope: Scope) -> bool:
    """Whether the browser came by TLS; a proxy's word can only make a cookie stricter."""
    if scope["scheme"] in ("https", "wss"):
        return True
    return any(name == b"x-forwarded-proto" and value.strip().lower() == b"https" for name, value in scope["headers"])


class Guard:
    """The middleware."""

    def __init__(self, app: ASGIApp, keys: Keys, sessions: Sessions, refusals: Refusals) -> None:
        self._app = app
        self._keys = keys
        self._sessions = sessions
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = await self._refused(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, _bounded(scope, receive), send)

    async def _refused(self, scope: Scope) -> ASGIApp | None:
        """The answer to a client that may not; None: it may, and `access_of` says what."""
        safe = scope["method"] in origins.SAFE
        if not _readable_host(scope):
            return self._no(scope, 400, "host", "its `Host` is missing, is there twice, or cannot be read")
        if not safe and (why := origins.foreign(scope["headers"], scope["scheme"])):
            return self._no(scope, 403, "origin", why)
        if not _guarded(scope["path"]):
            return None
        access = self._local(scope) if not self._keys else await self._shown(scope, safe=safe)
        if not isinstance(access, Access):
            return access
        if not safe and not access.write:
            return self._no(scope, 403, "read_only", "this token may look, and change nothing")
        scope[_ACCESS] = access
        return None

    def _local(self, scope: Scope) -> Access | ASGIApp:
        headers = scope["headers"]
        if (
            scope["method"] in origins.SAFE
        ):  # a link on a page of others may lead here; what is answered they cannot read
            headers = [header for header in headers if header[0] != b"sec-fetch-site"]
        why = origins.not_local(headers, client_of(scope)) or origins.foreign(headers, scope["scheme"])
        return self._no(scope, 403, "not_local", f"{_WITHOUT}; {why}") if why else ALL

    async def _shown(self, scope: Scope, *, safe: bool) -> Access | ASGIApp:
        """What the token or the session that a request shows opens."""
        given = [value for name, value in scope["headers"] if name == b"authorization"]
        if given:
            kind, _, secret = given[0].partition(b" ")
            access = self._keys.opened_by(secret.strip()) if kind.lower() == b"bearer" and len(given) == 1 else None
            if access is not None:
                scope[_SHOWN] = secret.strip().decode()
                return access
            why = "the token is wrong" if kind.lower() == b"bearer" else "`authorization` is not `Bearer TOKEN`"
            return await self.wrong(scope, "api", "wrong_token", f"{why}: {_BEARER}")
        for header in (value for name, value in scope["headers"] if name == b"cookie"):
            for found in secrets_in(header.decode("latin-1"), secure=is_secure(scope)):
                if (access := self._sessions.find(found)) is not None:
                    scope[_HOLDS], scope[_SHOWN] = partial(self._sessions.holds, found), self._sessions.token(found)
                    return access
        if safe and is_page(scope["path"]):
            query = scope["query_string"].decode("latin-1")
            return login(401, then=quote(scope["path"]) + (f"?{query}" if query else ""))
        return self._no(scope, 401, "no_token", _BEARER)

    async def wrong(self, scope: Scope, door: str, reason: str, detail: str) -> ASGIApp:
        """The answer to a wrong guess, when it is time for it."""
        client = client_of(scope)
        self._refusals.tell(door, reason, client, f"{scope['method']} {scope['path']}", detail)
        if await self._refusals.slow_down(client):
            return problem(401, "Not allowed", detail)
        why = "wait a little; the right token is taken at any time"
        return problem(429, "Too many wrong tokens", why, retry_after=2)

    def _no(self, scope: Scope, status: int, reason: str, detail: str) -> ASGIApp:
        self._refusals.tell("api", reason, client_of(scope), f"{scope['method']} {scope['path']}", detail)
        return problem(status, "Not allowed", detail)


def _readable_host(scope: Scope) -> bool:
    """HTTP/1.0 does without one."""
    there = any(name == b"host" for name, _ in scope["headers"])
    return origins.host_of(scope["headers"]) is not None or (not there and scope.get("http_version") == "1.0")


def _guarded(path: str) -> bool:
    return is_page(path) or path == "/v1" or path.startswith("/v1/")


def _limit(scope: Scope) -> int:
    path = scope["path"]
    takes = scope["method"] == "POST" and (path == "/v1/calls" or path.endswith("/actions") or path.startswith(_TAKE))
    return MAX_BODY if takes else _SMALL_BODY


def _bounded(scope: Scope, receive: Receive) -> Receive:
    """The body, as far as it is allowed to go. Raises HTTPException."""
    limit, size = _limit(scope), 0
    until = asyncio.get_running_loop().time() + BODY_SECONDS
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    too_large = HTTPException(413, f"the body has over {limit} bytes")
    ended = False

    async def received() -> Message:
        nonlocal size, ended
        if ended:
            return await receive()  # waits for the end of the connection
        if not declared.isdigit() or int(declared) > limit:
            raise too_large
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"the body did not come within {BODY_SECONDS:g} s") from None
        size += len(message.get("body", b""))
        if size > limit:
            raise too_large
        ended = not message.get("more_body", False)
        return message

    return received


__all__ = [
    "MAX_BODY",
    "Guard",
    "Keys",
    "access_of",
    "by_session",
    "client_of",
    "has_access",
    "holds_of",
    "is_secure",
    "shown_of",
]
