"""Who hangs up in the middle of what joins several: the result is right, and nothing of it is left in Asterisk."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from lab.asterisk import Asterisk
from lab.ua import UA, Call
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import ActionStarted, CallFinished

EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'
ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
LONG = "sound:demo-congrats"
GATHER = {"action": "gather", "prompt": LONG, "maxDigits": 1}


class House:
    """A router, its endpoint, and phones; who calls is told apart by their number."""

    def __init__(self, router: Router, endpoint: Endpoint, pbx: Pbx, app: str, phones: list[UA]) -> None:
        self.router, self.endpoint, self.pbx, self.app, self.phones = router, endpoint, pbx, app, phones
        self.programs: dict[str, Any] = {}
        endpoint.answers["StasisStart"] = lambda start: self.programs[start.data["channel"]["caller"]["number"]]

    def far(self, index: int) -> str:
        return f"PJSIP/far/{self.phones[index].address}"

    async def call(self, number: str, *program: dict[str, Any]) -> Call:
        """The first phone calls, and gets this program."""
        self.programs[number] = [*program, HANGUP]
        return await self.phones[0].invite(f"app-{self.app}", caller=number)

    async def until(self, verb: str, count: int = 1) -> None:
        """Waits until actions of this name have begun."""
        async with asyncio.timeout(10):
            while sum(fact.verb == verb for fact in self.router.of(ActionStarted)) < count:
                await asyncio.sleep(0.01)

    async def joined(self, who: int = -1) -> None:
        """Waits until two are in one bridge; `who`: this call (in order of their coming) is one of them."""
        async with asyncio.timeout(10):
            while True:
                calls = [delivery.call for delivery in self.endpoint.of("StasisStart")]
                for bridge in (await self.pbx.ari("GET", "bridges"))[1]:
                    if len(bridge["channels"]) == 2 and (who < 0 or calls[who] in bridge["channels"]):
                        return
                await asyncio.sleep(0.02)

    async def recorded(self, name: str) -> None:
        """Waits until the recording of this name runs."""
        async with asyncio.timeout(10):
            while (await self.pbx.ari("GET", f"recordings/live/{name}"))[0] != 200:
                await asyncio.sleep(0.02)

    async def empty(self) -> None:
        """Every call is over, and none of their channels and bridges is left."""
        calls = {delivery.call for delivery in self.endpoint.of("StasisStart")}
        for call in calls:
            await self.router.fact(CallFinished, call=call)
        left: list[str] = []
        try:
            async with asyncio.timeout(5):
                while left := [
                    id for id in await self.pbx.channels() | await self.pbx.bridges()
                    if self.app in id or any(call in id for call in calls)
                ]:  # fmt: skip
                    await asyncio.sleep(0.02)
        except TimeoutError:
            raise TimeoutError(f"still there: {left}") from None


@asynccontextmanager
async def house(asterisk: Asterisk, app: str, endpoint: Endpoint, phones: int) -> AsyncIterator[House]:
    async with Pbx(asterisk.url) as pbx, Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as router:
        found = [await UA(asterisk.sip_port).__aenter__() for _ in range(phones)]
        try:
            await router.ready()
            yield House(router, endpoint, pbx, app, found)
        finally:
            for phone in found:
                await phone.__aexit__(None, None, None)


@pytest.mark.parametrize("who", ["caller", "callee"])
@pytest.mark.parametrize(
    ("more", "moment", "statuses"),
    [
        pytest.param({}, "ringing", ("cancelled", "rejected"), id="ringing"),
        pytest.param({"earlyMedia": True}, "ringing", ("cancelled", "rejected"), id="early media"),
        pytest.param({"ringback": LONG}, "ringing", ("cancelled", "rejected"), id="ringback"),
        pytest.param({"announce": LONG}, "play", ("cancelled", "rejected"), id="announcement"),
        pytest.param({"confirm": [GATHER]}, "gather", ("cancelled", "rejected"), id="confirmation"),
        pytest.param({}, "talk", ("answered", "answered"), id="talk"),
        pytest.param({"record": True, "whisper": LONG}, "talk", ("answered", "answered"), id="recorded talk"),
    ],
)
async def test_dial(
    asterisk: Asterisk, app: str, endpoint: Endpoint, more: dict[str, Any], moment: str, statuses: tuple[str, str], who: str
) -> None:
    """In each phase, by each side; the recording is told all the same."""
    file = f"{app}-talk"
    more = more | ({"record": file} if more.get("record") else {})
    async with house(asterisk, app, endpoint, 2) as here:
        caller = await here.call("1", {"action": "dial", "to": here.far(1), "timeout": 20, **more})
        callee = await here.phones[1].incoming()
        if moment == "ringing":
            callee.ring()
            await caller.until(lambda: {180, 183} & set(caller.statuses))
        else:
            await callee.answer()
            await (here.joined() if moment == "talk" else here.until(moment))
        if more.get("record"):
            await here.recorded(file)
        if who == "caller":
            await caller.hangup()
            await callee.ended(2)
        elif moment == "ringing":
            callee.reject(603, "Decline")
        else:
            await callee.hangup()
        done = await endpoint.wait("DialCompleted")
        assert done.data["status"] == statuses[who == "callee"]
        if more.get("record"):
            await endpoint.wait("RecordingCompleted")
        await caller.ended()
        await here.empty()


@pytest.mark.parametrize(
    ("mode", "moment", "who", "status"),
    [
        ("blind", "ringing", "caller", "cancelled"),
        ("blind", "ringing", "expert", "rejected"),
        ("blind", "talk", "caller", "transferred"),
        ("blind", "talk", "expert", "transferred"),
        ("attended", "ringing", "caller", "cancelled"),
        ("attended", "ringing", "agent", "rejected"),
        ("attended", "talk", "caller", "cancelled"),
        ("attended", "talk", "expert", "cancelled"),
    ],
)
async def test_transfer(
    asterisk: Asterisk, app: str, endpoint: Endpoint, mode: str, moment: str, who: str, status: str
) -> None:
    """While the expert's phone rings, and while they talk (`attended`: with the agent)."""
    async with house(asterisk, app, endpoint, 3) as here:
        phones: dict[str, Call] = {"caller": await here.call("1", {"action": "dial", "to": here.far(1)})}
        phones["agent"] = await here.phones[1].incoming()
        await phones["agent"].answer()
        await here.joined()
        transfer = {"action": "transfer", "mode": mode, "to": here.far(2), "timeout": 20}
        call = endpoint.of("StasisStart")[0].call
        assert here.router.service.act(call, json.dumps([transfer, HANGUP]).encode())
        phones["expert"] = await here.phones[2].incoming()
        phones["expert"].ring()
        if moment == "talk":
            await phones["expert"].answer()
            await here.joined()
        if who == "expert" and moment == "ringing":
            phones["expert"].reject(603, "Decline")
        else:
            await phones[who].hangup()
        if who == "agent":  # the caller waits for the expert alone now
            phones["expert"].reject(603, "Decline")
        elif (mode, moment, who) == ("attended", "talk", "expert"):
            await here.joined(0)
            await phones["agent"].hangup()
        done = await endpoint.wait("TransferCompleted")
        assert done.data["status"] == status
        for phone in phones.values():
            await phone.ended(5)
        await here.empty()


@pytest.mark.parametrize(
    ("more", "moment", "who", "caller_reason", "agent_reason"),
    [
        ({"confirm": [GATHER]}, "gather", "caller", "hangup", "abandoned"),
        ({"confirm": [GATHER]}, "gather", "agent", "", "hangup"),
        ({"whisper": LONG}, "play", "caller", "hangup", "abandoned"),
        ({"whisper": LONG}, "play", "agent", "", "hangup"),
        ({}, "talk", "caller", "answered", "answered"),
        ({}, "talk", "agent", "answered", "answered"),
    ],
)
async def test_queue(
    asterisk: Asterisk, app: str, endpoint: Endpoint, more: Any, moment: str, who: str, caller_reason: str, agent_reason: str
) -> None:
    """An agent who goes before the talk gives the place back: the caller waits on."""
    async with house(asterisk, app, endpoint, 1) as here:
        caller = await (await here.call("1", ANSWER, {"action": "enqueue", "queue": "q"})).answered()
        await here.until("enqueue")
        agent = await (await here.call("2", ANSWER, {"action": "dequeue", "queue": "q", **more})).answered()
        await (here.joined() if moment == "talk" else here.until(moment))
        calls = [delivery.call for delivery in endpoint.of("StasisStart")]
        await (caller if who == "caller" else agent).hangup()
        assert (await endpoint.wait("QueueCompleted", call=calls[1])).data["reason"] == agent_reason
        if not caller_reason:
            again = await (await here.call("3", ANSWER, {"action": "dequeue", "queue": "q"})).answered()
            await here.joined()
            await again.hangup()
        assert (await endpoint.wait("QueueCompleted", call=calls[0])).data["reason"] == (caller_reason or "answered")
        await caller.ended()
        await agent.ended()
        await here.empty()


@pytest.mark.parametrize(
    ("verb", "more", "who", "results"),
    [
        ("spy", {"mode": "listen"}, "other", {"hangup"}),
        ("spy", {"mode": "barge"}, "caller", {"hangup"}),
        ("bridge", {}, "other", {"hangup", "left"}),
        ("bridge", {}, "caller", {"hangup"}),
        ("conference", {"name": "room", "record": True, "beep": True}, "caller", {"hangup"}),
    ],
)
async def test_what_two_calls_do_together(
    asterisk: Asterisk, app: str, endpoint: Endpoint, verb: str, more: dict[str, Any], who: str, results: set[str]
) -> None:
    """The one who goes ends it for both, or for themselves alone; then the last one goes."""
    async with house(asterisk, app, endpoint, 1) as here:
        action = {"action": verb, **more}
        meets = verb == "conference"
        other = await (await here.call("1", ANSWER, action if meets else {"action": "pause", "seconds": 60})).answered()
        first = endpoint.of("StasisStart")[0].call
        names = {"conference": {}, "spy": {"call": first}, "bridge": {"with": first}}
        caller = await (await here.call("2", ANSWER, action | names[verb])).answered()
        await here.joined()
        second = endpoint.of("StasisStart")[1].call
        await (other if who == "other" else caller).hangup()
        done = await endpoint.wait(f"{verb.capitalize()}Completed", call=second)
        assert done.data["reason"] in results, done.data
        await (caller if who == "other" else other).hangup()
        if more.get("record"):
            await endpoint.wait("RecordingCompleted")
        await here.empty()
