"""Fault 7: the caller hangs up, during the webhook and 0 to 50 ms around every action."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any

from lab.asterisk import Asterisk
from rig.endpoint import Delivery, Endpoint
from rig.ledger import incomplete
from rig.pbx import Caller, Pbx
from rig.router import Router, route

from hookrouter.facts import ActionFinished, ActionStarted, CallFinished, CallStarted, Warned

Measured = Callable[[int, str], None]
EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'
ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
PLAY = {"action": "play", "media": "sound:digits/1"}
# fmt: off
PROGRAMS: list[list[dict[str, Any]]] = [
    [ANSWER, PLAY, PLAY, HANGUP],
    [ANSWER, {"action": "gather", "prompt": "sound:digits/2", "maxDigits": 2, "timeout": 1}, HANGUP],
    [ANSWER, {"action": "record", "maxDurationSeconds": 1}, PLAY, HANGUP],
    [ANSWER, {"action": "bridge", "name": "alone", "timeLimit": 1}, HANGUP],
    [ANSWER, {"action": "moh"}, {"action": "pause", "seconds": 0.2}, {"action": "mohStop"}, PLAY, HANGUP],
    [ANSWER, {"action": "conference", "name": "meet", "beep": True}, HANGUP],
    [{"action": "ring"}, ANSWER, {"action": "setVariable", "variable": "X", "value": "1"},
     {"action": "sendDtmf", "dtmf": "12"}, HANGUP],
    [ANSWER, {"action": "dial", "to": "Local/wait@callers", "timeout": 2}, HANGUP],
    [ANSWER, {"action": "startRecording"}, PLAY, {"action": "stopRecording"}, HANGUP],
    [ANSWER, {"action": "enqueue", "queue": "nobody-here", "timeout": 1}, HANGUP],
]
# fmt: on


async def test_who_hangs_up_leaves_nothing_behind(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx, full: bool, rng: random.Random, measured: Measured
) -> None:
    """No action on a dead channel is an error, each call is ended once, and Asterisk is as empty as before."""
    count = 500 if full else 60
    before = await pbx.channels(), await pbx.bridges()
    endpoint.answers["StasisStart"] = lambda delivery: _later(delivery, rng)
    async with Router(asterisk.url, app, route(endpoint.url, events=EVENTS)) as router:
        await router.ready()
        waiting = asyncio.Semaphore(10)
        calls: list[str] = []

        async def one(index: int) -> None:
            async with waiting:
                call = await pbx.call(app, args=str(index % len(PROGRAMS)))
                calls.append(call.id)
                await _moment(router, call, index, rng)
                await call.hangup()
                await router.fact(CallFinished, call=call.id)
                router.facts[:] = [fact for fact in router.facts if not isinstance(fact, ActionStarted) or fact.call != call.id]

        await asyncio.gather(*map(one, range(count)))
        await pbx.gone(*(await pbx.channels() - before[0]), *(await pbx.bridges() - before[1]))
        failed = [fact for fact in router.of(ActionFinished) if fact.outcome == "failed"]
        told = endpoint.of("ActionFailed")
        warned = [fact for fact in router.of(Warned) if fact.subject in ("internal", "fallback")]
    assert not failed, failed[:5]
    assert not told, told[:5]
    assert not warned, warned[:5]
    begun = {delivery.call for delivery in endpoint.of("StasisStart")}
    assert not incomplete(endpoint.received, begun, ["StasisStart", "StasisEnd", "CallEnded"])
    assert await pbx.channels() <= before[0]  # callers of the test before may have been on their way out
    assert await pbx.bridges() <= before[1]
    measured(7, f"{count} callers hung up at seeded moments: no failed action, nothing left in Asterisk")


async def _later(delivery: Delivery, rng: random.Random) -> Any:
    await asyncio.sleep(rng.choice((0.0, 0.05)))
    return PROGRAMS[int(delivery.data["args"][0])]


async def _moment(router: Router, call: Caller, index: int, rng: random.Random) -> None:
    """0 to 50 ms after the StasisStart, or around the start of an action of the program."""
    program = PROGRAMS[index % len(PROGRAMS)]
    step = rng.randrange(-1, len(program) - 1)
    if step < 0:
        await router.fact(CallStarted, call=call.id)
    else:
        await router.fact(ActionStarted, call=call.id, verb=program[step]["action"])
    await asyncio.sleep(rng.uniform(0.0, 0.05))
