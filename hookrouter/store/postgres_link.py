"""One connection to PostgreSQL: opened when it is needed, thrown away when it is in doubt, and never waited for too long.

Rules:
- A statement is a transaction; nothing is ever cancelled. What does not end within its deadline loses its socket, and
  counts as not written: it is written again over another connection, where it may be found already.
- After every error but one in the statement itself the connection goes: behind a host that has been switched over it may
  lead to a server that only reads.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from hookrouter.errors import StoreError

T = TypeVar("T")
Session = psycopg.Connection[tuple[Any, ...]]

CONNECT_TIMEOUT = 2
_DEFAULTS = {
    "connect_timeout": str(CONNECT_TIMEOUT),
    "target_session_attrs": "read-write",
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "3",
    "application_name": "hookrouter",
    "client_encoding": "utf8",
    "options": "-c client_connection_check_interval=1000 -c lock_timeout=4000 -c synchronous_commit=on",
}
_OF_THE_STATEMENT = (psycopg.DataError, psycopg.IntegrityError, psycopg.ProgrammingError, psycopg.NotSupportedError)
_REMEDIES = {
    "28": "it refuses this user: look at the user and password in HOOKROUTER_STORE and at pg_hba.conf",
    "3D": "there is no such database: make it (`createdb`), and name it in HOOKROUTER_STORE",
    "42501": "the user may not do that: it must own the database, or be granted CREATE on it",
    "53": "it has no room left, on disk, in memory or for connections: make some",
    "25006": "it is read-only, a standby or a full one: name every host in HOOKROUTER_STORE, the one that writes is taken",
    "HR001": "another router has taken over what this one has been writing for",
    "57": "it is being ended or started, or gave up: look whether it runs",
    "08": "it cannot be reached, or does not answer: look whether it runs",
}
_SAID = {
    "authentication failed": "28",
    "no password supplied": "28",
    "pg_hba.conf": "28",
    " does not exist": "3D",
    "read-only": "25006",
    "too many": "53",
    "starting up": "57",
    "shutting down": "57",
}


def explain(place: str, error: BaseException) -> StoreError:
    """What PostgreSQL or the way to it said, as an error that names the place, the fault and the remedy."""
    if isinstance(error, StoreError):
        return error
    said = f"{type(error).__name__}: {' '.join(str(error).split())}"
    if not isinstance(error, psycopg.Error):
        return StoreError(f"{place}: {said}")
    code = error.sqlstate or ""
    if not code and isinstance(error, psycopg.OperationalError):  # on connecting there is nothing but the message
        code = next((code for words, code in _SAID.items() if words in said), "08")
    remedy = _REMEDIES.get(code) or _REMEDIES.get(code[:2])
    return StoreError(f"{place}: {remedy} ({said})" if remedy else f"{place}: {said}")


def shown(url: str) -> str:
    """The address without what is secret in it. Raises psycopg.ProgrammingError for one that is none."""
    parts = conninfo_to_dict(url)
    where = ",".join(f"{host}:{port}" for host, port in _hosts(parts))
    return f"postgresql://{where}/{parts.get('dbname', '')}"


def _hosts(parts: dict[str, Any]) -> list[tuple[str, str]]:
    hosts = str(parts.get("host") or parts.get("hostaddr") or "localhost").split(",")
    ports = str(parts.get("port") or "5432").split(",")
    return [(host, ports[min(index, len(ports) - 1)]) for index, host in enumerate(hosts)]


class Link:
    """Belongs to one thread, but for `watch`. `opened` is called with each new session before it is used, and may take
    `opening` seconds. `held` is what its router owns, entry → epoch; each batch has a greater number.
    """

    held: Mapping[str, int] = {}
    batch = 0
    opening = 8.0

    def __init__(self, url: str, opened: Callable[[Session], None] | None = None) -> None:
        given = {key: value for key, value in conninfo_to_dict(url).items() if value is not None}
        self._conninfo = make_conninfo("", **{**_DEFAULTS, **given})
        self._opened = opened
        self._session: Session | None = None
        self._socket: socket.socket | None = None  # the session's own, kept to end it from another thread
        self._lock = threading.Lock()
        self._deadline = float("inf")

    def run(self, job: Callable[[Session], T], seconds: float) -> T:
        """The job's result; it loses its connection after `seconds`. Raises psycopg.Error."""
        try:
            session = self._session or self._open()
            self._limit(seconds)
            return job(session)
        except BaseException as error:
            if not isinstance(error, _OF_THE_STATEMENT) or self._session is None or self._session.broken:
                self.drop()
            raise
        finally:
            self._limit(float("inf"))

    def _limit(self, seconds: float) -> None:
        with self._lock:
            self._deadline = time.monotonic() + seconds

    def _open(self) -> Session:
        session = psycopg.connect(self._conninfo, autocommit=True)
        with self._lock:
            self._session, self._socket = session, socket.socket(fileno=os.dup(session.fileno()))
        if self._opened is not None:
            self._limit(self.opening)
            self._opened(session)
        return session

    def watch(self) -> None:
        """Ends what is overdue; called from another thread, again and again."""
        with self._lock:
            if self._socket is not None and time.monotonic() > self._deadline:
                try:
                    self._socket.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass  # it has gone already

    def drop(self) -> None:
        """Throws the connection away; the next job has a new one."""
        with self._lock:
            session, self._session = self._session, None
            kept, self._socket = self._socket, None
            if kept is not None:
                kept.close()
        if session is not None:
            session.close()

    close = drop
