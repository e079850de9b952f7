"""What the journal keeps of one person: finding it and taking it out, in SQLite and in PostgreSQL.

Rules:
- Live calls, and deliveries that are still on their way, are work: they are counted, and stay.
- Of SQLite's file the router must be away; its free pages are overwritten, and the log is emptied. With PostgreSQL routers go on.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hookrouter.errors import StoreError
from hookrouter.store.file import FileLock, explain, open_file
from hookrouter.store.opening import is_postgres, sqlite_path

_AT_ONCE = 500


class Kept(NamedTuple):
    """Counts. `deliveries`: over, delivered or dead; `lines`: of the timeline; `pending`: still to be delivered."""

    deliveries: int
    lines: int
    pending: int


class _Session(Protocol):
    def execute(self, query: Any, parameters: Any = (), /) -> Any: ...


class _Place(NamedTuple):
    """A database and how its statements are written. `has`: an expression that is true of a column with certain bytes."""

    session: _Session
    schema: str
    mark: str
    has: str

    def run(self, statement: str, values: Iterable[object] = ()) -> Any:
        """`{}` before a table's name is its schema, `?` a value."""
        return self.session.execute(statement.replace("{}", self.schema).replace("?", self.mark), tuple(values))


def kept_of(store: str, word: str, calls: Collection[str], *, erase: bool) -> Kept:
    """What the journal at `store` has of these calls (ids), and whatever else has `word` in its body; `erase`: and takes it out.

    Raises StoreError: in use by a router, locked, of a newer version, or not to be reached.
    """
    if is_postgres(store):
        opened = _postgres(store)
    else:
        path = sqlite_path(store)
        if not path.exists():
            return Kept(0, 0, 0)
        opened = _sqlite(path)
    with opened as place:
        deliveries, pending = _deliveries(place, word, calls)
        lines = _lines(place, word, calls)
        if erase:
            for some in _pieces(deliveries):
                marks = ", ".join("?" * len(some))
                place.run(f"DELETE FROM {{}}attempts WHERE delivery IN ({marks})", some)
                place.run(f"DELETE FROM {{}}deliveries WHERE seq IN ({marks})", some)
            for some in _pieces(lines):
                place.run(f"DELETE FROM {{}}timeline WHERE seq IN ({', '.join('?' * len(some))})", some)
        return Kept(len(deliveries), len(lines), pending)


def _deliveries(place: _Place, word: str, calls: Collection[str]) -> tuple[list[int], int]:
    """Those that are over, and how many are not."""
    over, pending = list[int](), 0
    found = place.run(f"SELECT seq, status, call, {place.has.format('body')} FROM {{}}deliveries", (word.encode(),))
    for seq, status, call, hit in found.fetchall():
        if call in calls or (hit and _says(place, "deliveries", "body", seq, word)):
            if status == "pending":
                pending += 1
            else:
                over.append(seq)
    return over, pending


def _lines(place: _Place, word: str, calls: Collection[str]) -> list[int]:
    found = place.run(f"SELECT seq, call_id, {place.has.format('detail')} FROM {{}}timeline", (word.encode(),))
    rows = found.fetchall()
    return [seq for seq, call, hit in rows if call in calls or (hit and _says(place, "timeline", "detail", seq, word))]


def _says(place: _Place, table: str, column: str, seq: int, word: str) -> bool:
    """Whether it is a word of its own there, and not part of a longer number."""
    ((text,),) = place.run(f"SELECT {column} FROM {{}}{table} WHERE seq = ?", (seq,)).fetchall()
    return re.search(rb"(?<![^\W_])" + re.escape(word.encode()) + rb"(?![^\W_])", bytes(text)) is not None


def _pieces(numbers: list[int]) -> Iterator[list[int]]:
    for begin in range(0, len(numbers), _AT_ONCE):
        yield numbers[begin : begin + _AT_ONCE]


@contextlib.contextmanager
def _sqlite(path: Path) -> Iterator[_Place]:
    lock = FileLock(path)
    lock.acquire()
    try:
        connection, _ = open_file(path)
        try:
            connection.execute("PRAGMA secure_delete = ON").fetchall()
            connection.execute("BEGIN IMMEDIATE")
            yield _Place(connection, "", "?", "instr({}, ?) > 0")
            connection.execute("COMMIT")
            connection.execute("PRAGMA incremental_vacuum").fetchall()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise explain(str(path), error) from error
        finally:
            connection.close()
    finally:
        lock.release()


@contextlib.contextmanager
def _postgres(url: str) -> Iterator[_Place]:
    import psycopg  # an extra, and only where it is used

    from hookrouter.store.postgres_link import explain as said
    from hookrouter.store.postgres_link import shown

    try:
        with psycopg.connect(url) as session:
            found = session.execute("SELECT to_regclass('hookrouter.deliveries') IS NOT NULL").fetchone()
            if found is None or not found[0]:
                raise StoreError(f"{shown(url)}: has no journal of hookrouter: name the database that `serve` has")
            yield _Place(session, "hookrouter.", "%s", "position(%s::bytea in {}) > 0")
    except psycopg.Error as error:
        raise said(shown(url), error) from error
