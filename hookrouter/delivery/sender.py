"""One HTTP attempt of one delivery, from signing to the last byte of the answer; never raises for the endpoint's sake."""

from __future__ import annotations

import asyncio
import base64
import time

import httpx

from hookrouter.clock import Clock
from hookrouter.delivery.envelope import Message, headers
from hookrouter.delivery.outcome import Attempt, Reason
from hookrouter.delivery.retry import parse_retry_after
from hookrouter.errors import ConfigurationError, Fault
from hookrouter.http import NOT_SENT, Http, TooLarge
from hookrouter.routing.endpoint import Auth, Endpoint

MAX_ANSWER_BYTES = 256 * 1024


class Sender:
    """Sends attempts over one pool of connections."""

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._signers: dict[Auth, httpx.Auth] = {}

    async def attempt(
        self, endpoint: Endpoint, message: Message, number: int, timeout: float, left: float | None
    ) -> Attempt:
        """Attempt `number` (from 1), within `timeout` seconds. `left`: seconds of the deadline, None for notify."""
        started = self._clock.monotonic()
        now = self._clock.now()
        deadline_ms = None if left is None else int(left * 1000)
        wanted = headers(endpoint, message, number, now, deadline_ms)
        reason: Reason
        try:
            wanted.extend(await self._authorize(endpoint, message.body, wanted))
            reply = await self._http.send(
                "POST", endpoint.url, wanted, message.body, timeout=timeout, limit=MAX_ANSWER_BYTES
            )
        except TooLarge as error:
            reason, detail = "too_large", str(error)
        except NOT_SENT as error:
            reason, detail = "refused_connection", str(error)
        except httpx.TimeoutException as error:
            reason, detail = "timeout", str(error)
        except (httpx.RemoteProtocolError, httpx.InvalidURL) as error:
            reason, detail = "bad_response", str(error)
        except httpx.TransportError as error:
            reason, detail = "reset", str(error)
        else:
            return self._read(number, reply.status, reply, self._clock.monotonic() - started, now)
        return Attempt(number, reason, seconds=self._clock.monotonic() - started, detail=detail[:300])

    def _read(self, number: int, status: int, reply: object, seconds: float, now: float) -> Attempt:
        from hookrouter.http import HttpReply

        assert isinstance(reply, HttpReply)
        if reply.header("content-encoding", "identity") not in ("identity", ""):
            return Attempt(
                number,
                "bad_response",
                status,
                seconds=seconds,
                detail=f"content-encoding `{reply.header('content-encoding')}` was not asked for",
            )
        after = reply.headers.get("retry-after")
        return Attempt(
            number,
            "response",
            status,
            reply.header("content-type"),
            reply.body,
            None if after is None else parse_retry_after(after, now),
            seconds,
        )

    async def _authorize(self, endpoint: Endpoint, body: bytes, sent: list[tuple[str, str]]) -> list[tuple[str, str]]:
        auth = endpoint.auth
        if auth is None:
            return []
        if auth.type == "basic":
            token = base64.b64encode(f"{auth.username}:{auth.password}".encode()).decode()
            return [("authorization", f"Basic {token}")]
        if auth.type == "bearer":
            return [("authorization", f"Bearer {auth.token}")]
        return await self._signed(endpoint, auth, body, sent)

    async def _signed(
        self, endpoint: Endpoint, auth: Auth, body: bytes, sent: list[tuple[str, str]]
    ) -> list[tuple[str, str]]:
        """OAuth2 and AWS signatures, by the extra `oauth`: what its flow adds to the request."""
        signer = self._signers.get(auth)
        if signer is None:
            signer = self._signers[auth] = _signer(auth)
        request = httpx.Request("POST", endpoint.url, headers=sent, content=body)
        before = set(request.headers)

        def flow() -> httpx.Request:
            return next(signer.sync_auth_flow(request))

        signed = await asyncio.to_thread(flow)
        return [(name, value) for name, value in signed.headers.items() if name not in before]


def _signer(auth: Auth) -> httpx.Auth:
    options = dict(auth.options)
    try:
        import httpx_auth  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        message = f'auth type "{auth.type}" needs the extra: pip install "hookrouter[oauth]"'
        raise ConfigurationError([Fault("auth.type", message)]) from None
    if auth.type == "aws-sigv4":
        found: httpx.Auth = httpx_auth.AWS4Auth(
            access_id=options["access_key_id"],
            secret_key=options["secret_access_key"],
            service=options.get("service", "lambda"),
            region=options["region"],
        )
        return found
    return httpx_auth.OAuth2ClientCredentials(  # type: ignore[no-any-return]
        token_url=options["token_url"],
        client_id=options["client_id"],
        client_secret=options["client_secret"],
        **({"scope": options["scope"]} if "scope" in options else {}),
    )


__all__ = ["MAX_ANSWER_BYTES", "Message", "Sender", "time"]
