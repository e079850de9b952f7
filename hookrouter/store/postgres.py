"""The journal and the notify queue in PostgreSQL: the group commit of `committing.py`, one function call a batch.

Rules:
- Three sessions: the writer's, one that reads, and one for leases. Each of their jobs has a deadline, and `Link.watch`
  keeps it.
- Several routers write to one database, each for the entries that it owns (hookrouter/cluster/terms.py). Their epochs are
  checked in the transaction of each batch. Of two routers with one name the second is refused while the first lives.
- After a reconnect the session of before is ended first: nothing of it can be written after what comes now.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Mapping
from typing import Any

import psycopg

from hookrouter import __version__
from hookrouter.clock import Clock
from hookrouter.cluster.leases import NOBODY, Identity
from hookrouter.cluster.terms import HOUSE
from hookrouter.errors import ConfigurationError, Fault, StoreError
from hookrouter.facts import Facts, Warned
from hookrouter.store import postgres_rows
from hookrouter.store.committing import Committing
from hookrouter.store.postgres_leases import QUERIES, PostgresLeases
from hookrouter.store.postgres_link import Link, Session, explain, shown
from hookrouter.store.queries import read_migrations
from hookrouter.store.retention import Retention
from hookrouter.telemetry.phrases import duration

_WATCH_EVERY = 0.25
LOOKED_EVERY = 5.0
HELD_BACK = 60.0
"""Seconds for which a session may hold a snapshot before that is told."""
_EXPECTED = "postgresql://user:password@host:5432/database is expected, with %40 for an @ in the password"
_STARTING = 60.0  # seconds that the first connection may take, with its migrations
_LOCK = 0x686F6F6B  # "hook": one router at a time migrates
_EARLIEST = 140_000  # server version


class PostgresStore(Committing[Link]):
    """See `Journal` and `DeliveryQueue`. `patience`: seconds after which a write that does not end counts as failed."""

    medium = "database"
    errors = (psycopg.Error,)

    def __init__(
        self,
        url: str,
        facts: Facts,
        clock: Clock | None = None,
        retention: Retention | None = None,
        patience: float = 1.0,
        identity: Identity = NOBODY,
    ) -> None:
        try:
            place = shown(url)
        except psycopg.Error:
            raise ConfigurationError(
                [Fault("HOOKROUTER_STORE", f"it is no address of PostgreSQL: {_EXPECTED}")]
            ) from None  # libpq's words may hold what is secret
        super().__init__(place, postgres_rows, explain, facts, clock, retention, patience)
        identity = Identity(identity.name or socket.gethostname(), identity.address)
        self.leases: PostgresLeases = PostgresLeases(url, place, identity, self)
        self._begun = False
        self._told_of: tuple[int, str] | None = None
        self._writer = Link(url, self._enter)
        self._reading = Link(url)

    async def start(self, lock_timeout: float = 15.0) -> None:
        """Connects, and makes or migrates the tables. `lock_timeout`: seconds to wait for a router that is there still.

        Raises StoreError.
        """
        self._writer.opening = _STARTING
        self._until = time.monotonic() + lock_timeout
        self._loop = asyncio.get_running_loop()
        self._watch()
        try:
            await asyncio.to_thread(self._writer.run, lambda session: None, _STARTING)
        except psycopg.Error as error:
            self._watching.cancel()
            raise explain(self._place, error) from error
        except StoreError:
            self._watching.cancel()
            raise
        self._writer.opening = Link.opening
        self._begin(self._writer, self._reading)
        self.leases.start(self._loop)
        self._look_back()

    async def close(self) -> None:
        """Writes what is still buffered, if the database lets us, and closes the connections."""
        if await self._end():
            await self.leases.stop()
            self._watching.cancel()

    def lost(self, error: BaseException) -> list[str]:
        if isinstance(error, psycopg.Error) and error.sqlstate == "HR001":
            return (error.diag.message_detail or "").split("\n")
        return []

    def hold(self, held: Mapping[str, int]) -> None:
        super().hold(held)
        self._writer.held = self._reading.held = held

    def _watch(self) -> None:
        self._writer.watch()
        self._reading.watch()
        self.leases.link.watch()
        self._watching = self._loop.call_later(_WATCH_EVERY, self._watch)

    def _look_back(self) -> None:
        """Who holds an old snapshot: nothing that was replaced since can be cleared away. One router of several looks."""

        def looked(found: Any, error: BaseException | None) -> None:
            oldest = found[0] if found and error is None else None
            self.leases.held_back = oldest[0] if oldest is not None else 0.0
            if oldest is not None and oldest[0] >= HELD_BACK and oldest[1:3] != self._told_of:
                self._told_of = oldest[1:3]
                self._facts.emit(Warned("database", _held_back(*oldest)))
            again()

        def again() -> None:
            if not self._closed:
                self._timers["look back"] = self._loop.call_later(LOOKED_EVERY, self._look_back)

        if HOUSE in self.held:
            self._reader.submit(lambda link: postgres_rows.read(link, "oldest_snapshot"), looked)
        else:
            self.leases.held_back = 0.0
            again()

    def _enter(self, session: Session) -> None:
        """Makes a new session the writer's, in its thread. Raises StoreError where another router has our name."""
        if not self._begun:
            migrate(session, self._place)
        me = self.leases.identity
        terms = (me.name, self.leases.word, me.address, __version__)
        while True:
            row = session.execute("SELECT hookrouter.enter_v1(%s, %s, %s, %s)", terms).fetchone()
            if row is None or row[0] is None:
                self._begun = True
                return
            if self._begun or time.monotonic() > self._until:
                raise StoreError(
                    f"{self._place}: another hookrouter of the name `{row[0]}` uses this store: "
                    "stop it, or give each a name of its own (`name` in [cluster])"
                )
            time.sleep(0.1)


def migrate(session: Session, place: str) -> None:
    """Brings the tables up to date, all or nothing. Raises StoreError for newer ones, or too old a server."""
    if session.info.server_version < _EARLIEST:
        raise StoreError(f"{place}: is PostgreSQL {session.info.server_version // 10_000}; 14 or newer is needed")
    scripts = read_migrations("migrations_postgres")
    with session.transaction():
        session.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        found = session.execute("SELECT to_regclass('hookrouter.schema') IS NOT NULL").fetchone()
        if found is None or not found[0]:
            session.execute("CREATE SCHEMA IF NOT EXISTS hookrouter")
            session.execute("CREATE TABLE hookrouter.schema (version integer NOT NULL)")
            session.execute("INSERT INTO hookrouter.schema VALUES (0)")
        row = session.execute("SELECT version FROM hookrouter.schema").fetchone()
        version = row[0] if row else 0
        if version > len(scripts):
            raise StoreError(
                f"{place}: was written by a newer hookrouter ({_newest(session)}schema {version}; this is {__version__}, which "
                f"knows schema {len(scripts)}): install the newer one, or set HOOKROUTER_STORE to another database"
            )
        for script in scripts[version:]:
            session.execute(script.encode())
        session.execute("UPDATE hookrouter.schema SET version = %s", (len(scripts),))


def _held_back(seconds: float, process: int, user: str, program: str, address: str, state: str) -> str:
    if not process:
        whose, remedy = f"the prepared transaction {program} of {user}", f"end it (`ROLLBACK PREPARED '{program}'`)"
    else:
        of = ", ".join(part for part in (program, address and f"from {address}", state) if part)
        whose = f"process {process} of the user {user}" + (f" ({of})" if of else "")
        remedy = f"end it (`SELECT pg_terminate_backend({process})`), and set idle_in_transaction_session_timeout for that user"
    return (
        f"{whose} has held a snapshot of the database for {duration(seconds)}: what has been replaced since cannot be cleared "
        f"away, and every write becomes slower. If nobody needs it, {remedy}"
    )


def _newest(session: Session) -> str:
    """Which version was there last, as far as its tables still tell that to an older one."""
    try:
        with session.transaction():
            row = session.execute(QUERIES["newest"], (__version__,)).fetchone()
    except psycopg.Error:
        return ""
    return f"{row[0]}, " if row else ""
