"""Which control attempt is followed by another: the contract's table, as data.

The notify table is in schedule.py. Source: the contract, Delivery; RFC 9110 (`Retry-After`).
"""

from __future__ import annotations

from email.utils import parsedate_to_datetime

from hookrouter.delivery.outcome import Attempt

MAX_ATTEMPTS = 3
RETRIED_STATUSES = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
RETRIED_REASONS = frozenset({"refused_connection", "reset", "timeout"})
FIRST_DELAY = 0.1
LONGEST_RETRY_AFTER = 36_000.0


def succeeded(attempt: Attempt) -> bool:
    """Any 2xx that was read whole."""
    return attempt.reason == "response" and attempt.status is not None and 200 <= attempt.status < 300


def next_delay(attempt: Attempt, left: float, jitter: float) -> float | None:
    """Seconds until the next attempt, None where there is none. `left`: seconds of the deadline; `jitter`: 0 to 1."""
    if attempt.number >= MAX_ATTEMPTS:
        return None
    if attempt.reason == "response":
        if attempt.status not in RETRIED_STATUSES:
            return None
    elif attempt.reason not in RETRIED_REASONS:
        return None
    delay = FIRST_DELAY * 2 ** (attempt.number - 1) * (1 + jitter)
    if attempt.retry_after is not None:
        delay = max(delay, attempt.retry_after)
    return delay if delay < left else None


def parse_retry_after(value: str, now: float) -> float | None:
    """Seconds from `now` (since the epoch); None where the header says nothing that can be understood.

    >>> parse_retry_after("120", 0.0)
    120.0
    """
    text = value.strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return min(float(text[:9]), LONGEST_RETRY_AFTER)
    try:
        at = parsedate_to_datetime(text)
    except (TypeError, ValueError, IndexError, OverflowError):
        return None
    return min(max(0.0, at.timestamp() - now), LONGEST_RETRY_AFTER)
