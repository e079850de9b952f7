"""How many in a span of time: the last whole span counts as much as of it is still within reach. Pure: time is given."""

from __future__ import annotations


class Rates:
    """A rate for each key, such as the name of a route."""

    def __init__(self, span: float) -> None:
        self._span = span
        self._of: dict[str, Rate] = {}

    def take(self, key: str, most: int, now: float) -> bool:
        rate = self._of.get(key)
        if rate is None:
            rate = self._of[key] = Rate(self._span)
        return rate.take(most, now)

    def tell(self, key: str, now: float) -> bool:
        """Whether it is to be told that something was over the bound: once in any span."""
        rate = self._of.get(key)
        told = rate is not None and now - rate.told < self._span
        if rate is not None and not told:
            rate.told = now
        return not told


class Rate:
    """At most so many in any `span` seconds, as near as two numbers can tell."""

    __slots__ = ("_before", "_count", "_since", "_span", "told")

    def __init__(self, span: float) -> None:
        self._span = span
        self._since = 0.0
        self._count = 0
        self._before = 0
        self.told = float("-inf")

    def take(self, most: int, now: float) -> bool:
        """Whether one more is within `most`; then it is counted. `now` in seconds."""
        passed = now - self._since
        if passed >= self._span or passed < 0:
            self._before = self._count if 0 <= passed < 2 * self._span else 0
            self._since = self._since + self._span if self._before else now
            self._count = 0
            passed = now - self._since
        reach = self._before * max(0.0, 1 - passed / self._span)
        if self._count + reach >= most:
            return False
        self._count += 1
        return True
