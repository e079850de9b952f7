"""What the examples in Node, TypeScript and Node-RED need from npm, installed once per lock file and kept."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

LOCKED = Path(__file__).parent / "packages"
CACHE = Path(os.environ.get("HOOKROUTER_LAB", Path.home() / ".cache/hookrouter/lab"))


def _folder() -> Path:
    return CACHE / f"node-{hashlib.sha256((LOCKED / 'package-lock.json').read_bytes()).hexdigest()[:12]}"


def installed() -> Path | None:
    """The folder `node_modules`, or None where it was not installed."""
    folder = _folder()
    return folder / "node_modules" if (folder / ".ready").exists() else None


def setup() -> Path | None:
    """Installs what the lock file says, without running any package's scripts; None where npm is not there or fails."""
    found = installed()
    if found is not None or not shutil.which("npm"):
        return found
    folder = _folder()
    shutil.rmtree(folder, ignore_errors=True)  # half made by an earlier run
    shutil.copytree(LOCKED, folder)
    options = ["--ignore-scripts", "--omit=optional", "--no-audit", "--no-fund", "--prefer-offline", "--loglevel=error"]
    if subprocess.run(["npm", "ci", *options], cwd=folder, check=False).returncode == 0:
        (folder / ".ready").touch()
    return installed()


if __name__ == "__main__":
    print(f"Node packages: {setup() or 'none'}")
