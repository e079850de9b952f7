"""The record's observer: facts of each call are gathered for a moment and handed to the file's own thread.

Rules:
- It never delays or fails a call: nothing waits for the file. While the file refuses, what comes is kept in memory up to
  a bound, the rest is counted and told. So it is with what one call does faster than the file takes it.
- A route says what is kept of its calls: all, those that failed, or none.
- Until a call is kept only beginnings are listened to: what nobody keeps is not made for the record.
- What is gathered is written within `FLUSH_DELAY`; a process that is killed loses no more than that.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from hookrouter import facts as f
from hookrouter.calls.call import tagged
from hookrouter.clock import Clock
from hookrouter.errors import StoreError
from hookrouter.facts import Fact, Facts, Warned
from hookrouter.record.censor import Path as Redacted
from hookrouter.record.censor import path_of
from hookrouter.record.entries import Entry, fact_of
from hookrouter.record.file import MOST_LATE, Batch, Ending, NewRow, Query, RecordFile, Row
from hookrouter.record.verdict import TROUBLES, Verdict
from hookrouter.store.writer import WriterThread

FLUSH_DELAY = 0.25  # 0.05 costs a third more CPU a call: a write for every second call instead of one for a dozen
RETRY_DELAY = 1.0
TRIM_DELAY = 10.0
MOST_WAITING = 50_000  # entries that wait in memory while the file refuses
MOST_GATHERED = (
    2_000  # entries of one call that wait in memory (of trouble twice as many), and how many bytes they hold
)
MOST_GATHERED_BYTES = 4 * 1024 * 1024
_LOOKED_AT = 64  # so many are counted together
Kept = Literal["all", "failed", "none"]
_UNKNOWN = "what became of it is not known: the router was not there"
KINDS: frozenset[type[Fact]] = frozenset(
    kind for kind in vars(f).values() if isinstance(kind, type) and issubclass(kind, Fact) and "call" in kind.__struct_fields__
)  # fmt: skip
"""Facts that belong to calls."""
_TURNS = frozenset({f.CallStarted, f.CallFinished, f.CallResumed})
_BEGINNINGS = frozenset({f.CallStarted, f.CallResumed})
_HEARD = _TURNS | TROUBLES | {f.CallTagged}  # of the others nothing is to be known but that they were
_SPEAKING = {kind.__name__: kind for kind in TROUBLES}


class Plan(msgspec.Struct, frozen=True):
    """What is kept of a route's calls, whose they are, the paths of what is left out; `shadow`: it has a candidate."""

    kept: Kept = "all"
    tenant: str = ""
    redact: tuple[str, ...] = ()
    shadow: bool = False

    @property
    def paths(self) -> tuple[Redacted, ...]:
        return tuple(map(path_of, self.redact))


class Ended(msgspec.Struct, frozen=True):
    """What somebody else knows of a call that ended while nobody recorded."""

    at: float
    reason: str


class _Open:
    """A call that goes on."""

    __slots__ = ("full", "gathered", "held", "kept", "missed", "row", "shadow", "tags", "verdict")

    def __init__(self, row: int, kept: Kept, *, shadow: bool) -> None:
        self.row = row
        self.shadow = shadow
        self.gathered: list[tuple[float, Fact]] = []
        self.kept = kept
        self.tags: dict[str, str] = {}
        self.verdict = Verdict()
        self.held = 0  # bytes of what is gathered
        self.full = False
        self.missed = 0

    def has_room(self, *, trouble: bool) -> bool:
        """Whether there is room for one more; looked at where there are many. `trouble`: it tells of some."""
        if not self.full and not len(self.gathered) % _LOOKED_AT:
            self.held += sum(map(_bytes_of, self.gathered[-_LOOKED_AT:]))
            self.full = len(self.gathered) >= MOST_GATHERED or self.held >= MOST_GATHERED_BYTES
        return not self.full or (trouble and len(self.gathered) < 2 * MOST_GATHERED)

    def missing(self, gathered: list[tuple[float, Fact]], at: float) -> None:
        """`gathered` is taken; what is missing is told behind it."""
        if self.missed:
            words = (
                f"{self.missed} entries more are not in the record of this call: it went faster than they are written"
            )
            gathered.append((at, Warned("record", words)))
        self.held, self.full, self.missed = 0, False, 0


class Recorder:
    """`plan` tells what a route keeps. `days` and `most_bytes` bound the file; `path` None: in memory."""

    def __init__(
        self,
        path: Path | None,
        facts: Facts,
        clock: Clock,
        plan: Callable[[str], Plan],
        *,
        days: float = 7.0,
        most_bytes: int = 2 * 1024**3,
    ) -> None:
        self._path, self._facts, self._clock, self._plan = path, facts, clock, plan
        self._age, self._most_bytes = days * 86_400.0, most_bytes
        self._open: dict[str, _Open] = {}
        self._over: OrderedDict[str, int] = OrderedDict()  # calls that have ended, and whose candidate may still answer
        self._batch = Batch()
        self._dirty: list[_Open] = []  # calls with entries that are not in the batch yet
        self._lost = 0
        self._scheduled = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._flying = False
        self._refused = ""
        self._thread: WriterThread[sqlite3.Connection] | None = None
        self._last = 0
        self._keeps = False  # whether any call has been kept
        self._unsubscribe: Callable[[], None] | None = None

    # ---- beginning and end

    async def start(self, live: Iterable[str] = (), ended: Mapping[str, Ended] | None = None) -> None:
        """Opens the file; `live`: the ids of the calls that go on, `ended` what is known of those that do not.

        Where it cannot be opened, nothing is recorded.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._file = await asyncio.to_thread(RecordFile, self._path)
        except (sqlite3.Error, OSError, StoreError) as error:
            message = f"{self._path} cannot be opened: {error}; calls are not recorded until the next start"
            self._facts.emit(Warned("record", message))
            return
        self._thread = WriterThread(self._loop, self._file.connection)
        self._thread.start()
        self._last = await self._thread.call(lambda _: self._file.last_id())
        going_on = set(live)
        for row, entries in await self._thread.call(
            lambda _: [(r, self._file.entries(r.id)) for r in self._file.live()]
        ):
            open_ = self._taken_up(row, entries)
            if row.call_id in going_on:
                self._open[row.call_id] = open_
            else:
                self._close(row, open_, (ended or {}).get(row.call_id))
        self._keeps = bool(self._open)
        self._unsubscribe = self._facts.subscribe(self.observe, self._wants)
        self._timers["trim"] = self._loop.call_later(TRIM_DELAY, self._trim)
        self._schedule()

    def _taken_up(self, row: Row, entries: Iterable[Entry]) -> _Open:
        """A call of before a restart: what went wrong in it then still counts."""
        plan = self._plan(row.route)
        open_ = _Open(row.id, plan.kept, shadow=plan.shadow)
        if plan.redact:
            self._batch.redacted[row.id] = plan.paths
        open_.tags = msgspec.json.decode(row.tags or "{}", type=dict[str, str])
        for entry in entries:
            if (fact := fact_of(entry, _SPEAKING)) is not None:
                open_.verdict.hear(fact)
        return open_

    def _close(self, row: Row, open_: _Open, ended: Ended | None) -> None:
        """It has ended, and the process that was to write that down was killed."""
        if ended is None:
            self._batch.ended.append(Ending(row.id, self._clock.now(), "failed", "unknown", _UNKNOWN, row.tags))
            return
        outcome, sentence = open_.verdict.spoken(ended.reason)
        keep = open_.kept == "all" or outcome == "failed"
        self._batch.ended.append(Ending(row.id, ended.at, outcome, ended.reason, sentence, row.tags, keep))

    async def stop(self) -> None:
        """Writes what waits, if the file takes it."""
        if self._thread is None:
            return
        if self._unsubscribe is not None:
            self._unsubscribe()
        for timer in self._timers.values():
            timer.cancel()
        batch = self._gather()
        try:
            await self._thread.call(lambda _: self._file.write(batch))
        except sqlite3.Error as error:
            self._told(error)
        await self._thread.stop()
        self._thread = None
        self._file.close()

    def size(self) -> int:
        """Bytes that the record takes on disk, what is not yet moved into its file included."""
        if self._path is None:
            return 0
        files = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in files if file.exists())

    # ---- what happens

    def _wants(self, kind: type[Fact]) -> bool:
        return kind in (KINDS if self._keeps else _BEGINNINGS)

    def observe(self, fact: Any) -> None:
        """A fact of a call."""
        open_ = self._open.get(fact.call)
        kind = fact.__class__
        trouble = False
        if open_ is None or kind in _HEARD:
            if kind in _TURNS:
                open_ = self._turn(fact, open_)
            if open_ is None:  # nothing of the call is kept, or it is over
                if kind is f.AnswerCompared and (row := self._over.get(fact.call)) is not None:
                    self._batch.late.append((row, self._clock.now(), fact))
                    self._schedule()
                return
            trouble = kind in TROUBLES and open_.verdict.hear(fact)
            if kind is f.CallTagged:
                self._tag(open_, fact.tags)
        gathered = open_.gathered
        if not gathered:
            self._dirty.append(open_)
            if not self._scheduled:
                self._schedule()
        elif len(gathered) >= _LOOKED_AT and kind not in _TURNS and not open_.has_room(trouble=trouble):
            open_.missed += 1
            return
        gathered.append((self._clock.now(), fact))
        if kind is f.CallFinished:
            self._end(fact.call, open_, fact.reason)

    def _turn(self, fact: Any, open_: _Open | None) -> _Open | None:
        """A call that begins or ends; None: nothing of it is kept."""
        kind = fact.__class__
        if kind is f.CallStarted:
            if open_ is not None:  # it has come back: a stay of its own
                self._end(fact.call, open_, "left")
            open_ = self._begin(fact, self._clock.now())
        elif kind is f.CallResumed and open_ is None:  # it began in the moment before a kill
            open_ = self._begin(fact, fact.started_at)
        if open_ is None or open_.kept != "none":
            return open_
        del self._open[fact.call]  # what follows is of a call that nobody knows
        return None

    def _tag(self, open_: _Open, tags: Mapping[str, str]) -> None:
        """Words of the endpoint's own by which the call is to be found."""
        open_.tags = tagged(open_.tags, tags.items())
        self._batch.tagged[open_.row] = msgspec.json.encode(open_.tags).decode()

    def _begin(self, fact: f.CallStarted | f.CallResumed, at: float) -> _Open:
        plan = self._plan(fact.route)
        self._last += 1
        open_ = self._open[fact.call] = _Open(self._last, plan.kept, shadow=plan.shadow)
        if plan.kept != "none":
            if not self._keeps:
                self._keeps = True
                self._facts.ask_again()
            about = (fact.call, fact.asterisk, fact.app, fact.route, plan.tenant, fact.caller, fact.called)
            self._batch.began.append(NewRow(self._last, *about, at))
            if plan.redact:
                self._batch.redacted[self._last] = plan.paths
        return open_

    def _end(self, call: str, open_: _Open, reason: str) -> None:
        outcome, sentence = open_.verdict.spoken(reason)
        keep = open_.kept == "all" or outcome == "failed"
        tags = msgspec.json.encode(open_.tags).decode()
        about = (outcome, reason, sentence, tags, keep, open_.shadow)
        self._batch.ended.append(Ending(open_.row, self._clock.now(), *about))
        del self._open[call]
        if open_.shadow and keep:
            self._over[call] = open_.row
            if len(self._over) > MOST_LATE:
                self._over.popitem(last=False)

    # ---- to the file

    def _schedule(self, delay: float = FLUSH_DELAY) -> None:
        if not self._scheduled and not self._flying:
            self._scheduled = True
            self._timers["flush"] = self._loop.call_later(delay, self._flush)

    def _gather(self) -> Batch:
        """All that is to be written now."""
        batch, self._batch = self._batch, Batch()
        for open_ in self._dirty:
            earlier = batch.facts.get(open_.row)
            gathered, open_.gathered = open_.gathered, []
            if len(gathered) >= _LOOKED_AT:
                open_.missing(gathered, self._clock.now())
            batch.facts[open_.row] = gathered if earlier is None else [*earlier, *gathered]
        self._dirty = []
        return batch

    def _flush(self) -> None:
        self._scheduled = False
        if self._flying or self._thread is None:
            return
        batch = self._gather()
        if not (batch.began or batch.facts or batch.ended or batch.redacted or batch.late):
            return
        self._flying = True

        def written(_: object, error: BaseException | None) -> None:
            self._flying = False
            if error is None:
                self._recovered()
                if self._dirty or self._batch.ended or self._batch.began or self._batch.late:
                    self._schedule()
                return
            self._told(error)
            self._batch = self._bounded(_joined(batch, self._batch))
            self._schedule(RETRY_DELAY)

        self._thread.submit(lambda _: self._file.write(batch), written)

    def _bounded(self, batch: Batch) -> Batch:
        """While the file refuses: the newest calls' entries are kept, and those of others counted."""
        waiting = sum(map(len, batch.facts.values()))
        while waiting > MOST_WAITING:
            gone = len(batch.facts.pop(next(iter(batch.facts))))
            waiting -= gone
            self._lost += gone
        if (over := len(batch.late) - MOST_LATE) > 0:
            del batch.late[:over]
            self._lost += over
        return batch

    def _told(self, error: BaseException) -> None:
        if not self._refused:
            self._refused = str(error) or type(error).__name__
            where = self._path or "memory"
            self._facts.emit(
                Warned("record", f"{where} refuses: {error}; calls go on, and are recorded when it takes writes again")
            )

    def _recovered(self) -> None:
        if self._refused:
            self._refused = ""
            lost = f"; {self._lost} entries were not kept" if self._lost else ""
            self._facts.emit(Warned("record", f"{self._path or 'memory'} takes writes again{lost}"))
            self._lost = 0

    def _trim(self) -> None:
        assert self._thread is not None
        older = self._clock.now() - self._age

        def trimmed(more: object, error: BaseException | None) -> None:
            if error is not None:
                self._told(error)
            self._timers["trim"] = self._loop.call_later(0.05 if more else TRIM_DELAY, self._trim)

        self._thread.submit(lambda _: self._file.trim(older, self._most_bytes), trimmed)

    # ---- reading

    async def find(self, query: Query) -> list[Row]:
        """Calls, the newest first, those that are live among them. Raises sqlite3.Error."""
        if self._thread is None:
            return []
        await self.settled()
        return await self._thread.call(lambda _: self._file.find(query))

    async def read(self, call_id: str, tenant: str | None = None) -> tuple[Row, list[Entry]] | None:
        """A call's last stay, and all that is kept of it. `tenant` None: whoever's it is."""
        if self._thread is None:
            return None
        await self.settled()

        def job(_: object) -> tuple[Row, list[Entry]] | None:
            rows = self._file.find(Query(call_id=call_id, tenant=tenant, limit=1))
            return (rows[0], self._file.entries(rows[0].id)) if rows else None

        return await self._thread.call(job)

    async def settled(self) -> None:
        """What was gathered until now is in the file, if it takes it."""
        assert self._thread is not None
        for _ in range(2):  # what is under way, and what came meanwhile
            if self._scheduled:
                self._timers["flush"].cancel()
                self._flush()
            await self._thread.call(lambda _: None)


def _bytes_of(entry: tuple[float, Fact]) -> int:
    fact = entry[1]
    return sum(len(getattr(fact, name)) for name in _raw_fields(fact.__class__))


@functools.cache
def _raw_fields(kind: type[Fact]) -> tuple[str, ...]:
    return tuple(field.name for field in msgspec.structs.fields(kind) if field.type is bytes)


def _joined(older: Batch, newer: Batch) -> Batch:
    facts = dict(older.facts)
    for row, gathered in newer.facts.items():
        facts[row] = [*facts.get(row, ()), *gathered]
    return Batch(
        [*older.began, *newer.began], facts, [*older.ended, *newer.ended], older.tagged | newer.tagged,
        older.redacted | newer.redacted, [*older.late, *newer.late],
    )  # fmt: skip
