"""Each scenario's first test runs twice: as its file answers, and as C#, Java or Go would write the same."""

from __future__ import annotations

import pytest
from rig.nulls import full_answer
from rig.scene import Scene


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    first = next(name for name in vars(metafunc.module) if name.startswith("test_"))
    if metafunc.function.__name__ == first:
        ways = ["with nulls"] if metafunc.module.__name__.endswith("test_changes") else ["as it is", "with nulls"]
        metafunc.parametrize("written", ways, indirect=True)


@pytest.fixture(autouse=True)
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How the answers are written."""
    if getattr(request, "param", "") == "with nulls":
        monkeypatch.setattr(Scene, "rewrite", staticmethod(full_answer))
