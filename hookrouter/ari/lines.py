"""Requests of one call that Asterisk has not got yet go out in the order in which they were asked for.

Rules:
- As long as Asterisk is there, requests go out at once, and nobody stands in a line.
- One that did not arrive, or may not have, stands in its call's line until it goes out again or its fate is known; what the
  call asks for meanwhile stands behind it. A prompt that was ended before it could begin would else be heard later.
- Once it has gone out the next one follows: what blocks in Asterisk holds up nobody.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Line:
    first: asyncio.Lock = field(default_factory=asyncio.Lock)
    count: int = 0


class Lines:
    """The lines of all calls; a call that has none is not in it."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}

    def __contains__(self, call: str) -> bool:
        return call in self._lines

    async def stand(self, call: str) -> None:
        """Returns when it is the first one; `leave` is for it to call."""
        line = self._lines.setdefault(call, _Line())
        line.count += 1
        try:
            await line.first.acquire()
        except BaseException:
            self._less(call, line)
            raise

    def leave(self, call: str) -> None:
        line = self._lines[call]
        line.first.release()
        self._less(call, line)

    def _less(self, call: str, line: _Line) -> None:
        line.count -= 1
        if not line.count:
            del self._lines[call]
