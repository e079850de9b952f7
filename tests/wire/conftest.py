"""One PBX, twice: the simulator and the real Asterisk. What a test says holds for both; where they differ, the simulator is wrong."""

from __future__ import annotations

import os
import secrets
from collections.abc import AsyncIterator, Iterator

import pytest
from lab.asterisk import Asterisk
from lab.installing import ensure_mounted, installed
from rig.endpoint import Endpoint
from rig.pbx import Pbx

from hookrouter.simulator import Simulator


@pytest.fixture(scope="session")
def lab_asterisk() -> Iterator[Asterisk]:
    """Fails under CI, skips elsewhere, with the remedy."""
    if installed() is None:
        message = "no Asterisk here; `make lab` installs one (root, Debian)"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    ensure_mounted()
    with Asterisk() as running:
        yield running


@pytest.fixture(params=["simulator", pytest.param("asterisk", marks=pytest.mark.asterisk)])
async def pbx_url(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    if request.param == "asterisk":
        yield request.getfixturevalue("lab_asterisk").url
    else:
        async with Simulator() as simulator:
            yield simulator.url


@pytest.fixture
async def pbx(pbx_url: str) -> AsyncIterator[Pbx]:
    """Who calls."""
    async with Pbx(pbx_url) as found:
        yield found


@pytest.fixture
async def app(pbx_url: str) -> AsyncIterator[Pbx]:
    """Who is called: an application of its own, with its events."""
    async with Pbx(pbx_url) as found:
        yield found


@pytest.fixture
def app_name() -> str:
    return f"app{secrets.token_hex(4)}"


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with Endpoint() as running:
        yield running
