"""What happens at other routers, for those who listen here: opened, joined, ended, opened again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from hookrouter.cluster.peers import Peers
from hookrouter.cluster.terms import Peer
from hookrouter.http.client import Http
from hookrouter.web import feeds as module
from hookrouter.web.feeds import Feeds
from hookrouter.web.listeners import Listener, Listeners

A, B = (Peer(name, f"http://{name}") for name in "ab")
TOKEN, OTHER = ((("authorization", f"Bearer {name}"),) for name in ("one", "two"))


class Told(httpx.AsyncByteStream):
    """A router's stream, which says what the test puts in; None: it ends."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (piece := await self.queue.get()) is not None:
            yield piece

    async def aclose(self) -> None:
        self.closed = True


class Others:
    """Two other routers. `streams`: (router, token) → each stream that was asked for; `status`: what they answer."""

    def __init__(self) -> None:
        self.streams: dict[tuple[str, str], list[Told]] = {}
        self.running = [A, B]
        self.status = {"a": 200, "b": 200}
        self.changed = asyncio.Condition()
        http = Http(transport=httpx.MockTransport(self._answer))
        self.feeds = Feeds(Peers(http, http, list, lambda: self.running, shared=True), "own")

    async def _answer(self, request: httpx.Request) -> httpx.Response:
        assert request.headers["hookrouter-passed"] == "1"
        told = Told()
        key = (request.url.host, request.headers["authorization"].removeprefix("Bearer "))
        self.streams.setdefault(key, []).append(told)
        async with self.changed:
            self.changed.notify_all()
        return httpx.Response(self.status[request.url.host], stream=told)

    async def opened(self, router: str, times: int) -> Told:
        async with asyncio.timeout(3), self.changed:
            await self.changed.wait_for(lambda: len(self.streams.get((router, "one"), [])) >= times)
        return self.streams[router, "one"][times - 1]


@pytest.fixture
async def others() -> AsyncIterator[Others]:
    found = Others()
    yield found
    await found.feeds.stop()


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK", 0.01)


def listener() -> Listener:
    found = Listeners(lambda: lambda: None).add()
    assert found is not None
    return found


async def heard(one: Listener, many: int) -> list[bytes]:
    async with asyncio.timeout(3):
        stream = one.stream()
        await anext(stream)
        return [await anext(stream) for _ in range(many)]


async def test_who_listens_hears_all_routers(others: Others) -> None:
    """Events that come in pieces are whole; what a router could not tell in time is counted."""
    one = listener()
    await others.feeds.join(one, TOKEN)
    a, b = others.streams["a", "one"][0], others.streams["b", "one"][0]
    a.queue.put_nowait(b': hookrouter\n\ndata: {"n":')
    a.queue.put_nowait(b'1}\n\n: still here\n\nevent: missed\ndata: 7\n\n')
    assert await heard(one, 2) == [b'data: {"n":1}\n\n', b"event: missed\ndata: 7\n\n"]
    b.queue.put_nowait(b'data: {"n":2}\n\n')
    assert await heard(one, 1) == [b'data: {"n":2}\n\n']


async def test_one_stream_for_each_token_which_ends_with_the_last_who_listens(others: Others) -> None:
    """What a token may see, the router that is asked decides: nothing goes from one token's stream to another's."""
    first, second, stranger = listener(), listener(), listener()
    for one, shown in ((first, TOKEN), (second, TOKEN), (stranger, OTHER)):
        await others.feeds.join(one, shown)
    assert {key: len(streams) for key, streams in others.streams.items()} == dict.fromkeys(
        (("a", "one"), ("b", "one"), ("a", "two"), ("b", "two")), 1
    )
    others.streams["a", "two"][0].queue.put_nowait(b'data: {"n":2}\n\n')
    others.streams["a", "one"][0].queue.put_nowait(b'data: {"n":1}\n\n')
    assert await heard(first, 1) == await heard(second, 1) == [b'data: {"n":1}\n\n']
    assert await heard(stranger, 1) == [b'data: {"n":2}\n\n']
    others.feeds.leave(first, TOKEN)
    assert len(others.feeds) == 2
    others.feeds.leave(second, TOKEN)
    others.feeds.leave(second, TOKEN)
    async with asyncio.timeout(3):
        while not all(told.closed for told in (others.streams["a", "one"][0], others.streams["b", "one"][0])):
            await asyncio.sleep(0)
    assert len(others.feeds) == 1
    assert not others.streams["a", "two"][0].closed


async def test_a_stream_that_ends_is_opened_again_and_who_listens_is_told(others: Others) -> None:
    """The router is silent meanwhile."""
    one = listener()
    await others.feeds.join(one, TOKEN)
    others.streams["a", "one"][0].queue.put_nowait(None)
    again = await others.opened("a", 2)
    again.queue.put_nowait(b'data: {"n":1}\n\n')
    stream = one.stream()
    seen: list[bytes] = []
    async with asyncio.timeout(3):
        while not seen or not seen[-1].startswith(b"data"):
            seen.append(await anext(stream))
    assert seen[-1] == b'data: {"n":1}\n\n'
    assert others.streams["a", "one"][0].closed
    assert len(others.streams["b", "one"]) == 1


async def test_who_refuses_or_says_nothing_is_silent(others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    """And is named, also to who comes later."""
    monkeypatch.setattr(module, "_SILENCE", 0.05)
    others.status["b"] = 401
    one, later = listener(), listener()
    await others.feeds.join(one, TOKEN)
    assert await heard(one, 1) == [b'event: silent\ndata: ["b"]\n\n']
    others.status["a"] = 503  # its stream says nothing for too long, and it refuses the next one
    assert await heard(one, 1) == [b'event: silent\ndata: ["a","b"]\n\n']
    await others.feeds.join(later, TOKEN)
    assert await heard(later, 1) == [b'event: silent\ndata: ["a","b"]\n\n']


async def test_a_router_that_turns_up_is_heard_and_one_that_goes_is_not_missed(others: Others) -> None:
    """One that is known to run no more is silent for a reason."""
    others.running, others.status["a"] = [A], 503
    one = listener()
    await others.feeds.join(one, TOKEN)
    assert await heard(one, 1) == [b'event: silent\ndata: ["a"]\n\n']
    others.running = [B]
    b = await others.opened("b", 1)
    b.queue.put_nowait(b'data: {"n":2}\n\n')
    assert sorted(await heard(one, 2)) == [b'data: {"n":2}\n\n', b"event: silent\ndata: []\n\n"]


async def test_a_router_without_an_address_is_silent_and_one_alone_has_no_feeds(others: Others) -> None:
    """Nobody is asked."""
    others.running = [Peer("c", "")]
    one = listener()
    await others.feeds.join(one, TOKEN)
    assert await heard(one, 1) == [b'event: silent\ndata: ["c"]\n\n']
    http = Http(transport=httpx.MockTransport(others._answer))
    alone = Feeds(Peers(http, http, list, list, shared=False), "own")
    await alone.join(listener(), TOKEN)
    assert len(alone) == 0
    assert others.streams == {}


async def test_an_event_without_an_end_ends_the_stream(others: Others, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is opened anew."""
    monkeypatch.setattr(module, "_MOST", 10)
    await others.feeds.join(listener(), TOKEN)
    others.streams["a", "one"][0].queue.put_nowait(b"data: {" + bytes(20))
    await others.opened("a", 2)
    assert others.streams["a", "one"][0].closed


async def test_an_address_that_leads_back_here_tells_nothing_twice(others: Others) -> None:
    """Such as one that stands for all routers."""
    one = listener()
    await others.feeds.join(one, TOKEN)
    for router in (b"own", b"a"):
        others.streams["a", "one"][0].queue.put_nowait(b'data: {"n":1,"router":"%s"}\n\n' % router)
    assert await heard(one, 1) == [b'data: {"n":1,"router":"a"}\n\n']
