"""What became of a request, an attempt, a delivery: values, and the table that says what follows from a status."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

import msgspec

from hookrouter.errors import Fault

T = TypeVar("T")

Reason = Literal[
    "response",  # a whole answer was read; `status` says which
    "refused_connection",  # nothing was sent: no route, no listener, name not found, TLS failed before the request
    "reset",  # the connection ended after (part of) the request was sent: it may have been acted on
    "timeout",  # this attempt's time, or the deadline, ran out
    "too_large",  # the answer is over the limit; what was read was thrown away
    "bad_response",  # not HTTP
]

NO_BODY = frozenset({202, 204, 205})
"""Statuses of an answer whose body says nothing, whatever it is."""


class Attempt(msgspec.Struct, frozen=True):
    """One HTTP request and what came of it. `retry_after` is in seconds, None where the answer named none.

    `stale`: a `reset` of a kept connection before a byte of the answer: the endpoint had most likely closed it before
    the request came, and the next attempt need not wait.
    """

    number: int
    reason: Reason
    status: int | None = None
    content_type: str = ""
    body: bytes = b""
    retry_after: float | None = None
    seconds: float = 0.0
    detail: str = ""
    stale: bool = False


class Answered(msgspec.Struct, Generic[T], frozen=True):
    """A control delivery that came to an answer in time."""

    answer: T
    attempts: int
    seconds: float
    status: int = 200
    body: bytes = b""

    @property
    def in_words(self) -> str:
        """What came, for somebody who wonders why nothing follows from it."""
        body = self.body.strip()
        if not body:
            return f"{self.status} and an empty body"
        shown = body[:60].decode("utf-8", "replace") + ("…" if len(body) > 60 else "")
        return f"{self.status} and `{shown}`"


class Unanswered(msgspec.Struct, frozen=True):
    """A control delivery that did not: why, and (for a refused answer) every fault.

    `reason` is an attempt's reason, or `status` (a status that is not retried, or still failing at the end),
    `refused_answer` (the answer was read and is wrong), `breaker_open`, `deadline` (it ended the last attempt).
    """

    reason: str
    status: int | None = None
    attempts: int = 0
    seconds: float = 0.0
    detail: str = ""
    faults: tuple[Fault, ...] = ()
    url: str = ""
