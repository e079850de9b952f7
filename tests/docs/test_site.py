"""Every page has its place in the site's menu, once, in the order start, how to, reference, why."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

_ROOT = Path(__file__).parents[2]


def test_every_page_has_its_place() -> None:
    """Those of docs/, and those at the top that people read."""
    nav: list[dict[str, Any]] = yaml.safe_load((_ROOT / "mkdocs.yml").read_text().partition("\nnav:\n")[2])
    assert [name for part in nav for name in part] == ["Start", "How to", "Reference", "Why"]
    listed = [page for part in nav for pages in part.values() for entry in pages for page in entry.values()]
    there = [f"docs/{path.name}" for path in (_ROOT / "docs").glob("*.md")]
    there += ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "examples/README.md"]
    assert sorted(listed) == sorted(there)
