"""record.db: the calls, their parts, and the index of words, in SQLite; used by the record's own thread.

Rules:
- Nobody waits for it: a write is not flushed to the disk by itself (`synchronous=NORMAL`), which a dying process
  survives and a dying machine may lose the last seconds of.
- Bounded by days and by bytes: the oldest go first, calls that failed last.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from hookrouter.record.entries import Entry, pack
from hookrouter.record.finding import COLUMNS, NewRow, Query, Row, by_columns, by_words, words_of
from hookrouter.record.words import fits, words_in
from hookrouter.record.writing import Batch, Kept, Live, Over, Writing, whole_entries
from hookrouter.store.file import FileLock
from hookrouter.store.private import secure_database

_TRIMMED_AT_ONCE = 200
_SHORT = 1024  # characters of words below which compressing them costs more than it saves
_TOGETHER = 50  # rows of one statement
_OTHERS = "each needs a folder of its own for it, that of its HOOKROUTER_STORE"
_LIVE = (None, "live", "", "", "{}", None, 0)


class RecordFile(Writing):
    """One connection, used by one thread."""

    watched = False  # whether `watch` is to be called now and then

    def __init__(self, path: Path | None, *, read_only: bool = False) -> None:
        """`path` None: in memory. Raises sqlite3.Error, OSError, StoreError."""
        super().__init__()
        self.place = str(path or "memory")
        self._path = path
        self._lock: FileLock | None = None
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

    @property
    def reading(self) -> sqlite3.Connection:
        """What is read by: the same, as a file in memory has but one."""
        return self.connection

    def watch(self) -> None:
        """Nothing here takes too long for ever."""

    def next_id(self, last: int, at: float) -> int:
        """Of a call that begins at that instant; `last`: the one before it."""
        return last + 1

    # ---- writing

    def _begin(self, batch: Batch) -> None:
        self.connection.execute("BEGIN IMMEDIATE")

    def _commit(self, ended: Sequence[Over]) -> None:
        # last: any other statement that may be undone by itself would have the index write what it has gathered
        self._insert("INTO word_index (rowid, text)", [(one.id, one.words) for one in ended])
        self.connection.execute("COMMIT")

    def _undo(self) -> None:
        with suppress(sqlite3.Error):
            self.connection.execute("ROLLBACK")

    def _insert(self, into: str, rows: Sequence[tuple[Any, ...]]) -> None:
        """Many by one statement: each costs the threads of the process a change of hands."""
        for begin in range(0, len(rows), _TOGETHER):
            some = rows[begin : begin + _TOGETHER]
            one = f"({', '.join('?' * len(some[0]))})"
            values = [value for row in some for value in row]
            self.connection.execute(f"INSERT {into} VALUES {', '.join([one] * len(some))}", values)

    def _put_rows(self, rows: Sequence[NewRow]) -> None:
        self._insert("OR REPLACE INTO calls", [(*msgspec.structs.astuple(row), *_LIVE, 0) for row in rows])

    def _put_part(self, id: int, live: Live, data: bytes, *, packed: bool) -> None:
        self.connection.execute("INSERT INTO parts VALUES (?, ?, ?, ?)", (id, live.number, packed, data))

    def _put_tags(self, id: int, tags: str) -> None:
        self.connection.execute("UPDATE calls SET tags = ? WHERE id = ?", (tags, id))

    def _put_over(self, ended: Sequence[Over]) -> None:
        rows, parts = [], []
        for one in ended:
            words = one.words if len(one.words) < _SHORT else zlib.compress(one.words.encode(), 1)
            end = (*one.end, words, one.total)
            if one.row is not None:
                rows.append((*msgspec.structs.astuple(one.row), *end, 0))
            else:
                self.connection.execute(
                    "UPDATE calls SET ended_at = ?, outcome = ?, reason = ?, sentence = ?, tags = ?, words = ?, bytes = ? "
                    "WHERE id = ?",
                    (*end, one.id),
                )
            if one.part is not None:
                parts.append((one.id, one.part[0], 1, one.part[1]))
        self._insert("OR REPLACE INTO calls", rows)
        self._insert("INTO parts", parts)

    def _put_late(self, id: int, part: bytes) -> None:
        known = self.connection.execute("UPDATE calls SET bytes = bytes + ? WHERE id = ?", (len(part), id)).rowcount
        if known:
            self.connection.execute(
                "INSERT INTO parts SELECT ?, coalesce(max(number), -1) + 1, 1, ? FROM parts WHERE call = ?",
                (id, pack([part]), id),
            )

    def _drop_unpacked(self, id: int) -> None:
        self.connection.execute("DELETE FROM parts WHERE call = ? AND packed = 0", (id,))

    def _oldest(self, id: int) -> tuple[int, bytes] | None:
        found: tuple[int, bytes] | None = self.connection.execute(
            "SELECT number, data FROM parts WHERE call = ? AND packed = 1 ORDER BY number LIMIT 1", (id,)
        ).fetchone()
        return found

    def _leave_out(self, id: int, number: int, entries: int) -> None:
        self.connection.execute("DELETE FROM parts WHERE call = ? AND number = ?", (id, number))
        self.connection.execute("UPDATE calls SET left_out = left_out + ? WHERE id = ?", (entries, id))

    def _drop_call(self, id: int) -> None:
        self.connection.execute("DELETE FROM parts WHERE call = ?", (id,))
        self.connection.execute("DELETE FROM calls WHERE id = ?", (id,))

    def _kept(self, id: int) -> Kept:
        (number,) = self.connection.execute(
            "SELECT coalesce(max(number), -1) + 1 FROM parts WHERE call = ?", (id,)
        ).fetchone()
        parts = self.connection.execute(
            "SELECT data FROM parts WHERE call = ? AND packed = 0 ORDER BY number", (id,)
        ).fetchall()
        row = next(iter(self._rows("calls WHERE id = ?", (id,))), None)
        return Kept(row, number, row.bytes if row else 0, [data for (data,) in parts])

    # ---- reading

    def _rows(self, what: str, values: Sequence[Any]) -> list[Row]:
        return [Row(*row) for row in self.connection.execute(f"SELECT {COLUMNS} FROM {what}", values)]

    def last_id(self) -> int:
        (last,) = self.connection.execute("SELECT coalesce(max(id), 0) FROM calls").fetchone()
        return int(last)

    def live(self) -> list[Row]:
        """Calls that have not ended, the oldest first."""
        return self._rows("calls WHERE outcome = 'live' ORDER BY id", ())

    def own(self, entry: str, epoch: int) -> None:
        """All are ours."""

    def claim(self, entry: str, epoch: int, first: int) -> list[tuple[Row, list[Entry]]]:
        """The calls that have not ended, the oldest first: all are ours, whatever the `entry`."""
        return [(row, self.entries(row.id)) for row in self.live()]

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
        return whole_entries(
            self.connection.execute("SELECT packed, data FROM parts WHERE call = ? ORDER BY number", (id,))
        )

    # ---- keeping it small

    def trim(self, older_than: float, most_bytes: int, *, house: bool = True) -> bool:
        """Forgets what is too old, and the oldest where there is too much; whether there is more to do. It is ours alone to do."""
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
        self._drop_call(id)

    def size(self) -> int:
        """Bytes in use."""
        pages, free, each = (self.connection.execute(f"PRAGMA {name}").fetchone()[0] for name in
                             ("page_count", "freelist_count", "page_size"))  # fmt: skip
        return int((pages - free) * each)

    def on_disk(self) -> int:
        """Bytes that it takes, what is not yet moved into the file included; for any thread."""
        if self._path is None:
            return 0
        there = (self._path, self._path.with_name(f"{self._path.name}-wal"))
        return sum(file.stat().st_size for file in there if file.exists())


_SQL = files("hookrouter.record").joinpath("sql")

__all__ = ["RecordFile"]
