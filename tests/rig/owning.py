"""A store that owns what a test writes for, without a keeper."""

from __future__ import annotations

from hookrouter.cluster.terms import HOUSE
from hookrouter.store import Store


async def own(store: Store, *entries: str) -> dict[str, int]:
    """Makes the store the owner of entries that are free; entry → epoch."""
    if store.leases is None:
        return {}
    seen = {lease.entry: lease.epoch for lease in (await store.leases.look()).leases}
    held = {}
    for entry in (*(entries or ("main", "other")), HOUSE):
        if epoch := await store.leases.take(entry, seen.get(entry, 0)):
            held[entry] = epoch
    store.leases.hold(held)
    return held
