"""What is installed from docs/install.md runs on a machine that has nothing of this repository."""

from __future__ import annotations

import email
import json
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from hookrouter import __version__

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
WHEEL = f"hookrouter-{__version__}-py3-none-any.whl"


def run(*command: str | Path, cwd: Path, env: dict[str, str] | None = None) -> str:
    """What it prints. Raises AssertionError with all that it said."""
    done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked source archive, with the wheel that was made from it in dist/: all that another machine gets."""
    folder = tmp_path_factory.mktemp("source")
    run(BIN / "hatchling", "build", "-t", "sdist", "-d", folder, cwd=ROOT)
    with tarfile.open(folder / f"hookrouter-{__version__}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    source = folder / f"hookrouter-{__version__}"
    run(BIN / "hatchling", "build", "-t", "wheel", "-d", "dist", cwd=source)
    return source


def lines_of(page: str, tool: str) -> list[str]:
    """The commands of a page that install with `tool`."""
    return re.findall(rf"^({tool} .*?)(?:  +#.*)?$", (ROOT / page).read_text(), re.MULTILINE)


def own_machine(folder: Path) -> dict[str, str]:
    """The environment of somebody who has pipx, uv and a home with nothing in it; but what was downloaded before is not again."""
    own = {"HOME": str(folder), "PATH": f"{folder}/.local/bin:{folder}/tools:/usr/bin:/bin", "PIP_NO_INPUT": "1"}
    cache = Path.home() / ".cache"
    own |= {"UV_CACHE_DIR": str(cache / "uv"), "PIP_CACHE_DIR": str(cache / "pip")}
    own |= {"UV_PYTHON": sys.executable, "PIPX_DEFAULT_PYTHON": sys.executable}
    (folder / "tools").mkdir(parents=True)
    for tool in ("pipx", "uv"):
        (folder / "tools" / tool).symlink_to(BIN / tool)
    return {key: value for key, value in os.environ.items() if key.startswith(("PIP_", "UV_", "SSL_"))} | own


def test_what_the_wheel_holds(source: Path) -> None:
    """All that is needed and nothing else; version, licence and notices are those of the project; the same from the checkout."""
    with zipfile.ZipFile(source / "dist" / WHEEL) as wheel:
        names = set(wheel.namelist())
        meta = email.message_from_bytes(wheel.read(f"hookrouter-{__version__}.dist-info/METADATA"))
        notice = wheel.read(f"hookrouter-{__version__}.dist-info/licenses/NOTICE")
    assert notice == (ROOT / "NOTICE").read_bytes()
    assert (meta["Version"], meta["License-Expression"]) == (__version__, "MIT")
    assert meta.get_all("License-File") == ["LICENSE", "NOTICE"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(meta.get_all("Provides-Extra") or ()) == project["optional-dependencies"].keys()
    assert {name.partition("/")[0] for name in names} == {"hookrouter", f"hookrouter-{__version__}.dist-info"}
    ours = subprocess.run(["git", "ls-files", "hookrouter"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert set(ours) <= names
    assert not [name for name in names if name.endswith((".pyc", ".db"))]
    assert not (source / "tests").exists()
    run(BIN / "hatchling", "build", "-t", "wheel", "-d", source / "again", cwd=ROOT)
    with zipfile.ZipFile(source / "again" / WHEEL) as again:
        assert set(again.namelist()) == names


def test_the_bill_of_materials() -> None:
    """`make sbom` names what is locked to run with, and nothing else."""
    run("make", "-o", ".venv/.dev", f"VENV={BIN.parent}", "-o", str(BIN.parent / ".dev"), "sbom", cwd=ROOT)
    found = json.loads((ROOT / "dist/hookrouter.cdx.json").read_text())
    pins = re.findall(r"^([a-z0-9.-]+)(?:\[\w+\])?==([^\s;\\]+)", (ROOT / "requirements.run.lock").read_text(), re.MULTILINE)
    assert found["metadata"]["component"]["name"] == "hookrouter"
    assert sorted((one["name"].lower(), one["version"]) for one in found["components"]) == sorted(pins)
    assert all(one["externalReferences"][0]["hashes"] for one in found["components"])


@pytest.mark.parametrize("tool", ["uv tool install", "pipx install"])
def test_the_lines_of_the_pages(tool: str, source: Path, tmp_path: Path) -> None:
    """Each one as it is printed; after it the command on the PATH plays a call, away from the source."""
    lines = [*lines_of("README.md", tool), *lines_of("docs/install.md", tool)]
    assert len(lines) == 3
    environ = own_machine(tmp_path / "home")
    away = tmp_path / "away"
    away.mkdir()
    for line in lines:
        run("sh", "-c", line, cwd=source, env=environ)
        assert run("hookrouter", "--version", cwd=away, env=environ).strip().endswith(__version__)
    assert "All is well" in run("hookrouter", "demo", "--speed", "50", cwd=away, env=environ)
    assert not (away / "hookrouter").exists()
    run("hookrouter", "new", "hello", "--lang", "php", cwd=away, env=environ)
    assert list((away / "hello").iterdir())
