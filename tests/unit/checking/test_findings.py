"""Findings: one line each, and what belongs to one on lines of its own."""

from __future__ import annotations

from hookrouter.checking.findings import Findings


def test_what_belongs_to_a_finding_has_lines_of_its_own() -> None:
    """A terminal shows each line by itself: a line break within one would be shown as an escape."""
    said: list[str] = []
    findings = Findings(said.append)
    findings.wrong("routes[0].url", "answers what would be refused:", ["/0/a: missing", "/0/b: missing"])
    assert said == ["  ✗ routes[0].url: answers what would be refused:", "      /0/a: missing", "      /0/b: missing"]
    assert findings.wrong_count == 1
