"""The samples, each started once; a PBX for them, simulated and real."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from examples.serving import COMMANDS, Served, serve
from lab.asterisk import Asterisk
from lab.installing import ensure_mounted, installed
from rig.endpoint import Endpoint
from rig.pbx import Pbx

from hookrouter.simulator import Simulator


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Served]]:
    """The sample in this language; started by the first who asks."""
    running: dict[str, Served] = {}

    def find(language: str) -> Served:
        if language not in running:
            running[language] = serve(language, tmp_path_factory.mktemp(language))
        return running[language].wait()

    yield find
    for one in running.values():
        one.stop()


@pytest.fixture(scope="module", params=list(COMMANDS))
def ivr(request: pytest.FixtureRequest, served: Callable[[str], Served]) -> Served:
    return served(request.param)


@pytest.fixture(scope="module")
def asterisk() -> Iterator[Asterisk]:
    """Fails under CI, skips elsewhere, with the remedy."""
    if installed() is None:
        message = "no Asterisk here; `make lab` installs one (root, Debian)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    ensure_mounted()
    with Asterisk() as running:
        yield running


@pytest.fixture(params=["simulator", pytest.param("asterisk", marks=pytest.mark.asterisk)])
async def pbx(request: pytest.FixtureRequest) -> AsyncIterator[Pbx]:
    if request.param == "asterisk":
        async with Pbx(request.getfixturevalue("asterisk").url) as found:
            yield found
    else:
        async with Simulator(speed=4) as simulator, Pbx(simulator.url) as found:
            yield found


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    async with Endpoint() as running:
        yield running
