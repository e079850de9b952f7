"""Answers that curl and browsers read are read, where that is safe; what is refused says why. And hosts with a dead address."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import httpx
import pytest
from wire import endpoints
from wire.endpoints import serving

from hookrouter.clock import SystemClock
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.sender import Sender
from hookrouter.http.client import Http, HttpReply
from hookrouter.http.dialing import NEXT_DELAY
from hookrouter.routing.endpoint import Endpoint

LIMIT = 256 * 1024
OK = b"HTTP/1.1 200 OK"
DRIPPED = OK + b"\nContent-Type: application/json\nContent-Length: 2\nContent-Length: 2\n\n[]"


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    found = Http(connect_timeout=5.0)
    yield found
    await found.close()
    assert found.open_connections == 0


async def post(http: Http, url: str) -> HttpReply:
    return await http.send("POST", url, [("content-type", "application/json")], b"{}", timeout=5, limit=LIMIT)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(OK + b"\nContent-Length: 2\n\n[]", id="bare LF"),
        pytest.param(OK + b"\ncontent-type: a/b\n\n[]", id="bare LF, ends with the connection"),
        pytest.param(OK + b"\nTransfer-Encoding: chunked\n\n2\r\n[]\r\n0\r\n\r\n", id="bare LF, then chunks"),
        pytest.param(OK + b"\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n[]", id="the same length twice"),
        pytest.param(OK + b"\r\nContent-Length: 2, 2\r\n\r\n[]", id="the same length in one line"),
        pytest.param(OK + b"\r\nX : y\r\nContent-Length : 2\r\n\r\n[]", id="a space before the colon"),
        pytest.param(OK + b"\r\nWarning in line 3\r\nContent-Length: 2\r\n\r\n[]", id="a line that is no header"),
        pytest.param(OK + b"\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\n[]", id="folded"),
        pytest.param(OK + b"\r\nX: a\x02\r\nContent-Length: 2\r\n\r\n[]", id="a control character"),
        pytest.param(OK + b"\r\nTransfer-Encoding: identity\r\nContent-Length: 2\r\n\r\n[]", id="identity"),
        pytest.param(b"HTTP/1.1 100 Continue\n\n" + OK + b"\nContent-Length: 2\n\n[]", id="an interim answer first"),
        pytest.param(OK + b"\nContent-Length: 2\n\n[]HTTP/1.1 200 OK\n\n", id="more than was asked for"),
    ],
)
async def test_an_answer_that_is_not_quite_http_is_read(http: Http, data: bytes) -> None:
    """And its connection is not used again."""
    async with serving(endpoints.raw(data)) as server:
        reply = await post(http, server.url)
        assert (reply.status, reply.body) == (200, b"[]")
        await server.all_closed()


async def test_it_may_drip(http: Http) -> None:
    """Byte by byte, however the pieces fall."""

    async def behave(peer: endpoints.Peer) -> None:
        for byte in DRIPPED:
            peer.writer.write(bytes([byte]))
            await peer.writer.drain()
            await asyncio.sleep(0)

    async with serving(behave) as server:
        reply = await post(http, server.url)
        assert (reply.body, reply.header("content-type")) == (b"[]", "application/json")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        pytest.param(OK + b"\nContent-Length: 2\nTransfer-Encoding: chunked\n\n[]", "leave one of them out", id="length and chunks"),
        pytest.param(OK + b"\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]", "two lengths", id="two lengths"),
        pytest.param(b"\x15\x03\x01\x00\x02\x02\x28", "https://", id="TLS"),
        pytest.param(b"220 mail ESMTP\r\n", "220 mail ESMTP", id="another protocol"),
        pytest.param(OK + b"\nTransfer-Encoding: chunked\n\nxyz\n", "chunk size", id="no chunk"),
        pytest.param(OK + b"\nTransfer-Encoding: chunked\n\n2\n[]\n0\n\n", "after chunk size", id="bare LF in chunks"),
    ],
)
async def test_what_is_refused_says_why(http: Http, data: bytes, why: str) -> None:
    """In words that lead to the remedy."""
    async with serving(endpoints.raw(data)) as server:
        with pytest.raises(httpx.RemoteProtocolError, match=why):
            await post(http, server.url)


async def test_a_head_in_many_lines_costs_little(http: Http) -> None:
    """However it comes: up to 64 KiB are looked at once."""

    async def behave(peer: endpoints.Peer) -> None:
        peer.writer.write(OK + b"\n")
        for _ in range(15_000):
            peer.writer.write(b"a\nb\n")
            await peer.writer.drain()
        peer.writer.write(b"Content-Length: 2\n\n[]")

    began = time.process_time()
    async with serving(behave) as server:
        assert (await post(http, server.url)).body == b"[]"
    assert time.process_time() - began < 2.0


@pytest.mark.parametrize("encoding", ["Identity", "IDENTITY", " identity ", ""])
async def test_an_encoding_that_is_none_is_none(http: Http, encoding: str) -> None:
    """Whatever its letters."""
    data = OK + f"\r\nContent-Encoding: {encoding}\r\nContent-Length: 2\r\n\r\n[]".encode()
    async with serving(endpoints.raw(data)) as server:
        attempt = await Sender(http, SystemClock()).attempt(Endpoint(server.url), Message("1", "X", b"{}"), 1, 5.0, 5.0)
    assert (attempt.reason, attempt.body) == ("response", b"[]")


async def test_a_dead_address_costs_a_quarter_of_a_second_and_once(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next one is tried beside it, and remembered."""
    async with serving(endpoints.well) as server:
        with socket.socket() as dead:
            dead.bind(("127.0.0.9", server.port))
            dead.listen(0)
            stuck = [socket.socket() for _ in range(3)]  # its queue is full: nobody else is answered
            for waiting in stuck:
                waiting.setblocking(False)
                waiting.connect_ex(("127.0.0.9", server.port))

            async def resolve(host: str) -> list[str]:
                return ["127.0.0.9", "127.0.0.1"]

            monkeypatch.setattr(http, "_resolve", resolve)
            url = f"http://two.example:{server.port}/ivr"
            seconds = []
            for _ in range(2):
                began = time.monotonic()
                assert (await post(http, url)).status == 200
                seconds.append(time.monotonic() - began)
                for connection in list(http._connections):
                    connection.abort()
                await server.all_closed()
            for waiting in stuck:
                waiting.close()
    assert NEXT_DELAY <= seconds[0] < NEXT_DELAY + 1.0
    assert seconds[1] < NEXT_DELAY
