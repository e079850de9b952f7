"""What an answer does to what runs: to a program, to a result that waits for it, to a question of an action."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.decode import decode_answer

HANGUP = {"action": "hangup"}
PAUSE = {"action": "pause", "seconds": 5}
RING = {"action": "ring"}
PLAY = {"action": "play", "media": "sound:hello-world"}
READ = {"action": "getVariable", "variable": "X"}
QUEUE = {"action": "enqueue", "queue": "support", "waitUrl": "/wait", "exitOn": "*"}


def inject(table: Table, answer: Any) -> None:
    table.turn("inject", decode_answer(json.dumps(answer).encode()))


def reads(table: Table) -> None:
    table.reply("channels.getChannelVar", 200, {"value": "1"})


def test_what_the_wait_url_answers_plays_to_the_waiting_caller() -> None:
    """Instead of the music, and the place in the queue is kept."""
    table = Table(up=True).start([QUEUE])
    assert table.types == ["StasisStart", "QueueWaiting"]
    assert table.sent[-1].url == "http://127.0.0.1/wait"
    table.answer([PLAY])
    assert table.operations == ["channels.startMoh", "channels.stopMoh", "channels.playWithId"]
    table.reply("channels.playWithId", 201)
    table.playback()
    table.answer([])  # PlayCompleted, which the route's `events` name
    assert table.operations[-1] == "channels.startMoh"
    table.finish()


def test_what_the_wait_url_answers_too_late_is_for_nobody() -> None:
    """The caller has left the queue meanwhile: `you are third in line` does not replace the program that goes on."""
    table = Table(up=True).start([QUEUE, PAUSE])
    table.press("*")
    table.answer({"actions": [HANGUP], "state": {"seen": 1}})
    assert "channels.hangup" not in table.operations
    assert table.call.state == b'{"seen": 1}'
    table.answer([])  # the key
    assert table.types[-1] == "QueueCompleted"
    table.answer([])
    table.later(5)
    assert table.outcomes() == [("enqueue", "done"), ("pause", "done")]
    table.finish()


@pytest.mark.parametrize("answered", [True, False])
def test_the_question_of_one_action_is_not_answered_to_the_next(answered: bool) -> None:
    """In the second queue nobody hears what was meant for the first."""
    other = QUEUE | {"queue": "other", "waitUrl": "/b"}
    table = Table(up=True, events=frozenset({"StasisStart"})).start([QUEUE, other])
    table.press("*")
    if answered:
        table.answer([PLAY])
    else:
        table.unanswered()
    assert table.types[-1] == "QueueCompleted"
    table.answer([])
    assert table.types[-1] == "QueueWaiting"
    assert "channels.playWithId" not in table.operations
    table.answer([PLAY])
    assert table.operations[-1] == "channels.playWithId"
    table.finish()


def test_a_wait_url_that_does_not_answer_leaves_the_music() -> None:
    """Nobody falls out of a queue because of it."""
    table = Table(up=True).start([QUEUE])
    table.unanswered()
    assert table.operations == ["channels.startMoh"]
    assert [program.kind for program in table.call.programs.values()] == ["main"]
    table.finish()


def test_append_after_the_end_stops_nothing() -> None:
    """The program is over; what it began beside itself goes on, and what was typed meanwhile counts."""
    table = Table(events=frozenset({"StasisStart"})).start([PLAY | {"wait": False}])
    table.reply("channels.playWithId", 201)
    table.press("12")
    inject(table, {"actions": [{"action": "gather", "maxDigits": 2}], "mode": "append"})
    assert "playbacks.stop" not in table.operations
    assert (table.types[-1], table.data()["digits"]) == ("DigitsCollected", "12")
    table.finish()


def test_append_to_a_program_takes_its_when_done_along() -> None:
    """The last word counts."""
    table = Table().start([PAUSE])
    table.press("1")
    table.answer({"actions": [RING], "mode": "append", "whenDone": "hangup"})
    table.later(5)
    table.reply("channels.ring")
    assert table.operations == ["channels.ring", "channels.hangup"]
    table.finish()


def test_replace_stops_what_was_begun_beside_and_forgets_what_was_typed() -> None:
    """What the new list gathers is typed from now on."""
    table = Table().start([PLAY | {"wait": False}])
    table.reply("channels.playWithId", 201)
    table.press("1")
    table.answer([{"action": "gather", "maxDigits": 1}])
    assert table.operations[-1] == "playbacks.stop"
    assert table.types[-1] == "ChannelDtmfReceived"
    table.press("2")
    table.answer([])
    assert table.data()["digits"] == "2"
    table.finish()


def test_when_done_alone_ends_the_program_that_runs_or_the_call_that_has_none() -> None:
    """No actions are needed to say how it ends."""
    running = Table().start([PAUSE])
    inject(running, {"whenDone": "hangup"})
    assert running.operations == []
    running.later(5)
    assert running.operations == ["channels.hangup"]
    waiting = Table().start([])
    inject(waiting, {"whenDone": "continue"})
    assert waiting.operations == ["channels.continueInDialplan"]


def test_the_answer_to_a_result_may_append_or_run_beside() -> None:
    """`append`: after the rest; `parallel`: beside it, at once."""
    table = Table().start([READ, RING])
    reads(table)
    table.answer({"actions": [HANGUP], "mode": "append"})
    assert table.operations[-1] == "channels.ring"
    table.reply("channels.ring")
    assert table.operations[-1] == "channels.hangup"
    table = Table().start([READ, RING, PAUSE])
    reads(table)
    table.answer({"actions": [{"action": "moh"}], "mode": "parallel"})
    assert sorted(table.operations[-2:]) == ["channels.ring", "channels.startMoh"]


def test_the_answer_to_a_result_may_say_when_done() -> None:
    """With no actions the rest goes on, and then the call ends."""
    table = Table().start([READ, RING])
    reads(table)
    table.answer({"whenDone": "hangup"})
    table.reply("channels.ring")
    assert table.operations[-1] == "channels.hangup"


def test_a_new_rest_ends_what_the_program_began_beside_itself_and_nothing_else() -> None:
    """The music under the menu ends with the menu; that of a parallel program stays."""
    music = {"action": "play", "media": "sound:music", "wait": False}
    table = Table().start([music, PAUSE, READ])
    table.reply("channels.playWithId", 201)
    inject(table, {"actions": [music | {"media": "sound:other"}], "mode": "parallel"})
    table.reply("channels.playWithId", 201)
    table.later(5)
    reads(table)
    table.answer([HANGUP])
    first = table.asked[0].params["playbackId"]
    assert [p.params["playbackId"] for p in table.asked if p.operation == "playbacks.stop"] == [first]
    table.finish()


def test_actions_from_the_control_api_do_not_reach_a_call_that_is_over() -> None:
    """Its last events are still to be delivered; nothing else happens to it."""
    table = Table().start([PAUSE])
    table.hangup()
    inject(table, {"actions": [RING], "state": {"late": True}})
    assert table.operations == []
    assert table.call.state == b"{}"
    table.finish()


def test_state_comes_with_the_control_api_as_well() -> None:
    """Alone, too: what runs goes on."""
    table = Table().start([PAUSE])
    inject(table, {"state": {"vip": True}})
    assert json.loads(table.call.state) == {"vip": True}
    table.later(5)
    assert table.outcomes() == [("pause", "done")]


@pytest.mark.parametrize(("event", "sent"), [("StasisStart", 1), ("ChannelDtmfReceived", 0)])
def test_a_route_is_only_sent_what_its_events_name(event: str, sent: int) -> None:
    """Also the first event of a call."""
    table = Table(events=frozenset({event})).start()
    assert len(table.sent) == sent


def test_a_call_that_begins_with_actions_runs_them_and_tells_nobody() -> None:
    """What `originate` was given with the call stands in for the answer to its StasisStart."""
    table = Table()
    table.turn("begin", table.event("StasisStart"), [json.dumps(PLAY).encode()])
    assert (table.operations, table.types) == (["channels.playWithId"], [])
    table.finish()
