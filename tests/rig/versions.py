"""What was found of each Asterisk, as it is kept: the table of docs/versions.md is made from it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

RECORD = Path(__file__).parents[1] / "asterisk/versions.json"


def agree(suite: str, version: str, found: Mapping[str, str], *, write: bool) -> None:
    """Raises AssertionError where the record says something else; `write`: from now on it says this."""
    record = json.loads(RECORD.read_text())
    kept = record.get(suite, {"version": "", "found": {}})
    if write:
        number = re.match(r"[\d.]+(?:-rc\d+)?", version)
        assert number is not None, version
        record[suite] = {"version": number[0], "found": kept["found"] | found}
        RECORD.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        return
    differ = {what: (text, kept["found"].get(what)) for what, text in found.items() if kept["found"].get(what) != text}
    assert not differ, (
        f"Asterisk {version} ({suite}; the record is of {kept['version']}) is found to be another (found, recorded): {differ}; "
        "if that is well, `make versions` and `make docs`"
    )
