"""A call that goes on, as the recorder sees it: what is gathered of it until it is written, and what is kept of it at all."""

from __future__ import annotations

import functools
from typing import Literal

import msgspec

from hookrouter.facts import Fact, Warned
from hookrouter.record.censor import Path as Redacted
from hookrouter.record.censor import path_of
from hookrouter.record.verdict import Verdict

MOST_GATHERED = (
    2_000  # entries of one call that wait in memory (of trouble twice as many), and how many bytes they hold
)
MOST_GATHERED_BYTES = 4 * 1024 * 1024
LOOKED_AT = 64  # so many are counted together
Kept = Literal["all", "failed", "none"]


class Plan(msgspec.Struct, frozen=True):
    """What is kept of a route's calls, whose they are, the paths of what is left out; `shadow`: it has a candidate."""

    kept: Kept = "all"
    tenant: str = ""
    redact: tuple[str, ...] = ()
    shadow: bool = False

    @property
    def paths(self) -> tuple[Redacted, ...]:
        return tuple(map(path_of, self.redact))


class Ended(msgspec.Struct, frozen=True):
    """What somebody else knows of a call that ended while nobody recorded."""

    at: float
    reason: str


class OpenCall:
    """A call that goes on."""

    __slots__ = ("asterisk", "full", "gathered", "held", "kept", "missed", "row", "shadow", "tags", "verdict")

    def __init__(self, row: int, kept: Kept, asterisk: str, *, shadow: bool) -> None:
        self.row = row
        self.asterisk = asterisk
        self.shadow = shadow
        self.gathered: list[tuple[float, Fact]] = []
        self.kept = kept
        self.tags: dict[str, str] = {}
        self.verdict = Verdict()
        self.held = 0  # bytes of what is gathered
        self.full = False
        self.missed = 0

    def has_room(self, *, trouble: bool) -> bool:
        """Whether there is room for one more; looked at where there are many. `trouble`: it tells of some."""
        if not self.full and not len(self.gathered) % LOOKED_AT:
            self.held += sum(map(_bytes_of, self.gathered[-LOOKED_AT:]))
            self.full = len(self.gathered) >= MOST_GATHERED or self.held >= MOST_GATHERED_BYTES
        return not self.full or (trouble and len(self.gathered) < 2 * MOST_GATHERED)

    def missing(self, gathered: list[tuple[float, Fact]], at: float) -> None:
        """`gathered` is taken; what is missing is told behind it."""
        if self.missed:
            words = (
                f"{self.missed} entries more are not in the record of this call: it went faster than they are written"
            )
            gathered.append((at, Warned("record", words)))
        self.held, self.full, self.missed = 0, False, 0


def _bytes_of(entry: tuple[float, Fact]) -> int:
    fact = entry[1]
    return sum(len(getattr(fact, name)) for name in _raw_fields(fact.__class__))


@functools.cache
def _raw_fields(kind: type[Fact]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.type is bytes)
