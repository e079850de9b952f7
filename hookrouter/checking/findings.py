"""What a check has found: what is right, what is wrong, what is worth knowing, and what could not be asked.

Rule: what was not asked is neither right nor wrong, and is said as such.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

Say = Callable[[str], None]


class Findings:
    """Says each finding at once, and counts."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self.wrong_count = 0
        self.unasked: list[str] = []

    def right(self, place: str, text: str) -> None:
        self._say(f"  ✓ {place}: {text}")

    def wrong(self, place: str, text: str, more: Iterable[str] = ()) -> None:
        """Something that keeps calls from being handled as routes.toml says; `text` names the remedy; `more`: a line each."""
        self.wrong_count += 1
        self._say(f"  ✗ {place}: {text}")
        for line in more:
            self._say(f"      {line}")

    def note(self, place: str, text: str) -> None:
        """Worth knowing, and not necessarily wrong."""
        self._say(f"  · {place}: {text}")

    def not_asked(self, place: str, text: str) -> None:
        if place not in self.unasked:
            self.unasked.append(place)
        self._say(f"  ? {place}: not asked: {text}")
