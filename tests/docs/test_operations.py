"""docs/operations.md names everything that an operator can set, call or see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from starlette.routing import Route, WebSocketRoute

from hookrouter import facts
from hookrouter.cli import main
from hookrouter.telemetry.logs import NAMES
from hookrouter.telemetry.metrics import Metrics
from hookrouter.web import app as web

_ROOT = Path(__file__).parents[2]
_TEXT = (_ROOT / "docs" / "operations.md").read_text()


def _commands(group: click.Group, prefix: str = "hookrouter") -> Iterator[tuple[str, click.Command]]:
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _commands(command, f"{prefix} {name}")
        else:
            yield f"{prefix} {name}", command


def test_every_command_and_option() -> None:
    """Each command has a row, and in it, or in that of its sibling, each of its options."""
    for name, command in _commands(main):
        row = re.search(rf"^\| `{name}\b.*$", _TEXT, re.MULTILINE)
        assert row is not None, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and parameter.name not in ("help", "path"):
                where = _TEXT if " deliveries " in name else row[0]
                assert any(f"`{option}`" in where for option in parameter.opts), f"{name} {parameter.opts}"


def test_every_environment_variable() -> None:
    """Those of the options, and those of the sample configuration."""
    names = {str(option.envvar) for _, command in _commands(main) for option in command.params if option.envvar}
    names |= set(re.findall(r"\$\{(HOOKROUTER_\w+)", (_ROOT / "routes.toml").read_text()))
    assert {name for name in names if f"`{name}`" not in _TEXT} == set()
    known = names | set(re.findall(r"HOOKROUTER_\w+", (_ROOT / "Dockerfile").read_text()))
    assert set(re.findall(r"HOOKROUTER_\w+", _TEXT)) <= known


def test_every_log_line() -> None:
    """Each name with its level, and no other; each fact has a name."""
    rows = re.findall(r"^\| `([a-z._]+)` \| (debug|info|warning|error) \|", _TEXT, re.MULTILINE)
    assert sorted(rows) == sorted(NAMES.values())
    kinds = {kind for kind in vars(facts).values() if isinstance(kind, type) and issubclass(kind, facts.Fact)}
    assert kinds - {facts.Fact} == set(NAMES)


def test_every_metric_of_the_alarms_exists() -> None:
    """The table of metrics is generated; what the alarms name is in it."""
    text = Metrics().render().decode()
    for name in set(re.findall(r"hookrouter_[a-z_]+", _TEXT)):
        assert re.search(rf"^# TYPE {name.removesuffix('_total')}(_total)? ", text, re.MULTILINE), name


class _Router:
    tokens = ()


@pytest.mark.parametrize(
    "route", [r for r in web.create_app(_Router()).routes if isinstance(r, Route | WebSocketRoute)], ids=lambda r: r.path
)
def test_every_path_of_our_http(route: Route | WebSocketRoute) -> None:
    """With each of its methods."""
    path = route.path.replace(":path}", "}")
    methods = [m for m in route.methods or () if m != "HEAD"] if isinstance(route, Route) else [""]
    for method in methods:
        assert f"| `{method} {path}` |".replace("` ", "`", 1) in _TEXT or f"| `{method} {path}` |" in _TEXT
