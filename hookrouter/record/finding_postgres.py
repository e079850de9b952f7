"""Which calls somebody looks for, as conditions of PostgreSQL; and words as its index has them. Pure.

Rules:
- Ids are made of time, so that an instant bounds them: there is no index of times.
- Letters are looked for without their marks: `büro` is found as `buro`, as SQLite does it.
"""

from __future__ import annotations

import unicodedata
from typing import Any

from hookrouter.record.finding import Query
from hookrouter.record.words import begun_of, words_of_text
from hookrouter.store.postgres_rows import clean

_GRAINS = 4096  # of a second, in an id; below them is the slot of the router
SLOTS = 1024
_SLACK = 60.0  # seconds by which a call's id may be off from its beginning: clocks are set, bursts count ahead


def id_at(at: float, slot: int = 0) -> int:
    """The id of a call that begins at that instant, by the router of that slot: below 2 ** 53 until 2038."""
    return int(at * _GRAINS) * SLOTS + slot


def plain(word: str) -> str:
    """Without marks."""
    if word.isascii():
        return word
    parts = unicodedata.normalize("NFD", word)
    return "".join(letter for letter in parts if not unicodedata.combining(letter))


def word_query(query: Query, *, begun: bool = False) -> str:
    """The tsquery for the words of `text` and of the tags; empty: there is nothing to look up.

    `begun`: words that only begin like the last one of `text` count, too.
    """
    words = [f"'{plain(word)}'" for word in words_of_text(query.text)]
    if begun and words and begun_of(query.text):
        words[-1] += ":*"
    for name, value in query.tags.items():
        words += [f"'{plain(word)}'" for word in words_of_text(f"{name} {value}")]
    return " & ".join(words)


def conditions(query: Query) -> tuple[bytes, bytes, dict[str, Any]]:
    """What a row `c` has to be, of fixed parts only: by its columns, which indexes know, and by its tags; and the terms.

    Words are not looked at.
    """
    where, terms = ["true"], dict[str, Any]()
    for column in ("call_id", "route", "outcome", "caller", "called"):
        if wanted := getattr(query, column):
            where.append(f"c.{column} = %({column})s")
            terms[column] = clean(wanted)
    if query.tenant is not None:
        where.append("c.tenant = %(tenant)s")
        terms["tenant"] = clean(query.tenant)
    if query.since is not None:
        where.append("c.id >= %(since_id)s AND c.started_at >= %(since)s")
        terms |= {"since": query.since, "since_id": id_at(max(query.since - _SLACK, 0.0))}
    if query.until is not None:
        where.append("c.id < %(until_id)s AND c.started_at < %(until)s")
        terms |= {"until": query.until, "until_id": id_at(max(query.until + _SLACK, 0.0))}
    if query.before is not None:
        where.append("c.id < %(before)s")
        terms["before"] = query.before
    tags = ["true"]
    for number, (name, value) in enumerate(query.tags.items()):
        terms[f"name{number}"] = clean(name)
        if value:
            tags.append(f"c.tags::jsonb ->> %(name{number})s = %(value{number})s")
            terms[f"value{number}"] = clean(value)
        else:
            tags.append(f"jsonb_exists(c.tags::jsonb, %(name{number})s)")
    return " AND ".join(where).encode(), " AND ".join(tags).encode(), terms


__all__ = ["SLOTS", "conditions", "id_at", "plain", "word_query"]
