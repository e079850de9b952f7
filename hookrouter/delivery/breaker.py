"""One endpoint's breaker: closed, open, or half open with a single probe. Time is an argument.

Rules:
- `open_after` failed deliveries in a row open it. Deliveries, not attempts: a blip that a second attempt bridges is none.
- While it is open nothing is tried. After `cool_down` one delivery, the probe, is let through, and it alone decides; each
  probe that fails doubles the cool-down, up to `longest`.
- An answer is an answer, whoever asked for it: a delivery that began before the breaker opened closes it by succeeding.
"""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["closed", "open", "half_open"]
Admission = Literal["free", "probe", "refused"]


class Breaker(msgspec.Struct):
    """The state of one endpoint. `until`: when an open one lets a probe through (seconds, any clock that never goes back)."""

    open_after: int = 5
    cool_down: float = 1.0
    longest: float = 10.0
    failures: int = 0
    trips: int = 0
    until: float = 0.0
    state: State = "closed"

    def admit(self, now: float) -> Admission:
        """Whether a delivery may be tried now. A `probe` must be followed by one of the other three methods."""
        if self.state == "closed":
            return "free"
        if self.state == "half_open" or now < self.until:
            return "refused"
        self.state = "half_open"
        return "probe"

    def succeeded(self) -> bool:
        """A delivery came through; whether that changed the state."""
        changed = self.state != "closed"
        self.state, self.failures, self.trips = "closed", 0, 0
        return changed

    def failed(self, now: float, admission: Admission) -> bool:
        """A delivery that had this admission failed; whether that changed the state."""
        if admission == "probe":
            self._open(now)
            return True
        if self.state != "closed":
            return False
        self.failures += 1
        if self.failures >= self.open_after:
            self._open(now)
        return self.state != "closed"

    def abandoned(self, admission: Admission) -> None:
        """The delivery was given up for a reason that is not the endpoint's: a probe may be made again."""
        if admission == "probe" and self.state == "half_open":
            self.state = "open"

    def _open(self, now: float) -> None:
        self.state = "open"
        self.until = now + min(self.longest, self.cool_down * 2.0**self.trips)
        self.trips = min(self.trips + 1, 30)
