"""A ladder as SVG: lifelines, arrows in the order of time, and a time axis. Pure.

Rules: what was said is text, and never markup; there is no style within (the page's policy forbids it), only classes. A row
is as high as the time before it is long, within bounds; what is longer is drawn as a gap that says how long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from markupsafe import Markup, escape

from hookrouter.text.lines import cut, shown

_LEFT, _COLUMN, _TOP = 78, 196, 56
_LOWEST, _HIGHEST = 34, 92
_LETTER = 6.7  # of a label, about
ZOOMS = (1, 2, 4)


class Drawn(Protocol):
    """What the picture needs of a step."""

    @property
    def at(self) -> float: ...
    @property
    def path(self) -> Sequence[str]: ...
    @property
    def label(self) -> str: ...
    @property
    def kind(self) -> str: ...


def picture(
    found: Sequence[Drawn],
    lines: Sequence[str],
    began: float,
    link: Callable[[int], str],
    *,
    first: int = 0,
    chosen: int | None = None,
    zoom: int = 1,
    title: str = "",
) -> Markup:
    """`link` is the address of a step by its number; `first` is that of the first one; `began`: where the axis is 0."""
    width = _LEFT + _COLUMN * (len(lines) - 1) + 130
    rows = _rows(found, began, zoom)
    height = (rows[-1] if rows else _TOP) + 40
    out = [
        Markup('<svg class="ladder" viewBox="0 0 {} {}" width="{}" height="{}" role="group" aria-label="{}">').format(
            width, height, width, height, title
        )
    ]
    out.append(Markup('<g class="lifelines" id="lifelines">'))
    for index, who in enumerate(lines):
        x = _x(index)
        out.append(Markup('<text class="who" x="{}" y="22" text-anchor="middle">{}</text>').format(x, who))
        out.append(Markup('<line class="life" x1="{0}" y1="32" x2="{0}" y2="{1}"/>').format(x, height - 14))
    out.append(Markup("</g>"))
    before = began
    for index, (step, y) in enumerate(zip(found, rows, strict=True)):
        number = first + index
        if step.at - before > 5:
            out.append(
                Markup('<text class="gap" id="gap-{}" x="{}" y="{}">⋯ {} later</text>').format(
                    number, 6, y - 17, _span(step.at - before)
                )
            )
        out.append(_arrow(step, y, lines, number, link(number), chosen == number, began))
        before = step.at
    out.append(Markup("</svg>"))
    return Markup("").join(out)


def _rows(found: Sequence[Drawn], began: float, zoom: int) -> list[int]:
    """The height at which each step is drawn."""
    rows: list[int] = []
    y, before = _TOP - _LOWEST + 16, began
    for step in found:
        wait = max(0.0, step.at - before)
        y += min(_HIGHEST * zoom, _LOWEST + int(wait * 6 * zoom)) if wait <= 5 * zoom else max(52, _LOWEST * zoom)
        rows.append(y)
        before = max(before, step.at)
    return rows


def _x(index: int) -> int:
    return _LEFT + 45 + _COLUMN * index


def _span(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3600 else f"{seconds / 3600:.1f} h"


def _arrow(step: Drawn, y: int, lines: Sequence[str], number: int, address: str, chosen: bool, began: float) -> Markup:
    places = [_x(lines.index(who)) for who in step.path]
    start, end = places[0], places[-1]
    label = shown(step.label)
    classes = f"step {step.kind}" + (" chosen" if chosen else "")
    spoken = f"from {' to '.join(step.path)}" if start != end else f"at {step.path[0]}"
    out = [
        Markup(
            '<a class="{}" id="step-{}" href="{}" data-step="{}" aria-description="{}"{}>'
            '<rect class="hit" x="0" y="{}" width="{}" height="30"/><text class="at" x="{}" y="{}">{}</text>'
        ).format(
            classes, number, address, number, spoken, Markup(' aria-current="true"') if chosen else "",
            y - 21, _x(len(lines) - 1) + 80, 6, y + 4, f"{step.at - began:.3f}",
        )
    ]  # fmt: skip
    if start == end:
        room = int((_x(len(lines) - 1) + 70 - start - 14) / _LETTER)
        out.append(Markup('<circle cx="{}" cy="{}" r="4"/>').format(start, y))
        out.append(_label(start + 10, y + 4, label, room, "start"))
    else:
        sign = 1 if end > start else -1
        room = int((abs(end - start) + (60 if len(step.path) == 2 else 0) - 16) / _LETTER)
        out.append(Markup('<line class="line" x1="{}" y1="{}" x2="{}" y2="{}"/>').format(start, y, end - 7 * sign, y))
        out.append(Markup('<path class="head" d="M{} {}l{} -4.5v9z"/>').format(end - sign, y, -9 * sign))
        for middle in places[1:-1]:
            out.append(Markup('<circle cx="{}" cy="{}" r="3"/>').format(middle, y))
        out.append(_label((start + end) / 2, y - 6, label, room, "middle"))
    out.append(Markup("</a>"))
    return Markup("").join(out)


def _label(x: float, y: int, text: str, room: int, anchor: str) -> Markup:
    whole: Any = Markup("<title>{}</title>").format(text) if len(text) > room else ""
    return Markup('<text class="said" x="{:.0f}" y="{}" text-anchor="{}">{}{}</text>').format(
        x, y, anchor, escape(cut(text, max(8, room))), whole
    )


__all__ = ["ZOOMS", "picture"]
