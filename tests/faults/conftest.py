"""Faults run on the real Asterisk; `--full` runs them at the length that docs/reliability.md tells of."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("asterisk_fixtures", Path(__file__).parents[1] / "asterisk/conftest.py")
assert _spec and _spec.loader
_fixtures = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_fixtures)
asterisk, own_asterisk = _fixtures.asterisk, _fixtures.own_asterisk
app, pbx, endpoint = _fixtures.app, _fixtures.pbx, _fixtures.endpoint


@pytest.fixture
def full(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--full"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/faults" in str(item.path):
            item.add_marker(pytest.mark.asterisk)
