"""What is installed is what was looked at: versions that are pinned, files by their hashes, and no version with a known hole."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[2]
_SAFE = {  # the first version without the hole
    "starlette": (0, 49, 1),  # CVE-2025-62727, CVE-2025-54121, CVE-2024-47874
    "jinja2": (3, 1, 6),  # CVE-2025-27516
    "certifi": (2024, 7, 4),  # CVE-2024-39689
    "h11": (0, 16, 0),  # CVE-2025-43859
    "idna": (3, 7),  # CVE-2024-3651
}


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text.split(",")[0]))


def _pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9.-]+)==([^\s;\\]+)", (_ROOT / name).read_text(), re.MULTILINE))


def test_what_is_installed_has_hashes() -> None:
    """To run, to test and to measure: every file of it, the former in the versions of the latter; `make lock` makes both."""
    run, tests = _pins("requirements.run.lock"), _pins("requirements.lock")
    assert run.items() <= tests.items()
    for name in ("requirements.run.lock", "requirements.lock", "requirements.site.lock"):
        blocks = re.split(r"^(?=[a-z])", (_ROOT / name).read_text(), flags=re.MULTILINE)
        assert all("--hash=sha256:" in block for block in blocks if block.strip()), name
    made = re.findall(r"pip install .*-[rc] .*", (_ROOT / "Makefile").read_text())
    assert len(made) == 4
    assert all("--require-hashes" in command for command in made), made
    assert (_ROOT / "Makefile").read_text().count("--generate-hashes") == 3
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=\[; ]", line)[0] for line in project["dependencies"]}
    assert names <= run.keys()
    assert "--require-hashes -r /src/requirements.run.lock" in (_ROOT / "Dockerfile").read_text()


def test_no_version_with_a_known_hole() -> None:
    """Neither pinned, nor allowed by a floor."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    floors = dict(re.findall(r"([a-z0-9-]+)>=([0-9.]+)", " ".join(project["dependencies"])))
    for name, first in _SAFE.items():
        for pins in (_pins("requirements.lock"), _pins("requirements.run.lock"), floors):
            assert name not in pins or _version(pins[name]) >= first, name


def test_a_notice_comes_along() -> None:
    """What is made from Asterisk's api-docs says so, also in the package."""
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    assert "NOTICE" in project["license-files"]
    assert "api-docs" in (_ROOT / "NOTICE").read_text()
