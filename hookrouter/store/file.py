"""The store's file: who may have it, whether it can be read, and which schema it is.

Rules:
- One router, one file: a lock beside it (`PATH.lock`, given back by the system even on `kill -9`) refuses a second one.
- The connection locks the file too (`locking_mode=EXCLUSIVE`): a foreign program can neither block a commit nor
  checkpoint the log, which SQLite before 3.51.3 may answer with a corrupt file. Copy the file to look at it.
- An empty or absent file becomes a store by itself; an older schema is migrated in one transaction; a newer one is
  refused.
- A file that is corrupt is moved aside (`PATH.corrupt-TIME`) and an empty store begins: a router that takes calls
  without its past is worth more than one that takes none. The caller is told.

Source: https://www.sqlite.org/wal.html, https://www.sqlite.org/pragma.html#pragma_locking_mode.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from pathlib import Path

from hookrouter import __version__
from hookrouter.errors import StoreError
from hookrouter.store.private import check_folder, open_private, secure_database
from hookrouter.store.queries import read_migrations

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_CHECKED_SIZE = 64 * 1024 * 1024  # bytes: a larger file is not read through at the start, it would take too long
_REMEDIES = {
    sqlite3.SQLITE_FULL: "the disk is full: free some space",
    sqlite3.SQLITE_READONLY: "it is read-only: make the file, its directory and the file system writable",
    sqlite3.SQLITE_BUSY: "another process has locked it: end that process",
    sqlite3.SQLITE_LOCKED: "another process has locked it: end that process",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened: the directory must exist and be writable",
    sqlite3.SQLITE_IOERR: "the disk refuses to write: look at the system's log and at quotas and limits",
    sqlite3.SQLITE_CORRUPT: "it is corrupt: restart, which moves it aside",
}


def _primary_code(error: sqlite3.Error) -> int:
    code = getattr(error, "sqlite_errorcode", None)
    return (code & 0xFF) if isinstance(code, int) else sqlite3.SQLITE_ERROR


def explain(path: str, error: BaseException) -> StoreError:
    """What SQLite said, as an error that names the file, the fault and the remedy."""
    remedy = _REMEDIES.get(_primary_code(error)) if isinstance(error, sqlite3.Error) else None
    said = f"{type(error).__name__}: {error}"
    return StoreError(f"{path}: {remedy} ({said})" if remedy else f"{path}: {said}")


class FileLock:
    """Ownership of a file, for as long as this process lives. `remedy`: what to do where another process has it."""

    def __init__(
        self, path: Path, remedy: str = "stop it, or give this one its own HOOKROUTER_STORE", what: str = "this store"
    ) -> None:
        self._path = path.with_name(path.name + ".lock")
        self._remedy, self._what = remedy, what
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Raises StoreError where another process has it, or the directory cannot be written."""
        check_folder(self._path.parent)
        try:
            descriptor = open_private(self._path)
        except OSError as error:
            raise StoreError(
                f"{self._path}: {error.strerror}: the directory of the store must exist and be writable"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.read(descriptor, 32).decode("ascii", "replace").strip() or "unknown"
            os.close(descriptor)
            raise StoreError(
                f"{self._path}: another hookrouter (process {owner}) uses {self._what}: {self._remedy}"
            ) from error
        self._descriptor = descriptor
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, str(os.getpid()).encode("ascii"), 0)
        except OSError:
            pass  # a full disk: the name is a courtesy, the lock holds without it

    def release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def open_file(path: Path, lock_timeout: float = 15.0) -> tuple[sqlite3.Connection, str]:
    """The one connection, its schema up to date, and where a corrupt file was moved to (empty: it was not corrupt).

    `lock_timeout`: seconds to wait for a foreign program that has the file locked. Raises StoreError.
    """
    try:
        return _connect(path, lock_timeout), ""
    except sqlite3.DatabaseError as error:
        if _primary_code(error) not in _CORRUPT:
            raise explain(str(path), error) from error
    aside = path.with_name(f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    try:
        os.replace(path, aside)
        for ending in ("-wal", "-shm"):
            if (log := path.with_name(path.name + ending)).exists():
                os.replace(log, aside.with_name(aside.name + ending))
        return _connect(path, lock_timeout), str(aside)
    except (OSError, sqlite3.Error) as error:
        raise explain(str(path), error) from error


def _connect(path: Path, lock_timeout: float) -> sqlite3.Connection:
    with contextlib.suppress(OSError):  # SQLite says it with the remedy
        secure_database(path)
    fresh = not path.exists() or path.stat().st_size == 0
    connection = sqlite3.connect(path, timeout=lock_timeout, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE").fetchall()
        if fresh:
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL").fetchall()
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        for pragma in (
            "synchronous = FULL",
            "foreign_keys = ON",
            "journal_size_limit = 67108864",
            "wal_autocheckpoint = 4000",
            "temp_store = MEMORY",
        ):
            connection.execute(f"PRAGMA {pragma}").fetchall()
        migrate(connection, str(path))
        if path.stat().st_size <= _CHECKED_SIZE:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            if verdict != "ok":
                error = sqlite3.DatabaseError(verdict)
                error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
                raise error
        connection.execute("PRAGMA busy_timeout = 250").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Brings the schema up to date, each step whole or not at all. Raises StoreError for a newer schema."""
    scripts = read_migrations()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(scripts):
        raise StoreError(
            f"{name}: was written by a newer hookrouter (schema {version}; this is {__version__}, which knows schema "
            f"{len(scripts)}): install the newer one, or set HOOKROUTER_STORE to another file"
        )
    for number, script in enumerate(scripts[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE;\n{script}\nPRAGMA user_version = {number};\nCOMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
