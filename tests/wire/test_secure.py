"""The router's own HTTP by TLS: who speaks something else, who is slow, and a certificate that is renewed."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner
from lab.asterisk import free_port
from rig.certificates import Authority
from rig.process import RouterProcess
from rig.router import Router, route

from hookrouter.cli import main
from hookrouter.facts import HttpRefused
from hookrouter.web import secure

NOWHERE = "http://127.0.0.1:9"
TOKEN = "a-token-of-sixteen-and-more"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls"))


@contextlib.asynccontextmanager
async def running(authority: Authority, name: str = "router") -> AsyncIterator[tuple[Router, httpx.AsyncClient]]:
    pair = authority.issue(name)
    keys = f'token = "{TOKEN}"\ntls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"'
    context = ssl.create_default_context(cafile=str(authority.certificate))
    async with Router(NOWHERE, "app", route(NOWHERE), serve=True, extra=keys) as router:
        headers = {"authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(
            base_url=router.service.address, verify=context, trust_env=False, headers=headers
        ) as http:
            yield router, http


async def test_all_is_by_tls(authority: Authority) -> None:
    """Pages, the API, listeners; the cookie of a session is for TLS alone."""
    async with running(authority) as (router, http):
        assert router.service.address.startswith("https://")
        assert (await http.get("/v1/calls")).status_code == 200
        async with http.stream("GET", "/v1/events") as events:
            assert await anext(events.aiter_lines()) == ": hookrouter"
        done = await http.post("/login", data={"token": TOKEN}, headers={"origin": router.service.address})
        assert done.headers["set-cookie"].startswith("__Host-hookrouter=")
        assert "; Secure" in done.headers["set-cookie"]
        plain = {"origin": router.service.address.replace("https", "http")}
        assert (await http.post("/login", data={"token": TOKEN}, headers=plain)).status_code == 403


async def test_plain_http_is_told_so(authority: Authority) -> None:
    """To who asks, and to the operator."""
    async with running(authority) as (router, _), httpx.AsyncClient(trust_env=False) as plain:
        reply = await plain.get(router.service.address.replace("https", "http") + "/healthz")
        assert (reply.status_code, "https" in reply.json()["detail"]) == (400, True)
        assert (await router.fact(HttpRefused)).reason == "plain_http_on_a_tls_port"


async def test_who_does_not_know_our_authority(authority: Authority) -> None:
    """Is told of, with what to do."""
    async with running(authority) as (router, _), httpx.AsyncClient(trust_env=False) as stranger:
        with pytest.raises(httpx.ConnectError):
            await stranger.get(router.service.address)
        refused = await router.fact(HttpRefused)
        assert (refused.reason, "authority" in refused.detail) == ("tls_handshake_failed", True)


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01"], ids=["silent", "begins"])
async def test_a_handshake_has_its_time(authority: Authority, first: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """And those that are under way have a cap: who has finished theirs is not kept out."""
    monkeypatch.setattr(secure, "HANDSHAKE_SECONDS", 0.5)
    monkeypatch.setattr(secure, "MOST_HANDSHAKES", 20)
    async with running(authority) as (router, http), contextlib.AsyncExitStack() as stack:
        assert (await http.get("/v1/calls")).status_code == 200
        port = int(router.service.address.rpartition(":")[2])
        ends = []
        for _ in range(40):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            stack.callback(writer.close)
            writer.write(first)
            ends.append(asyncio.create_task(reader.read()))
        await router.fact(HttpRefused, reason="too_many_handshakes")
        assert (await http.get("/v1/calls")).status_code == 200
        async with asyncio.timeout(5):
            await asyncio.gather(*ends, return_exceptions=True)
        await router.fact(HttpRefused, reason="tls_handshake_too_slow")


async def test_a_renewed_certificate(authority: Authority) -> None:
    """Is taken up while it runs, and a file that is none changes nothing."""

    async def serial(router: Router) -> int:
        host, port = router.service.address.removeprefix("https://").split(":")
        _, writer = await asyncio.open_connection(host, int(port), ssl=http._transport._pool._ssl_context)  # type: ignore[attr-defined]
        found = writer.get_extra_info("peercert")["serialNumber"]
        writer.close()
        return int(found, 16)

    async with running(authority, "renewed") as (router, http):
        before = await serial(router)
        authority.issue("renewed")
        router.service._take_up_routes(router.config)
        assert await serial(router) != before
        Path(router.config.server.certificate).write_text("none")
        router.service._take_up_routes(router.config)
        assert await serial(router) != before


async def test_the_command_line_asks_by_tls(authority: Authority, tmp_path: Path) -> None:
    """Whatever name the certificate is for."""
    pair = authority.issue("elsewhere", "DNS:pbx.example")
    process = RouterProcess(tmp_path, NOWHERE, "app", route(NOWHERE))
    process.port = free_port()
    shutil.copy(pair.certificate, tmp_path / "c.pem")
    shutil.copy(pair.key, tmp_path / "k.pem")
    process.config.write_text(
        f'[asterisk.main]\nurl = "{NOWHERE}"\npassword = "x"\napps = ["app"]\n[server]\nlisten = "127.0.0.1:{process.port}"\n'
        f'token = "{TOKEN}"\ntls_certificate = "c.pem"\ntls_key = "k.pem"\n{route(NOWHERE)}'
    )
    process.start()
    try:
        async with asyncio.timeout(15):
            while True:
                words = ["deliveries", "-c", str(process.config), "list"]
                done = await asyncio.to_thread(CliRunner().invoke, main, words)
                if done.exit_code == 0:
                    break
                await asyncio.sleep(0.05)
    finally:
        process.kill()
