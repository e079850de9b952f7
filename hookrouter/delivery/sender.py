"""One HTTP attempt of one delivery, from signing to the last byte of the answer; never raises for the endpoint's sake.

Rules: a status that is not 2xx says all there is to say, its body is of no interest; a 2xx is only as good as its whole
body. Time starts with the attempt, getting a token included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import httpx

from hookrouter.clock import Clock
from hookrouter.delivery.auth import Authorizer
from hookrouter.delivery.envelope import RESERVED, Message, headers
from hookrouter.delivery.invoking import MOST_READ, Invocation, NotAnAnswer, answered, invocation
from hookrouter.delivery.outcome import Attempt, Reason
from hookrouter.delivery.retry import parse_retry_after
from hookrouter.errors import ConfigurationError
from hookrouter.facts import Exchanged, Facts
from hookrouter.http.client import NOT_SENT, Http, HttpReply, StaleConnection, TooLarge
from hookrouter.routing.endpoint import Auth, Endpoint
from hookrouter.text.functions import function, is_function
from hookrouter.text.urls import shown_url

MAX_ANSWER_BYTES = 256 * 1024
MASK = "(hidden)"
OURS = (*RESERVED, "user-agent", "accept", "traceparent", "prefer")
"""What our own headers begin with; any other may be a secret."""
_SECRET_HEADERS = frozenset(
    """set-cookie set-cookie2 cookie location authorization proxy-authorization authentication-info
    x-api-key x-auth-token x-access-token x-refresh-token x-csrf-token x-xsrf-token x-amz-security-token
    x-functions-key apikey api-key""".split()  # noqa: SIM905
)
_MOST_DETAIL = 300
_MOST_SHOWN = 200  # bytes of the body
_REMEDIES = {
    401: "it does not let us in; does it have the route's secret, or want an `auth`?",
    403: "it does not let us in; does it have the route's secret, or want an `auth`?",
    404: "nothing is at this path; is the url right, and is the flow active?",
    405: "it takes no POST at this path",
}


class Sender:
    """Sends attempts over one pool of connections."""

    def __init__(self, http: Http, clock: Clock, facts: Facts | None = None) -> None:
        self._http = http
        self._clock = clock
        self._facts = facts or Facts()
        self._authorizer = Authorizer(http)

    async def attempt(
        self,
        endpoint: Endpoint,
        message: Message,
        number: int,
        timeout: float,
        left: float | None,
        late: Callable[[], None] | None = None,
    ) -> Attempt:
        """Attempt `number` (from 1), within `timeout` seconds. `left`: seconds of the deadline, None for notify.

        `late` is called when the answer comes after all, too late.
        """
        started, now = self._clock.monotonic(), self._clock.now()
        wanted = headers(endpoint, message, number, now, None if left is None else int(left * 1000))
        url, sent, body, limit = endpoint.url, wanted, message.body, MAX_ANSWER_BYTES
        invoked: Invocation | None = None
        reason: Reason
        reply: HttpReply | None = None
        try:
            if endpoint.auth is not None:
                region = ""
                if is_function(url):
                    invoked = _invocation(endpoint, endpoint.auth, message, wanted, now)
                    (url, sent, body, region), limit = invoked, MOST_READ
                async with asyncio.timeout(timeout):
                    sent += await self._authorizer.headers(endpoint.auth, url, sent, body, now, region)
                timeout -= self._clock.monotonic() - started
            reply = await self._http.send(
                "POST", url, sent, body, timeout=timeout, limit=limit, late=late, trust=endpoint.trust
            )
            words = ""
            if invoked is not None:
                reply, words = answered(reply)
            return _read(number, reply, self._clock.monotonic() - started, now, words)
        except TooLarge as error:
            if not 200 <= error.status < 300:
                return Attempt(number, "response", error.status, seconds=self._clock.monotonic() - started)
            reason, detail = "too_large", str(error)
        except (*NOT_SENT, httpx.InvalidURL, ConfigurationError, TimeoutError) as error:
            reason, detail = "refused_connection", str(error) or "no authorization in time"
        except httpx.TimeoutException as error:
            reason, detail = "timeout", str(error)
        except (httpx.RemoteProtocolError, NotAnAnswer) as error:
            reason, detail = "bad_response", str(error)
        except httpx.TransportError as error:
            seconds, stale = self._clock.monotonic() - started, isinstance(error, StaleConnection)
            return Attempt(number, "reset", seconds=seconds, detail=str(error)[:_MOST_DETAIL], stale=stale)
        finally:
            if self._facts.wanted(Exchanged):
                self._facts.emit(
                    _exchanged(endpoint, message, number, wanted, reply, self._clock.monotonic() - started)
                )
        return Attempt(number, reason, seconds=self._clock.monotonic() - started, detail=detail[:_MOST_DETAIL])


def _invocation(
    endpoint: Endpoint, auth: Auth, message: Message, wanted: list[tuple[str, str]], now: float
) -> Invocation:
    """The request to Lambda's API; what is `wanted` goes into it."""
    given = dict(auth.options)
    region, there = given.get("region", ""), given.get("endpoint_url", "")
    try:
        to = function(endpoint.url)
    except ValueError as error:
        raise httpx.UnsupportedProtocol(str(error)) from None
    return invocation(to, region, there, message.id, wanted, message.body, now)


def _exchanged(
    endpoint: Endpoint, message: Message, number: int, sent: list[tuple[str, str]], reply: HttpReply | None,
    seconds: float,
) -> Exchanged:  # fmt: skip
    """What was sent and what came back, without the secrets in it."""
    if endpoint.auth is not None or endpoint.headers:
        theirs = {name.lower() for name, _ in endpoint.headers}
        sent = [(name, MASK if name in theirs or not name.startswith(OURS) else value) for name, value in sent]
    about = (message.id, message.call, number, endpoint.shown, dict(sent), message.body)
    if reply is None:
        return Exchanged(*about, seconds=seconds)
    return Exchanged(
        *about,
        reply.status,
        _without_secrets(reply.headers),
        reply.body,
        reply.connect_seconds,
        reply.first_byte_seconds,
        seconds,
    )


def _without_secrets(headers: Mapping[str, str]) -> Mapping[str, str]:
    """An answer's headers for the record: no cookies, no tokens, no query of a redirect."""
    if _SECRET_HEADERS.isdisjoint(headers):
        return headers
    shown = {name: MASK if name in _SECRET_HEADERS else value for name, value in headers.items()}
    if "location" in headers:
        shown["location"] = shown_url(headers["location"])
    return shown


def _read(number: int, reply: HttpReply, seconds: float, now: float, words: str = "") -> Attempt:
    """`words`: why it is no answer, where the reply does not tell."""
    status, found, body = reply.status, reply.headers, reply.body
    after = found.get("retry-after")
    pause = None if after is None else parse_retry_after(after, now)
    kind = found.get("content-type", "")
    if not 200 <= status < 300:
        detail = words[:_MOST_DETAIL] or _status_in_words(reply)
        return Attempt(number, "response", status, kind, body, pause, seconds, detail)
    if len(body) > MAX_ANSWER_BYTES:
        detail = f"the answer has {len(body)} bytes; at most {MAX_ANSWER_BYTES} are read"
        return Attempt(number, "too_large", status, seconds=seconds, detail=detail)
    encoding = found.get("content-encoding", "").strip().lower()
    if encoding not in ("identity", ""):
        detail = f"content-encoding `{encoding[:40]}` was not asked for: answer without compression"
        return Attempt(number, "bad_response", status, seconds=seconds, detail=detail)
    return Attempt(number, "response", status, kind, body, pause, seconds)


def _status_in_words(reply: HttpReply) -> str:
    """What was answered instead of a 2xx, and what can be done about it."""
    words = f"answered {reply.status}"
    if 300 <= reply.status < 400 and (target := reply.headers.get("location")):
        return f"{words}, a redirect to `{shown_url(target)[:200]}`: redirects are not followed; give that address in the route"
    if remedy := _REMEDIES.get(reply.status):
        words = f"{words}: {remedy}"
    shown = " ".join(reply.body[:_MOST_SHOWN].decode("utf-8", "replace").split())
    return f"{words} `{shown}`" if shown else words


__all__ = ["MAX_ANSWER_BYTES", "Message", "Sender"]
