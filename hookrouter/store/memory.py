"""A store that forgets with the process, for demonstrations, simulations and tests: every rule holds but durability."""

from __future__ import annotations

import asyncio
import bisect
from collections import deque
from collections.abc import Callable, Collection, Sequence
from itertools import islice

import msgspec

from hookrouter.calls.journal import Committed, FinishedCall, Snapshot, StoredCall, TimelineEntry
from hookrouter.clock import Clock, SystemClock
from hookrouter.delivery.queue import (
    Added,
    AttemptEntry,
    Filter,
    LaneMark,
    NewDelivery,
    Progress,
    StoredDelivery,
    Window,
)
from hookrouter.store.retention import Retention

Key = tuple[str, str]  # id and lane


class MemoryStore:
    """See `Journal` and `DeliveryQueue`. All is kept at once; only the callback of `add` comes later."""

    leases = None

    def __init__(self, clock: Clock | None = None, retention: Retention | None = None) -> None:
        self._clock = clock or SystemClock()
        r = self._retention = retention or Retention()
        self._calls: dict[str, tuple[str, Snapshot, float]] = {}
        self._meta: dict[str, bytes] = {}
        self._finished: deque[FinishedCall] = deque(maxlen=min(r.finished_rows, 1_000))
        self._timelines: dict[str, list[TimelineEntry]] = {}
        self._entries = 0
        self._deliveries: dict[Key, StoredDelivery] = {}  # in the order in which they were added
        self._pending: dict[str, list[tuple[float, int, Key]]] = {}  # by lane, sorted by when they are due
        self._of_call: dict[tuple[str, str], dict[Key, None]] = {}  # pending, by lane and call, in order
        self._numbers: dict[Key, int] = {}
        self._history: dict[Key, list[AttemptEntry]] = {}
        self._done: dict[str, deque[Key]] = {"delivered": deque(), "dead": deque()}
        self._marks: dict[str, LaneMark] = {}
        self._next_number = 0

    async def start(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def close(self) -> None:
        """Nothing is to be given back."""

    # -- the journal

    def save_call(self, call_id: str, asterisk: str, snapshot: Snapshot) -> None:
        self._calls[call_id] = (asterisk, snapshot, self._clock.now())

    def drop_call(self, call_id: str) -> None:
        self._calls.pop(call_id, None)

    def finish_call(self, call_id: str, asterisk: str, ended_at: float, summary: bytes) -> None:
        self._finished.append(FinishedCall(call_id, asterisk, ended_at, summary))

    def put_meta(self, key: str, value: bytes | None) -> None:
        if value is None:
            self._meta.pop(key, None)
        else:
            self._meta[key] = value

    def log(self, call_id: str, at: float, kind: str, detail: bytes = b"") -> None:
        self._timelines.setdefault(call_id, []).append(TimelineEntry(at, kind, detail))
        self._entries += 1
        while self._entries > min(self._retention.timeline_rows, 50_000) and len(self._timelines) > 1:
            oldest = next(iter(self._timelines))
            self._entries -= len(self._timelines.pop(oldest))

    def committed(self, done: Committed, *, within: float = 0.0) -> None:
        done(None)

    async def settled(self) -> None:
        """Everything is kept at once."""

    async def load_calls(self, asterisk: str = "") -> list[StoredCall]:
        kept = sorted(self._calls.items(), key=lambda item: item[1][2])
        return [
            StoredCall(call_id, of, snapshot if isinstance(snapshot, bytes) else snapshot(), saved_at)
            for call_id, (of, snapshot, saved_at) in kept
            if asterisk in ("", of)
        ]

    async def load_meta(self, prefix: str = "") -> dict[str, bytes]:
        return {key: value for key, value in self._meta.items() if key.startswith(prefix)}

    async def recent_calls(self, limit: int = 100) -> list[FinishedCall]:
        return list(islice(reversed(self._finished), limit))

    async def timeline(self, call_id: str) -> list[TimelineEntry]:
        return list(self._timelines.get(call_id, ()))

    # -- the notify queue

    def add(self, deliveries: Sequence[NewDelivery], done: Callable[[Added], None], *, strict: bool = False) -> None:
        new: set[Key] = set()
        predecessors: dict[Key, str] = {}
        for d in deliveries:
            key = (d.id, d.lane)
            if key in self._deliveries:
                continue
            if d.call:
                before = [
                    earlier
                    for earlier in self._of_call.get((d.lane, d.call), ())
                    if strict or self._deliveries[earlier].first_at is None
                ]
                if before:
                    predecessors[key] = max(before, key=self._numbers.__getitem__)[0]
            new.add(key)
            self._next_number += 1
            self._numbers[key] = self._next_number
            self._keep(StoredDelivery(d.id, d.route, d.type, d.body, d.created_at, d.call, d.url, next_at=d.created_at))
        self._loop.call_soon(done, Added(frozenset(new), predecessors))

    def record(self, progress: Progress) -> None:
        key = (progress.id, progress.lane)
        kept = self._deliveries.get(key)
        if kept is None:
            return
        self._withdraw(kept)
        self._keep(
            msgspec.structs.replace(
                kept,
                status=progress.status,
                attempts=progress.attempts,
                first_at=progress.first_at,
                next_at=progress.next_at if progress.status == "pending" else progress.at,
                reason=progress.reason,
                body=b"" if progress.status == "delivered" else kept.body,
            )
        )
        if progress.failed is not None:
            self._history.setdefault(key, []).append(progress.failed)

    def mark_lane(self, mark: LaneMark) -> None:
        if mark.stopped_url or mark.paused_until > self._clock.now():
            self._marks[mark.lane] = mark
        else:
            self._marks.pop(mark.lane, None)

    async def lane_marks(self) -> list[LaneMark]:
        return list(self._marks.values())

    async def backlog(self) -> dict[str, int]:
        return {lane: len(waiting) for lane, waiting in self._pending.items() if waiting}

    async def due(self, lane: str, now: float, limit: int, skip: Collection[str], hold: float | None = None) -> Window:
        due: list[StoredDelivery] = []
        next_at: float | None = None
        for at, _, key in self._pending.get(lane, ()):
            if at > now:
                next_at = at
                break
            if len(due) < limit and key[0] not in skip and not (hold is not None and self._held_up(key, now - hold)):
                due.append(self._deliveries[key])
        return Window(due, next_at)

    async def expire(self, lane: str, before: float, now: float) -> int:
        late = [key for at, _, key in self._pending.get(lane, ()) if at < before]
        for key in late:
            d = self._deliveries[key]
            self.record(Progress(*key, "dead", d.attempts, now, d.first_at, reason="expired"))
        return len(late)

    async def find(self, which: Filter, limit: int = 100, after: int = 0) -> list[StoredDelivery]:
        found = (d for d in reversed(self._deliveries.values()) if _fits(d, which))
        return list(islice(found, after, after + limit))

    async def history(self, delivery_id: str, lane: str) -> list[AttemptEntry]:
        return list(self._history.get((delivery_id, lane), ()))

    async def revive(self, which: Filter, now: float) -> dict[str, int]:
        dead = [d for d in self._deliveries.values() if d.status == "dead" and _fits(d, which)]
        lanes: dict[str, int] = {}
        for d in dead:
            self._withdraw(d)
            self._keep(msgspec.structs.replace(d, status="pending", replayed=d.attempts, first_at=None, next_at=now))
            lanes[d.lane] = lanes.get(d.lane, 0) + 1
        return lanes

    # -- its indexes

    def _keep(self, d: StoredDelivery) -> None:
        key = (d.id, d.lane)
        self._deliveries[key] = d
        if d.status == "pending":
            bisect.insort(self._pending.setdefault(d.lane, []), (d.next_at, self._numbers[key], key))
            if d.call:
                self._of_call.setdefault((d.lane, d.call), {})[key] = None
        else:
            self._done[d.status].append(key)
            self._trim(d.status)

    def _withdraw(self, d: StoredDelivery) -> None:
        """Takes it out of the indexes; `_keep` puts it back where it belongs now."""
        key = (d.id, d.lane)
        if d.status == "pending":
            waiting = self._pending[d.lane]
            waiting.pop(bisect.bisect_left(waiting, (d.next_at, self._numbers[key], key)))
            of_call = self._of_call.get((d.lane, d.call), {})
            of_call.pop(key, None)
            if not of_call:
                self._of_call.pop((d.lane, d.call), None)
        else:
            self._done[d.status].remove(key)

    def _trim(self, status: str) -> None:
        done = self._done[status]
        most = self._retention.dead_rows if status == "dead" else min(self._retention.delivered_rows, 10_000)
        while len(done) > most:
            key = done.popleft()
            del self._deliveries[key], self._numbers[key]
            self._history.pop(key, None)

    def _held_up(self, key: Key, since: float) -> bool:
        d = self._deliveries[key]
        for earlier in self._of_call.get((d.lane, d.call), ()):
            if self._numbers[earlier] >= self._numbers[key]:
                continue
            first_at = self._deliveries[earlier].first_at
            if first_at is None or first_at > since:
                return True
        return False


def _fits(d: StoredDelivery, which: Filter) -> bool:
    return (
        (not which.ids or d.id in which.ids)
        and (which.routes is None or d.route in which.routes)
        and (which.status is None or d.status == which.status)
        and all(
            not wanted or wanted == given
            for wanted, given in (
                (which.route, d.route),
                (which.call, d.call),
                (which.type, d.type),
                (which.reason, d.reason),
            )
        )
        and (which.created_after is None or d.created_at >= which.created_after)
        and (which.created_before is None or d.created_at < which.created_before)
    )
