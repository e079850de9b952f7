"""What a call costs in bytecodes: a guard that cannot flicker. Who adds to the path of a call raises the limit knowingly.

The figures are of Python 3.11; other versions count a little otherwise.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rig.cost import by_room, bytecodes

ALL = '["*"]'
TWO = '["StasisStart", "StasisEnd"]'
pytestmark = pytest.mark.alone  # beside others a call's work comes in smaller pieces
_SLACK = 1.0 if sys.version_info[:2] == (3, 11) else 1.25


@pytest.mark.parametrize(
    ("events", "more", "limit"),
    [
        pytest.param(ALL, 'record = "none"', 53_000, id="all events"),
        pytest.param(TWO, 'record = "none"', 22_300, id="two events"),
        pytest.param(ALL, "", 63_500, id="all events, recorded"),
    ],
)
def test_a_call_runs_no_more_code_than_is_written_here(tmp_path: Path, events: str, more: str, limit: int) -> None:
    """All of the router's own threads, from the event socket to the disk; the dearest rooms are told where it is more."""
    found = bytecodes(tmp_path, events, more)
    spent = sum(found.values())
    assert spent <= limit * _SLACK, (spent, by_room(found)[:8], list(found.items())[:8])
