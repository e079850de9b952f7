"""How long the record takes to find calls: the first page (50 calls) among a million, by each filter.

    python -m benchmarks.search [CALLS] [STORE]

Writes the calls straight into a record.db in a temporary folder, or into an empty database (`postgresql://…`), with their index,
without bodies, and asks the same questions as `GET /v1/calls`. Cold: each question's first time after the record was opened anew.
"""

from __future__ import annotations

import random
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

from hookrouter.record.file import RecordFile
from hookrouter.record.finding import Query
from hookrouter.record.finding_postgres import id_at
from hookrouter.record.opening import open_record
from hookrouter.record.postgres import RecordDatabase
from hookrouter.record.words import index_text, words_in_text

FIRST = 1_700_000_000.0
EVERY = 0.6  # seconds from one call to the next: a million in a week
_WORDS = [f"word{number}" for number in range(5000)]
_INDEXES = b"SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'record_calls' AND indexname <> 'record_calls_pkey'"
_ROW = f"INSERT INTO calls VALUES ({', '.join('?' * 17)})"


def rows(count: int, rng: random.Random) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Calls as they are kept, and the words of each."""
    for id in range(1, count + 1):
        caller, called = f"+49{rng.randrange(30_000_000, 100_000_000)}", str(rng.randrange(1000, 1100))
        route, tenant = f"route-{rng.randrange(20)}", f"tenant-{rng.randrange(50)}"
        failed = rng.random() < 0.02
        sentence = "StasisStart got no usable answer after 3 attempts (timeout)" if failed else ""
        customer = str(rng.randrange(100_000, 999_999))
        said = [*rng.choices(_WORDS, k=25), "hello", "world", "sales", *words_in_text(sentence.encode()), caller[1:], called, customer]
        words = index_text([*said, f"{FIRST + id:.0f}", str(id), "customer", route.partition("-")[2]])
        started = FIRST + id * EVERY
        yield (
            (id, f"{started:.0f}.{id}", "main", "app", route, tenant, caller, called, started, started + 60,
             "failed" if failed else "good", "hangup", sentence, f'{{"customer":"{customer}"}}', zlib.compress(words.encode(), 1),
             4000, 0),
            words,
        )  # fmt: skip


def fill(path: Path, count: int) -> None:
    file = RecordFile(path)
    execute = file.connection.execute
    execute("BEGIN")
    for number, (row, words) in enumerate(rows(count, random.Random(7))):
        execute(_ROW, row)
        execute("INSERT INTO word_index (rowid, text) VALUES (?, ?)", (row[0], words))
        if number % 10_000 == 9_999:
            execute("COMMIT")
            execute("BEGIN")
    execute("COMMIT")
    file.close()


def fill_database(url: str, count: int) -> None:
    """As `fill` does."""
    RecordDatabase(url).close()  # which makes the tables
    with psycopg.connect(url, autocommit=True) as session:
        names = "id, call_id, asterisk, app, route, tenant, caller, called, started_at, ended_at, outcome, reason, sentence, tags"
        copy = f"COPY hookrouter.record_calls ({names}, bytes, left_out, words, epoch) FROM STDIN"
        indexes = session.execute(_INDEXES).fetchall()  # made afterwards: that takes a tenth of the time
        for name, _ in indexes:
            session.execute(f"DROP INDEX hookrouter.{name}".encode())
        with session.cursor().copy(copy.encode()) as into:
            for row, words in rows(count, random.Random(7)):
                into.write_row((id_at(row[8]), *row[1:14], *row[15:], words, 1))
        for _, made in indexes:
            session.execute(made.encode())
        session.execute("VACUUM ANALYZE hookrouter.record_calls")


def size_of(url: str) -> int:
    with psycopg.connect(url) as session:
        ((size,),) = session.execute("SELECT pg_total_relation_size('hookrouter.record_calls')").fetchall()
        return int(size)


def questions(count: int, page: int) -> dict[str, Query]:
    """`page`: the row of the call before which 100,000 are."""
    some = next(row for row, _ in rows(count // 2, random.Random(7)) if row[0] == min(count // 2, 5000))
    last = FIRST + count * EVERY
    return {
        "the newest": Query(),
        "those that failed": Query(outcome="failed"),
        "failed, in the last hour": Query(outcome="failed", since=last - 3600),
        "failed, of one route": Query(outcome="failed", route="route-7"),
        "of one tenant": Query(tenant="tenant-7"),
        "of one tenant that failed": Query(tenant="tenant-7", outcome="failed"),
        "a caller": Query(caller=some[6]),
        "a caller who never called": Query(caller="+1"),
        "a number that was called": Query(called="1042"),
        "an hour, three days ago": Query(since=last - 3 * 86_400, until=last - 3 * 86_400 + 3600),
        "the text of a number": Query(text=some[6]),
        "the beginning of a number": Query(text=some[6][:7]),
        "two digits that every number begins with": Query(text="+49"),
        "a word that every call has": Query(text="hello"),
        "words that few calls have": Query(text="word17 word4711"),
        "a word that no call has": Query(text="nothing"),
        "a word of those that failed": Query(text="timeout"),
        "a word, of one tenant": Query(text="sales", tenant="tenant-7"),
        "a word of those that failed, of one tenant": Query(text="sales", tenant="tenant-7", outcome="failed"),
        "a tag": Query(tags={"customer": some[13][13:19]}),
        "page 2,000": Query(before=page),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        place: Path | str = sys.argv[2] if len(sys.argv) > 2 else Path(folder, "record.db")
        if isinstance(place, str):
            fill_database(place, count)
            size, page = size_of(place), id_at(FIRST + (count - 100_000) * EVERY)
        else:
            fill(place, count)
            size, page = place.stat().st_size, count - 100_000
        print(f"{count:,} calls in {time.perf_counter() - began:.0f} s, {size / 1e6:,.0f} MB")
        worst = 0.0
        for name, query in questions(count, page).items():
            record = open_record(place)
            record.entries(0)  # a database has been connected to by then
            took = []
            for _ in range(3):
                began = time.perf_counter()
                found = len(record.find(query))
                took.append((time.perf_counter() - began) * 1000)
            record.close()
            worst = max(worst, took[0])
            print(f"{name:<42} {found:>3} calls  cold {took[0]:8.1f} ms  warm {min(took[1:]):8.1f} ms")
        print(f"the slowest: {worst:.0f} ms")


if __name__ == "__main__":
    main()
