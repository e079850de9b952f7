"""A URL as it may be shown holds no secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.routing.endpoint import Endpoint
from hookrouter.text.urls import line_without_queries, shown_url, without_queries


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.test/f?code=SECRET", "https://a.test/f?code=***"),
        ("https://a.test/f?code=SECRET&x=SECRET#SECRET", "https://a.test/f?code=***&x=***"),
        ("https://a.test/f?SECRET", "https://a.test/f?***"),
        ("https://a.test/f?a=SECRET=SECRET", "https://a.test/f?a=***"),
        ("https://user:SECRET@a.test/f", "https://***@a.test/f"),
        ("https://a.test/f", "https://a.test/f"),
        ("", ""),
    ],
)
def test_what_is_behind_the_question_mark(url: str, shown: str) -> None:
    """Its names stay, its values do not."""
    assert shown_url(url) == shown
    assert Endpoint(url).shown == shown


def test_urls_within_a_text() -> None:
    """Errors of others name them."""
    text = "POST https://a.test/f?code=SECRET failed, as did `http://b.test/?SECRET`; why?"
    assert without_queries(text) == "POST https://a.test/f?*** failed, as did `http://b.test/?***`; why?"


@given(st.text(alphabet="ab?&=#@:/", max_size=20))
def test_no_value_is_left(rest: str) -> None:
    """Whatever the URL looks like."""
    found = shown_url(f"https://a.test/?k=SECRET{rest}").partition("?")[2]
    assert "SECRET" not in found


@given(st.lists(st.text(), min_size=1, max_size=4))
def test_a_line_of_json_stays_json(texts: list[str]) -> None:
    """With the same keys and no value behind a question mark, whatever is around the URL."""
    written = "".join(f"{text} http://a.test/{index}?k=SECRET " for index, text in enumerate(texts))
    found = json.loads(line_without_queries(json.dumps({"detail": written, "n": '"http://b.test/?SECRET"'}).encode()))
    assert found.keys() == {"detail", "n"}
    assert "SECRET" not in json.dumps(found)


def test_a_line_of_many_beginnings_costs_little() -> None:
    """Each character is looked at once."""
    line = b"http://" * 40_000 + b" ?"
    assert line_without_queries(line) == line
    assert without_queries(line.decode()) == line.decode()
