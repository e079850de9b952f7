"""How a request proves who we are, beside its signature: basic, bearer, AWS signatures and Google's tokens here, OAuth2 by
httpx-auth.

Rules: what httpx-auth does runs in threads of its own, for it asks the token's server without our event loop; a
token server that hangs holds up nothing but the endpoints that need it. A token is kept until a minute before it expires.
Source: RFC 7617 (basic), RFC 6750 (bearer), RFC 6749, 4.4 (client credentials); sigv4.py (AWS); id_token.py (Google).
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import httpx

from hookrouter.delivery.id_token import expires_at, given, grant, identity_url, service_account
from hookrouter.delivery.sigv4 import Credentials, sign
from hookrouter.errors import ConfigurationError, Fault, extra
from hookrouter.http.client import Http, TooLarge
from hookrouter.routing.endpoint import Auth
from hookrouter.text.urls import shown_url

_TOKEN_TIMEOUT = 5.0
_MOST_TOKEN = 64 * 1024
_MARGIN = 60.0
_ASKING = [("content-type", "application/x-www-form-urlencoded"), ("accept-encoding", "identity")]


class Authorizer:
    """Makes the headers that an endpoint's `auth` asks for; one for all endpoints, it keeps their tokens."""

    def __init__(self, http: Http | None = None) -> None:
        """`http`: asks Google's servers; without one there are none of their tokens."""
        self._http = http
        self._tokens: dict[Auth, tuple[str, float]] = {}
        self._asking: dict[Auth, asyncio.Lock] = {}
        self._signers: dict[Auth, httpx.Auth] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def headers(
        self, auth: Auth, url: str, sent: Sequence[tuple[str, str]], body: bytes, now: float, region: str = ""
    ) -> list[tuple[str, str]]:
        """What comes to the headers `sent` at `now` (seconds since the epoch). `region`: AWS's, in place of the `auth`'s own.

        Raises ConfigurationError (the extra is missing), httpx.ConnectError.
        """
        if auth.type in ("basic", "bearer"):
            return [_simple(auth)]
        if auth.type == "aws-sigv4":
            credentials, of_auth, service = _aws(auth)
            return sign(credentials, region or of_auth, service, url, sent, body, now)
        if auth.type == "google-id-token":
            return [("authorization", f"Bearer {await self._identity(auth, now)}")]
        signer = self._signers.get(auth)
        if signer is None:
            signer = self._signers[auth] = make_signer(auth)
        request = httpx.Request("POST", url, headers=list(sent), content=body)
        before = set(request.headers)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(4, "hookrouter-auth")
        try:
            signed = await asyncio.get_running_loop().run_in_executor(self._threads, _sign, signer, request)
        except Exception as error:  # noqa: BLE001  whatever the token's server did to the library: nothing was sent
            raise httpx.ConnectError(f"no {auth.type} authorization: {type(error).__name__}: {error}") from None
        return [(name, value) for name, value in signed.headers.items() if name not in before]

    async def _identity(self, auth: Auth, now: float) -> str:
        """A token for the audience; who needs the same one at the same time waits for one question."""
        async with self._asking.setdefault(auth, asyncio.Lock()):
            token, until = self._tokens.get(auth, ("", 0.0))
            if until > now:
                return token
            try:
                token = await self._ask(dict(auth.options), now)
                self._tokens[auth] = token, expires_at(token) - _MARGIN
            except (httpx.TransportError, TooLarge, ValueError) as error:
                raise httpx.ConnectError(f"no {auth.type} authorization: {error}") from None
            return token

    async def _ask(self, options: dict[str, str], now: float) -> str:
        """Raises httpx.TransportError, TooLarge, ValueError, ConfigurationError."""
        assert self._http is not None
        audience, key = options["audience"], options.get("service_account_key")
        if key is None:
            method, url, body = "GET", identity_url(audience, options.get("metadata_host", "")), b""
            headers = [("metadata-flavor", "Google")]
        else:
            account = service_account(key)
            method, url, body, headers = "POST", account.token_uri, grant(account, audience, now), _ASKING
        reply = await self._http.send(method, url, headers, body, timeout=_TOKEN_TIMEOUT, limit=_MOST_TOKEN)
        if reply.status != 200:
            shown = " ".join(reply.body[:200].decode("utf-8", "replace").split())
            raise ValueError(f"{shown_url(url)} answered {reply.status} `{shown}`")
        return given(reply.body) if key is not None else reply.body.decode("ascii", "replace").strip()


@lru_cache(maxsize=1024)
def _simple(auth: Auth) -> tuple[str, str]:
    if auth.type == "bearer":
        return "authorization", f"Bearer {auth.token}"
    token = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
    return "authorization", f"Basic {token}"


@lru_cache(maxsize=1024)
def _aws(auth: Auth) -> tuple[Credentials, str, str]:
    """Credentials, region and service."""
    given = dict(auth.options)
    credentials = Credentials(given["access_key_id"], given["secret_access_key"], given.get("session_token", ""))
    return credentials, given.get("region", ""), given.get("service", "lambda")


def _sign(signer: httpx.Auth, request: httpx.Request) -> httpx.Request:
    return next(signer.sync_auth_flow(request))


def make_signer(auth: Auth) -> httpx.Auth:
    """The flow for `oauth2`. Raises ConfigurationError where the extra is not installed."""
    options = dict(auth.options)
    try:
        import httpx_auth  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        message = f'type "{auth.type}" needs more: {extra("oauth")}'
        raise ConfigurationError([Fault("auth.type", message)]) from None
    signer: httpx.Auth = httpx_auth.OAuth2ClientCredentials(
        token_url=options["token_url"],
        client_id=options["client_id"],
        client_secret=options["client_secret"],
        client=httpx.Client(timeout=_TOKEN_TIMEOUT, trust_env=False),
        **({"scope": options["scope"]} if "scope" in options else {}),
    )
    return signer
