"""One HTTP attempt of one delivery, from signing to the last byte of the answer; never raises for the endpoint's sake.

Rules: a status that is not 2xx says all there is to say, its body is of no interest; a 2xx is only as good as its whole
body. Time starts with the attempt, getting a token included.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import httpx

from hookrouter.clock import Clock
from hookrouter.delivery.auth import Authorizer
from hookrouter.delivery.envelope import Message, headers
from hookrouter.delivery.outcome import Attempt, Reason
from hookrouter.delivery.retry import parse_retry_after
from hookrouter.errors import ConfigurationError
from hookrouter.http import NOT_SENT, Http, HttpReply, StaleConnection, TooLarge
from hookrouter.routing.endpoint import Endpoint

MAX_ANSWER_BYTES = 256 * 1024
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

    def __init__(self, http: Http, clock: Clock) -> None:
        self._http = http
        self._clock = clock
        self._authorizer = Authorizer()

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
        reason: Reason
        try:
            if endpoint.auth is not None:
                async with asyncio.timeout(timeout):
                    wanted += await self._authorizer.headers(endpoint.auth, endpoint.url, wanted, message.body)
                timeout -= self._clock.monotonic() - started
            reply = await self._http.send(
                "POST", endpoint.url, wanted, message.body, timeout=timeout, limit=MAX_ANSWER_BYTES, late=late
            )
            return _read(number, reply, self._clock.monotonic() - started, now)
        except TooLarge as error:
            if not 200 <= error.status < 300:
                return Attempt(number, "response", error.status, seconds=self._clock.monotonic() - started)
            reason, detail = "too_large", str(error)
        except (*NOT_SENT, httpx.InvalidURL, ConfigurationError, TimeoutError) as error:
            reason, detail = "refused_connection", str(error) or "no authorization in time"
        except httpx.TimeoutException as error:
            reason, detail = "timeout", str(error)
        except httpx.RemoteProtocolError as error:
            reason, detail = "bad_response", str(error)
        except httpx.TransportError as error:
            seconds, stale = self._clock.monotonic() - started, isinstance(error, StaleConnection)
            return Attempt(number, "reset", seconds=seconds, detail=str(error)[:_MOST_DETAIL], stale=stale)
        return Attempt(number, reason, seconds=self._clock.monotonic() - started, detail=detail[:_MOST_DETAIL])


def _read(number: int, reply: HttpReply, seconds: float, now: float) -> Attempt:
    found = reply.headers
    after = found.get("retry-after")
    encoding = found.get("content-encoding", "identity")
    if encoding not in ("identity", "") and 200 <= reply.status < 300:
        detail = f"content-encoding `{encoding[:40]}` was not asked for: answer without compression"
        return Attempt(number, "bad_response", reply.status, seconds=seconds, detail=detail)
    return Attempt(
        number,
        "response",
        reply.status,
        found.get("content-type", ""),
        reply.body,
        None if after is None else parse_retry_after(after, now),
        seconds,
        "" if 200 <= reply.status < 300 else _status_in_words(reply),
    )


def _status_in_words(reply: HttpReply) -> str:
    """What was answered instead of a 2xx, and what can be done about it."""
    words = f"answered {reply.status}"
    if 300 <= reply.status < 400 and (target := reply.headers.get("location")):
        return f"{words}, a redirect to `{target[:200]}`: redirects are not followed; give that address in the route"
    if remedy := _REMEDIES.get(reply.status):
        words = f"{words}: {remedy}"
    shown = " ".join(reply.body[:_MOST_SHOWN].decode("utf-8", "replace").split())
    return f"{words} `{shown}`" if shown else words


__all__ = ["MAX_ANSWER_BYTES", "Message", "Sender"]
