"""Google's identity tokens, judged by PyJWT, from a token server and a metadata server on loopback."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from hookrouter.config import parse
from hookrouter.delivery.auth import Authorizer
from hookrouter.delivery.id_token import expires_at
from hookrouter.errors import ConfigurationError
from hookrouter.http.client import Http
from hookrouter.routing.endpoint import Auth

NOW = 1_795_396_880.0
AUDIENCE = "https://ivr-abc.a.run.app"
KEY = rsa.generate_private_key(65537, 2048)
PEM = KEY.private_bytes(
    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
).decode()


def token(audience: str, until: float, number: int) -> str:
    return jwt.encode({"aud": audience, "exp": int(until), "jti": str(number)}, PEM, "RS256")


class Google:
    """Both servers. `answer`: what is answered in place of a token; `seconds`: how long tokens are good."""

    def __init__(self) -> None:
        self.now, self.seconds = NOW, 3600.0
        self.claims: list[dict[str, Any]] = []
        self.asked: list[dict[str, list[str]]] = []
        self.answer: tuple[int, bytes] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                good = parts.path.endswith("/default/identity") and self.headers["metadata-flavor"] == "Google"
                query = parse_qs(parts.query)
                outer.asked.append(query)
                self.tell(outer.made(query["audience"][0]).encode() if good else b"no", 200 if good else 403)

            def do_POST(self) -> None:
                form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
                outer.asked.append(form)
                claims = jwt.decode(
                    form["assertion"][0], KEY.public_key(), ["RS256"], audience=outer.token_uri,
                    options={"verify_exp": False, "verify_iat": False},
                )  # fmt: skip
                outer.claims.append(claims)
                self.tell(json.dumps({"id_token": outer.made(claims["target_audience"])}).encode(), 200)

            def tell(self, body: bytes, status: int) -> None:
                status, body = outer.answer or (status, body)
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *args: Any) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"127.0.0.1:{self.server.server_port}"
        self.token_uri = f"http://{self.host}/token"
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def made(self, audience: str) -> str:
        return token(audience, self.now + self.seconds, len(self.asked))

    def key(self, **changed: str) -> str:
        account = {"client_email": "router@p.iam", "private_key": PEM, "private_key_id": "7", "token_uri": self.token_uri}
        return json.dumps({"type": "service_account"} | account | changed)

    def auth(self, with_key: bool) -> Auth:
        own = ("service_account_key", self.key()) if with_key else ("metadata_host", self.host)
        return Auth("google-id-token", options=(("audience", AUDIENCE), own))


@pytest.fixture
def google() -> Iterator[Google]:
    found = Google()
    yield found
    found.server.shutdown()
    found.server.server_close()
    found.thread.join()


async def headers(authorizer: Authorizer, auth: Auth, now: float = NOW) -> dict[str, Any]:
    [(name, value)] = await authorizer.headers(auth, f"{AUDIENCE}/ivr", [], b"{}", now)
    assert name == "authorization"
    found: dict[str, Any] = jwt.decode(
        value.removeprefix("Bearer "), KEY.public_key(), ["RS256"], audience=AUDIENCE, options={"verify_exp": False}
    )
    return found


@pytest.mark.parametrize("with_key", [True, False], ids=["key", "metadata server"])
async def test_a_token_is_kept_until_it_expires(google: Google, with_key: bool) -> None:
    """One question for all that need it at a time, and the next a minute before its end."""
    http = Http()
    authorizer, auth = Authorizer(http), google.auth(with_key)
    try:
        found = await asyncio.gather(*(headers(authorizer, auth) for _ in range(5)))
        assert {one["jti"] for one in found} == {"1"}
        assert (await headers(authorizer, auth, NOW + 3539))["jti"] == "1"
        google.now += 3541
        assert (await headers(authorizer, auth, google.now))["jti"] == "2"
    finally:
        await http.close()
    assert len(google.asked) == 2
    if with_key:
        assert google.asked[0]["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
        assert google.claims[0] == {
            "iss": "router@p.iam", "aud": google.token_uri, "iat": int(NOW), "exp": int(NOW) + 3600, "target_audience": AUDIENCE
        }  # fmt: skip
        assert jwt.get_unverified_header(google.asked[0]["assertion"][0])["kid"] == "7"
    else:
        assert google.asked[0] == {"audience": [AUDIENCE], "format": ["full"]}


@pytest.mark.parametrize(
    ("with_key", "answer", "said"),
    [
        (True, (400, b'{"error": "invalid_grant"}'), r"/token answered 400 `\{\"error\": \"invalid_grant\"\}`"),
        (True, (200, b"{}"), "holds no `id_token`"),
        (True, (200, b'{"id_token": "x.y.z"}'), "not an identity token"),
        (False, (404, b"Not Found"), r"identity\?audience=\*\*\*&format=\*\*\* answered 404 `Not Found`"),
        (False, (200, b"<html>"), "not an identity token"),
    ],
)
async def test_no_token(google: Google, with_key: bool, answer: tuple[int, bytes], said: str) -> None:
    """Nothing is sent, and it is said why; the next delivery asks again."""
    http = Http()
    authorizer = Authorizer(http)
    google.answer = answer
    try:
        for _ in range(2):
            with pytest.raises(httpx.ConnectError, match=f"no google-id-token authorization: .*{said}") as caught:
                await authorizer.headers(google.auth(with_key), AUDIENCE, [], b"", NOW)
            assert "PRIVATE" not in str(caught.value)
    finally:
        await http.close()
    assert len(google.asked) == 2


def test_when_a_token_expires() -> None:
    """Its own claim."""
    assert expires_at(token(AUDIENCE, 12345.0, 1)) == 12345.0


ROUTES = '[asterisk.main]\npassword = "x"\n[[routes]]\nurl = "https://a.run.app/ivr"\nauth = {{ type = "google-id-token"{} }}\n'


def options(more: str, **environ: str) -> dict[str, str]:
    auth = parse(ROUTES.format(more), environ).routes.routes[0].endpoint.auth
    assert auth is not None
    return dict(auth.options)


def test_a_route(google: Google) -> None:
    """By a key, or on Google Cloud; the variable that Google's own libraries have for the metadata server counts."""
    key = google.key()
    assert options(', audience = "a", service_account_key = "${KEY}"', KEY=key) == {
        "audience": "a", "service_account_key": key
    }  # fmt: skip
    assert options(', audience = "a"') == {"audience": "a"}
    assert options(', audience = "a"', GCE_METADATA_HOST="h:1") == {"audience": "a", "metadata_host": "h:1"}


KEYED = ', audience = "a", service_account_key = "${KEY}"'
ELLIPTIC = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgevZzL1gdAFr88hb2
OF/2NxApJCzGCEDdfSp6VQO30hyhRANCAAQRWz+jn65BtOMvdyHKcvjBeBSDZH2r
1RTwjmYSi9R/zpBnuQ4EiMnCqfMPWiZqB4QdbAd0E7oH50VpuZ1P087G
-----END PRIVATE KEY-----"""


@pytest.mark.parametrize(
    ("more", "changed", "told"),
    [
        ("", {}, 'audience: missing: type "google-id-token" needs it'),
        (', audience = "a", service_account_key = "x"', {}, "service_account_key: is not the JSON key of a service account"),
        (KEYED, {"private_key": "x"}, "service_account_key: its `private_key` is bad"),
        (KEYED, {"private_key": ELLIPTIC}, "service_account_key: its `private_key` is not"),
        (KEYED, {"token_uri": "ftp://x"}, "service_account_key: `ftp://x` is not"),
    ],
)  # fmt: skip
def test_what_is_wrong(google: Google, more: str, changed: dict[str, str], told: str) -> None:
    """With its place, and never the key."""
    with pytest.raises(ConfigurationError) as caught:
        parse(ROUTES.format(more), {"KEY": google.key(**changed)})
    assert str(caught.value).startswith(f"routes[0].auth.{told}")
    assert "PRIVATE" not in str(caught.value)


def test_without_the_extra(google: Google, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key wants it; the metadata server does not."""
    monkeypatch.setattr("hookrouter.config.auth.installed", lambda module: False)
    with pytest.raises(ConfigurationError, match="service_account_key: needs more: install hookrouter with the extra `oauth`"):
        options(', audience = "a", service_account_key = "${KEY}"', KEY=google.key())
    assert options(', audience = "a"') == {"audience": "a"}
