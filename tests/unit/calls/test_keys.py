"""Whose key it is, on a table: each counts once, for the action that asks for it; none answers a question after a talk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.table import Table

GATHER = {"action": "gather", "timeout": 5, "interDigitTimeout": 3}
QUIET = frozenset({"StasisStart"})
PAUSE = {"action": "pause", "seconds": 1}


def begin(*steps: Any, events: frozenset[str] = QUIET) -> Table:
    table = Table(up=True, events=events).start(list(steps))
    settle(table)
    return table


def entries(table: Table) -> list[tuple[str, str]]:
    """What each `gather` has told: digits and reason."""
    found = [table.data(i) for i, type in enumerate(table.types) if type == "DigitsCollected"]
    return [(data["digits"], data["reason"]) for data in found]


def settle(table: Table) -> None:
    """Everything that was asked is done; what is asked for is there, and up."""
    while table.call.requests:
        table.reply(status=200, body={"value": "1", "state": "Up"})


def close_record(table: Table) -> None:
    name = next(p.params["name"] for p in reversed(table.asked) if p.operation == "channels.record")
    table.happen("RecordingFinished", "", recording={"name": name, "state": "done", "duration": 1, "target_uri": "channel:1"})


def close_bridge(table: Table) -> None:
    bridge = next(p.params["bridgeId"] for p in reversed(table.asked) if p.operation == "bridges.createWithId")
    table.happen("ChannelEnteredBridge", bridge={"id": bridge, "channels": ["1"]})
    table.happen("BridgeDestroyed", "", bridge={"id": bridge, "channels": []})
    settle(table)


def close_leg(table: Table) -> None:
    [leg] = [id for id, kind in table.owned.items() if kind == "leg"]
    table.happen("ChannelDestroyed", leg, cause=16)
    settle(table)


def close_snoop(table: Table) -> None:
    [snoop] = [id for id, kind in table.owned.items() if kind == "snoop"]
    table.happen("ChannelDestroyed", snoop, cause=16)


def come_back(table: Table) -> None:
    table.happen("StasisStart")
    settle(table)


TALKS = [
    pytest.param({"action": "record", "name": "a", "terminateOn": "#"}, close_record, id="record"),
    pytest.param({"action": "dial", "to": "PJSIP/a"}, close_leg, id="dial"),
    pytest.param({"action": "transfer", "to": "PJSIP/a"}, close_leg, id="transfer"),
    pytest.param({"action": "bridge", "name": "a"}, close_bridge, id="bridge"),
    pytest.param({"action": "conference", "name": "a"}, close_bridge, id="conference"),
    pytest.param({"action": "stream", "to": "bot"}, close_leg, id="stream"),
    pytest.param({"action": "spy", "call": "1"}, None, id="spy"),
    pytest.param({"action": "enqueue", "queue": "a", "timeout": 9}, lambda table: table.later(9.1), id="enqueue"),
    pytest.param({"action": "dialplan", "context": "subs"}, come_back, id="dialplan"),
]


@pytest.mark.parametrize(("talk", "close"), TALKS)
def test_keys_of_a_talk_answer_no_later_question(talk: Any, close: Any) -> None:
    """Typed before it, or in it: what follows begins with nothing, hears its prompt, and has the keys pressed then."""
    if talk["action"] == "spy":
        table = Table(up=True, events=QUIET, scope="any")
        table.start([PAUSE, talk | {"call": "2"}, GATHER | {"prompt": "sound:a", "maxDigits": 2}])
        close = close_snoop
    else:
        table = begin(PAUSE, talk, GATHER | {"prompt": "sound:a", "maxDigits": 2})
    table.press("8")
    table.later(1.1)
    settle(table)
    table.press("9")
    table.press("#")
    close(table)
    while table.types[-1] not in ("DigitsCollected", "StasisStart") and table.call.in_flight:
        table.answer([])
    assert table.asked[-1].params.get("media") == ["sound:a"], table.operations
    table.press("12")
    assert entries(table) == [("12", "maxDigits")]


def test_the_key_that_ends_a_recording_is_used_up_and_what_is_typed_after_it_is_not() -> None:
    """`#` for the recording, `1` for the question."""
    table = begin({"action": "record", "name": "a", "terminateOn": "#"}, GATHER | {"prompt": "sound:a", "maxDigits": 1})
    table.press("5#")
    close_record(table)
    table.press("1")
    table.answer([])
    assert entries(table) == [("1", "maxDigits")]


@pytest.mark.parametrize(
    ("more", "keys", "told"),
    [
        pytest.param({"maxDigits": 4}, "1234#", ("1234", "maxDigits"), id="maxDigits"),
        pytest.param({"validDigits": "1XXX"}, "1234#", ("1234", "valid"), id="pattern"),
        pytest.param({"maxDigits": 4, "finishOnKey": "*"}, "1234*", ("1234", "maxDigits"), id="another key"),
        pytest.param({}, "1234#", ("1234", "finishOnKey"), id="the key itself"),
        pytest.param({"validDigits": ["12"]}, "9#", ("9", "invalid"), id="invalid"),
    ],
)
@pytest.mark.parametrize("ahead", [False, True])
def test_the_key_that_closes_an_entry_is_part_of_it(more: Any, keys: str, told: Any, ahead: bool) -> None:
    """Also where the entry was complete without it, pressed now or typed ahead; the next question has its own."""
    table = begin(PAUSE, GATHER | more, GATHER | {"prompt": "sound:b", "maxDigits": 1})
    if ahead:
        table.press(keys)
        table.later(1.1)
    else:
        table.later(1.1)
        table.press(keys)
    assert entries(table) == [told]
    table.answer([])
    assert table.types[-1] == "DigitsCollected", "the prompt is heard, and nothing has answered it"
    assert table.asked[-1].params["media"] == ["sound:b"]
    table.press("7")
    assert entries(table) == [told, ("7", "maxDigits")]


def test_a_closing_key_that_comes_late_or_not_next_is_a_key_of_its_own() -> None:
    """After a second and a half, or behind another key."""
    ask = GATHER | {"maxDigits": 1}
    late = begin(ask, {"action": "pause", "seconds": 9}, {"action": "play", "media": "sound:a", "stopOn": "#"})
    late.press("1")
    late.later(1.6)
    late.press("#")
    assert late.call.digits == "#"
    behind = begin(ask, {"action": "pause", "seconds": 9})
    behind.press("12#")
    assert behind.call.digits == "2#"
    without = begin(ask | {"finishOnKey": ""}, {"action": "pause", "seconds": 9})
    without.press("1#")
    assert without.call.digits == "#"


def test_a_wrong_try_is_one_try_also_with_the_key_behind_it() -> None:
    """`9#` at a menu of 1 and 2 uses up one try, not two."""
    table = begin(GATHER | {"validDigits": ["1", "2"], "tries": 2})
    table.press("9#")
    assert entries(table) == []
    table.press("2")
    assert entries(table) == [("2", "valid")]


def test_a_lone_closing_key_that_was_typed_ahead_is_no_entry() -> None:
    """Who presses `#` to skip a prompt has not answered the question after it."""
    table = begin(PAUSE, GATHER | {"prompt": "sound:a", "maxDigits": 1})
    table.press("#")
    table.later(1.1)
    assert table.asked[-1].params["media"] == ["sound:a"]
    assert entries(table) == []


def test_a_key_is_for_the_innermost_that_asks_for_it() -> None:
    """`stopOn` within a prompt without barge-in: it stops the sound, and is no digit; others are digits."""
    prompt = [{"action": "play", "media": "sound:a", "stopOn": "*"}]
    table = begin(GATHER | {"prompt": prompt, "bargeIn": False, "maxDigits": 2})
    table.press("1*")
    assert table.operations[-1] == "playbacks.stop"
    table.playback()
    table.press("2")
    assert entries(table) == [("12", "maxDigits")]


def test_stop_on_takes_its_key_alone() -> None:
    """What was typed before it stays typed ahead."""
    table = begin({"action": "play", "media": "sound:a", "stopOn": "#"}, GATHER | {"maxDigits": 1})
    table.press("4#")
    table.playback()
    assert entries(table) == [("4", "maxDigits")]


@pytest.mark.parametrize("mode", ["replace", "parallel", "append"])
def test_a_key_that_the_endpoint_answers_itself_is_no_digit_and_the_keys_behind_it_are(mode: str) -> None:
    """`*` begins a feature code; `1` was typed before the answer was there."""
    table = Table(up=True, events=QUIET | {"ChannelDtmfReceived"}).start([{"action": "pause", "seconds": 2}])
    table.press("*1")
    table.answer({"mode": mode, "actions": [GATHER | {"maxDigits": 1}]})
    table.answer([])
    table.later(2.1)
    assert entries(table) == [("1", "maxDigits")]


@given(
    st.lists(st.sampled_from(["pause", "gather", "record", "bridge"]), max_size=6),
    st.lists(st.text("123456#", max_size=4), min_size=6, max_size=6),
)
def test_no_key_counts_twice_and_none_of_a_talk_at_all(verbs: list[str], typed: list[str]) -> None:
    """Whatever is typed whenever: the digits of all entries, one after another, are a part of what was typed, in order."""
    actions: dict[str, Any] = {
        "pause": PAUSE, "gather": GATHER | {"maxDigits": 2}, "record": {"action": "record", "name": "a"},
        "bridge": {"action": "bridge", "name": "a"},
    }  # fmt: skip
    table = begin(*[actions[verb] for verb in verbs])
    rest, meant = iter(typed), ""
    while (program := next(iter(table.call.programs.values()), None)) is not None:
        settle(table)
        verb = json.loads(program.steps[program.index])["action"]
        if verb in ("record", "bridge"):
            table.press("789")
            close_record(table) if verb == "record" else close_bridge(table)
        else:
            meant += (keys := next(rest))
            table.press(keys)
            table.later(1.1 if verb == "pause" else 6)
        while table.call.in_flight:
            table.answer([])
    pressed = iter(meant)
    told = "".join(digits for digits, _ in entries(table))
    assert all(digit in pressed for digit in told), (meant, told)
