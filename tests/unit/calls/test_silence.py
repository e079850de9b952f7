"""Nobody is left in silence: what a standing call is, what it is not, and how it ends."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.decode import NOTHING, decode_answer
from hookrouter.calls.call import decode_call, encode_call
from hookrouter.delivery.outcome import Answered
from hookrouter.facts import CallStandsStill, FallbackTaken
from hookrouter.routing.endpoint import Endpoint, Fallback

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
MOH = {"action": "moh", "mohClass": "default"}
PAUSE = {"action": "pause", "seconds": 5}
PLAY = {"action": "play", "media": "sound:hello-world"}
READ = {"action": "getVariable", "variable": "X"}
RECORD = {"action": "startRecording", "name": "all"}
SORRY = Fallback(None, (b'{"action":"play","media":"sound:sorry"}',))
CONTINUE = "channels.continueInDialplan"


def still(table: Table) -> list[CallStandsStill]:
    return [fact for fact in table.facts if isinstance(fact, CallStandsStill)]


def kinds(table: Table) -> list[str]:
    return [fact.kind for fact in table.facts if isinstance(fact, FallbackTaken)]


def raw(operation: str, **params: Any) -> dict[str, Any]:
    return {"action": operation, **params}


@pytest.mark.parametrize(
    "answer", [[], {}, {"state": {"a": 1}}, {"whenDone": "wait"}, [{"action": "setState", "state": 1}]]
)
def test_an_answer_that_brings_nothing_to_hear_leaves_nobody_in_silence(answer: Any) -> None:
    """Ten seconds after it the caller gets the fallback, and the operator is told why."""
    table = Table().start(answer)
    table.later(9.9)
    assert table.operations == []
    table.later(0.2)
    assert table.operations == [CONTINUE]
    [fact] = still(table)
    assert (fact.event, fact.seconds) == ("StasisStart", 10.0)
    assert "POST /v1/calls/1/actions" in fact.message
    table.finish()


@pytest.mark.parametrize(
    ("status", "body", "words"),
    [(202, b"", "202 and an empty body"), (200, b" null ", "200 and `null`"), (200, b"[]", "200 and `[]`"),
     (200, b'{"ok":true,' + b" " * 80 + b"}", "200 and `{\"ok\":true," + " " * 49 + "…`")],
)  # fmt: skip
def test_what_was_answered_is_told_as_it_came(status: int, body: bytes, words: str) -> None:
    """Whoever reads it finds it in their own platform's settings."""
    table = Table().start()
    table.turn("answered", table.call.in_flight, NOTHING, Answered(NOTHING, 1, 0.1, status, body))
    table.later(11)
    assert still(table)[0].answered == words
    assert f"StasisStart, was answered with {words}" in still(table)[0].message


def test_a_program_that_ran_to_its_end_leaves_nobody_in_silence() -> None:
    """A prompt, and nothing after it."""
    table = Table(fallback=SORRY).start([PLAY])
    table.playback()
    table.answer([])
    table.later(10.1)
    assert kinds(table) == ["actions"]
    table.finish()


@pytest.mark.parametrize(
    ("actions", "hears"),
    [
        pytest.param([MOH], "music", id="music"),
        pytest.param([raw("channels.startMoh")], "music", id="music by an operation"),
        pytest.param([{"action": "ring"}], "ringing", id="ringing"),
        pytest.param([{"action": "hold"}], "hold", id="hold is music to Asterisk"),
        pytest.param(
            [raw("channels.play", media="sound:long", playbackId="p")], "sound p", id="a sound by an operation"
        ),
        pytest.param(
            [raw("channels.record", name="n", format="wav")], "recording n", id="a recording of what they say"
        ),
        pytest.param(
            [raw("channels.originate", endpoint="PJSIP/a", app="app", channelId="leg")],
            "leg leg",
            id="a leg that rings",
        ),
    ],
)
def test_a_call_that_hears_something_does_not_stand_still(actions: list[Any], hears: str) -> None:
    """It waits for its next event for `idle_timeout`, as it did."""
    table = Table(idle_timeout=600.0).start(actions)
    table.settle()
    assert list(table.call.goes_on) == [hears]
    for _ in range(6):
        table.later(9)
        while table.call.requests:  # is it still there?
            table.reply(status=200, body={"state": "Ringing"})
    assert still(table) == []
    table.later(600)
    assert kinds(table) == ["continue"]


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        pytest.param(MOH, {"action": "mohStop"}, id="music"),
        pytest.param(MOH, raw("channels.stopMoh"), id="music by an operation"),
        pytest.param(MOH, {"action": "silence"}, id="silence"),
        pytest.param({"action": "ring"}, {"action": "ringStop"}, id="ringing"),
        pytest.param({"action": "ring"}, ANSWER, id="answered"),
        pytest.param({"action": "hold"}, {"action": "unhold"}, id="hold"),
    ],
)
def test_what_was_ended_is_silence_again(begin: Any, end: Any) -> None:
    """Asterisk plays on no more than the router believes."""
    table = Table().start([begin, end])
    table.settle()
    table.later(10.1)
    assert len(still(table)) == 1


def test_a_prompt_ends_the_music_before_it() -> None:
    """A channel has one source of sound: after the prompt there is none."""
    table = Table().start([MOH, PLAY, {"action": "setState", "state": 1}])
    table.reply()
    table.reply(status=201)
    assert table.call.goes_on == {}


def test_what_asterisk_refuses_is_not_heard() -> None:
    """Music that does not begin is silence."""
    table = Table().start([MOH | {"onError": "continue"}])
    table.reply(status=500)
    table.later(10.1)
    assert len(still(table)) == 1


def test_a_sound_whose_end_nobody_tells_is_asked_for() -> None:
    """Asterisk ends a recording that is not there without a word."""
    grant = ("recording:none",)
    table = Table(allow=grant).start([raw("channels.play", media="recording:none", playbackId="p")])
    table.settle()
    table.answer([])
    table.later(10.1)
    assert table.operations[-1] == "playbacks.get"
    table.reply(status=404)
    table.later(10.1)
    assert len(still(table)) == 1


def test_a_sound_by_an_operation_that_ends_is_silence_again() -> None:
    """Its end is told by Asterisk."""
    table = Table().start([raw("channels.play", media="sound:a", playbackId="p")])
    table.reply(status=201)
    table.happen("PlaybackFinished", "", playback={"id": "p", "state": "done", "target_uri": "channel:1"})
    table.answer([])
    table.later(10.1)
    assert len(still(table)) == 1


@pytest.mark.parametrize("events", [
    [("ChannelLeftBridge", "1", [])], [("BridgeDestroyed", "", [])], [("ChannelLeftBridge", "2", ["1"])],
])  # fmt: skip
def test_a_bridge_is_something_to_hear_until_the_call_is_alone(events: list[tuple[str, str, list[str]]]) -> None:
    """Left, destroyed, or the other one has gone and nobody else is there."""
    table = Table().start([])
    table.happen("ChannelEnteredBridge", "1", bridge={"id": "b", "channels": ["1"]})  # it waits for somebody
    table.later(60)
    assert still(table) == []
    table.happen("ChannelEnteredBridge", "2", bridge={"id": "b", "channels": ["1", "2"]})
    table.later(60)
    for type, channel, inside in events:
        table.happen(type, channel, bridge={"id": "b", "channels": inside})
    table.later(10.1)
    assert len(still(table)) == 1


def test_two_who_talk_are_not_torn_apart_by_an_event_that_nobody_answers() -> None:
    """A key pressed in a talk that operations made: the fallback is for silence."""
    table = Table().start([])
    table.happen("ChannelEnteredBridge", "1", bridge={"id": "b", "channels": ["1", "2"]})
    table.press("1")
    table.unanswered()
    assert kinds(table) == []


def test_a_recording_beside_the_call_is_nothing_to_hear() -> None:
    """A call that is recorded from its first second is protected like any other."""
    table = Table(up=True).start([RECORD])
    table.later(10.1)
    assert len(still(table)) == 1


@pytest.mark.parametrize("timeout", [0.0, 3.0])
def test_the_route_says_how_long(timeout: float) -> None:
    """0 is never: then `idle_timeout` is what ends it."""
    table = Table(silence_timeout=timeout, idle_timeout=600.0).start([])
    table.later(3.1)
    assert len(still(table)) == (1 if timeout else 0)
    table.later(500)
    assert len(still(table)) == (1 if timeout else 0)


def test_an_action_failed_that_brings_no_actions_falls_back_at_once() -> None:
    """README's own endpoint with a missing sound: the hangup behind it is gone, and nothing else is to come."""
    table = Table(fallback=SORRY).start([ANSWER, PLAY, HANGUP])
    table.reply()
    table.reply(status=500)
    assert table.types[-1] == "ActionFailed"
    table.answer([])
    assert kinds(table) == ["actions"]
    assert "`onError`" in still(table)[0].message
    table.finish()


def test_a_failure_beside_what_runs_changes_nothing() -> None:
    """Something is to come."""
    table = Table().start([PLAY | {"wait": False}, PAUSE, HANGUP])
    table.reply(status=500)
    table.answer([])
    assert (kinds(table), still(table)) == ([], [])
    table.later(6)
    assert table.operations[-1] == "channels.hangup"


def test_the_failure_of_the_only_sound_falls_back_at_once_also_when_nobody_waited_for_it() -> None:
    """`wait: false`, and nothing else."""
    table = Table().start([PLAY | {"wait": False}])
    table.reply(status=500)
    table.answer([])
    assert kinds(table) == ["continue"]


def test_an_event_meanwhile_gives_its_function_the_seconds_anew_but_not_for_ever() -> None:
    """A caller who talks into silence is not kept there by every word that is told."""
    table = Table(events=None).start([])
    for _ in range(5):
        table.later(8)
        if kinds(table):
            break
        table.happen("ChannelTalkingStarted")
        table.answer([])
    assert kinds(table) == ["continue"]
    assert still(table)[0].seconds == 30.0


def test_while_an_event_is_under_way_nothing_stands_still() -> None:
    """The endpoint has its deadline."""
    table = Table(deadline=60.0).start()
    table.later(50)
    assert kinds(table) == []
    table.answer([])
    table.later(9)
    assert kinds(table) == []


def test_who_comes_back_in_time_goes_on_and_the_filler_ends_with_it() -> None:
    """202, then POST /v1/calls/{id}/actions: `while_waiting` fills the time between."""
    table = Table(while_waiting=(b'{"action":"ring"}',)).start([])
    table.later(1.1)
    table.reply()
    assert table.operations == ["channels.ring"]
    table.later(7)
    table.turn("inject", decode_answer(json.dumps([PAUSE]).encode()))
    assert table.operations == ["channels.ring", "channels.ringStop"]
    table.later(4)
    assert (still(table), len(table.operations)) == ([], 2)
    table.finish()


def test_who_does_not_come_back_leaves_the_caller_to_the_fallback_though_it_rings() -> None:
    """A filler is not what the caller called for."""
    table = Table(while_waiting=(b'{"action":"ring"}',), fallback=SORRY).start([])
    table.later(1.1)
    table.reply()
    table.later(9)
    assert table.operations[:3] == ["channels.ring", "channels.ringStop", "channels.playWithId"]
    assert kinds(table) == ["actions"]
    table.finish()


def test_a_filler_does_not_play_into_what_the_caller_hears() -> None:
    """Music of the endpoint's own, a talk: nothing over it."""
    table = Table(while_waiting=(b'{"action":"ring"}',)).start([MOH])
    table.reply()
    table.press("1")
    table.later(5)
    assert table.operations == ["channels.startMoh"]


def test_the_fallback_that_ends_in_silence_goes_back_to_the_dialplan_and_no_further() -> None:
    """No apology every ten seconds, and no endless trying."""
    table = Table(fallback=SORRY, idle_timeout=600.0).start([])
    table.later(10.1)
    table.reply(status=201)
    table.playback()
    table.answer([])
    table.later(10.1)
    assert kinds(table) == ["actions", "continue"]
    assert "The fallback's actions are done" in still(table)[-1].message
    table.reply(status=500)
    table.reply(status=500)  # the hangup after it
    table.later(300)
    assert len(still(table)) == 2
    table.finish()


def test_who_answers_again_is_protected_again() -> None:
    """Actions of the owner begin anew what the fallback had ended."""
    table = Table(fallback=SORRY).start([])
    table.later(10.1)
    table.press("1")
    table.answer([{"action": "ring"}, {"action": "ringStop"}])
    table.settle()
    table.later(10.1)
    assert kinds(table) == ["actions", "actions"]


def test_what_goes_on_is_on_disk_and_looked_for_after_a_restart() -> None:
    """A talk that ended while the router was away is silence now; music cannot end alone."""
    table = Table().start([MOH])
    table.reply()
    table.happen("ChannelEnteredBridge", "1", bridge={"id": "b", "channels": ["1", "2"]})
    table.turn("resume", restarted=True)
    assert table.operations[-1] == "bridges.get"
    table.reply("bridges.get", 200, {"id": "b", "channels": []})
    assert list(table.call.goes_on) == ["music"]


def test_a_call_of_an_older_journal_is_left_as_it_was_until_something_is_begun() -> None:
    """Nobody noted what it hears."""
    table = Table().start([])
    table.call.version = 1
    table.call.timers.clear()
    table.call = decode_call(encode_call(table.call))
    table.later(60)
    assert still(table) == []
    table.turn("inject", decode_answer(b'[{"action": "setState", "state": 1}]'))
    table.later(10.1)
    assert len(still(table)) == 1


def test_a_call_that_was_given_away_is_not_called_silent() -> None:
    """A phone that was sent elsewhere may take its time."""
    table = Table(up=True, idle_timeout=60.0).start([{"action": "redirect", "to": "PJSIP/b"}])
    table.reply()
    table.later(30)
    assert still(table) == []


def test_the_fallback_url_is_not_asked_about_silence() -> None:
    """There is no event that it could answer; the actions run."""
    table = Table(fallback=Fallback(Endpoint("http://127.0.0.1/backup"), SORRY.actions)).start([])
    table.later(10.1)
    assert kinds(table) == ["actions"]


def test_a_result_that_waits_is_under_way() -> None:
    """And what follows it in the program is to come."""
    table = Table().start([READ, HANGUP])
    table.reply(status=200, body={"value": "1"})
    table.later(30)
    assert still(table) == []
    table.answer([])
    assert table.operations[-1] == "channels.hangup"
