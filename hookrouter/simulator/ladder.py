"""A call as a ladder: who told whom what, and when. Text only; colours are the command line's business.

Rule: four lifelines, 95 columns; a label that is too long for its arrow goes on above it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Literal, NamedTuple

from hookrouter.text.lines import shown

Who = Literal["caller", "Asterisk", "hookrouter", "endpoint"]
_ORDER: tuple[Who, ...] = ("caller", "Asterisk", "hookrouter", "endpoint")
_GAP = 26
_LEFT = 9

Kind = Literal["plain", "good", "bad", "note"]


class Exchange(NamedTuple):
    """A body that goes with a rung."""

    what: Literal["request", "answer"]
    body: bytes

    def lines(self) -> Iterator[str]:
        """The body for people: JSON indented, anything else as it is."""
        try:
            text = json.dumps(json.loads(self.body), indent=2, ensure_ascii=False)
        except ValueError:
            text = self.body.decode("utf-8", "replace")
        yield from (shown(line) for line in text.splitlines())


class Rung(NamedTuple):
    """`source` says `label` to `target`; the same twice: a note beside its lifeline."""

    at: float
    source: Who
    target: Who
    label: str
    kind: Kind = "plain"
    exchange: Exchange | None = None


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

    def add(
        self, at: float, source: Who, target: Who, label: str, kind: Kind = "plain", exchange: Exchange | None = None
    ) -> None:
        self.rungs.append(Rung(at, source, target, shown(label), kind, exchange))

    def label_last(self, source: Who, more: str) -> None:
        """What is known only now of the last thing that `source` has said."""
        for index in range(len(self.rungs) - 1, -1, -1):
            rung = self.rungs[index]
            if rung.source == source:
                self.rungs[index] = rung._replace(label=shown(f"{rung.label}: {more}"))
                return

    def in_order(self) -> list[Rung]:
        return sorted(self.rungs, key=lambda rung: rung.at)

    def lines(self, *, verbose: bool = False) -> Iterator[Line]:
        """`verbose`: each body below its rung."""
        yield _heading()
        for rung in self.in_order():
            yield from _drawn(rung)
            if verbose and rung.exchange is not None:
                for text in rung.exchange.lines():
                    line = " " * (_LEFT + 2) + text
                    yield Line(line, "note", 0, len(line))

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
    parts = wrapped(rung.label, width) or [""]
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


def wrapped(text: str, width: int) -> list[str]:
    """Lines of at most `width`, broken between words; within one that is longer at what separates its parts."""
    lines: list[str] = []
    for word in text.split():
        pieces = [word] if len(word) <= width else re.findall(r"[^-/_:.&,@]*[-/_:.&,@]+|[^-/_:.&,@]+", word)
        glue = " "
        for piece in pieces:
            if lines and len(lines[-1]) + len(glue) + len(piece) <= width:
                lines[-1] += glue + piece
            else:
                lines += [piece[start : start + width] for start in range(0, len(piece), width)]
            glue = ""
    return lines


def _lifelines() -> list[str]:
    row = list(" " * (_LEFT + 3 * (_GAP + 1) + 1))
    for who in _ORDER:
        row[_column(who)] = "│"
    return row
