"""What a soak looks at in the end: has anything grown?"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Sequence

from rig.process import RouterProcess


def quarters(values: Sequence[int]) -> tuple[float, float]:
    """The medians of the first and of the last quarter."""
    count = max(1, len(values) // 4)
    return statistics.median(values[:count]), statistics.median(values[-count:])


async def descriptors(routers: Sequence[RouterProcess], most: int, timeout: float = 60.0) -> int:
    """The most that one of them has open, when idle connections have been given up: waits until that is `most`."""
    until = time.monotonic() + timeout
    while (found := max(router.descriptors() for router in routers)) > most and time.monotonic() < until:
        await asyncio.sleep(0.2)
    return found
