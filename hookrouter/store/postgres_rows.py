"""What the threads do with a connection to PostgreSQL: one batch in one function call, and the reads.

Text has no NUL and no half of a character in PostgreSQL: each is replaced, on writing as on asking.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from hookrouter.cluster.terms import HOUSE
from hookrouter.delivery.queue import Filter, Progress, StoredDelivery, Window
from hookrouter.store.batch import Inserted, Rows
from hookrouter.store.postgres_leases import QUERIES, pairs
from hookrouter.store.postgres_link import Link, Session
from hookrouter.store.retention import Retention

CHUNK = 1000  # rows that one step of the retention deletes
DEADLINE = 5.0  # seconds that a batch or a step may take, and for each row a millisecond more
READING = 20.0

_TEXTS, _BYTES, _FLOATS, _INTS = "text[]", "bytea[]", "float8[]", "integer[]"
_ARGUMENTS = [
    _TEXTS, "bigint[]", "bigint", "boolean", "float8",
    _TEXTS, _TEXTS, _BYTES, _TEXTS,
    _TEXTS, _BYTES,
    _TEXTS, _TEXTS, _FLOATS, _BYTES,
    _TEXTS, _FLOATS, _TEXTS, _BYTES,
    _TEXTS, _TEXTS, _TEXTS, _TEXTS, _TEXTS, _TEXTS, _FLOATS, _BYTES, "boolean[]", _TEXTS,
    _TEXTS, _TEXTS, _TEXTS, _INTS, _FLOATS, _FLOATS, _TEXTS,
    _INTS, _FLOATS, _TEXTS, _INTS, _FLOATS, _TEXTS,
    _TEXTS, _TEXTS, _FLOATS,
]  # fmt: skip
_WRITE = f"SELECT * FROM hookrouter.write_v1({', '.join(f'%b::{kind}' for kind in _ARGUMENTS)})".encode()
_PROBE = b"SELECT * FROM hookrouter.fence_v1(%s, %s)"


def clean(text: str) -> str:
    """As PostgreSQL can keep it."""
    if text.isascii() and "\x00" not in text:
        return text
    return text.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()


def columns(rows: Iterable[Collection[Any]], amount: int) -> list[list[Any]]:
    """The rows turned into so many arrays, with their texts cleaned and their numbers of one kind."""
    found: list[list[Any]] = [[] for _ in range(amount)]
    for row in rows:
        for column, value in zip(found, row, strict=True):
            column.append(clean(value) if isinstance(value, str) else value)
    return found


def write(link: Link, rows: Rows) -> list[Inserted]:
    """Writes a batch; what `adds` came to, in their order."""
    link.batch += 1
    adds = [(d, group, strict) for group, (some, strict) in enumerate(rows.adds) for d in some]
    arguments = [
        *pairs(rows.held), link.batch, rows.again, float(rows.now),
        *columns(((c, a, s) for c, a, _, s in rows.calls), 3), *columns(rows.dropped, 1),
        *columns(rows.meta, 2),
        *columns(((c, a, float(e), s) for c, a, e, s in rows.finished), 4),
        *columns(((c, float(at), k, d) for c, at, k, d in rows.timeline), 4),
        *columns(((d.id, d.lane, d.route, d.url, d.call, d.type, float(d.created_at), d.body, strict,
                   d.asterisk or HOUSE) for d, _, strict in adds), 10),
        *columns(map(_step, rows.progress), 13),
        *columns(((m.lane, m.stopped_url, float(m.paused_until)) for m in rows.marks), 3),
    ]  # fmt: skip
    amount = len(rows.calls) + len(rows.timeline) + len(adds) + len(rows.progress) + len(rows.finished)
    found = link.run(lambda c: c.execute(_WRITE, arguments).fetchall(), DEADLINE + amount / 1000)
    new: list[set[tuple[str, str]]] = [set() for _ in rows.adds]
    predecessors: list[dict[tuple[str, str], str]] = [{} for _ in rows.adds]
    for place, predecessor in found:
        delivery, group, _ = adds[place - 1]
        new[group].add((delivery.id, delivery.lane))
        if predecessor is not None:
            predecessors[group][delivery.id, delivery.lane] = predecessor
    return [Inserted(frozenset(n), p) for n, p in zip(new, predecessors, strict=True)]


def _step(p: Progress) -> tuple[Any, ...]:
    next_at = p.next_at if p.status == "pending" else p.at
    first_at = None if p.first_at is None else float(p.first_at)
    step = (p.id, p.lane, p.status, p.attempts, first_at, float(next_at), p.reason)
    if p.failed is None:
        return (*step, None, None, None, None, None, None)
    f = p.failed
    return (*step, f.number, float(f.at), f.reason, f.status, float(f.seconds), f.detail)


def probe(link: Link) -> None:
    """Writes one small row and takes it away again: whether the database takes anything at all, and from us."""

    def asked(session: Session) -> None:
        session.execute(_PROBE, pairs(link.held))
        session.execute(
            b"INSERT INTO hookrouter.meta VALUES ('store.probe', '') ON CONFLICT (key) DO UPDATE SET value = ''"
        )
        session.execute(b"DELETE FROM hookrouter.meta WHERE key = 'store.probe'")

    link.run(asked, DEADLINE)


def read(link: Link, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    given = [clean(value) if isinstance(value, str) else value for value in arguments]
    return link.run(lambda c: c.execute(QUERIES[query], given).fetchall(), READING)


def read_window(link: Link, lane: str, now: float, limit: int, skip: Collection[str], hold: float | None) -> Window:
    """See `DeliveryQueue.due`. Only the heads of what is skipped are read, never their bodies."""
    lane = clean(lane)
    terms = {
        "entries": list(link.held),
        "lane": lane,
        "now": now,
        "since": None if hold is None else now - hold,
        "span": limit + len(skip),
    }

    def asked(session: Session) -> Window:
        heads = session.execute(QUERIES["due"], terms).fetchall()
        wanted = [seq for seq, delivery_id in heads if delivery_id not in skip][:limit]
        due = session.execute(QUERIES["deliveries"], (wanted,)).fetchall() if wanted else []
        row = session.execute(QUERIES["next_due"], (list(link.held), lane, now)).fetchone()
        return Window([StoredDelivery(*row) for row in due], row[0] if row else None)

    return link.run(asked, READING)


def _where(which: Filter) -> tuple[bytes, dict[str, Any]]:
    """The condition, of fixed parts only, and its terms."""
    terms: dict[str, Any] = {}
    parts = ["true"]
    for name, condition, value in (
        ("ids", "id = ANY (%(ids)s)", [clean(id) for id in which.ids] or None),
        ("routes", "route = ANY (%(routes)s::text[])", None if which.routes is None else [*map(clean, which.routes)]),
        ("status", "status = %(status)s", which.status),
        ("route", "route = %(route)s", clean(which.route) or None),
        ("call", "call = %(call)s", clean(which.call) or None),
        ("type", "type = %(type)s", clean(which.type) or None),
        ("reason", "reason = %(reason)s", clean(which.reason) or None),
        ("after", "created_at >= %(after)s", which.created_after),
        ("before", "created_at < %(before)s", which.created_before),
    ):
        if value is not None:
            parts.append(condition)
            terms[name] = value
    if which.status in ("delivered", "dead"):
        parts.append("status <> 'pending'")  # as the index of what is done has it
    return " AND ".join(parts).encode(), terms


def find(link: Link, which: Filter, limit: int, offset: int) -> list[StoredDelivery]:
    where, terms = _where(which)
    query, terms = QUERIES["find"].replace(b"{terms}", where), terms | {"limit": limit, "offset": offset}
    return [StoredDelivery(*row) for row in link.run(lambda c: c.execute(query, terms).fetchall(), READING)]


def _fenced(link: Link, query: bytes, terms: Any) -> tuple[list[tuple[Any, ...]], int]:
    """A write beside the batches: its rows and how many were changed."""

    def asked(session: Session) -> tuple[list[tuple[Any, ...]], int]:
        with session.transaction():
            session.execute(_PROBE, pairs(link.held))
            cursor = session.execute(query, terms)
            return (cursor.fetchall() if cursor.description else []), cursor.rowcount

    return link.run(asked, READING)


def revive(link: Link, which: Filter, now: float) -> dict[str, int]:
    if which.status not in (None, "dead"):
        return {}
    where, terms = _where(which)
    lanes: dict[str, int] = {}
    for (lane,) in _fenced(link, QUERIES["revive"].replace(b"{terms}", where), terms | {"now": now})[0]:
        lanes[lane] = lanes.get(lane, 0) + 1
    return lanes


def expire(link: Link, lane: str, before: float, now: float) -> int:
    return _fenced(link, QUERIES["expire"], (now, list(link.held), clean(lane), before))[1]


def trim(link: Link, retention: Retention, now: float) -> bool:
    """One step of the retention, by the router that keeps house; whether there is more to do."""
    if HOUSE not in link.held:
        return False
    r = retention
    deleted = [
        _fenced(link, QUERIES["trim_timeline"], (now - r.timeline_age, r.timeline_rows))[1],
        _fenced(link, QUERIES["trim_finished"], (now - r.finished_age, r.finished_rows))[1],
    ]
    for status, age, most in (("delivered", r.delivered_age, r.delivered_rows), ("dead", r.dead_age, r.dead_rows)):
        rows, _ = _fenced(link, QUERIES["trim_done"], {"status": status, "before": now - age, "most": most})
        deleted.append(rows[0][0])
    return max(deleted) >= CHUNK
