"""How much an endpoint may have its calls do at a time, and what follows where it asks for more."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.table import Table

from hookrouter.facts import FallbackTaken, LimitReached
from hookrouter.policy.policy import Policy
from hookrouter.policy.rates import Rate
from hookrouter.routing.endpoint import Fallback

ANSWER = {"action": "answer"}
LOCAL = ("*", "Local/*")


def limits(table: Table) -> list[tuple[str, bool]]:
    return [(fact.limit, fact.muted) for fact in table.facts if isinstance(fact, LimitReached)]


def failed(table: Table) -> list[dict[str, Any]]:
    return [json.loads(out.data)["error"] for out in table.sent if out.type == "ActionFailed"]


def operations(table: Table) -> list[str]:
    return [perform.operation for perform in table.asked]


def test_legs_over_the_bound_end_the_action_that_asked_for_them() -> None:
    """Those that ring already stop, and the action fails with `limit`; one warning, though it happens twice."""
    table = Table(up=True, policy=Policy(max_legs=3))
    table.start([{"action": "dial", "to": ["PJSIP/a", "PJSIP/b"], "wait": False}, {"action": "dial", "to": ["PJSIP/c", "PJSIP/d"]}])
    assert operations(table).count("channels.originateWithId") == 3
    (error,) = failed(table)
    assert error["reason"] == "limit"
    assert "`max_legs`" in error["message"]
    assert table.asked[-1].operation == "channels.hangup"  # the third rings no more
    table.answer([{"action": "dial", "to": ["PJSIP/c", "PJSIP/d"]}])
    assert limits(table)[0] == ("max_legs", False)
    assert all(muted for _, muted in limits(table)[1:])


@pytest.mark.parametrize(
    "action",
    [
        {"action": "originate", "to": "PJSIP/a", "wait": False},
        {"action": "originate", "to": "PJSIP/a", "id": "mine", "wait": False},
        {"action": "channels.originate", "endpoint": "PJSIP/a", "app": "app", "wait": False},
        {"action": "channels.create", "endpoint": "PJSIP/a", "app": "app", "wait": False},
    ],
    ids=lambda action: f"{action['action']} {action.get('id', '')}",
)
def test_new_calls_of_a_route_have_a_bound(action: dict[str, Any]) -> None:
    """By verb and by operation; nothing is left of the one that was too many."""
    table = Table(up=True, policy=Policy(max_calls_per_minute=2))
    table.others.begun = 2
    table.start([action])
    assert not [name for name in operations(table) if name.startswith("channels.") and name != "channels.get"]
    assert failed(table)[0]["reason"] == "limit"
    assert not table.call.owned
    assert not table.call.claimed
    assert limits(table) == [("max_calls_per_minute", False)]


def test_a_leg_of_a_dial_is_no_new_call() -> None:
    table = Table(up=True, policy=Policy(max_calls_per_minute=1))
    table.others.begun = 1
    table.start([{"action": "dial", "to": "PJSIP/a"}])
    assert "channels.originateWithId" in operations(table)


def test_an_endpoint_that_answers_too_often_is_out_of_the_call() -> None:
    """A chain of results in which the caller hears new things: the fallback follows, and one warning."""
    table = Table(up=True, policy=Policy(max_answers=5), fallback=Fallback(None, (b'{"action":"hangup"}',)))
    table.start([{"action": "fetch", "url": "/next"}])
    for _ in range(5):
        table.press("1")  # so that it is no loop without anything new
        if any(isinstance(fact, FallbackTaken) for fact in table.facts):
            break
        table.answer([{"action": "fetch", "url": "/next"}])
        while table.call.in_flight and table.sent[-1].type != "FetchRequested":
            table.answer([])
    assert limits(table) == [("max_answers", False)]
    assert [fact.reason for fact in table.facts if isinstance(fact, FallbackTaken)] == ["limit"]
    assert operations(table)[-1] == "channels.hangup"


def test_answers_that_are_spread_out_are_as_many_as_they_are() -> None:
    """Ten seconds later they are counted anew."""
    table = Table(up=True, policy=Policy(max_answers=2))
    table.start([{"action": "fetch", "url": "/next"}])
    for _ in range(6):
        table.now += 6
        table.answer([{"action": "fetch", "url": "/next"}])
    assert limits(table) == []


def test_what_the_policy_does_not_allow_does_not_leave() -> None:
    """Also where it was not told when the answer was decoded: of a call that goes on after the policy has changed."""
    table = Table(up=True, policy=Policy())
    table.start([{"action": "originate", "to": "Local/1@x"}])
    assert "channels.originateWithId" not in operations(table)
    said = [json.loads(out.data) for out in table.sent]
    assert "endpoints = [" in json.dumps(said)


@pytest.mark.parametrize("most", [1, 3, 600])
def test_a_rate_lets_so_many_through_and_then_waits(most: int) -> None:
    rate = Rate(60.0)
    assert [rate.take(most, 1000.0) for _ in range(most)] == [True] * most
    assert not rate.take(most, 1000.0)
    assert not rate.take(most, 1030.0)
    assert not rate.take(most, 1060.0)  # all of them are still within reach
    assert rate.take(most, 1120.0)
    assert rate.take(most, 900.0)  # the clock was put back
