"""What `make demo` ends with, as it is printed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_demo_ends_with_a_command_that_works(tmp_path: Path) -> None:
    """As it is printed, in another folder; and what that prints names a program that is there."""
    run = [sys.executable, "-m", "hookrouter", "demo", "--speed", "50"]
    printed = subprocess.run(run, check=True, capture_output=True, text=True).stdout.rstrip().splitlines()[-1]
    assert printed.endswith(" new hello --lang python")
    done = subprocess.run(["sh", "-c", printed], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    assert (tmp_path / "hello/ivr.py").exists()
    (dev,) = (line for line in done.splitlines() if " dev --run " in line)
    helped = f"{dev.partition(' dev ')[0]} dev --help"
    assert "--digits" in subprocess.run(["sh", "-c", helped], check=True, capture_output=True, text=True).stdout
