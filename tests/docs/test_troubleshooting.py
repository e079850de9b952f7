"""docs/troubleshooting.md names lines, reasons and commands that there are."""

from __future__ import annotations

import re
from pathlib import Path

import click

from hookrouter.cli import main
from hookrouter.telemetry.logs import NAMES

_ROOT = Path(__file__).parents[2]
_TEXT = (_ROOT / "docs" / "troubleshooting.md").read_text()


def test_its_log_lines_exist() -> None:
    """Every dotted name that is no file's."""
    names = {name for name in re.findall(r"`([a-z]+\.[a-z_]+)`", _TEXT) if not name.endswith((".conf", ".wav"))}
    assert names
    assert names <= {name for name, _ in NAMES.values()}


def test_its_reasons_exist() -> None:
    """Each reason of a failure is one that the program gives."""
    source = "".join(path.read_text() for path in (_ROOT / "hookrouter").rglob("*.py"))
    reasons = set(re.findall(r"`([a-z]+_[a-z]+)`", _TEXT)) - {"dtmf_mode", "direct_media", "external_media_address"}
    assert "media_failed" in reasons
    for reason in reasons:
        assert f'"{reason}"' in source, reason


def test_its_options_exist() -> None:
    """Each `hookrouter …` with the options that stand behind it."""
    found = re.findall(r"hookrouter ([a-z]+)([^`]*)`", _TEXT)
    assert found
    for name, rest in found:
        command: click.Command = main.commands[name]
        options = {option for parameter in command.params for option in parameter.opts}
        if isinstance(command, click.Group):
            options |= {option for one in command.commands.values() for parameter in one.params for option in parameter.opts}
        assert set(re.findall(r"(?<!\w)--?[a-z][\w-]*", rest)) <= options, name
