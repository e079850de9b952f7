"""The benchmarks of single steps still run: they use parts that no user sees, which change."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).parents[2]


def test_each_step_can_be_measured(tmp_path: Path) -> None:
    """Each once, with nothing measured."""
    command = [sys.executable, "-m", "pytest", "benchmarks/micro", "--benchmark-disable", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, f"--basetemp={tmp_path / 'own'}"], cwd=_ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
