"""The record's observer: facts of each call are gathered for a moment and handed to the record's own thread.

Rules:
- It never delays or fails a call: nothing waits for the file or the database. While that refuses, what comes is kept in
  memory up to a bound, the rest is counted and told. So it is with what one call does faster than it is taken.
- Where several routers share a database, a call that another one has begun is gone on with as soon as it is known what was
  kept of it; what happens in it meanwhile waits here.
- A route says what is kept of its calls: all, those that failed, or none.
- Until a call is kept only beginnings are listened to: what nobody keeps is not made for the record.
- What is gathered is written within `FLUSH_DELAY`; a process that is killed loses no more than that.
"""

from __future__ import annotations

import asyncio
import functools
import sqlite3
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from hookrouter import facts as f
from hookrouter.calls.call import tagged
from hookrouter.clock import Clock
from hookrouter.errors import StoreError
from hookrouter.facts import Fact, Facts, Warned
from hookrouter.record.entries import Entry, fact_of
from hookrouter.record.finding import NewRow, Query, Row
from hookrouter.record.gathering import LOOKED_AT, MOST_GATHERED, Ended, OpenCall, Plan
from hookrouter.record.opening import Place, open_record
from hookrouter.record.verdict import TROUBLES
from hookrouter.record.writing import MOST_LATE, Batch, Ending, Hopeless
from hookrouter.store.writer import WriterThread

FLUSH_DELAY = 0.25  # 0.05 costs a third more CPU a call: a write for every second call instead of one for a dozen
RETRY_DELAY = 1.0
TRIM_DELAY = 10.0
_WATCH_EVERY = 0.25
MOST_WAITING = 50_000  # entries that wait in memory while nothing is taken
_UNKNOWN = "what became of it is not known: the router was not there"
KINDS: frozenset[type[Fact]] = frozenset(
    kind for kind in vars(f).values() if isinstance(kind, type) and issubclass(kind, Fact) and "call" in kind.__struct_fields__
)  # fmt: skip
"""Facts that belong to calls."""
_TURNS = frozenset({f.CallStarted, f.CallFinished, f.CallResumed})
_BEGINNINGS = frozenset({f.CallStarted, f.CallResumed})
_HEARD = _TURNS | TROUBLES | {f.CallTagged}  # of the others nothing is to be known but that they were
_SPEAKING = {kind.__name__: kind for kind in TROUBLES}
_ALL = 2**62
_ERRORS = (sqlite3.Error, OSError, StoreError)


def _nobody(result: object, error: BaseException | None) -> None:
    """Waits for it."""


class Recorder:
    """`plan` tells what a route keeps. `days` and `most_bytes` bound the record; `house`: whether this router trims it."""

    def __init__(
        self,
        place: Place,
        facts: Facts,
        clock: Clock,
        plan: Callable[[str], Plan],
        *,
        days: float = 7.0,
        most_bytes: int = 2 * 1024**3,
        house: Callable[[], bool] = lambda: True,
    ) -> None:
        self._place, self._facts, self._clock, self._plan, self._house = place, facts, clock, plan, house
        self._now = clock.now
        self._age, self._most_bytes = days * 86_400.0, most_bytes
        self._open: dict[str, OpenCall] = {}
        self._over: OrderedDict[str, int] = OrderedDict()  # calls that have ended, and whose candidate may still answer
        self._batch = Batch()
        self._again: Batch | None = None  # one that was refused: it is the next one
        self._dirty: list[OpenCall] = []  # calls with entries that are not in the batch yet
        self._lost = 0
        self._scheduled = False
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._flying = False
        self._refused = ""
        self._thread: WriterThread[Any] | None = None
        self._last = 0
        self._keeps = False  # whether any call has been kept
        self._unsubscribe: Callable[[], None] | None = None
        self._epochs: dict[str, int] = {}  # of the Asterisks that were taken up one by one
        self._waiting: dict[str, list[tuple[float, Fact]]] = {}  # of calls of which it is not known yet what was before
        self._taking: dict[str, asyncio.Task[None]] = {}
        self._awaited: dict[str, set[str]] = {}  # Asterisk → those of its calls
        self._gone: set[int] = set()  # rows that were let go since the last write

    # ---- beginning and end

    async def start(self, live: Iterable[str] | None = (), ended: Mapping[str, Ended] | None = None) -> None:
        """Opens the record; `live`: the ids of the calls that go on, `ended` what is known of those that do not.

        `live` None: each Asterisk is taken up when it is ours. Where it cannot be opened, nothing is recorded.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._file = await asyncio.to_thread(open_record, self._place)
        except _ERRORS as error:
            where = self._place if isinstance(self._place, Path) else "the record of calls"
            message = f"{where} cannot be opened: {error}; calls are not recorded until the next start"
            self._facts.emit(Warned("record", message))
            return
        self._thread = self._reader = WriterThread(self._loop, self._file.connection)
        self._thread.start()
        if self._file.reading is not self._file.connection:
            self._reader = WriterThread(self._loop, self._file.reading)
            self._reader.start()
        if self._file.watched:
            self._watch()
        self._last = await self._thread.call(lambda _: self._file.last_id())
        if live is not None:
            self._go_on(await self._thread.call(lambda _: self._file.claim("", 0, _ALL)), set(live), ended or {})
        self._keeps = bool(self._open)
        self._unsubscribe = self._facts.subscribe(self.observe, self._wants)
        self._timers["trim"] = self._loop.call_later(TRIM_DELAY, self._trim)
        self._schedule()

    def _watch(self) -> None:
        self._file.watch()
        self._timers["watch"] = self._loop.call_later(_WATCH_EVERY, self._watch)

    def _go_on(self, found: Sequence[tuple[Row, list[Entry]]], live: set[str], ended: Mapping[str, Ended]) -> None:
        """With what is kept of calls that have not ended there. `found`: the oldest first; of two of one id the last counts."""
        for row, entries in reversed(found):
            open_ = self._taken_up(row, entries)
            if row.call_id in live and row.call_id not in self._open:
                self._open[row.call_id] = open_
            else:
                self._close(row, open_, ended.get(row.call_id))

    # ---- several routers

    def take_up(
        self, entry: str, epoch: int, live: Iterable[str], ended: Callable[[], Awaitable[Mapping[str, Ended]]]
    ) -> None:
        """An Asterisk is ours now, with the calls `live` (ids); `ended`: what is known of others. Nobody waits for it."""
        if self._thread is None:
            return
        self.let_go(entry)
        ids = set(live)
        self._epochs[entry] = epoch
        self._awaited[entry] = ids
        self._waiting |= {id: [] for id in ids}
        if ids:
            self._listen()
        self._thread.submit(lambda _: self._file.own(entry, epoch), _nobody)
        first = self._file.next_id(0, self._clock.now())
        self._taking[entry] = self._loop.create_task(self._take_up(entry, epoch, first, ids, ended))

    async def _take_up(
        self, entry: str, epoch: int, first: int, ids: set[str], ended: Callable[[], Awaitable[Mapping[str, Ended]]]
    ) -> None:
        while True:
            try:
                assert self._thread is not None
                found = await self._thread.call(lambda _: self._file.claim(entry, epoch, first))
                known = await ended()
                break
            except StoreError as error:
                self._told(error)
                await asyncio.sleep(RETRY_DELAY)
        self._go_on(found, ids, known)
        del self._taking[entry]
        try:
            for id in self._awaited.pop(entry):
                for at, fact in self._waiting.pop(id, ()):
                    self._now = functools.partial(float, at)
                    self.observe(fact)
        finally:
            self._now = self._clock.now
        self._schedule()

    def let_go(self, entry: str) -> None:
        """An Asterisk is another router's: what was not written of its calls is not written any more."""
        self._epochs.pop(entry, None)
        if (task := self._taking.pop(entry, None)) is not None:
            task.cancel()
        for id in self._awaited.pop(entry, ()):
            self._waiting.pop(id, None)
        rows = {open_.row for open_ in self._open.values() if open_.asterisk == entry}
        self._open = {id: open_ for id, open_ in self._open.items() if open_.row not in rows}
        self._dirty = [open_ for open_ in self._dirty if open_.row not in rows]
        self._gone |= rows
        for batch in (self._batch, self._again):
            if batch is not None:
                batch.forget(rows)
        if self._thread is not None:
            self._thread.submit(lambda _: self._file.forget(rows), _nobody)

    # ---- calls of before

    def _taken_up(self, row: Row, entries: Iterable[Entry]) -> OpenCall:
        """A call of before a restart: what went wrong in it then still counts."""
        plan = self._plan(row.route)
        open_ = OpenCall(row.id, plan.kept, row.asterisk, shadow=plan.shadow)
        if plan.redact:
            self._batch.redacted[row.id] = plan.paths
        open_.tags = msgspec.json.decode(row.tags or "{}", type=dict[str, str])
        for entry in entries:
            if (fact := fact_of(entry, _SPEAKING)) is not None:
                open_.verdict.hear(fact)
        return open_

    def _close(self, row: Row, open_: OpenCall, ended: Ended | None) -> None:
        """It has ended, and the process that was to write that down was killed."""
        if ended is None:
            self._batch.ended.append(Ending(row.id, self._clock.now(), "failed", "unknown", _UNKNOWN, row.tags))
            return
        outcome, sentence = open_.verdict.spoken(ended.reason)
        keep = open_.kept == "all" or outcome == "failed"
        self._batch.ended.append(Ending(row.id, ended.at, outcome, ended.reason, sentence, row.tags, keep))

    async def stop(self) -> None:
        """Writes what waits, if it is taken."""
        if self._thread is None:
            return
        if self._unsubscribe is not None:
            self._unsubscribe()
        for task in self._taking.values():
            task.cancel()
        watch = self._timers.pop("watch", None)
        for timer in self._timers.values():
            timer.cancel()
        batches = [batch for batch in (self._again, self._gather()) if batch is not None]
        try:
            await self._thread.call(lambda _: [self._file.write(batch) for batch in batches])
        except _ERRORS as error:
            self._told(error)
        await self._thread.stop()
        if self._reader is not self._thread:
            await self._reader.stop()
        if watch is not None:
            self._timers.get("watch", watch).cancel()
        self._thread = None
        self._file.close()

    def size(self) -> int:
        """Bytes that the record takes, as far as is known."""
        return self._file.on_disk() if self._thread is not None else 0

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
                if (waiting := self._waiting.get(fact.call)) is not None:
                    if len(waiting) < MOST_GATHERED:
                        waiting.append((self._now(), fact))
                    else:
                        self._lost += 1
                elif kind is f.AnswerCompared and (row := self._over.get(fact.call)) is not None:
                    self._batch.late.append((row, self._now(), fact))
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
        elif len(gathered) >= LOOKED_AT and kind not in _TURNS and not open_.has_room(trouble=trouble):
            open_.missed += 1
            return
        gathered.append((self._now(), fact))
        if kind is f.CallFinished:
            self._end(fact.call, open_, fact.reason)

    def _turn(self, fact: Any, open_: OpenCall | None) -> OpenCall | None:
        """A call that begins or ends; None: nothing of it is kept."""
        kind = fact.__class__
        if kind is f.CallStarted:
            if open_ is not None:  # it has come back: a stay of its own
                self._end(fact.call, open_, "left")
            open_ = self._begin(fact, self._now())
        elif (
            kind is f.CallResumed and open_ is None and fact.call not in self._waiting
        ):  # it began in the moment before a kill
            open_ = self._begin(fact, fact.started_at)
        if open_ is None or open_.kept != "none":
            return open_
        del self._open[fact.call]  # what follows is of a call that nobody knows
        return None

    def _tag(self, open_: OpenCall, tags: Mapping[str, str]) -> None:
        """Words of the endpoint's own by which the call is to be found."""
        open_.tags = tagged(open_.tags, tags.items())
        self._batch.tagged[open_.row] = msgspec.json.encode(open_.tags).decode()

    def _begin(self, fact: f.CallStarted | f.CallResumed, at: float) -> OpenCall:
        plan = self._plan(fact.route)
        self._last = self._file.next_id(self._last, at)
        open_ = self._open[fact.call] = OpenCall(self._last, plan.kept, fact.asterisk, shadow=plan.shadow)
        if plan.kept != "none":
            if not self._keeps:
                self._listen()
            about = (fact.call, fact.asterisk, fact.app, fact.route, plan.tenant, fact.caller, fact.called)
            self._batch.began.append(NewRow(self._last, *about, at))
            if plan.redact:
                self._batch.redacted[self._last] = plan.paths
        return open_

    def _listen(self) -> None:
        self._keeps = True
        self._facts.ask_again()

    def _end(self, call: str, open_: OpenCall, reason: str) -> None:
        outcome, sentence = open_.verdict.spoken(reason)
        keep = open_.kept == "all" or outcome == "failed"
        tags = msgspec.json.encode(open_.tags).decode()
        about = (outcome, reason, sentence, tags, keep, open_.shadow)
        self._batch.ended.append(Ending(open_.row, self._now(), *about))
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
            if len(gathered) >= LOOKED_AT:
                open_.missing(gathered, self._clock.now())
            batch.facts[open_.row] = gathered if earlier is None else [*earlier, *gathered]
        self._dirty = []
        return batch

    def _flush(self) -> None:
        self._scheduled = False
        if self._flying or self._thread is None:
            return
        batch = self._gather()
        if self._again is not None:
            self._batch, batch, self._again = self._bounded(batch), self._again, None
        elif not (batch.began or batch.facts or batch.ended or batch.redacted or batch.late):
            return
        self._flying = True

        def written(_: object, error: BaseException | None) -> None:
            self._flying = False
            if isinstance(error, Hopeless):
                self._told(error)
                self._lost += sum(map(len, batch.facts.values()))
            elif error is not None:
                self._told(error)
                batch.forget(self._gone)
                self._again = batch
                self._schedule(RETRY_DELAY)
                return
            self._gone.clear()
            if error is None:
                self._recovered()
            if self._dirty or self._batch.ended or self._batch.began or self._batch.late or self._batch.facts:
                self._schedule()

        self._thread.submit(lambda _: self._file.write(batch), written)

    def _bounded(self, batch: Batch) -> Batch:
        """While nothing is taken: the newest calls' entries are kept, and those of others counted."""
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
            where = self._file.place
            said = str(error).removeprefix(f"{where}: ")
            self._facts.emit(
                Warned("record", f"{where} refuses: {said}; calls go on, and are recorded when it takes writes again")
            )

    def _recovered(self) -> None:
        if self._refused:
            self._refused = ""
            lost = f"; {self._lost} entries were not kept" if self._lost else ""
            self._facts.emit(Warned("record", f"{self._file.place} takes writes again{lost}"))
            self._lost = 0

    def _trim(self) -> None:
        assert self._thread is not None
        older = self._clock.now() - self._age
        for entry, epoch in self._epochs.items():
            if entry not in self._taking:
                self._thread.submit(functools.partial(self._tidy, entry, epoch), self._tidied)

        def trimmed(more: object, error: BaseException | None) -> None:
            if error is not None:
                self._told(error)
            self._timers["trim"] = self._loop.call_later(0.05 if more else TRIM_DELAY, self._trim)

        house = self._house()
        self._thread.submit(lambda _: self._file.trim(older, self._most_bytes, house=house), trimmed)

    def _tidy(self, entry: str, epoch: int, _: object) -> list[tuple[Row, list[Entry]]]:
        """Calls of an Asterisk of ours that a former owner began to write of when it was taken over already."""
        return self._file.claim(entry, epoch, 0)

    def _tidied(self, found: Any, error: BaseException | None) -> None:
        if error is None:
            self._go_on(found, set(), {})
            self._schedule()

    # ---- reading

    async def find(self, query: Query) -> list[Row]:
        """Calls, the newest first, those that are live among them. Raises sqlite3.Error, StoreError."""
        if self._thread is None:
            return []
        await self.settled()
        return await self._reader.call(lambda _: self._file.find(query))

    async def read(self, call_id: str, tenant: str | None = None) -> tuple[Row, list[Entry]] | None:
        """A call's last stay, and all that is kept of it. `tenant` None: whoever's it is."""
        if self._thread is None:
            return None
        await self.settled()

        def job(_: object) -> tuple[Row, list[Entry]] | None:
            rows = self._file.find(Query(call_id=call_id, tenant=tenant, limit=1))
            return (rows[0], self._file.entries(rows[0].id)) if rows else None

        return await self._reader.call(job)

    async def settled(self) -> None:
        """What was gathered until now is in the file, if it takes it."""
        if self._thread is None:
            return
        for _ in range(2):  # what is under way, and what came meanwhile
            if self._scheduled:
                self._timers["flush"].cancel()
                self._flush()
            await self._thread.call(lambda _: None)
