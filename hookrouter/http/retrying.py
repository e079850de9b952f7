"""Retries of one request inside the process; the only file that knows tenacity.

Rule: the first try is the caller's own, awaited inline; tenacity is entered only when it failed (entering it costs tens
of microseconds, and nearly every first try succeeds).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

T = TypeVar("T")


class Again(Exception):
    """Raised by a try that may be made again; `cause` is what the last one leaves behind."""

    def __init__(self, cause: object) -> None:
        super().__init__(str(cause))
        self.cause = cause


async def try_again(
    attempt: Callable[[int], Awaitable[T]],
    *,
    total: float,
    first_delay: float = 0.05,
    longest_delay: float = 1.0,
    sleep: Callable[[float], Awaitable[None]],
    now: Callable[[], float],
) -> T:
    """Calls `attempt(number)`, from 2 on, until it returns; exponential backoff with full jitter before each.

    `total`: seconds (of `now`, monotonic) after which no new try begins. Raises the last `Again`, and at once whatever
    else a try raises.
    """
    number, until = 1, now() + total
    await sleep(first_delay)  # tenacity's own first try would come at once
    async for turn in tenacity.AsyncRetrying(
        retry=tenacity.retry_if_exception_type(Again),
        stop=lambda state: now() >= until,
        wait=tenacity.wait_random_exponential(multiplier=first_delay, max=longest_delay, min=first_delay),
        sleep=sleep,
        reraise=True,
    ):
        with turn:
            number += 1
            return await attempt(number)
    raise AssertionError("unreachable: tenacity returns or raises")
