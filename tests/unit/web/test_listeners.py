"""Listeners of /v1/events: each gets what it can take, and none holds up anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from hookrouter.config import ALL
from hookrouter.web import listeners
from hookrouter.web.listeners import Listeners


def nothing() -> Callable[[], None]:
    """Nobody has anything to say."""
    return lambda: None



async def test_what_happens_is_streamed() -> None:
    """In order; then the end."""
    found = Listeners(nothing)
    one = found.add()
    assert one is not None
    found.put(b'{"a":1}')
    found.put(b'{"b":2}')
    stream = one.stream()
    assert [await anext(stream) for _ in range(3)] == [
        b": hookrouter\n\n",
        b'data: {"a":1}\n\n',
        b'data: {"b":2}\n\n',
    ]
    found.end()
    assert [line async for line in stream] == []
    found.remove(one)
    found.remove(one)
    assert len(found) == 0


async def test_a_heartbeat() -> None:
    """While nothing happens."""
    one = Listeners(nothing).add()
    assert one is not None
    stream = one.stream(heartbeat=0.001)
    await anext(stream)
    assert await anext(stream) == b": still here\n\n"


@pytest.mark.parametrize(("size", "kept"), [(10, 1000), (100_000, 5)])
async def test_one_that_does_not_read(size: int, kept: int) -> None:
    """Misses what is too much, in number or in bytes, is told how many, and ends at once all the same."""
    found = Listeners(nothing)
    one = found.add()
    assert one is not None
    for _ in range(5000):
        found.put(b"x" * size)
    stream = one.stream()
    read = [await anext(stream) for _ in range(kept + 2)]
    assert [line[:5] for line in read[1:-1]] == [b"data:"] * kept
    assert read[-1] == b"event: missed\ndata: %d\n\n" % (5000 - kept)
    found.put(b"again")
    assert await anext(stream) == b"data: again\n\n"
    found.end()
    assert [line async for line in stream] == []


def test_there_are_only_so_many() -> None:
    """The next one has to wait until one goes."""
    found = Listeners(nothing)
    held = [found.add() for _ in range(listeners.MOST)]
    assert found.add() is None
    assert held[0] is not None
    found.remove(held[0])
    assert found.add() is not None


def test_facts_are_listened_to_only_while_somebody_is_there() -> None:
    """From the first one's coming to the last one's leaving, however often one leaves."""
    heard: list[str] = []

    def listen() -> Callable[[], None]:
        heard.append("begins")
        return lambda: heard.append("ends")

    found = Listeners(listen)
    one, other = found.add(), found.add()
    assert one is not None
    assert other is not None
    found.remove(one)
    assert heard == ["begins"]
    found.remove(other)
    found.remove(other)
    assert heard == ["begins", "ends"]
    assert found.add() is not None
    assert heard == ["begins", "ends", "begins"]


async def test_what_has_opened_one_ends() -> None:
    """Then it hears nothing more, of what waits for it either; whoever is still let in goes on."""
    found, open_ = Listeners(nothing), [True]
    one, other = found.add(ALL, lambda: open_[0]), found.add()
    assert one is not None
    assert other is not None
    streams = one.stream(), other.stream()
    for stream in streams:
        await anext(stream)
    found.put(b"1")
    found.put(b"2")
    assert [await anext(stream) for stream in streams] == [b"data: 1\n\n"] * 2
    open_[0] = False
    found.look_again()
    assert [line async for line in streams[0]] == []
    assert await anext(streams[1]) == b"data: 2\n\n"
    late = found.add(ALL, lambda: False)
    assert late is not None
    assert [line async for line in late.stream()] == [b": hookrouter\n\n"]
