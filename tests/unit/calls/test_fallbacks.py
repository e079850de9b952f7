"""When an endpoint does not answer: what goes on by itself does, and nobody is left in silence, or in a loop."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.table import Table

from hookrouter.facts import FallbackTaken
from hookrouter.routing.endpoint import Endpoint, Fallback

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
PAUSE = {"action": "pause", "seconds": 5}
RING = {"action": "ring"}
READ = {"action": "getVariable", "variable": "X"}
CONTINUE = "channels.continueInDialplan"


def fallback(*actions: dict[str, Any], url: str = "") -> Fallback:
    return Fallback(Endpoint(url) if url else None, tuple(json.dumps(action).encode() for action in actions))


def reads(table: Table) -> None:
    table.reply("channels.getChannelVar", 200, {"value": "1"})


def taken(table: Table) -> list[str]:
    return [fact.kind for fact in table.facts if isinstance(fact, FallbackTaken)]


def test_a_parallel_program_whose_result_nobody_answers_is_over() -> None:
    """It holds nothing up: the call that is left waits, and falls back when it has waited too long."""
    table = Table(silence_timeout=0.0, idle_timeout=60.0).start([PAUSE])
    table.press("1")
    table.answer({"actions": [READ], "mode": "parallel"})
    reads(table)
    table.unanswered()
    assert taken(table) == []  # the main program goes on
    table.later(6)
    assert table.outcomes()[-1] == ("pause", "done")
    table.later(60)
    assert taken(table) == ["continue"]
    assert table.operations[-1] == CONTINUE
    table.finish()


def test_the_next_event_that_nobody_answers_finds_the_call_standing_still() -> None:
    """A parallel program that is over is no reason to leave the caller where they are."""
    table = Table().start([])
    table.press("1")
    table.answer({"actions": [PAUSE, READ], "mode": "parallel"})
    table.press("2")
    table.unanswered()
    assert taken(table) == []  # the pause goes on
    table.later(6)
    reads(table)
    table.press("3")
    table.unanswered()  # the result; the key waits behind it
    assert table.operations[-1] == CONTINUE
    table.finish()


def test_a_main_program_whose_result_nobody_answers_ends_while_another_goes_on() -> None:
    """What stands beside it is not stopped, and what was to follow the program follows."""
    table = Table().start([PAUSE, READ])
    table.press("1")
    table.answer({"actions": [{"action": "pause", "seconds": 30}], "mode": "parallel"})
    table.later(6)
    reads(table)
    table.unanswered()
    assert taken(table) == []
    assert [program.kind for program in table.call.programs.values()] == ["parallel"]
    table.finish()


@pytest.mark.parametrize(("when_done", "operation"), [("hangup", "channels.hangup"), ("continue", CONTINUE)])
def test_when_done_is_a_rest(when_done: str, operation: str) -> None:
    """The owner has said what follows the program: a lost answer to its last result does not change that."""
    table = Table(fallback=fallback(RING)).start({"actions": [READ], "whenDone": when_done})
    reads(table)
    table.unanswered()
    assert table.operations[-1] == operation
    assert taken(table) == []
    table.finish()


def test_actions_of_the_fallback_that_end_with_a_result_run_once() -> None:
    """Who records a message because the function is down is not asked for it again and again."""
    table = Table(fallback=fallback(RING, READ)).start()
    table.unanswered()
    table.reply()
    reads(table)
    assert table.types[-1] == "VariableRead"
    table.unanswered()
    assert table.operations == ["channels.ring", "channels.getChannelVar", CONTINUE]
    assert taken(table) == ["actions", "continue"]
    table.finish()


def test_the_owner_who_is_back_goes_on_from_a_result_of_the_fallback() -> None:
    """Its answer replaces the rest, as always; what fails then is told to it, as always."""
    table = Table(fallback=fallback(READ, RING)).start()
    table.unanswered()
    reads(table)
    table.answer([ANSWER])
    assert table.operations[-1] == "channels.answer"
    table.reply(status=500)
    assert table.types[-1] == "ActionFailed"
    assert CONTINUE not in table.operations
    table.finish()


def test_an_empty_list_of_fallback_actions_is_none() -> None:
    """The call goes back to the dialplan instead of waiting in silence."""
    table = Table(fallback=fallback()).start()
    table.unanswered()
    assert table.operations == [CONTINUE]
    assert taken(table) == ["continue"]


def test_a_hangup_that_fails_is_not_tried_for_ever() -> None:
    """The end of the ladder is its end; the call waits for its next event."""
    table = Table(fallback=fallback(HANGUP), silence_timeout=0.0, idle_timeout=60.0).start()
    table.unanswered()
    table.reply(status=500)
    assert table.operations == ["channels.hangup"]
    assert ":idle" in table.call.timers
    table.finish()


def test_a_result_that_has_its_own_url_is_not_asked_of_the_owners_fallback() -> None:
    """`fallback.url` stands in for the route's own; the actions of the fallback run for every lost answer."""
    backup = fallback(RING, url="http://127.0.0.1/backup")
    table = Table(fallback=backup).start([READ | {"url": "/read"}])
    reads(table)
    table.unanswered()
    assert taken(table) == ["actions"]
    assert table.operations[-1] == "channels.ring"


def test_a_callee_who_was_to_be_judged_by_an_endpoint_that_is_away_is_not_joined() -> None:
    """What the callee typed in `confirm` nobody has read: the leg is let go, and the caller is told, not kept ringing."""
    confirm = [{"action": "gather", "maxDigits": 1}]
    table = Table(up=True).start([{"action": "dial", "to": "PJSIP/a", "confirm": confirm}])
    leg = next(id for id, kind in table.owned.items() if kind == "leg")
    table.reply("channels.originateWithId", 200)
    table.happen("StasisStart", leg)
    table.press("5", leg)
    table.answer([])  # the key itself, which the route's `events` name
    assert table.types[-1] == "DigitsCollected"
    table.unanswered()
    assert [p.params["channelId"] for p in table.asked if p.operation == "channels.hangup"] == [leg]
    table.happen("ChannelDestroyed", leg, cause=16)
    assert (table.types[-1], table.data()["status"]) == ("DialCompleted", "rejected")
    assert "bridges.createWithId" not in table.operations
    table.finish()


def test_a_callee_is_joined_when_there_is_a_rest_to_judge_by() -> None:
    """A lost answer lets the rest of `confirm` go on, as it does in every program."""
    confirm = [{"action": "gather", "maxDigits": 1}, {"action": "pause", "seconds": 1}]
    table = Table(up=True).start([{"action": "dial", "to": "PJSIP/a", "confirm": confirm}])
    leg = next(id for id, kind in table.owned.items() if kind == "leg")
    table.reply("channels.originateWithId", 200)
    table.happen("StasisStart", leg)
    table.press("5", leg)
    table.answer([])  # the key itself, which the route's `events` name
    table.unanswered()
    table.later(1)
    assert table.operations[-1] == "bridges.createWithId"
    table.finish()


@pytest.mark.parametrize("rest", [True, False])
def test_the_last_event_of_a_call_that_is_over_needs_no_fallback(rest: bool) -> None:
    """Nobody is on the line, whatever the program still had to do."""
    table = Table(fallback=fallback(RING, url="http://127.0.0.1/backup")).start([READ, HANGUP] if rest else [READ])
    reads(table)
    table.hangup()
    table.unanswered()
    table.unanswered()
    assert taken(table) == []
    assert table.operations == ["channels.getChannelVar"]
    table.finish()


def test_an_outcome_of_a_delivery_that_is_not_in_flight_changes_nothing() -> None:
    """The same delivery can have but one outcome."""
    table = Table().start()
    event = table.call.in_flight
    table.answer([PAUSE])
    for name, outcome in (("unanswered", None), ("answered", None)):
        assert table.turn(name, event, outcome) == []
    assert [program.kind for program in table.call.programs.values()] == ["main"]
