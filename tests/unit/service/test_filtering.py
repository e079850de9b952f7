"""What a query of /v1/deliveries asks for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.service.filtering import MOST, filter_of
from hookrouter.text.instants import instant


@pytest.mark.parametrize(
    ("given_", "limit", "after"), [({}, 100, 0), ({"limit": "0"}, 1, 0), ({"limit": "99999", "after": "7"}, MOST, 7)]
)
def test_how_many_and_behind_which(given_: Any, limit: int, after: int) -> None:
    """At least one, and at most as many as an answer lists."""
    assert filter_of(given_)[1:] == (limit, after)


@pytest.mark.parametrize("name", ["limit", "after"])
@pytest.mark.parametrize("value", ["-1", "1e3", "1_0", "１", "9" * 22, "9" * 5000, "", " 1", "0x1"])
def test_a_number_that_the_store_cannot_take_is_a_bad_query(name: str, value: str) -> None:
    """SQLite takes a negative limit for none at all, and fails at integers of more than 64 bits."""
    with pytest.raises(ValueError, match=f"{name} is a number"):
        filter_of({name: value})


@pytest.mark.parametrize("name", ["created_after", "created_before"])
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "x"])
def test_an_instant_is_one_that_a_clock_shows(name: str, value: str) -> None:
    with pytest.raises(ValueError):
        filter_of({name: value})
    with pytest.raises(ValueError):
        instant(value, 0.0)


@given(st.dictionaries(st.sampled_from(["limit", "after", "created_after", "status", "id", "all", "x"]), st.text()))
def test_whatever_is_asked_is_a_filter_or_a_bad_query(query: dict[str, str]) -> None:
    """And nothing else."""
    try:
        _, limit, after = filter_of(query)
    except ValueError:
        return
    assert 1 <= limit <= MOST
    assert 0 <= after < 2**63
