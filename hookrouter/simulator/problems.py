"""What went wrong in a run: equal faults are counted, and each is explained once."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec


class Problem(msgspec.Struct):
    """`what`: one line. `why`: the lines that explain it. `where`: the events that it happened at, in order."""

    what: str
    why: list[str] = []
    where: list[str] = []
    count: int = 1

    def text(self) -> str:
        at = f"{', '.join(self.where)}: " if self.where else ""
        times = f" ({self.count} times)" if self.count > 1 else ""
        return "\n".join([f"{at}{self.what}{times}", *self.why])


class Problems:
    """Collects them in the order of their first time."""

    def __init__(self) -> None:
        self._found: dict[tuple[str, str], Problem] = {}

    def add(self, what: str, why: str = "", *, where: str = "") -> None:
        key = (what, why)
        found = self._found.get(key)
        if found is None:
            self._found[key] = Problem(what, why.splitlines(), [where] if where else [])
            return
        found.count += 1
        if where and where not in found.where:
            found.where.append(where)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __iter__(self) -> Iterator[Problem]:
        return iter(self._found.values())
