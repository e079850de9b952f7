"""Fault 14: the disk is full, or somebody holds the store."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.router import route

Measured = Callable[[int, str], None]
ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
HELLO = {"action": "play", "media": "sound:hello-world"}
EVENTS = '["StasisStart", "PlayCompleted", "CallEnded"]'


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def test_live_calls_go_on_without_the_disk(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path, small_disk: Path, full: bool,
    measured: Measured,
) -> None:  # fmt: skip
    """Calls are answered and go to their end; there is an alarm; what notify routes are told is kept and goes out."""
    count = 50 if full else 8
    endpoint.answers["/hook StasisStart"] = [[ANSWER, HELLO, HANGUP]]
    routes = route(endpoint.url, events=EVENTS)
    routes += route(endpoint.url.replace("hook", "crm"), name="crm", events='["StasisStart"]', more='mode = "notify"')
    store = f"sqlite:///{small_disk}/state.db"
    async with RouterProcess(tmp_path, asterisk.url, app, routes, store=store) as router:
        before = await pbx.call(app)
        await endpoint.wait("CallEnded", call=before.id)
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(b"x" * 4096):
                pass
        calls = [await pbx.call(app) for _ in range(count)]
        for call in calls:
            await endpoint.wait("CallEnded", call=call.id, timeout=30)
            assert len(endpoint.of("PlayCompleted", call.id)) == 1
        assert await router.metric("hookrouter_journal_failures_total") >= 1
        assert "journal.failed" in router.log.read_text()
        assert "free some space" in router.log.read_text()
        filler.unlink()
        async with asyncio.timeout(10):
            while "journal.recovered" not in router.log.read_text():
                await asyncio.sleep(0.05)
        after = await pbx.call(app)
        for call in [*calls, after]:
            async with asyncio.timeout(20), endpoint.changed:
                await endpoint.changed.wait_for(lambda call=call: _told(endpoint, call.id))
    told = len([d for d in endpoint.received if d.path == "/crm"])
    measured(14, f"disk full under {count} calls: all went to their end, alarm raised, recovered; {told} notify events told")


def _told(endpoint: Endpoint, call: str) -> bool:
    return any(delivery.path == "/crm" for delivery in endpoint.of("StasisStart", call))


async def test_a_store_that_somebody_holds_is_waited_for(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path, full: bool, measured: Measured
) -> None:
    """Another program has locked the file as the router starts: it waits, and says so only when that takes too long."""
    seconds = 10.0 if full else 2.0
    endpoint.answers["StasisStart"] = [[ANSWER, HANGUP]]
    router = RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url, events=EVENTS))
    async with router:
        pass
    holder = sqlite3.connect(tmp_path / "state.db", isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN EXCLUSIVE")
    threading.Timer(seconds, holder.close).start()
    began = time.monotonic()
    router.start()
    try:
        await router.ready(timeout=seconds + 10)
        waited = time.monotonic() - began
        call = await pbx.call(app)
        await endpoint.wait("CallEnded", call=call.id)
    finally:
        router.kill()
    assert waited > seconds - 0.5
    measured(14, f"store locked for {seconds:g} s at the start: ready after {waited:.1f} s, and takes calls")


async def test_nobody_can_hold_the_store_of_a_running_router(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path, full: bool, measured: Measured
) -> None:
    """Another program that tries to lock it is refused, again and again, and no call notices."""
    count = 50 if full else 5
    endpoint.answers["StasisStart"] = [[ANSWER, HANGUP]]
    async with RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url, events=EVENTS)) as router:
        with contextlib.closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None, timeout=0)) as other:
            for _ in range(count):
                call = await pbx.call(app)
                for statement in ("BEGIN EXCLUSIVE", "SELECT count(*) FROM sqlite_master"):
                    with pytest.raises(sqlite3.OperationalError, match="locked"):
                        other.execute(statement)
                await endpoint.wait("CallEnded", call=call.id)
        assert await router.metric("hookrouter_journal_failures_total") == 0
    measured(14, f"another program tries to lock the store of a running router: refused {2 * count} times under {count} calls")


async def test_a_read_only_disk_is_told_at_the_start(
    asterisk: Asterisk, app: str, endpoint: Endpoint, tmp_path: Path, small_disk: Path, measured: Measured
) -> None:
    """The router does not begin to take calls that it could not remember: it ends at once and names the file."""
    store = f"sqlite:///{small_disk}/state.db"
    router = RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url), store=store)
    async with router:
        pass
    await asyncio.to_thread(subprocess.run, ["mount", "-o", "remount,ro", str(small_disk)], check=True)
    began = time.monotonic()
    router.start()
    assert router.process is not None
    status = await asyncio.to_thread(router.process.wait, 10)
    seconds = time.monotonic() - began
    assert status == 1
    told = router.log.read_text().splitlines()[-1]
    assert str(small_disk / "state.db") in told
    assert "Read-only" in told
    measured(14, f"read-only disk at the start: ends with status 1 after {seconds:.1f} s and names the file")
