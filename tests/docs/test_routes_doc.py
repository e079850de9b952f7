"""docs/routes.md says what the loader does."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from click.testing import CliRunner

from hookrouter.cli import main
from hookrouter.config import auth as building
from hookrouter.config import parse
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


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("", "", None),
        ("events =", "evnts =", "'evnts' was unexpected"),
        ('"StasisEnd"', '"StasisEnds"', '"StasisEnds" is not one of'),
        ('action = "continue"', 'action = "contniue"', "not valid under any of the schemas"),
        ('action = "ring"', 'action = "ring", loud = true', ""),  # it finds this one, and says nothing of it
    ],
)
def test_an_editor_checks_the_file(right: str, wrong: str, said: str | None, tmp_path: Path) -> None:
    """The project's own routes.toml, with the line of the documentation above it, by what editors use (taplo)."""
    schema = CliRunner().invoke(main, ["schema", "routes"])
    (tmp_path / "routes.schema.json").write_text(schema.stdout)
    (line,) = [block for block in _BLOCKS if block.startswith("#:schema")]
    text = (_ROOT / "routes.toml").read_text()
    assert right in text
    (tmp_path / "routes.toml").write_text(line + (text.replace(right, wrong) if right else text))
    taplo = shutil.which("taplo", path=str(Path(sys.executable).parent))
    assert taplo is not None
    found = subprocess.run([taplo, "lint", "routes.toml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (found.returncode == 0) is (said is None), found.stderr
    assert (said or "") in found.stderr


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
    for name in re.findall(r"/run/secrets/([\w-]+)", block):
        (tmp_path / name).write_text("secret")
    text = block.replace("/run/secrets/", f"{tmp_path}/")
    if "[" not in text:
        return  # the editor's comment
    environ = dict.fromkeys(re.findall(r"\$\{(\w+)\}", text), "a value of 16 or more".replace(" ", "-"))
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
