"""The record in PostgreSQL, that of all routers in one: what `file.py` is for one of them.

Rules:
- Two sessions, one that writes and one that reads, each for a thread of its own, with deadlines that `watch` keeps.
- A batch is one call of one function, by a number that the function remembers: after a lost connection it is sent again,
  and where it was there already nothing is done.
- A call is written by the router that has claimed it last, under its epoch. What another one still has of it is not taken.
- Only the router that keeps house trims.
- A word that many calls have is found among the newest ones, a seldom one by the index: each is quick where the other is not.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import msgspec
import psycopg

from hookrouter.errors import StoreError
from hookrouter.record.entries import Entry, pack
from hookrouter.record.finding import NewRow, Query, Row
from hookrouter.record.finding_postgres import SLOTS, conditions, id_at, plain, word_query
from hookrouter.record.words import fits, words_in
from hookrouter.record.writing import Batch, Hopeless, Kept, Live, Over, Writing, whole_entries
from hookrouter.store.postgres import migrate
from hookrouter.store.postgres_link import Link, Session, explain, shown
from hookrouter.store.postgres_rows import clean, columns

T = TypeVar("T")

DEADLINE = 5.0  # seconds that a batch or a step may take, and for each row a millisecond, for each MB a second more
READING = 20.0
_BROKEN = 1.0  # seconds within which a session that has ended says so
_RECENT = (2_000, 12_000)  # calls that are looked through before the index is asked for some, and for all
_SOME = 4_000  # calls that the index is asked for first
_AT_ONCE = 200  # calls of one step
_COLUMNS = ", ".join(f"c.{name}" for name in Row.__struct_fields__).encode()
_INTS, _BIGS, _TEXTS, _FLOATS, _BYTES = "integer[]", "bigint[]", "text[]", "float8[]", "bytea[]"
_ARGUMENTS = [
    "integer", "bigint",
    _BIGS, _BIGS,
    _BIGS, _BIGS, _TEXTS, _TEXTS, _TEXTS, _TEXTS, _TEXTS, _TEXTS, _TEXTS, _FLOATS,
    _BIGS,
    _BIGS, _INTS, _INTS,
    _BIGS, _INTS, "boolean[]", _BYTES, _TEXTS,
    _BIGS, _TEXTS,
    _BIGS, _FLOATS, _TEXTS, _TEXTS, _TEXTS, _TEXTS, _TEXTS, _BIGS,
    _BIGS,
    _BIGS, _BYTES, _BIGS,
]  # fmt: skip
_WRITE = f"SELECT hookrouter.write_record_v1({', '.join(f'%b::{kind}' for kind in _ARGUMENTS)})".encode()
_FORGET = b"SELECT hookrouter.forget_record_v1(%s, %s)"
_SIZE = b"SELECT coalesce(sum(bytes), 0)::bigint FROM hookrouter.record_writers"
_SEEN = b"UPDATE hookrouter.record_writers SET seen_at = clock_timestamp() WHERE slot = %s RETURNING slot"
_CLAIM = (
    b"UPDATE hookrouter.record_calls AS c SET epoch = %s "
    b"WHERE (c.asterisk = %s OR %s = '') AND c.outcome = 'live' AND (c.epoch < %s OR c.epoch = %s AND c.id < %s) "
    b"RETURNING " + _COLUMNS
)
_ROWS = b"SELECT " + _COLUMNS + b" FROM hookrouter.record_calls AS c WHERE c.id = ANY (%s)"
_PARTS = b"SELECT call, packed, data FROM hookrouter.record_parts WHERE call = ANY (%s) ORDER BY call, number"
_KEPT = (
    b"SELECT call, number, packed, CASE WHEN packed THEN '' ELSE data END, words FROM hookrouter.record_parts "
    b"WHERE call = ANY (%s) ORDER BY call, number"
)
_OLDEST = b"SELECT number, data FROM hookrouter.record_parts WHERE call = %s AND number > %s AND packed ORDER BY number LIMIT 1"
_FIRST = b"SELECT id FROM hookrouter.record_calls WHERE outcome = %s ORDER BY id LIMIT %s"
_OLD = (
    b"SELECT id FROM hookrouter.record_calls AS c WHERE id < %(id)s AND coalesce(ended_at, started_at) < %(before)s "
    b"AND (ended_at IS NOT NULL OR NOT EXISTS ("  # or it never ended, and nobody goes on with it
    b"SELECT FROM hookrouter.leases AS l WHERE l.entry = c.asterisk AND l.epoch = c.epoch AND NOT l.released)) "
    b"ORDER BY id LIMIT %(most)s"
)
# `%b` in the following is the condition.
_ALL = b"SELECT " + _COLUMNS + b" FROM hookrouter.record_calls AS c WHERE %b ORDER BY c.id DESC"
_GOING_ON = (
    b"SELECT "
    + _COLUMNS
    + (
        b", coalesce((SELECT string_agg(p.words, ' ') FROM hookrouter.record_parts AS p WHERE p.call = c.id), '') "
        b"FROM hookrouter.record_calls AS c WHERE c.outcome = 'live' AND %b"
    )
)
_AMONG_NEWEST = (
    b"WITH c AS MATERIALIZED (SELECT c.id, c.words, c.tags FROM hookrouter.record_calls AS c "
    b"WHERE c.outcome <> 'live' AND %b ORDER BY c.id DESC LIMIT %%(recent)s) "
    b"SELECT (SELECT count(*) FROM c), "
    b"array(SELECT c.id FROM c WHERE c.words @@ %%(words)s::tsquery AND %b ORDER BY c.id DESC LIMIT %%(limit)s)"
)
_BY_INDEX = (
    b"WITH c AS MATERIALIZED (SELECT id, call_id, route, outcome, caller, called, tenant, started_at, tags "
    b"FROM hookrouter.record_calls WHERE words @@ %%(words)s::tsquery LIMIT %%(most)s) "
    b"SELECT (SELECT count(*) FROM c), array(SELECT c.id FROM c WHERE %b AND %b ORDER BY c.id DESC LIMIT %%(limit)s)"
)


class _Changes:
    """What a batch comes to, as rows of the function's arrays. `of`: all its calls."""

    def __init__(self, of: Iterable[int] = ()) -> None:
        self.of = set(of)
        self.began: list[NewRow] = []
        self.unpacked: set[int] = set()
        self.dropped: dict[tuple[int, int], int] = {}  # (call, number) → entries
        self.parts: dict[tuple[int, int], tuple[bool, bytes, str]] = {}
        self.tags: dict[int, str] = {}
        self.over: list[Over] = []
        self.unkept: list[int] = []
        self.late: dict[int, list[bytes]] = {}

    def arguments(self, epochs: dict[int, int]) -> list[Any]:
        """In the function's order, from `m_id` on. `epochs`: under which each call is written."""
        over = [(one.row, one.part) for one in self.over if one.row is not None]
        rows = [*self.began, *(row for row, _ in over)]
        parts = [(id, number, *rest) for (id, number), rest in self.parts.items()]
        parts += [(row.id, part[0], True, part[1], "") for row, part in over if part is not None]
        return [
            *columns(((id, epoch) for id in self.of if (epoch := epochs.get(id)) is not None), 2),
            *columns(((row.id, epochs[row.id], row.call_id, row.asterisk, row.app, row.route, row.tenant, row.caller,
                       row.called, float(row.started_at)) for row in rows), 10),
            list(self.unpacked),
            *columns(((id, number, entries) for (id, number), entries in self.dropped.items()), 3),
            *columns(parts, 5),
            *columns(((id, _tags(tags)) for id, tags in self.tags.items()), 2),
            *columns(((one.id, float(one.end[0]), *one.end[1:4], _tags(one.end[4]), _words(one.words), one.total)
                      for one in self.over), 8),
            self.unkept,
            *columns(((id, pack(some), sum(map(len, some))) for id, some in self.late.items()), 3),
        ]  # fmt: skip


class RecordDatabase(Writing):
    """`read_only`: nothing is written but what is to be erased."""

    watched = True

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        """Raises StoreError: it cannot be reached, or has no record."""
        super().__init__()
        try:
            self.place = shown(url)
        except psycopg.Error:  # libpq's words may hold what is secret
            raise StoreError("HOOKROUTER_STORE: it is no address of PostgreSQL") from None
        self.epochs: dict[str, int] = {}
        self.connection = Link(url)
        self.reading = Link(url, _for_reading)
        self._bytes = 0
        self._slot, self._number, self._last = 0, 0, Batch()
        self._epoch_of: dict[int, int] = {}  # of each live call: that of its Asterisk when it was taken up
        self._changes = _Changes()
        try:
            with self._explained():
                self._open(read_only=read_only)
        except BaseException:
            self.close()
            raise

    def _open(self, *, read_only: bool) -> None:
        if read_only:
            query = b"SELECT to_regclass('hookrouter.record_calls') IS NOT NULL"
            if self._ask(lambda session: session.execute(query).fetchall()) != [(True,)]:
                raise StoreError(f"{self.place}: has no record of calls: name the database that `serve` has")
            return
        self.connection.run(lambda session: migrate(session, self.place), READING)
        ((self._slot, self._number),) = self._execute(b"SELECT * FROM hookrouter.enter_record_v1()")

    def close(self) -> None:
        self.connection.close()
        self.reading.close()

    def watch(self) -> None:
        """Ends what is overdue; called from another thread, again and again."""
        self.connection.watch()
        self.reading.watch()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except psycopg.Error as error:
            raise explain(self.place, error) from error

    def _execute(self, query: bytes, terms: Any = (), seconds: float = DEADLINE) -> list[tuple[Any, ...]]:
        """By the session that writes."""
        return self.connection.run(lambda session: session.execute(query, terms).fetchall(), seconds)

    def _ask(self, job: Callable[[Session], T]) -> T:
        """By the session that reads; where that has ended meanwhile, by the next one."""
        with self._explained():
            began = time.monotonic()
            try:
                return self.reading.run(job, READING)
            except psycopg.OperationalError:
                if time.monotonic() - began > _BROKEN:
                    raise
            return self.reading.run(job, READING)

    def last_id(self) -> int:
        """Ids are made of time."""
        return 0

    def next_id(self, last: int, at: float) -> int:
        """Of a call that begins at that instant; `last`: the one before it."""
        return max(last + SLOTS, id_at(at, self._slot))

    # ---- writing

    def write(self, batch: Batch) -> None:
        """See `Writing`. Raises StoreError; Hopeless: it will never be taken."""
        if batch is not self._last:
            self._number, self._last = self._number + 1, batch
        with self._explained():
            try:
                super().write(batch)
            except (psycopg.DataError, psycopg.IntegrityError) as error:
                raise Hopeless(str(explain(self.place, error))) from error

    def _begin(self, batch: Batch) -> None:
        began = {row.id: self.epochs.get(row.asterisk, 0) for row in batch.began}
        others = {*batch.facts, *(ending.id for ending in batch.ended)} - began.keys()
        self._changes = _Changes(began.keys() | others)
        self._epoch_of |= began
        if wanted := [id for id in others if id not in self._live]:
            for id, kept in self._kept_of(wanted).items():
                self._recall(id, kept)

    def _recall(self, id: int, kept: Kept) -> Live:
        if kept.row is not None:
            self._epoch_of[id] = self.epochs.get(kept.row.asterisk, 0)
        return super()._recall(id, kept)

    def forget(self, rows: Iterable[int]) -> None:
        super().forget(rows)
        for id in rows:
            self._epoch_of.pop(id, None)

    def _kept_of(self, ids: list[int]) -> dict[int, Kept]:
        rows = {row[0]: Row(*row) for row in self._execute(_ROWS, (ids,), READING)}
        found = {id: Kept(rows.get(id), 0, rows[id].bytes if id in rows else 0, []) for id in ids}
        for id, number, packed, data, words in self._execute(_KEPT, (ids,), READING):
            kept = found[id]
            if not packed:
                kept.parts.append(data)
            found[id] = kept._replace(number=number + 1, words=f"{kept.words} {words}")
        return found

    def _kept(self, id: int) -> Kept:
        return self._kept_of([id])[id]

    def _commit(self, ended: Sequence[Over]) -> None:
        changes = self._changes
        arguments = [self._slot, self._number, *changes.arguments(self._epoch_of)]
        size = sum(len(data) for _, data, _ in changes.parts.values())
        ((new,),) = self._execute(_WRITE, arguments, DEADLINE + len(changes.of) / 1000 + size / 1e6)
        if not new:  # what is remembered was read when it had been written, and has it twice
            for id in changes.of:
                self._live.pop(id, None)
        for id in (*changes.unkept, *(one.id for one in ended)):
            self._epoch_of.pop(id, None)

    def _undo(self) -> None:
        pass  # a statement is whole, or nothing of it is there

    def _put_rows(self, rows: Sequence[NewRow]) -> None:
        self._changes.began += rows

    def _put_part(self, id: int, live: Live, data: bytes, *, packed: bool) -> None:
        new = live.words - live.said
        live.said |= new
        self._changes.parts[id, live.number] = (packed, data, " ".join(new))

    def _put_tags(self, id: int, tags: str) -> None:
        self._changes.tags[id] = tags

    def _put_over(self, ended: Sequence[Over]) -> None:
        self._changes.over += ended

    def _put_late(self, id: int, part: bytes) -> None:
        self._changes.late.setdefault(id, []).append(part)

    def _drop_unpacked(self, id: int) -> None:
        changes = self._changes
        changes.unpacked.add(id)
        for key in [key for key, part in changes.parts.items() if key[0] == id and not part[0]]:
            del changes.parts[key]
        self._live[id].said.clear()  # its words go with them: the next part has them again

    def _oldest(self, id: int) -> tuple[int, bytes] | None:
        dropped = max((number for call, number in self._changes.dropped if call == id), default=-1)
        found = self._execute(_OLDEST, (id, dropped), READING)
        here = sorted((key[1], part[1]) for key, part in self._changes.parts.items() if key[0] == id and part[0])
        return next(iter([*found, *here]), None)

    def _leave_out(self, id: int, number: int, entries: int) -> None:
        self._changes.dropped[id, number] = entries
        self._changes.parts.pop((id, number), None)

    def _drop_call(self, id: int) -> None:
        self._changes.unkept.append(id)

    def own(self, entry: str, epoch: int) -> None:
        """Calls of this Asterisk are written under this epoch from now on."""
        self.epochs[entry] = epoch

    def claim(self, entry: str, epoch: int, first: int) -> list[tuple[Row, list[Entry]]]:
        """Live calls of an Asterisk that were written under a lower epoch are written under this one from now on.

        What is kept of each, the oldest first. What an earlier try may have claimed has an id below `first`. `entry`
        empty: those of all. Raises StoreError.
        """
        with self._explained():
            terms = (epoch, entry, entry, epoch, epoch, first)
            rows = sorted((Row(*row) for row in self._execute(_CLAIM, terms, READING)), key=lambda row: row.id)
            self.forget([row.id for row in rows])  # of an earlier time in which they were ours
            parts: dict[int, list[tuple[bool, bytes]]] = {row.id: [] for row in rows}
            ids = list(parts)
            for begin in range(0, len(ids), _AT_ONCE):
                for id, packed, data in self._execute(_PARTS, (ids[begin : begin + _AT_ONCE],), READING):
                    parts[id].append((packed, data))
        return [(row, whole_entries(parts[row.id])) for row in rows]

    # ---- reading

    def _rows(self, query: bytes, terms: Any) -> list[Row]:
        return [Row(*row) for row in self._ask(lambda session: session.execute(query, terms).fetchall())]

    def find(self, query: Query) -> list[Row]:
        """See `RecordFile.find`. Raises StoreError."""
        where, tags, terms = conditions(query)
        terms |= {"limit": query.limit}
        both = where + b" AND " + tags
        if not word_query(query):
            return self._rows(_ALL % both + b" LIMIT %(limit)s", terms)
        live = [] if query.outcome in ("good", "failed") else self._live_rows(both, terms)
        found = [row for row, words in live if fits(query.text, words)]
        if query.outcome != "live":
            found += self._over_rows(query, (where, tags), terms)
        return sorted(found, key=lambda row: row.id, reverse=True)[: query.limit]

    def _live_rows(self, where: bytes, terms: dict[str, Any]) -> list[tuple[Row, Iterable[str]]]:
        """Those that go on, each with its words."""
        found = self._ask(lambda session: session.execute(_GOING_ON % where, terms).fetchall())
        rows = [(Row(*row), words) for *row, words in found]
        return [(row, [*words_in(msgspec.structs.asdict(row)), *words.split()]) for row, words in rows]

    def _over_rows(self, query: Query, where: tuple[bytes, bytes], terms: dict[str, Any]) -> list[Row]:
        def asked(session: Session) -> list[int]:
            whole, begun = word_query(query), word_query(query, begun=True)
            found = _with_words(session, where, terms | {"words": whole})
            if len(found) < query.limit and begun != whole:
                found = _with_words(session, where, terms | {"words": begun})
            return found

        return self._rows(_ROWS + b" ORDER BY c.id DESC", (self._ask(asked),))

    def having(self, word: str) -> list[Row]:
        """All calls that have this whole word, the newest first. Raises StoreError."""
        live = [row for row, words in self._live_rows(b"true", {}) if word in set(words)]
        over = self._rows(_ALL % b"c.words @@ %(words)s::tsquery", {"words": f"'{plain(word)}'"})
        return sorted((*live, *over), key=lambda row: row.id, reverse=True)

    def entries(self, id: int) -> list[Entry]:
        """All that is kept of a call, in order, webhook bodies whole again. Raises StoreError."""
        found = self._ask(lambda session: session.execute(_PARTS, ([id],)).fetchall())
        return whole_entries((packed, data) for _, packed, data in found)

    # ---- keeping it small

    def trim(self, older_than: float, most_bytes: int, *, house: bool = True) -> bool:
        """See `RecordFile.trim`; `house`: whether that is this router's to do. Raises StoreError."""
        with self._explained():
            self._execute(_SEEN, (self._slot,))
            ((size,),) = self._execute(_SIZE)
            self._bytes = int(size)
            if not house:
                return False
            gone = self._execute(_OLD, {"id": id_at(older_than), "before": older_than, "most": _AT_ONCE})
            for outcome in ("good", "failed"):
                if not gone and self._bytes > most_bytes:
                    gone = self._execute(_FIRST, (outcome, _AT_ONCE))
            if gone:
                self._execute(_FORGET, (self._slot, [id for (id,) in gone]))
            return bool(gone)

    def erase(self, ids: Iterable[int]) -> None:
        """Forgets calls that are over. Raises StoreError."""
        with self._explained():
            self._execute(_FORGET, (self._slot, list(ids)), READING)

    def on_disk(self) -> int:
        """Bytes that the record of all routers takes, as of some seconds ago; for any thread."""
        return self._bytes


def _with_words(session: Session, where: tuple[bytes, bytes], terms: dict[str, Any]) -> list[int]:
    """The newest that have the words: each way is tried as far as it is quick, and only then to its end."""
    found: list[int] = []
    for recent, most in zip(_RECENT, (_SOME, None), strict=True):
        for query, bound in ((_AMONG_NEWEST, recent), (_BY_INDEX, most)):
            some = terms | {"recent": recent, "most": most}
            ((many, found),) = session.execute(query % where, some).fetchall()
            if bound is None or many < bound or (query is _AMONG_NEWEST and len(found) >= terms["limit"]):
                return found
    return found


def _for_reading(session: Session) -> None:
    """A plan that is begun by looking at every call is never the better one, nor is compiling it."""
    session.execute(b"SET enable_seqscan = off")
    session.execute(b"SET jit = off")


def _tags(tags: str) -> str:
    """JSON that PostgreSQL can read: there is no NUL in it."""
    if "\\u0000" not in tags:
        return tags
    found = msgspec.json.decode(tags, type=dict[str, str])
    return msgspec.json.encode({clean(name): clean(value) for name, value in found.items()}).decode()


def _words(text: str) -> str:
    """As the index has them."""
    return text if text.isascii() else " ".join(filter(None, map(plain, text.split())))


__all__ = ["RecordDatabase"]
