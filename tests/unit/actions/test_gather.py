"""gather, key by key, on a table."""

from __future__ import annotations

from typing import Any

import pytest
from rig.table import Table

from hookrouter.actions.gather import matches

GATHER = {"action": "gather", "timeout": 5, "interDigitTimeout": 3}


@pytest.mark.parametrize(
    ("pattern", "digits", "fit"),
    [
        ("1XX", "1", "partly"), ("1XX", "123", "exactly"), ("1XX", "2", "no"), ("1XX", "1234", "no"),
        ("N", "1", "no"), ("N", "2", "exactly"), ("Z.", "1", "partly"), ("Z.", "12", "and more"),
        ("[13]", "3", "exactly"), ("[1-3]X", "4", "no"), ("_*1", "*", "partly"), ("0!", "0", "and more"),
    ],
)  # fmt: skip
def test_dialplan_patterns(pattern: str, digits: str, fit: str) -> None:
    """X, Z, N, sets, and the two that match more."""
    assert matches(pattern, digits) == fit


@pytest.mark.parametrize(
    ("more", "keys", "digits", "reason"),
    [
        pytest.param({"maxDigits": 2}, "123", "12", "maxDigits", id="max"),
        pytest.param({}, "12#", "12", "finishOnKey", id="finish"),
        pytest.param({"finishOnKey": "*"}, "1*", "1", "finishOnKey", id="another key"),
        pytest.param({"validDigits": ["1", "2"]}, "2", "2", "valid", id="valid"),
        pytest.param({"validDigits": "1XX"}, "123", "123", "valid", id="pattern"),
        pytest.param({"validDigits": ["1"]}, "7", "7", "invalid", id="invalid"),
        pytest.param({"minDigits": 3}, "12#", "12", "invalid", id="too few"),
        pytest.param({}, "#", "", "invalid", id="only the key"),
    ],
)
def test_an_entry_is_complete_at_its_last_key(more: Any, keys: str, digits: str, reason: str) -> None:
    """What is left over is for what follows."""
    table = Table(events=frozenset({"StasisStart"})).start([GATHER | more])
    table.press(keys)
    assert table.types[-1] == "DigitsCollected"
    assert {k: v for k, v in table.data().items() if k != "action"} == {"digits": digits, "reason": reason}


def test_timeouts_to_the_first_key_and_between_keys() -> None:
    """5 s and 3 s."""
    table = Table(events=frozenset({"StasisStart"})).start([GATHER])
    table.later(4.9)
    assert table.types == ["StasisStart"]
    table.later(0.2)
    assert table.data()["reason"] == "timeout"
    table = Table(events=frozenset({"StasisStart"})).start([GATHER])
    table.press("4")
    table.later(3.1)
    assert (table.data()["digits"], table.data()["reason"]) == ("4", "interDigitTimeout")


def test_a_key_stops_the_prompt_and_typed_ahead_skips_it() -> None:
    """Barge-in; and digits from before the gather began."""
    prompt = GATHER | {"prompt": "sound:a", "maxDigits": 1}
    table = Table(events=frozenset({"StasisStart"})).start([prompt])
    table.reply(status=201)
    table.press("1")
    assert table.operations == ["channels.playWithId", "playbacks.stop"]
    assert table.data()["digits"] == "1"
    table = Table(events=frozenset({"StasisStart"})).start([{"action": "pause", "seconds": 1}, prompt])
    table.press("7")
    table.later(1.1)
    assert table.operations == []
    assert table.data()["digits"] == "7"


def test_without_barge_in_the_prompt_is_heard_to_its_end() -> None:
    """And the keys count when it has ended."""
    table = Table(events=frozenset({"StasisStart"})).start([GATHER | {"prompt": "sound:a", "maxDigits": 2, "bargeIn": False}])
    table.reply(status=201)
    table.press("12")
    assert table.operations == ["channels.playWithId"]
    table.playback()
    assert table.data()["digits"] == "12"


def test_a_wrong_entry_is_tried_again_after_the_invalid_prompt() -> None:
    """Until `tries` are used up."""
    table = Table(events=frozenset({"StasisStart"})).start(
        [GATHER | {"prompt": "sound:a", "invalid": "sound:wrong", "validDigits": ["1"], "tries": 2}]
    )
    table.press("9")
    media = [request.params["media"] for request in table.asked if "media" in request.params]
    assert media == [["sound:a"], ["sound:wrong"]]
    table.playback()
    table.press("8")
    assert table.data()["reason"] == "invalid"


@pytest.mark.parametrize(("keys", "operation"), [("1", "channels.ring"), ("2", "channels.hangup")])
def test_a_branch_runs_at_once_and_is_not_told(keys: str, operation: str) -> None:
    """`default` takes the rest."""
    branches = {"1": [{"action": "ring"}], "default": [{"action": "hangup"}]}
    table = Table(events=frozenset({"StasisStart"})).start([GATHER | {"maxDigits": 1, "branches": branches}])
    table.press(keys)
    assert table.operations == [operation]
    assert table.types == ["StasisStart"]


def test_several_entries_are_typed_ahead_in_one_go() -> None:
    """A PIN, its key, and the choice after it, all while a prompt is heard: each gather takes its own."""
    table = Table(events=frozenset({"StasisStart"})).start(
        [{"action": "pause", "seconds": 1}, GATHER, GATHER | {"maxDigits": 1}, GATHER | {"maxDigits": 2}]
    )
    table.press("1234#56")
    table.later(1.1)
    assert (table.data()["digits"], table.data()["reason"]) == ("1234", "finishOnKey")
    table.answer([])
    assert table.data()["digits"] == "5"
    table.answer([])
    table.press("7")
    assert table.data()["digits"] == "67"


def test_keys_beyond_a_wrong_entry_are_no_part_of_the_next_try() -> None:
    """Who has typed nonsense begins anew."""
    table = Table(events=frozenset({"StasisStart"})).start(
        [{"action": "pause", "seconds": 1}, GATHER | {"validDigits": ["12"], "tries": 2, "bargeIn": False}]
    )
    table.press("912")
    table.later(1.1)
    assert table.types == ["StasisStart"]
    table.press("1")
    table.press("2")
    assert (table.data()["digits"], table.data()["reason"]) == ("12", "valid")


def test_the_prompt_is_heard_again_at_each_try() -> None:
    """After `invalid`, which a key breaks off."""
    media = {"prompt": "sound:a", "invalid": "sound:wrong", "validDigits": ["1"], "tries": 3, "timeout": 5}
    table = Table(events=frozenset({"StasisStart"})).start([GATHER | media])
    table.reply(status=201)
    table.playback()
    table.later(5.1)  # nothing was typed: the prompt again, without `invalid`
    table.reply(status=201)
    table.playback()
    table.press("9")
    table.reply(status=201)
    said = [p.params["media"] for p in table.asked if "media" in p.params]
    assert said == [["sound:a"], ["sound:a"], ["sound:wrong"]]
    table.press("1")
    assert table.operations[-1] == "playbacks.stop"
    assert (table.data()["digits"], table.data()["reason"]) == ("1", "valid")
    table = Table(events=frozenset({"StasisStart"})).start([GATHER | media])
    table.press("9")
    table.settle()
    table.playback()
    table.settle()
    assert [p.params["media"] for p in table.asked if "media" in p.params][-1] == ["sound:a"]
    table.hangup()
    assert table.data()["reason"] == "hangup"


def test_a_prompt_that_cannot_be_played_fails_the_gather() -> None:
    """The endpoint is told, and says what follows."""
    table = Table(events=frozenset({"StasisStart"})).start([GATHER | {"prompt": "sound:missing"}])
    table.reply("channels.playWithId", 500)
    assert table.types[-1] == "ActionFailed"
    assert table.data()["action"]["action"] == "gather"


def test_what_others_press_and_what_else_happens_is_no_entry() -> None:
    """Only the caller's own keys count."""
    table = Table(events=frozenset({"StasisStart"})).start([GATHER | {"maxDigits": 1}])
    table.press("1", "another")
    table.happen("ChannelStateChange")
    assert table.types == ["StasisStart"]
    table.press("2")
    assert table.data()["digits"] == "2"


@pytest.mark.parametrize("branches", [{"timeout": [{"action": "ring"}]}, {"default": [{"action": "ring"}]}])
def test_a_branch_for_who_types_nothing(branches: Any) -> None:
    """`timeout`, or else `default`."""
    table = Table(events=frozenset({"StasisStart"})).start([GATHER | {"branches": branches}])
    table.later(5.1)
    assert table.operations == ["channels.ring"]


def test_what_was_typed_during_the_prompt_is_told_at_a_hangup() -> None:
    """Also where keys do not end it."""
    table = Table(events=frozenset({"StasisStart"})).start([GATHER | {"prompt": "sound:a", "bargeIn": False}])
    table.press("12")
    table.hangup()
    assert (table.data()["digits"], table.data()["reason"]) == ("12", "hangup")


def test_what_the_caller_types_is_no_answer_of_the_callee() -> None:
    """A callee who is screened presses their own keys; the caller's were pressed into the ringing, and answer nothing."""
    screening = [{"action": "gather", "maxDigits": 1, "branches": {"1": [], "default": [{"action": "hangup"}]}}]
    table = Table(up=True, events=frozenset({"StasisStart"})).start(
        [{"action": "dial", "to": "PJSIP/a", "confirm": screening}, GATHER | {"maxDigits": 1}]
    )
    table.press("1")
    [leg] = [id for id, kind in table.owned.items() if kind == "leg"]
    table.happen("StasisStart", leg)
    assert "bridges.createWithId" not in table.operations
    table.happen("ChannelDestroyed", leg, cause=16)
    table.answer([])
    assert table.types[-1] == "DialCompleted"
    table.press("2")
    assert (table.types[-1], table.data()["digits"]) == ("DigitsCollected", "2")


def test_a_hangup_tells_what_was_typed() -> None:
    """Reason `hangup`."""
    table = Table(events=frozenset({"StasisStart"})).start([GATHER])
    table.press("12")
    table.hangup()
    assert (table.data()["digits"], table.data()["reason"]) == ("12", "hangup")
    table.answer([])
    table.finish()
