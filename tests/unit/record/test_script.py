"""A recorded call as a script: what the caller did and when, how whoever was dialled behaved, what is expected."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.record.entries import Entry
from hookrouter.record.finding import Row
from hookrouter.record.script import script_of
from hookrouter.simulator.script import Script, read_script

ROW = Row(7, "1.1", "main", "app", "ivr", "", "+4930123456", "1000", 100.0, 130.0, "good", "hangup", "", "{}", 0, 0)
LEG = "hr-leg-1.1-1"


def event(at: float, type: str, **data: Any) -> Entry:
    return Entry(at, "EventReceived", {"type": type, "raw": msgspec.json.encode({"type": type, **data})})


def asked(at: float, operation: str, status: int = 200, **params: Any) -> Entry:
    return Entry(at, "AriRequested", {"operation": operation, "status": status, "params": params})


def plays(at: float, media: str, id: str = "p", seconds: float = 0.0) -> list[Entry]:
    """A playback; `seconds` 0: its end is not known."""
    playback = {"id": id, "media_uri": media, "target_uri": "channel:1.1"}
    found = [event(at, "PlaybackStarted", playback=playback)]
    return [*found, event(at + seconds, "PlaybackFinished", playback=playback)] if seconds else found


def key(at: float, digit: str, channel: str = "1.1") -> Entry:
    return event(at, "ChannelDtmfReceived", digit=digit, channel={"id": channel})


def starts(verb: str) -> Entry:
    return Entry(101.0, "ActionStarted", {"verb": verb})


def rings(at: float, endpoint: str = "PJSIP/bob") -> Entry:
    return asked(at, "channels.create", endpoint=endpoint, channelId=LEG)


def dials(at: float, status: str) -> Entry:
    return event(at, "Dial", dialstatus=status, peer={"id": LEG})


def gone(at: float, cause: int) -> Entry:
    return event(at, "ChannelDestroyed", cause=cause, channel={"id": LEG})


def read(entries: list[Entry], tmp_path: Path, row: Row = ROW) -> Script:
    """As `simulate` reads it."""
    path = tmp_path / "call.toml"
    path.write_text(script_of(row, entries))
    return read_script(path)


def steps_of(script: Script) -> list[dict[str, Any]]:
    said = [msgspec.to_builtins(step) for step in script.steps]
    return [{name: value for name, value in step.items() if value is not None and name != "timeout"} for step in said]


@pytest.mark.parametrize(
    ("entries", "steps"),
    [
        pytest.param([], [{"pause": 30.0}, {"hangup": True}], id="nothing-was-said"),
        pytest.param([asked(104.0, "channels.hangup", channelId="1.1")], [], id="the-endpoint-hangs-up"),
        pytest.param([asked(104.0, "channels.hangup", 404, channelId="1.1")], [{"pause": 30.0}, {"hangup": True}],
                     id="a-hangup-that-came-too-late"),
        pytest.param([*plays(101.0, "sound:a"), key(103.0, "1"), key(103.5, "2"), asked(104.0, "channels.hangup", channelId="1.1")],
                     [{"wait_for": "sound:a"}, {"pause": 2.0}, {"press": "1"}, {"pause": 0.5}, {"press": "2"}], id="keys-behind-it"),
        pytest.param([*plays(101.0, "sound:a"), *plays(102.0, "sound:b"), *plays(103.0, "sound:a"), key(103.0, "1"),
                      asked(104.0, "channels.hangup", channelId="1.1")],
                     [{"wait_for": "sound:a"}, {"wait_for": "sound:a"}, {"press": "1"}], id="the-second-time"),
        pytest.param([*plays(101.0, "sound:a"), key(101.0, "1"), *plays(102.0, "sound:a"), key(102.0, "1"),
                      asked(104.0, "channels.hangup", channelId="1.1")],
                     [{"wait_for": "sound:a"}, {"press": "1"}, {"wait_for": "sound:a"}, {"press": "1"}], id="the-same-prompt-again"),
        pytest.param([*plays(101.0, f"sound:/tmp/{'a1' * 16}"), key(101.0, "#"), asked(104.0, "channels.hangup", channelId="1.1")],
                     [{"wait_for": "say:"}, {"press": "#"}], id="behind-a-spoken-text"),
        pytest.param([*plays(101.0, f"sound:/tmp/{'a1' * 16}"), *plays(102.0, "sound:a"), key(102.0, "#"),
                      asked(104.0, "channels.hangup", channelId="1.1")],
                     [{"wait_for": "sound:a"}, {"press": "#"}], id="behind-a-sound-behind-a-spoken-text"),
        pytest.param([key(100.0, "(left out)"), asked(104.0, "channels.hangup", channelId="1.1")], [{"press": "0"}], id="card-data"),
        pytest.param([key(100.0, "1", "other"), asked(104.0, "channels.hangup", channelId="1.1")], [], id="somebody-elses-key"),
    ],
)  # fmt: skip
def test_what_the_caller_did(entries: list[Entry], steps: list[dict[str, Any]], tmp_path: Path) -> None:
    """Behind which prompt, and how long after it began."""
    assert steps_of(read(entries, tmp_path)) == steps


@pytest.mark.parametrize(
    ("entries", "how"),
    [
        ([rings(101.0), dials(105.0, "BUSY"), gone(105.1, 17)], "busy"),
        ([rings(101.0), gone(105.1, 21)], "rejected"),
        ([rings(101.0), dials(105.0, "NOANSWER")], "noAnswer"),
        ([rings(101.0), dials(105.0, "CANCEL"), gone(105.0, 26)], "noAnswer"),
        ([rings(101.0)], "noAnswer"),
        ([rings(101.0), gone(101.5, 3)], "unavailable"),
        ([asked(101.0, "channels.create", 400, endpoint="PJSIP/bob", channelId=LEG)], "unavailable"),
        ([rings(101.0, "PJSIP/bob/sip:bob@192.0.2.1"), dials(105.0, "BUSY"), gone(105.1, 17)], "busy"),
        ([rings(101.0), dials(103.0, "ANSWER"), gone(110.0, 16)], {"outcome": "answered", "after": 2.0, "talk": 7.0}),
        ([rings(101.0), dials(103.0, "ANSWER"), key(104.0, "1", LEG), key(104.5, "#", LEG), gone(110.0, 16)],
         {"outcome": "answered", "after": 2.0, "press": "1#", "press_after": 1.0, "talk": 6.0}),
        ([rings(101.0), dials(103.0, "ANSWER"), asked(109.0, "channels.hangup", channelId=LEG), gone(109.1, 16)],
         {"outcome": "answered", "after": 2.0, "talk": 600.0}),
    ],
)  # fmt: skip
def test_whoever_was_dialled(entries: list[Entry], how: Any, tmp_path: Path) -> None:
    """Behaves as they did; who was hung up stays until they are."""
    script = read(entries, tmp_path)
    assert tomllib.loads((tmp_path / "call.toml").read_text())["dial"] == {"PJSIP/bob": how}
    assert script.parties()


def test_what_is_expected(tmp_path: Path) -> None:
    """What was heard by the caller, and the actions; spoken texts are no expectation. Sounds last as long as they did."""
    stopped = asked(108.0, "playbacks.stop", playbackId="q")
    entries = [
        event(100.0, "StasisStart", args=["sales", "2"], channel={"id": "1.1", "caller": {"name": "Ann"}}),
        starts("answer"), starts("play"), starts("gather"),
        *plays(101.0, "sound:custom/hello", seconds=2.5), *plays(104.0, "digits:12", "d", 1.0),
        *plays(105.0, f"sound:http://127.0.0.1:8080/speech/{'0f' * 16}.wav", "s", 1.0),
        *plays(107.0, "sound:menu", "q"), stopped, *plays(108.2, "sound:menu", "q", 0.3)[1:],
        event(109.0, "PlaybackStarted", playback={"id": "r", "media_uri": "sound:ring", "target_uri": "bridge:b"}),
        asked(110.0, "channels.hangup", channelId="1.1"),
    ]  # fmt: skip
    script = read(entries, tmp_path)
    assert (script.caller, script.called, script.name, script.args) == ("+4930123456", "1000", "Ann", ["sales", "2"])
    assert script.expect.heard == ["sound:custom/hello", "digits:12", "sound:menu"]
    assert script.expect.actions == ["answer", "play", "gather"]
    assert script.expect.ended_by == "endpoint"
    assert script.sounds == {"custom/hello": 2.5, "menu": 2.5}
    assert script.hangup_after == 60


def test_a_long_call_may_last(tmp_path: Path) -> None:
    """As long as it did, and longer."""
    assert read([], tmp_path, msgspec.structs.replace(ROW, ended_at=400.0)).hangup_after == 310


@given(st.text(max_size=30), st.text(min_size=1, max_size=30), st.lists(st.binary(max_size=30), max_size=3))
def test_whatever_was_said_it_is_a_script(text: str, word: str, raws: list[bytes]) -> None:
    """Numbers, sounds and names of any kind, and events that cannot be read: TOML that says the same."""
    row = msgspec.structs.replace(ROW, call_id=text, caller=text, called=word)
    entries = [Entry(101.0, "EventReceived", {"type": "PlaybackStarted", "raw": raw}) for raw in raws]
    playback = {"id": "p", "media_uri": f"sound:{word}", "target_uri": f"channel:{text}"}
    entries += [event(101.0, "PlaybackStarted", playback=playback), event(102.0, "PlaybackFinished", playback=playback)]
    entries.append(asked(102.0, "channels.create", endpoint=word, channelId="leg"))
    found = tomllib.loads(script_of(row, entries))
    script = msgspec.convert(found, Script)
    assert (script.caller, script.called) == (text, word)
    assert list(script.dial) == [word.partition("/sip:")[0]] or word.startswith("/sip:")
