"""How long, and how much of it, a store keeps what is over: live calls and pending deliveries are never trimmed."""

from __future__ import annotations

import msgspec

_DAY = 86_400.0


class Retention(msgspec.Struct, frozen=True):
    """Ages in seconds, sizes in rows; whichever is reached first."""

    timeline_age: float = 3 * _DAY
    timeline_rows: int = 1_000_000
    finished_age: float = 30 * _DAY
    finished_rows: int = 100_000
    delivered_age: float = _DAY
    delivered_rows: int = 100_000
    dead_age: float = 30 * _DAY
    dead_rows: int = 100_000
