"""The verb that CONTRIBUTING.md shows is one."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import msgspec
import pytest

_TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()


def test_the_example_is_a_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its code runs, its example decodes with it, and its run can be written and read."""
    (source,) = re.findall(r"^```python\n(.*?)^```", _TEXT, re.DOTALL | re.MULTILINE)
    (tmp_path / "readme_beep.py").write_text(source)
    monkeypatch.syspath_prepend(str(tmp_path))
    action = importlib.import_module("readme_beep").Beep
    (example,) = action.examples
    run = msgspec.json.decode(example, type=action).run()
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(run), type=type(run)) == run
