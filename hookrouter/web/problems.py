"""Errors as RFC 9457 problem details, and the headers that every answer of ours has."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; media-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
_RAW = [(name.encode(), value.encode()) for name, value in HEADERS.items()]


def problem(status: int, title: str, detail: str = "", *, retry_after: int = 0, **more: Any) -> JSONResponse:
    """RFC 9457. `retry_after`: seconds after which it may be asked again."""
    body = {"type": "about:blank", "title": title, "status": status, **({"detail": detail} if detail else {}), **more}
    headers = {"www-authenticate": 'Bearer realm="hookrouter"'} if status == 401 else {}
    if retry_after:
        headers["retry-after"] = str(retry_after)
    return JSONResponse(body, status, headers=headers | HEADERS, media_type="application/problem+json")


class Protected:
    """Puts our headers on every answer that has none of its own by that name."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = list(message.get("headers", ()))
                names = {name.lower() for name, _ in given}
                message = {**message, "headers": [*given, *(header for header in _RAW if header[0] not in names)]}
            await send(message)

        await self._app(scope, receive, sent if scope["type"] == "http" else send)
