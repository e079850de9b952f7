"""The control table: which attempt is followed by another, and when."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.delivery.outcome import Attempt, Reason
from hookrouter.delivery.retry import (
    LONGEST_RETRY_AFTER,
    MAX_ATTEMPTS,
    next_delay,
    parse_retry_after,
    retried,
    succeeded,
)

AGAIN = {408, 409, 425, 429, 500, 502, 503, 504, *range(520, 528), 530}


@pytest.mark.parametrize("status", range(100, 600))
def test_every_status(status: int) -> None:
    """2xx is an answer, the contract's are tried again, everything else is final."""
    attempt = Attempt(1, "response", status)
    assert succeeded(attempt) == (200 <= status < 300)
    assert retried(attempt) == (status in AGAIN)


@pytest.mark.parametrize(
    ("reason", "again"),
    [
        ("refused_connection", True),
        ("reset", True),
        ("timeout", True),
        ("too_large", False),
        ("bad_response", False),
    ],
)
def test_every_reason(reason: Reason, again: bool) -> None:
    """No connection, a reset and a timeout are tried again; a wrong answer would be the same."""
    attempt = Attempt(1, reason, 200)
    assert not succeeded(attempt)
    assert retried(attempt) is again


@pytest.mark.parametrize(
    ("attempt", "left", "jitter", "delay"),
    [
        pytest.param(Attempt(1, "timeout"), 8.0, 0.0, 0.1, id="first pause"),
        pytest.param(Attempt(1, "timeout"), 8.0, 1.0, 0.2, id="first pause, all jitter"),
        pytest.param(Attempt(2, "timeout"), 8.0, 0.0, 0.2, id="second pause"),
        pytest.param(Attempt(2, "timeout"), 8.0, 1.0, 0.4, id="second pause, all jitter"),
        pytest.param(Attempt(3, "timeout"), 8.0, 0.0, None, id="three are enough"),
        pytest.param(Attempt(1, "response", 404), 8.0, 0.0, None, id="final"),
        pytest.param(Attempt(1, "reset", stale=True), 8.0, 0.5, 0.0, id="stale: at once"),
        pytest.param(Attempt(1, "timeout"), 0.151, 0.0, 0.1, id="just enough left"),
        pytest.param(Attempt(1, "timeout"), 0.149, 0.0, None, id="not enough left"),
        pytest.param(Attempt(1, "timeout"), -1.0, 0.0, None, id="past the deadline"),
        pytest.param(Attempt(1, "response", 503, retry_after=2.0), 8.0, 0.0, 2.0, id="Retry-After fits"),
        pytest.param(Attempt(1, "response", 503, retry_after=8.0), 8.0, 0.0, None, id="Retry-After does not fit"),
        pytest.param(Attempt(1, "response", 503, retry_after=0.0), 8.0, 0.5, 0.15, id="Retry-After: 0"),
    ],
)
def test_next_delay(attempt: Attempt, left: float, jitter: float, delay: float | None) -> None:
    """The pause before the next attempt, or None."""
    assert next_delay(attempt, left, jitter) == (None if delay is None else pytest.approx(delay))


@given(st.integers(1, 5), st.floats(0, 20), st.floats(0, 1), st.none() | st.floats(0, 40_000))
def test_no_attempt_outlives_the_deadline(number: int, left: float, jitter: float, after: float | None) -> None:
    """Whatever happens, there are at most three attempts, none begun after the deadline."""
    delay = next_delay(Attempt(number, "response", 503, retry_after=after), left, jitter)
    if delay is not None:
        assert number < MAX_ATTEMPTS
        assert 0 <= delay < left
        assert after is None or delay >= after


NOW = 1_795_396_880.0  # 2026-11-23T01:21:20Z


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("99999999999999999999999999", LONGEST_RETRY_AFTER),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("²", None),
        ("Mon, 23 Nov 2026 01:21:50 GMT", 30.0),
        ("Mon, 23 Nov 2026 01:21:50 -0000", 30.0),
        ("Mon, 23 Nov 2026 02:21:50 +0100", 30.0),
        ("Monday, 23-Nov-26 01:21:50 GMT", 30.0),
        ("Mon, 23 Nov 2020 01:21:50 GMT", 0.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER),
        ("Mon, 23 Nov 2026 99:99:99 GMT", None),
        ("Fri, 31 Dec 99999 23:59:59 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    """Seconds or a date, whatever its zone; what is absurd is capped, what is no time is None."""
    assert parse_retry_after(value, NOW) == seconds


@given(st.text())
def test_retry_after_of_anything(value: str) -> None:
    """No header value raises."""
    found = parse_retry_after(value, NOW)
    assert found is None or 0 <= found <= LONGEST_RETRY_AFTER
