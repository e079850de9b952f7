"""What the caller hears while an endpoint thinks: `while_waiting`, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.decode import decode_answer
from hookrouter.facts import Warned
from hookrouter.routing.endpoint import Endpoint, Fallback

RING = {"action": "ring"}
MUSIC = {"action": "play", "media": "sound:music", "loop": 0}
PLAY = {"action": "play", "media": "sound:hello-world"}
PAUSE = {"action": "pause", "seconds": 5}
READ = {"action": "getVariable", "variable": "X"}


def table(*filler: dict[str, Any], **more: Any) -> Table:
    return Table(while_waiting=tuple(json.dumps(action).encode() for action in filler), **more)


def test_what_it_began_is_taken_back_also_when_all_of_it_was_done() -> None:
    """A ringing that Asterisk has confirmed does not go on under what follows."""
    call = table(RING, {"action": "moh"}).start()
    call.later(1.1)
    call.settle()
    assert call.operations == ["channels.ring", "channels.startMoh"]
    call.later(3)
    assert len(call.operations) == 2  # once is enough
    call.answer([PAUSE])
    assert call.operations[2:] == ["channels.ringStop", "channels.stopMoh"]
    call.finish()


def test_one_of_its_actions_that_fails_ends_nothing_and_the_others_are_taken_back() -> None:
    """The owner is not asked what to do about it; the log says it."""
    call = table(RING, {"action": "moh"}).start()
    call.later(1.1)
    call.reply()
    call.reply(status=500, body={"message": "no such class"})
    warned = [fact for fact in call.facts if isinstance(fact, Warned)]
    assert [(fact.subject, fact.message) for fact in warned] == [("while_waiting", "no such class")]
    call.answer([PAUSE])
    assert call.types == ["StasisStart"]
    assert call.operations[2] == "channels.ringStop"
    call.finish()


def test_music_that_nobody_waits_for_ends_with_the_answer_too() -> None:
    """`wait: false` in `while_waiting` is no way to outlive it."""
    call = table(MUSIC | {"wait": False}).start()
    call.later(1.1)
    call.reply(status=201)
    call.answer([PAUSE])
    assert call.operations == ["channels.playWithId", "playbacks.stop"]
    call.finish()


def test_a_caller_who_hears_something_gets_nothing_over_it() -> None:
    """Actions from the control API while the endpoint still thinks: the filler does not play into them."""
    call = table(RING).start()
    call.later(0.5)
    call.turn("inject", decode_answer(json.dumps([PAUSE]).encode()))
    call.later(4)
    assert call.operations == []
    call.later(3)  # it is over, and the endpoint thinks on
    assert call.operations == ["channels.ring"]
    call.finish()


def test_actions_that_come_meanwhile_end_it() -> None:
    """The control API's actions begin in silence."""
    call = table(RING).start()
    call.later(1.1)
    call.reply()
    call.turn("inject", decode_answer(json.dumps([PLAY]).encode()))
    assert call.operations == ["channels.ring", "channels.ringStop", "channels.playWithId"]
    call.finish()


def test_a_prompt_that_ends_before_the_answer_is_followed_by_it() -> None:
    """A key was pressed in a prompt; the prompt ends, and the endpoint has still not answered."""
    call = table(RING).start([PAUSE])
    call.press("1")
    call.later(4)
    assert call.operations == []
    call.later(2.1)
    assert call.operations == ["channels.ring"]
    call.finish()


def test_a_result_that_waits_behind_another_event_leaves_no_silence() -> None:
    """The program waits for its answer: that the event before it has none yet is not the caller's fault."""
    call = table(RING).start([READ, PAUSE])
    call.press("1")
    call.reply(status=200, body={"value": "1"})
    assert call.types == ["StasisStart", "ChannelDtmfReceived"]
    call.later(1.1)
    assert call.operations[1:] == ["channels.ring"]
    call.finish()


def test_a_recording_beside_the_program_is_nothing_to_hear() -> None:
    """The caller still gets what they are to get while they wait."""
    beside = {"action": "startRecording", "wait": False}
    call = table(RING, up=True).start([beside])
    call.press("1")
    call.later(1.1)
    assert call.operations[-1] == "channels.ring"
    call.finish()


@pytest.mark.parametrize("unanswered", [False, True])
def test_it_ends_with_the_call(unanswered: bool) -> None:
    """Nothing is asked of a channel that is gone, and nobody who is gone is given music."""
    call = table(MUSIC).start()
    call.later(1.1)
    call.reply(status=201)
    call.hangup()
    call.later(5)
    if unanswered:
        call.unanswered()
    assert call.operations == ["channels.playWithId"]
    call.finish()


def test_it_goes_on_while_the_fallback_url_is_asked() -> None:
    """For the caller it is one wait."""
    call = table(RING, fallback=Fallback(Endpoint("http://127.0.0.1/backup"), None)).start()
    call.later(1.1)
    call.reply()
    call.unanswered()
    assert call.operations == ["channels.ring"]
    call.answer([PAUSE])
    assert call.operations == ["channels.ring", "channels.ringStop"]
    call.finish()
