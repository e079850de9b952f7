"""docs/delivery.md says what the code does."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

from hookrouter.delivery import retry, schedule
from hookrouter.delivery.breaker import Breaker
from hookrouter.delivery.deliverer import MOST_IN_FLIGHT
from hookrouter.delivery.envelope import Message, headers
from hookrouter.delivery.outcome import Reason
from hookrouter.http.client import LATE_SECONDS, MOST_WATCHED
from hookrouter.routing.endpoint import Endpoint

TEXT = (Path(__file__).parents[3] / "docs" / "delivery.md").read_text()
CLOUD = {*range(520, 528), 530}
FLAT = " ".join(TEXT.split())


def test_every_header() -> None:
    """Each header that a request may have is named."""
    for format in ("standard", "cloudevents"):
        endpoint = Endpoint("http://x/", (b"0123456789abcdef",), format=format)  # type: ignore[arg-type]
        message = Message("e", "T", b"{}", "control", "c", "r", "t", "a")
        for name, _ in headers(endpoint, message, 1, 0.0, 1):
            assert f"`{name}`" in TEXT or name == "content-type"


@pytest.mark.parametrize("reason", sorted(set(get_args(Reason)) - {"response"} | {"status", "refused_answer", "deadline"}))
def test_every_reason(reason: str) -> None:
    """Each reason has its row."""
    assert re.search(rf"^\|[^|]+\| `{reason}` \|", TEXT, re.MULTILINE)


@pytest.mark.parametrize(
    "sentence",
    [
        f"| {', '.join(map(str, sorted(retry.RETRIED_STATUSES - CLOUD)))}, 520 to 527, 530 | `status` | yes |",
        f"at most {retry.MAX_ATTEMPTS} attempts",
        f"less than {retry.SHORTEST_ATTEMPT * 1000:.0f} ms",
        f"| {', '.join(map(str, sorted(schedule.FINAL_STATUSES - {schedule.GONE})))} | dead letter at once",
        f"listened to for up to {LATE_SECONDS:.0f} s after the timeout for that purpose, {MOST_WATCHED} of them",
        f"at most {MOST_IN_FLIGHT} deliveries under way",
        f"then every {Breaker().longest:.0f} s",
        f"{('', '', '', '', '', 'Five')[Breaker().open_after]} failed deliveries in a row",
    ],
)
def test_the_numbers(sentence: str) -> None:
    """The numbers are those of the code."""
    assert sentence in FLAT
