"""What waits to be written: everything since the last batch, the newest value of each key only.

A batch that could not be written goes back under what came since, so nothing newer is overwritten by something older.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from hookrouter.calls.journal import Committed, Snapshot
from hookrouter.delivery.queue import Added, LaneMark, NewDelivery, Progress


class Adding(NamedTuple):
    """One `add`: its deliveries, the order of their lane, and who is to be told; None once they have been."""

    deliveries: tuple[NewDelivery, ...]
    strict: bool
    done: Callable[[Added], None] | None


class Buffer:
    """Collects in the event loop; the writer thread only ever sees the rows of `hookrouter/store/rows.py`."""

    def __init__(self) -> None:
        self.calls: dict[str, tuple[str, Snapshot] | None] = {}
        self.meta: dict[str, bytes | None] = {}
        self.marks: dict[str, LaneMark] = {}
        self.finished: list[tuple[str, str, float, bytes]] = []
        self.timeline: list[tuple[str, float, str, bytes]] = []
        self.adds: list[Adding] = []
        self.added_count = 0
        self.added_bytes = 0
        self.progress: list[Progress] = []
        self.waiters: list[Committed] = []
        self.again = False  # some of it was in a batch that failed, and may have been written all the same
        self.due = float("inf")  # when the first of the waiters wants it written, in the loop's time

    def __bool__(self) -> bool:
        """Whether there is something to write."""
        return bool(
            self.calls or self.timeline or self.adds or self.progress or self.finished or self.meta or self.marks
        )

    def add(self, adding: Adding) -> None:
        self.adds.append(adding)
        self._count(adding.deliveries, 1)

    def _count(self, deliveries: Iterable[NewDelivery], sign: int) -> None:
        for delivery in deliveries:
            self.added_count += sign
            self.added_bytes += sign * len(delivery.body)

    def forget(self, entry: str) -> None:
        """Lets go of what belongs to an `[asterisk.NAME]` that is another router's now."""
        begins = f"{entry}/"
        self.calls = {
            key: kept for key, kept in self.calls.items() if not (kept[0] == entry if kept else key.startswith(begins))
        }
        self.meta = {
            key: value for key, value in self.meta.items() if not f"{key}/".partition("/")[2].startswith(begins)
        }
        self.finished = [row for row in self.finished if row[1] != entry]
        self._count((d for adding in self.adds for d in adding.deliveries if d.asterisk == entry), -1)
        self.adds = [
            adding._replace(deliveries=tuple(d for d in adding.deliveries if d.asterisk != entry))
            for adding in self.adds
        ]

    def take_callbacks(self) -> tuple[list[Committed], list[Adding]]:
        """Who waits for this batch; they are told once, so they are taken out."""
        waiters, self.waiters = self.waiters, []
        told = [adding for adding in self.adds if adding.done is not None]
        self.adds = [adding._replace(done=None) for adding in self.adds]
        return waiters, told

    def put_under(self, older: Buffer, *, timeline: int, progress: int) -> int:
        """Takes in a batch that was not written, keeping at most so many rows of two kinds; says how many it let go."""
        self.again = True
        self.calls = {**older.calls, **self.calls}
        self.meta = {**older.meta, **self.meta}
        self.marks = {**older.marks, **self.marks}
        self.adds = older.adds + self.adds
        self.added_count += older.added_count
        self.added_bytes += older.added_bytes
        self.finished = (older.finished + self.finished)[-timeline:]
        entries = older.timeline + self.timeline
        steps = older.progress + self.progress
        self.timeline = entries[-timeline:]
        self.progress = steps[-progress:]
        return len(entries) - len(self.timeline) + len(steps) - len(self.progress)
