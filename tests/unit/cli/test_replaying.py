"""What of a recorded call is sent again, and where."""

from __future__ import annotations

from typing import Any

import pytest

from hookrouter.cli.replaying import asked
from hookrouter.text.urls import beside


def test_what_is_sent_again_is_what_counted() -> None:
    """Of each control event the last attempt, in the order in which they were finished; notifications are not asked."""
    entries: list[dict[str, Any]] = [
        {"what": "Exchanged", "event": "a", "attempt": 1, "request": "1", "status": 503},
        {"what": "Exchanged", "event": "a", "attempt": 2, "request": "1", "status": 200},
        {"what": "Exchanged", "event": "n", "attempt": 1, "request": "2", "status": 200},
        {"what": "DeliveryFinished", "event": "n", "type": "StasisStart", "kind": "notify"},
        {"what": "DeliveryFinished", "event": "a", "type": "StasisStart", "kind": "control"},
        {"what": "DeliveryFinished", "event": "b", "type": "StasisEnd", "kind": "control"},
    ]
    assert [(one["event"], one["attempt"], one["type"]) for one in asked(entries)] == [("a", 2, "StasisStart")]


@pytest.mark.parametrize(
    ("url", "there"),
    [
        ("https://ivr.test/main?code=***", "http://localhost:3000/hook"),
        ("https://ivr.test/other", "http://localhost:3000/other"),
    ],
)
def test_other_paths_stay_other_paths(url: str, there: str) -> None:
    """What an action's own `url` got goes to the same path of the other host."""
    assert beside("http://localhost:3000/hook", "https://ivr.test/main", url) == there
