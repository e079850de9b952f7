"""What the writer thread does with the connection: one batch in one transaction, and the reads.

Nothing here knows the event loop. Every function takes the one connection there is, in autocommit mode.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from typing import Any

import msgspec

from hookrouter.delivery.queue import Filter, NewDelivery, Progress, StoredDelivery, Window
from hookrouter.store.batch import Inserted, Rows
from hookrouter.store.queries import QUERIES
from hookrouter.store.retention import Retention

CHUNK = 1000  # rows that one step of the retention deletes: commits wait no longer than for that


def transaction(connection: sqlite3.Connection) -> sqlite3.Connection:
    """`with transaction(connection):` is all or nothing, and on disk when it ends: the connection itself commits or rolls back."""
    connection.execute("BEGIN IMMEDIATE")
    return connection


def write(connection: sqlite3.Connection, rows: Rows) -> list[Inserted]:
    """Writes a batch; what `adds` came to, in their order."""
    with transaction(connection):
        many = connection.executemany
        if rows.calls:
            many(QUERIES["save_call"], rows.calls)
        if rows.dropped:
            many(QUERIES["drop_call"], rows.dropped)
        if rows.finished:
            many(QUERIES["add_finished"], rows.finished)
        if rows.timeline:
            many(QUERIES["add_timeline"], rows.timeline)
        for key, value in rows.meta:
            if value is None:
                connection.execute(QUERIES["drop_meta"], (key,))
            else:
                connection.execute(QUERIES["put_meta"], (key, value))
        numbers = [_insert(connection, deliveries) for deliveries, _ in rows.adds]
        for step in rows.progress:
            _record(connection, step)
        inserted = [
            Inserted(frozenset(new), _predecessors(connection, deliveries, new, strict))
            for new, (deliveries, strict) in zip(numbers, rows.adds, strict=True)
        ]
        for mark in rows.marks:
            if mark.stopped_url or mark.paused_until > rows.now:
                connection.execute(QUERIES["mark_lane"], (mark.lane, mark.stopped_url, mark.paused_until))
            else:
                connection.execute(QUERIES["unmark_lane"], (mark.lane,))
    return inserted


def probe(connection: sqlite3.Connection) -> None:
    """Writes one small row and takes it away again: whether the disk takes anything at all."""
    with transaction(connection):
        connection.execute(QUERIES["put_meta"], ("store.probe", b""))
    with transaction(connection):
        connection.execute(QUERIES["drop_meta"], ("store.probe",))


def _insert(connection: sqlite3.Connection, deliveries: tuple[NewDelivery, ...]) -> dict[tuple[str, str], int]:
    """The numbers of those that were not there before."""
    new: dict[tuple[str, str], int] = {}
    for d in deliveries:
        cursor = connection.execute(
            QUERIES["add_delivery"],
            (d.id, d.lane, d.route, d.url, d.call, d.type, d.created_at, d.created_at, d.body),
        )
        if cursor.rowcount == 1 and cursor.lastrowid is not None:
            new[d.id, d.lane] = cursor.lastrowid
    return new


def _predecessors(
    connection: sqlite3.Connection,
    deliveries: tuple[NewDelivery, ...],
    new: dict[tuple[str, str], int],
    strict: bool,
) -> dict[tuple[str, str], str]:
    query = QUERIES["last_pending_of_call" if strict else "last_untried_of_call"]
    found: dict[tuple[str, str], str] = {}
    for d in deliveries:
        number = new.get((d.id, d.lane))
        if d.call and number is not None:
            row = connection.execute(query, (d.lane, d.call, number)).fetchone()
            if row is not None:
                found[d.id, d.lane] = row[0]
    return found


def _record(connection: sqlite3.Connection, p: Progress) -> None:
    if p.status == "delivered":
        connection.execute(QUERIES["record_delivered"], (p.attempts, p.first_at, p.at, p.reason, p.id, p.lane))
    else:
        next_at = p.next_at if p.status == "pending" else p.at
        connection.execute(
            QUERIES["record_failed"], (p.status, p.attempts, p.first_at, next_at, p.reason, p.id, p.lane)
        )
    if p.failed is not None:
        f = p.failed
        connection.execute(
            QUERIES["add_attempt"], (f.number, f.at, f.reason, f.status, f.seconds, f.detail, p.id, p.lane)
        )


def read(connection: sqlite3.Connection, query: str, *arguments: object) -> list[tuple[Any, ...]]:
    return connection.execute(QUERIES[query], arguments).fetchall()


def read_window(
    connection: sqlite3.Connection, lane: str, now: float, limit: int, skip: Collection[str], hold: float | None
) -> Window:
    """See `DeliveryQueue.due`. Only the heads of what is skipped are read, never their bodies."""
    span = limit + len(skip)
    if hold is None:
        found = connection.execute(QUERIES["due"], (lane, now, span)).fetchall()
    else:
        found = connection.execute(QUERIES["due_strict"], (lane, now, span, now - hold)).fetchall()
    wanted = [seq for seq, delivery_id in found if delivery_id not in skip][:limit]
    due = [StoredDelivery(*connection.execute(QUERIES["delivery"], (seq,)).fetchone()) for seq in wanted]
    (next_at,) = connection.execute(QUERIES["next_due"], (lane, now)).fetchone()
    return Window(due, next_at)


def _terms(which: Filter) -> dict[str, Any]:
    terms = msgspec.structs.asdict(which)
    terms["after"] = terms.pop("created_after")
    terms["before"] = terms.pop("created_before")
    terms["ids"] = json.dumps(which.ids) if which.ids else None
    terms["routes"] = json.dumps(which.routes) if which.routes is not None else None
    return terms


def find(connection: sqlite3.Connection, which: Filter, limit: int, offset: int) -> list[StoredDelivery]:
    if which.ids:
        query = "find_ids"
    else:
        query = "find_done" if which.status in ("delivered", "dead") else "find_all"
    terms = _terms(which) | {"limit": limit, "offset": offset}
    return [StoredDelivery(*row) for row in connection.execute(QUERIES[query], terms)]


def revive(connection: sqlite3.Connection, which: Filter, now: float) -> dict[str, int]:
    if which.status not in (None, "dead"):
        return {}
    lanes: dict[str, int] = {}
    with transaction(connection):
        for (lane,) in connection.execute(QUERIES["revive"], _terms(which) | {"now": now}).fetchall():
            lanes[lane] = lanes.get(lane, 0) + 1
    return lanes


def expire(connection: sqlite3.Connection, lane: str, before: float, now: float) -> int:
    with transaction(connection):
        return connection.execute(QUERIES["expire"], (lane, before, now)).rowcount


def trim(connection: sqlite3.Connection, retention: Retention, now: float) -> bool:
    """One step of the retention; whether there is more to do. Gives freed pages back to the file system."""
    r = retention
    with transaction(connection):
        deleted = max(
            connection.execute(QUERIES[query], terms).rowcount
            for query, terms in (
                ("trim_timeline", (now - r.timeline_age, r.timeline_rows)),
                ("trim_finished", (now - r.finished_age, r.finished_rows)),
                ("trim_done", ("delivered", now - r.delivered_age, r.delivered_rows)),
                ("trim_done", ("dead", now - r.dead_age, r.dead_rows)),
            )
        )
    connection.execute(f"PRAGMA incremental_vacuum({CHUNK})").fetchall()
    return deleted >= CHUNK
