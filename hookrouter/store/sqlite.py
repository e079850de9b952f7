"""The journal and the notify queue in one SQLite file: the group commit of `committing.py` by one writer thread."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from hookrouter.clock import Clock
from hookrouter.facts import Facts, Warned
from hookrouter.store import rows
from hookrouter.store.committing import Committing
from hookrouter.store.file import FileLock, explain, open_file
from hookrouter.store.retention import Retention


class SqliteStore(Committing[sqlite3.Connection]):
    """See `Journal` and `DeliveryQueue`. `patience`: seconds after which a write that does not end counts as failed."""

    errors = (sqlite3.Error,)

    def __init__(
        self,
        path: Path,
        facts: Facts,
        clock: Clock | None = None,
        retention: Retention | None = None,
        patience: float = 1.0,
    ) -> None:
        super().__init__(str(path), rows, explain, facts, clock, retention, patience)
        self._path = path
        self._lock = FileLock(path)

    async def start(self, lock_timeout: float = 15.0) -> None:
        """Opens the file, or makes it. `lock_timeout`: seconds to wait for one that is locked. Raises StoreError."""
        self._lock.acquire()
        try:
            connection, aside = await asyncio.to_thread(open_file, self._path, lock_timeout)
        except BaseException:
            self._lock.release()
            raise
        self._begin(connection)
        if aside:
            self._facts.emit(
                Warned(
                    "journal",
                    f"{self._path} was corrupt and has been moved to {aside}; an empty journal begins: "
                    "earlier calls are adopted as unknown ones, and earlier deliveries are in that file",
                )
            )

    async def close(self) -> None:
        """Writes what is still buffered, if the disk lets us, and gives the file back."""
        if await self._end():
            self._lock.release()
