"""`make site`: the pages as a site in site/, by mkdocs-material. A link that leads nowhere, or a page without a place, is a failure.

Rule: nothing is written for the site alone. What git knows is laid out as in the repository, so that links between pages, samples and
sources are the same in both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_HAS_PAGES = ("docs", "examples", "README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")


def main() -> None:
    """Arguments are those of `mkdocs build`, such as `--site-dir`."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=_ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    laid_out = _ROOT / ".cache/site"
    shutil.rmtree(laid_out, ignore_errors=True)
    for name in filter(None, names):
        source, target = _ROOT / name, laid_out / name
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if source.is_file() and not hidden and (source.suffix != ".md" or name.startswith(_HAS_PAGES)):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", _ROOT / "mkdocs.yml", *sys.argv[1:]]
    environ = os.environ | {"NO_MKDOCS_2_WARNING": "1"}  # an advertisement of the theme's
    sys.exit(subprocess.run(command, env=environ, check=False).returncode)


if __name__ == "__main__":
    main()
