"""A call as a ladder: who told whom what, and when. Text only; colours are the command line's business.

Rule: four lifelines, 95 columns; a label that is too long for its arrow goes on above it.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import wrap
from typing import Literal, NamedTuple

Who = Literal["caller", "Asterisk", "hookrouter", "endpoint"]
_ORDER: tuple[Who, ...] = ("caller", "Asterisk", "hookrouter", "endpoint")
_GAP = 26
_LEFT = 9

Kind = Literal["plain", "good", "bad", "note"]


class Rung(NamedTuple):
    """`source` says `label` to `target`; the same twice: a note beside its lifeline."""

    at: float
    source: Who
    target: Who
    label: str
    kind: Kind = "plain"


class Line(NamedTuple):
    """One line of text, and the part of it (start, end) that `kind` is about."""

    text: str
    kind: Kind
    start: int
    end: int


class Ladder:
    """Collects rungs in any order; `lines` has them in the order of time."""

    def __init__(self) -> None:
        self.rungs: list[Rung] = []

    def add(self, at: float, source: Who, target: Who, label: str, kind: Kind = "plain") -> None:
        self.rungs.append(Rung(at, source, target, label, kind))

    def lines(self) -> Iterator[Line]:
        yield _heading()
        for rung in sorted(self.rungs, key=lambda rung: rung.at):
            yield from _drawn(rung)

    def text(self) -> str:
        return "\n".join(line.text.rstrip() for line in self.lines())


def _column(who: Who) -> int:
    return _LEFT + _ORDER.index(who) * (_GAP + 1)


def _heading() -> Line:
    row = list(" " * (_LEFT + 3 * (_GAP + 1) + 9))
    for who in _ORDER:
        start = max(0, min(_column(who) - len(who) // 2, len(row) - len(who)))
        row[start : start + len(who)] = who
    text = "".join(row)
    return Line(" time" + text[5:], "note", 0, len(text))


def _drawn(rung: Rung) -> Iterator[Line]:
    first, last = sorted((_column(rung.source), _column(rung.target)))
    own = first == last
    if own and rung.source == "endpoint":
        first = _column("hookrouter")
    elif own:
        last = first + _GAP + 1
    width = last - first - (3 if own else 6)
    parts = wrap(rung.label, width, break_on_hyphens=False) or [""]
    for index, part in enumerate(parts):
        final = index == len(parts) - 1
        row = _lifelines()
        if index == 0:
            row[: _LEFT - 2] = f"{rung.at:7.3f}"
        if own or not final:
            inside = f" {part}".ljust(last - first - 1)
        elif rung.source == _ORDER[[_column(who) for who in _ORDER].index(first)]:
            inside = f"─ {part} ".ljust(last - first - 2, "─") + "▶"
            row[first] = "├"
        else:
            inside = f"◀─ {part} ".ljust(last - first - 1, "─")
            row[last] = "┤"
        row[first + 1 : last] = inside
        text = "".join(row)
        yield Line(text, rung.kind, first + 1, last)


def _lifelines() -> list[str]:
    row = list(" " * (_LEFT + 3 * (_GAP + 1) + 1))
    for who in _ORDER:
        row[_column(who)] = "│"
    return row
