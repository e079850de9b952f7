"""Faults run on the real Asterisk; `--full` runs them at the length that docs/reliability.md tells of."""

from __future__ import annotations

import importlib.util
import random
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from rig import report

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
_FAILED = pytest.StashKey[set[str]]()


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Measured:
    """Call it with the fault's number and what was measured: a row of docs/reliability.md."""
    rows = request.config.stash.setdefault(_ROWS, {})
    place = f"{request.path.name}::{request.node.name}"

    def tell(fault: int, text: str) -> None:
        rows[(fault, place)] = text
        print(f"fault {fault}: {text}")  # noqa: T201

    return tell


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A test that failed has no row: neither a new one nor the one of an earlier run."""
    found = yield
    if found.failed:
        item.config.stash.setdefault(_FAILED, set()).add(f"{item.path.name}::{item.name}")
    return found


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A full run with `--report` writes its rows between the marks; those of tests that did not run stay."""
    config = session.config
    path: Path | None = config.getoption("--report")
    rows = config.stash.get(_ROWS, {})
    if path is None or not rows or not config.getoption("--full"):
        return
    run = f"{datetime.now(UTC):%Y-%m-%d}, {config.getoption('--seed')}"
    report.write(path, rows, run, config.stash.get(_FAILED, set()))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/faults" in str(item.path):
            item.add_marker(pytest.mark.asterisk)
