"""Classes of music that are named, beside those of musiconhold.conf."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hookrouter.checking.findings import Findings
from hookrouter.checking.music import read_music

CLASSES = "[general]\ncachertclasses = no\n[default]\nmode = files\n[Jazz]\nmode = files\n"
DATABASE = "[settings]\nmusiconhold => odbc\n"


def said(folder: Path, *actions: Any, **files: str) -> list[str]:
    """What is said of actions; each of `files` is written as NAME.conf."""
    for name, text in files.items():
        (folder / f"{name}.conf").write_text(text)
    lines: list[str] = []
    read_music(folder, Findings(lines.append)).judge("here", [json.dumps(action).encode() for action in actions])
    return [line.strip() for line in lines]


@pytest.mark.parametrize(
    "action",
    [
        pytest.param({"action": "moh", "mohClass": "jaz"}, id="moh"),
        pytest.param({"action": "enqueue", "queue": "q", "moh": "jaz"}, id="enqueue"),
        pytest.param({"action": "bridges.startMoh", "bridgeId": "b", "mohClass": "jaz"}, id="an operation"),
        pytest.param({"action": "play", "media": "sound:x", "onError": [{"action": "moh", "mohClass": "jaz"}]}, id="onError"),
        pytest.param({"action": "gather", "branches": {"1": [{"action": "transfer", "to": "PJSIP/a", "moh": "jaz"}]}}, id="branch"),
    ],
)
def test_a_class_that_is_not_there_is_told_with_the_one_that_was_meant(tmp_path: Path, action: Any) -> None:
    """At whatever depth."""
    (line,) = said(tmp_path, action, musiconhold=CLASSES)
    assert line.startswith("✗ here: musiconhold.conf has no class `jaz`: did you mean `jazz`?")


def test_what_is_there_and_what_names_none(tmp_path: Path) -> None:
    """Cases do not matter to Asterisk; a state may hold anything."""
    actions = [
        {"action": "moh"}, {"action": "moh", "mohClass": "JAZZ"}, {"action": "bridge", "name": "x", "moh": "default"},
        {"action": "setState", "state": {"moh": "nobody's", "list": [{"mohClass": "nobody's"}]}},
    ]  # fmt: skip
    assert said(tmp_path, *actions, musiconhold=CLASSES) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, "? musiconhold.conf: not asked: ", id="no file"),
        pytest.param({"musiconhold": CLASSES, "extconfig": DATABASE}, "? musiconhold.conf: not asked: ", id="a database"),
        pytest.param({"musiconhold": "[jaz]\nmode=files\n"}, "· musiconhold.conf: there is no class [default]", id="no default"),
    ],
)
def test_what_nobody_can_know_is_said(tmp_path: Path, files: dict[str, str], expected: str) -> None:
    """And no class is called missing then."""
    (line,) = said(tmp_path, {"action": "moh", "mohClass": "jaz"}, **files)
    assert line.startswith(expected)
