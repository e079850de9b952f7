"""Bytes from an endpoint for our HTTP client, and bytes from a stranger at our own HTTP."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import strategies as st
from rig.router import Router, route

from fuzz.conftest import Fuzz, damaged
from hookrouter.http.http1 import Connection, HttpReply

LIMIT = 4096
ANSWERS = [
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n[]",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;x=y\r\n[\r\n1\r\n]\r\n0\r\nx: y\r\n\r\n",
    b"HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 2\n\n[]",
    b"HTTP/1.0 503 No\r\nretry-after: 5\r\n\r\nwait",
]
HTTP = [b"\r", b"\n", b"\r\n\r\n", b":", b" ", b"\t", b"HTTP/1.1 ", b"200", b"101 Switching\r\nupgrade: x\r\n",
        b"content-length: 5\r\n", b"transfer-encoding: chunked\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"\x00", b"\xff",
        b"\x16\x03\x01", b"connection: close\r\n"]  # fmt: skip


class _Wire(asyncio.Transport):
    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock})
        self.aborted = False

    def write(self, data: Any) -> None:
        return

    def abort(self) -> None:
        self.aborted = True


def test_answers_to_our_client(fuzz: Fuzz) -> None:
    """A whole reply within the limit, or an error that says what was wrong, however the bytes are cut into pieces."""

    async def exchange(pieces: list[bytes]) -> None:
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        wire = _Wire(ours)
        connection = Connection(loop, "origin", lambda closed: None)
        connection.connection_made(wire)
        asking = asyncio.ensure_future(connection.exchange(b"", LIMIT, 60.0))
        await asyncio.sleep(0)
        for piece in pieces:
            if not wire.aborted:
                connection.data_received(piece)
        connection.connection_lost(None)
        try:
            reply = await asking
        except httpx.TransportError as error:
            assert str(error)
        else:
            assert isinstance(reply, HttpReply)
            assert 100 <= reply.status <= 999
            assert len(reply.body) <= LIMIT
        for each in (ours, theirs):
            each.close()

    def check(drawn: tuple[bytes, list[int]]) -> None:
        data, cuts = drawn
        places = sorted({min(cut, len(data)) for cut in cuts} | {0, len(data)})
        asyncio.run(exchange([data[a:b] for a, b in pairwise(places)]))

    fuzz(check, st.tuples(damaged(ANSWERS, HTTP), st.lists(st.integers(0, 300), max_size=5)))


REQUESTS = [
    b"GET /healthz HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n",
    b"GET /v1/calls HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer x\r\n\r\n",
    b"POST /v1/calls HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 2\r\n\r\n{}",
    b'POST /v1/calls/1/actions HTTP/1.1\r\nhost: 127.0.0.1\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n0\r\n\r\n',
    b"GET /ari/main HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n"
    b"sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
]


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """Of a router's own HTTP, in a thread of its own."""
    up, stop = threading.Event(), threading.Event()
    found: list[int] = []

    async def serve() -> None:
        async with Router("http://127.0.0.1:9", "app", route("http://127.0.0.1:9"), serve=True) as router:
            found.append(urlsplit(router.service.address).port or 0)
            up.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert up.wait(20)
        yield found[0]
    finally:
        stop.set()
        thread.join(20)


@pytest.mark.filterwarnings("ignore:Do not use the `random` module")  # the router's thread does, and may
def test_requests_of_strangers(fuzz: Fuzz, port: int) -> None:
    """Answered or cut, never with our own failure (500); and the next one is served as ever."""

    def ask(data: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
            answer = b""
            try:
                sock.sendall(data)
                sock.shutdown(socket.SHUT_WR)
                while piece := sock.recv(65536):
                    answer += piece
            except ConnectionError:
                pass
            return answer

    def check(data: bytes) -> None:
        answer = ask(data)
        assert not answer or answer.startswith(b"HTTP/1.1 ")
        assert b" 500 " not in answer.split(b"\r\n")[0]
        assert ask(REQUESTS[0]).startswith(b"HTTP/1.1 200")

    fuzz(check, damaged(REQUESTS, HTTP), 60)
