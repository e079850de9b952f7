"""One endpoint's breaker: closed, open, or half open with a single probe. Time is an argument.

Rules: `open_after` failed deliveries in a row open it; while it is open nothing is tried; after `cool_down` one delivery
at a time is let through, and what becomes of it decides. Each failed probe doubles the cool-down, up to `longest`.
"""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["closed", "open", "half_open"]


class Breaker(msgspec.Struct):
    """The state of one endpoint. `until`: when an open one lets a probe through (monotonic seconds)."""

    open_after: int = 5
    cool_down: float = 1.0
    longest: float = 30.0
    failures: int = 0
    trips: int = 0
    until: float = 0.0
    probing: bool = False
    state: State = "closed"

    def allows(self, now: float) -> bool:
        """Whether a delivery may be tried now; the one that is let through an open breaker is its probe."""
        if self.state == "closed":
            return True
        if self.probing or now < self.until:
            return False
        self.state, self.probing = "half_open", True
        return True

    def succeeded(self) -> bool:
        """A delivery came through; whether that changed the state."""
        changed = self.state != "closed"
        self.state, self.failures, self.trips, self.probing = "closed", 0, 0, False
        return changed

    def failed(self, now: float) -> bool:
        """A delivery failed; whether that changed the state."""
        self.failures += 1
        was = self.state
        if self.state == "half_open" or self.failures >= self.open_after:
            if self.state != "open":
                self.until = now + min(self.longest, self.cool_down * 2**self.trips)
                self.trips += 1
            self.state, self.probing = "open", False
        return was != self.state

    def abandoned(self) -> None:
        """The delivery was given up for a reason that is not the endpoint's: a probe may be made again."""
        if self.probing:
            self.state, self.probing = "open", False
