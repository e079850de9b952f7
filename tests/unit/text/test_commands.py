"""Command lines: what is said is one word, and never an option."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.text.commands import holds, name_fault, shell_scripts, words


@given(st.text())
def test_a_text_is_one_word_and_no_option(text: str) -> None:
    """The words stay as many as they were; one that was no option does not become one."""
    command = ["say", "-v", "{lang}", "{text}", "--text={text}"]
    found = words(command, {"{text}": text, "{lang}": "en"})
    assert len(found) == len(command)
    assert found[:3] == ["say", "-v", "en"]
    assert not found[3].startswith("-")
    assert found[4].startswith("--text=")
    assert not any("\0" in word for word in found)


def test_a_text_that_looks_like_an_option_is_said_all_the_same() -> None:
    assert words(["say", "{text}"], {"{text}": "-f/etc/passwd"}) == ["say", " -f/etc/passwd"]


def test_what_is_put_in_is_not_looked_at_again() -> None:
    """A text with a hole in it stays as it is."""
    assert words(["say", "{text}"], {"{text}": "{file}", "{file}": "/secret"}) == ["say", "{file}"]


def test_whether_a_word_has_the_text() -> None:
    assert holds(["say", "--text={text}"], "{text}")
    assert not holds(["say", "--stdin"], "{text}")


@pytest.mark.parametrize("text", ["-f/etc/passwd", "../x", "a/../../x", "a/..", "/etc/x", "a b;c", "a$b", "\x1b[1m"])
def test_what_is_no_name_is_refused(text: str) -> None:
    assert name_fault(text)


@pytest.mark.parametrize("text", ["", "de", "en-GB", "mb-de1", "models/de_DE-thorsten.onnx", "Marlene 2", "a..b"])
def test_a_name_is_let_through(text: str) -> None:
    assert name_fault(text) == ""


def test_a_script_with_a_hole_is_found() -> None:
    """Where a shell would read it as commands; as an argument it is only a text."""
    assert shell_scripts(["sh", "-c", 'espeak "{text}"', "{text}"]) == [2]
    assert shell_scripts(["sh", "-c", 'espeak "$0"', "{text}"]) == []
    assert shell_scripts(["{text}"]) == []
