"""The durable queue that notify deliveries ask for: rows that outlive us until they are delivered or dead letters.

Rules:
- A delivery is one event (`id`) for one lane; handing it over twice, even over a restart, is one delivery.
- A lane is a route's endpoint: the route's name, and its own URL where an action named one.
- Writes are buffered into the same group commit as the calls' snapshots (hookrouter/calls/journal.py), so an event's
  snapshot and its deliveries are on disk together or not at all.
- Reads see all that was handed over before, whether it is on disk yet or not.
- The body is kept byte for byte until the delivery is done; of a delivered one only the head stays, for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Literal, Protocol

import msgspec

from hookrouter.errors import StoreError

Status = Literal["pending", "delivered", "dead"]


def lane_of(route: str, url: str) -> str:
    """The lane's name; `url` is empty where it is the route's own. A line break is in neither of the two."""
    return f"{route}\n{url}" if url else route


class NewDelivery(msgspec.Struct, frozen=True, gc=False):
    """One event for one notify route. `body`: the exact bytes of every attempt; `created_at`: seconds since the epoch.

    `call` is empty for what belongs to no call (then there is no order); `url` is empty where it is the route's own.
    `asterisk`: of the event that it tells of; with it the delivery goes from router to router.
    """

    id: str
    route: str
    type: str
    body: bytes
    created_at: float
    call: str = ""
    url: str = ""
    asterisk: str = ""

    @property
    def lane(self) -> str:
        return lane_of(self.route, self.url)


class StoredDelivery(msgspec.Struct, frozen=True, gc=False):
    """A delivery as it is kept.

    `attempts`: how many were made; `replayed`: how many of them before it was last sent again by hand (the schedule
    counts from there); `first_at`: the first attempt since then, None before it; `next_at`: when the next one is due
    (for one that is done: when it was); `reason`: why the last one failed, or why it is dead. Instants are seconds
    since the epoch.
    """

    id: str
    route: str
    type: str
    body: bytes
    created_at: float
    call: str = ""
    url: str = ""
    attempts: int = 0
    replayed: int = 0
    first_at: float | None = None
    next_at: float = 0.0
    status: Status = "pending"
    reason: str = ""

    @property
    def lane(self) -> str:
        return lane_of(self.route, self.url)


class AttemptEntry(msgspec.Struct, frozen=True, gc=False):
    """One failed attempt, for the dead letter. `at`: when it ended; `status`: None where no answer came."""

    number: int
    at: float
    reason: str
    status: int | None = None
    seconds: float = 0.0
    detail: str = ""


class Progress(msgspec.Struct, frozen=True, gc=False):
    """What an attempt (or giving up) made of a delivery; `failed` is the attempt to remember, None if it succeeded."""

    id: str
    lane: str
    status: Status
    attempts: int
    at: float
    first_at: float | None = None
    next_at: float = 0.0
    reason: str = ""
    failed: AttemptEntry | None = None


class Added(msgspec.Struct, frozen=True):
    """What became of `add`.

    `new`: the (id, lane) that were not known before; `predecessors`: for those of them that belong to a call, the id of
    the last delivery before them of the same call and lane that holds them up (see `add`), where there is one.
    `error`: they are not on disk (`new` is then all of them); `kept`: whether they then wait in memory for the disk
    (False: only the caller has them).
    """

    new: frozenset[tuple[str, str]]
    predecessors: dict[tuple[str, str], str] = {}
    error: StoreError | None = None
    kept: bool = True


class Window(msgspec.Struct, frozen=True):
    """A part of a lane's backlog. `next_at`: when the next of those not yet due is, None where there is none."""

    due: list[StoredDelivery]
    next_at: float | None = None


class LaneMark(msgspec.Struct, frozen=True):
    """What is remembered of a lane: the URL that answered 410, and until when it pauses (seconds since the epoch)."""

    lane: str
    stopped_url: str = ""
    paused_until: float = 0.0


class Filter(msgspec.Struct, frozen=True):
    """Which deliveries: all that are given must hold; an empty one is every delivery.

    `routes`: of one of these alone; none of them is no delivery.
    """

    ids: tuple[str, ...] = ()
    routes: tuple[str, ...] | None = None
    status: Status | None = None
    route: str = ""
    call: str = ""
    type: str = ""
    reason: str = ""
    created_after: float | None = None
    created_before: float | None = None


class DeliveryQueue(Protocol):
    """Keeps deliveries, their attempts, and the lanes' marks."""

    def add(self, deliveries: Sequence[NewDelivery], done: Callable[[Added], None], *, strict: bool = False) -> None:
        """Buffers new deliveries, due at once; `done` is called in the event loop after their commit, or its failure.

        `strict`: a predecessor is any pending delivery of the call, otherwise only one never attempted.
        """
        ...

    def record(self, progress: Progress) -> None:
        """Buffers what became of a delivery; one that was not added is ignored."""
        ...

    def mark_lane(self, mark: LaneMark) -> None:
        """Buffers what is to be remembered of a lane; a mark without a stop and a pause in the past forgets it."""
        ...

    async def lane_marks(self) -> list[LaneMark]:
        """All marks. Raises StoreError."""
        ...

    async def backlog(self) -> dict[str, int]:
        """How many deliveries are pending, by lane; lanes without any are absent. Raises StoreError."""
        ...

    async def due(self, lane: str, now: float, limit: int, skip: Collection[str], hold: float | None = None) -> Window:
        """Pending deliveries of a lane whose time has come, the most overdue first, without the ids in `skip`.

        `hold` (strict order): leaves out what an earlier pending one of the same call holds up: one never attempted, or
        first attempted less than `hold` seconds ago. Raises StoreError.
        """
        ...

    async def expire(self, lane: str, before: float, now: float) -> int:
        """Makes dead letters (reason `expired`) of what has been due since `before` and longer; says how many."""
        ...

    async def find(self, which: Filter, limit: int = 100, after: int = 0) -> list[StoredDelivery]:
        """Deliveries, the newest first; `after` skips that many. Raises StoreError."""
        ...

    async def history(self, delivery_id: str, lane: str) -> list[AttemptEntry]:
        """The failed attempts of a delivery, the first one first. Raises StoreError."""
        ...

    async def revive(self, which: Filter, now: float) -> dict[str, int]:
        """Makes dead letters pending again, due now, with the same id and the schedule from its start.

        Delivered ones are left alone (their bodies are gone). Says how many by lane. Raises StoreError.
        """
        ...
