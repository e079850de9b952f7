"""The real Asterisk: one instance for the session, an app of its own for every test."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from lab.asterisk import Asterisk
from lab.installing import TESTING, ensure_mounted, installed
from rig.endpoint import Endpoint
from rig.pbx import Pbx


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "tests/asterisk" in str(item.path):
            item.add_marker(pytest.mark.asterisk)


def need_asterisk(suite: str = TESTING) -> None:
    """Fails under CI, skips elsewhere, with the remedy."""
    if installed(suite) is None:
        message = f"no Asterisk of {suite} here; `make lab` installs it (root, Debian)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    ensure_mounted(suite)


@pytest.fixture(scope="session")
def asterisk() -> Iterator[Asterisk]:
    need_asterisk()
    with Asterisk() as running:
        yield running


@pytest.fixture
def own_asterisk() -> Iterator[Asterisk]:
    """One that the test may kill."""
    need_asterisk()
    with Asterisk() as running:
        yield running


@pytest.fixture
def app() -> str:
    return f"app{secrets.token_hex(4)}"


@pytest.fixture
async def pbx(asterisk: Asterisk) -> AsyncIterator[Pbx]:
    async with Pbx(asterisk.url) as found:
        yield found


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with Endpoint() as running:
        yield running
