"""Why a call failed, in one sentence: the ten ways, what comes on top of them, and what is no failure."""

from __future__ import annotations

import msgspec
import pytest

from hookrouter.facts import (
    ActionFinished,
    CallStandsStill,
    DeliveryFinished,
    Fact,
    FallbackTaken,
    LimitReached,
    Warned,
)
from hookrouter.record.verdict import Verdict


def unanswered(reason: str, detail: str = "", attempts: int = 3) -> list[Fact]:
    finished = DeliveryFinished("e", "StasisStart", "1", "ivr", "control", "unanswered", attempts, 0.5, reason, (), detail)
    return [finished, FallbackTaken("1", "ivr", "e", reason, "continue")]


def action(verb: str, outcome: str = "done", detail: str = "", about: str = "", result: str = "") -> ActionFinished:
    return ActionFinished("1", "p", 0, verb, outcome, 0.1, detail, about, result)


STILL = CallStandsStill("1", "ivr", "PlayCompleted", "nothing", 10.0, "nothing runs, and the caller hears nothing")
LOOP: list[Fact] = [
    Warned("loop", "20 answers with actions came within 10 s", "1"),
    FallbackTaken("1", "ivr", "e", "loop", "continue"),
]


@pytest.mark.parametrize(
    ("facts", "reason", "sentence"),
    [
        pytest.param(unanswered("refused_connection", "[Errno 111]"), "left",
                     "StasisStart got no usable answer after 3 attempts (refused_connection: [Errno 111])", id="endpoint-down"),
        pytest.param(unanswered("deadline", "no answer within 8 s"), "left",
                     "StasisStart got no usable answer after 3 attempts (deadline: no answer within 8 s)", id="slow"),
        pytest.param(unanswered("refused_answer", "/0/action: unknown action `plai`", 1), "left",
                     "StasisStart got no usable answer after 1 attempt (refused_answer: /0/action: unknown action `plai`)",
                     id="wrong-answer"),
        pytest.param(unanswered("status", "answered 401: does it have the route's secret?", 1), "left",
                     "StasisStart got no usable answer after 1 attempt (status: answered 401: does it have the route's secret?)",
                     id="wrong-secret"),
        pytest.param([action("play", "failed", "not_found: no such sound")], "hangup",
                     "`play` failed (not_found: no such sound)", id="missing-sound"),
        pytest.param([action("dial", about="PJSIP/bob", result="busy")], "hangup", "`dial` of PJSIP/bob: busy", id="busy-leg"),
        pytest.param([STILL, FallbackTaken("1", "ivr", "e", "silence", "continue")], "left", STILL.message, id="stood-still"),
        pytest.param(LOOP, "left", "20 answers with actions came within 10 s", id="loop"),
        pytest.param([action("transfer", "failed", "forbidden: the route allows no `PJSIP/*`")], "hangup",
                     "`transfer` failed (forbidden: the route allows no `PJSIP/*`)", id="forbidden"),
        pytest.param([], "asterisk_restarted", "Asterisk went away in the middle of the call, and has restarted", id="asterisk-gone"),
        pytest.param([action("play", "failed", "unavailable: no reply")], "asterisk_restarted",
                     "Asterisk went away in the middle of the call, and has restarted", id="asterisk-gone-in-an-action"),
        pytest.param([action("play", "failed", "not_found: x"), *unanswered("timeout")], "left",
                     "StasisStart got no usable answer after 3 attempts (timeout)", id="no-answer-weighs-more"),
        pytest.param([action("play", "failed", "not_found: x"), action("play", "failed", "not_found: y")], "hangup",
                     "`play` failed (not_found: x)", id="the-first"),
        pytest.param([action("play", "failed", "not_found: x"), msgspec.structs.replace(STILL, event="ActionFailed"),
                      FallbackTaken("1", "ivr", "e", "silence", "continue")], "left", "`play` failed (not_found: x)",
                     id="stood-still-after-a-failed-action"),
        pytest.param([LimitReached("1", "ivr", "max_legs", "10 legs at a time")], "hangup", "10 legs at a time", id="limit"),
        pytest.param([action("dial", result="noAnswer"), action("dial", about="b", result="rejected")], "left",
                     "`dial` of b: rejected", id="nobody-reached"),
    ],
)  # fmt: skip
def test_why_a_call_failed(facts: list[Fact], reason: str, sentence: str) -> None:
    """One sentence that names the thing and the fault."""
    verdict = Verdict()
    for fact in facts:
        verdict.hear(fact)
    assert verdict.spoken(reason) == ("failed", sentence)


@pytest.mark.parametrize(
    "facts",
    [
        [action("play"), action("gather", result="maxDigits")],
        [action("dial", result="busy"), action("dial", result="answered")],
        [action("dial", result="noAnswer"), action("play"), action("record")],
        [action("dial", "stopped")],
        [Warned("endpoint", "odd, but it works", "1")],
        [DeliveryFinished("e", "DigitsCollected", "1", "crm", "notify", "dead", 9, 1.0, "status")],
    ],
)
def test_what_is_no_failure(facts: list[Fact]) -> None:
    """Somebody was reached after all, a message was left, the caller hung up; a notification is not the call."""
    verdict = Verdict()
    for fact in facts:
        verdict.hear(fact)
    assert verdict.spoken("hangup") == ("good", "")
