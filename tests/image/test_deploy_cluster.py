"""The files of deploy/cluster at work: their two Asterisks, their routes, PostgreSQL and two routers, without containers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab import asterisk as lab
from lab import installing
from lab.postgres import cluster
from rig.endpoint import Endpoint
from rig.process import RouterProcess

ROOT = Path(__file__).parents[2]
FILES = ROOT / "deploy/cluster"
SECRET, TOKEN = "whsec_b25seSBmb3IgdHJ5aW5nIHRoaW5ncyE=", "0123456789abcdef"
FAR_END = "\n[callers]\nexten => wait,1,Answer()\n same => n,Wait(60)\n"
pytestmark = pytest.mark.asterisk


@pytest.fixture
def asterisks() -> Iterator[list[lab.Asterisk]]:
    """The lab's, with the files of deploy/cluster/asterisk; the password is where start.sh writes it."""
    if installing.installed() is None:
        message = "no Asterisk here; `make lab` installs one (root, Debian)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    installing.ensure_mounted()
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(2):
            one = lab.Asterisk()
            files = {path.name: path.read_text() for path in (FILES / "asterisk").iterdir()}
            files["ari.conf"] = files["ari.conf"].replace("/run/asterisk/", f"{one.inside}/etc/")
            files["ari_password.conf"] = "password = hookrouter\n"
            files["extensions.conf"] += FAR_END
            one.files = files
            found.append(stack.enter_context(one))
        yield found


_TAKEN = {"entry.taken a:", "entry.taken b:"}


def _lines(router: RouterProcess) -> list[str]:
    return re.findall(r"entry\.taken \w+:", router.log.read_text())


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(15):
        while not condition():
            await asyncio.sleep(0.05)  # other processes


async def test_one_router_goes_and_the_other_serves_both(asterisks: list[lab.Asterisk], tmp_path: Path) -> None:
    """Each Asterisk has an owner with a user of its own; a call comes and is answered by whichever router there is."""
    with cluster() as database:
        async with Endpoint() as endpoint:
            endpoint.answers["StasisStart"] = [{"action": "answer"}, {"action": "hangup"}]
            store, routers = database.database(), []
            text = (FILES / "routes.toml").read_text().replace("http://endpoint:8000/", endpoint.url)
            for asterisk, name in zip(asterisks, ("a", "b"), strict=True):
                text = text.replace(f"http://asterisk-{name}:8088", asterisk.url)
            for name in ("router-a", "router-b"):
                (tmp_path / name).mkdir()
                router = RouterProcess(tmp_path / name, "", "hookrouter", "", store=store)
                own = text.replace("http://${HOSTNAME}:8080", f"http://127.0.0.1:{router.port}")
                router.config.write_text(own.replace("0.0.0.0:8080", f"127.0.0.1:{router.port}"))
                router.start(HOOKROUTER_SECRET=SECRET, HOOKROUTER_TOKEN=TOKEN, ARI_PASSWORD="hookrouter", HOSTNAME=name)
                routers.append(router)
                await router.ready()
            try:
                assert all("hookrouter-owner" in found.cli("ari show users") for found in asterisks)
                for gone in (False, True):
                    if gone:
                        routers[0].kill()
                        await _until(lambda: _TAKEN.issubset(set(_lines(routers[1]))))
                        await routers[1].ready()
                    for asterisk in asterisks:
                        asterisk.cli("channel originate Local/1000@from-phones extension wait@callers")
                    await _until(lambda gone=gone: len(endpoint.of("StasisStart")) >= 2 * (1 + gone))
                assert "warned" not in routers[1].log.read_text()
            finally:
                for router in routers:
                    router.kill()
