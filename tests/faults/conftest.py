"""Faults run on the real Asterisk; `--full` runs them at the length that docs/reliability.md tells of."""

from __future__ import annotations

import importlib.util
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("asterisk_fixtures", Path(__file__).parents[1] / "asterisk/conftest.py")
assert _spec
assert _spec.loader
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
asterisk, own_asterisk = _fixtures.asterisk, _fixtures.own_asterisk
app, pbx, endpoint = _fixtures.app, _fixtures.pbx, _fixtures.endpoint


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full"))


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """Printed with a failure; `--seed` repeats it."""
    found = int(request.config.getoption("--seed"))
    print(f"--seed {found}")  # noqa: T201
    return found


@pytest.fixture
def rng(seed: int) -> random.Random:
    return random.Random(seed)


Measured = Callable[[int, str], None]
_ROWS = pytest.StashKey[dict[tuple[int, str], str]]()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Call it with the fault's number and what was measured: a row of docs/reliability.md."""
    rows = request.config.stash.setdefault(_ROWS, {})

    def tell(fault: int, text: str) -> None:
        place = f"{request.path.name}::{request.node.name}"
        rows[(fault, place)] = text
        print(f"fault {fault}: {text}")  # noqa: T201

    return tell


_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Writes what was measured between the marks of `--report`; rows of tests that did not run stay."""
    path: Path | None = session.config.getoption("--report")
    rows = session.config.stash.get(_ROWS, {})
    if path is None or not rows or session.testsfailed:
        return
    text = path.read_text()
    head, rest = text.split(_BEGIN)
    old, tail = rest.split(_END)
    lines = {
        (int(found[1]), found[3]): found[2]
        for found in re.finditer(r"^\| (\d+) \| (.*) \| `(.*)` \|$", old, re.M)
    }
    lines |= rows
    table = "\n| # | measured | test |\n|---|---|---|\n" + "".join(
        f"| {fault} | {said} | `{place}` |\n" for (fault, place), said in sorted(lines.items())
    )
    path.write_text(head + _BEGIN + table + _END + tail)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """The soak is only there with `--soak-hours`."""
    return True if collection_path.name == "test_soak.py" and not config.getoption("--soak-hours") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/faults" in str(item.path):
            item.add_marker(pytest.mark.asterisk)
