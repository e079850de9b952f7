"""The group commit, whatever is written to: what calls and notify deliveries hand over, one batch after another.

Rules:
- What is handed over in one turn of the event loop, or while a write runs, becomes one transaction with one fsync.
  A write begins `COMMIT_DELAY` after the one before it at the earliest: the first of a quiet moment waits for nothing,
  a crowd shares the cost. What nobody waits for goes with the next write, or alone after `LAZY_DELAY`.
- While the place refuses, or is silent for longer than `patience`, whoever waits is told so and calls go on; it is
  tried again every `RETRY_DELAY`. `JournalFailed` and `JournalRecovered` are told once each.
- Memory is bounded meanwhile: the newest snapshot of each live call, and the limits below; what goes beyond them is
  refused (deliveries) or let go, the oldest first (timeline), and counted in a `Warned`.
- Reads first wait for what was handed over before them, so they see it.
- What is written to is an `Engine`; a store is this and the opening of its place.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from hookrouter.calls.journal import Committed, FinishedCall, Snapshot, StoredCall, TimelineEntry
from hookrouter.clock import Clock, SystemClock
from hookrouter.cluster.leases import Leases
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
from hookrouter.errors import StoreError
from hookrouter.facts import Facts, JournalFailed, JournalRecovered, Warned
from hookrouter.store.batch import Inserted, Rows
from hookrouter.store.buffer import Adding, Buffer
from hookrouter.store.retention import Retention
from hookrouter.store.writer import Connection, WriterThread

T = TypeVar("T")
C = TypeVar("C", bound=Connection)
Taken = TypeVar("Taken", bound=Connection, contravariant=True)

COMMIT_DELAY = 0.002
LAZY_DELAY = 0.05
RETRY_DELAY = 0.5
TRIM_DELAY = 30.0
MOST_WAITING = 20_000  # deliveries, and their bytes, that wait in memory for a place that refuses
MOST_WAITING_BYTES = 64 * 1024 * 1024
MOST_WAITING_ENTRIES = 50_000  # timeline entries, and steps of deliveries


class Engine(Protocol[Taken]):
    """What the writer's thread does with its connection; a module of functions is one.

    Every write is one transaction, and may come a second time after one whose outcome is not known.
    """

    def write(self, connection: Taken, rows: Rows, /) -> list[Inserted]:
        """Writes a batch; what its `adds` came to, in their order."""
        ...

    def probe(self, connection: Taken, /) -> None:
        """Raises while the place takes nothing."""
        ...

    def trim(self, connection: Taken, retention: Retention, now: float, /) -> bool:
        """One step of the retention; whether there is more to do."""
        ...

    def read(self, connection: Taken, query: str, /, *arguments: object) -> list[tuple[Any, ...]]:
        """The rows of one of the engine's queries, by its name."""
        ...

    def read_window(
        self, connection: Taken, lane: str, now: float, limit: int, skip: Collection[str], hold: float | None, /
    ) -> Window:
        """See `DeliveryQueue.due`."""
        ...

    def expire(self, connection: Taken, lane: str, before: float, now: float, /) -> int:
        """See `DeliveryQueue.expire`."""
        ...

    def find(self, connection: Taken, which: Filter, limit: int, offset: int, /) -> list[StoredDelivery]:
        """See `DeliveryQueue.find`."""
        ...

    def revive(self, connection: Taken, which: Filter, now: float, /) -> dict[str, int]:
        """See `DeliveryQueue.revive`."""
        ...


class Committing(Generic[C]):
    """See `Journal` and `DeliveryQueue`; a store adds how its place is opened (`start`) and given back (`close`).

    `place`: how errors name it; `medium`: what it is; `errors`: what its driver raises. `patience`: seconds after which
    a write that does not end counts as failed.
    """

    leases: Leases | None = None  # who owns what, where a database has several writers
    on_lost: Callable[[list[str]], None] = staticmethod(lambda entries: None)
    held: Mapping[str, int] = {}  # entry → epoch: under these a batch is written
    medium = "disk"
    errors: tuple[type[Exception], ...] = ()

    def __init__(
        self,
        place: str,
        engine: Engine[C],
        explain: Callable[[str, BaseException], StoreError],
        facts: Facts,
        clock: Clock | None,
        retention: Retention | None,
        patience: float,
    ) -> None:
        self._place = place
        self._engine = engine
        self._explain = explain
        self._facts = facts
        self._clock = clock or SystemClock()
        self._retention = retention or Retention()
        self._patience = patience
        self._buffer = Buffer()
        self._flying: Buffer | None = None  # the batch that is being written
        self._scheduled: asyncio.Handle | None = None
        self._due = 0.0  # when the write that is scheduled begins, in the loop's time
        self._next_flush = 0.0
        self._failure: StoreError | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._let_go = 0
        self._trim_failed = False
        self._closed = False

    # -- beginning and end

    def _begin(self, connection: C, reads: C | None = None) -> None:
        """From now on `connection` belongs to the writer's thread, and `reads` to one that reads."""
        self._loop = asyncio.get_running_loop()
        self._thread = self._reader = WriterThread(self._loop, connection)
        self._thread.start()
        if reads is not None:
            self._reader = WriterThread(self._loop, reads)
            self._reader.start()
        self._timers["trim"] = self._loop.call_later(TRIM_DELAY, self._trim)

    async def _end(self) -> bool:
        """Writes what is still buffered, if the place lets us, and ends the thread; whether that was to be done yet."""
        if self._closed:
            return False
        with contextlib.suppress(StoreError):
            await self.settled()
        self._closed = True
        for timer in self._timers.values():
            timer.cancel()
        await self._thread.stop()
        if self._reader is not self._thread:
            await self._reader.stop()
        return True

    # -- the journal

    def save_call(self, call_id: str, asterisk: str, snapshot: Snapshot) -> None:
        self._buffer.calls[call_id] = (asterisk, snapshot)
        if self._scheduled is None and self._flying is None:  # after a write comes what waits, at once or soon
            self._schedule()

    def drop_call(self, call_id: str) -> None:
        self._buffer.calls[call_id] = None
        self._schedule()

    def finish_call(self, call_id: str, asterisk: str, ended_at: float, summary: bytes) -> None:
        self._buffer.finished.append((call_id, asterisk, ended_at, summary))
        self._schedule()

    def put_meta(self, key: str, value: bytes | None) -> None:
        self._buffer.meta[key] = value
        self._schedule()

    def log(self, call_id: str, at: float, kind: str, detail: bytes = b"") -> None:
        self._buffer.timeline.append((call_id, at, kind, detail))
        if self._scheduled is None:
            self._schedule()

    def committed(self, done: Committed, *, within: float = 0.0) -> None:
        if self._failure is not None:
            done(self._failure)
        elif self._buffer:
            self._buffer.waiters.append(done)
            self._schedule(within)
        elif self._flying is not None:
            self._flying.waiters.append(done)
        else:
            done(None)

    async def settled(self) -> None:
        future: asyncio.Future[None] = self._loop.create_future()

        def done(error: StoreError | None) -> None:
            if not future.done():
                if error is None:
                    future.set_result(None)
                else:
                    future.set_exception(error)

        self.committed(done)
        await future

    async def load_calls(self, asterisk: str = "") -> list[StoredCall]:
        found = await self._read(lambda c: self._engine.read(c, "load_calls", asterisk, asterisk))
        return [StoredCall(*row) for row in found]

    async def load_meta(self, prefix: str = "") -> dict[str, bytes]:
        return dict(await self._read(lambda c: self._engine.read(c, "load_meta", prefix)))

    async def recent_calls(self, limit: int = 100) -> list[FinishedCall]:
        found = await self._read(lambda c: self._engine.read(c, "recent_calls", limit), stale=True)
        return [FinishedCall(*row) for row in found]

    async def timeline(self, call_id: str) -> list[TimelineEntry]:
        found = await self._read(lambda c: self._engine.read(c, "timeline", call_id), stale=True)
        return [TimelineEntry(*row) for row in found]

    # -- the notify queue

    def add(self, deliveries: Sequence[NewDelivery], done: Callable[[Added], None], *, strict: bool = False) -> None:
        adding = Adding(tuple(deliveries), strict, done)
        if self._failure is None:
            self._buffer.add(adding)
            self._schedule(0.0)
            return
        buffer = self._buffer
        kept = buffer.added_count < MOST_WAITING and buffer.added_bytes < MOST_WAITING_BYTES
        if kept:
            buffer.add(adding._replace(done=None))
        self._loop.call_soon(done, _unwritten(adding, self._failure, kept))

    def record(self, progress: Progress) -> None:
        self._buffer.progress.append(progress)
        self._schedule()

    def mark_lane(self, mark: LaneMark) -> None:
        self._buffer.marks[mark.lane] = mark
        self._schedule()

    async def lane_marks(self) -> list[LaneMark]:
        return [LaneMark(*row) for row in await self._read(lambda c: self._engine.read(c, "lane_marks"))]

    async def backlog(self) -> dict[str, int]:
        return dict(await self._read(lambda c: self._engine.read(c, "backlog"), stale=True))

    async def due(self, lane: str, now: float, limit: int, skip: Collection[str], hold: float | None = None) -> Window:
        return await self._read(lambda c: self._engine.read_window(c, lane, now, limit, skip, hold))

    async def expire(self, lane: str, before: float, now: float) -> int:
        return await self._read(lambda c: self._engine.expire(c, lane, before, now), writes=True)

    async def find(self, which: Filter, limit: int = 100, after: int = 0) -> list[StoredDelivery]:
        return await self._read(lambda c: self._engine.find(c, which, limit, after), stale=True)

    async def history(self, delivery_id: str, lane: str) -> list[AttemptEntry]:
        found = await self._read(lambda c: self._engine.read(c, "history", delivery_id, lane), stale=True)
        return [AttemptEntry(*row) for row in found]

    async def revive(self, which: Filter, now: float) -> dict[str, int]:
        return await self._read(lambda c: self._engine.revive(c, which, now), writes=True)

    # -- what other routers own

    def lost(self, error: BaseException) -> list[str]:
        """The entries for which the database has refused a batch as another router's; most stores have but one."""
        return []

    def hold(self, held: Mapping[str, int]) -> None:
        """Entry → epoch: what is owned from now on."""
        self.held = held

    def forget(self, entry: str) -> None:
        """What is not written yet of an entry that is another router's now is thrown away."""
        self._buffer.forget(entry)
        if self._flying is not None:
            self._flying.forget(entry)

    def _give_up(self, entries: list[str]) -> None:
        """Nothing of them is written any more; the rest of the batch is, at once."""
        self.hold({entry: epoch for entry, epoch in self.held.items() if entry not in entries})
        for entry in entries:
            self.forget(entry)
        self.on_lost(entries)
        if not self._buffer:
            for waiter in self._buffer.take_callbacks()[0]:
                self._tell(waiter, None)
        self._loop.call_soon(self._flush)

    # -- group commit

    def _schedule(self, within: float = LAZY_DELAY) -> None:
        """One write for all that is handed over until then; nothing while one runs or is to be retried."""
        now = self._loop.time()
        due = self._buffer.due = min(self._buffer.due, now + within)
        if self._flying is not None or self._failure is not None:
            return
        due = max(due, self._next_flush)
        if self._scheduled is not None:
            if due >= self._due:
                return
            self._scheduled.cancel()
        self._due = due
        if due <= now:
            self._scheduled = self._loop.call_soon(self._flush)
        else:
            self._scheduled = self._loop.call_at(due, self._flush)

    def _schedule_rest(self) -> None:
        """What came while a write ran."""
        if self._buffer:
            self._schedule()

    def _flush(self) -> None:
        if self._scheduled is not None:
            self._scheduled.cancel()
        self._scheduled = None
        if self._flying is not None or self._closed:
            return
        if not self._buffer:
            if self._failure is not None:
                self._recovered()
            return
        self._next_flush = self._loop.time() + COMMIT_DELAY
        batch, self._buffer = self._buffer, Buffer()
        self._flying = batch
        data = self._rows_of(batch)
        self._timers["patience"] = self._loop.call_later(self._patience, self._lose_patience)
        self._thread.submit(lambda connection: self._engine.write(connection, data), self._written)

    def _rows_of(self, batch: Buffer) -> Rows:
        now = self._clock.now()
        calls: list[tuple[str, str, float, bytes]] = []
        dropped: list[tuple[str]] = []
        for call_id, kept in batch.calls.items():
            if kept is None:
                dropped.append((call_id,))
                continue
            asterisk, snapshot = kept
            if not isinstance(snapshot, bytes):
                try:
                    snapshot = snapshot()
                except Exception as error:  # noqa: BLE001  one call's fault must not cost the others their journal
                    self._facts.emit(JournalFailed(f"call {call_id}", f"{type(error).__name__}: {error}"))
                    continue
            calls.append((call_id, asterisk, now, snapshot))
        adds = [(adding.deliveries, adding.strict) for adding in batch.adds]
        return Rows(
            calls, dropped, list(batch.meta.items()), list(batch.marks.values()), batch.finished, batch.timeline,
            adds, batch.progress, now, batch.again, self.held,
        )  # fmt: skip

    def _lose_patience(self) -> None:
        """The disk neither takes the batch nor refuses it: nobody waits for it any longer, but it goes on."""
        if self._flying is not None:
            self._fail(
                self._flying, StoreError(f"{self._place}: the {self.medium} has not answered for {self._patience:g} s")
            )

    def _written(self, result: object, error: BaseException | None) -> None:
        batch = self._flying
        assert batch is not None
        self._timers.pop("patience").cancel()
        if error is not None:
            if lost := self.lost(error):
                self._buffer.waiters = batch.waiters + self._buffer.waiters
            else:
                self._fail(batch, self._explain(self._place, error))
            self._flying, newer = None, self._buffer
            self._let_go += newer.put_under(batch, timeline=MOST_WAITING_ENTRIES, progress=MOST_WAITING_ENTRIES)
            if lost:
                self._give_up(lost)
            else:
                self._timers["retry"] = self._loop.call_later(RETRY_DELAY, self._probe)
            return
        self._flying = None
        if self._failure is not None:
            self._recovered()
        if batch.adds:
            self._tell_what_was_added(batch.adds, result)
        for waiter in batch.waiters:
            self._tell(waiter, None)
        self._schedule_rest()

    def _tell_what_was_added(self, adds: list[Adding], inserted: Any) -> None:
        later = self._overtaken()
        for adding, (new, predecessors) in zip(adds, inserted, strict=True):
            if adding.done is not None:
                still = {key: p for key, p in predecessors.items() if (p, key[1], adding.strict) not in later}
                self._tell(adding.done, Added(new, still))

    def _overtaken(self) -> set[tuple[str, str, bool]]:
        """Deliveries that hold nobody up any more, by what was recorded while the batch was being written."""
        steps = self._buffer.progress
        done = {(step.id, step.lane, True) for step in steps if step.status != "pending"}
        return done | {(step.id, step.lane, False) for step in steps}

    def _fail(self, batch: Buffer, error: StoreError) -> None:
        first = self._failure is None
        self._failure = error
        if first:
            self._facts.emit(JournalFailed("journal", str(error)))
        for buffer in (batch, self._buffer):
            waiters, told = buffer.take_callbacks()
            for adding in told:
                self._tell(adding.done, _unwritten(adding, error, kept=True))
            for waiter in waiters:
                self._tell(waiter, error)

    def _probe(self) -> None:
        """Asks the disk with one small row: what waits may be large, and is only made ready again when it is of use."""

        def probed(_: object, error: BaseException | None) -> None:
            if self._closed:
                return
            if error is None:
                self._flush()
            elif lost := self.lost(error):
                self._give_up(lost)
            else:
                self._failure = self._explain(self._place, error)
                self._timers["retry"] = self._loop.call_later(RETRY_DELAY, self._probe)

        self._thread.submit(self._engine.probe, probed)

    def _recovered(self) -> None:
        self._failure = None
        self._facts.emit(JournalRecovered("journal"))
        if self._let_go:
            self._facts.emit(Warned("journal", f"{self._let_go} entries were not kept while the disk refused"))
            self._let_go = 0
        self._schedule_rest()

    def _tell(self, callback: Callable[[Any], None] | None, outcome: object) -> None:
        """Calls back; an error in there is reported and keeps nobody else waiting."""
        if callback is None:
            return
        try:
            callback(outcome)
        except Exception as error:  # noqa: BLE001  it is the callback's, and goes where such errors go
            self._loop.call_exception_handler({"message": "a store's callback failed", "exception": error})

    async def _read(self, job: Callable[[C], T], *, stale: bool = False, writes: bool = False) -> T:
        """`stale`: while the disk refuses, what is on disk is good enough. `writes`: it is the writer's to do."""
        try:
            await self.settled()
        except StoreError:
            if not stale:
                raise
        try:
            return await (self._thread if writes else self._reader).call(job)
        except self.errors as error:
            raise self._explain(self._place, error) from error

    # -- retention

    def _trim(self) -> None:
        now = self._clock.now()
        self._thread.submit(lambda connection: self._engine.trim(connection, self._retention, now), self._trimmed)

    def _trimmed(self, more: object, error: BaseException | None) -> None:
        if self._closed:
            return
        if error is not None and not self._trim_failed:
            self._facts.emit(JournalFailed("retention", str(self._explain(self._place, error))))
        elif error is None and self._trim_failed:
            self._facts.emit(JournalRecovered("retention"))
        self._trim_failed = error is not None
        self._timers["trim"] = self._loop.call_later(0.05 if more else TRIM_DELAY, self._trim)


def _unwritten(adding: Adding, error: StoreError, kept: bool) -> Added:
    return Added(frozenset((d.id, d.lane) for d in adding.deliveries), {}, error, kept)
