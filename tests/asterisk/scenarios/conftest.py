"""Each scenario's first test runs as its file answers, as C#, Java or Go would write the same, and in its other languages."""

from __future__ import annotations

import pytest
from examples.serving import SUFFIXES
from rig.nulls import full_answer
from rig.scene import Scene

_IN_EVERY_LANGUAGE = ("menu", "voicemail")  # the others only with --full: the simulator has them all


def _ways(name: str, *, full: bool) -> list[str]:
    if name == "changes":
        return ["with nulls"]
    others = [language for language in SUFFIXES if language != "python"] if full or name in _IN_EVERY_LANGUAGE else []
    if name == "bot":  # PHP's is a program of its own
        others = [language for language in others if language != "php"]
    return ["as it is", "with nulls", *others]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    first = next(name for name in vars(metafunc.module) if name.startswith("test_"))
    if metafunc.function.__name__ == first:
        name = metafunc.module.__name__.rpartition("test_")[2]
        metafunc.parametrize("written", _ways(name, full=metafunc.config.getoption("--full")), indirect=True)


@pytest.fixture(autouse=True)
def written(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """How the answers are written, or by which language."""
    way = getattr(request, "param", "")
    if way == "with nulls":
        monkeypatch.setattr(Scene, "rewrite", staticmethod(full_answer))
    elif way in SUFFIXES:
        monkeypatch.setattr(Scene, "language", way)
