"""OAuth2 by the extra, and what is said where that is missing; AWS signatures."""

from __future__ import annotations

import builtins
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from hookrouter.clock import SystemClock
from hookrouter.delivery.auth import Authorizer
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.sender import Sender
from hookrouter.http.client import Http
from hookrouter.routing.endpoint import Auth, Endpoint

AWS = Auth(
    "aws-sigv4",
    options=(
        ("access_key_id", "AKID"),
        ("secret_access_key", "secret"),
        ("region", "eu-west-1"),
        ("session_token", "t"),
    ),
)


class TokenServer:
    """Hands out tokens, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.asked += 1
                self.rfile.read(int(self.headers["content-length"]))
                body = json.dumps({"access_token": f"token-{outer.asked}", "expires_in": 3600}).encode()
                self.send_response(outer.status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    @property
    def auth(self) -> Auth:
        url = f"http://127.0.0.1:{self.server.server_port}/token"
        return Auth("oauth2", options=(("token_url", url), ("client_id", "me"), ("client_secret", "s"), ("scope", "a")))


@pytest.fixture
def tokens() -> Iterator[TokenServer]:
    found = TokenServer()
    yield found
    found.server.shutdown()
    found.server.server_close()
    found.thread.join()


async def _attempt(auth: Auth, seen: list[httpx.Headers]) -> object:
    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return httpx.Response(204)

    sender = Sender(Http(transport=httpx.MockTransport(handle)), SystemClock())
    return await sender.attempt(Endpoint("http://test/f", auth=auth), Message("e", "T", b"{}"), 1, 5.0, None)


async def test_oauth2(tokens: TokenServer) -> None:
    """A token is fetched once and used until it expires."""
    authorizer = Authorizer()
    for _ in range(2):
        found = await authorizer.headers(tokens.auth, "http://test/f", [], b"{}", 0.0)
        assert found == [("authorization", "Bearer token-1")] or found == [("Authorization", "Bearer token-1")]
    assert tokens.asked == 1


async def test_oauth2_without_a_token(tokens: TokenServer) -> None:
    """Without a token nothing is sent, and the attempt says so."""
    tokens.status = 500
    seen: list[httpx.Headers] = []
    attempt = await _attempt(tokens.auth, seen)
    assert attempt.reason == "refused_connection"  # type: ignore[attr-defined]
    assert "no oauth2 authorization" in attempt.detail  # type: ignore[attr-defined]
    assert seen == []


async def test_aws() -> None:
    """The request carries a version 4 signature over its headers and body."""
    seen: list[httpx.Headers] = []
    await _attempt(AWS, seen)
    assert re.match(r"AWS4-HMAC-SHA256 Credential=AKID/\d{8}/eu-west-1/lambda/aws4_request", seen[0]["authorization"])
    assert seen[0]["x-amz-security-token"] == "t"


async def test_the_extra_is_missing(monkeypatch: pytest.MonkeyPatch, tokens: TokenServer) -> None:
    """Without the extra the attempt fails and names the remedy."""
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "httpx_auth":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.setattr(builtins, "__import__", without)
    attempt = await _attempt(tokens.auth, [])
    assert attempt.reason == "refused_connection"  # type: ignore[attr-defined]
    assert 'install hookrouter with the extra `oauth`' in attempt.detail  # type: ignore[attr-defined]
