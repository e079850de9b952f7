"""What somebody may look for in the record, and how the control API shows what is found."""

from __future__ import annotations

import json

import pytest

from hookrouter.record.entries import Entry
from hookrouter.record.finding import Query, Row
from hookrouter.service.recorded import query_of, read_record, shown_entry, shown_record

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"text": "4711", "limit": "7"}, Query(text="4711", limit=7)),
        ({"since": "1h", "until": "30m"}, Query(since=NOW - 3600, until=NOW - 1800)),
        ({"since": "1970-01-01T00:01:00Z"}, Query(since=60.0)),
        ({"since": "1970-01-01T00:01:00"}, Query(since=60.0)),
        ({"since": "60.5"}, Query(since=60.5)),
        ({"tags": "customer:4711, paid"}, Query(tags={"customer": "4711", "paid": ""})),
        ({"limit": "100000"}, Query(limit=500)),
        ({"outcome": "failed", "caller": "42", "called": "7", "route": "ivr", "before": "9"},
         Query(outcome="failed", caller="42", called="7", route="ivr", before=9)),
    ],
)  # fmt: skip
def test_what_is_looked_for(given: dict[str, str], expected: Query) -> None:
    """Each key of the query string; times as people write them."""
    assert query_of(given, None, NOW) == expected


def test_a_token_of_a_tenant_asks_for_its_own() -> None:
    """Whatever else is asked for; that of nobody is one, too."""
    assert query_of({}, "blue", NOW).tenant == "blue"
    assert query_of({}, "", NOW).tenant == ""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"colour": "red"}, "unknown: colour; known: before, called"),
        ({"outcome": "bad"}, "outcome is live, good or failed"),
        ({"since": "yesterday"}, "`yesterday` is not a time: give `30m`"),
        ({"limit": "-1"}, "limit is a number"),
        ({"before": "x"}, "before is a number"),
    ],
)
def test_a_query_that_says_nothing_is_refused(given: dict[str, str], said: str) -> None:
    """With what would be right."""
    with pytest.raises(ValueError, match=said.replace("`", "\\W")):
        query_of(given, None, NOW)


def test_bytes_are_text_or_base64() -> None:
    """Whatever was sent, it is JSON."""
    entry = Entry(1.0, "Exchanged", {"event_id": "e", "answer": b"\xff\x00", "request": "ä".encode(), "params": {"a": b"x"}})
    found = shown_entry(entry)
    assert found == {
        "at": 1.0, "what": "Exchanged", "event": "e", "answer": {"base64": "/wA="}, "request": "ä", "params": {"a": "x"},
    }  # fmt: skip
    json.dumps(found).encode()


def test_what_is_shown_is_read_again() -> None:
    """As the record had it, over JSON: bytes are bytes, and an event's id has its name."""
    row = Row(7, "1.1", "main", "app", "ivr", "blue", "+49", "1000", 1.0, None, "live", "", "", '{"a":"b"}', 10, 2)
    entries = [
        Entry(1.0, "Exchanged", {"event_id": "e", "answer": b"\xff\x00", "request": b"{}", "status": 200}),
        Entry(2.0, "AriRequested", {"operation": "channels.play", "params": {"media": ["sound:a"]}, "reply": b""}),
        Entry(3.0, "Something newer", {"of": "another version"}),
    ]
    assert read_record(json.loads(json.dumps(shown_record(row, entries)))) == (row, entries)
