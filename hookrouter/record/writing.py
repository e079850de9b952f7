"""What is written of each call, whatever it is written to; everything here runs in the record's own thread.

Rules:
- The entries of a live call are written as they come; a call that is over becomes one compressed part.
- A webhook body holds Asterisk's event word for word: it is kept without it (`\\0` in its place), and whole again
  when it is read.
- Of one call the newest entries are kept.
- A place (`file.py`, `postgres.py`) adds how rows and parts are kept there. A batch that it has refused comes again as
  the same object, and before any other.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import partial
from typing import NamedTuple

import msgspec

from hookrouter.errors import StoreError
from hookrouter.facts import ActionStarted, EventReceived, Exchanged, Fact, Warned
from hookrouter.record.censor import Censor
from hookrouter.record.censor import Path as Redacted
from hookrouter.record.entries import Entry, pack, read_parts, rewrite, unpack, write_part
from hookrouter.record.finding import NewRow, Row
from hookrouter.record.words import MOST_WORDS, index_text, texts_of, words_in, words_in_text

MOST_CALL_BYTES = 16 * 1024 * 1024  # of one call, before it is compressed
MOST_LATE = 1000  # calls that are over and whose candidate may still answer
_CHUNK_BYTES = 256 * 1024
_MOST_EVENTS = 64  # whose bytes are remembered for the webhook that follows
_WORDY = frozenset({EventReceived, Exchanged, Warned})


class Hopeless(StoreError):
    """What a place says of a batch that it will never take."""


class Ending(msgspec.Struct, frozen=True):
    """A call that is over. `keep` false: it goes, as its route wants only failed ones; `late`: something may still come."""

    id: int
    ended_at: float
    outcome: str
    reason: str
    sentence: str
    tags: str
    keep: bool = True
    late: bool = False


class Batch(msgspec.Struct):
    """What is written together, by row ids. `facts`: in order; `tagged`: all tags, as JSON; `redacted`: what of a call
    is not kept, told once; `late`: what came after the end of a call, as (row, when, what)."""

    began: list[NewRow] = []
    facts: dict[int, list[tuple[float, Fact]]] = {}
    ended: list[Ending] = []
    tagged: dict[int, str] = {}
    redacted: dict[int, tuple[Redacted, ...]] = {}
    late: list[tuple[int, float, Fact]] = []

    def forget(self, rows: set[int]) -> None:
        """Nothing of these is written any more."""
        self.began = [row for row in self.began if row.id not in rows]
        self.ended = [ending for ending in self.ended if ending.id not in rows]
        self.late = [late for late in self.late if late[0] not in rows]
        for by_row in (self.facts, self.tagged, self.redacted):
            for row in rows & by_row.keys():
                del by_row[row]


class Kept(NamedTuple):
    """What a place has of a call that goes on. `number`: of the next part; `parts`: those that are not packed."""

    row: Row | None
    number: int
    total: int
    parts: list[bytes]
    words: str = ""


class Live:
    """What the thread remembers of a call that goes on."""

    __slots__ = ("events", "heard", "number", "parts", "row", "said", "size", "total", "words", "written")

    def __init__(self, number: int = 0, row: NewRow | None = None, *, written: bool = True) -> None:
        self.row = row  # None: the place has none
        self.written = written  # whether the place has the row
        self.number = number  # of the next part
        self.parts: list[bytes] = []  # written since the last compressed part
        self.size = self.total = 0
        self.events: dict[str, bytes] = {}
        self.words: set[str] = set()
        self.said: set[str] = set()  # words that the place has, where it keeps them with the parts
        self.heard: set[bytes] = set()  # texts that `words` has the words of

    def hear(self, texts: Iterable[bytes]) -> None:
        for text in texts:
            if text not in self.heard:
                if len(self.heard) < _MOST_EVENTS:
                    self.heard.add(text)
                if len(self.words) < MOST_WORDS:
                    self.words.update(words_in_text(text))


class Over(NamedTuple):
    """A call that is over: how it ended (as the columns from `ended_at` to `tags`), its words, and how many bytes. `row`: of one that
    has begun in the same batch, and `part` all of it, with its number."""

    id: int
    end: tuple[float, str, str, str, str]
    words: str
    total: int
    row: NewRow | None = None
    part: tuple[int, bytes] | None = None


class Writing:
    """What both places have in common; a place has the methods that raise NotImplementedError here, and reading."""

    def __init__(self) -> None:
        self._live: dict[int, Live] = {}
        self._censors: dict[int, Censor] = {}
        self._of_ended: OrderedDict[int, Censor] = OrderedDict()  # of calls of which something may still come

    def write(self, batch: Batch) -> None:
        """All of it or nothing. Raises what the place raises."""
        self._begin(batch)
        try:
            for id, paths in batch.redacted.items():
                self._censor(id).paths = paths
            over = {ending.id for ending in batch.ended}
            for row in batch.began:
                caller, called = self._censor(row.id).numbers(row.caller, row.called)
                row = msgspec.structs.replace(row, caller=caller, called=called)
                self._live[row.id] = Live(row=row, written=row.id not in over)
            self._put_rows(
                [live.row for row in batch.began if (live := self._live[row.id]).written and live.row is not None]
            )
            for id, facts in batch.facts.items():
                self._add(id, facts, over=id in over)
            for id, tags in batch.tagged.items():
                self._put_tags(id, self._censor(id).text(tags))
            ended = [one for ending in batch.ended if (one := self._end(ending)) is not None]
            self._put_over(ended)
            for late in batch.late:
                self._add_late(*late)
            self._commit(ended)
            for ending in batch.ended:
                self._censors.pop(ending.id, None)
        except BaseException:
            self._undo()
            for id in (*batch.facts, *(row.id for row in batch.began), *(ending.id for ending in batch.ended)):
                self._live.pop(id, None)  # what is in memory is not in the place: it is read again
            raise

    def _censor(self, id: int) -> Censor:
        """It outlives a write that failed: what it has seen does not come again."""
        return self._censors.setdefault(id, Censor())

    def _state(self, id: int) -> Live:
        return self._live.get(id) or self._recall(id, self._kept(id))

    def forget(self, rows: Iterable[int]) -> None:
        """They are another router's now."""
        for id in rows:
            self._live.pop(id, None)
            self._censors.pop(id, None)

    def _recall(self, id: int, kept: Kept) -> Live:
        """Of before a restart, or of another router."""
        live = self._live[id] = Live(kept.number, kept.row)
        live.parts, live.total = kept.parts, kept.total
        live.size = sum(map(len, live.parts))
        live.words.update(kept.words.split())
        live.said.update(live.words)
        for entry in read_parts(live.parts):
            live.hear(texts_of(entry.what, entry.fields.get))
            if entry.what == "ActionStarted" and entry.fields.get("verb") == "gather":
                self._censor(id).gather_begins(entry.fields.get("action", b""))
        return live

    def _add(self, id: int, facts: list[tuple[float, Fact]], *, over: bool) -> None:
        live = self._live.get(id) or self._state(id)
        censor = self._censors.get(id) or self._censor(id)
        awake = censor.awake
        kept: list[tuple[float, str, Fact]] = []
        for at, fact in facts:
            kind = fact.__class__
            if awake or kind is ActionStarted:
                fact, awake = censor.clean(fact), censor.awake
                if censor.begins:
                    self._forget_keys(id, live, censor, kept)
                    kept = []
            if kind in _WORDY:
                if kind is EventReceived:
                    assert isinstance(fact, EventReceived)
                    live.events[fact.event] = fact.raw
                    if len(live.events) > _MOST_EVENTS:
                        del live.events[next(iter(live.events))]
                elif kind is Exchanged:
                    assert isinstance(fact, Exchanged)
                    fact = _without_event(fact, live.events.get(fact.event, b""))
                live.hear(texts_of(kind.__name__, partial(getattr, fact)))
            kept.append((at, kind.__name__, fact))
        part = write_part(kept)
        live.parts.append(part)
        live.size += len(part)
        live.total += len(part)
        if over:
            return
        self._put_part(id, live, part, packed=False)
        live.number += 1
        if live.size > _CHUNK_BYTES:
            self._pack(id, live)

    def _add_late(self, id: int, at: float, fact: Fact) -> None:
        """Something of a call that is over: only where it is still known what may not be kept of it."""
        censor = self._of_ended.get(id)
        if censor is not None:
            self._put_late(id, write_part([(at, type(fact).__name__, censor.clean(fact))]))

    def _forget_keys(self, id: int, live: Live, censor: Censor, kept: list[tuple[float, str, Fact]]) -> None:
        """A sensitive action takes what was typed ahead of it: of that the digits go, too."""
        parts = [*live.parts, write_part(kept)]
        whole = rewrite(parts, censor.typed_ahead)
        live.parts, live.size = [whole], len(whole)
        self._drop_unpacked(id)
        self._put_part(id, live, whole, packed=False)
        live.number += 1
        live.events.clear()

    def _pack(self, id: int, live: Live) -> None:
        """What was written since the last time becomes one compressed part; too old ones of a long call go."""
        if live.number:
            self._drop_unpacked(id)
        self._put_part(id, live, pack(live.parts), packed=True)
        live.number += 1
        live.parts, live.size = [], 0
        while live.total > MOST_CALL_BYTES:
            oldest = self._oldest(id)
            if oldest is None or oldest[0] == live.number - 1:
                break
            parts = unpack(oldest[1])
            live.total -= sum(map(len, parts))
            self._leave_out(id, oldest[0], len(read_parts(parts)))

    def _end(self, ending: Ending) -> Over | None:
        """What is left to be written of it; None: nothing of it is kept."""
        if not ending.keep:
            gone = self._live.pop(ending.id, None)
            if gone is None or gone.written:
                self._drop_call(ending.id)
            return None
        live = self._live.get(ending.id) or self._state(ending.id)
        clean = self._censors.get(ending.id) or self._censor(ending.id)
        if live.parts and (live.written or live.number):  # some of it is in the place
            self._pack(ending.id, live)
        del self._live[ending.id]
        if ending.late:
            self._of_ended[ending.id] = clean
            if len(self._of_ended) > MOST_LATE:
                self._of_ended.popitem(last=False)
        if live.row is None:
            return None
        reason, sentence, tags = map(clean.text, (ending.reason, ending.sentence, ending.tags))
        about = msgspec.structs.asdict(live.row) | {"reason": reason, "sentence": sentence, "tags": tags}
        words = index_text([*live.words, *words_in(about)])
        end = (ending.ended_at, ending.outcome, reason, sentence, tags)
        if live.written:
            return Over(ending.id, end, words, live.total)
        part = (live.number, pack(live.parts)) if live.parts else None
        return Over(ending.id, end, words, live.total, live.row, part)

    # ---- what a place does

    def _begin(self, batch: Batch) -> None:
        raise NotImplementedError

    def _commit(self, ended: Sequence[Over]) -> None:
        """With the words of these."""
        raise NotImplementedError

    def _undo(self) -> None:
        raise NotImplementedError

    def _kept(self, id: int) -> Kept:
        raise NotImplementedError

    def _put_rows(self, rows: Sequence[NewRow]) -> None:
        """Of calls that go on."""
        raise NotImplementedError

    def _put_part(self, id: int, live: Live, data: bytes, *, packed: bool) -> None:
        """By the number that the call has come to."""
        raise NotImplementedError

    def _put_tags(self, id: int, tags: str) -> None:
        raise NotImplementedError

    def _put_over(self, ended: Sequence[Over]) -> None:
        """But for their words."""
        raise NotImplementedError

    def _put_late(self, id: int, part: bytes) -> None:
        """If the call is kept, and however many parts it has."""
        raise NotImplementedError

    def _drop_unpacked(self, id: int) -> None:
        raise NotImplementedError

    def _oldest(self, id: int) -> tuple[int, bytes] | None:
        """The number and the data of its first packed part."""
        raise NotImplementedError

    def _leave_out(self, id: int, number: int, entries: int) -> None:
        """That part goes, in which so many entries are."""
        raise NotImplementedError

    def _drop_call(self, id: int) -> None:
        raise NotImplementedError


def whole_entries(parts: Iterable[tuple[bool, bytes]]) -> list[Entry]:
    """What is in parts, packed or not, in order; webhook bodies are whole again."""
    found: list[bytes] = []
    for packed, data in parts:
        try:
            found += unpack(data) if packed else [data]
        except ValueError:
            found.append(b"\xc1")  # told as one that cannot be read
    return list(_whole(read_parts(found)))


def _without_event(fact: Exchanged, raw: bytes) -> Exchanged:
    """What was exchanged, `\0` where the event's own bytes are in it."""
    if len(raw) > 64 and (at := fact.request.find(raw)) >= 0:
        rest = fact.request[:at] + b"\0" + fact.request[at + len(raw) :]
        return msgspec.structs.replace(fact, request=rest)
    return fact


def _whole(entries: Iterable[Entry]) -> Iterable[Entry]:
    events: dict[str, bytes] = {}
    for entry in entries:
        request = entry.fields.get("request", b"")
        if entry.what == "EventReceived":
            events[entry.fields["event_id"]] = entry.fields.get("raw", b"")
        elif entry.what == "Exchanged" and b"\0" in request:
            raw = events.get(entry.fields["event_id"], b"(its event was not kept)")
            entry = msgspec.structs.replace(entry, fields=entry.fields | {"request": request.replace(b"\0", raw)})
        yield entry


__all__ = ["MOST_LATE", "Batch", "Ending", "Hopeless", "Kept", "Live", "Over", "Writing", "whole_entries"]
