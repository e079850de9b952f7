"""An endpoint in a loop is stopped; one that is only busy is not. And a program forgets the steps that are done."""

from __future__ import annotations

from typing import Any

import pytest
from rig.table import Table

from hookrouter.facts import ActionFinished, ActionStarted, FallbackTaken, Warned

ANSWER = {"action": "answer"}
HELLO = {"action": "play", "media": "sound:hello-world"}
READ = {"action": "getVariable", "variable": "X"}
SET = {"action": "setState", "state": 1}


def loops(table: Table) -> list[str]:
    return [fact.message for fact in table.facts if isinstance(fact, Warned) and fact.subject == "loop"]


def taken(table: Table) -> list[str]:
    return [fact.reason for fact in table.facts if isinstance(fact, FallbackTaken)]


def same_actions(table: Table, times: int, seconds: float = 0.2) -> None:
    """Every event brings the same sound, which the next event cuts off."""
    for _ in range(times):
        table.answer([ANSWER, HELLO])
        table.settle()
        id = next(reversed(table.owned))
        table.later(seconds)
        table.happen("PlaybackStarted", "", playback={"id": id, "state": "playing", "media_uri": "sound:hello-world"})


def test_the_same_actions_for_every_event_are_a_loop() -> None:
    """After twenty of them: the fallback, one warning, and what else is answered is thrown away."""
    table = Table(events=None).start()
    same_actions(table, 19)
    assert taken(table) == []
    table.answer([ANSWER, HELLO])
    assert taken(table) == ["loop"]
    assert "Look at `type`" in loops(table)[0]
    table.happen("ChannelVarset")
    table.answer([ANSWER, HELLO])
    assert len(loops(table)) == 1
    assert table.operations[-1] == "channels.continueInDialplan"
    table.finish()


@pytest.mark.parametrize("action", [READ, {"action": "fetch", "url": "/"}, {"action": "ring"}])
def test_chains_of_results_and_failures_are_loops_too(action: Any) -> None:
    """A variable that is read again and again, a `fetch` that leads to itself, an action that always fails."""
    table = Table().start([action])
    for _ in range(19):
        if table.call.requests:
            table.reply(status=200 if action is READ else 500, body={"value": "1"})
        table.later(0.1)
        table.answer([action])
    assert taken(table) == ["loop"]
    table.finish()


def test_a_caller_who_presses_keys_fast_is_no_loop() -> None:
    """Each key cuts a prompt off, and brings the next."""
    table = Table().start([ANSWER, HELLO])
    table.settle()
    for _ in range(40):
        table.press("1")
        table.later(0.1)
        table.answer([HELLO])
        table.settle()
    assert taken(table) == []


def test_sounds_that_are_heard_one_after_another_are_no_loop() -> None:
    """A number, digit by digit, each with an answer of its own."""
    table = Table().start()
    for number in range(40):
        table.answer([{"action": "play", "media": f"digits:{number}"}])
        table.settle()
        playback = {"id": next(reversed(table.owned)), "state": "done", "media_uri": f"digits:{number}"}
        table.later(0.1)
        table.happen("PlaybackFinished", "", playback=playback)
    assert taken(table) == []


def test_the_same_sound_again_and_again_is_nothing_new() -> None:
    """A beep that is heard to its end twenty times."""
    table = Table().start()
    for _ in range(25):
        table.answer([{"action": "play", "media": "sound:beep"}])
        table.settle()
        if taken(table):
            break
        playback = {"id": next(reversed(table.owned)), "state": "done", "media_uri": "sound:beep"}
        table.later(0.1)
        table.happen("PlaybackFinished", "", playback=playback)
    assert taken(table) == ["loop"]


def test_answers_that_bring_nothing_and_slow_ones_are_no_loop() -> None:
    """A route that names every event, and an endpoint that knows what it wants; one answer a second."""
    table = Table(events=None).start([{"action": "pause", "seconds": 600}])
    for _ in range(100):
        table.happen("ChannelVarset")
        table.answer([])
    for _ in range(40):
        table.later(1)
        table.happen("ChannelVarset")
        table.answer({"actions": [SET], "mode": "parallel"})
    assert taken(table) == []


def test_what_is_done_beside_a_prompt_is_no_loop() -> None:
    """An endpoint that writes down every event of a call while the caller hears it out."""
    table = Table(events=None).start([ANSWER, HELLO])
    table.settle()
    for _ in range(40):
        table.happen("ChannelVarset")
        table.answer({"actions": [SET], "mode": "parallel"})
    assert taken(table) == []


def test_what_is_done_beside_nothing_is_one() -> None:
    """A variable that is set for every variable that was set."""
    table = Table(events=None).start()
    for _ in range(20):
        table.answer({"actions": [SET], "mode": "parallel"})
        table.happen("ChannelVarset")
    assert taken(table) == ["loop"]


def test_steps_that_are_done_leave_the_program() -> None:
    """What is written to disk does not grow with the length of a call; the number of an action counts on."""
    table = Table().start([READ])
    for _ in range(50):
        table.reply(status=200, body={"value": "1"})
        table.later(1)
        table.answer([READ])
    [program] = table.call.programs.values()
    assert len(program.steps) == 1
    assert (program.done, program.index) == (50, 0)
    assert [fact.index for fact in table.facts if isinstance(fact, ActionStarted)] == list(range(51))
    assert [fact.index for fact in table.facts if isinstance(fact, ActionFinished)] == list(range(50))


def test_an_answer_that_appends_finds_the_rest_where_it_was() -> None:
    """What is done is gone, what is to come is not."""
    table = Table().start([READ, SET, {"action": "hangup"}])
    table.reply(status=200, body={"value": "1"})
    table.answer({"actions": [{"action": "ring"}], "mode": "append"})
    assert table.operations == ["channels.getChannelVar", "channels.hangup"]
