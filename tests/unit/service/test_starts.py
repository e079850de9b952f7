"""Two starts of the router give no id twice, whatever the disk kept of the first."""

from __future__ import annotations

from pathlib import Path

import pytest
from rig.router import Router, route

from hookrouter.calls.call import Call, encode_call
from hookrouter.calls.doer import Doer
from hookrouter.calls.machine import Turn
from hookrouter.facts import Facts, JournalFailed
from hookrouter.service.starts import KEY, count_start
from hookrouter.store.memory import MemoryStore
from hookrouter.store.sqlite import SqliteStore

NOWHERE = "http://127.0.0.1:9"


async def _begun(path: Path) -> None:
    store = SqliteStore(path, Facts())
    await store.start()
    call = Call(key="main/1", id="1", asterisk="main", app="app", route="ivr", started_at=1.0, counter=5)
    store.save_call(call.key, "main", encode_call(call))
    await store.close()


async def _ids(path: Path, *, refuses: bool) -> tuple[list[str], int]:
    """What a router calls two new things and two events of the call that it finds, and the last count on disk."""
    async with Router(NOWHERE, "app", route(NOWHERE), store=f"sqlite:///{path}") as router:
        service = router.service
        if refuses:
            await service.store._thread.call(lambda c: c.execute("PRAGMA query_only = ON").fetchall())  # type: ignore[attr-defined]
        (live,) = service.board
        before, found = live.call.counter, []

        def act(turn: Turn) -> None:
            found.extend([turn.emit("X", b"{}"), turn.emit("X", b"{}")])

        service.runner.turn(live, act)
        found += [Doer.new_id(_Of(live.call), "playback") for _ in range(2)]  # type: ignore[arg-type]
    return found, before


class _Of:
    """As much of a doer as its ids need."""

    def __init__(self, call: Call) -> None:
        self._turn = self
        self.call = call


async def test_a_router_after_one_whose_disk_refused_gives_other_ids(tmp_path: Path) -> None:
    """Both count on from the same state: what the first did last is on no disk, but it was done."""
    path = tmp_path / "s.db"
    await _begun(path)
    first, before = await _ids(path, refuses=True)
    second, again = await _ids(path, refuses=False)
    assert before == again == 5
    assert len({*first, *second}) == 8


async def test_each_start_is_another_one_even_if_the_clock_goes_back() -> None:
    """The count on disk never goes back."""
    store = MemoryStore()
    await store.start()
    first = await count_start(store, {}, 1_000_000.0)
    second = await count_start(store, await store.load_meta(), 5.0)
    assert (first, second) == ("lfls", "lflt")
    assert await store.load_meta(KEY) == {KEY: b"1000001"}
    assert await count_start(store, {KEY: b"no number"}, 1_000_002.0) == "lflu"


async def test_a_start_that_cannot_be_counted_goes_by_the_clock(tmp_path: Path) -> None:
    """It is told, the router starts, and the number is still a new one."""
    told: list[object] = []
    store = SqliteStore(tmp_path / "s.db", Facts(told.append))
    await store.start()
    await store._thread.call(lambda c: c.execute("PRAGMA query_only = ON").fetchall())
    assert await count_start(store, {}, 1_000_000.0) == "lfls"
    assert await count_start(store, {}, 1_000_009.0) == "lfm1"
    assert isinstance(told[0], JournalFailed)
    await store.close()


@pytest.mark.parametrize(("epoch", "expected"), [("", "7"), ("lfls", "lfls.7")])
def test_ids_of_older_snapshots_stay(epoch: str, expected: str) -> None:
    """A call without a start is numbered as before."""
    call = Call(key="main/1", id="1", asterisk="main", app="app", route="ivr", started_at=1.0, counter=7, epoch=epoch)
    assert call.numbered == expected
