"""Leases in PostgreSQL, over a session of their own: a batch that hangs must not cost a router what it owns."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg

from hookrouter.calls.call import VERSION
from hookrouter.cluster.leases import Identity, Known
from hookrouter.cluster.terms import LEASE, Lease, Peer, Seen
from hookrouter.errors import StoreError
from hookrouter.store.postgres_link import Link, Session, explain, shown
from hookrouter.store.queries import read_queries
from hookrouter.store.writer import WriterThread

T = TypeVar("T")

DEADLINE = 2.0
TAKE = b"SELECT hookrouter.take_v2(%s, %s, %s, %s, %s, %s)"
TAKE_OFFERED = b"SELECT hookrouter.take_offered_v2(%s, %s, %s, %s, %s)"
QUERIES = {name: query.encode() for name, query in read_queries("queries_postgres.sql").items()}


def pairs(held: Mapping[str, int]) -> tuple[list[str], list[int]]:
    """Entries and their epochs, as the functions want them."""
    return list(held), list(held.values())


def read_group(url: str) -> dict[str, Any]:
    """`entries` (who owns what, and for how many seconds) and `routers` (and how long ago each was seen). Raises StoreError."""

    def asked(session: Session) -> dict[str, Any]:
        owned = session.execute(QUERIES["owners"]).fetchall()
        routers = session.execute(QUERIES["routers"]).fetchall()
        return {
            "entries": [
                dict(zip(("entry", "router", "address", "epoch", "seconds", "owned"), row, strict=True))
                for row in owned
            ],
            "routers": [dict(zip(("name", "address", "version", "seconds"), row, strict=True)) for row in routers],
        }

    link = Link(url)
    try:
        return link.run(asked, DEADLINE)
    except psycopg.Error as error:
        if error.sqlstate in ("42P01", "3F000"):
            raise StoreError(f"{shown(url)}: no router that knows of others has used it yet: start one") from error
        raise explain(shown(url), error) from error
    finally:
        link.close()


class PostgresLeases:
    """See `hookrouter.cluster.leases.Leases`. `store`: what writes under them."""

    def __init__(self, url: str, place: str, identity: Identity, store: Any) -> None:
        self.word = secrets.token_hex(8)
        self.identity = identity
        self.format = VERSION
        self.held_back = 0.0
        self.link = Link(url)
        self._place = place
        self._store = store
        self._thread: WriterThread[Link] | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._thread = WriterThread(loop, self.link)
        self._thread.start()

    async def stop(self) -> None:
        if self._thread is not None:
            await self._thread.stop()

    async def look(self) -> Seen:
        return await self._run(self._seen)

    async def routers(self) -> list[Known]:
        return await self._run(lambda session: [Known(*row) for row in session.execute(QUERIES["routers"]).fetchall()])

    async def renew(self, held: Mapping[str, int]) -> Seen:
        def asked(session: Session) -> Seen:
            session.execute(b"SELECT hookrouter.renew_v1(%s, %s, %s, %s)", (self.word, *pairs(held), LEASE))
            return self._seen(session)

        return await self._run(asked)

    async def take(self, entry: str, seen: int, *, suspected: bool = False, offered: bool = False) -> int | None:
        def asked(session: Session) -> int | None:
            terms = (self.word, entry, seen, LEASE)
            try:
                if offered:
                    row = session.execute(TAKE_OFFERED, (*terms, self.format)).fetchone()
                else:
                    row = session.execute(TAKE, (*terms, suspected, self.format)).fetchone()
            except psycopg.Error as error:
                if error.sqlstate == "HR002":
                    return None
                raise
            return row[0] if row else None

        return await self._run(asked)

    async def offer(self, entry: str, epoch: int, number: int) -> bool:
        def asked(session: Session) -> bool:
            terms = (self.word, entry, epoch, number)
            row = session.execute(b"SELECT hookrouter.offer_v1(%s, %s, %s, %s)", terms).fetchone()
            return bool(row and row[0])

        return await self._run(asked)

    async def release(self, held: Mapping[str, int]) -> None:
        terms = (self.word, *pairs(held))
        await self._run(lambda session: session.execute(b"SELECT hookrouter.release_v1(%s, %s, %s)", terms))

    def hold(self, held: Mapping[str, int]) -> None:
        self._store.hold(held)

    def forget(self, entry: str) -> None:
        self._store.forget(entry)

    def watch(self, lost: Callable[[list[str]], None]) -> None:
        self._store.on_lost = lost

    def _seen(self, session: Session) -> Seen:
        leases = [Lease(*row) for row in session.execute(QUERIES["leases"]).fetchall()]
        others = session.execute(QUERIES["others"], (self.word,)).fetchall()
        return Seen(leases, len(others), [Peer(name, address) for name, address, runs in others if runs])

    async def _run(self, job: Callable[[Session], T]) -> T:
        assert self._thread is not None
        try:
            return await self._thread.call(lambda link: link.run(job, DEADLINE))
        except psycopg.Error as error:
            raise explain(self._place, error) from error
