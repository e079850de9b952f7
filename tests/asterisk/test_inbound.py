"""Sockets that an Asterisk opens to us, and that are not taken: each leaves a line that says what differs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from asterisk.conftest import need_asterisk
from lab.asterisk import Asterisk, free_port
from rig.router import Router, route

from hookrouter.facts import AriConnected, AriLost, AuthRefused

pytestmark = pytest.mark.asterisk
NOWHERE = "http://127.0.0.1:9"
_TABLES = """
[asterisk.password]
username = "hookrouter"
password = "another one"
apps = ["password"]
mode = "listen"
[asterisk.username]
username = "another"
password = "hookrouter"
apps = ["username"]
mode = "listen"
[asterisk.connect]
url = "http://127.0.0.1:9"
username = "hookrouter"
password = "hookrouter"
apps = ["connect"]
"""


@contextlib.asynccontextmanager
async def listening(port: int, app: str, **clients: str) -> AsyncIterator[tuple[Router, Asterisk]]:
    """A router at `port`, and an Asterisk with a socket for each of `clients`: app → NAME in the path."""
    need_asterisk()
    sockets = {name: f"ws://127.0.0.1:{port}/ari/{path}" for name, path in clients.items()}
    asterisk = Asterisk(listen=sockets)
    routes = _TABLES + route(NOWHERE)
    async with Router("", app, routes, serve=True, listen=f"127.0.0.1:{port}", mode="listen") as router:
        try:
            await asyncio.to_thread(asterisk.start)
            yield router, asterisk
        finally:
            asterisk.stop()


async def test_every_socket_that_is_not_taken_leaves_a_line() -> None:
    """Wrong password, user, NAME, mode and app: with where from, which, and the setting that differs; never a secret."""
    clients = {"password": "password", "username": "username", "name": "nowhere", "connect": "connect", "other": "main"}
    expected = {
        "wrong_password": ("/ari/password", "`password` in websocket_client.conf is not the `password` of [asterisk.password]"),
        "wrong_username": ("/ari/username", "`username` in websocket_client.conf is not the `username` of [asterisk.username]"),
        "unknown_name": ("/ari/nowhere", "it has: connect, main, password, username"),
        "not_listening": ("/ari/connect", '[asterisk.connect] of routes.toml has mode = "connect"'),
        "wrong_app": ("/ari/main", "its `apps` in ari.conf are other, not ours"),
    }
    async with listening(free_port(), "ours", **clients) as (router, _):
        for reason, (asked, words) in expected.items():
            fact = await router.fact(AuthRefused, reason=reason)
            assert (fact.door, fact.address, fact.asked) == ("ari", "127.0.0.1", asked)
            assert words in fact.detail
            assert "another one" not in str(fact)
        states = router.service.ready()
        assert (states["main"], states["password"]) == ("wrong_app", "unauthorized")
        page = router.service.metrics().decode()
        assert 'hookrouter_auth_refused_total{door="ari",reason="wrong_app"}' in page


async def test_a_socket_of_another_app_does_not_take_the_place_of_one_that_works() -> None:
    """It is refused, again and again, and the right one does not notice."""
    async with listening(free_port(), "ours", ours="main", other="main") as (router, asterisk):
        await router.fact(AriConnected, asterisk="main")
        async with asyncio.timeout(10):
            while len([fact for fact in router.of(AuthRefused) if fact.reason == "wrong_app"]) < 3:
                await asyncio.sleep(0.02)
        assert [fact for fact in router.of(AriLost) if fact.asterisk == "main"] == []
        assert len(router.of(AriConnected)) == 1
        assert asterisk.answers()

