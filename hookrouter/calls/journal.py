"""The journal that calls ask for: what is said to it survives us, once `committed` has called back without an error.

Rules:
- Everything that changes is buffered and costs next to nothing at the call site; what came while the last write ran is
  written together, in one transaction, with one fsync (group commit).
- A snapshot may be handed over as a function: it is called once a batch, in the event loop, right before the batch is
  written, so what is on disk is at least as new as it was when `committed` was asked. It must not fail and not wait.
- While the disk refuses, callbacks get the StoreError at once and calls go on. What is buffered is kept (the newest
  snapshot of each call; a bounded number of timeline entries) and written when the disk is back: `JournalFailed` and
  `JournalRecovered` tell of the two moments, once each.
- All of it belongs to the event loop that `start` was awaited in; no method may be called from another thread.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from hookrouter.errors import StoreError

Snapshot = bytes | Callable[[], bytes]
Committed = Callable[[StoreError | None], None]


class StoredCall(msgspec.Struct, frozen=True):
    """A live call as it was last kept. `saved_at`: seconds since the epoch."""

    call_id: str
    asterisk: str
    snapshot: bytes
    saved_at: float


class TimelineEntry(msgspec.Struct, frozen=True):
    """One thing that happened in a call. `at`: seconds since the epoch; `detail`: JSON, as it was handed over."""

    at: float
    kind: str
    detail: bytes


class FinishedCall(msgspec.Struct, frozen=True):
    """A call that is over. `ended_at`: seconds since the epoch; `summary`: JSON, as it was handed over."""

    call_id: str
    asterisk: str
    ended_at: float
    summary: bytes


class Journal(Protocol):
    """Keeps what live calls are made of, small facts about each Asterisk, and what happened in each call."""

    def save_call(self, call_id: str, asterisk: str, snapshot: Snapshot) -> None:
        """Keeps the newest snapshot of a live call; the one before it is forgotten."""
        ...

    def drop_call(self, call_id: str) -> None:
        """Forgets a call's snapshot; its timeline stays. A call that is not there is no error."""
        ...

    def finish_call(self, call_id: str, asterisk: str, ended_at: float, summary: bytes) -> None:
        """The call is over: keeps one summary for `recent_calls`. Its snapshot goes by `drop_call`."""
        ...

    def put_meta(self, key: str, value: bytes | None) -> None:
        """Keeps a small value under a key, such as the start-up time of an Asterisk; None forgets it."""
        ...

    def log(self, call_id: str, at: float, kind: str, detail: bytes = b"") -> None:
        """Adds an entry to the call's timeline; kept for a while after the call (see `Retention`)."""
        ...

    def committed(self, done: Committed, *, within: float = 0.0) -> None:
        """Calls `done` in the event loop once all that was handed over before is on disk; else with the error.

        `within`: how many seconds the write may wait for that of somebody who is in more of a hurry. Callbacks come
        in the order in which they were asked for. Where nothing is left to write, or the disk is already known to
        refuse, `done` is called before this returns; it may hand over more.
        """
        ...

    async def settled(self) -> None:
        """Waits for what `committed` tells. Raises StoreError where it could not be kept."""
        ...

    async def load_calls(self, asterisk: str = "") -> list[StoredCall]:
        """Every live call that is on disk (`asterisk`: of that one), the oldest first. Raises StoreError."""
        ...

    async def load_meta(self, prefix: str = "") -> dict[str, bytes]:
        """What `put_meta` kept under keys that begin with `prefix`. Raises StoreError."""
        ...

    async def recent_calls(self, limit: int = 100) -> list[FinishedCall]:
        """Finished calls, the last one first. Raises StoreError."""
        ...

    async def timeline(self, call_id: str) -> list[TimelineEntry]:
        """All that is known of a call, in the order in which it was logged. Raises StoreError."""
        ...
