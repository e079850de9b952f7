"""Log lines and terminals: one value is one value, and commands nothing."""

from __future__ import annotations

import json
import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hookrouter.text.lines import json_line, log_value, printable_fault, shown

FORGED = '100"\n2026-11-26T00:00:00.000Z info    call.finished call=1'
ESCAPES = "\x1b]0;owned\x07\x9b31m\u202eevil\u2028"


def read_back(line: str) -> dict[str, str]:
    """`key=value` pairs as a reader of such lines takes them apart."""
    pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ ]*)', line)
    return {key: _unquoted(value) for key, value in pairs}


def _unquoted(value: str) -> str:
    if not value.startswith('"'):
        return value
    parts = re.findall(r'\\x..|\\u....|\\U.{8}|\\.|[^\\]', value[1:-1], re.DOTALL)
    short = {"\\n": "\n", "\\r": "\r", "\\t": "\t"}
    return "".join(
        part if len(part) == 1 else short.get(part) or (chr(int(part[2:], 16)) if len(part) > 2 else part[1]) for part in parts
    )


@given(st.text(), st.text())
def test_a_value_of_a_line_reads_back_as_this_one_value(first: str, second: str) -> None:
    """Whatever is in it, the line has the two values that were put in, and can be printed."""
    line = f"a={log_value(first)} b={log_value(second)}"
    assert line.isprintable()
    assert read_back(line) == {"a": first, "b": second}


@pytest.mark.parametrize("text", [FORGED, ESCAPES, "\x00", "\x7f", "\u2066"])
def test_nothing_of_a_caller_commands_the_terminal(text: str) -> None:
    """It stays on its line, and every character of it can be printed."""
    assert shown(text).isprintable()
    assert log_value(text).isprintable()
    assert printable_fault(text).startswith("has a character that cannot be printed (U+")


@given(st.text())
def test_what_can_be_printed_stays_as_it_is(text: str) -> None:
    """Only the rest is shown as escapes."""
    kept = "".join(c for c in text if c.isprintable())
    assert shown(kept) == kept
    assert shown(text).isprintable()


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"]))))
def test_a_line_of_json_means_the_same_and_can_be_printed(fields: dict[str, str]) -> None:
    """Escapes of JSON's own, so that its reader notices nothing."""
    line = json_line(msgspec.json.encode(fields))
    assert json.loads(line) == fields
    assert line.decode().replace("\x7f", "").isprintable()
