"""Faults 11, 12 and 13: the socket to Asterisk goes, Asterisk goes, somebody else takes the app."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Endpoint
from rig.ledger import incomplete, twice
from rig.load import Load, ask
from rig.pbx import Pbx
from rig.place import Place
from rig.proxy import Proxy
from rig.router import Router, route

from hookrouter.facts import AriConnected, AriLost, AriReplaced, CallFinished

Measured = Callable[[int, str], None]
ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
LONG = {"action": "play", "media": "sound:vm-options"}
ENDS = '["StasisStart", "StasisEnd", "CallEnded", "ActionFailed"]'


@pytest.mark.parametrize("seconds", [1, 30])
async def test_a_socket_that_is_gone_for_a_while_costs_no_call(
    app: str, endpoint: Endpoint, tmp_path: Path, seconds: int, full: bool, rng: random.Random, measured: Measured
) -> None:
    """REST is gone too. Who hung up meanwhile is told once, inferred; the others go on, and nothing is done twice."""
    away = seconds if full else min(seconds, 4)
    ask(endpoint)
    async with Place("connect", app, endpoint, tmp_path) as place:
        load = Load(place.pbx, app, endpoint, rng)
        await load.start(12 if not full else 50, spread=0.5)
        gone = load.callers[:3]
        place.proxy.refuse()
        await asyncio.sleep(away / 2)
        for call in gone:
            await call.hangup()
        await asyncio.sleep(away / 2)
        place.proxy.heal()
        healed = time.monotonic()
        await place.router.ready()
        back = time.monotonic() - healed
        await load.refused()
        gone = [call for call in gone if call.id in load.calls]
        await load.ended()
        for call in gone:
            del load.calls[call.id]
        skipped = load.check(place.proxy)
        failed = {delivery.call for delivery in endpoint.of("ActionFailed")} & load.calls.keys()
        broken = incomplete(endpoint.received, [call.id for call in gone], ["StasisStart", "StasisEnd", "CallEnded"])
        assert not broken, broken
        told = [d for d in endpoint.of("StasisEnd") if d.body.get("inferred")]
        assert {call.id for call in gone} <= {d.call for d in told}
    assert back < 2.5
    assert not failed  # what could not be asked for has waited
    measured(11, f"gone for {away} s: all in order {back:.2f} s after its return; {len(told)} ends inferred, each once; "
                 f"{skipped} prompts of unknown fate not played again; no action of {len(load.calls)} calls has failed")  # fmt: skip


async def test_a_half_open_socket_is_noticed_within_ten_seconds(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, measured: Measured
) -> None:
    """Packets go nowhere and nobody says so; afterwards the call that ended meanwhile is told once."""
    endpoint.answers["StasisStart"] = [[ANSWER, LONG, LONG, LONG, HANGUP]]
    async with Proxy(asterisk.http_port) as proxy:
        async with Router(proxy.url, app, route(endpoint.url, events=ENDS)) as router:
            await router.ready()
            call = await pbx.call(app)
            await call.answered()
            proxy.freeze()
            frozen = time.monotonic()
            lost = await router.fact(AriLost, timeout=12)
            noticed = time.monotonic() - frozen
            await call.hangup()
            await pbx.gone(call.id)
            proxy.heal()
            await router.fact(AriConnected, reconnect=True)
            await endpoint.wait("CallEnded", call=call.id)
            assert not incomplete(endpoint.received, [call.id], ["StasisStart", "StasisEnd", "CallEnded"])
            assert endpoint.of("StasisEnd")[0].body["inferred"]
            assert not twice(proxy)
    assert noticed < 10, lost
    measured(11, f"half open: noticed after {noticed:.1f} s; the end that was missed was told once")


async def test_a_half_open_socket_is_noticed_in_listen_mode(
    app: str, endpoint: Endpoint, tmp_path: Path, rng: random.Random, measured: Measured
) -> None:
    """Asterisk believes that its socket works: we notice, and it connects again when it can."""
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "pause", "seconds": 12}, HANGUP]]
    async with Place("listen", app, endpoint, tmp_path, events=ENDS) as place:
        call = await place.pbx.call(app)
        await call.answered()
        place.proxy.freeze()
        frozen = time.monotonic()
        while (await place.router.get("/readyz"))["asterisk"]["main"] == "connected":
            await asyncio.sleep(0.05)
            assert time.monotonic() - frozen < 10
        noticed = time.monotonic() - frozen
        place.proxy.heal()
        await place.router.ready()
        await endpoint.wait("CallEnded", call=call.id, timeout=30)
        assert not incomplete(endpoint.received, [call.id], ["StasisStart", "StasisEnd", "CallEnded"])
        assert not twice(place.proxy)
    measured(11, f"half open, listen mode: noticed after {noticed:.1f} s")


@pytest.mark.parametrize("mode", ["connect", "listen"])
async def test_asterisk_is_killed_and_started_in_mid_call(
    app: str, endpoint: Endpoint, tmp_path: Path, mode: str, full: bool, measured: Measured
) -> None:
    """Each call is ended once, with its reason; the router is back within 2 s of Asterisk's return and takes calls."""
    endpoint.answers["StasisStart"] = [[ANSWER, LONG, LONG, LONG, HANGUP]]
    async with Place(mode, app, endpoint, tmp_path, events=ENDS) as place:
        calls = [await place.pbx.call(app) for _ in range(50 if full else 10)]
        for call in calls:
            await call.answered()
        place.asterisk.kill()
        await asyncio.sleep(1.0)
        await asyncio.to_thread(place.asterisk.start)
        returned = time.monotonic()
        await place.router.ready()
        back = time.monotonic() - returned
        for call in calls:
            ended = await endpoint.wait("CallEnded", call=call.id)
            assert ended.data["reason"] == "asterisk_restarted"
        async with Pbx(place.asterisk.url) as pbx:
            after = await pbx.call(app)
            await after.answered()
            await after.hangup()
            await endpoint.wait("CallEnded", call=after.id)
        ids = [call.id for call in calls]
        assert not incomplete(endpoint.received, [*ids, after.id], ["StasisStart", "StasisEnd", "CallEnded"])
    assert back < 2.0
    measured(12, f"{mode}: {len(calls)} calls ended once each as asterisk_restarted; connected {back:.2f} s after its return")


async def test_who_still_rings_when_the_socket_returns_is_no_call_yet(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """Asterisk counts them to the app from the first ring on. When they answer, their StasisStart is told, once, as it came."""
    endpoint.answers["StasisStart"] = lambda delivery: (
        [{"action": "originate", "id": "callee", "to": "Local/late-2@callers", "actions": [ANSWER]}, LONG, LONG]
        if delivery.data.get("args") == ["caller"] else []
    )
    async with Proxy(asterisk.http_port) as proxy, Router(proxy.url, app, route(endpoint.url, events=ENDS)) as router:
        await router.ready()
        call = await pbx.call(app, args="caller")
        foreign = {"endpoint": "Local/late-2@callers", "app": app, "appArgs": "foreign"}
        status, found = await pbx.ari("POST", "channels", **foreign)
        assert status == 200
        await pbx.ringing("hr-call-callee.", found["id"])
        proxy.cut()
        await router.fact(AriConnected, reconnect=True)
        assert [d.type for d in endpoint.received] == ["StasisStart"]
        await endpoint.wait("StasisStart", call=found["id"])
        done = await endpoint.wait("OriginateCompleted")
        assert done.data["status"] == "answered"
        assert [d.call for d in endpoint.of("StasisStart")] == [call.id, found["id"]]
        assert not [d for d in endpoint.received if d.body.get("inferred")]
        await call.hangup()


async def test_another_client_takes_the_app(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, measured: Measured
) -> None:
    """We step down at once, say so, and do not take it back; the calls stay where they are."""
    endpoint.answers["StasisStart"] = [[ANSWER, LONG, HANGUP]]
    async with Router(asterisk.url, app, route(endpoint.url, events=ENDS)) as router:
        await router.ready()
        call = await pbx.call(app)
        await call.answered()
        socket = await pbx.session.ws_connect(f"ws{pbx.url.removeprefix('http')}/ari/events?app={app}")
        taken = time.monotonic()
        await router.fact(AriReplaced)
        seconds = time.monotonic() - taken
        assert router.service.ready() == {"main": "replaced"}
        with pytest.raises(TimeoutError):
            message = await socket.receive(timeout=4)
            while message.type is not aiohttp.WSMsgType.CLOSE:
                assert "ApplicationReplaced" not in str(message.data)
                message = await socket.receive(timeout=4)
        assert call.id in await pbx.channels()
        assert not router.of(CallFinished)
        await socket.close()
    assert seconds < 0.1
    measured(13, f"stepped down after {seconds * 1000:.0f} ms; no ping-pong for 4 s")
