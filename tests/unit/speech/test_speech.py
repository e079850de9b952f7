"""Text to speech by a program: what it is given, however a text looks."""

from __future__ import annotations

import sys
import wave
from pathlib import Path

import pytest

from hookrouter.checking.findings import Findings
from hookrouter.checking.speech import check_speech
from hookrouter.config.values import SpeechSettings
from hookrouter.http.client import Http
from hookrouter.speech.reaching import own_address
from hookrouter.speech.speech import Speech, SpeechFailed

PROGRAM = """
import sys
import wave
with open(sys.argv[1] + ".said", "w") as said:
    said.write(repr((sys.argv[2:], sys.stdin.read())))
import wave
with wave.open(sys.argv[1], "wb") as file:
    file.setparams((1, 2, 22050, 0, "NONE", ""))
    file.writeframes(bytes(4410))
"""
TEXT = "-f/etc/passwd"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        pytest.param([], ([], TEXT), id="standard input"),
        pytest.param(["{text}"], ([" " + TEXT], ""), id="a word of its own"),
        pytest.param(["--text={text}"], ([f"--text={TEXT}"], ""), id="within a word"),
    ],
)
async def test_what_is_said_is_no_option(tmp_path: Path, more: list[str], said: tuple[list[str], str]) -> None:
    """By standard input, as a word, or within one."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    heard = tmp_path / "heard"
    command = (sys.executable, str(program), "{file}", *more)
    settings = SpeechSettings(command=command, folder=str(heard))
    http = Http()
    try:
        media = await Speech(settings, http).say(TEXT, "en", "")
    finally:
        await http.close()
    assert media.startswith(f"sound:{heard}/")
    (found,) = heard.glob("*.said")
    assert found.read_text() == repr(said)


@pytest.mark.parametrize(
    ("more", "media"),
    [
        pytest.param({}, "sound:http://10.0.0.1:8080/speech/", id="where this router is reached"),
        pytest.param({"base_url": "http://us.test/"}, "sound:http://us.test/speech/", id="base_url"),
        pytest.param({"folder": "{}"}, "sound:{}/", id="folder"),
        pytest.param({"folder": "{}", "asterisk_folder": "/there"}, "sound:/there/", id="the folder as Asterisk sees it"),
        pytest.param({"folder": "{}", "base_url": "http://us.test"}, "sound:http://us.test/speech/", id="kept, and fetched"),
    ],
)
async def test_where_asterisk_finds_it(tmp_path: Path, more: dict[str, str], media: str) -> None:
    """In a folder that it sees, or at an address of ours; what is kept is what Asterisk plays, readable where it opens it."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    folder = tmp_path / "kept"
    named = {key: value.format(folder) for key, value in more.items()}
    http = Http()
    try:
        speech = Speech(SpeechSettings(command=(sys.executable, str(program), "{file}"), **named), http)
        speech._folder = speech._shelf.folder = folder

        async def base_of(asterisk: str) -> str:
            assert asterisk == "main"
            return "http://10.0.0.1:8080"

        speech.base_of = base_of
        assert (await speech.say("Hello", "en", "", "main")).startswith(media.format(folder))
    finally:
        await http.close()
    [kept] = folder.glob("*[0-9a-f].wav")
    with wave.open(str(kept)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 1)
    assert kept.stat().st_mode & 0o077 == (0o044 if "folder" in more else 0)


@pytest.mark.parametrize(
    ("host", "asterisk", "found"),
    [
        ("127.0.0.1", "http://127.0.0.1:8088", "http://127.0.0.1:8080"),
        ("0.0.0.0", "http://127.0.0.1:8088", "http://127.0.0.1:8080"),
        ("10.1.2.3", "http://10.9.9.9:8088", "http://10.1.2.3:8080"),
        ("fd00::1", "http://10.9.9.9:8088", "http://[fd00::1]:8080"),
    ],
)
async def test_the_address_at_which_asterisk_reaches_us(host: str, asterisk: str, found: str) -> None:
    """What we listen at; where that is every address, the one in its direction."""
    assert await own_address(host, 8080, asterisk) == found


async def test_an_address_that_cannot_be_known_is_asked_for() -> None:
    """An Asterisk that comes to us by itself does not say where it is."""
    with pytest.raises(SpeechFailed, match="set `base_url`"):
        await own_address("0.0.0.0", 8080, "")


@pytest.mark.parametrize(
    ("program", "good", "told"),
    [
        pytest.param(PROGRAM, True, "a text becomes a sound", id="it speaks"),
        pytest.param("raise SystemExit(3)", False, "ended with status 3", id="it fails"),
        pytest.param("print('hello')", False, "wrote no WAV file", id="no sound"),
    ],
)
async def test_the_check_lets_the_program_speak(tmp_path: Path, program: str, good: bool, told: str) -> None:
    """And says what is wrong with what comes of it."""
    (tmp_path / "program.py").write_text(program)
    command = (sys.executable, str(tmp_path / "program.py"), "{file}")
    said: list[str] = []
    http = Http()
    try:
        findings = Findings(said.append)
        await check_speech(SpeechSettings(command=command), http, findings)
    finally:
        await http.close()
    assert told in said[0]
    assert (findings.wrong_count == 0) is good
