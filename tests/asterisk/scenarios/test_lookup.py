"""examples/scenarios/lookup.py with real phones: the name on the display, ringing while it is looked up, and no function at all."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from lab.asterisk import Asterisk
from lab.ua import UA, Call
from rig.scene import hears, scene


class Crm:
    """Knows two numbers; `delay` seconds slow."""

    def __init__(self) -> None:
        self.delay = 0.0
        self.numbers = {"4711": {"name": "Good Customer"}, "666": {"unwanted": True}}

    async def answer(self, request: web.Request) -> web.Response:
        await asyncio.sleep(self.delay)
        return web.json_response(self.numbers.get(request.match_info["number"], {}))


@asynccontextmanager
async def crm() -> AsyncIterator[tuple[Crm, str]]:
    known, app = Crm(), web.Application()
    app.router.add_get("/number/{number}", known.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield known, f"http://127.0.0.1:{runner.addresses[0][1]}/number/"
    finally:
        await runner.cleanup()


async def rings(call: Call, phone: UA) -> tuple[str, list[int]]:
    """The phone rings, is answered, talks, and hangs up: who it showed, and what the caller was told."""
    incoming = await phone.incoming()
    incoming.ring()
    await call.until(lambda: 180 in call.statuses)
    await incoming.answer()
    await call.answered()
    await hears(call, incoming, 440)
    await incoming.hangup()
    shown = re.search(r"From: (.*?);tag", incoming.invite)
    assert shown is not None
    return shown[1], sorted(set(call.statuses))


async def test_the_phone_shows_the_name_and_unwanted_callers_hear_busy(asterisk: Asterisk, app: str) -> None:
    """A number that nobody knows rings, too."""
    async with (
        crm() as (_, address), UA(asterisk.sip_port) as caller, UA(asterisk.sip_port) as phone,
        scene(asterisk, app, "lookup", CRM=address) as lookup,
    ):  # fmt: skip
        call = await caller.invite(f"ours-{app}-{phone.port}", caller="4711")
        shown, _ = await rings(call, phone)
        assert shown.startswith('"Good Customer" <sip:4711@')
        call = await caller.invite(f"ours-{app}-{phone.port}", caller="666")
        await call.ended()
        assert call.status == 486
        assert phone.waiting.empty()
        call = await caller.invite(f"ours-{app}-{phone.port}", caller="5")
        assert (await rings(call, phone))[0].startswith('"5" <sip:5@')
        await lookup.clean()


async def test_a_slow_lookup_lets_it_ring_and_one_who_hangs_up_meanwhile_rings_nobody(
    asterisk: Asterisk, app: str
) -> None:
    """180 comes before the answer of the function, and the name comes all the same."""
    async with (
        crm() as (known, address), UA(asterisk.sip_port) as caller, UA(asterisk.sip_port) as phone,
        scene(asterisk, app, "lookup", CRM=address) as lookup,
    ):  # fmt: skip
        known.delay = 1.6
        call = await caller.invite(f"ours-{app}-{phone.port}", caller="4711")
        await call.until(lambda: 180 in call.statuses)
        assert phone.waiting.empty()
        assert not lookup.of("StasisEnd")
        shown, _ = await rings(call, phone)
        assert "Good Customer" in shown
        call = await caller.invite(f"ours-{app}-{phone.port}", caller="4711")
        await lookup.event("StasisStart", 2)
        await call.hangup()
        await lookup.event("StasisEnd", 2)
        await lookup.clean()
        assert phone.waiting.empty()


@pytest.mark.parametrize("fault", ["the CRM is down", "the function is down", "the function is too slow"])
async def test_with_the_function_down_the_phone_rings_as_without_us(asterisk: Asterisk, app: str, fault: str) -> None:
    """The same display, the same answers to the caller, at once or after the deadline."""
    async with (
        crm() as (known, address), UA(asterisk.sip_port) as caller, UA(asterisk.sip_port) as phone,
        scene(asterisk, app, "lookup", CRM=address if "slow" in fault else "http://127.0.0.1:9/") as lookup,
    ):  # fmt: skip
        if fault == "the function is down":
            await lookup.stop()
        known.delay = 4
        plain = await rings(await caller.invite(f"direct-{phone.port}", caller="4711"), phone)
        ours = await rings(await caller.invite(f"ours-{app}-{phone.port}", caller="4711"), phone)
        assert ours == plain
        await lookup.clean()
