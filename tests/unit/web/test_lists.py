"""The lists of several routers as one: pure merging, and what is said of those that are missing."""

from __future__ import annotations

import msgspec
import pytest

from hookrouter.cluster.peers import Silent
from hookrouter.cluster.terms import Lease
from hookrouter.http.client import HttpReply
from hookrouter.web.lists import Answered, merged, missing, read

LEASES = [Lease("main", 7, "word-a", "a", "http://a", 3.0), Lease("second", 8, "word-b", "b", "http://b", 3.0)]


def call(id: str, asterisk: str = "main", at: float = 1.0, **more: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode({"id": id, "asterisk": asterisk, "started_at": at, **more}))


def ids(calls: list[msgspec.Raw]) -> list[str]:
    return [msgspec.json.decode(each)["id"] for each in calls]


def test_the_oldest_come_first_whoever_has_them() -> None:
    """Of the same moment, in the order in which they were told."""
    found = merged([call("1", at=2.0), call("4", at=9.0)], [[call("2", at=3.0), call("5", at=9.0)], [call("0", at=1.0)]])
    assert ids(found) == ["0", "1", "2", "4", "5"]


def test_a_call_that_two_routers_name_is_there_once() -> None:
    """As it goes from one to the other; a channel of the same id on another Asterisk is another call."""
    found = merged([call("1", said="own")], [[call("1", said="other"), call("1", "second", 0.5)], [call("1", "second")]])
    assert [msgspec.json.decode(each).get("said") for each in found] == [None, "own"]


def test_two_stays_of_a_channel_at_one_router_are_both_there() -> None:
    """One that ends, and the next one."""
    assert ids(merged([call("1"), call("1", at=2.0)], [])) == ["1", "1"]


def test_nobody_has_any() -> None:
    """Nothing is nothing."""
    assert merged([], [[], []]) == []


def test_one_that_cannot_be_shown_is_in_the_list_all_the_same() -> None:
    """It has an id, an Asterisk and why not."""
    odd = msgspec.Raw(b'{"id":"9","asterisk":"main","unreadable":"why"}')
    assert merged([call("1")], [[odd]]) == [odd, call("1")]


ALL = {"a": Answered([], ["main"]), "b": Answered([], ["second"])}


@pytest.mark.parametrize(
    ("said", "found"),
    [
        pytest.param(ALL, {}, id="all have answered"),
        pytest.param(ALL | {"b": "why not"}, {"second": "why not"}, id="one is silent"),
        pytest.param({"a": "x", "b": "y"}, {"main": "x", "second": "y"}, id="nobody answers"),
        pytest.param(ALL | {"b": Answered([], [])}, {"second": "another router takes it over at this moment"}, id="it has it no more"),
        pytest.param({"a": "x", "b": Answered([], ["main", "second"])}, {}, id="it has taken it over"),
        pytest.param({"a": Answered([]), "b": Answered([])}, {}, id="older routers do not say what they own"),
        pytest.param({"a": Answered([], ["main"])}, {"second": "nobody owns it now"}, id="nobody's"),
    ],
)
def test_each_asterisk_whose_calls_nobody_tells_is_named(said: dict[str, Answered | str], found: dict[str, str]) -> None:
    """With whose it is, and why."""
    told = missing(LEASES, said)
    assert {one["asterisk"]: one["why"] for one in told} == found
    owners = {"main": ("a", "http://a"), "second": ("b", "http://b")}
    assert all((one["router"], one["address"]) == owners[one["asterisk"]] for one in told)


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        pytest.param(Silent(), "does not answer", id="silent"),
        pytest.param(HttpReply(401, {}, b"{}"), "it answered 401", id="another token"),
        pytest.param(HttpReply(200, {}, b'{"calls":[{]}'), "cannot be read", id="no JSON"),
        pytest.param(HttpReply(200, {}, b"[]"), "cannot be read", id="something else"),
    ],
)
def test_what_is_no_list_is_said_why(reply: HttpReply | Silent, found: str) -> None:
    """In words for who has asked."""
    said = read(reply)
    assert isinstance(said, str)
    assert found in said


def test_what_is_a_list_is_read() -> None:
    """With what the router owns."""
    said = read(HttpReply(200, {}, b'{"calls":[{"id":"1"}],"asterisks":["main"],"more":1}'))
    assert isinstance(said, Answered)
    assert (ids(said.calls), said.asterisks) == (["1"], ["main"])
