"""Programs on the real Asterisk: in order, complete, interrupted, failed, and gone with their call."""

from __future__ import annotations

import time
from typing import Any

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import ActionFinished, AriLost, CallFinished, FallbackTaken

ALL = '["StasisStart", "ChannelDtmfReceived", "PlayCompleted", "StasisEnd", "CallEnded"]'
ANSWER = {"action": "answer"}
HELLO = {"action": "play", "media": "sound:hello-world"}
LONG = {"action": "play", "media": "sound:demo-congrats"}
HANGUP = {"action": "hangup"}


def router(asterisk: Asterisk, app: str, endpoint: Endpoint, *, events: str = ALL, more: str = "") -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=events, more=more))


async def test_a_prompt_is_played_to_its_end_before_the_hangup(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """Each action is complete before the next begins, and the results say so."""
    endpoint.answers["StasisStart"] = [[ANSWER, HELLO, HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        played = await endpoint.wait("PlayCompleted")
        assert played.data["state"] == "done"
        assert played.data["action"] == HELLO
        await endpoint.wait("CallEnded")
        verbs = [(fact.verb, fact.outcome) for fact in running.of(ActionFinished)]
        assert verbs == [("answer", "done"), ("play", "done"), ("hangup", "done")]
        play = running.of(ActionFinished)[1]
        assert 1.2 < play.seconds < 1.8
        await pbx.gone(call.id, call.far)
    assert [d.type for d in endpoint.received] == ["StasisStart", "PlayCompleted", "StasisEnd", "CallEnded"]
    assert [d.body["call"]["sequence"] for d in endpoint.received] == [1, 2, 3, 4]
    assert endpoint.most_in_flight == 1


async def test_without_waiting_the_hangup_cuts_the_prompt(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """`"wait": false` goes on at once."""
    endpoint.answers["StasisStart"] = [[ANSWER, LONG | {"wait": False}, HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        started = time.monotonic()
        call = await pbx.call(app)
        await endpoint.wait("CallEnded")
        assert time.monotonic() - started < 2
        await pbx.gone(call.id, call.far)


async def test_a_digit_during_a_prompt_replaces_it(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """The answer to the digit stops the prompt within 300 ms."""
    endpoint.answers["StasisStart"] = [[ANSWER, LONG]]
    endpoint.answers["ChannelDtmfReceived"] = [[HELLO, HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        await running.fact(ActionFinished, verb="answer")
        await call.press("5")
        digit = await endpoint.wait("ChannelDtmfReceived")
        assert digit.data["digit"] == "5"
        answered = time.monotonic()
        await running.fact(ActionFinished, verb="play", outcome="stopped")
        assert time.monotonic() - answered < 0.3
        await endpoint.wait("CallEnded")
        assert [f.outcome for f in running.of(ActionFinished) if f.verb == "play"] == ["stopped", "done"]


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        pytest.param({"action": "play", "media": "sound:no-such-sound"}, "media_failed", id="missing sound"),
        pytest.param({"action": "play", "media": "recording:no-such"}, "media_failed", id="missing recording"),
        pytest.param({"action": "play", "media": "weird:scheme"}, "media_failed", id="unknown scheme"),
        pytest.param(
            {"action": "continue", "context": "nowhere", "extension": "1", "priority": 1}, "no_such_extension", id="nowhere"
        ),
        pytest.param({"action": "move", "app": "no-such-app"}, "no_such_app", id="no app"),
        pytest.param({"action": "bridge", "with": "no-such-call"}, "forbidden", id="no call"),
        pytest.param({"action": "asterisk.getGlobalVar", "variable": "X"}, "forbidden", id="outside the call"),
        pytest.param({"action": "channels.get", "channelId": "someone-else"}, "forbidden", id="another call"),
    ],
)
async def test_what_cannot_be_done_is_told_as_action_failed(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, action: dict[str, Any], reason: str
) -> None:
    """None of them hangs, and the answer to ActionFailed goes on with the call."""
    endpoint.answers["StasisStart"] = [[ANSWER, action, LONG]]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        failed = await endpoint.wait("ActionFailed", timeout=6)
        assert failed.data["error"]["reason"] == reason
        assert failed.data["error"]["message"]
        assert failed.data["action"] == action
        await endpoint.wait("CallEnded")
        await pbx.gone(call.id, call.far)


async def test_on_error_goes_on_or_runs_its_own_actions(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """`continue` skips the failed action; a list runs in place of the rest."""
    missing = {"action": "play", "media": "sound:no-such-sound"}
    endpoint.answers["StasisStart"] = [
        [ANSWER, missing | {"onError": "continue"}, HELLO, missing | {"onError": [HANGUP]}, LONG]
    ]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        await pbx.call(app)
        await endpoint.wait("CallEnded")
        outcomes = [(fact.verb, fact.outcome) for fact in running.of(ActionFinished)]
        assert outcomes == [
            ("answer", "done"), ("play", "failed"), ("play", "done"), ("play", "failed"), ("hangup", "done"),
        ]  # fmt: skip
    assert not endpoint.of("ActionFailed")


async def test_a_blocking_operation_holds_up_no_other_call(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """setVariable behind a long prompt waits; another call's hangup does not, not by 50 ms."""
    answers = iter(
        [
            [ANSWER, LONG | {"wait": False}, {"action": "setVariable", "variable": "X", "value": "1"}],
            [ANSWER, HANGUP],
        ]
    )
    endpoint.answers["StasisStart"] = lambda delivery: next(answers)
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        slow = await pbx.call(app)
        await running.fact(ActionFinished, call=slow.id, verb="answer")
        await endpoint.wait("StasisStart")
        quick = await pbx.call(app)
        finished = await running.fact(ActionFinished, call=quick.id, verb="hangup")
        assert finished.seconds < 0.05
        assert not [f for f in running.of(ActionFinished) if f.verb == "setVariable"]
        await slow.hangup()
        await endpoint.wait("CallEnded", call=slow.id)


@pytest.mark.parametrize("verb", ["record", "startRecording"])
async def test_a_recording_under_a_name_that_exists_is_told_at_once(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, verb: str
) -> None:
    """Whether it is finished or still runs, and the one that runs is not lost by it."""
    again = {"action": verb, "name": f"twice-{app}"}
    start = {"action": "startRecording", "name": f"twice-{app}"}
    pause = {"action": "pause", "seconds": 0.5}
    endpoint.answers["StasisStart"] = [
        [ANSWER, start, pause, again | {"id": "while it runs"}, pause, {"action": "stopRecording"}, LONG]
    ]
    endpoint.answers["ActionFailed"] = [
        [pause, {"action": "stopRecording"}, pause, again | {"id": "when it is over"}, LONG], [HANGUP],
    ]  # fmt: skip
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        await endpoint.wait("CallEnded")
        for failed in endpoint.of("ActionFailed"):
            assert failed.data["error"]["reason"] in ("exists", "forbidden")
            assert "already" in failed.data["error"]["message"]
        failures = [f for f in running.of(ActionFinished) if f.verb == verb and f.outcome == "failed"]
        assert len(failures) == 2
        assert all(failure.seconds < 0.5 for failure in failures)
        assert len(endpoint.of("RecordingCompleted", call.id)) == 1


@pytest.mark.parametrize("meanwhile", [[], [{"action": "play", "media": "sound:beep", "wait": False}]], ids=["quiet", "prompt"])
async def test_a_variable_of_60_kilobytes(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, meanwhile: list[Any]
) -> None:
    """Whatever else is going on; one of 70 is refused in words, and costs the other calls nothing."""
    value = "".join(f"{index:05d}" for index in range(12_000))
    endpoint.answers["StasisStart"] = [
        [ANSWER, *meanwhile, {"action": "setVariable", "variable": "BIG", "value": value},
         {"action": "setVariable", "variable": "HUGE", "value": "x" * 70_000}],
    ]  # fmt: skip
    endpoint.answers["ActionFailed"] = [[{"action": "getVariable", "variable": "BIG"}, HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        await pbx.call(app)
        failed = await endpoint.wait("ActionFailed")
        assert "65535" in failed.data["error"]["message"]
        read = await endpoint.wait("VariableRead")
        assert read.data["values"] == {"BIG": value}
        await endpoint.wait("CallEnded")
        assert running.of(AriLost) == []


async def test_two_callers_are_bridged_and_hear_each_other(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """A digit of one arrives at the other; when one hangs up the other goes on with BridgeCompleted."""
    calls: list[str] = []

    def start(delivery: Any) -> Any:
        calls.append(delivery.call)
        return [ANSWER] if len(calls) == 1 else [ANSWER, {"action": "bridge", "with": calls[0]}]

    endpoint.answers["StasisStart"] = start
    endpoint.answers["BridgeCompleted"] = [[HANGUP]]
    async with router(asterisk, app, endpoint, events='["StasisStart", "StasisEnd"]') as running:
        await running.ready()
        first = await pbx.call(app)
        await first.answered()
        second = await pbx.call(app)
        await second.answered()
        await pbx.together(first.id, second.id)
        await first.press("7")
        assert await second.heard_digit() == "7"
        await second.press("8")
        assert await first.heard_digit() == "8"
        await second.hangup()
        done = await endpoint.wait("BridgeCompleted", call=first.id)
        assert done.data["reason"] == "hangup"
        await pbx.gone(first.id, second.id)
        await running.fact(CallFinished, call=first.id)
    assert not [b for b in await pbx.bridges() if b.startswith("hr-")]


async def test_a_room_is_made_by_the_first_and_removed_by_the_last(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """Three in a named room; it is there until the last has left."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "bridge", "name": "team"}]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        before = await pbx.bridges()
        callers = [await pbx.call(app) for _ in range(3)]
        ids = {caller.id for caller in callers}
        await pbx.together(*ids)
        room = await pbx.bridges() - before
        for caller in callers[:2]:
            await caller.hangup()
            await running.fact(CallFinished, call=caller.id)
        assert room <= await pbx.bridges()
        await callers[2].hangup()
        await pbx.gone(*room)


async def test_variables_are_set_read_and_told(asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx) -> None:
    """What is not set is null."""
    endpoint.answers["StasisStart"] = [
        [
            {"action": "setVariable", "variables": {"COLOUR": "red", "CALLERID(name)": "Ann"}},
            {"action": "getVariable", "variables": ["COLOUR", "CALLERID(name)", "NOTHING"]},
        ]
    ]
    endpoint.answers["VariableRead"] = [[HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        await pbx.call(app)
        read = await endpoint.wait("VariableRead")
        assert read.data["values"] == {"COLOUR": "red", "CALLERID(name)": "Ann", "NOTHING": None}
        await endpoint.wait("CallEnded")


async def test_continue_gives_the_call_back_to_the_dialplan(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """Where it came from, or at a place."""
    endpoint.answers["StasisStart"] = [
        [{"action": "continue"}],
        [{"action": "continue", "context": "went-on", "extension": "back", "priority": 1}],
    ]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        came_from = await pbx.call(app)
        await running.fact(CallFinished, call=came_from.id, reason="left")
        await came_from.answered()
        assert await came_from.variable("WENT_ON") == "SUCCESS"
        elsewhere = await pbx.call(app)
        await running.fact(CallFinished, call=elsewhere.id, reason="left")
        await elsewhere.answered()
        assert await elsewhere.variable("CAME_BY") == "back"
        await came_from.hangup()
        await elsewhere.hangup()


async def test_a_dead_endpoint_gives_the_caller_back_at_once_and_then_faster(
    asterisk: Asterisk, app: str, pbx: Pbx
) -> None:
    """The fallback comes within the deadline; once the breaker is open, within 50 ms."""
    text = route("http://127.0.0.1:9/hook", more="deadline = 1.5\ntimeout = 1.0")
    async with Router(asterisk.url, app, text) as running:
        await running.ready()
        for number in range(7):
            started = time.monotonic()
            call = await pbx.call(app)
            taken = await running.fact(FallbackTaken, call=call.id)
            seconds = time.monotonic() - started
            assert seconds < 1.75
            if number >= 5:
                assert taken.reason == "breaker_open"
                assert seconds < 0.25  # placing the call included
            await call.answered()
            await call.hangup()


async def test_state_comes_back_and_programs_can_be_appended_and_run_beside(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """A stateless function needs no database."""
    endpoint.answers["StasisStart"] = [
        {"actions": [ANSWER, {"action": "pause", "seconds": 0.6}], "state": {"lang": "de"}, "whenDone": "hangup"}
    ] and (lambda delivery: {
        "actions": [ANSWER, {"action": "pause", "seconds": 0.6}], "state": {"lang": "de"}, "whenDone": "hangup",
    })  # fmt: skip
    endpoint.answers["ChannelDtmfReceived"] = lambda delivery: {
        "actions": [HELLO], "mode": "append" if delivery.data["digit"] == "1" else "parallel",
        "state": delivery.body["call"]["state"] | {"digit": delivery.data["digit"]},
    }  # fmt: skip
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call = await pbx.call(app)
        await call.press("1")
        await endpoint.wait("CallEnded")
        assert endpoint.of("StasisStart")[0].body["call"]["state"] == {}
        assert endpoint.of("ChannelDtmfReceived")[0].body["call"]["state"] == {"lang": "de"}
        assert endpoint.of("PlayCompleted")[0].body["call"]["state"] == {"lang": "de", "digit": "1"}
        verbs = [(fact.verb, fact.outcome) for fact in running.of(ActionFinished)]
        assert verbs == [("answer", "done"), ("pause", "done"), ("play", "done"), ("hangup", "done")]
