"""TLS to others and by us: whom we trust, what we show, and words that name what is wrong with a certificate."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from rig.certificates import Authority, Pair
from wire import endpoints
from wire.endpoints import serving

from hookrouter.ari.reasons import no_answer
from hookrouter.ari.websocket import connect
from hookrouter.http.certificate import read_validity
from hookrouter.http.client import Http
from hookrouter.http.trust import SYSTEM, Trust


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def good(authority: Authority) -> Pair:
    return authority.issue("good")


def server_side(pair: Pair, wanted: Authority | None = None) -> ssl.SSLContext:
    """A server's context; `wanted`: it lets in only who has a certificate of this authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    if wanted is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(wanted.certificate)
    return context


@contextlib.contextmanager
def strict(context: ssl.SSLContext) -> Iterator[str]:
    """A TLS server in a thread, as OpenSSL has it: it says by an alert why it refuses (asyncio's only hangs up)."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with contextlib.suppress(OSError), connection:
                connection.settimeout(5)
                with context.wrap_socket(connection, server_side=True) as secure:
                    secure.recv(65536)
                    secure.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n[]")

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join(5)


async def ask(url: str, trust: Trust = SYSTEM) -> int:
    http = Http()
    try:
        return (await http.send("POST", url, [], b"{}", timeout=5, limit=1000, trust=trust)).status
    finally:
        await http.close()


async def open_socket(url: str, trust: Trust = SYSTEM) -> tuple[str, str]:
    """What the client says of a socket that cannot be opened."""
    with pytest.raises(Exception) as caught:
        await connect(url.replace("http", "ws", 1), [], trust)
    return no_answer(caught.value, url)


async def test_an_authority_of_one_s_own(authority: Authority, good: Pair) -> None:
    """Is trusted where it is named, and nowhere else, also over the same pool."""
    http = Http()
    trust = Trust(str(authority.certificate))
    async with serving(endpoints.well, server_side(good)) as server:
        for _ in range(2):
            assert (await http.send("POST", server.url, [], b"", timeout=5, limit=1000, trust=trust)).status == 200
        with pytest.raises(httpx.ConnectError, match="authority that is not known here"):
            await http.send("POST", server.url, [], b"", timeout=5, limit=1000)
        assert server.connections == 1
        await http.close()


async def test_a_certificate_of_ours(authority: Authority, good: Pair, folder: Path) -> None:
    """Is shown where it is named; without it, and with one of somebody else's, the words say what is wanted."""
    ours = authority.issue("client", "DNS:router")
    theirs = Authority(folder / "theirs").issue("client", "DNS:router")
    ca = str(authority.certificate)
    with strict(server_side(good, authority)) as url:
        assert await ask(url, Trust(ca, str(ours.certificate), str(ours.key))) == 200
        for trust in (Trust(ca), Trust(ca, str(theirs.certificate), str(theirs.key))):
            with pytest.raises(httpx.TransportError, match="client_certificate"):
                await ask(url, trust)
            reason, words = await open_socket(url, trust)
            assert reason in ("tls", "no_answer")
            assert "client_certificate" in words


@pytest.mark.parametrize(
    ("names", "days", "trusted", "words"),
    [
        pytest.param("IP:127.0.0.1", -1, True, "has expired", id="expired"),
        pytest.param("DNS:pbx.example", 30, True, "is for another name", id="name"),
        pytest.param("IP:127.0.0.2", 30, True, "is for another name", id="address"),
        pytest.param("IP:127.0.0.1", 30, False, "authority that is not known here", id="authority"),
    ],
)
async def test_what_is_wrong_with_a_certificate(
    authority: Authority, names: str, days: int, trusted: bool, words: str
) -> None:
    """Is named, with the server's name and the remedy, never as a question whether Asterisk runs."""
    pair = authority.issue("wrong", names, days)
    trust = Trust(str(authority.certificate)) if trusted else SYSTEM
    async with serving(endpoints.well, server_side(pair)) as server:
        with pytest.raises(httpx.ConnectError, match=words):
            await ask(server.url, trust)
        reason, said = await open_socket(server.url, trust)
        assert reason == "tls"
        assert f"127.0.0.1:{server.port}" in said
        assert words in said
        assert "is Asterisk running" not in said
        assert server.requests == []


async def test_plain_http_where_tls_is_spoken_and_the_reverse(good: Pair) -> None:
    """Both ways round, for requests and for the socket."""
    with strict(server_side(good)) as url:
        plain = url.replace("https", "http")
        with pytest.raises(httpx.TransportError, match="write https://"):
            await ask(plain)
        _, said = await open_socket(plain)
        assert "write https://" in said
    async with serving(endpoints.raw(b"\x15\x03\x01\x00\x02\x02\x46")) as server:  # an alert, as many send it
        with pytest.raises(httpx.RemoteProtocolError, match="write https://"):
            await ask(server.url)
        reason, said = await open_socket(server.url)
        assert (reason, "write https://" in said) == ("tls", True)

    async def plain_text(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(plain_text, "127.0.0.1", 0) as listening:
        tls = f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
        with pytest.raises(httpx.ConnectError, match="write http://"):
            await ask(tls)
        reason, said = await open_socket(tls)
        assert (reason, "write http://" in said) == ("tls", True)


async def test_a_renewed_file_counts_from_the_next_connection_on(authority: Authority, good: Pair, folder: Path) -> None:
    """Without a restart."""
    path = folder / "renewed.pem"
    path.write_text(Authority(folder / "old").certificate.read_text())
    trust = Trust(str(path))
    http = Http()
    async with serving(endpoints.well, server_side(good)) as server:
        with pytest.raises(httpx.ConnectError, match="not known"):
            await http.send("POST", server.url, [], b"", timeout=5, limit=1000, trust=trust)
        path.write_text(authority.certificate.read_text())
        assert (await http.send("POST", server.url, [], b"", timeout=5, limit=1000, trust=trust)).status == 200
        await http.close()


def test_from_when_to_when_a_certificate_is_valid(authority: Authority) -> None:
    """As openssl made it; what is none has no time, whatever it is."""
    found = read_validity(authority.issue("times", days=30).certificate.read_bytes())
    assert found is not None
    assert abs(found.since - time.time()) < 3600
    assert abs(found.until - found.since - 30 * 86400) < 3600
    pem = authority.certificate.read_bytes()
    for wrong in (b"", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----", pem.replace(b"M", b"A"), pem[:200]):
        assert read_validity(wrong) is None


