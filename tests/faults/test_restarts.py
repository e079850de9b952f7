"""Faults 10, 18 and 17: a new version, edits of routes.toml and of secrets, all under load; and how long a recovery takes."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from lab.asterisk import Asterisk
from rig.endpoint import Delivery, Endpoint
from rig.ledger import incomplete
from rig.load import Load, ask
from rig.pbx import Pbx
from rig.place import Place
from rig.process import RouterProcess
from rig.router import route
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from hookrouter.simulator import Simulator

Measured = Callable[[int, str], None]
ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
OLD, NEW = "whsec_b2xkIG9sZCBvbGQgb2xkIG9sZCBvbGQh", "whsec_bmV3IG5ldyBuZXcgbmV3IG5ldyBuZXch"


@pytest.mark.parametrize("mode", ["connect", "listen"])
async def test_a_new_version_under_live_calls(
    app: str, endpoint: Endpoint, tmp_path: Path, mode: str, full: bool, rng: random.Random, measured: Measured
) -> None:
    """SIGTERM, and the next one starts: no call is dropped, no event lost, and what calls came meanwhile are taken."""
    ask(endpoint)
    async with Place(mode, app, endpoint, tmp_path) as place:
        load = Load(place.pbx, app, endpoint, rng)
        await load.start(50 if full else 12, spread=0.5)
        live = len(load.calls)
        starting = asyncio.create_task(load.start(16 if full else 4, spread=3.0))
        for _ in range(2):
            await asyncio.sleep(rng.uniform(0.4, 1.0))
            began = time.monotonic()
            assert await asyncio.to_thread(place.router.terminate) == 0
            stopped = time.monotonic() - began
            place.router.start()
            await place.router.ready()
        await starting
        outside = await load.refused() if mode == "connect" else 0
        await load.ended()
        skipped = load.check(place.proxy)
    measured(10, f"{mode}: two restarts under {live} live calls, {len(load.calls) - live} more came meanwhile; stopped in "
                 f"{stopped:.2f} s; {skipped} prompts of unknown fate not played again; {outside} calls went on in the dialplan")


async def _keep_calling(pbx: Pbx, app: str, stop: asyncio.Event, ids: list[str], gap: float = 0.03) -> None:
    while not stop.is_set():
        ids.append((await pbx.call(app)).id)
        await asyncio.sleep(gap)


async def test_routes_are_edited_under_load(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path, full: bool, measured: Measured
) -> None:
    """Well and badly, in turn: nothing is dropped, nobody gets a fallback, and a bad edit changes nothing."""
    endpoint.answers["StasisStart"] = [[ANSWER, HANGUP]]
    edits = 100 if full else 8
    async with RouterProcess(tmp_path, asterisk.url, app, route(endpoint.url)) as router:
        good, ids, stop = router.config.read_text(), [], asyncio.Event()
        calling = asyncio.create_task(_keep_calling(pbx, app, stop, ids))
        for number in range(edits):
            if number % 2:
                router.config.write_text(good.replace("events =", "evnets ="))
                await _until_metric(router, "hookrouter_routes_refused_total", number // 2 + 1)
            else:
                router.config.write_text(good + f"timeout = {1 + number % 3}.5\n")
                await _until_logged(router, "routes.loaded", number // 2 + 2)
        stop.set()
        await calling
        for id in ids:
            await endpoint.wait("StasisEnd", call=id)
        assert await router.metric("hookrouter_fallbacks_total") == 0
    assert not incomplete(endpoint.received, ids, ["StasisStart", "StasisEnd"])
    measured(18, f"{edits} edits, every second one bad, under {len(ids)} calls: none dropped, no fallback")


async def _until_metric(router: RouterProcess, name: str, value: float) -> None:
    async with asyncio.timeout(10):
        while await router.metric(name) < value:
            await asyncio.sleep(0.05)


async def _until_logged(router: RouterProcess, line: str, count: int) -> None:
    async with asyncio.timeout(10):
        while router.log.read_text().count(f" {line} ") < count:
            await asyncio.sleep(0.05)


def _fits(delivery: Delivery, secret: str) -> bool:
    try:
        Webhook(secret).verify(delivery.raw.decode(), delivery.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_secrets_are_rotated_under_load(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, tmp_path: Path, full: bool, measured: Measured
) -> None:
    """[old], [old, new], [new]: who knows the old one is never refused before the third, who knows the new one after the second."""
    endpoint.answers["StasisStart"] = [[ANSWER, HANGUP]]
    rounds = 10 if full else 1
    plain = route(endpoint.url)
    async with RouterProcess(tmp_path, asterisk.url, app, plain + f'secret = "{OLD}"\n') as router:
        text, ids, stop, seen, loads = router.config.read_text(), [], asyncio.Event(), 0, 1
        calling = asyncio.create_task(_keep_calling(pbx, app, stop, ids))
        for number in range(rounds):
            old, new = (OLD, NEW) if number % 2 == 0 else (NEW, OLD)
            base = text[: text.rindex("secret =")]
            router.config.write_text(base + f'secret = ["{old}", "{new}"]\n')
            loads += 1
            await _until_logged(router, "routes.loaded", loads)
            both = len(endpoint.received)
            await asyncio.sleep(0.3)
            switching = len(endpoint.received)
            router.config.write_text(base + f'secret = "{new}"\n')
            loads += 1
            await _until_logged(router, "routes.loaded", loads)
            await asyncio.sleep(0.2)
            assert all(_fits(delivery, old) for delivery in endpoint.received[seen:switching])
            assert all(_fits(delivery, new) for delivery in endpoint.received[both + 5 :])  # some were on their way
            assert switching > both + 5
            seen = len(endpoint.received)
        stop.set()
        await calling
    measured(17, f"{rounds} rotations under {len(ids)} calls: {len(endpoint.received)} deliveries, none refused")


async def test_a_thousand_calls_are_taken_up_again(
    app: str, endpoint: Endpoint, tmp_path: Path, full: bool, measured: Measured
) -> None:
    """From the start of the process until all calls have been looked at; then each goes on."""
    count = 1000 if full else 200
    endpoint.answers["StasisStart"] = [[ANSWER, {"action": "pause", "seconds": 3600}]]
    async with Simulator() as simulator, Pbx(simulator.url) as pbx:
        async with RouterProcess(tmp_path, simulator.url, app, route(endpoint.url)) as router:
            ids = []
            for _ in range(count):
                status, channel = await pbx.ari("POST", "channels", endpoint="Local/wait@callers", app=app)
                assert status == 200
                ids.append(channel["id"])
            while await router.metric("hookrouter_calls") < count or await router.metric("hookrouter_queue") > count:
                await asyncio.sleep(0.05)
            router.kill()
            began = time.monotonic()
            router.start()
            await router.ready()
            seconds = time.monotonic() - began
            assert await router.metric("hookrouter_calls") == count
            for id in ids:
                await pbx.ari("DELETE", f"channels/{id}")
            for id in ids:
                await endpoint.wait("StasisEnd", call=id, timeout=30)
    assert not incomplete(endpoint.received, ids, ["StasisStart", "StasisEnd"])
    assert seconds < (2.0 if full else 4.0)
    measured(9, f"recovery with {count} open calls (simulated Asterisk): {seconds:.2f} s from the start of the process")
