"""The router's own HTTP against strangers: who sends endlessly, slowly, or never reads, and who guesses."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from rig.process import RouterProcess, resident
from rig.router import Router, route

from hookrouter.facts import AuthRefused, HttpRefused, Warned
from hookrouter.web import front, guard, refusals
from hookrouter.web.server import Server

pytestmark = pytest.mark.alone

TOKEN = "a-token-of-sixteen-and-more"
NOWHERE = "http://127.0.0.1:9"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@contextlib.asynccontextmanager
async def running(extra: str = f'token = "{TOKEN}"', **named: Any) -> AsyncIterator[Router]:
    async with Router(NOWHERE, "app", route(NOWHERE), serve=True, extra=extra, **named) as router:
        yield router


def client(router: Router, **named: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=router.service.address, trust_env=False, timeout=10, **named)


class Raw:
    """A connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def answer(self, timeout: float = 20.0) -> bytes:
        """All that comes, until the other side ends it."""
        found = b""
        async with asyncio.timeout(timeout):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    found += piece
        return found

    async def send_for_ever(self, piece: bytes, most: int) -> int:
        """Until the other side has had enough; how many bytes it took."""
        sent = 0
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(20):
                while sent < most:
                    self.writer.write(piece)
                    await self.writer.drain()
                    sent += len(piece)
        return sent


@contextlib.asynccontextmanager
async def raw(router: Router, first: bytes = b"") -> AsyncIterator[Raw]:
    host, port = router.service.address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(first)
    try:
        yield Raw(reader, writer)
    finally:
        writer.transport.abort()


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1]) if answer else 0


def parsed(answer: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
    return found


# ---- heads


@pytest.mark.parametrize(
    ("first", "piece"),
    [
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\n", b"a: " + b"b" * 1000 + b"\r\n", id="headers"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\na: ", b"b" * 65536, id="one-header"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\n", b"b" * 65536, id="one-name"),
        pytest.param(b"GET /", b"b" * 65536, id="path"),
        pytest.param(b"GET / HTTP/1.1\r\nhost: x\r\n", b"a:\r\n" * 64, id="many-short-headers"),
    ],
)
async def test_a_head_without_an_end(first: bytes, piece: bytes) -> None:
    """Is refused at 64 KiB, and what comes after it takes no memory."""
    async with running() as router, raw(router, first) as stranger:
        sent = await stranger.send_for_ever(piece, 300_000_000)
        assert sent < 20_000_000
        refused = await router.fact(HttpRefused, reason="head_too_large")
        assert refused.address == "127.0.0.1"
        async with client(router) as http:
            assert 'hookrouter_http_refused_total{reason="head_too_large"} 1.0' in (await http.get("/metrics")).text


async def test_the_answer_to_a_head_that_is_too_large() -> None:
    """Says so, in the form of all refusals; one just below the bound is read."""
    async with running() as router:
        lines = b"".join(b"a%d: %s\r\n" % (number, b"b" * 1000) for number in range(66))
        async with raw(router, b"GET /healthz HTTP/1.1\r\nhost: x\r\n" + lines + b"\r\n") as stranger:
            answer = await stranger.answer()
        assert (status(answer), parsed(answer)["status"]) == (431, 431)
        assert b"application/problem+json" in answer
        assert b"nosniff" in answer
        async with client(router) as http:
            reply = await http.get("/healthz", headers={"a": "b" * 60_000})
        assert reply.status_code == 200


@pytest.mark.parametrize(
    ("first", "drip", "expected"),
    [
        pytest.param(b"", b"", 0, id="silent"),
        pytest.param(b"GET / HTTP/1.1\r\n", b"a", 408, id="drips-its-head"),
        pytest.param(b"\r\n", b"\r\n", 0, id="drips-nothing"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\nGET", b"", -1, id="drips-its-second-head"),
        pytest.param(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n\r\n", b"\r\n", -1, id="drips-nothing-after-the-first"),
    ],
)
async def test_a_head_has_its_time(first: bytes, drip: bytes, expected: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However slowly it comes; a connection that is only open is closed without a word."""
    monkeypatch.setattr(front, "HEAD_SECONDS", 0.3)
    async with running() as router, raw(router, first) as stranger:

        async def dripping() -> None:
            while drip and not stranger.writer.transport.is_closing():
                stranger.writer.write(drip)
                await asyncio.sleep(0.02)

        task = asyncio.create_task(dripping())
        answer = await stranger.answer()
        task.cancel()
        if expected < 0:
            assert answer.startswith(b"HTTP/1.1 200")
        else:
            assert status(answer) == expected


@pytest.mark.parametrize(
    ("sent", "reason", "words"),
    [
        (b"nonsense\r\n\r\n", "not_http", "no HTTP request"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "tls_on_a_plain_port", "plain HTTP, not TLS"),
        (b"GET http://evil.example/v1/calls HTTP/1.1\r\nhost: localhost\r\n\r\n", "not_a_path", "not for a path"),
        (b"OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", "not_a_path", "not for a path"),
    ],
)
async def test_what_is_no_request_of_ours(sent: bytes, reason: str, words: str) -> None:
    """Is told with its name."""
    async with running() as router, raw(router, sent) as stranger:
        answer = await stranger.answer()
        assert status(answer) == 400
        assert words in parsed(answer)["detail"]
        await router.fact(HttpRefused, reason=reason)


async def test_requests_that_wait_for_their_turn() -> None:
    """A few are answered in order; thousands in one packet are not kept."""
    one = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
    async with running() as router:
        async with raw(router, one * 5) as stranger:
            found = b""
            while found.count(b"200 OK") < 5:
                found += await stranger.reader.read(65536)
        async with raw(router, one * 5000) as stranger:
            await stranger.answer()
            await router.fact(HttpRefused, reason="too_many_pipelined")


# ---- bodies

_POST = b"POST /v1/calls HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " + TOKEN.encode() + b"\r\n"


@pytest.mark.parametrize(
    ("head", "piece"),
    [
        pytest.param(_POST + b"content-length: 1000000000\r\n\r\n", b"x" * 65536, id="declared"),
        pytest.param(_POST + b"transfer-encoding: chunked\r\n\r\n", b"10000\r\n" + b"x" * 65536 + b"\r\n", id="chunks"),
        pytest.param(
            b"POST /login HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n",
            b"400\r\n" + b"x" * 1024 + b"\r\n",
            id="login",
        ),
    ],
)
async def test_a_body_without_an_end(head: bytes, piece: bytes) -> None:
    """Is refused at the bound of its path, with an answer."""
    async with running() as router, raw(router, head) as stranger:
        sending = asyncio.create_task(stranger.send_for_ever(piece, 300_000_000))
        answer = await stranger.answer()
        assert status(answer) == 413
        assert "the body has over" in answer.decode()
        assert await sending < 20_000_000


@pytest.mark.parametrize(
    ("head", "piece", "expected"),
    [
        pytest.param(b"GET /healthz HTTP/1.1\r\n", b"10\r\n" + b"x" * 16 + b"\r\n", 200, id="for-a-path-that-takes-none"),
        pytest.param(b"POST /v1/calls HTTP/1.1\r\n", b"10\r\n" + b"x" * 16 + b"\r\n", 401, id="without-a-token"),
        pytest.param(_POST, b"1;" + b"x" * 60_000 + b"\r\ny\r\n", 0, id="chunk-extensions"),
        pytest.param(b"GET /healthz HTTP/1.1\r\n", b"a: b\r\n" * 1000, 200, id="trailers"),
    ],
)
async def test_a_body_that_nobody_wants(head: bytes, piece: bytes, expected: int) -> None:
    """Does not keep the connection: the answer comes, and then the end."""
    first = head + b"transfer-encoding: chunked\r\n" + (b"" if b"host" in head else b"host: localhost\r\n") + b"\r\n"
    first += b"0\r\n" if piece.startswith(b"a:") else b""
    async with running() as router, raw(router, first) as stranger:
        sending = asyncio.create_task(stranger.send_for_ever(piece, 300_000_000))
        answer = await stranger.answer()
        assert status(answer) == expected
        assert await sending < 20_000_000


async def test_a_body_that_drips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has its time."""
    monkeypatch.setattr(guard, "BODY_SECONDS", 0.2)
    async with running() as router, raw(router, _POST + b"content-length: 100\r\n\r\n{") as stranger:
        assert status(await stranger.answer()) == 408


async def test_a_refused_body_does_not_spoil_the_next_request() -> None:
    """One that ends soon is read over, and the connection is kept."""
    post = b"POST /v1/calls HTTP/1.1\r\nhost: localhost\r\ncontent-length: 20\r\n\r\n"
    async with running() as router, raw(router, post) as stranger:
        head = await stranger.reader.readuntil(b"\r\n\r\n")
        assert status(head) == 401
        stranger.writer.write(b"GET /v1/ HTTP/1.1\r\n\r" + b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        await stranger.reader.readuntil(b"HTTP/1.1 200")


# ---- who does not read


async def test_who_does_not_read_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a while, with what was meant for them."""
    monkeypatch.setattr(front, "WRITE_SECONDS", 0.2)
    async with running() as router:
        router.service.openapi = lambda: {"x": "y" * 30_000_000}  # type: ignore[method-assign]
        async with raw(router) as stranger:
            stranger.writer.transport.pause_reading()
            stranger.writer.write(b"GET /openapi.json HTTP/1.1\r\nhost: x\r\n\r\n")
            await router.fact(HttpRefused, reason="reader_too_slow")


async def test_listeners_that_do_not_read() -> None:
    """Hold up neither each other nor the end, take a bounded memory, and their number has a cap."""
    ask = b"GET /v1/events HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " + TOKEN.encode() + b"\r\n\r\n"
    async with contextlib.AsyncExitStack() as stack:
        router = await stack.enter_async_context(running())
        for _ in range(32):
            stranger = await stack.enter_async_context(raw(router, ask))
            await stranger.reader.readuntil(b": hookrouter")
            stranger.writer.transport.pause_reading()
        async with client(router, headers=BEARER) as http:
            refused = await http.get("/v1/events")
        assert (refused.status_code, refused.json()["title"]) == (503, "Too many listeners")
        before = resident(os.getpid())
        for _ in range(20_000):
            router.service.facts.emit(HttpRefused("x" * 2000, "test"))
            router.facts.clear()
            if _ % 100 == 0:
                await asyncio.sleep(0)
        assert resident(os.getpid()) - before < 100_000_000
        async with asyncio.timeout(4):
            await router.service.stop()
        router.service.stop = _nothing  # type: ignore[method-assign]


async def _nothing() -> None:
    """It has been done."""


# ---- many connections


async def test_connections_have_a_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Strangers' oldest ones go for new ones: who has a token gets in, however many hold a connection."""
    monkeypatch.setattr("hookrouter.web.server.most_connections", lambda: 20)
    async with contextlib.AsyncExitStack() as stack:
        router = await stack.enter_async_context(running())
        http = await stack.enter_async_context(client(router, headers=BEARER))
        events = await stack.enter_async_context(http.stream("GET", "/v1/events"))
        lines = events.aiter_lines()
        assert await anext(lines) == ": hookrouter"
        for _ in range(100):
            await stack.enter_async_context(raw(router, b"GET / HTTP/1.1\r\n"))
        await router.fact(HttpRefused, reason="too_many_connections")
        assert (await http.get("/v1/calls")).status_code == 200
        server = router.service._server
        assert server is not None
        assert len(server._front.open) <= 20
        router.service.facts.emit(HttpRefused("still heard", "test"))
        async with asyncio.timeout(5):
            while "still heard" not in await anext(lines):
                pass


async def test_a_quarter_of_the_descriptors(tmp_path: Path) -> None:
    """Is what strangers' connections take at most: the router still opens what calls need."""
    config = RouterProcess(tmp_path, NOWHERE, "app", route(NOWHERE))
    command = f"ulimit -n 400; exec {sys.executable} -m hookrouter serve -c {config.config} --store memory:"
    process = await asyncio.create_subprocess_shell(command, stderr=asyncio.subprocess.DEVNULL)
    writers = []
    try:
        async with asyncio.timeout(40):
            while True:
                with contextlib.suppress(OSError):
                    writers.append((await asyncio.open_connection("127.0.0.1", config.port))[1])
                    break
                await asyncio.sleep(0.02)
        for _ in range(300):
            writers.append((await asyncio.open_connection("127.0.0.1", config.port))[1])
        async with httpx.AsyncClient(trust_env=False) as http:
            assert (await http.get(f"http://127.0.0.1:{config.port}/healthz")).status_code == 200
        assert len(os.listdir(f"/proc/{process.pid}/fd")) < 100 + 40
        assert resident(process.pid) < 200_000_000
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()
        for writer in writers:
            writer.transport.abort()


async def test_who_never_closes_does_not_hold_up_the_end() -> None:
    """`end` returns within its time, with requests in mid-air."""
    begun = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        begun.set()
        await asyncio.Event().wait()

    server = Server(app, host="127.0.0.1", port=0, timeout_graceful_shutdown=0.1)
    task = asyncio.create_task(server.serve())
    await server.is_up.wait()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
    await begun.wait()
    server.end()
    async with asyncio.timeout(3):
        await task
        await reader.read()
    writer.close()


# ---- who may


@pytest.mark.parametrize("path", ["/", "/v1/calls", "/v1/events", "/v1/recordings/x", "/v1/nothing", "/v1"])
async def test_without_a_token(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is told; every refusal is a fact with where from, why and what was asked, and none holds the secret."""
    monkeypatch.setattr(refusals, "LONGEST", 0.01)
    async with running() as router, client(router) as http:
        assert (await http.get(path)).status_code == 401
        if path != "/":
            await router.fact(AuthRefused, door="api", reason="no_token", address="127.0.0.1", asked=f"GET {path}")
        reply = await http.get(path + "?token=in-the-url", headers={"authorization": "Bearer wrong-secret"})
        assert reply.status_code == 401
        assert reply.headers["www-authenticate"].startswith("Bearer")
        refused = await router.fact(AuthRefused, reason="wrong_token", asked=f"GET {path}")
        assert not {"wrong-secret", "in-the-url", TOKEN} & set(str(refused).replace("'", " ").split())
        for header in ("Basic OmEtdG9rZW4tb2Ytc2l4dGVlbi1hbmQtbW9yZQ==", "Bearer", "Bearer x y", TOKEN, f"Token {TOKEN}"):
            assert (await http.get(path, headers={"authorization": header})).status_code in (401, 429)
        page = await http.get("/metrics")
        assert 'hookrouter_auth_refused_total{door="api",reason="wrong_token"} 6.0' in page.text


async def test_wrong_tokens_are_slow_and_right_ones_are_not() -> None:
    """Many guesses at once are refused without being held; the right token is served at once all the while."""
    async with running() as router, client(router, limits=httpx.Limits(max_connections=200)) as http:
        wrong = [
            asyncio.create_task(http.get("/v1/calls", headers={"authorization": f"Bearer {number}"}))
            for number in range(100)
        ]
        await router.fact(AuthRefused, reason="wrong_token")
        async with asyncio.timeout(10):
            assert (await http.get("/v1/calls", headers=BEARER)).status_code == 200
        statuses = [(await task).status_code for task in wrong]
        assert statuses.count(401) >= 1
        assert statuses.count(429) >= 90
        assert {reply.result().headers.get("retry-after") for reply in wrong} == {None, "2"}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"host": "localhost.evil.example"}, id="host"),
        pytest.param({"host": "127.0.0.1.evil.example:8080"}, id="host-of-an-address"),
        pytest.param({"origin": "http://evil.example"}, id="origin"),
        pytest.param({"origin": "null"}, id="null"),
        pytest.param({"x-forwarded-for": "127.0.0.1"}, id="forwarded-for"),
        pytest.param({"forwarded": "for=127.0.0.1"}, id="forwarded"),
        pytest.param({"x-forwarded-proto": "http"}, id="forwarded-proto"),
        pytest.param({"via": "1.1 proxy"}, id="via"),
        pytest.param({"x-real-ip": "127.0.0.1"}, id="real-ip"),
    ],
)
async def test_what_is_not_this_machine_s_without_a_token(headers: dict[str, str]) -> None:
    """Reads nothing, and places no call."""
    async with running("") as router, client(router) as http:
        assert (await http.get("/v1/calls")).status_code == 200
        assert (await http.get("/")).status_code == 200
        for method, path in (("GET", "/v1/calls"), ("GET", "/"), ("POST", "/v1/calls"), ("DELETE", "/v1/calls/x")):
            reply = await http.request(method, path, headers=headers)
            assert (reply.status_code, reply.headers["content-type"]) == (403, "application/problem+json")
        assert router.of(AuthRefused)


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "BREW"])
async def test_pages_of_others_change_nothing_with_a_token_either(method: str) -> None:
    """On every method but those that only read."""
    async with running() as router:
        http = client(router, headers=BEARER)
        async with http:
            own = {"origin": router.service.address}
            for path in ("/v1/calls", "/v1/calls/x", "/login", "/logout", "/nothing"):
                for foreign in ({"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}):
                    assert (await http.request(method, path, headers=foreign)).status_code == 403 or method == "BREW"
                assert (await http.request(method, path, headers=own)).status_code != 403
            assert (await http.get("/v1/calls", headers={"origin": "http://evil.example"})).status_code == 200


async def test_two_hosts_are_none() -> None:
    """A proxy may look at one and we at the other."""
    two = b"GET /v1/calls HTTP/1.1\r\nhost: localhost\r\nhost: evil.example\r\nconnection: close\r\n"
    async with running() as router, raw(router, two + b"authorization: Bearer " + TOKEN.encode() + b"\r\n\r\n") as one:
        assert status(await one.answer()) == 400


@pytest.mark.parametrize("host", ["user@localhost", "localhost:99999", "local host", "[::1", "a/b", ""])
async def test_a_host_that_cannot_be_read(host: str) -> None:
    """Is none, whatever else the request shows."""
    head = f"POST /v1/deliveries/replay?all=true HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {TOKEN}\r\n"
    async with running() as router, raw(router, f"{head}connection: close\r\ncontent-length: 0\r\n\r\n".encode()) as one:
        assert status(await one.answer()) == 400


async def test_a_link_of_another_page_may_lead_here() -> None:
    """It is the operator who clicks; what changes something is still refused."""
    async with running("") as router, client(router, headers={"sec-fetch-site": "cross-site"}) as http:
        assert (await http.get("/")).status_code == 200
        assert (await http.post("/v1/deliveries/replay?all=true")).status_code == 403


# ---- the browser


@pytest.mark.parametrize("body", [b"&" * 4000, b"then=//[&token=x", b"token=%ff%00", b"token=" + b"%" * 4000, b"=" * 4000])
async def test_a_login_of_nothing_is_a_wrong_token(body: bytes) -> None:
    """Whatever the form is: never a mistake of the router's own, which would be a line in the log each time."""
    async with running() as router, client(router) as http:
        refused = await http.post("/login", content=body, headers={"content-type": "application/x-www-form-urlencoded"})
        assert refused.status_code == 401
        await router.fact(AuthRefused, door="login", reason="wrong_token")
        assert router.of(Warned) == []


async def test_handshakes_of_strangers_write_no_lines_of_their_own(caplog: pytest.LogCaptureFixture) -> None:
    """uvicorn has a line for each; the router's own are bounded."""
    async with running() as router:
        for path in ("ari/main", "ari/nobody", "v1/events", "nothing"):
            head = f"GET /{path} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
            key = "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
            async with raw(router, f"{head}{key}".encode()) as stranger:
                assert status(await stranger.answer()) in (401, 403)
    assert [record for record in caplog.records if record.name.startswith("uvicorn")] == []


async def test_login_and_logout() -> None:
    """The token once, then a cookie that no script and no other site gets; its end is at once."""
    async with running() as router, client(router) as http:
        asked = await http.get("/")
        assert asked.status_code == 401
        assert 'name="token"' in asked.text
        assert "basic" not in asked.headers["www-authenticate"].lower() if "www-authenticate" in asked.headers else True
        assert (await http.post("/login", data={"token": "wrong"})).status_code == 401
        await router.fact(AuthRefused, door="login", reason="wrong_token")
        assert (await http.post("/login", data={"token": TOKEN}, headers={"origin": "http://evil.test"})).status_code == 403
        done = await http.post("/login", data={"token": f" {TOKEN}\n"})
        assert (done.status_code, done.headers["location"]) == (303, "/")
        for word in ("HttpOnly", "SameSite=Strict", "Path=/", "Max-Age="):
            assert word in done.headers["set-cookie"]
        assert TOKEN not in done.headers["set-cookie"]
        page = await http.get("/")
        assert page.status_code == 200
        assert "Log out" in page.text
        assert (await http.get("/v1/calls")).status_code == 200
        assert (await http.post("/v1/deliveries/replay?all=true")).status_code == 202
        stolen = http.cookies["hookrouter"]
        assert (await http.post("/logout")).status_code == 303
        http.cookies.set("hookrouter", stolen, domain="127.0.0.1")
        assert (await http.get("/v1/calls")).status_code == 401


@pytest.mark.parametrize(("method", "path", "first"), [("GET", "/v1/events", ": hookrouter"), ("POST", "/v1/listen", ": ")])
async def test_who_has_logged_out_hears_nothing_more(method: str, path: str, first: str) -> None:
    """Of the facts or of calls, in the stream that the session had opened; others, and those with a token, go on."""
    async with contextlib.AsyncExitStack() as stack:
        router = await stack.enter_async_context(running())
        browser, other, program = [
            await stack.enter_async_context(client(router, headers=headers)) for headers in ({}, {}, BEARER)
        ]
        for http in (browser, other):
            assert (await http.post("/login", data={"token": TOKEN})).status_code == 303
        streams = [await stack.enter_async_context(http.stream(method, path)) for http in (browser, other, program)]
        ended, *going_on = [stream.aiter_lines() for stream in streams]
        for lines in (ended, *going_on):
            assert (await anext(lines)).startswith(first)
        assert (await browser.post("/logout")).status_code == 303
        router.service.facts.emit(HttpRefused("still heard", "test"))
        async with asyncio.timeout(8):
            heard = "".join([line async for line in ended])
        assert "still heard" not in heard
        if path == "/v1/listen":
            assert len(router.service.listening._ears) == 2
            return
        async with asyncio.timeout(8):
            for lines in going_on:
                while "still heard" not in await anext(lines):
                    pass


async def test_the_cookie_behind_tls() -> None:
    """A proxy's word makes it stricter, and opens nothing."""
    async with running() as router, client(router, headers={"x-forwarded-proto": "https"}) as http:
        done = await http.post("/login", data={"token": TOKEN})
        assert done.headers["set-cookie"].startswith("__Host-hookrouter=")
        assert done.headers["set-cookie"].endswith("; Secure")


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", 200),
        ("GET", "/healthz", 200),
        ("GET", "/metrics", 200),
        ("GET", "/login", 200),
        ("GET", "/static/console.js", 200),
        ("GET", "/static/console.css", 200),
        ("GET", "/v1/calls", 200),
        ("GET", "/v1/nothing", 404),
        ("GET", "/nothing/", 404),
        ("GET", "/v1/calls/", 404),
        ("GET", "/static/../app.py", 404),
        ("GET", "/static/nothing", 404),
        ("GET", "/speech/nothing.wav", 404),
        ("PATCH", "/v1/calls", 405),
        ("GET", "/v1/calls/x/actions", 405),
        ("POST", "/v1/deliveries/replay", 422),
        ("POST", "/v1/deliveries/replay?limit=5", 422),
        ("POST", "/v1/deliveries/replay?status=dead", 202),
        ("POST", "/v1/deliveries/replay?all=true", 202),
    ],
)
async def test_every_answer_is_well_protected(method: str, path: str, expected: int) -> None:
    """And every error is a problem detail; no page has a script or a style within it."""
    async with running("") as router, client(router) as http:
        reply = await http.request(method, path)
    assert reply.status_code == expected
    policy = reply.headers["content-security-policy"]
    for word in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert word in policy
    assert "unsafe" not in policy
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["referrer-policy"] == "same-origin"  # with `no-referrer` a browser sends its forms with `Origin: null`
    assert "server" not in reply.headers
    if expected >= 400:
        assert reply.headers["content-type"] == "application/problem+json"
        assert reply.json()["status"] == expected
    if "html" in reply.headers.get("content-type", ""):
        assert "<style" not in reply.text
        assert "style=" not in reply.text
        assert reply.text.count("<script") == reply.text.count('<script src="/static/')
        assert " on" not in reply.text.partition("<body")[0].replace(" one", "").replace(" only", "")


async def test_a_mistake_of_our_own_is_told_without_its_words() -> None:
    """The log says what it was."""
    async with running("") as router, client(router) as http:
        router.service.calls = lambda: 1 / 0  # type: ignore[method-assign, return-value, assignment]
        reply = await http.get("/v1/calls")
    assert (reply.status_code, reply.headers["content-type"]) == (500, "application/problem+json")
    assert "ZeroDivision" not in reply.text
    assert reply.headers["x-content-type-options"] == "nosniff"


async def test_a_recording_is_passed_on() -> None:
    """Piece by piece: one of 100 MB takes no memory, also while the client reads slowly; a few at a time."""
    size = 100_000_000

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: audio/wav\r\ncontent-length: %d\r\n\r\n" % size)
        with contextlib.suppress(ConnectionError):
            for _ in range(size // 100_000):
                writer.write(b"x" * 100_000)
                await writer.drain()
        writer.close()

    pbx = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{pbx.sockets[0].getsockname()[1]}"
    async with pbx, contextlib.AsyncExitStack() as stack:
        router = await stack.enter_async_context(Router(url, "app", route(NOWHERE), serve=True))
        http = await stack.enter_async_context(client(router))
        before = resident(os.getpid())
        slow = [await stack.enter_async_context(http.stream("GET", "/v1/recordings/a")) for _ in range(7)]
        read = 0
        async with http.stream("GET", "/v1/recordings/b%20c") as whole:
            assert whole.headers["content-type"] == "audio/wav"
            assert whole.headers["content-length"] == str(size)
            assert (await http.get("/v1/recordings/d")).status_code == 503
            async for piece in whole.aiter_raw():
                read += len(piece)
        assert read == size
        assert resident(os.getpid()) - before < 60_000_000
        await slow[0].aclose()
        async with asyncio.timeout(5):
            while await _status(http, "/v1/recordings/d") != 200:
                await asyncio.sleep(0.01)


async def _status(http: httpx.AsyncClient, path: str) -> int:
    async with http.stream("GET", path) as reply:
        return reply.status_code
