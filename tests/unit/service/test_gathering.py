"""What several routers say of how it goes, put together."""

from __future__ import annotations

import msgspec
import pytest

from hookrouter.calls.hearing import Hears
from hookrouter.cluster.terms import Lease, Peer
from hookrouter.facts import DeliveryAttempted
from hookrouter.service.gathering import (
    MOST_LIVE,
    Endpoint,
    LiveCall,
    Member,
    Now,
    gathered,
    me,
    percentiles,
    read_now,
    sample,
    written,
)
from hookrouter.telemetry.lookout import Trouble

A, B = Peer("a", "http://a"), Peer("b", "http://b")


def live(id: str, at: float = 1.0, *, still: bool = False, asterisk: str = "main", router: str = "a") -> LiveCall:
    return LiveCall(id, asterisk, "ivr", "4711", "1000", at, Hears("waits", "still" if still else "plain"), router=router)


def now(name: str, owns: dict[str, str], *calls: LiveCall, **more: object) -> Now:
    states = {"main": "standby", "second": "standby"} | owns
    fields = {"took": (), "endpoints": [], "troubles": []} | more
    members = [Member(name, f"http://{name}", "1", owns, len(calls))]
    still = sum(call.hears.mood == "still" for call in calls)
    return Now(1000.0, states, list(calls), len(calls), still, 1, members=members, **fields)  # type: ignore[arg-type]


def attempt(status: int) -> DeliveryAttempted:
    return DeliveryAttempted("evt", "StasisStart", "1", "ivr", "http://x", 1, status, "response", 0.1, "control")


def test_figures_are_added_up_and_calls_stand_in_one_order() -> None:
    """Who stands still comes first, then the oldest; each with its router."""
    one = now("a", {"main": "connected"}, live("1", 5.0), live("2", 7.0, still=True))
    other = now("b", {"second": "connected"}, live("3", 6.0, asterisk="second", router="b"))
    found = gathered(one, [(B, other)])
    assert [(call.id, call.router) for call in found.live] == [("2", "a"), ("1", "a"), ("3", "b")]
    assert (found.count, found.still, found.new_calls) == (3, 1, 2)
    assert found.asterisks == {"main": "connected", "second": "connected"}
    assert [found.home(name) for name in ("main", "second", "third")] == ["a", "b", ""]
    assert found.silent == []


def test_who_does_not_answer_is_named() -> None:
    """With what it owns; what another one says that it has is that one's."""
    leases = [Lease("second", 7, "word", "b", "http://b", 3.0), Lease("third", 7, "word", "b", "http://b", -1.0)]
    found = gathered(now("a", {"main": "connected"}), [(B, None)], [*leases, Lease("main", 6, "word", "b", "http://b", 1.0)])
    assert [(member.name, member.answers) for member in found.members] == [("a", True), ("b", False)]
    assert [member.address for member in found.silent] == ["http://b"]
    assert found.asterisks == {"main": "connected", "second": "silent"}
    assert [found.home(name) for name in ("main", "second", "third")] == ["a", "b", ""]


def test_a_call_that_two_routers_show_is_there_once_and_only_the_first_are_shown() -> None:
    """As many as one router shows."""
    many = [live(str(number), float(number)) for number in range(MOST_LIVE)]
    found = gathered(now("a", {}, *many), [(B, now("b", {}, live("0", 0.0, router="b"), live("x", -1.0)))])
    assert [call.id for call in found.live] == ["x", *map(str, range(MOST_LIVE - 1))]
    assert found.live[1].router == "a"


def test_an_endpoint_of_several_is_one() -> None:
    """The worse breaker, the last answers, all routes; another endpoint stands beside it."""
    one = Endpoint("http://x", ("ivr",), "half_open", (5.0, attempt(200)), None, (0.1,))
    other = Endpoint("http://x", ("ivr", "crm"), "closed", (4.0, attempt(204)), (9.0, attempt(500)), (0.3, 0.2))
    alone = Endpoint("http://y", ("crm",), "open")
    found = gathered(now("a", {}, endpoints=[one]), [(B, now("b", {}, endpoints=[other, alone]))]).endpoints
    good, fault = (5.0, attempt(200)), (9.0, attempt(500))
    assert found == [Endpoint("http://x", ("ivr", "crm"), "half_open", good, fault, (0.1, 0.2, 0.3)), alone]


def test_a_trouble_of_several_is_counted_as_one() -> None:
    """Minute by minute, since the first, with the last call; the most frequent first."""
    one = Trouble("404", "http://x", "ivr", 960.0, 961.0, "c1", "old", [(15, 1), (16, 2)])
    other = Trouble("404", "http://x", "ivr", 970.0, 980.0, "c2", "new", [(16, 3)])
    often = Trouble("500", "http://x", "ivr", 970.0, 980.0, "c3", "", [(16, 9)])
    found = gathered(now("a", {}, troubles=[one]), [(B, now("b", {}, troubles=[other, often]))]).troubles
    assert found == [often, Trouble("404", "http://x", "ivr", 960.0, 980.0, "c2", "new", [(15, 1), (16, 5)])]


def test_what_a_router_writes_another_one_reads() -> None:
    """All of it; what is nonsense is no answer, and half of a surrogate pair costs only itself."""
    endpoint = Endpoint("http://x", ("ivr",), "open", None, (9.0, attempt(500)), (0.1,))
    whole = now("a", {"main": "connected"}, live("1"), endpoints=[endpoint], troubles=[Trouble("404", "", "", 1.0, 2.0)])
    assert read_now(written(whole)) == whole
    assert read_now(b"{}") is None
    odd = read_now(written(now("a", {}, live("1\ud800"))))
    assert odd is not None
    assert odd.live[0].id == "1?"


@pytest.mark.parametrize(("many", "kept"), [(0, 0), (1, 1), (100, 100), (101, 100), (5000, 100)])
def test_a_sample_stands_for_all(many: int, kept: int) -> None:
    """The shortest and the longest are in it."""
    found = sample(float(number) for number in reversed(range(many)))
    assert len(found) == kept
    assert list(found[:1] + found[-1:]) == ([0.0, float(many - 1)] if many else [])
    assert percentiles(found) == (None if not many else pytest.approx((many // 2, many * 0.95), abs=max(2, many / 50)))


def test_a_router_says_what_it_owns() -> None:
    """With the state of each connection; an Asterisk that left routes.toml has none."""
    found = me("a", "http://a", {"main": "connected", "second": "standby"}, ["main", "gone"], 3)
    assert msgspec.to_builtins(found) | {"version": ""} == {
        "name": "a", "address": "http://a", "version": "", "owns": {"main": "connected"}, "calls": 3, "answers": True,
    }  # fmt: skip
