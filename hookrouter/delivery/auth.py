"""How a request proves who we are, beside its signature: basic and bearer here, OAuth2 and AWS signatures by httpx-auth.

Rules: what the extra `oauth` does runs in threads of its own, for it asks the token's server without our event loop; a
token server that hangs holds up nothing but the endpoints that need it.
Source: RFC 7617 (basic), RFC 6750 (bearer), RFC 6749, 4.4 (client credentials).
"""

from __future__ import annotations

import asyncio
import base64
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import httpx

from hookrouter.errors import ConfigurationError, Fault
from hookrouter.http import Headers
from hookrouter.routing.endpoint import Auth

_TOKEN_TIMEOUT = 5.0


class Authorizer:
    """Makes the headers that an endpoint's `auth` asks for; one for all endpoints, it keeps their tokens."""

    def __init__(self) -> None:
        self._signers: dict[Auth, httpx.Auth] = {}
        self._threads: ThreadPoolExecutor | None = None

    async def headers(self, auth: Auth, url: str, sent: Headers, body: bytes) -> list[tuple[str, str]]:
        """What comes to the headers `sent`. Raises ConfigurationError (the extra is missing), httpx.ConnectError."""
        if auth.type in ("basic", "bearer"):
            return [_simple(auth)]
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


@lru_cache(maxsize=1024)
def _simple(auth: Auth) -> tuple[str, str]:
    if auth.type == "bearer":
        return "authorization", f"Bearer {auth.token}"
    token = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
    return "authorization", f"Basic {token}"


def _sign(signer: httpx.Auth, request: httpx.Request) -> httpx.Request:
    return next(signer.sync_auth_flow(request))


def make_signer(auth: Auth) -> httpx.Auth:
    """The flow for `oauth2` or `aws-sigv4`. Raises ConfigurationError where the extra is not installed."""
    options = dict(auth.options)
    try:
        import httpx_auth  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        message = f'type "{auth.type}" needs an extra: pip install "hookrouter[oauth]"'
        raise ConfigurationError([Fault("auth.type", message)]) from None
    signer: httpx.Auth
    if auth.type == "aws-sigv4":
        signer = httpx_auth.AWS4Auth(
            access_id=options["access_key_id"],
            secret_key=options["secret_access_key"],
            service=options.get("service", "lambda"),
            region=options["region"],
            **({"security_token": options["session_token"]} if "session_token" in options else {}),
        )
        return signer
    signer = httpx_auth.OAuth2ClientCredentials(
        token_url=options["token_url"],
        client_id=options["client_id"],
        client_secret=options["client_secret"],
        client=httpx.Client(timeout=_TOKEN_TIMEOUT, trust_env=False),
        **({"scope": options["scope"]} if "scope" in options else {}),
    )
    return signer
