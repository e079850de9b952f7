"""Every block on every page is what it says that it is: JSON parses, programs compile, commands and their options exist.

What a block does is tested elsewhere where it can be done here; this holds all of them, the new ones too.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import click
import pytest
from jsonschema import Draft202012Validator

from hookrouter.actions.decode import decode_answer
from hookrouter.cli import main
from hookrouter.config.schema import routes_schema
from hookrouter.errors import HookrouterError
from hookrouter.simulator.script import read_script

_ROOT = Path(__file__).parents[2]
_PAGES = [
    *(_ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "examples/README.md")),
    *sorted((_ROOT / "docs").glob("*.md")),
]
_TARGETS = set(re.findall(r"^([a-z-]+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))
_HERE = ("examples/", "deploy/", "scripts/", "benchmarks/", "tests/")
_FAULTS = (AssertionError, ValueError, SyntaxError, click.ClickException, ElementTree.ParseError, HookrouterError)
_SCRIPT = {"caller", "called", "steps", "callers", "expect", "sounds", "dial"}


def _blocks(page: Path) -> Iterator[tuple[str, int, str]]:
    """(kind, line, text) of each."""
    kind: str | None = None
    start = indent = 0
    lines: list[str] = []
    for number, line in enumerate(page.read_text().splitlines(), 1):
        found = re.match(r"^( *)```(.*)$", line)
        if found is None:
            lines.append(line[indent:])
        elif kind is None:
            kind, start, indent, lines = found[2], number, len(found[1]), []
        else:
            assert not found[2], f"{page.name}:{number}: a block begins within another"
            yield kind, start, "\n".join(lines) + "\n"
            kind = None
    assert kind is None, f"{page.name}: the block of line {start} has no end"


def _json(text: str) -> None:
    found = json.loads(text)
    if isinstance(found, list) and all(isinstance(step, dict) and "action" in step for step in found):
        assert decode_answer(text.encode(), "application/json", first=True).steps or found == []


def _toml(text: str) -> None:
    """A script of a call, or a part of routes.toml: what is not there may be elsewhere, what is there exists."""
    found = tomllib.loads(text)
    if found.keys() <= _SCRIPT:
        with tempfile.TemporaryDirectory() as room:
            path = Path(room) / "call.toml"
            path.write_text(text)
            read_script(path)
        return
    faults = [*Draft202012Validator(routes_schema()).iter_errors(found)]
    assert [fault.message for fault in faults if fault.validator not in ("required", "pattern")] == []


def _ini(text: str) -> None:
    for line in text.splitlines():
        assert re.match(r"^\s*(\[[^]]+\](\([^)]*\))?|[\w-]+(\[[^]]*\])?\s*(=>?|\+=).*|\s*;.*|\s*#.*)?(\s*;.*)?$", line), line


def _php(text: str) -> None:
    _given_to(["php", "-l"], text)


def _js(text: str) -> None:
    _given_to(["node", "--input-type=module", "--check"], text)


def _given_to(command: list[str], text: str) -> None:
    if not shutil.which(command[0]):
        message = f"no {command[0]}: `make lab` installs it"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def _sh(text: str) -> None:
    """The shell can read it; what is ours in it exists: commands, options, targets of make, files."""
    _given_to(["bash", "-n"], text)
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for command in _commands(words):
            if command[0] == "hookrouter":
                _ours(command[1:])
            elif command[0] == "make":
                assert {word for word in command[1:] if "=" not in word} <= _TARGETS, line
        for word in words:
            if word.startswith(_HERE):
                assert (_ROOT / word).exists(), f"{line}: there is no {word}"


def _commands(words: list[str]) -> Iterator[list[str]]:
    """The commands of a line, without what stands before them: variables, sudo, `docker … exec NAME`, `kubectl exec NAME --`."""
    command: list[str] = []
    for word in [*words, ";"]:
        if word in ("&&", "||", "|", ";", "&", ">"):
            if command:
                yield command
            command = []
            if word == ">":
                return
        elif not command and (re.match(r"^\w+=", word) or word in ("sudo", "export")):
            continue
        elif word == "hookrouter" and command and (command[0] in ("docker", "kubectl")) and ("exec" in command):
            command = ["hookrouter"]
        else:
            command.append("hookrouter" if word == "$(command -v hookrouter)" else word)


def _ours(words: list[str]) -> None:
    """Click knows the command, its options, and how many arguments it takes."""
    command: click.Command = main
    while isinstance(command, click.Group):
        if command.invoke_without_command and (not words or words[0].startswith("-")):
            break
        assert words, f"`{command.name}` needs a command"
        found = command.commands.get(words[0])
        assert found is not None, f"there is no `{words[0]}`; there is {sorted(command.commands)}"
        command, words = found, words[1:]
    _, left, _ = command.make_parser(click.Context(command)).parse_args([*words])
    assert not left, f"`{command.name}` takes no {left}"


def _nothing(text: str) -> None:
    """A picture, or what something prints: tests that run it compare it."""


_CHECKS: dict[str, Callable[[str], object]] = {
    "json": _json, "toml": _toml, "ini": _ini, "python": ast.parse, "xml": ElementTree.fromstring, "php": _php, "js": _js,
    "sh": _sh, "bash": _sh, "text": _nothing, "": _nothing, "console": _nothing,
    "ts": _nothing, "nginx": _nothing, "caddy": _nothing,  # compiled by TypeScript, and started, by tests of their own
}  # fmt: skip


@pytest.mark.parametrize("page", _PAGES, ids=lambda page: str(page.relative_to(_ROOT)))
def test_each_block_is_what_it_says(page: Path) -> None:
    """A kind that is not in the table has nobody who looks at it."""
    for kind, line, text in _blocks(page):
        assert kind in _CHECKS, f"{page.name}:{line}: nobody looks at a block of `{kind}`"
        try:
            _CHECKS[kind](text)
        except _FAULTS as error:
            raise AssertionError(f"{page.name}:{line}: {error}\n{text}") from error


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("json", '[{"action": "answr"}]'), ("json", '{"a": }'), ("toml", "[asterisk.main]\nurll = 'x'\n"), ("toml", "caller = 1"),
        ("ini", "nothing at all"), ("python", "def"), ("xml", "<a>"), ("php", "<?php echo"), ("js", "const = 1"), ("sh", "if true"),
        ("sh", "hookrouter simulat http://x/"), ("sh", "hookrouter serve --confg routes.toml"), ("sh", "make tset"),
        ("sh", "A=b sudo hookrouter check --alive"), ("sh", "docker compose exec a hookrouter clustr"),
        ("sh", "cp examples/nothing.py ."), ("sh", "cd x && hookrouter sign --nothing"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found(kind: str, text: str) -> None:
    """Each check can fail."""
    with pytest.raises(_FAULTS):
        _CHECKS[kind](text)
