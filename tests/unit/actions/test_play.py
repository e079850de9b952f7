"""play and say, on a table: every way in which a sound ends, or never begins."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from rig.table import Table

from hookrouter import actions
from hookrouter.actions.decode import decode_answer

PLAY = {"action": "play", "media": "sound:a"}
INSTEAD = decode_answer(b'[{"action":"pause","seconds":5}]')


def playing(**more: Any) -> Table:
    table = Table(up=True, events=frozenset({"StasisStart", "PlayCompleted", "StasisEnd"})).start([PLAY | more])
    table.settle()
    return table


def asked(table: Table, operation: str) -> list[dict[str, Any]]:
    return [p.params for p in table.asked if p.operation == operation]


def result(table: Table) -> dict[str, Any]:
    assert table.types[-1] == "PlayCompleted"
    assert table.owned == {}
    return {key: value for key, value in table.data().items() if key != "action"}


def failure(table: Table) -> str:
    assert table.types[-1] == "ActionFailed"
    assert table.owned == {}  # what is over holds up nothing that comes after it
    return str(table.data()["error"]["reason"])


def test_it_is_complete_when_the_sound_has_ended() -> None:
    """With its parameters in Asterisk's words; a web address is a sound, and a playback of its own."""
    table = playing(media=["https://a.example/x.wav", "number:3"], lang="de", skipms=500, offsetms=100)
    [params] = asked(table, "channels.playWithId")
    assert params["media"] == ["sound:https://a.example/x.wav"]
    assert (params["lang"], params["skipms"], params["offsetms"]) == ("de", 500, 100)
    table.playback()
    table.settle()
    assert table.types == ["StasisStart"]
    assert asked(table, "channels.playWithId")[1]["media"] == ["number:3"]
    assert "offsetms" not in asked(table, "channels.playWithId")[1]
    table.playback()
    assert result(table) == {"state": "done"}


def test_what_comes_from_the_web_is_tried_again_and_at_last_by_an_address_of_its_own() -> None:
    """Asterisk's cache loses what several callers fetch at once; what is there for nobody fails in the end."""
    url = "https://a.example/x.wav?sig=1"
    for heard_at in (2, 3, None):
        table = playing(media=url)
        for attempt in (1, 2, 3):
            table.playback("done" if attempt == heard_at else "failed")
            table.later(0.4)
            table.settle()
        media = [params["media"][0] for params in asked(table, "channels.playWithId")]
        assert media[:2] == [f"sound:{url}"] * 2
        if heard_at == 2:
            assert result(table) == {"state": "done"}
        else:
            assert media[2].startswith(f"sound:{url}#hr-playback-1-")
            assert media[2].endswith(".wav")
            assert len(media) == 3
            assert failure(table) == "media_failed" if heard_at is None else result(table) == {"state": "done"}


def test_each_part_of_a_list_has_its_own_tries() -> None:
    """What Asterisk has itself is asked for together, and fails at once."""
    table = playing(media=["sound:a", "number:1", "http://a.example/x", "sound:b"])
    table.playback()
    table.settle()
    table.playback("failed")
    table.later(0.2)
    table.settle()
    table.playback()
    table.settle()
    table.playback("failed")
    table.later(0.4)
    media = [params["media"] for params in asked(table, "channels.playWithId")]
    assert media == [["sound:a", "number:1"], ["sound:http://a.example/x"], ["sound:http://a.example/x"], ["sound:b"]]
    assert failure(table) == "media_failed"


def test_it_is_played_as_often_as_it_says() -> None:
    """`loop` 0: until something ends it."""
    table = playing(loop=2)
    table.playback()
    table.settle()
    assert table.types == ["StasisStart"]
    table.playback()
    assert result(table) == {"state": "done"}
    table = playing(loop=0, stopOn="1")
    for _ in range(5):
        table.playback()
        table.settle()
    assert len(asked(table, "channels.playWithId")) == 6
    table.press("1")
    table.playback()
    assert result(table) == {"state": "done", "digit": "1"}


def test_a_key_of_stop_on_ends_it_and_is_told() -> None:
    """The first one; others, and those of somebody else, do nothing."""
    table = playing(stopOn="#*", loop=3)
    table.press("#", "another")
    table.press("12")
    assert asked(table, "playbacks.stop") == []
    table.press("#*")
    assert len(asked(table, "playbacks.stop")) == 1
    table.playback()
    assert result(table) == {"state": "done", "digit": "#"}
    assert table.call.digits == "12*"  # typed ahead, for what follows


def test_media_that_cannot_be_played_fail() -> None:
    """A moment later: a hangup makes a playback fail, too, and is told after it."""
    table = playing()
    table.playback("failed")
    assert table.types == ["StasisStart"]
    table.later(0.4)
    assert failure(table) == "media_failed"
    table = playing()
    table.playback("failed")
    table.hangup()
    table.later(1)
    assert "ActionFailed" not in table.types
    table.finish()


def test_media_whose_end_asterisk_never_tells_fail() -> None:
    """Such as a recording that is not there: the playback is asked for, twice."""
    table = Table(up=True, allow=("recording:n*",)).start([PLAY | {"media": "recording:none"}])
    table.settle()
    table.later(0.4)
    table.reply("playbacks.get", 404)
    table.later(0.4)
    table.reply("playbacks.get", 404)
    assert failure(table) == "media_failed"


def test_a_long_sound_is_waited_for() -> None:
    """It is looked for now and then: a lost event does not hold the call for ever."""
    table = playing()
    for _ in range(3):
        table.later(5.1)
        table.reply("playbacks.get", 200)
    assert table.types == ["StasisStart"]
    table.later(5.1)
    table.reply("playbacks.get", 404)
    table.playback()  # its end was on its way
    assert result(table) == {"state": "done"}
    table.later(60)
    assert len(asked(table, "playbacks.get")) == 4


@pytest.mark.parametrize("restarted", [True, False])
def test_a_sound_that_ended_during_a_loss_has_ended(restarted: bool) -> None:
    """It is not played again, and it has not failed; one that plays still is waited for."""
    table = playing()
    table.turn("resume", restarted=restarted)
    table.later(0)
    table.reply("playbacks.get", 404)
    table.later(0.4)
    table.reply("playbacks.get", 404)
    assert result(table) == {"state": "done"}
    assert len(asked(table, "channels.playWithId")) == 1
    table = playing()
    table.turn("resume", restarted=restarted)
    table.later(0)
    table.reply("playbacks.get", 200)
    table.later(1)
    assert table.types == ["StasisStart"]


def test_what_may_have_been_heard_is_not_played_again() -> None:
    """Nobody knows what became of the request: if the playback is not there, it has ended."""
    table = Table(events=frozenset({"StasisStart", "PlayCompleted"})).start([PLAY])
    table.reply("channels.playWithId", 0, fate="unknown")
    for _ in range(2):
        table.later(0.4)
        table.reply("playbacks.get", 404)
    assert result(table) == {"state": "done"}
    assert len(asked(table, "channels.playWithId")) == 1


def test_a_refusal_fails() -> None:
    """With Asterisk's words."""
    table = Table().start([PLAY])
    table.reply("channels.playWithId", 400, {"message": "bad media"})
    assert failure(table) == "refused"
    assert table.data()["error"]["message"] == "play: bad media"


def test_a_sound_that_is_replaced_is_stopped_and_holds_up_nothing() -> None:
    """Requests that must wait behind a prompt wait no longer."""
    table = playing()
    table.turn("inject", INSTEAD)
    assert len(asked(table, "playbacks.stop")) == 1
    assert table.owned == {}


# ---- say ----

SAY = {"action": "say", "text": "Welcome.", "lang": "en", "voice": "anna", "stopOn": "1"}


def test_a_text_is_spoken_and_then_played() -> None:
    """The language is the speech program's business, and none of Asterisk's."""
    table = Table(events=frozenset({"StasisStart", "PlayCompleted"})).start([SAY])
    assert asked(table, "~speech") == [{"text": "Welcome.", "lang": "en", "voice": "anna"}]
    table.reply("~speech", 200, {"media": "sound:/spoken/1"})
    [params] = asked(table, "channels.playWithId")
    assert params["media"] == ["sound:/spoken/1"]
    assert "lang" not in params
    table.settle()
    table.playback()
    assert result(table) == {"state": "done"}


def test_a_text_that_cannot_be_spoken_fails() -> None:
    """With the words of the speech program."""
    table = Table().start([SAY])
    table.reply("~speech", 503, {"message": "no voice"})
    assert failure(table) == "speech_failed"
    assert table.data()["error"]["message"] == "no voice"


@pytest.mark.parametrize("spoken", [False, True])
def test_a_text_that_is_replaced_is_not_heard(spoken: bool) -> None:
    """Before it is made nothing plays that could be stopped."""
    table = Table().start([SAY])
    if spoken:
        table.reply("~speech", 200, {"media": "sound:/spoken/1"})
        table.settle()
    table.turn("inject", INSTEAD)
    assert len(asked(table, "playbacks.stop")) == spoken
    if not spoken:
        table.reply("~speech", 200, {"media": "sound:/spoken/1"})
        assert asked(table, "channels.playWithId") == []


def test_what_an_answer_names_is_played_by_play_alone() -> None:
    """Wherever it stands, it has the tries of `play`: other verbs ask for Asterisk's own sounds only."""
    folder = Path(actions.__file__).parent
    asks = re.compile(r'"(?:channels|bridges)\.play(?:WithId)?", (?!channelId=\w+, media=\["sound:|bridgeId=[\w.]+, media=\["sound:)')
    assert [path.name for path in folder.glob("*.py") if asks.search(path.read_text())] == ["play.py"]
