"""Which store an address means: `sqlite:///var/lib/hookrouter/state.db` keeps, `memory:` forgets with the process."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol
from urllib.parse import unquote

from hookrouter.calls.journal import Journal
from hookrouter.clock import Clock
from hookrouter.delivery.queue import DeliveryQueue
from hookrouter.errors import ConfigurationError, Fault
from hookrouter.facts import Facts
from hookrouter.store.memory import MemoryStore
from hookrouter.store.retention import Retention
from hookrouter.store.sqlite import SqliteStore

DEFAULT_STORE = "sqlite:///./hookrouter.db"


class Store(Journal, DeliveryQueue, Protocol):
    """Both ports, of one place to keep things."""

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
) -> Store:
    """A store that is not started yet. Raises ConfigurationError for an address that names none."""
    facts = facts or Facts()
    if url in ("memory:", "memory://"):
        return MemoryStore(clock, retention)
    if url.startswith("sqlite:///") and len(url) > len("sqlite:///"):
        return SqliteStore(sqlite_path(url), facts, clock, retention)
    raise ConfigurationError(
        [Fault("HOOKROUTER_STORE", f"{url!r} is no store: sqlite:///path/to/file.db or memory: is expected")]
    )


def sqlite_path(url: str) -> Path:
    """The file that a `sqlite:///…` address names: absolute, unless it begins with `./` or `../` or is a bare name."""
    raw = unquote(url.removeprefix("sqlite:///"))
    relative = raw.startswith((".", "/")) or "/" not in raw
    return Path(raw if relative else "/" + raw)
