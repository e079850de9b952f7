"""The router that runs, asked by `check --live`."""

from __future__ import annotations

from pathlib import Path

import pytest
from lab.asterisk import free_port
from rig.certificates import Authority
from rig.router import Router, route

from hookrouter.checking.router import address, running_router
from hookrouter.config import Server
from hookrouter.http.client import Http


@pytest.mark.parametrize(
    ("server", "url"),
    [
        (Server("0.0.0.0", 8080), "http://127.0.0.1:8080"),
        (Server("::", 1), "http://[::1]:1"),
        (Server("10.0.0.1", 1, certificate="x"), "https://10.0.0.1:1"),
    ],
)
def test_where_it_is(server: Server, url: str) -> None:
    """As this machine reaches it."""
    assert address(server) == url


async def test_nobody_there() -> None:
    """Is told apart from a router that has no Asterisk."""
    http = Http()
    assert await running_router(Server(port=free_port()), http) is None
    await http.close()


async def test_a_certificate_for_another_name(tmp_path: Path) -> None:
    """Its own is trusted, whatever name it is for: it is asked by an address of this machine."""
    pair = Authority(tmp_path).issue("router.example", "DNS:router.example")
    port, http = free_port(), Http()
    more = f'tls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"'
    listen = f"127.0.0.1:{port}"
    async with Router(
        "", "a", route("http://127.0.0.1:1/"), mode="listen", serve=True, listen=listen, extra=more
    ) as running:
        found = await running_router(running.config.server, http)
        assert found is not None
        assert found["main"] != "connected"
    await http.close()
