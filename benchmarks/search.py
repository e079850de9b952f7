"""How long the record takes to find calls: the first page (50 calls) among a million, by each filter.

    python -m benchmarks.search [CALLS]

Writes the calls straight into a record.db in a temporary folder (with their index, without bodies) and asks the same questions as
`GET /v1/calls`. Cold: each question's first time after the file was opened anew.
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

from hookrouter.record.file import RecordFile
from hookrouter.record.finding import Query
from hookrouter.record.words import index_text

FIRST = 1_700_000_000.0
EVERY = 0.6  # seconds from one call to the next: a million in a week
_WORDS = [f"word{number}" for number in range(5000)]
_ROW = f"INSERT INTO calls VALUES ({', '.join('?' * 17)})"


def rows(count: int, rng: random.Random) -> Iterator[tuple[tuple[Any, ...], str]]:
    """Calls as they are kept, and the words of each."""
    for id in range(1, count + 1):
        caller, called = f"+49{rng.randrange(30_000_000, 100_000_000)}", str(rng.randrange(1000, 1100))
        route, tenant = f"route-{rng.randrange(20)}", f"tenant-{rng.randrange(50)}"
        failed = rng.random() < 0.02
        sentence = "StasisStart got no usable answer after 3 attempts (timeout)" if failed else ""
        customer = str(rng.randrange(100_000, 999_999))
        said = [*rng.choices(_WORDS, k=25), "hello", "world", "sales", *sentence.lower().split(), caller[1:], called, customer]
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


def questions(count: int) -> dict[str, Query]:
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
        "page 2,000": Query(before=count - 100_000),
    }


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "record.db")
        began = time.perf_counter()
        fill(path, count)
        print(f"{count:,} calls in {time.perf_counter() - began:.0f} s, {path.stat().st_size / 1e6:,.0f} MB")
        worst = 0.0
        for name, query in questions(count).items():
            file = RecordFile(path)
            took = []
            for _ in range(3):
                began = time.perf_counter()
                found = len(file.find(query))
                took.append((time.perf_counter() - began) * 1000)
            file.close()
            worst = max(worst, took[0])
            print(f"{name:<42} {found:>3} calls  cold {took[0]:8.1f} ms  warm {min(took[1:]):8.1f} ms")
        print(f"the slowest: {worst:.0f} ms")


if __name__ == "__main__":
    main()
