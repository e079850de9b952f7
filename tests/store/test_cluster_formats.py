"""Calls that a newer router has written are taken by no older one: it could not read them."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from lab.postgres import Cluster

from hookrouter.calls.call import VERSION
from hookrouter.cluster.leases import Identity
from hookrouter.facts import Facts
from hookrouter.store.postgres import PostgresStore


@pytest.fixture
async def stores(postgres: Cluster) -> AsyncIterator[list[PostgresStore]]:
    """Of a newer router, which has the Asterisk and a call on it, and of this one."""
    url = postgres.database()
    opened = [PostgresStore(url, Facts(), identity=Identity(name)) for name in ("newer", "this")]
    for store in opened:
        await store.start()
    newer = opened[0]
    newer.leases.format = VERSION + 1
    epoch = await newer.leases.take("main", 0)
    assert epoch is not None
    newer.hold({"main": epoch})
    newer.save_call("main/1", "main", b"what only the newer one reads")
    await newer.settled()
    yield opened
    for store in opened:
        await store.close()


async def _take(store: PostgresStore, how: str) -> int | None:
    (lease,) = (await store.leases.look()).leases
    return await store.leases.take("main", lease.epoch, suspected=how == "dead", offered=how == "offered")


@pytest.mark.parametrize("how", ["given back", "dead", "offered"])
async def test_calls_of_a_newer_format_are_left_to_newer_routers(how: str, stores: list[PostgresStore]) -> None:
    """However it came free; a newer router takes it, and when the calls are over any does."""
    newer, this = stores
    (epoch,) = newer.held.values()
    if how == "given back":
        await newer.leases.release(newer.held)
    elif how == "offered":
        assert await newer.leases.offer("main", epoch, 1)
    (lease,) = (await this.leases.look()).leases
    assert lease.format == VERSION + 1
    assert await _take(this, how) is None
    newer.drop_call("main/1")
    await newer.settled()
    assert await _take(this, how) is not None
    (lease,) = (await this.leases.look()).leases
    assert lease.format == VERSION


async def test_an_older_format_is_taken(stores: list[PostgresStore]) -> None:
    """A newer router goes on with what an older one has written."""
    newer, this = stores
    await newer.leases.release(newer.held)
    this.leases.format = VERSION + 2
    assert await _take(this, "given back") is not None
