"""Mode `invite` on the real Asterisk: it is told by ARI alone where to connect to, and keeps calls and events meanwhile."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import WSServerHandshakeError
from asterisk.conftest import need_asterisk
from asterisk.test_checking import checked, config
from lab.asterisk import Asterisk, free_port
from rig.certificates import Authority
from rig.endpoint import Endpoint
from rig.group import inviting
from rig.pbx import Pbx
from rig.process import RouterProcess
from rig.router import Router, route

from hookrouter.ari.invitation import invited_name
from hookrouter.facts import AriConnected, AriLost, AriReplaced, AuthRefused

EVENTS = '["StasisStart", "StasisEnd", "PlayCompleted", "CallEnded"]'
ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
HELLO = {"action": "play", "media": "sound:hello-world"}
LONG = {"action": "play", "media": "sound:vm-options"}  # some seconds


@pytest.fixture(scope="module")
def inviting_asterisk() -> Iterator[Asterisk]:
    """One that keeps what it is told, and has clients of its own in websocket_client.conf."""
    need_asterisk()
    with Asterisk(files={"sorcery.conf": inviting()}, media_clients={"bot": "ws://127.0.0.1:1/"}) as running:
        yield running


def process(folder: Path, asterisk: Asterisk, app: str, endpoint: Endpoint) -> RouterProcess:
    return RouterProcess(folder, asterisk.url, app, route(endpoint.url, events=EVENTS), mode="invite")


def object_of(kind: str, app: str) -> str:
    module = "res_ari" if kind == "outbound_websocket" else "res_websocket_client"
    return f"asterisk/config/dynamic/{module}/{kind}/{invited_name(app)}"


async def door(pbx: Pbx, port: int, password: str) -> int:
    """The status with which a router refuses who comes with this password."""
    token = b64encode(f"hookrouter:{password}".encode()).decode()
    with pytest.raises(WSServerHandshakeError) as refused:
        await pbx.session.ws_connect(f"ws://127.0.0.1:{port}/ari/main", headers={"authorization": f"Basic {token}"})
    return refused.value.status


async def test_no_call_and_no_event_is_lost_while_the_router_is_dead(
    inviting_asterisk: Asterisk, app: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    """kill -9: who hangs up meanwhile is told of by Asterisk itself, new calls are taken, and those that live go on."""
    endpoint.answers["StasisStart"] = [[ANSWER, LONG, HANGUP]]
    async with Pbx(inviting_asterisk.url) as pbx, process(tmp_path, inviting_asterisk, app, endpoint) as router:
        lives, leaves = [await pbx.call(app) for _ in range(2)]
        for call in (lives, leaves):
            await call.answered()
        assert endpoint.of("CallEnded") == []
        router.kill()
        first = await pbx.call(app)  # its event may be written into the dead socket: Asterisk learns by it
        await leaves.hangup()
        await pbx.gone(leaves.id)
        late = [await pbx.call(app) for _ in range(2)]
        router.start()
        for call in (lives, leaves, first, *late):
            await endpoint.wait("CallEnded", call=call.id, timeout=30)
            assert await call.variable("WENT_ON") is None
        ends = {delivery.call: delivery.body for delivery in endpoint.of("StasisEnd")}
        assert "inferred" not in ends[leaves.id]
        assert "inferred" not in ends[late[-1].id]
    assert len({delivery.call for delivery in endpoint.of("PlayCompleted")}) == 4


async def test_a_restarted_asterisk_is_invited_again(inviting_asterisk: Asterisk, app: str, endpoint: Endpoint) -> None:
    """It has forgotten what it was told; files' own clients are there as before."""
    endpoint.answers["StasisStart"] = [[ANSWER, HELLO, HANGUP]]
    routes = route(endpoint.url, events=EVENTS)
    async with Router(inviting_asterisk.url, app, routes, mode="invite", serve=True) as router:
        await router.ready()
        await asyncio.to_thread(inviting_asterisk.restart)
        await router.fact(AriConnected, reconnect=True, timeout=30)
        async with Pbx(inviting_asterisk.url) as pbx:
            call = await pbx.call(app)
            await endpoint.wait("CallEnded", call=call.id)
            path = "asterisk/config/dynamic/res_websocket_client/websocket_client/bot"
            assert (await pbx.ari("GET", path))[0] == 200
    assert {lost.reason for lost in router.of(AriLost)} <= {"closed", "no_answer", "unavailable", "not_found"}, router.of(AriLost)
    assert router.of(AuthRefused) == []


async def test_each_invitation_has_a_password_of_its_own_and_no_other_opens_the_door(
    inviting_asterisk: Asterisk, app: str
) -> None:
    """Not the one of routes.toml, nor that of the last router: who shows them does not take the place of the socket that works."""
    seen: list[str] = []
    async with Pbx(inviting_asterisk.url) as pbx:
        for _ in range(2):
            port = free_port()
            async with Router(
                inviting_asterisk.url, app, route("http://127.0.0.1:9/"), mode="invite", serve=True, listen=f"127.0.0.1:{port}"
            ) as router:
                await router.ready()
                _, fields = await pbx.ari("GET", object_of("websocket_client", app))
                found = {field["attribute"]: field["value"] for field in fields}
                assert found["uri"] == f"ws://127.0.0.1:{port}/ari/main"
                for password in ("hookrouter", "", *seen):
                    assert await door(pbx, port, password) == 401
                assert router.of(AriLost) == []
                assert {refused.reason for refused in router.of(AuthRefused)} == {"not_invited"}
                seen.append(found["password"])
    assert len(set(seen)) == 2
    assert all(len(password) >= 32 for password in seen)


async def test_who_is_taken_over_by_a_router_that_it_knows_nothing_of_steps_down(
    inviting_asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """Two routers without a database in common: the second has the calls, the first says so, and they do not fight."""
    endpoint.answers["StasisStart"] = [[ANSWER, HELLO, HANGUP]]
    routes = route(endpoint.url, events=EVENTS)
    async with Router(inviting_asterisk.url, app, routes, mode="invite", serve=True) as first:
        await first.ready()
        async with Router(inviting_asterisk.url, app, routes, mode="invite", serve=True) as second, Pbx(inviting_asterisk.url) as pbx:
            await second.ready()
            await first.fact(AriReplaced)
            call = await pbx.call(app)
            await endpoint.wait("CallEnded", call=call.id)
            assert second.of(AriLost) == []


async def test_an_asterisk_without_the_lines_is_told_of_with_the_remedy(asterisk: Asterisk, app: str) -> None:
    """Nothing was made in it; the state names the reason, and the line the file and the command."""
    async with Router(asterisk.url, app, route("http://127.0.0.1:9/"), mode="invite", serve=True) as router:
        lost = await router.fact(AriLost)
        assert lost.reason == "not_invited"
        assert "sorcery.conf" in lost.detail
        assert "hookrouter setup" in lost.detail
        assert router.service.ready() == {"main": "not_invited"}


async def test_an_address_that_asterisk_does_not_reach_is_named(inviting_asterisk: Asterisk, app: str) -> None:
    """`advertise` is what Asterisk is told; that nobody comes is said with it."""
    nowhere = f"http://127.0.0.1:{free_port()}"
    more = f'advertise = "{nowhere}"'
    async with Router(
        inviting_asterisk.url, app, route("http://127.0.0.1:9/"), mode="invite", serve=True, asterisk=more
    ) as router:
        lost = await router.fact(AriLost)
        assert lost.reason == "not_come"
        assert f"ws{nowhere.removeprefix('http')}/ari/main" in lost.detail


async def test_from_mode_connect_to_mode_invite_without_a_restart_of_asterisk(
    inviting_asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """The new router has the app at once, though the old one is still connected."""
    endpoint.answers["StasisStart"] = [[ANSWER, HELLO, HANGUP]]
    routes = route(endpoint.url, events=EVENTS)
    async with Router(inviting_asterisk.url, app, routes) as old:
        await old.ready()
        async with Router(inviting_asterisk.url, app, routes, mode="invite", serve=True) as new, Pbx(inviting_asterisk.url) as pbx:
            await new.ready()
            call = await pbx.call(app)
            await endpoint.wait("CallEnded", call=call.id)
            assert len(old.of(AriReplaced)) == 1
            assert new.of(AriLost) == []


async def test_check_tells_whether_it_can_be_invited(
    inviting_asterisk: Asterisk, asterisk: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """With the lines and without; what was made to find out is taken away, and an invitation that is there is left alone."""
    more = f'mode = "invite"\napps = ["{app}"]'
    before = inviting_asterisk.cli("ari show outbound-websockets")
    for lab in (inviting_asterisk, asterisk):
        _, said = await checked(config(lab, endpoint.url, asterisk=more))
        (line,) = [line for line in said.splitlines() if "mode invite" in line]
        if lab is inviting_asterisk:
            assert line == "  ✓ asterisk.main: mode invite: it can be told where to connect to"
        else:
            assert line.startswith("  ✗ asterisk.main: mode invite: it cannot be told where to connect to")
            assert "[res_websocket_client] websocket_client=config,websocket_client.conf" in line
    assert inviting_asterisk.cli("ari show outbound-websockets") == before
    async with Router(inviting_asterisk.url, app, route(endpoint.url), mode="invite", serve=True) as router:
        await router.ready()
        _, said = await checked(config(inviting_asterisk, endpoint.url, asterisk=more))
        assert "✓ asterisk.main: mode invite" in said
        assert router.of(AriLost) == []


async def test_it_comes_by_tls(app: str, endpoint: Endpoint, tmp_path: Path) -> None:
    """With the authorities that it is told to trust, to the name that it is told."""
    need_asterisk()
    authority = Authority(tmp_path)
    pair = authority.issue("router")
    asterisk = Asterisk(files={"sorcery.conf": inviting(), "ca.pem": authority.certificate.read_text()})
    tls = f'tls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"'
    port = free_port()
    more = f'advertise = "https://localhost:{port}"\nadvertise_ca = "{asterisk.inside}/etc/ca.pem"'
    endpoint.answers["StasisStart"] = [[ANSWER, HELLO, HANGUP]]
    with asterisk:
        async with Router(
            asterisk.url, app, route(endpoint.url, events=EVENTS), mode="invite", serve=True, listen=f"127.0.0.1:{port}", extra=tls,
            asterisk=more,
        ) as router, Pbx(asterisk.url) as pbx:  # fmt: skip
            await router.ready()
            call = await pbx.call(app)
            await endpoint.wait("CallEnded", call=call.id)
