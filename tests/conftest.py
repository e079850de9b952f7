"""Where the tests' own packages are, and the options that lengthen them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="faults at full length")
    parser.addoption("--soak-hours", type=float, default=0.0, help="how long the soak runs")
