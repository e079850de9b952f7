"""An instant as somebody types it: `1h` ago, RFC 3339, or seconds since the epoch."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime

_AGO = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}


def instant(text: str, now: float) -> float:
    """Seconds since the epoch; a time without a zone is UTC. Raises ValueError."""
    if ago := _AGO.fullmatch(text.strip()):
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        seconds = float(text)
        if math.isfinite(seconds):
            return seconds
    except ValueError:
        pass
    try:
        found = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(
            f"`{text[:40]}` is not a time: give `30m`, `1h` or `2d` (ago), `2026-11-26T14:03:00Z`, or seconds since the epoch"
        ) from None
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
