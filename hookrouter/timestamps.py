"""Instants as text: RFC 3339 in UTC with milliseconds, as the contract's `timestamp` is."""

from __future__ import annotations

import time
from functools import lru_cache


def rfc3339_now(now: float) -> str:
    """`now` (seconds since the epoch) as `2026-11-23T01:21:20.227Z`."""
    whole, milliseconds = divmod(round(now * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03d}Z"


@lru_cache(maxsize=8)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))
