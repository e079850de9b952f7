"""The call machine without anything around it: programs, answers, fallbacks, and the end of a call."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rig.table import URL, Table

from hookrouter.actions.decode import decode_answer
from hookrouter.actions.vocabulary import VERBS
from hookrouter.facts import CallFinished, FallbackTaken, LateAnswer
from hookrouter.routing.endpoint import Endpoint, Fallback

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
PLAY = {"action": "play", "media": "sound:hello-world"}
PAUSE = {"action": "pause", "seconds": 5}


def test_actions_run_in_order_each_complete_before_the_next() -> None:
    """The next request is only asked for when the one before is done."""
    table = Table().start([ANSWER, PLAY, HANGUP])
    assert table.operations == ["channels.answer"]
    table.reply()
    assert table.operations == ["channels.answer", "channels.playWithId"]
    table.reply(status=201)
    assert len(table.operations) == 2
    table.playback()
    assert table.types[-1] == "PlayCompleted"
    table.answer([])
    assert table.operations[-1] == "channels.hangup"
    table.finish()


def test_an_empty_answer_changes_nothing() -> None:
    """What runs goes on."""
    table = Table().start([PAUSE, HANGUP])
    table.press("1")
    table.answer({})
    assert table.outcomes() == []
    table.later(5)
    assert table.operations == ["channels.hangup"]


def test_a_new_list_replaces_the_program_and_stops_what_plays() -> None:
    """The playback is stopped, whether its reply has come or not."""
    table = Table().start([PLAY])
    table.press("1")
    table.answer([HANGUP])
    assert table.operations == ["channels.playWithId", "playbacks.stop", "channels.hangup"]
    table.reply("channels.playWithId", 201)
    assert table.operations[-1] == "playbacks.stop"  # it may have begun after the first stop


@pytest.mark.parametrize(("mode", "main"), [("append", 2), ("parallel", 1)])
def test_append_and_parallel_stop_nothing(mode: str, main: int) -> None:
    """`append` runs it afterwards, `parallel` beside it."""
    table = Table().start([PAUSE])
    table.press("1")
    table.answer({"actions": [HANGUP], "mode": mode})
    assert ("pause", "stopped") not in table.outcomes()
    assert ("channels.hangup" in table.operations) is (mode == "parallel")
    programs = [p for p in table.call.programs.values() if p.kind == "main"]
    assert len(programs[0].steps) == main


def test_events_go_out_one_at_a_time_and_in_order() -> None:
    """The second waits for the first one's answer; the sequence counts from 1."""
    table = Table().start()
    table.press("123")
    assert table.types == ["StasisStart"]
    for _ in range(4):
        table.answer([])
    assert table.types == ["StasisStart", *["ChannelDtmfReceived"] * 3]
    assert [out.sequence for out in table.sent] == [1, 2, 3, 4]


def test_without_wait_the_program_goes_on_and_a_failure_is_told_beside_it() -> None:
    """A detached action that fails ends nothing."""
    table = Table().start([PLAY | {"wait": False}, PAUSE])
    table.reply(status=500)
    assert table.types[-1] == "ActionFailed"
    assert table.outcomes() == [("play", "failed")]
    table.answer([])
    table.later(6)
    assert table.outcomes()[-1] == ("pause", "done")


def test_what_leaves_ends_the_program_and_its_lost_end_is_asked_for() -> None:
    """No StasisEnd comes: asking shows that the channel is gone."""
    table = Table().start([{"action": "continue"}, PLAY])
    table.reply()
    assert table.operations == ["channels.continueInDialplan"]
    table.later(3)
    assert table.operations[-1] == "channels.get"
    table.reply(status=200)
    table.later(3)
    table.reply(status=404)
    table.later(1)
    assert table.missing  # the runner infers its StasisEnd
    table.finish()
    assert [f.reason for f in table.facts if isinstance(f, CallFinished)] == ["left"]


def test_a_request_on_a_channel_that_just_hung_up_is_no_error() -> None:
    """404, and then the StasisEnd: no ActionFailed."""
    table = Table().start([ANSWER])
    table.reply(status=404)
    table.hangup()
    table.finish()
    assert "ActionFailed" not in table.types


def test_a_404_of_a_living_channel_is_an_error_after_a_moment() -> None:
    """The machine asks, waits a second, and then says so."""
    table = Table().start([ANSWER])
    table.reply(status=404, body={"message": "no"})
    table.reply("channels.get", 200)
    table.later(1.1)
    assert table.types[-1] == "ActionFailed"
    assert table.data()["error"] == {"status": 404, "reason": "not_found", "message": "no"}


@pytest.mark.parametrize(
    ("on_error", "then"),
    [
        pytest.param("continue", "channels.hangup", id="continue"),
        pytest.param([{"action": "ring"}], "channels.ring", id="actions"),
    ],
)
def test_on_error_says_what_follows(on_error: Any, then: str) -> None:
    """Nothing is sent to the owner."""
    table = Table().start([ANSWER | {"onError": on_error}, HANGUP])
    table.reply(status=500)
    assert table.operations[-1] == then
    assert table.types == ["StasisStart"]


def test_the_answer_to_action_failed_goes_on() -> None:
    """And an empty one leaves the call waiting."""
    table = Table().start([ANSWER, PLAY])
    table.reply(status=500)
    table.answer([HANGUP])
    assert table.operations[-1] == "channels.hangup"


def test_a_result_waits_for_its_answer_and_the_rest_follows() -> None:
    """A non-empty list replaces the rest; an empty one lets it go on."""
    read = {"action": "getVariable", "variable": "X"}
    table = Table().start([read, HANGUP])
    table.reply(status=200, body={"value": "1"})
    assert table.types[-1] == "VariableRead"
    assert table.operations == ["channels.getChannelVar"]
    table.answer([])
    assert table.operations[-1] == "channels.hangup"
    table = Table().start([read, HANGUP])
    table.reply(status=200, body={"value": "1"})
    table.answer([{"action": "ring"}])
    assert table.operations[-1] == "channels.ring"


def test_a_result_without_answer_lets_the_rest_go_on_else_falls_back() -> None:
    """Nobody is left in silence."""
    read = {"action": "getVariable", "variable": "X"}
    table = Table().start([read, HANGUP])
    table.reply(status=200, body={"value": "1"})
    table.unanswered()
    assert table.operations[-1] == "channels.hangup"
    table = Table().start([read])
    table.reply(status=200, body={"value": "1"})
    table.unanswered()
    assert table.operations[-1] == "channels.continueInDialplan"


def test_the_fallback_ladder_url_then_actions_then_continue() -> None:
    """The same event goes to `fallback.url` with the reason; then the route's actions; else the dialplan."""
    fallback = Fallback(Endpoint("http://127.0.0.1/backup"), (b'{"action":"hangup","reason":"busy"}',))
    table = Table(fallback=fallback).start()
    table.unanswered("status", 500)
    assert table.sent[-1].id == table.sent[0].id
    assert json.loads(table.sent[-1].fallback) == {"reason": "status", "status": 500, "url": URL}
    table.unanswered()
    assert table.operations == ["channels.hangup"]
    kinds = [fact.kind for fact in table.facts if isinstance(fact, FallbackTaken)]
    assert kinds == ["url", "actions"]
    plain = Table().start()
    plain.unanswered()
    assert plain.operations == ["channels.continueInDialplan"]


def test_a_fallback_that_fails_gives_the_caller_back_and_then_hangs_up() -> None:
    """The last resort never loops."""
    table = Table(fallback=Fallback(None, (b'{"action":"ring"}',))).start()
    table.unanswered()
    table.reply(status=500)
    assert table.operations[-1] == "channels.continueInDialplan"
    table.reply(status=500)
    assert table.operations[-1] == "channels.hangup"


def test_a_later_event_without_answer_stops_nothing() -> None:
    """The program goes on; the fallback is for a call that would stand still."""
    table = Table().start([PAUSE, HANGUP])
    table.press("1")
    table.unanswered()
    assert table.operations == []
    table.later(6)
    assert table.operations == ["channels.hangup"]


def test_who_waits_hears_something_and_it_stops_with_the_answer() -> None:
    """`while_waiting` begins after a second, and what it began is taken back."""
    table = Table(while_waiting=(b'{"action":"ring"}', b'{"action":"moh"}')).start()
    table.later(0.9)
    assert table.operations == []
    table.later(0.2)
    table.reply()
    assert table.operations == ["channels.ring", "channels.startMoh"]
    table.answer([PLAY])
    assert table.operations[2:] == ["channels.ringStop", "channels.stopMoh", "channels.playWithId"]


def test_a_call_that_waits_too_long_falls_back() -> None:
    """After `idle_timeout` without an event."""
    table = Table(silence_timeout=0.0, idle_timeout=60.0).start([])
    table.later(59)
    assert table.operations == []
    table.later(2)
    assert table.operations == ["channels.continueInDialplan"]


@pytest.mark.parametrize(
    ("when_done", "operation"), [("hangup", "channels.hangup"), ("continue", "channels.continueInDialplan")]
)
def test_when_done_says_what_follows_the_program(when_done: str, operation: str) -> None:
    """Instead of waiting for the next event."""
    table = Table().start({"actions": [ANSWER], "whenDone": when_done})
    table.reply()
    assert table.operations[-1] == operation


def test_state_is_replaced_and_actions_for_a_dead_call_are_thrown_away() -> None:
    """An answer that comes after the end changes nothing."""
    table = Table().start({"actions": [PAUSE], "state": {"a": 1}})
    assert table.call.state == b'{"a": 1}'
    table.press("1")
    table.hangup()
    table.answer({"actions": [PLAY], "state": {"b": 2}})
    assert table.call.state == b'{"a": 1}'
    assert any(isinstance(fact, LateAnswer) for fact in table.facts)
    table.finish()
    assert table.operations == []


def test_what_the_router_made_goes_when_the_call_does() -> None:
    """Bridges, legs and snoops; each once."""
    table = Table(up=True).start([{"action": "dial", "to": ["Local/a", "Local/b"]}])
    table.settle()
    legs = [p.params["channelId"] for p in table.asked if p.operation == "channels.originateWithId"]
    table.hangup()
    hung_up = [p.params["channelId"] for p in table.asked if p.operation == "channels.hangup"]
    assert sorted(hung_up) == sorted(legs)
    table.finish()


def test_a_bridge_entered_before_the_reply_lasts() -> None:
    """Event and reply come in either order; nobody waits for an entry that has been."""
    table = Table(up=True).start([{"action": "bridge", "name": "team"}])
    table.reply("bridges.createWithId", 200)
    bridge = {"id": next(p.params["bridgeId"] for p in table.asked if "bridgeId" in p.params)}
    table.happen("ChannelEnteredBridge", bridge=bridge)
    table.reply("bridges.addChannel", 204)
    table.later(60)
    assert "ActionFailed" not in table.types
    table.happen("BridgeDestroyed", "", bridge=bridge)
    assert table.data()["reason"] == "ended"
    table.finish()


def test_a_restart_asks_again_for_what_was_on_its_way() -> None:
    """Requests are doubtful, timers are armed, the delivery in flight is sent again."""
    table = Table().start([PLAY])
    table.press("1")
    effects = table.turn("resume", restarted=True)
    performed = [e for e in effects if type(e).__name__ == "Perform"]
    assert [(p.operation, p.doubtful) for p in performed] == [("channels.playWithId", True)]
    assert table.sent[-1].id == table.sent[-2].id
    table.finish()


def test_the_routers_own_events_are_told_to_who_wants_them() -> None:
    """Also those that the owner is not sent."""
    table = Table(events=frozenset({"StasisStart"}))
    table.others.types = {"CallEnded", "PlayCompleted"}
    table.start([PLAY, HANGUP])
    table.reply(status=201)
    table.playback()
    table.finish()
    assert [told.type for told in table.told] == ["PlayCompleted", "CallEnded"]
    assert table.types == ["StasisStart"]


EXAMPLES = [json.loads(example) for verb in VERBS for example in verb.examples]
INPUTS = st.one_of(
    st.tuples(st.just("reply"), st.sampled_from([0, 200, 201, 204, 404, 409, 500])),
    st.tuples(st.just("answer"), st.lists(st.sampled_from(EXAMPLES), max_size=3)),
    st.tuples(st.just("mixed"), st.tuples(st.sampled_from(["append", "parallel"]), st.sampled_from(EXAMPLES))),
    st.tuples(st.just("inject"), st.sampled_from(EXAMPLES)),
    st.tuples(
        st.just("signal"), st.sampled_from(["started", "ended", "claim", "connect", "release", "gone", "caller gone"])
    ),
    st.tuples(st.just("unanswered"), st.just(None)),
    st.tuples(st.just("press"), st.sampled_from("0123456789*#")),
    st.tuples(st.just("later"), st.floats(0, 40)),
    st.tuples(st.just("playback"), st.sampled_from(["done", "failed"])),
    st.tuples(st.just("leg"), st.sampled_from(["StasisStart", "ChannelDestroyed", "StasisEnd"])),
    st.tuples(st.just("bridge"), st.sampled_from(["ChannelEnteredBridge", "ChannelLeftBridge", "BridgeDestroyed"])),
    st.tuples(st.just("recording"), st.sampled_from(["RecordingFinished", "RecordingFailed"])),
    st.tuples(st.just("resume"), st.booleans()),
    st.tuples(st.just("hangup"), st.just(None)),
)


def play(table: Table, what: str, value: Any) -> None:
    """One random input, if it makes sense now."""
    call = table.call
    if what == "reply" and call.requests:
        table.reply(
            status=value,
            body={"value": "x", "message": "m", "media": "sound:x"},
            fate="unknown" if value == 0 else "replied",
        )
    elif what == "answer" and call.in_flight:
        table.answer(value)
    elif what == "mixed" and call.in_flight:
        table.answer({"actions": [value[1]], "mode": value[0], "whenDone": "hangup"})
    elif what == "inject":
        table.turn("inject", decode_answer(json.dumps([value]).encode()))
    elif what == "signal" and not call.ended:
        told = {"agent": "9", "bridge": "b", "state": "{}", "call": "9"}
        table.turn("on_signal", value, told)
    elif what == "unanswered" and call.in_flight:
        table.unanswered()
    elif what == "press":
        table.press(value)
    elif what == "later":
        table.later(value)
    elif what == "resume":
        table.turn("resume", restarted=value)
    elif what == "hangup" and not call.ended:
        table.hangup()
    elif call.owned:
        owned_event(table, what, value)


def owned_event(table: Table, what: str, value: str) -> None:
    id, kind = next(reversed(table.owned.items()))
    if what == "playback" and kind == "playback":
        table.happen("PlaybackFinished", "", playback={"id": id, "state": value})
    elif what == "leg" and kind in ("leg", "snoop", "originated"):
        table.happen(value, id, cause=17)
    elif what == "bridge" and kind in ("bridge", "room"):
        for channel in ("1", *[other for other, k in table.owned.items() if k == "leg"]):
            table.happen(value, channel, bridge={"id": id, "channels": []})
    elif what == "recording" and "recording" in kind:
        table.happen(value, "", recording={"name": id, "duration": 3})


def nobody_stands_still(table: Table) -> None:
    """Every program runs, waits for an answer that is to come, or is over; and a call that only waits has an end of it."""
    call = table.call
    waited_for = {out.id for out in call.outbox}
    for program in call.programs.values():
        waits = program.waiting in waited_for
        assert program.run is not None or waits or program.left or program.kind == "filler"
        if program.kind == "child":
            assert call.programs[program.parent].run is not None
    for key in call.timers:
        owner, _, _ = key.partition(":")
        assert not owner or call.programs[owner].run is not None
    for pending in call.requests.values():
        assert not pending.program or call.programs[pending.program].run is not None
    assert bool(call.in_flight) is bool(call.outbox)
    if not (call.ended or call.outbox or any(program.run for program in call.programs.values())):
        assert ":idle" in call.timers
    fills = {p.id for p in call.programs.values() if p.kind == "filler"}
    if not (call.ended or call.outbox or any(p.left for p in call.programs.values())):
        hears = call.goes_on or any(
            p.run and p.kind not in ("beside", "filler") and p.parent not in fills for p in call.programs.values()
        )
        assert hears or ":silence" in call.timers or call.fallen == 2


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(EXAMPLES), min_size=1, max_size=4), st.lists(INPUTS, max_size=25))
def test_whatever_happens_nothing_breaks_and_nothing_is_left(actions: list[Any], inputs: list[tuple[str, Any]]) -> None:
    """Any verbs, any events, replies and timers in any order, and a hangup at any moment: the call comes to its end."""
    table = Table(while_waiting=(b'{"action":"ring"}',)).start(actions)
    for what, value in inputs:
        if table.gone:
            break
        play(table, what, value)
        nobody_stands_still(table)
    if not table.gone:
        table.finish()
    assert sum(isinstance(fact, CallFinished) for fact in table.facts) == 1
    ids = [out.id for out in table.sent if not out.fallback]
    assert len({out.sequence for out in table.sent if not out.url}) <= len(ids)
