"""Several addresses of one host: the first that answers wins, and is remembered."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from hookrouter.http import dialing
from hookrouter.http.dialing import Addresses, first_of


class Net:
    """`dead` addresses never answer, `refusing` ones at once; `tried` in order."""

    def __init__(self, dead: str = "", refusing: str = "") -> None:
        self.dead, self.refusing = dead.split(), refusing.split()
        self.tried: list[str] = []
        self.given_up: list[str] = []
        self.discarded: list[str] = []

    async def connect(self, address: str) -> str:
        self.tried.append(address)
        if address in self.refusing:
            raise ConnectionRefusedError(address)
        if address in self.dead:
            try:
                await asyncio.get_running_loop().create_future()
            except asyncio.CancelledError:
                self.given_up.append(address)
                raise
        return f"to {address}"

    async def first_of(self, *addresses: str) -> tuple[str, str]:
        return await first_of(addresses, self.connect, self.discarded.append)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dialing, "NEXT_DELAY", 0.001)


@pytest.mark.parametrize(
    ("net", "addresses", "won", "tried"),
    [
        (Net(), ["a"], "a", ["a"]),
        (Net(), ["a", "b"], "a", ["a"]),
        (Net(dead="a"), ["a", "b"], "b", ["a", "b"]),
        (Net(refusing="a"), ["a", "b"], "b", ["a", "b"]),
        (Net(dead="a b"), ["a", "b", "c"], "c", ["a", "b", "c"]),
        (Net(dead="a", refusing="b"), ["a", "b", "c"], "c", ["a", "b", "c"]),
    ],
)
async def test_the_first_that_answers_wins(net: Net, addresses: list[str], won: str, tried: list[str]) -> None:
    """The others are given up."""
    assert await net.first_of(*addresses) == (won, f"to {won}")
    assert net.tried == tried
    assert net.given_up == [address for address in tried if address in net.dead]


async def test_all_that_refuse_are_told_as_the_last_one() -> None:
    """Whoever asked learns why."""
    with pytest.raises(ConnectionRefusedError, match="b"):
        await Net(refusing="a b").first_of("a", "b")


async def test_who_asked_may_give_up() -> None:
    """Nothing stays open."""
    net = Net(dead="a b")
    asking = asyncio.ensure_future(net.first_of("a", "b"))
    while len(net.tried) < 2:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert sorted(net.given_up) == ["a", "b"]


async def test_one_that_answers_at_the_same_time_is_let_go() -> None:
    """Only one connection is kept."""
    gate = asyncio.Event()
    discarded: list[str] = []
    started: list[str] = []

    async def connect(address: str) -> str:
        started.append(address)
        await gate.wait()
        return address

    asking = asyncio.ensure_future(first_of(["a", "b"], connect, discarded.append))
    while len(started) < 2:
        await asyncio.sleep(0)
    gate.set()
    address, found = await asking
    assert address == found
    assert [*discarded, found] in (["a", "b"], ["b", "a"])


async def test_another_mistake_is_no_reason_to_go_on() -> None:
    """Such as a certificate that nobody can read."""

    async def connect(address: str) -> Any:
        raise ValueError(address)

    with pytest.raises(ValueError, match="a"):
        await first_of(["a", "b"], connect, lambda found: None)


def test_which_one_answered_is_remembered() -> None:
    """And tried first; of a bounded number of hosts."""
    known = Addresses()
    assert known.ordered("h", ["a", "b"]) == ["a", "b"]
    known.answered("h", "b")
    assert known.ordered("h", ["a", "b", "c"]) == ["b", "a", "c"]
    assert known.ordered("h", ["x"]) == ["x"]
    for number in range(2000):
        known.answered(str(number), "x")
    assert known.ordered("h", ["a", "b"]) == ["a", "b"]
    assert len(known._answered) <= 1024
