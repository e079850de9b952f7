"""Which store an address means: `sqlite:///var/lib/hookrouter/state.db` and `postgresql://…` keep, `memory:` forgets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote

from hookrouter.calls.journal import Journal
from hookrouter.clock import Clock
from hookrouter.cluster.leases import NOBODY, Identity, Leases
from hookrouter.delivery.queue import DeliveryQueue
from hookrouter.errors import ConfigurationError, Fault, extra
from hookrouter.facts import Facts
from hookrouter.store.memory import MemoryStore
from hookrouter.store.retention import Retention
from hookrouter.store.sqlite import SqliteStore

_POSTGRES = ("postgresql://", "postgres://")
DEFAULT_STORE = "sqlite:///./hookrouter.db"


class Store(Journal, DeliveryQueue, Protocol):
    """Both ports, of one place to keep things. `leases`: None where one router has all of it."""

    @property
    def leases(self) -> Leases | None: ...

    async def start(self) -> None:
        """Opens it in the running event loop. Raises StoreError: in use, locked, read-only, or of a newer version."""
        ...

    async def close(self) -> None:
        """Writes what is buffered and gives the place back. May be called twice."""
        ...


def open_store(
    url: str = DEFAULT_STORE,
    facts: Facts | None = None,
    clock: Clock | None = None,
    retention: Retention | None = None,
    identity: Identity = NOBODY,
) -> Store:
    """A store that is not started yet. `identity`: of this router among those that share it.

    Raises ConfigurationError for an address that names none.
    """
    facts = facts or Facts()
    if url in ("memory:", "memory://"):
        return MemoryStore(clock, retention)
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return SqliteStore(sqlite_path(url), facts, clock, retention)
    if is_postgres(url):
        return _postgres(url, facts, clock, retention, identity)
    wanted = "sqlite:///path/to/file.db, postgresql://user@host/database or memory: is expected"
    raise ConfigurationError([Fault("HOOKROUTER_STORE", f"{url!r} is not a store: {wanted}")])


def read_group(url: str) -> dict[str, Any]:
    """See `hookrouter.store.postgres_leases.read_group`. Raises ConfigurationError where one router has it all."""
    if not is_postgres(url):
        fault = f"{url} is one router's alone: several share a database, postgresql://user@host/database"
        raise ConfigurationError([Fault("HOOKROUTER_STORE", fault)])
    _postgres(url, Facts(), None, None, NOBODY)
    from hookrouter.store.postgres_leases import read_group as read

    return read(url)


def _postgres(url: str, facts: Facts, clock: Clock | None, retention: Retention | None, identity: Identity) -> Store:
    try:
        from hookrouter.store.postgres import PostgresStore  # an extra, and only where it is used
    except ImportError as error:
        fault = f"postgresql:// needs {error.name}: {extra('postgres')}"
        raise ConfigurationError([Fault("HOOKROUTER_STORE", fault)]) from error
    return PostgresStore(url, facts, clock, retention, identity=identity)


def is_postgres(url: str) -> bool:
    """Whether an address is one of PostgreSQL."""
    return url.startswith(_POSTGRES)


def sqlite_path(url: str) -> Path:
    """The file that a `sqlite:///…` address names: absolute, unless it begins with `./` or `../` or is a bare name."""
    raw = unquote(url.removeprefix("sqlite:///"))
    relative = raw.startswith((".", "/")) or "/" not in raw
    return Path(raw if relative else "/" + raw)


def record_place(url: str) -> Path | str | None:
    """Where the record of calls is: `record.db` beside the journal, or in the same database; None: in memory, as the journal is."""
    if is_postgres(url):
        return url
    return sqlite_path(url).with_name("record.db") if url.startswith("sqlite:///") else None
