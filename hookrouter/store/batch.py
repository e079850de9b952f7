"""A batch on its way to the disk, and what came of it: the same for every engine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from hookrouter.delivery.queue import LaneMark, NewDelivery, Progress


class Rows(NamedTuple):
    """A batch as the thread sees it: nothing in it changes any more."""

    calls: list[tuple[str, str, float, bytes]]
    dropped: list[tuple[str]]
    meta: list[tuple[str, bytes | None]]
    marks: list[LaneMark]
    finished: list[tuple[str, str, float, bytes]]
    timeline: list[tuple[str, float, str, bytes]]
    adds: list[tuple[tuple[NewDelivery, ...], bool]]
    progress: list[Progress]
    now: float
    again: bool = False  # some of it was in a batch that failed, and may be there already
    held: Mapping[str, int] = {}  # entry → epoch: what the writer owns, where a database has several writers


class Inserted(NamedTuple):
    """What one `add` came to: the new ones, and what holds them up."""

    new: frozenset[tuple[str, str]]
    predecessors: dict[tuple[str, str], str]
