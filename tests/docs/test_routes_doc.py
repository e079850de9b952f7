"""docs/routes.md says what the loader does."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from hookrouter.config import parse
from hookrouter.config import routes as building
from hookrouter.config.schema import routes_schema
from hookrouter.errors import ConfigurationError

_ROOT = Path(__file__).parents[2]
_TEXT = (_ROOT / "docs" / "routes.md").read_text()
_BLOCKS = re.findall(r"^```toml\n(.*?)^```", _TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def script() -> ModuleType:
    """scripts/routes_tables.py."""
    spec = importlib.util.spec_from_file_location("routes_tables", _ROOT / "scripts" / "routes_tables.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_tables_are_those_of_the_schema(script: ModuleType) -> None:
    """Where this fails: python scripts/routes_tables.py."""
    assert script.rendered(_TEXT) == _TEXT


def test_every_table_is_there() -> None:
    """Each kind of table of the schema has its table of keys."""
    assert set(re.findall(r"<!-- keys (\w+) -->", _TEXT)) == set(routes_schema()["$defs"])


@pytest.mark.parametrize("block", _BLOCKS, ids=[f"block-{index}" for index in range(1, len(_BLOCKS) + 1)])
def test_every_example_loads(block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any environment and any file of a secret, without a fault and without a warning."""
    monkeypatch.setattr(building, "installed", lambda module: True)
    (tmp_path / "n8n").write_text("secret")
    text = block.replace("/run/secrets/", f"{tmp_path}/")
    if "[" not in text:
        return  # the editor's comment
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "value")
    config = parse(text, environ, tmp_path / "routes.toml")
    assert config.warnings == ()
    assert len(config.routes) > 0


def test_the_faults_shown_are_those_told() -> None:
    """The example of what `check` says is what it says."""
    text = """
    [asterisk.main]
    password = "${ARI_PASSWORD}"
    [[routes]]
    url = "http://a.test"
    fallback = { actions = [{ action = "answer" }, { action = "hangpu" }] }
    [[routes]]
    url = "http://a.test"
    timout = 3
    """
    with pytest.raises(ConfigurationError) as caught:
        parse(text, {})
    assert f"```\n{caught.value}\n```" in _TEXT


def test_links_lead_somewhere() -> None:
    """Each link within the page has its heading."""
    headings = re.findall(r"^#+ (.*)$", _TEXT, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", _TEXT)) <= anchors
