"""The actions as rows of a table: each tried by itself on one Asterisk, with SIP phones where sound matters."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from lab.asterisk import Asterisk, free_port
from lab.audiosocket import EchoProgram
from lab.rtp import Rtp
from lab.ua import UA, Call
from websockets.asyncio.server import ServerConnection, serve

from rig import scene
from rig.endpoint import Delivery, Endpoint
from rig.pbx import Caller, Pbx
from rig.router import Router
from rig.scene import far

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
GATHER = {"action": "gather", "maxDigits": 1, "timeout": 30}
HELLO = {"action": "play", "media": "sound:hello-world"}
EVENTS = '["StasisStart", "StasisEnd", "CallEnded", "PlayCompleted", "ActionFailed", "StreamCompleted"]'
YES = "yes"
BOT = free_port()
"""Where the client `bot` of websocket_client.conf leads."""


PATIENCE = 30.0  # seconds: several Asterisks and routers may be busy on this machine


async def hears(one: Call, other: Call, hertz: float) -> None:
    """One speaks until the other hears it."""
    await scene.hears(one, other, hertz, PATIENCE)


class Failed(Exception):
    """An action failed, as its endpoint is told: `reason`, with the message in words."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(f"fails: `{error['reason']}`")
        self.message: str = error["message"]


@dataclass
class Stage:
    """A router at one Asterisk. `programs`: by the name of who calls; the caller's number, or the first argument."""

    lab: Asterisk
    router: Router
    endpoint: Endpoint
    pbx: Pbx
    app: str
    programs: dict[str, list[Any]]

    def answer(self, delivery: Delivery) -> Any:
        name = (delivery.data["args"] or [delivery.data["channel"]["caller"]["number"]])[0]
        return self.programs.get(name, [])

    async def calls(self, name: str, *steps: Any) -> Caller:
        """Somebody calls by a Local channel, answered already, and gets these actions."""
        self.programs[name] = list(steps)
        return await self.pbx.call(self.app, args=name)

    async def told(self, type: str, call: str) -> Delivery:
        """The result of that type; raises Failed where an action of the call failed."""

        def found() -> Delivery | None:
            return next((d for d in self.endpoint.received if d.call == call and d.type in (type, "ActionFailed")), None)

        try:
            async with asyncio.timeout(PATIENCE), self.endpoint.changed:
                await self.endpoint.changed.wait_for(found)
        except TimeoutError:
            raise TimeoutError(f"no {type} of {call}; came: {[d.type for d in self.endpoint.received if d.call == call]}") from None
        delivery = found()
        assert delivery is not None
        if delivery.type == "ActionFailed":
            raise Failed(delivery.data["error"])
        return delivery

    async def does(self, name: str, *steps: Any) -> None:
        """A call that only does this, and ends by its own `hangup`."""
        caller = await self.calls(name, ANSWER, *steps, HANGUP)
        await self.told("CallEnded", caller.id)

    @asynccontextmanager
    async def phone(self, name: str, *steps: Any) -> AsyncIterator[tuple[Call, str]]:
        """A SIP phone calls, and gets these actions; the call's id."""
        self.programs[name] = list(steps)
        async with UA(self.lab.sip_port) as phone:
            call = await phone.invite(f"app-{self.app}", name)
            async with asyncio.timeout(PATIENCE), self.endpoint.changed:
                await self.endpoint.changed.wait_for(lambda: self._id(name))
            yield call, self._id(name)

    def _id(self, name: str) -> str:
        starts = self.endpoint.of("StasisStart")
        return next((d.call for d in starts if d.data["channel"]["caller"]["number"] == name), "")


Case = Callable[[Stage], Awaitable[None]]
CASES: dict[str, Case] = {}


def case(title: str) -> Callable[[Case], Case]:
    """A row of the table."""

    def add(found: Case) -> Case:
        CASES[title] = found
        return found

    return add


@case("`answer`, `play`, `gather`, `hangup`, with a SIP phone")
async def _prompt(stage: Stage) -> None:
    async with stage.phone("prompt", ANSWER, HELLO, GATHER, HANGUP) as (call, id):
        await call.answered(PATIENCE)
        await stage.told("PlayCompleted", id)
        await call.press("7")
        assert (await stage.told("DigitsCollected", id)).data["digits"] == "7"
        await call.ended()
        assert len(call.rtp.sound) > 30


@case("`record`, `startRecording` and what pauses it")
async def _record(stage: Stage) -> None:
    record = {"action": "record", "terminateOn": "#"}
    more = [{"action": "startRecording", "name": f"{stage.app}-more"}, {"action": "pauseRecording"}, {"action": "resumeRecording"}]
    async with stage.phone("record", ANSWER, record, *more, {"action": "stopRecording"}, HANGUP) as (call, id):
        await call.answered(PATIENCE)
        await call.rtp.tone(440, 0.6)
        await call.press("#")
        done = await stage.told("RecordingCompleted", id)
        assert done.data["duration"] > 0.1
        await stage.told("CallEnded", id)


@case("`dial`: two SIP phones, recorded; busy, nobody there")
async def _dial(stage: Stage) -> None:
    async with UA(stage.lab.sip_port) as callee:
        dial = {"action": "dial", "to": far(callee), "timeout": 30}
        async with stage.phone("dial", {**dial, "record": True}, HANGUP) as (call, id):
            other = await callee.incoming(PATIENCE)
            await other.answer()
            await call.answered(PATIENCE)
            await hears(call, other, 440)
            await hears(other, call, 1000)
            await other.hangup()
            done = await stage.told("DialCompleted", id)
            assert done.data["status"] == "answered"
            await stage.told("CallEnded", id)
        async with stage.phone("busy", dial, HANGUP) as (call, id):
            (await callee.incoming(PATIENCE)).reject(486, "Busy Here")
            assert (await stage.told("DialCompleted", id)).data["status"] == "busy"
        caller = await stage.calls("nobody", ANSWER, {"action": "dial", "to": "PJSIP/nobody"}, HANGUP)
        assert (await stage.told("DialCompleted", caller.id)).data["status"] != "answered"


async def _room(stage: Stage, name: str, one: Any, two: Any) -> None:
    async with stage.phone(f"{name}1", ANSWER, one, HANGUP) as (first, id):
        await first.answered(PATIENCE)
        async with stage.phone(f"{name}2", ANSWER, two, HANGUP) as (second, other):
            await second.answered(PATIENCE)
            await hears(first, second, 440)
            await hears(second, first, 1000)
            await second.hangup()
            await stage.told("CallEnded", other)
        await first.hangup()
        await stage.told("CallEnded", id)


@case("`bridge`")
async def _bridge(stage: Stage) -> None:
    await _room(stage, "bridge", *[{"action": "bridge", "name": f"{stage.app}-b"}] * 2)


@case("`conference`")
async def _conference(stage: Stage) -> None:
    await _room(stage, "conference", *[{"action": "conference", "name": f"{stage.app}-c"}] * 2)


@case("`enqueue` and `dequeue`")
async def _queue(stage: Stage) -> None:
    await _room(stage, "queue", {"action": "enqueue", "queue": stage.app}, {"action": "dequeue", "queue": stage.app})


@case("`spy`")
async def _spy(stage: Stage) -> None:
    async with stage.phone("spied", ANSWER, GATHER, HANGUP) as (spied, id):
        await spied.answered(PATIENCE)
        async with stage.phone("spy", ANSWER, {"action": "spy", "call": id}, HANGUP) as (spy, other):
            await spy.answered(PATIENCE)
            await hears(spied, spy, 440)
            await spied.hangup()
            await stage.told("CallEnded", other)


@case("`continue`, `move` and `dialplan`")
async def _dialplan(stage: Stage) -> None:
    caller = await stage.calls("continue", ANSWER, {"action": "continue", "context": "went-on", "extension": "back"})
    await stage.told("CallEnded", caller.id)
    async with asyncio.timeout(PATIENCE):
        while await caller.variable("CAME_BY") != "back":  # it has left before the dialplan has begun
            await asyncio.sleep(0.02)
    greet = {"action": "dialplan", "context": "subs", "extension": "greet", "read": ["GREETED"]}
    caller = await stage.calls("dialplan", ANSWER, greet, HANGUP)
    done = await stage.told("DialplanCompleted", caller.id)
    assert done.data["values"] == {"GREETED": "yes"}


@case("`setVariable`, `getVariable`, `sendDtmf`, `moh`, `hold`, `mute`, `silence`, `ring`")
async def _small(stage: Stage) -> None:
    names = ("ring", "ringStop", "moh", "mohStop", "hold", "unhold", "mute", "unmute", "silence", "silenceStop")
    small = [{"action": name} for name in names]
    dtmf = {"action": "sendDtmf", "dtmf": "1"}
    ask = {"action": "getVariable", "variables": ["A"]}
    keep = {"action": "setVariable", "variables": {"A": "1"}}
    caller = await stage.calls("small", *small[:2], ANSWER, *small[2:], dtmf, keep, ask, HANGUP)
    assert (await stage.told("VariableRead", caller.id)).data["values"] == {"A": "1"}
    await stage.told("CallEnded", caller.id)


@case("`originate`")
async def _originate(stage: Stage) -> None:
    async with UA(stage.lab.sip_port) as phone:
        caller = await stage.calls("originate", ANSWER, {"action": "originate", "to": far(phone), "actions": [HELLO, HANGUP]}, HANGUP)
        call = await phone.incoming(PATIENCE)
        await call.answer()
        await call.ended()
        assert len(call.rtp.sound) > 30
        await stage.told("CallEnded", caller.id)


@case("`userEvent`, `deviceState`")
async def _events(stage: Stage) -> None:
    state = {"action": "deviceState", "device": f"Stasis:{stage.app}", "state": "INUSE"}
    await stage.does("events", {"action": "userEvent", "eventName": "Mine"}, state)


@case("`progress`: early media")
async def _progress(stage: Stage) -> None:
    caller = await stage.calls("progress", {"action": "progress"}, HELLO, HANGUP)
    await stage.told("PlayCompleted", caller.id)


async def _streams(stage: Stage, to: str) -> None:
    caller = await stage.calls(f"stream-{to.partition(':')[0]}", ANSWER, {"action": "stream", "to": to}, HANGUP)
    started = asyncio.create_task(stage.told("StreamCompleted", caller.id))
    await asyncio.wait({started}, timeout=2.5)
    if not started.done():
        await caller.hangup()
    await started


@case("`stream` over RTP")
async def _rtp(stage: Stage) -> None:
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Rtp, local_addr=("127.0.0.1", 0))
    try:
        await _streams(stage, f"rtp:127.0.0.1:{transport.get_extra_info('sockname')[1]}")
    finally:
        transport.close()


@case("`stream` over TCP (AudioSocket)")
async def _audiosocket(stage: Stage) -> None:
    async with await asyncio.start_server(EchoProgram(), "127.0.0.1", 0) as server:
        await _streams(stage, f"audiosocket:127.0.0.1:{server.sockets[0].getsockname()[1]}")


@case("a phone transfers its talk (REFER)")
async def _transferred(stage: Stage) -> None:
    async with UA(stage.lab.sip_port) as callee, UA(stage.lab.sip_port) as third:
        async with stage.phone("refer", {"action": "dial", "to": far(callee), "timeout": 30}, HANGUP) as (call, id):
            other = await callee.incoming(PATIENCE)
            await other.answer()
            await call.answered(PATIENCE)
            await hears(call, other, 440)
            other.refer_to(callee.at(f"direct-{third.port}"))
            new = await third.incoming(PATIENCE)
            await new.answer()
            await hears(call, new, 440)
            await call.hangup()
            await stage.told("CallEnded", id)


@case("`stream` over WebSocket")
async def _websocket(stage: Stage) -> None:
    async def hear(socket: ServerConnection) -> None:
        async for _ in socket:
            pass

    async with serve(hear, "127.0.0.1", BOT, subprotocols=["media"], compression=None):  # type: ignore[list-item]
        await _streams(stage, "bot")
