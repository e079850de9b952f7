"""`hookrouter erase`: what is kept of one person, and taking it out before its time."""

from __future__ import annotations

import contextlib
import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import click

from hookrouter.cli.asking import give_up, store_option
from hookrouter.cli.calls import clock
from hookrouter.cli.options import refuse, say
from hookrouter.errors import ConfigurationError, StoreError
from hookrouter.record.finding import Row
from hookrouter.record.opening import Opened, open_record
from hookrouter.store import open_store, record_place
from hookrouter.store.erasing import Kept, kept_of
from hookrouter.store.file import FileLock

_LEAST = 3  # characters: fewer would fit every call
_WORD = re.compile(rf"[^\W_]{{{_LEAST},64}}")


@click.command()
@click.argument("number")
@store_option
@click.option("--write", is_flag=True, help="Takes it out. Without it, it is only shown.")
def erase(number: str, store: str, write: bool) -> None:
    """Shows what is kept of the person with this NUMBER, and takes it out with --write.

    That is every recorded call that `hookrouter calls --text NUMBER` finds, whole, and what the journal has of it. The router
    must not run; with PostgreSQL routers go on.
    """
    word = number.removeprefix("+").lower()
    if not _WORD.fullmatch(word):
        raise click.UsageError(
            f"NUMBER {number!r}: letters and digits of {_LEAST} or more are expected, as the list of `hookrouter calls` has it"
        )
    try:
        open_store(store)  # an address that names none is refused
        with _record(store) as record:
            rows = record.having(word) if record is not None else []
            over = [row for row in rows if row.outcome != "live"]
            kept = kept_of(store, word, {row.call_id for row in over}, erase=write)
            if write and record is not None:  # last: by it the journal's part is found
                record.erase([row.id for row in over])
    except ConfigurationError as error:
        refuse(error)
    except (StoreError, OSError, sqlite3.Error) as error:
        give_up(str(error))
    _tell(number, over, len(rows) - len(over), kept, written=write)


@contextlib.contextmanager
def _record(store: str) -> Iterator[Opened | None]:
    """The record of the journal, if there is one. Raises StoreError while a router has its file."""
    place = record_place(store)
    if place is None or (isinstance(place, Path) and not place.exists()):
        yield None
        return
    if isinstance(place, Path):
        lock = FileLock(place, "stop it, and start it again afterwards", "this record")
        lock.acquire()
        lock.release()
    record = open_record(place, read_only=isinstance(place, str))
    try:
        yield record
    finally:
        record.close()


def _tell(number: str, over: list[Row], live: int, kept: Kept, *, written: bool) -> None:
    for row in over:
        say(
            f"  {clock(row.started_at)}  {row.caller or 'nobody'} → {row.called or 'nobody'}  {row.route}  {row.call_id}"
        )
    found = [
        _many(len(over), "recorded call", "recorded calls"),
        _many(kept.deliveries, "delivery that is over", "deliveries that are over"),
        _many(kept.lines, "line of the journal", "lines of the journal"),
    ]
    say(f"{number}: {', '.join(found)}{'; erased.' if written else '; nothing was erased: --write does it.'}")
    if live or kept.pending:
        going = _many(live, "call that goes on", "calls that go on")
        on_the_way = _many(kept.pending, "delivery on its way", "deliveries on their way")
        say(f"{going} and {on_the_way} stay: they are work. Run it again when they are over.")
    say("Recordings are in Asterisk, the log is your system's, and endpoints have copies of their own.")


def _many(count: int, one: str, more: str) -> str:
    return f"{count} {one if count == 1 else more}"
