"""Every store under one suite: a test that takes `store` runs on each of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
from lab.postgres import Cluster, cluster
from rig.owning import own

from hookrouter.delivery.queue import Added, NewDelivery
from hookrouter.facts import Fact, Facts
from hookrouter.record.opening import Place
from hookrouter.store import Retention, Store, open_store


class Recorder(list[Fact]):
    """Facts in the order in which they were told."""

    async def until(self, kind: type[Fact], timeout: float = 10.0) -> Fact:
        """The first fact of that kind, waiting for it."""
        async with asyncio.timeout(timeout):
            while True:
                for fact in self:
                    if isinstance(fact, kind):
                        return fact
                await asyncio.sleep(0.01)


@pytest.fixture
def told() -> Recorder:
    return Recorder()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One server for all; each test has a database of its own."""
    with cluster() as made:
        yield made


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres").database())
    return "memory:" if request.param == "memory" else f"sqlite:///{tmp_path}/state.db"


@pytest.fixture(scope="session")
def _record_database(postgres: Cluster) -> str:
    return postgres.database()


@pytest.fixture
def record_url(_record_database: str, postgres: Cluster) -> str:
    """A database without a record: it is the same for all tests, as each new one is some hundred files."""
    postgres.execute("DROP SCHEMA IF EXISTS hookrouter CASCADE", _record_database)
    return _record_database


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Where a record is kept that is there still when its recorder has gone."""
    return str(request.getfixturevalue("record_url")) if request.param == "postgres" else tmp_path / "record.db"


@pytest.fixture
async def store(url: str, told: Recorder) -> AsyncIterator[Store]:
    opened = open_store(url, Facts(told.append), retention=Retention(delivered_rows=5, dead_rows=5, timeline_rows=50))
    await opened.start()
    await own(opened)
    yield opened
    await opened.close()


@pytest.fixture
def delivery() -> Callable[..., NewDelivery]:
    def make(id: str, route: str = "crm", call: str = "", url: str = "", at: float = 100.0) -> NewDelivery:
        return NewDelivery(id, route, "StasisStart", b'{"id":"%s"}' % id.encode(), at, call, url)

    return make


@pytest.fixture
def add() -> Callable[..., object]:
    async def added(store: Store, *deliveries: NewDelivery, strict: bool = False) -> Added:
        future: asyncio.Future[Added] = asyncio.get_running_loop().create_future()
        store.add(deliveries, future.set_result, strict=strict)
        return await asyncio.wait_for(future, 10)

    return added
