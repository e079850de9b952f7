"""Where the tests' own packages are, and the options that lengthen them."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from hypothesis import settings
from lab.asterisk import Asterisk

settings.register_profile("any machine", deadline=None)  # what an example takes says how busy the machine is
settings.load_profile("any machine")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # started in the background: so would the programs be that tests interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--full", action="store_true", help="faults at full length")
    parser.addoption("--soak-hours", type=float, default=0.0, help="how long the soak runs")
    parser.addoption("--report", type=Path, help="docs/reliability.md: the table of faults is written there")
    parser.addoption("--versions", action="store_true", help="tests/asterisk/versions.json says from now on what is found")
    parser.addoption("--seed", type=int, default=1, help="of the faults that are chosen at random")
    parser.addoption("--minutes", type=float, default=0.0, help="how long tests/fuzz runs; 0: one round")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """A failure says how each Asterisk of its test fares, and what that one logged last."""
    report = yield
    if report.failed:
        used = getattr(item, "funcargs", {}).values()
        report.sections += [(f"Asterisk {one.folder.name}", one.fares()) for one in used if isinstance(one, Asterisk)]
    return report
