"""What an attempt makes of a notify delivery."""

from __future__ import annotations

import pytest

from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.schedule import LONGEST_WAIT, NOTIFY_DELAYS, Verdict, after_attempt, why


def answered(status: int, retry_after: float | None = None) -> Attempt:
    return Attempt(1, "response", status, retry_after=retry_after)


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status(status: int) -> None:
    """2xx is delivered; six statuses are dead at once, 410 stops the endpoint; everything else is tried again."""
    verdict = after_attempt(answered(status), 1, 0.0)
    assert verdict.reason == f"status_{status}"
    assert verdict.stop == (status == 410)
    if 200 <= status < 300:
        assert verdict.status == "delivered"
    elif status in (400, 405, 410, 413, 415, 422):
        assert verdict.status == "dead"
    else:
        assert (verdict.status, verdict.delay, verdict.healthy) == ("pending", 5.0, False)


@pytest.mark.parametrize("reason", ["refused_connection", "reset", "timeout", "too_large", "bad_response"])
def test_no_answer_is_tried_again(reason: str) -> None:
    """Whatever happened on the way, at least once is what is promised."""
    attempt = Attempt(1, reason)  # type: ignore[arg-type]
    assert after_attempt(attempt, 1, 0.0) == Verdict("pending", reason, 5.0)
    assert why(attempt) == reason


def test_the_schedule_from_the_first_attempt_to_the_dead_letter() -> None:
    """Eleven attempts, with the contract's delays between them."""
    delays = [after_attempt(answered(500), tries, 0.0).delay for tries in range(1, 11)]
    assert delays == [5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400]
    assert NOTIFY_DELAYS[0] == 0.0
    assert after_attempt(answered(500), 11, 0.0).status == "dead"
    assert sum(delays) * 1.2 == pytest.approx(LONGEST_WAIT)


@pytest.mark.parametrize(("jitter", "delay"), [(0.0, 30.0), (0.5, 33.0), (0.999, 35.994)])
def test_jitter_adds_up_to_a_fifth(jitter: float, delay: float) -> None:
    """It only ever makes the delay longer."""
    assert after_attempt(answered(502), 2, jitter).delay == pytest.approx(delay)


@pytest.mark.parametrize(
    ("status", "retry_after", "tries", "delay", "pause"),
    [
        pytest.param(503, 60.0, 1, 60.0, 60.0, id="longer than the schedule"),
        pytest.param(429, 1.0, 1, 5.0, 5.0, id="shorter than the schedule"),
        pytest.param(429, 1e9, 1, 36_000.0, 36_000.0, id="at most ten hours"),
        pytest.param(429, 1.0, 10, 86_400.0, 36_000.0, id="the endpoint's pause too"),
        pytest.param(503, None, 1, 5.0, None, id="not named"),
        pytest.param(500, 60.0, 1, 5.0, None, id="another status"),
    ],
)
def test_retry_after(status: int, retry_after: float | None, tries: int, delay: float, pause: float | None) -> None:
    """On 429 and 503 it pauses the endpoint for the longer of it and the schedule."""
    verdict = after_attempt(answered(status, retry_after), tries, 0.0)
    assert (verdict.delay, verdict.pause) == (delay, pause)
