"""record.db: the calls, their parts, and the index of words; everything here runs in the record's own thread.

Rules:
- Nobody waits for it: a write is not flushed to the disk by itself (`synchronous=NORMAL`), which a dying process
  survives and a dying machine may lose the last seconds of.
- The entries of a live call are written as they come; a call that is over becomes one compressed part.
- A webhook body holds Asterisk's event word for word: it is kept without it (`\\0` in its place), and whole again
  when it is read.
- Bounded by days and by bytes: the oldest go first, calls that failed last. Of one call the newest entries are kept.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from hookrouter.facts import ActionStarted, EventReceived, Exchanged, Fact, Warned
from hookrouter.record.censor import Censor
from hookrouter.record.censor import Path as Redacted
from hookrouter.record.entries import Entry, pack, read_parts, rewrite, unpack, write_part
from hookrouter.record.finding import COLUMNS, NewRow, Query, Row, by_columns, by_words, words_of
from hookrouter.record.words import MOST_WORDS, fits, index_text, texts_of, words_in, words_in_text
from hookrouter.store.file import FileLock
from hookrouter.store.private import secure_database

MOST_CALL_BYTES = 16 * 1024 * 1024  # of one call, before it is compressed
_CHUNK_BYTES = 256 * 1024
_MOST_EVENTS = 64  # whose bytes are remembered for the webhook that follows
MOST_LATE = 1000  # calls that are over and whose candidate may still answer
_TRIMMED_AT_ONCE = 200
_WORDY = frozenset({EventReceived, Exchanged, Warned})
_SHORT = 1024  # characters of words below which compressing them costs more than it saves
_TOGETHER = 50  # rows of one statement
_OTHERS = (
    "each needs a folder of its own for it, that of its HOOKROUTER_STORE (with PostgreSQL the one it is started in)"
)
_LIVE = (None, "live", "", "", "{}", None, 0)


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


class _Live:
    """What the thread remembers of a call that goes on."""

    __slots__ = ("events", "heard", "number", "parts", "row", "size", "total", "words", "written")

    def __init__(self, number: int = 0, row: NewRow | None = None, *, written: bool = True) -> None:
        self.row = row  # None: of before a restart
        self.written = written  # whether the file has the row
        self.number = number  # of the next part
        self.parts: list[bytes] = []  # written since the last compressed part
        self.size = self.total = 0
        self.events: dict[str, bytes] = {}
        self.words: set[str] = set()
        self.heard: set[bytes] = set()  # texts that `words` has the words of

    def hear(self, texts: Iterable[bytes]) -> None:
        for text in texts:
            if text not in self.heard:
                if len(self.heard) < _MOST_EVENTS:
                    self.heard.add(text)
                if len(self.words) < MOST_WORDS:
                    self.words.update(words_in_text(text))


class _Over(NamedTuple):
    """A call that is over: the words of it, and of one that has begun in the same batch its row and its part."""

    id: int
    words: str
    row: tuple[Any, ...] | None = None
    part: tuple[Any, ...] | None = None


class RecordFile:
    """One connection, used by one thread."""

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        """`path` None: in memory. Raises sqlite3.Error, OSError, StoreError."""
        self._path = path
        self._lock: FileLock | None = None
        self._live: dict[int, _Live] = {}
        self._censors: dict[int, Censor] = {}
        self._of_ended: OrderedDict[int, Censor] = OrderedDict()  # of calls of which something may still come
        if read_only:
            self.connection = sqlite3.connect(f"{Path(path or '').absolute().as_uri()}?mode=ro", uri=True, timeout=1.0)
            return
        if path is not None:
            secure_database(path)
            self._lock = FileLock(path, _OTHERS, "this record")
            self._lock.acquire()
        self.connection = sqlite3.connect(
            path or ":memory:", isolation_level=None, check_same_thread=False, timeout=1.0
        )
        for pragma in ("auto_vacuum = INCREMENTAL", "journal_mode = WAL", "synchronous = NORMAL", "temp_store = MEMORY",
                       "locking_mode = EXCLUSIVE", "journal_size_limit = 16777216", "wal_autocheckpoint = 4000"):  # fmt: skip
            self.connection.execute(f"PRAGMA {pragma}").fetchall()
        (version,) = self.connection.execute("PRAGMA user_version").fetchone()
        scripts = sorted(entry.name for entry in _SQL.iterdir() if entry.name.endswith(".sql"))
        for number, name in enumerate(scripts[version:], version + 1):
            script = _SQL.joinpath(name).read_text("utf-8")
            self.connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")

    def close(self) -> None:
        """Another process may have the file then."""
        self.connection.close()
        if self._lock is not None:
            self._lock.release()

    # ---- writing

    def write(self, batch: Batch) -> None:
        """All of it or nothing. Raises sqlite3.Error."""
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            for id, paths in batch.redacted.items():
                self._censor(id).paths = paths
            over = {ending.id for ending in batch.ended}
            for row in batch.began:
                caller, called = self._censor(row.id).numbers(row.caller, row.called)
                row = msgspec.structs.replace(row, caller=caller, called=called)
                self._live[row.id] = _Live(row=row, written=row.id not in over)
            began = [live.row for row in batch.began if (live := self._live[row.id]).written and live.row is not None]
            self._insert("OR REPLACE INTO calls", [(*msgspec.structs.astuple(row), *_LIVE, 0) for row in began])
            for id, facts in batch.facts.items():
                self._add(id, facts, over=id in over)
            for id, tags in batch.tagged.items():
                execute("UPDATE calls SET tags = ? WHERE id = ?", (self._censor(id).text(tags), id))
            ended = [one for ending in batch.ended if (one := self._end(ending)) is not None]
            self._insert("OR REPLACE INTO calls", [one.row for one in ended if one.row is not None])
            self._insert("INTO parts", [one.part for one in ended if one.part is not None])
            for late in batch.late:
                self._add_late(*late)
            # last: any other statement that may be undone by itself would have the index write what it has gathered
            self._insert("INTO word_index (rowid, text)", [(one.id, one.words) for one in ended])
            execute("COMMIT")
            for ending in batch.ended:
                self._censors.pop(ending.id, None)
        except BaseException:
            with suppress(sqlite3.Error):
                execute("ROLLBACK")
            for id in (*batch.facts, *(row.id for row in batch.began), *(ending.id for ending in batch.ended)):
                self._live.pop(id, None)  # what is in memory is not in the file: it is read again
            raise

    def _insert(self, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Many by one statement: each costs the threads of the process a change of hands."""
        for begin in range(0, len(rows), _TOGETHER):
            some = rows[begin : begin + _TOGETHER]
            one = f"({', '.join('?' * len(some[0]))})"
            values = [value for row in some for value in row]
            self.connection.execute(f"INSERT {into} VALUES {', '.join([one] * len(some))}", values)

    def _censor(self, id: int) -> Censor:
        """It outlives a write that failed: what it has seen does not come again."""
        return self._censors.get(id) or self._censors.setdefault(id, Censor())

    def _state(self, id: int) -> _Live:
        live = self._live.get(id)
        if live is None:  # of before a restart
            (number,) = self.connection.execute(
                "SELECT coalesce(max(number), -1) + 1 FROM parts WHERE call = ?", (id,)
            ).fetchone()
            live = self._live[id] = _Live(number)
            for (data,) in self.connection.execute(
                "SELECT data FROM parts WHERE call = ? AND packed = 0 ORDER BY number", (id,)
            ):
                live.parts.append(data)
                live.size += len(data)
            for entry in read_parts(live.parts):
                live.hear(texts_of(entry.what, entry.fields.get))
                if entry.what == "ActionStarted" and entry.fields.get("verb") == "gather":
                    self._censor(id).gather_begins(entry.fields.get("action", b""))
            (live.total,) = self.connection.execute("SELECT bytes FROM calls WHERE id = ?", (id,)).fetchone() or (0,)
        return live

    def _add(self, id: int, facts: list[tuple[float, Fact]], *, over: bool) -> None:
        live, censor = self._state(id), self._censor(id)
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
        self.connection.execute("INSERT INTO parts VALUES (?, ?, 0, ?)", (id, live.number, part))
        live.number += 1
        if live.size > _CHUNK_BYTES:
            self._pack(id, live)

    def _add_late(self, id: int, at: float, fact: Fact) -> None:
        """Something of a call that is over: only where it is still known what may not be kept of it."""
        censor = self._of_ended.get(id)
        if censor is None:
            return
        part = write_part([(at, type(fact).__name__, censor.clean(fact))])
        known = self.connection.execute("UPDATE calls SET bytes = bytes + ? WHERE id = ?", (len(part), id)).rowcount
        if known:
            self.connection.execute(
                "INSERT INTO parts SELECT ?, coalesce(max(number), -1) + 1, 1, ? FROM parts WHERE call = ?",
                (id, pack([part]), id),
            )

    def _forget_keys(self, id: int, live: _Live, censor: Censor, kept: list[tuple[float, str, Fact]]) -> None:
        """A sensitive action takes what was typed ahead of it: of that the digits go, too."""
        parts = [*live.parts, write_part(kept)]
        whole = rewrite(parts, censor.typed_ahead)
        live.parts, live.size = [whole], len(whole)
        self.connection.execute("DELETE FROM parts WHERE call = ? AND packed = 0", (id,))
        self.connection.execute("INSERT INTO parts VALUES (?, ?, 0, ?)", (id, live.number, whole))
        live.number += 1
        live.events.clear()

    def _pack(self, id: int, live: _Live) -> None:
        """What was written since the last time becomes one compressed part; too old ones of a long call go."""
        execute = self.connection.execute
        if live.number:
            execute("DELETE FROM parts WHERE call = ? AND packed = 0", (id,))
        execute("INSERT INTO parts VALUES (?, ?, 1, ?)", (id, live.number, pack(live.parts)))
        live.number += 1
        live.parts, live.size = [], 0
        while live.total > MOST_CALL_BYTES:
            oldest = execute(
                "SELECT number, data FROM parts WHERE call = ? AND packed = 1 ORDER BY number LIMIT 1", (id,)
            ).fetchone()
            if oldest is None or oldest[0] == live.number - 1:
                break
            parts = unpack(oldest[1])
            gone = len(read_parts(parts))
            live.total -= sum(map(len, parts))
            execute("DELETE FROM parts WHERE call = ? AND number = ?", (id, oldest[0]))
            execute("UPDATE calls SET left_out = left_out + ? WHERE id = ?", (gone, id))

    def _end(self, ending: Ending) -> _Over | None:
        """What is left to be written of it; None: nothing of it is kept."""
        execute = self.connection.execute
        if not ending.keep:
            gone = self._live.pop(ending.id, None)
            if gone is None or gone.written:
                execute("DELETE FROM parts WHERE call = ?", (ending.id,))
                execute("DELETE FROM calls WHERE id = ?", (ending.id,))
            return None
        live, clean = self._state(ending.id), self._censor(ending.id)
        if live.parts and (live.written or live.number):  # some of it is in the file
            self._pack(ending.id, live)
        del self._live[ending.id]
        if ending.late:
            self._of_ended[ending.id] = clean
            if len(self._of_ended) > MOST_LATE:
                self._of_ended.popitem(last=False)
        row = live.row or next(iter(self._rows("calls WHERE id = ?", (ending.id,))), None)
        if row is None:
            return None
        reason, sentence, tags = map(clean.text, (ending.reason, ending.sentence, ending.tags))
        about = msgspec.structs.asdict(row) | {"reason": reason, "sentence": sentence, "tags": tags}
        text = index_text([*live.words, *words_in(about)])
        words = text if len(text) < _SHORT else zlib.compress(text.encode(), 1)
        end = (ending.ended_at, ending.outcome, reason, sentence, tags, words, live.total)
        if live.written:
            execute(
                "UPDATE calls SET ended_at = ?, outcome = ?, reason = ?, sentence = ?, tags = ?, words = ?, bytes = ? "
                "WHERE id = ?",
                (*end, ending.id),
            )
            return _Over(ending.id, text)
        part = (ending.id, live.number, 1, pack(live.parts)) if live.parts else None
        return _Over(ending.id, text, (*msgspec.structs.astuple(row), *end, 0), part)

    # ---- reading

    def _rows(self, what: str, values: Sequence[Any]) -> list[Row]:
        return [Row(*row) for row in self.connection.execute(f"SELECT {COLUMNS} FROM {what}", values)]

    def last_id(self) -> int:
        (last,) = self.connection.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()
        return int(last)

    def live(self) -> list[Row]:
        """Calls that have not ended, the oldest first."""
        return self._rows("calls WHERE outcome = 'live' ORDER BY id", ())

    def find(self, query: Query) -> list[Row]:
        """The newest first. The index has the words of calls that are over; of the others they are looked through.

        Where whole words fill no page, the last word may be the beginning of one.
        """
        if not words_of(query):
            return self._rows(*by_columns(query))
        live = [row for row in self._rows(*by_columns(query, live=True)) if fits(query.text, self._words(row))]
        over = self._rows(*by_words(query))
        if len(over) < query.limit and query.text:
            over = self._rows(*by_words(query, begun=True))
        return sorted((*live, *over), key=lambda row: row.id, reverse=True)[: query.limit]

    def having(self, word: str) -> list[Row]:
        """All calls that have this whole word, the newest first."""
        live = [row for row in self.live() if word in set(self._words(row))]
        over = self._rows(*by_words(Query(text=word, limit=-1)))
        return sorted((*live, *over), key=lambda row: row.id, reverse=True)

    def _words(self, row: Row) -> Iterable[str]:
        yield from words_in(msgspec.structs.asdict(row))
        yield from self._state(row.id).words

    def entries(self, id: int) -> list[Entry]:
        """All that is kept of a call, in order, webhook bodies whole again."""
        parts: list[bytes] = []
        for packed, data in self.connection.execute(
            "SELECT packed, data FROM parts WHERE call = ? ORDER BY number", (id,)
        ):
            try:
                parts += unpack(data) if packed else [data]
            except ValueError:
                parts.append(b"\xc1")  # told as one that cannot be read
        return list(_whole(read_parts(parts)))

    # ---- keeping it small

    def trim(self, older_than: float, most_bytes: int) -> bool:
        """Forgets what is too old, and the oldest where there is too much; whether there is more to do."""
        gone = [id for (id,) in self.connection.execute(
            "SELECT id FROM calls WHERE ended_at < ? ORDER BY id LIMIT ?", (older_than, _TRIMMED_AT_ONCE))]  # fmt: skip
        for outcome in ("good", "failed"):
            if not gone and self.size() > most_bytes:
                gone = [id for (id,) in self.connection.execute(
                    "SELECT id FROM calls WHERE outcome = ? ORDER BY id LIMIT ?", (outcome, _TRIMMED_AT_ONCE))]  # fmt: skip
        if not gone:
            return False
        self._forget_all(gone)
        self.connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()
        return True

    def erase(self, ids: Iterable[int]) -> None:
        """Forgets calls that are over, and leaves nothing of them in free pages, in the index or in the log beside the file."""
        execute = self.connection.execute
        execute("PRAGMA secure_delete = ON").fetchall()
        self._forget_all(ids)
        execute("INSERT INTO word_index (word_index) VALUES ('optimize')")
        execute("PRAGMA incremental_vacuum").fetchall()
        execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _forget_all(self, ids: Iterable[int]) -> None:
        """All of them or none."""
        execute = self.connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            for id in ids:
                self._forget(id)
            execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                execute("ROLLBACK")
            raise

    def _forget(self, id: int) -> None:
        execute = self.connection.execute
        (words,) = execute("SELECT words FROM calls WHERE id = ?", (id,)).fetchone()
        if words is not None:
            execute(
                "INSERT INTO word_index (word_index, rowid, text) VALUES ('delete', ?, ?)",
                (id, words if isinstance(words, str) else zlib.decompress(words).decode()),
            )
        execute("DELETE FROM parts WHERE call = ?", (id,))
        execute("DELETE FROM calls WHERE id = ?", (id,))

    def size(self) -> int:
        """Bytes in use."""
        pages, free, each = (self.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in
                             ("page_count", "freelist_count", "page_size"))  # fmt: skip
        return int((pages - free) * each)


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


_SQL = files("hookrouter.record").joinpath("sql")

__all__ = ["MOST_LATE", "Batch", "Ending", "NewRow", "Query", "RecordFile", "Row"]
