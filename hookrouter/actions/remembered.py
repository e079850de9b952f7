"""What was decoded lately, by its bytes: bounded by how many bytes it holds, not by how many entries.

Rule: two generations. What is found in the old one comes into the young one; when the young one is full, the old one
goes. A hit costs one look into a dictionary.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Remembered(Generic[T]):
    """`most_bytes`: how much JSON the keys may be together; what was decoded from it takes up to twenty times that."""

    __slots__ = ("_half", "_old", "_size", "_young")

    def __init__(self, most_bytes: int) -> None:
        self._half = most_bytes // 2
        self._young: dict[Hashable, T] = {}
        self._old: dict[Hashable, T] = {}
        self._size = 0

    def get(self, key: bytes) -> T | None:
        """What was put under these bytes, or None."""
        found = self._young.get(key)
        if found is None and (found := self._old.pop(key, None)) is not None:
            self.put(key, found)
        return found

    def put(self, key: bytes, value: T) -> None:
        """Remembers it; what is larger than half of all is not worth it."""
        if len(key) > self._half:
            return
        self._size += len(key)
        if self._size > self._half:
            self._old, self._young, self._size = self._young, {}, len(key)
        self._young[key] = value

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def clear(self) -> None:
        """Forgets everything."""
        self._young, self._old, self._size = {}, {}, 0
