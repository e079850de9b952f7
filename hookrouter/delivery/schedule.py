"""What an attempt makes of a notify delivery: done, again later, or a dead letter; a function of status and count.

Rules: 2xx is done; 400, 405, 410, 413, 415 and 422 will not get better and are dead at once, 410 stops the endpoint;
everything else is tried again along `NOTIFY_DELAYS`, plus up to a fifth of it. `Retry-After` on 429 and 503 pauses the
whole endpoint for the longer of it and the schedule, at most `LONGEST_PAUSE`.
"""

from __future__ import annotations

import msgspec

from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.queue import Status

NOTIFY_DELAYS = (0.0, 5.0, 30.0, 300.0, 1_800.0, 7_200.0, 18_000.0, 36_000.0, 50_400.0, 72_000.0, 86_400.0)
JITTER = 0.2
FINAL_STATUSES = frozenset({400, 405, 410, 413, 415, 422})
GONE = 410
PAUSING_STATUSES = frozenset({429, 503})
LONGEST_PAUSE = 36_000.0
LONGEST_WAIT = sum(NOTIFY_DELAYS) * (1 + JITTER)  # a delivery that has been due for longer than this is a dead letter


class Verdict(msgspec.Struct, frozen=True):
    """What follows from an attempt.

    `delay`: seconds until the next attempt, where it is `pending`; `pause`: seconds for which the endpoint gets
    nothing, None where it did not ask for it; `stop`: it never wants more; `healthy`: it works, whatever it thought of
    this delivery.
    """

    status: Status
    reason: str
    delay: float = 0.0
    pause: float | None = None
    stop: bool = False
    healthy: bool = False


def why(attempt: Attempt) -> str:
    """`status_503` and the like for an answer, else the attempt's reason."""
    return f"status_{attempt.status}" if attempt.reason == "response" else attempt.reason


def after_attempt(attempt: Attempt, tries: int, jitter: float) -> Verdict:
    """`tries`: attempts since the schedule began, this one included; `jitter`: from 0 up to 1."""
    reason = why(attempt)
    status = attempt.status if attempt.reason == "response" and attempt.status is not None else 0
    if 200 <= status < 300:
        return Verdict("delivered", reason, healthy=True)
    if status in FINAL_STATUSES:
        return Verdict("dead", reason, stop=status == GONE, healthy=True)
    if tries >= len(NOTIFY_DELAYS):
        return Verdict("dead", reason)
    delay = NOTIFY_DELAYS[tries] * (1 + JITTER * jitter)
    if status in PAUSING_STATUSES and attempt.retry_after is not None:
        delay = max(delay, min(attempt.retry_after, LONGEST_PAUSE))
        return Verdict("pending", reason, delay, pause=min(delay, LONGEST_PAUSE))
    return Verdict("pending", reason, delay)
