"""Which calls somebody looks for, as SQL. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from hookrouter.record.words import match


class Query(msgspec.Struct, frozen=True):
    """Which calls. Empty fields mean any; `before`: the row id to go on from; instants in seconds since the epoch.

    `tags`: name → value, all of them; an empty value: whatever it is. `tenant` None: of all; "": of none.
    """

    text: str = ""
    call_id: str = ""
    route: str = ""
    outcome: str = ""
    caller: str = ""
    called: str = ""
    tenant: str | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None
    limit: int = 50
    tags: dict[str, str] = {}


class NewRow(msgspec.Struct, frozen=True):
    """A call that has begun. `id` rises with time."""

    id: int
    call_id: str
    asterisk: str
    app: str
    route: str
    tenant: str
    caller: str
    called: str
    started_at: float


class Row(NewRow, frozen=True):
    """One call as a list shows it. `outcome`: live, good or failed; `sentence`: why it failed; `tags`: JSON."""

    ended_at: float | None
    outcome: str
    reason: str
    sentence: str
    tags: str
    bytes: int
    left_out: int


COLUMNS = ", ".join(f"calls.{name}" for name in Row.__struct_fields__)
_SINCE = "(SELECT id FROM calls WHERE started_at >= ? ORDER BY started_at LIMIT 1)"


def words_of(query: Query, *, begun: bool = False) -> str:
    """The query of the index for the words of `text` and of the tags; empty: there is nothing to look up.

    `begun`: words that only begin like the last one of `text` count, too, which takes the index longer.
    """
    tags = (match(f"{name} {value}") for name, value in query.tags.items())
    return " AND ".join(filter(None, [match(query.text, begun=begun), *tags]))


def by_words(query: Query, *, begun: bool = False) -> tuple[str, list[Any]]:
    """What follows FROM, and its values, for calls that are over and have the words."""
    where, values = _conditions(query, "word_index.rowid", _by_index)
    return (
        f"word_index JOIN calls ON calls.id = word_index.rowid WHERE word_index MATCH ? AND {where} "
        "ORDER BY word_index.rowid DESC LIMIT ?",
        [words_of(query, begun=begun), *values, query.limit],
    )


def by_columns(query: Query, *, live: bool = False) -> tuple[str, list[Any]]:
    """The same without looking at words. `live`: only those that go on, all of them."""
    where, values = _conditions(query, "calls.id", _by_column)
    if live:
        return f"calls WHERE calls.outcome = 'live' AND {where} ORDER BY calls.id DESC", values
    return f"calls WHERE {where} ORDER BY calls.id DESC LIMIT ?", [*values, query.limit]


def _by_column(column: str) -> str:
    return f"calls.{column} = ?"


def _by_index(column: str) -> str:
    """The same asked of the column's own index: a word that most calls have is not a reason to read most calls."""
    index = f"calls AS own INDEXED BY calls_{column}"
    return f"EXISTS (SELECT 1 FROM {index} WHERE own.{column} = ? AND own.id = word_index.rowid)"


def _conditions(query: Query, id: str, equal: Callable[[str], str]) -> tuple[str, list[Any]]:
    """`id`: the column that is the list's order; a time bounds it, so that no more rows are read than needed."""
    where, values = ["1"], list[Any]()
    for column in ("call_id", "route", "outcome", "caller", "called"):
        if wanted := getattr(query, column):
            where.append(equal(column))
            values.append(wanted)
    for condition, value in (
        (equal("tenant"), query.tenant),
        (f"{id} >= {_SINCE}", query.since),
        ("+calls.started_at >= ?", query.since),
        ("+calls.started_at < ?", query.until),
        (f"{id} < coalesce({_SINCE}, 9223372036854775807)", query.until),
        (f"{id} < ?", query.before),
    ):
        if value is not None:
            where.append(condition)
            values.append(value)
    for name, value in query.tags.items():
        if value:
            where.append("EXISTS (SELECT 1 FROM json_each(calls.tags) AS tag WHERE tag.key = ? AND tag.value = ?)")
            values += [name, value]
        else:
            where.append("EXISTS (SELECT 1 FROM json_each(calls.tags) AS tag WHERE tag.key = ?)")
            values.append(name)
    return " AND ".join(where), values


__all__ = ["COLUMNS", "Query", "Row", "by_columns", "by_words", "words_of"]
