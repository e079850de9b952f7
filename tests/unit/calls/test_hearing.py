"""What the caller hears at this moment, in words: what runs, then what goes on by itself, then what is waited for."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hookrouter.actions.say import SayRun
from hookrouter.actions.vocabulary import VERBS
from hookrouter.calls.call import Call, Outgoing, Program
from hookrouter.calls.hearing import hears


def program(*actions: Any, kind: Any = "main", **more: Any) -> Program:
    """One that runs its first action, or the one at `index`."""
    steps = [action if isinstance(action, bytes) else json.dumps(action).encode() for action in actions]
    return Program(**({"id": kind, "kind": kind, "steps": steps, "channel": "1", "run": SayRun()} | more))


def call(*programs: Program, **more: Any) -> Call:
    found = Call(key="main/1", id="1", asterisk="main", app="app", route="ivr", started_at=1.0, **more)
    found.programs = {one.id: one for one in programs}
    return found


PLAY = {"action": "play", "media": "sound:hello-world"}
OUT = Outgoing("e", "StasisStart", "t", b"{}", 1)
LONG = "sound:" + "a" * 200


@pytest.mark.parametrize(
    ("found", "words", "mood"),
    [
        pytest.param(call(program(PLAY)), "hears sound:hello-world", "plain", id="a-sound"),
        pytest.param(call(program({"action": "dial", "to": "PJSIP/bob"})), "waits for PJSIP/bob", "plain", id="dials"),
        pytest.param(call(program({"action": "gather", "prompt": "sound:a"})), "is asked for keys", "plain", id="asks"),
        pytest.param(call(program({"action": "answer"})), "answer", "plain", id="a-verb-without-words"),
        pytest.param(call(program({"action": "of another version"})), "is not answered yet", "waiting", id="wrong-action"),
        pytest.param(call(program({"action": "dial", "to": "PJSIP/bob"}, run=None)), "is not answered yet", "waiting", id="not-begun"),
        pytest.param(call(program(PLAY, {"action": "hangup"}, index=1)), "is hung up", "plain", id="where-it-is"),
        pytest.param(call(program({"action": "play", "media": LONG})), f"hears {LONG[:80]}…", "plain", id="cut"),
        pytest.param(call(program(PLAY), program({"action": "pause", "seconds": 5}, kind="child")), "waits (pause)", "plain",
                     id="the-newest"),
        pytest.param(call(program({"action": "moh"}, kind="filler"), program(PLAY)), "hears sound:hello-world", "plain",
                     id="rather-than-the-filler"),
        pytest.param(call(program({"action": "ring"}, kind="filler")), "hears ringing", "plain", id="the-filler"),
        pytest.param(call(program(PLAY), program(PLAY, id="over", index=1)), "hears sound:hello-world", "plain", id="one-is-over"),
        pytest.param(call(program(PLAY, run=None, waiting="e"), up=True), "waits for the endpoint", "waiting", id="its-result-waits"),
        pytest.param(call(goes_on={"music": "default"}), "hears music (default)", "plain", id="music"),
        pytest.param(call(goes_on={"music": "", "bridge b1": ""}), "talks in a bridge", "plain", id="the-last-that-goes-on"),
        pytest.param(call(goes_on={"odd thing": ""}), "hears something", "plain", id="something"),
        pytest.param(call(outbox=[OUT], in_flight="e"), "waits for the answer to StasisStart", "waiting", id="asked"),
        pytest.param(call(in_flight="e"), "waits for the answer to an event", "waiting", id="in-flight"),
        pytest.param(call(up=True), "waits", "waiting", id="nothing"),
        pytest.param(call(), "is not answered yet", "waiting", id="rings"),
        pytest.param(call(program(PLAY), still_since=1.0), "stands still: hears nothing", "still", id="still"),
        pytest.param(call(program(PLAY), ended=True, still_since=1.0), "has gone", "waiting", id="over"),
    ],
)  # fmt: skip
def test_what_is_heard(found: Call, words: str, mood: str) -> None:
    """One line, and its mood."""
    assert (hears(found).words, hears(found).mood) == (words, mood)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb.examples], ids=lambda verb: verb.__struct_config__.tag)
def test_every_verb_has_words(verb: Any) -> None:
    """One line that says something, for each example."""
    for example in verb.examples:
        words = hears(call(program(example.encode()), up=True)).words
        assert words
        assert words == words.strip()
        assert "\n" not in words
        assert "{" not in words
