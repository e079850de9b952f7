"""`check --live` on a real Asterisk: each ordinary mistake is found, and beside a running router all is well."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from asterisk.conftest import need_asterisk
from lab.asterisk import Asterisk, free_port
from rig.endpoint import Delivery, Endpoint
from rig.router import Router, route

from hookrouter.checking.findings import Findings
from hookrouter.checking.live import check_live
from hookrouter.config import Config, parse

SECRET = "whsec_MTIzNDU2Nzg5MGFiY2RlZg=="
ROUTER_PORT = free_port()
GOOD = [{"action": "answer"}, {"action": "hangup"}]


def _with_more(found: Asterisk, ari: str = "", clients: tuple[str, str] = ("", "")) -> Asterisk:
    found._write()
    path = found.folder / "etc/ari.conf"
    path.write_text(path.read_text() + ari)
    path = found.folder / "etc/websocket_client.conf"
    path.write_text(path.read_text().replace(*clients) if clients[0] else path.read_text())
    return found


@pytest.fixture(scope="module")
def lab() -> Iterator[Asterisk]:
    """With a user that may only read, and a socket of its own to a router at ROUTER_PORT."""
    need_asterisk()
    found = Asterisk(listen={"entered": f"ws://127.0.0.1:{ROUTER_PORT}/ari/main"})
    with _with_more(found, "\n[reader]\ntype=user\nread_only=yes\npassword=hookrouter\n") as running:
        yield running


@pytest.fixture
async def answering(endpoint: Endpoint) -> Endpoint:
    endpoint.answers["StasisStart"] = GOOD
    return endpoint


def config(lab: Asterisk, url: str, *, asterisk: str = "", more: str = "", port: int = 1) -> Config:
    """`asterisk` and `more`: keys of [asterisk.main] and of the route."""
    if "apps" not in asterisk:
        asterisk += '\napps = ["checked"]'
    if "username" not in asterisk:
        asterisk += '\nusername = "hookrouter"'
    return parse(
        f'[asterisk.main]\nurl = "{lab.url}"\npassword = "hookrouter"\n{asterisk}\n'
        f'[server]\nlisten = "127.0.0.1:{port}"\n[[routes]]\nurl = "{url}"\n{more}\n',
        {},
    )


async def checked(config: Config, folder: Path | None = None) -> tuple[Findings, str]:
    said: list[str] = []
    findings = await check_live(config, said.append, folder)
    return findings, "\n".join(said)


def wrong(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.startswith("  ✗")]


async def test_nothing_is_wrong(lab: Asterisk, answering: Endpoint) -> None:
    """A good configuration is told to be so, and what was not asked is named."""
    findings, said = await checked(config(lab, answering.url))
    assert wrong(said) == []
    assert findings.wrong_count == 0
    assert findings.unasked == ["the dialplan"]
    assert "logged in as hookrouter; calls come by Stasis(checked)" in said
    assert "tones" not in said
    assert "answers a StasisStart" in said


async def test_a_user_that_may_only_read(lab: Asterisk, answering: Endpoint) -> None:
    """It logs in, and would be refused at every action."""
    _, said = await checked(config(lab, answering.url, asterisk='username = "reader"'))
    (found,) = wrong(said)
    assert "reader is read-only" in found
    assert "read_only = no" in found


async def test_the_question_changes_nothing(lab: Asterisk, answering: Endpoint) -> None:
    """Channels and bridges are as before, and the endpoint was shown one sample that says what it is."""
    before = lab.cli("core show channels count"), lab.cli("bridge show all")
    await checked(config(lab, answering.url))
    assert (lab.cli("core show channels count"), lab.cli("bridge show all")) == before
    (start,) = answering.of("StasisStart")
    assert start.body["check"] is True
    assert start.body["id"].startswith("evt_check_")
    assert start.call.startswith("check-")


def _html(delivery: Delivery) -> web.Response:
    return web.Response(text="<!doctype html><h1>Welcome</h1>", content_type="text/html")


def _empty(status: int) -> Callable[[Delivery], web.Response]:
    return lambda delivery: web.Response(status=status)


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        pytest.param(_html, "would be refused", id="html"),
        pytest.param(_empty(202), "without any action", id="202"),
        pytest.param(_empty(204), "without any action", id="204"),
        pytest.param(_empty(200), "without any action", id="empty-200"),
        pytest.param(lambda delivery: web.Response(text="null"), "without any action", id="null"),
        pytest.param([], "without any action", id="empty-list"),
        pytest.param({"state": {}}, "without any action", id="state-alone"),
        pytest.param([{"action": "anwser"}], "would be refused", id="unknown-action"),
        pytest.param([{"action": "play"}], "would be refused", id="missing-field"),
        pytest.param([{"action": "play", "media": "sound:x", "url": "ftp://x"}], "would be refused", id="bad-url"),
        pytest.param(_empty(500), "answered 500", id="500"),
        pytest.param(_empty(404), "answered 404", id="404"),
    ],
)
async def test_an_endpoint_that_does_no_good(lab: Asterisk, endpoint: Endpoint, answer: object, told: str) -> None:
    """What it answers to the first event of a call is looked at, not only that it answers."""
    endpoint.answers["StasisStart"] = answer
    _, said = await checked(config(lab, endpoint.url))
    (found,) = wrong(said)
    assert told in found
    assert "routes[0].url" in found


async def test_an_endpoint_that_answers_later(lab: Asterisk, endpoint: Endpoint) -> None:
    """With 202 and `while_waiting` it means it: what it will send cannot be asked, and that is said."""
    endpoint.answers["StasisStart"] = _empty(202)
    findings, said = await checked(config(lab, endpoint.url, more='while_waiting = [{ action = "ring" }]'))
    assert wrong(said) == []
    assert "routes[0].url" in findings.unasked


async def test_an_endpoint_that_verifies_nothing(lab: Asterisk, answering: Endpoint) -> None:
    """It takes what is signed with another key."""
    answering.answers["HookrouterCheck"] = []
    _, said = await checked(config(lab, answering.url, more=f'secret = "{SECRET}"'))
    assert any("wrong signature" in found for found in wrong(said))


async def test_beside_a_running_router(lab: Asterisk, answering: Endpoint) -> None:
    """The app is taken by the very router that is checked: nothing is wrong."""
    port, app = free_port(), f"app{secrets.token_hex(4)}"
    async with Router(lab.url, app, route(answering.url), serve=True, listen=f"127.0.0.1:{port}") as running:
        await running.ready()
        found = config(lab, answering.url, asterisk=f'apps = ["{app}"]', port=port)
        findings, said = await checked(found)
        assert findings.wrong_count == 0, said
        assert "is connected" in said
        other = config(lab, answering.url, asterisk='apps = ["another"]', port=port)
        _, said = await checked(other)
        assert any("does not know `another`" in one for one in wrong(said))


LISTEN = 'mode = "listen"\napps = ["entered"]'


async def test_a_router_that_asterisk_enters(lab: Asterisk, answering: Endpoint) -> None:
    """Asked of the running router; without one, it is said that nobody could tell."""
    found = config(lab, answering.url, asterisk=LISTEN, port=ROUTER_PORT)
    findings, said = await checked(found)
    assert wrong(said) == []
    assert "asterisk.main" in findings.unasked
    more = {"mode": "listen", "serve": True, "listen": f"127.0.0.1:{ROUTER_PORT}"}
    async with Router(lab.url, "entered", route(answering.url), **more) as running:
        await running.ready(20)
        findings, said = await checked(found)
        assert wrong(said) == []
        assert "asterisk.main" not in findings.unasked
        assert "Asterisk's own socket fits" in said


async def test_a_router_that_asterisk_cannot_enter(lab: Asterisk, answering: Endpoint) -> None:
    """Asterisk comes with another password than the router expects."""
    more = {"mode": "listen", "serve": True, "listen": f"127.0.0.1:{ROUTER_PORT}", "password": "other"}
    async with Router(lab.url, "entered", route(answering.url), **more) as running:
        async with asyncio.timeout(20):
            while running.service.ready()["main"] != "unauthorized":  # Asterisk, another process, has to try
                await asyncio.sleep(0.05)
        _, said = await checked(config(lab, answering.url, asterisk=LISTEN, port=ROUTER_PORT))
        assert any("has not come in" in one and "another user or password" in one for one in wrong(said))


async def test_apps_that_differ(lab: Asterisk, answering: Endpoint) -> None:
    """Asterisk's own socket hands over another app than routes.toml names."""
    found = config(lab, answering.url, asterisk='mode = "listen"\napps = ["entered", "second"]')
    _, said = await checked(found)
    assert any("no outbound_websocket for `second`" in one for one in wrong(said))
    assert any("apps = entered, but" in one for one in wrong(said))


async def test_modules_that_are_missing(answering: Endpoint) -> None:
    """What every call needs is a fault, what one verb needs is named with it."""
    need_asterisk()
    found = Asterisk()
    found._write()
    path = found.folder / "etc/modules.conf"
    path.write_text(path.read_text() + "noload = res_stasis_recording.so\nnoload = chan_audiosocket.so\n")
    with found as running:
        _, said = await checked(config(running, answering.url))
    assert any("res_stasis_recording" in one for one in wrong(said))
    assert "`stream` over TCP (AudioSocket) will fail: chan_audiosocket not running" in said


async def test_too_many_attempts(answering: Endpoint) -> None:
    """Told by Asterisk itself, and by its files."""
    need_asterisk()
    found = Asterisk(listen={"entered": "ws://127.0.0.1:9/ari/main"})
    clients = ("reconnect_attempts=10", "reconnect_attempts=2000000000")
    with _with_more(found, clients=clients) as running:
        for folder in (None, running.folder / "etc"):
            _, said = await checked(config(running, answering.url, asterisk=LISTEN), folder)
            assert any("reconnect_attempts = 2000000000: set 10" in one for one in wrong(said)), said


async def test_the_labs_own_files(lab: Asterisk, answering: Endpoint) -> None:
    """Its sockets are as they should be; its dialplan has one pattern that fits `h`, for the tests of it."""
    findings, said = await checked(config(lab, answering.url, asterisk=LISTEN), lab.folder / "etc")
    (found,) = wrong(said)
    assert "`_.` in [loose] also fits `h`" in found
    assert "Asterisk's own socket fits" in said
    assert findings.unasked == ["asterisk.main"]


async def test_nothing_could_be_asked(answering: Endpoint) -> None:
    """Without an address, a router and files, that is what is said of Asterisk."""
    text = f'[asterisk.main]\nmode = "listen"\npassword = "x"\n[server]\nlisten = "127.0.0.1:1"\n[[routes]]\nurl = "{answering.url}"\n'
    findings, said = await checked(parse(text, {}))
    assert findings.wrong_count == 0
    assert findings.unasked == ["asterisk.main", "the dialplan"]
    assert "all is well" not in said.lower()
