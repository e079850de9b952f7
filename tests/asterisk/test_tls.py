"""TLS between the router and the real Asterisk, whichever of them connects, and the words where a certificate is wrong."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from asterisk.conftest import need_asterisk
from lab.asterisk import Asterisk, free_port
from rig.certificates import Authority, Pair
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import AriConnected, AriLost, AriRequested, CallFinished, HttpRefused

pytestmark = pytest.mark.asterisk
_CLIENT = """tls_enabled=yes
ca_list_file={etc}/authority.pem
verify_server_cert=yes
verify_server_hostname=yes"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def authority(folder: Path) -> Authority:
    return Authority(folder)


@pytest.fixture(scope="module")
def good(authority: Authority) -> Pair:
    return authority.issue("good")


def files(authority: Authority, pair: Pair) -> dict[str, str]:
    return {
        "authority.pem": authority.certificate.read_text(),
        "server.pem": pair.certificate.read_text(),
        "server.key": pair.key.read_text(),
    }


async def test_the_router_connects_by_tls(authority: Authority, good: Pair, endpoint: Endpoint, folder: Path) -> None:
    """Socket and requests, with an authority of one's own; without it, and by plain HTTP, the words name it."""
    need_asterisk()
    endpoint.answers["StasisStart"] = [{"action": "answer"}, {"action": "play", "media": "sound:beep"}, {"action": "hangup"}]
    asterisk = Asterisk(files=files(authority, good), tls_port=free_port())
    await asyncio.to_thread(asterisk.start)
    try:
        url = f"https://127.0.0.1:{asterisk.tls_port}"
        async with Router(url, "app", route(endpoint.url), asterisk=f'ca_file = "{authority.certificate}"') as router:
            await router.ready()
            async with Pbx(asterisk.url) as pbx:
                await pbx.call("app", number="4711")
                await router.fact(CallFinished)
        for where, words in ((url, "not known here"), (url.replace("https", "http"), "write https://")):
            async with Router(where, "app", route(endpoint.url)) as router:
                lost = await router.fact(AriLost)
                assert words in lost.detail
                assert "is Asterisk running" not in lost.detail or "https" in words
        plain = asterisk.url.replace("http", "https")
        async with Router(plain, "app", route(endpoint.url), asterisk=f'ca_file = "{authority.certificate}"') as router:
            lost = await router.fact(AriLost)
            assert (lost.reason, "write http://" in lost.detail) == ("tls", True)
    finally:
        asterisk.stop()


async def test_asterisk_connects_by_tls(authority: Authority, good: Pair, endpoint: Endpoint, folder: Path) -> None:
    """`wss` in mode listen: a whole call; a renewed certificate is taken up while it runs."""
    need_asterisk()
    endpoint.answers["StasisStart"] = [{"action": "answer"}, {"action": "hangup"}]
    port = free_port()
    asterisk = Asterisk(
        listen={"app": f"wss://localhost:{port}/ari/main"}, files=files(authority, good), client_tls=_CLIENT
    )
    tls = f'tls_certificate = "{good.certificate}"\ntls_key = "{good.key}"'
    listen = f"127.0.0.1:{port}"
    async with Router("", "app", route(endpoint.url), mode="listen", serve=True, listen=listen, extra=tls) as router:
        assert router.service.address.startswith("https://")
        try:
            await asyncio.to_thread(asterisk.start)
            await router.ready()
            async with Pbx(asterisk.url) as pbx:
                await pbx.call("app", number="4711")
                await router.fact(CallFinished)
            assert {fact.transport for fact in router.of(AriRequested)} == {"ws"}
            assert router.of(HttpRefused) == []
        finally:
            asterisk.stop()


@pytest.mark.parametrize(
    ("names", "days", "known", "scheme", "reason"),
    [
        pytest.param("DNS:localhost", -1, True, "wss", "tls_handshake_failed", id="expired"),
        pytest.param("DNS:elsewhere", 30, True, "wss", "tls_handshake_failed", id="name"),
        pytest.param("DNS:localhost", 30, False, "wss", "tls_handshake_failed", id="authority"),
        pytest.param("DNS:localhost", 30, True, "ws", "plain_http_on_a_tls_port", id="plain"),
    ],
)
async def test_an_asterisk_that_does_not_take_our_certificate(
    authority: Authority, folder: Path, names: str, days: int, known: bool, scheme: str, reason: str
) -> None:
    """Leaves a line here, too."""
    need_asterisk()
    pair = authority.issue("wrong", names, days)
    port = free_port()
    trusted = authority if known else Authority(folder / "other", "other")
    client = _CLIENT if scheme == "wss" else "tls_enabled=no"
    asterisk = Asterisk(
        listen={"app": f"{scheme}://localhost:{port}/ari/main"}, files=files(trusted, pair), client_tls=client
    )
    tls = f'tls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"'
    routes = route("http://127.0.0.1:9")
    async with Router("", "app", routes, mode="listen", serve=True, listen=f"127.0.0.1:{port}", extra=tls) as router:
        try:
            await asyncio.to_thread(asterisk.start)
            refused = await router.fact(HttpRefused)
            assert (refused.reason, refused.address) == (reason, "127.0.0.1")
            assert refused.detail or scheme == "ws"
            assert router.of(AriConnected) == []
        finally:
            asterisk.stop()
