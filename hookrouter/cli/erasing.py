"""`hookrouter erase`: what is kept of one person, and taking it out before its time."""

from __future__ import annotations

import re
import sqlite3

import click

from hookrouter.cli.asking import give_up, store_option
from hookrouter.cli.calls import clock
from hookrouter.cli.options import refuse, say
from hookrouter.errors import ConfigurationError, StoreError
from hookrouter.record.file import RecordFile, Row
from hookrouter.store import open_store, record_path
from hookrouter.store.erasing import Kept, kept_of

_LEAST = 3  # characters: fewer would fit every call
_WORD = re.compile(rf"[^\W_]{{{_LEAST},64}}")


@click.command()
@click.argument("number")
@store_option
@click.option("--write", is_flag=True, help="Takes it out. Without it, it is only shown.")
def erase(number: str, store: str, write: bool) -> None:
    """Shows what is kept of the person with this NUMBER, and takes it out with --write.

    That is every recorded call that `hookrouter calls --text NUMBER` finds, whole, and what the journal has of it. The router
    must not run; with a journal in PostgreSQL, only the one whose record this is.
    """
    word = number.removeprefix("+").lower()
    if not _WORD.fullmatch(word):
        raise click.UsageError(
            f"NUMBER {number!r}: letters and digits of {_LEAST} or more are expected, as the list of `hookrouter calls` has it"
        )
    try:
        open_store(store)  # an address that names none is refused
        rows = _record(store, word, write)
        over = [row for row in rows if row.outcome != "live"]
        kept = kept_of(store, word, {row.call_id for row in over}, erase=write)
    except ConfigurationError as error:
        refuse(error)
    except (StoreError, OSError, sqlite3.Error) as error:
        give_up(str(error))
    _tell(number, over, len(rows) - len(over), kept, written=write)


def _record(store: str, word: str, write: bool) -> list[Row]:
    """The calls, the newest first; `write`: those that are over are taken out."""
    path = record_path(store)
    if path is None or not path.exists():
        return []
    file = RecordFile(path)
    try:
        rows = file.having(word)
        if write:
            file.erase([row.id for row in rows if row.outcome != "live"])
        return rows
    finally:
        file.close()


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
