"""The HTTP client against servers that are as wrong as servers get: what each failure is called, and what it leaves."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from wire import endpoints
from wire.endpoints import ANSWER, Behaviour, Peer, serving

from hookrouter.http import client as http_module
from hookrouter.http.client import NOT_SENT, Http, HttpReply, StaleConnection, TooLarge

pytestmark = pytest.mark.alone

LIMIT = 256 * 1024
HEADERS = [("content-type", "application/json")]


@pytest.fixture
async def http() -> AsyncIterator[Http]:
    found = Http(connect_timeout=0.5)
    yield found
    await found.close()
    assert found.open_connections == 0


async def post(http: Http, url: str, timeout: float = 5.0, body: bytes = b"{}") -> HttpReply:
    return await http.send("POST", url, HEADERS, body, timeout=timeout, limit=LIMIT)


async def test_a_request_is_what_was_asked_for(http: Http) -> None:
    """Line, headers and body arrive as they were given, and the answer comes back whole."""
    async with serving(endpoints.well) as server:
        reply = await http.send(
            "POST", f"{server.url}/a%20b?x=1&y=%2F#z", [("x-a", "1"), ("x-b", "2")], b"\x00{}", timeout=5, limit=LIMIT
        )
        [request] = server.requests
    assert (reply.status, reply.body, reply.header("content-type")) == (200, ANSWER, "application/json")
    assert request.line == "POST /ivr/a%20b?x=1&y=%2F HTTP/1.1"
    assert request.body == b"\x00{}"
    assert request.raw_headers == [
        ("host", f"127.0.0.1:{server.port}"),
        ("x-a", "1"),
        ("x-b", "2"),
        ("content-length", "3"),
    ]


@pytest.mark.parametrize(
    ("behave", "error"),
    [
        pytest.param(endpoints.reset, httpx.ReadError, id="reset after reading"),
        pytest.param(endpoints.close, httpx.ReadError, id="closed after reading"),
        pytest.param(endpoints.raw(b"HTTP/1.1 200 OK\r\ncontent-le"), httpx.ReadError, id="head cut"),
        pytest.param(endpoints.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n[]"), httpx.ReadError, id="body cut"),
        pytest.param(
            endpoints.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\n[]\r\n"),
            httpx.ReadError,
            id="last chunk missing",
        ),
        pytest.param(endpoints.raw(b"HTTP/1.1 100 Continue\r\n\r\n"), httpx.ReadError, id="only an interim answer"),
        pytest.param(endpoints.raw(b"SSH-2.0-OpenSSH_9.2\r\n"), httpx.RemoteProtocolError, id="not HTTP"),
        pytest.param(endpoints.raw(b"HTTP/1.1 abc Fine\r\n\r\n"), httpx.RemoteProtocolError, id="status no number"),
        pytest.param(endpoints.raw(b"HTTP/1.1 20 OK\r\n\r\n"), httpx.RemoteProtocolError, id="status of two digits"),
        pytest.param(endpoints.raw(b"\x16\x03\x01\x02\x00"), httpx.RemoteProtocolError, id="TLS on a plain port"),
        pytest.param(
            endpoints.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n[]"),
            httpx.RemoteProtocolError,
            id="two lengths",
        ),
        pytest.param(
            endpoints.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n[]"),
            httpx.RemoteProtocolError,
            id="length and chunks",
        ),
        pytest.param(
            endpoints.raw(b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n"), httpx.RemoteProtocolError, id="length < 0"
        ),
        pytest.param(
            endpoints.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nxyz\r\n"),
            httpx.RemoteProtocolError,
            id="bad chunk",
        ),
        pytest.param(endpoints.endless_head, httpx.RemoteProtocolError, id="head without an end"),
        pytest.param(endpoints.endless_header, httpx.RemoteProtocolError, id="header without an end"),
        pytest.param(endpoints.endless_interim, httpx.RemoteProtocolError, id="interim answers without an end"),
        pytest.param(endpoints.endless_chunk_extensions, TooLarge, id="chunk extension without an end"),
        pytest.param(endpoints.endless(), TooLarge, id="1 GB"),
        pytest.param(endpoints.endless(None), TooLarge, id="1 GB in chunks"),
        pytest.param(endpoints.status(200, b" " * (LIMIT + 1)), TooLarge, id="one byte too much"),
    ],
)
async def test_what_may_have_been_received(http: Http, behave: Behaviour, error: type[Exception]) -> None:
    """A failure after the request was sent has its name, is never called unsent, and its connection is gone."""
    async with serving(behave) as server:
        with pytest.raises(error) as caught:
            await post(http, server.url)
        assert not isinstance(caught.value, NOT_SENT)
        await server.all_closed()
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("data", "status", "body"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\n[]", 200, b"[]", id="body ends with the connection"),
        pytest.param(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n[]", 200, b"[]", id="HTTP/1.0"),
        pytest.param(b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\n[]", 200, b"[]", id="no reason phrase"),
        pytest.param(
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nx: 1\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]",
            200,
            b"[]",
            id="interim answers first",
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\n[\r\n1;x=y\r\n]\r\n0\r\nx: y\r\n\r\n",
            200,
            b"[]",
            id="chunks, extension and trailer",
        ),
        pytest.param(b"HTTP/1.1 204 No Content\r\ncontent-length: 2\r\n\r\n[]", 204, b"", id="204 with a body"),
        pytest.param(b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nxyz", 101, b"", id="101"),
        pytest.param(b"HTTP/1.1 101 Switching\r\ncontent-length: 2\r\n\r\n[]", 101, b"", id="101 by mistake"),
        pytest.param(b"HTTP/1.1 103 Hints\r\ncontent-length: 2\r\n\r\n[]", 103, b"", id="interim with content"),
        pytest.param(b"HTTP/1.1 150 X\r\n\r\n", 150, b"", id="unknown interim"),
        pytest.param(b"HTTP/1.1 302 Found\r\nlocation: /b\r\ncontent-length: 0\r\n\r\n", 302, b"", id="redirect"),
    ],
)
async def test_unusual_answers(http: Http, data: bytes, status: int, body: bytes) -> None:
    """What is HTTP is read, redirects are not followed."""
    async with serving(endpoints.raw(data)) as server:
        reply = await post(http, server.url)
        assert (reply.status, reply.body) == (status, body)
        assert len(server.requests) == 1


async def test_the_limit_itself_is_read(http: Http) -> None:
    """An answer of exactly the limit is whole."""
    async with serving(endpoints.status(200, b" " * LIMIT)) as server:
        assert len((await post(http, server.url)).body) == LIMIT


async def test_too_large_tells_the_status(http: Http) -> None:
    """A 503 with an endless page is still a 503."""
    async with serving(endpoints.status(503, b" " * (LIMIT + 1))) as server:
        with pytest.raises(TooLarge) as caught:
            await post(http, server.url)
    assert caught.value.status == 503


@pytest.mark.parametrize("declared", [1_000_000_000, None], ids=["declared", "chunks"])
async def test_a_gigabyte_takes_no_memory(http: Http, declared: int | None) -> None:
    """At most the limit is kept, the rest is never read."""
    async with serving(endpoints.endless(declared)) as server:
        tracemalloc.start()
        try:
            for _ in range(3):
                with pytest.raises(TooLarge):
                    await post(http, server.url)
            assert tracemalloc.get_traced_memory()[1] < 10_000_000
        finally:
            tracemalloc.stop()


async def test_compression_is_left_alone(http: Http) -> None:
    """A compressed body is the bytes that came."""
    async with serving(endpoints.compressed(b"[]")) as server:
        reply = await post(http, server.url)
    assert reply.body[:2] == b"\x1f\x8b"


# ---- what was certainly not sent


async def test_nobody_listens(http: Http) -> None:
    """A refused connection was certainly not sent."""
    with endpoints.closed_port() as url, pytest.raises(httpx.ConnectError, match="nothing listens at"):
        await post(http, url)


async def test_nobody_accepts(http: Http) -> None:
    """A host that drops packets is a connect timeout, whether its own time or the request's runs out first."""
    with endpoints.full_backlog() as url:
        for timeout in (0.2, 3.0):
            with pytest.raises(httpx.ConnectTimeout):
                await post(http, url, timeout)


async def test_name_not_found(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without an address was certainly not sent, and is asked for again next time."""
    asked = []

    async def nothing(host: str, port: object, **options: object) -> list[object]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nothing)
    for _ in range(2):
        with pytest.raises(httpx.ConnectError, match="not known"):
            await post(http, "http://nowhere.invalid/")
    assert asked == ["nowhere.invalid"] * 2


async def test_second_address(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the first address refuses, the next one is tried; one question is enough for many."""
    asked = []

    async def two(host: str, port: object, **options: object) -> list[object]:
        asked.append(host)
        await asyncio.sleep(0)
        return [(2, 1, 6, "", ("127.0.0.2", 0)), (2, 1, 6, "", ("127.0.0.1", 0))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", two)
    async with serving(endpoints.well) as server:
        url = f"http://two.test:{server.port}/"
        replies = await asyncio.gather(*(post(http, url) for _ in range(5)))
        assert [reply.status for reply in replies] == [200] * 5
        assert server.requests[0].headers["host"] == f"two.test:{server.port}"
    assert asked == ["two.test"]


@pytest.mark.parametrize("url", ["ftp://x/", "http:///a", "http://u:p@h/", "http://x:99999/", "nonsense"])
async def test_no_url(http: Http, url: str) -> None:
    """What is no URL of ours is not sent, and a password in it is not repeated."""
    with pytest.raises(httpx.UnsupportedProtocol) as caught:
        await post(http, url)
    assert "u:p" not in str(caught.value)


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("value", ["1\r\ny: 2", "1\ny: 2", "1\ry: 2", "1\r\n", "1\r", "1\n", "\n1", "1\0"])
async def test_no_line_breaks_in_headers(http: Http, method: str, value: str) -> None:
    """A header cannot smuggle in another one, neither by its value nor by its name."""
    async with serving(endpoints.well) as server:
        for header in (("x", value), (value, "x")):
            with pytest.raises(httpx.LocalProtocolError):
                await http.send(method, server.url, [("z", "0"), header], b"", timeout=1, limit=LIMIT)
        assert server.requests == []


async def test_other_blanks_in_headers(http: Http) -> None:
    """What only Unicode calls a line break is sent as it is."""
    async with serving(endpoints.well) as server:
        headers = [("x", "1\x0b2\x0c3\x1c4\u20285")]
        assert (await http.send("POST", server.url, headers, b"", timeout=1, limit=LIMIT)).status == 200
        [request] = server.requests
    assert request.raw_headers[1] == ("x", headers[0][1].encode().decode("latin-1"))


# ---- time


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(endpoints.hang, id="silent"),
        pytest.param(endpoints.drip(0.02), id="drips"),
        pytest.param(endpoints.drip_head(0.02), id="drips its head"),
    ],
)
async def test_timeout_is_exact(http: Http, behave: Behaviour) -> None:
    """The timeout covers the whole answer, however slowly it comes, and the connection is cut."""
    async with serving(behave) as server:
        started = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            await post(http, server.url, 0.2)
        assert 0.19 <= time.monotonic() - started < 0.35
        await server.all_closed()


async def test_cancelled(http: Http) -> None:
    """A request that is given up leaves no connection behind."""
    async with serving(endpoints.hang) as server:
        task = asyncio.create_task(post(http, server.url))
        await server.wait_for(1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.all_closed()


async def test_a_late_answer_is_heard(http: Http) -> None:
    """After the timeout the connection stays for a while, to tell of the answer that comes too late."""
    release, heard = asyncio.Event(), asyncio.Event()
    async with serving(endpoints.released(release)) as server:
        with pytest.raises(httpx.ReadTimeout):
            await http.send("POST", server.url, HEADERS, b"", timeout=0.05, limit=LIMIT, late=heard.set)
        assert not heard.is_set()
        release.set()
        async with asyncio.timeout(2):
            await heard.wait()
        await server.all_closed()


@pytest.mark.parametrize("then", [endpoints.reset, endpoints.raw(b"nonsense"), endpoints.endless()])
async def test_a_late_failure_is_none(http: Http, then: Behaviour) -> None:
    """What is not a whole answer is no late answer."""
    release, heard = asyncio.Event(), asyncio.Event()
    async with serving(endpoints.released(release, then)) as server:
        with pytest.raises(httpx.ReadTimeout):
            await http.send("POST", server.url, HEADERS, b"", timeout=0.05, limit=LIMIT, late=heard.set)
        release.set()
        await server.all_closed()
        assert not heard.is_set()


async def test_listening_has_an_end(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is listened to for longer than LATE_SECONDS, and only MOST_WATCHED connections are."""
    monkeypatch.setattr(http_module, "LATE_SECONDS", 0.1)
    monkeypatch.setattr(http_module, "MOST_WATCHED", 3)

    async def send(url: str) -> None:
        with pytest.raises(httpx.ReadTimeout):
            await http.send("POST", url, HEADERS, b"", timeout=0.1, limit=LIMIT, late=lambda: None)

    async with serving(endpoints.hang) as server:
        await asyncio.gather(*(send(server.url) for _ in range(6)))
        await asyncio.sleep(0)
        assert http.open_connections == 3
        await server.all_closed()
    assert http.open_connections == 0


# ---- kept connections


async def test_connections_are_kept(http: Http) -> None:
    """Requests one after another share a connection, whatever their answers were."""
    statuses = iter([200, 204, 304, 404, 503, 200])

    async def behave(peer: Peer) -> None:
        code = next(statuses)
        await peer.answer(b"" if code in (204, 304) else b"[]", f"{code} X")

    async with serving(behave) as server:
        for _ in range(6):
            await post(http, server.url)
        assert server.connections == 1


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(endpoints.status(200, b"[]", "connection: close"), id="asked to close"),
        pytest.param(endpoints.raw(b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n[]", close=False), id="HTTP/1.0"),
        pytest.param(
            endpoints.raw(
                b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n[]HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nbad",
                close=False,
            ),
            id="a second answer nobody asked for",
        ),
        pytest.param(
            endpoints.raw(b"HTTP/1.1 204 No\r\ncontent-length: 3\r\n\r\nbad", close=False), id="a body after 204"
        ),
    ],
)
async def test_connections_that_are_not_kept(http: Http, behave: Behaviour) -> None:
    """No answer is ever taken for that of the next request."""
    async with serving(behave) as server:
        for _ in range(3):
            assert (await post(http, server.url)).body in (b"[]", b"")
        assert server.connections == 3


async def test_unasked_bytes_end_an_idle_connection(http: Http) -> None:
    """A server that talks on an idle connection (408 before it closes) is not listened to."""
    go = asyncio.Event()

    async def behave(peer: Peer) -> None:
        await peer.answer(b"[]")
        if peer.number == 1:
            await go.wait()
            await peer.write(b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n")
            await peer.reader.read()
            peer.writer.close()

    async with serving(behave) as server:
        await post(http, server.url)
        go.set()
        await server.all_closed()
        assert (await post(http, server.url)).status == 200
        assert server.connections == 2


async def test_a_stale_connection_has_a_name(http: Http) -> None:
    """A kept connection that ends before a byte of the answer is told from a first one that does."""

    async def behave(peer: Peer) -> None:
        if peer.number == 1:
            await peer.answer(b"[]")
        else:
            peer.reset()

    async with serving(behave) as server:
        await post(http, server.url)
        with pytest.raises(StaleConnection):
            await post(http, server.url)
        with pytest.raises(httpx.ReadError) as caught:
            await post(http, server.url)
        assert not isinstance(caught.value, StaleConnection)


async def test_idle_connections_end() -> None:
    """An idle connection is closed after its time, and not used again."""
    http = Http(keepalive_timeout=0.05)
    async with serving(endpoints.well) as server:
        await post(http, server.url)
        await server.all_closed()
        await post(http, server.url)
        assert server.connections == 2
        await http.close()


async def test_a_closed_idle_connection_is_not_used(http: Http) -> None:
    """A server that closes an idle connection costs nobody a request."""

    async def behave(peer: Peer) -> None:
        await peer.answer(b"[]")
        peer.writer.close()

    async with serving(behave) as server:
        for _ in range(3):
            await post(http, server.url)
            await server.all_closed()
        assert server.connections == 3


async def test_the_limit_of_an_origin() -> None:
    """With a limit, who finds no free connection waits for one, and gets it in turn."""
    http = Http(per_host=2)
    release = asyncio.Event()
    async with serving(endpoints.released(release)) as server, serving(endpoints.well) as other:
        tasks = [asyncio.create_task(post(http, server.url)) for _ in range(6)]
        await server.wait_for(2)
        with pytest.raises(httpx.ConnectTimeout, match="2 connections"):
            await post(http, server.url, 0.05)
        tasks[3].cancel()
        assert (await post(http, other.url)).status == 200
        release.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(result) for result in done].count(HttpReply) == 5
        assert server.connections == 2
    await http.close()


async def test_the_limit_survives_failures() -> None:
    """Connections that break give their place back."""
    http = Http(per_host=1, connect_timeout=0.2)
    with endpoints.closed_port() as url:
        results = await asyncio.gather(*(post(http, url) for _ in range(5)), return_exceptions=True)
        assert {type(result) for result in results} == {httpx.ConnectError}
    async with serving(endpoints.close) as server:
        results = await asyncio.gather(*(post(http, server.url) for _ in range(5)), return_exceptions=True)
        assert {type(result) for result in results} == {httpx.ReadError}
    await http.close()


async def test_a_hanging_endpoint_takes_nothing_from_another(http: Http) -> None:
    """Two hundred requests to an endpoint that hangs do not delay one to another."""
    async with serving(endpoints.hang) as dead, serving(endpoints.well) as alive:
        tasks = [asyncio.create_task(post(http, dead.url, 30)) for _ in range(200)]
        await dead.wait_for(200)
        started = time.monotonic()
        assert (await post(http, alive.url)).status == 200
        assert time.monotonic() - started < 0.2
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_no_cookies_no_proxies(http: Http, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is carried from one answer to the next request, and the environment's proxies are not asked."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with serving(endpoints.status(200, b"[]", "set-cookie: a=b")) as server:
        await post(http, server.url)
        await post(http, server.url)
        assert "cookie" not in server.requests[1].headers


async def test_close_ends_what_is_in_flight() -> None:
    """Closing fails the requests that are under way."""
    http = Http()
    async with serving(endpoints.hang) as server:
        task = asyncio.create_task(post(http, server.url))
        await server.wait_for(1)
        await http.close()
        with pytest.raises(httpx.ReadError):
            await task


# ---- TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    command += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(path), "-out", f"{path}.crt"]
    subprocess.run(command, check=True, capture_output=True)
    path.write_text(path.read_text() + Path(f"{path}.crt").read_text())
    return path


def _server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


async def test_tls(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over TLS, with the certificate checked, connections are kept too."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    http = Http()
    async with serving(endpoints.well, _server_context(certificate)) as server:
        assert (await post(http, server.url)).status == 200
        assert (await post(http, server.url)).status == 200
        assert server.connections == 1
        await http.close()
        await server.all_closed()


async def test_untrusted_certificate(http: Http, certificate: Path) -> None:
    """A certificate that nobody vouches for: nothing was sent."""
    async with serving(endpoints.well, _server_context(certificate)) as server:
        with pytest.raises(httpx.ConnectError, match="certificate"):
            await post(http, server.url)
        assert server.requests == []


async def test_tls_to_a_silent_port(http: Http) -> None:
    """A server that never finishes the handshake: nothing was sent."""
    async with serving(endpoints.hang) as server:
        with pytest.raises(httpx.ConnectTimeout):
            await post(http, server.url.replace("http:", "https:"), 0.2)


# ---- somebody else's transport


async def test_any_httpx_transport() -> None:
    """httpx's own interface works too, with the same limit and the same whole-answer timeout."""

    async def handle(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/slow":
            await asyncio.sleep(30)
        return httpx.Response(503, headers={"X-A": "1"}, content=b" " * int(request.url.params.get("size", 2)))

    http = Http(transport=httpx.MockTransport(handle))
    reply = await post(http, "http://test/a")
    assert (reply.status, reply.header("x-a"), reply.body) == (503, "1", b"  ")
    with pytest.raises(TooLarge) as caught:
        await post(http, f"http://test/a?size={LIMIT + 1}")
    assert caught.value.status == 503
    with pytest.raises(httpx.ReadTimeout):
        await post(http, "http://test/slow", 0.05)
    await http.close()
