"""Whoever is dialled, as a simulated party and as a SIP phone on the real Asterisk: the same events, and the same result."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.simulator import Simulator
from hookrouter.simulator.dialplan import default_text
from hookrouter.simulator.parties import Parties, Party, read_party

Dialled = Callable[[str], str]
_STATUS = {"busy": (486, "Busy Here"), "rejected": (603, "Decline")}
HOW = ["answered:5", "busy", "rejected", "noAnswer", "unavailable", "late:0.6"]


class Phone:
    """A SIP phone that does what a party does."""

    def __init__(self, ua: UA, party: Party) -> None:
        self.ua, self.party = ua, party

    async def live(self) -> None:
        call = await self.ua.incoming(30)
        call.ring()
        await asyncio.sleep(self.party.after)
        if refused := _STATUS.get(self.party.outcome):
            call.reject(*refused)
        elif self.party.outcome in ("answered", "late"):
            await call.answer()
            if self.party.press:
                await asyncio.sleep(self.party.press_after)
                await call.press(self.party.press)
            await asyncio.sleep(self.party.talk)
            await call.hangup()


def party(how: str) -> Party:
    """With short times."""
    found = read_party(how, "")
    assert isinstance(found, Party)
    late = found.after if found.outcome == "late" else 0.2
    return Party(found.outcome, late, 0.5, found.press, 0.2)


@pytest.fixture(params=["simulator", pytest.param("asterisk", marks=pytest.mark.asterisk)])
async def world(request: pytest.FixtureRequest) -> AsyncIterator[tuple[str, Dialled]]:
    """The URL, and how the endpoint of a party is written there."""
    parties = {how: party(how) for how in HOW}
    if request.param == "simulator":
        named = Parties({f"PJSIP/{how}": one for how, one in parties.items()})
        async with Simulator(dialplan=default_text() + named.dialplan(), phones=named.phone) as simulator:
            yield simulator.url, lambda how: f"PJSIP/{how}"
        return
    lab: Asterisk = request.getfixturevalue("lab_asterisk")
    async with contextlib.AsyncExitStack() as stack:
        phones = {how: Phone(await stack.enter_async_context(UA(lab.sip_port)), one) for how, one in parties.items()}
        lives = [asyncio.create_task(phone.live()) for phone in phones.values()]
        yield (
            lab.url,
            lambda how: "PJSIP/nobody-of-this-name" if how == "unavailable" else f"PJSIP/far/{phones[how].ua.address}",
        )
        for life in lives:
            life.cancel()
        await asyncio.gather(*lives, return_exceptions=True)


@pytest.mark.parametrize(
    ("how", "wanted", "cause"),
    [
        ("busy", ["", "RINGING", "BUSY"], 17),
        ("rejected", ["", "RINGING", "NOANSWER"], 21),
        ("noAnswer", ["", "RINGING"], 19),
        ("late:0.6", ["", "RINGING", "ANSWER"], None),
    ],
)
async def test_what_asterisk_says(
    world: tuple[str, Dialled], app_name: str, how: str, wanted: list[str], cause: int | None
) -> None:
    """The Dial events of an originate, and the cause in the end."""
    url, dialled = world
    async with Pbx(url) as app:
        params = {"endpoint": dialled(how), "app": app.hand, "timeout": "1"}
        assert (await app.ari("POST", f"channels/{app_name}", **params))[0] == 200
        destroyed = await app.event("ChannelDestroyed", app_name)
        dials = [e["dialstatus"] for e in app.events if e["type"] == "Dial" and e["peer"]["id"] == app_name]
        assert dials == wanted
        started = [e for e in app.events if e["type"] == "StasisStart"]
        assert len(started) == (wanted[-1] == "ANSWER")
        if cause is not None:
            assert destroyed["cause"] == cause


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("answered:5", "answered"),
        ("busy", "busy"),
        ("rejected", "rejected"),
        ("noAnswer", "noAnswer"),
        ("unavailable", "unavailable"),
        ("late:0.6", "answered"),
    ],
)
async def test_what_the_endpoint_is_told(
    world: tuple[str, Dialled], app_name: str, endpoint: Endpoint, how: str, status: str
) -> None:
    """By a whole router; a key that the party presses arrives, too."""
    url, dialled = world
    events = '["StasisStart", "StasisEnd", "ChannelDtmfReceived"]'
    endpoint.answers["StasisStart"] = [[{"action": "dial", "to": dialled(how), "timeout": 1}]]
    endpoint.answers["DialCompleted"] = [[{"action": "hangup"}]]
    async with Router(url, app_name, route(endpoint.url, events=events)) as running, Pbx(url) as pbx:
        await running.ready()
        call = await pbx.call(app_name)
        done = await endpoint.wait("DialCompleted")
        assert done.data["status"] == status
        if how == "answered:5":
            assert [one.data["digit"] for one in endpoint.of("ChannelDtmfReceived")] == ["5"]
        await pbx.gone(call.id, call.far)
