"""docs/actions.md and docs/ari-operations.md are made from the code, and every example in them is a good one."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from hookrouter.actions.decode import decode_steps
from hookrouter.actions.vocabulary import BY_NAME
from hookrouter.ari.operations import operations

_ROOT = Path(__file__).parents[2]
_ACTIONS = (_ROOT / "docs" / "actions.md").read_text()
_EXAMPLES = re.findall(r"^```json\n(.*?)^```", _ACTIONS, re.DOTALL | re.MULTILINE)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """scripts/make_docs.py."""
    spec = importlib.util.spec_from_file_location("make_docs", _ROOT / "scripts" / "make_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "make_docs", module)
    spec.loader.exec_module(module)
    return module


def test_the_pages_are_up_to_date(script: ModuleType) -> None:
    """Where this fails: make docs."""
    for name, text in script.pages().items():
        assert (_ROOT / "docs" / name).read_text() == text, f"docs/{name} is old: make docs"


def test_every_verb_and_operation_has_its_place() -> None:
    """A heading for each verb, a row for each operation."""
    assert set(re.findall(r"^### (\w+)$", _ACTIONS, re.MULTILINE)) == set(BY_NAME)
    rows = re.findall(r"^\| `(\w+\.\w+)` \|", (_ROOT / "docs" / "ari-operations.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(operations())


@pytest.mark.parametrize("example", _EXAMPLES, ids=[f"{n}" for n in range(1, len(_EXAMPLES) + 1)])
def test_every_example_decodes(example: str) -> None:
    """What the page shows is what an endpoint may answer."""
    value = json.loads(example)
    steps = value if isinstance(value, list) else [value]
    assert len(decode_steps(json.dumps(steps).encode())) == len(steps)


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_verb_shows_an_example(name: str) -> None:
    """And its words: what it does, and when it is complete."""
    verb = BY_NAME[name]
    assert verb.examples
    assert (verb.__doc__ or "").strip()
    assert verb.completes
