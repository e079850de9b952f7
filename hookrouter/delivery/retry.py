"""Which control attempt is followed by another: the contract's table, as data.

The notify table is in schedule.py. Source: the contract, Delivery; RFC 9110, 10.2.3 (`Retry-After`).
"""

from __future__ import annotations

from datetime import UTC
from email.utils import parsedate_to_datetime

from hookrouter.delivery.outcome import Attempt

MAX_ATTEMPTS = 3
RETRIED_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504, *range(520, 528), 530})
"""From 520 on: Cloudflare's, for a server behind it that does not answer."""
RETRIED_REASONS = frozenset({"refused_connection", "reset", "timeout"})
FIRST_DELAY = 0.1
SHORTEST_ATTEMPT = 0.05
LONGEST_RETRY_AFTER = 36_000.0


def succeeded(attempt: Attempt) -> bool:
    """Any 2xx that was read whole."""
    return attempt.reason == "response" and attempt.status is not None and 200 <= attempt.status < 300


def retried(attempt: Attempt) -> bool:
    """Whether the table says that another attempt may end better, however many there were."""
    if attempt.reason == "response":
        return attempt.status in RETRIED_STATUSES
    return attempt.reason in RETRIED_REASONS


def next_delay(attempt: Attempt, left: float, jitter: float) -> float | None:
    """Seconds until the next attempt, None where there is none. `left`: seconds of the deadline; `jitter`: 0 to 1.

    100 to 200 ms after the first attempt, 200 to 400 ms after the second; `Retry-After` if it is longer; none at all
    after a stale connection. No attempt is begun that would have less than `SHORTEST_ATTEMPT` of the deadline.
    """
    if attempt.number >= MAX_ATTEMPTS or not retried(attempt):
        return None
    delay = 0.0 if attempt.stale else FIRST_DELAY * 2.0 ** (attempt.number - 1) * (1 + jitter)
    if attempt.retry_after is not None:
        delay = max(delay, attempt.retry_after)
    return delay if delay + SHORTEST_ATTEMPT <= left else None


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds from `now` (since the epoch); None where the header says nothing that can be understood.

    >>> parse_retry_after("120", 0.0)
    120.0
    """
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:20]), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        return min(max(0.0, at.timestamp() - now), LONGEST_RETRY_AFTER)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
