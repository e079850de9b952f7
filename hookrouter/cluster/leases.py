"""What the keeper of ownership asks of a database that several routers share; a store with one writer has none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from hookrouter.cluster.terms import Seen

SILENT = 5.0
"""Seconds without a word of a router, which says one a second, after which it is taken for dead."""


class Identity(msgspec.Struct, frozen=True):
    """Who a router is among the others. `address`: where they reach its HTTP, empty: nowhere."""

    name: str = ""
    address: str = ""


NOBODY = Identity()


class Known(msgspec.Struct, frozen=True):
    """A router that has used the database. `seconds`: since it was seen last."""

    name: str
    address: str
    version: str
    seconds: float


class Leases(Protocol):
    """What a method changes, it changes in one transaction. All raise StoreError where the database does not answer within seconds."""

    word: str
    """Of this start: no other start of any router has it."""
    identity: Identity
    held_back: float
    """Seconds for which the oldest snapshot that anybody has of the database is held, as far as this router looks."""
    format: int
    """The newest format of calls' snapshots that this router reads, and the one in which it writes."""

    async def routers(self) -> list[Known]:
        """All that have used the database, this one among them."""
        ...

    async def look(self) -> Seen:
        """What there is."""
        ...

    async def renew(self, held: Mapping[str, int]) -> Seen:
        """Lengthens the leases that are still this start's, under those epochs; what there is afterwards."""
        ...

    async def take(self, entry: str, seen: int, *, suspected: bool = False, offered: bool = False) -> int | None:
        """The new epoch; None: somebody else was first, or calls are there in a newer format than `format`. `seen`: the lease's
        epoch when it was looked at. `suspected`: its holder's process is known to be no more. `offered`: only if its holder
        offers it still.
        """
        ...

    async def offer(self, entry: str, epoch: int, number: int) -> bool:
        """Offers a lease to the others (`number` odd), or no more (even). A lower number than the last changes nothing.

        False: the lease is no longer this start's.
        """
        ...

    async def release(self, held: Mapping[str, int]) -> None:
        """Gives them back: another router may take them at once."""
        ...

    def hold(self, held: Mapping[str, int]) -> None:
        """Under these the store writes from now on."""
        ...

    def forget(self, entry: str) -> None:
        """Throws away what the store has not written yet of an entry."""
        ...

    def watch(self, lost: Callable[[list[str]], None]) -> None:
        """`lost` is called where a write was refused as the entries are another router's."""
        ...


__all__ = ["NOBODY", "SILENT", "Identity", "Known", "Leases"]
