"""Asking the other routers: whom, with what, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from hookrouter.cluster import peers as module
from hookrouter.cluster.peers import Asked, Peers, Silent
from hookrouter.cluster.terms import Lease, Peer
from hookrouter.http.client import Http, HttpReply

A, B, C = (Peer(name, f"http://{name}") for name in "abc")
NOWHERE = Peer("d", "")
ASKED = Asked("GET", "/v1/calls?x=1", (("authorization", "Bearer secret"),))
Answer = Callable[[httpx.Request], Awaitable[httpx.Response]]


def peers(answer: Answer, leases: list[Lease] | None = None, running: list[Peer] | None = None) -> Peers:
    http = Http(transport=httpx.MockTransport(answer))
    return Peers(http, http, lambda: leases or [], lambda: running or [], shared=True)


def lease(entry: str, peer: Peer, left: float = 3.0) -> Lease:
    return Lease(entry, 7, f"word-{peer.name}", peer.name, peer.address, left)


def test_who_owns_something_and_who_runs() -> None:
    """Each once; whose lease is over may have it still, but is no part of what is heard."""
    found = Peers(None, None, lambda: [lease("main", A), lease("second", A), lease("third", B, -1.0)],  # type: ignore[arg-type]
                  lambda: [C, A], shared=True)  # fmt: skip
    assert found.owning() == [A, B]
    assert found.owning("third") == [B]
    assert found.owning("fourth") == []
    assert found.all() == [C, A]


async def test_what_was_shown_goes_with_it_and_it_is_marked() -> None:
    """The path as it came; the mark says that it is not to be passed on."""
    seen: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=[request.url.host])

    found = await peers(answer).ask_all([A, B, NOWHERE], ASKED)
    assert [(peer, reply.body if isinstance(reply, HttpReply) else reply) for peer, reply in found] == [
        (A, b'["a"]'), (B, b'["b"]'), (NOWHERE, Silent(unsent=True)),
    ]  # fmt: skip
    assert {(str(request.url), request.headers["authorization"], request.headers["hookrouter-passed"]) for request in seen} == {
        (f"http://{name}/v1/calls?x=1", "Bearer secret", "1") for name in "ab"
    }


@pytest.mark.parametrize(("error", "unsent"), [(httpx.ConnectError, True), (httpx.ReadError, False)])
async def test_who_cannot_be_asked_is_silent(error: type[httpx.TransportError], unsent: bool) -> None:
    """And it is known whether the request may have arrived."""

    async def answer(request: httpx.Request) -> httpx.Response:
        raise error("no")

    assert await peers(answer).ask(A, ASKED) == Silent(unsent=unsent)


async def test_a_mistake_is_no_silence() -> None:
    """What is no failure of the way is not swallowed."""

    async def answer(request: httpx.Request) -> httpx.Response:
        raise KeyError("a mistake")

    with pytest.raises(KeyError):
        await peers(answer).ask(A, ASKED)


@pytest.mark.parametrize("there", [True, False])
async def test_who_is_there_is_waited_for_and_who_is_not_is_not(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The question whether it is there decides, for whoever takes his time."""
    monkeypatch.setattr(module, "_SOON", 0.01)
    monkeypatch.setattr(module, "_THERE", 0.05)
    asked = asyncio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/healthz":
            asked.set()
            if not there:
                await asyncio.Event().wait()
            return httpx.Response(200)
        await asked.wait()
        if not there:
            await asyncio.Event().wait()
        return httpx.Response(202)

    async with asyncio.timeout(2):
        found = await peers(answer).ask(A, ASKED)
    assert (isinstance(found, HttpReply) and found.status == 202) is there


async def test_the_first_that_has_it_is_taken_and_the_silent_ones_are_named() -> None:
    """404: it is not there; from 500 on nobody can say. Who is slower is not waited for."""
    status = {"a": 404, "b": 503, "c": 200}

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status[request.url.host])

    found, _ = await peers(answer).first([A, B, C, NOWHERE], ASKED)
    assert found is not None
    assert found.status == 200
    status["c"] = 404
    assert await peers(answer).first([A, B, C, NOWHERE], ASKED) == (None, ["b", "d"])
    assert await peers(answer).first([], ASKED) == (None, [])


class _Body(httpx.AsyncByteStream):
    def __init__(self) -> None:
        self.open = True

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield b"sound"

    async def aclose(self) -> None:
        self.open = False


async def test_of_what_is_large_one_is_kept_open_and_the_others_are_closed() -> None:
    """Whoever has not got it, and whoever has it, too."""
    bodies: list[_Body] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        bodies.append(_Body())
        return httpx.Response(404 if request.url.host == "a" else 200, stream=bodies[-1])

    found, silent = await peers(answer).fetch([A, B, C, NOWHERE], ASKED)
    assert found is not None
    assert (found.status, silent) == (200, ["d"])
    assert sum(body.open for body in bodies) == 1
    assert [piece async for piece in found.pieces()] == [b"sound"]
    await found.close()
    assert not any(body.open for body in bodies)
