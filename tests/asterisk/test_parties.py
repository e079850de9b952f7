"""Conferences, queues, spying, originating, borrowing the dialplan: calls that meet, on the real Asterisk."""

from __future__ import annotations

import asyncio
from typing import Any

from lab.asterisk import Asterisk
from rig.endpoint import Delivery, Endpoint
from rig.pbx import Pbx
from rig.router import Router, route

from hookrouter.facts import CallFinished

EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'
ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}


def router(asterisk: Asterisk, app: str, endpoint: Endpoint, more: str = "") -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=EVENTS, more=more))


def by_args(**programs: Any) -> Any:
    """The answer to a StasisStart, by the first argument of the app."""
    return lambda delivery: programs[delivery.data["args"][0]]


async def test_a_conference_waits_for_its_moderator_and_ends_with_them(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """Guests hear music until a moderator comes; when the moderator leaves, all do; one too many is refused."""
    guest = {"action": "conference", "name": "board", "startOnEnter": False, "maxMembers": 3}
    moderator = {"action": "conference", "name": "board", "endOnExit": True, "exitOn": "#"}
    endpoint.answers["StasisStart"] = by_args(guest=[ANSWER, guest, HANGUP], moderator=[ANSWER, moderator, HANGUP])
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        guests = [await pbx.call(app, args="guest") for _ in range(2)]
        for caller in guests:
            await caller.answered()
        assert not [id for id in await pbx.bridges() if app in id]
        chair = await pbx.call(app, args="moderator")
        await pbx.together(chair.id, *[caller.id for caller in guests])
        late = await pbx.call(app, args="guest")
        full = await endpoint.wait("ConferenceCompleted", call=late.id)
        assert full.data["reason"] == "full"
        await guests[0].press("5")
        assert await guests[1].heard_digit() == "5"
        await chair.press("#")
        assert (await endpoint.wait("ConferenceCompleted", call=chair.id)).data["reason"] == "exit"
        for caller in guests:
            done = await endpoint.wait("ConferenceCompleted", call=caller.id)
            assert done.data["reason"] == "ended"
            assert done.data["members"] == 3
        for caller in (chair, late, *guests):
            await running.fact(CallFinished, call=caller.id)
        await pbx.gone(*[id for id in await pbx.bridges() if app in id])


async def test_a_conference_is_one_recording_until_the_last_who_asks_for_it_leaves(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """The first one hangs up: the file goes on, and is told of to the second one, with what both have said."""
    file = f"{app}-board"
    member = {"action": "conference", "name": "board", "record": file, "exitOn": "#"}
    endpoint.answers["StasisStart"] = [[ANSWER, member, HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        first = await pbx.call(app)
        await first.answered()
        second = await pbx.call(app)
        await pbx.together(first.id, second.id)
        await first.hangup()
        left = await endpoint.wait("ConferenceCompleted", call=first.id)
        assert left.data["reason"] == "hangup"
        assert (await pbx.ari("GET", f"recordings/live/{file}"))[1]["state"] == "recording"
        await second.press("#")
        told = await endpoint.wait("RecordingCompleted", call=second.id)
        assert told.data["name"] == file
        assert (await endpoint.wait("ConferenceCompleted", call=second.id)).data["reason"] == "exit"
        assert (await pbx.ari("GET", f"recordings/stored/{file}"))[0] == 200
        assert not endpoint.of("RecordingCompleted", first.id)
        assert not endpoint.of("ActionFailed")
        await pbx.gone(first.id, second.id)


async def test_two_agents_get_one_caller_each_and_each_side_learns_of_the_other(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """The higher priority first; position and size are told; an empty queue says so."""
    low = {"action": "enqueue", "queue": "support", "waitUrl": "/wait", "every": 60}
    endpoint.answers["StasisStart"] = by_args(
        low={"actions": [ANSWER, low, HANGUP], "state": {"name": "low"}},
        high={"actions": [ANSWER, low | {"priority": 5}, HANGUP], "state": {"name": "high"}},
        agent=[ANSWER, {"action": "dequeue", "queue": "support"}, HANGUP],
    )
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        first = await pbx.call(app, args="low")
        await endpoint.wait("QueueWaiting", call=first.id)
        second = await pbx.call(app, args="high")
        waiting = await endpoint.wait("QueueWaiting", call=second.id)
        assert waiting.path == "/wait"
        assert (waiting.data["position"], waiting.data["size"]) == (1, 2)
        agents, taken = [], []
        for _ in range(2):  # one after the other: of two at once either may be the first
            agents.append(await pbx.call(app, args="agent"))
            taken.append(await endpoint.wait("CallerTaken", call=agents[-1].id))
        assert [delivery.data["call"] for delivery in taken] == [second.id, first.id]
        assert [delivery.data["state"] for delivery in taken] == [{"name": "high"}, {"name": "low"}]
        await pbx.together(agents[0].id, second.id)
        await pbx.together(agents[1].id, first.id)
        empty = await pbx.call(app, args="agent")
        assert (await endpoint.wait("QueueCompleted", call=empty.id)).data["reason"] == "empty"
        await agents[0].hangup()
        await first.hangup()
        for caller, other in ((second, agents[0]), (agents[1], first)):
            done = await endpoint.wait("QueueCompleted", call=caller.id)
            assert done.data["reason"] == "answered"
            assert done.data["call"] == other.id
        for caller in (first, second, *agents, empty):
            await running.fact(CallFinished, call=caller.id)


async def test_a_caller_who_leaves_the_queue_or_is_rejected_keeps_or_loses_the_place(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """A rejecting agent gives the place back; `exitOn`, `timeout` and a hangup each end the waiting."""
    wait = {"action": "enqueue", "queue": "sales", "exitOn": "*"}
    reject = {"action": "dequeue", "queue": "sales", "confirm": [HANGUP]}
    endpoint.answers["StasisStart"] = by_args(
        wait=[ANSWER, wait, HANGUP],
        short=[ANSWER, wait | {"timeout": 0.3}, HANGUP],
        reject=[ANSWER, reject],
        agent=[ANSWER, {"action": "dequeue", "queue": "sales"}, HANGUP],
    )
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        caller = await pbx.call(app, args="wait")
        await caller.answered()
        rejecting = await pbx.call(app, args="reject")
        await endpoint.wait("CallerTaken", call=rejecting.id)
        await running.fact(CallFinished, call=rejecting.id)
        agent = await pbx.call(app, args="agent")
        taken = await endpoint.wait("CallerTaken", call=agent.id)
        assert taken.data["call"] == caller.id
        await pbx.together(agent.id, caller.id)
        await agent.hangup()
        leaving = await pbx.call(app, args="wait")
        await leaving.press("*")
        assert (await endpoint.wait("QueueCompleted", call=leaving.id)).data["reason"] == "exit"
        short = await pbx.call(app, args="short")
        assert (await endpoint.wait("QueueCompleted", call=short.id)).data["reason"] == "timeout"
        gone = await pbx.call(app, args="wait")
        await gone.answered()
        await gone.hangup()
        assert (await endpoint.wait("QueueCompleted", call=gone.id)).data["reason"] == "hangup"


async def test_a_spy_hears_and_ends_with_the_other_call(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """The snoop channel and its bridge are gone afterwards."""
    watched: list[str] = []

    def start(delivery: Delivery) -> Any:
        if not watched:
            watched.append(delivery.call)
            return [ANSWER]
        return [ANSWER, {"action": "spy", "call": watched[0], "mode": "whisper"}, HANGUP]

    endpoint.answers["StasisStart"] = start
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        other = await pbx.call(app)
        await other.answered()
        spy = await pbx.call(app)
        async with asyncio.timeout(5):
            while not any(spy.id in b["channels"] and len(b["channels"]) == 2 for b in (await pbx.ari("GET", "bridges"))[1]):
                await asyncio.sleep(0.02)
        await other.hangup()
        done = await endpoint.wait("SpyCompleted", call=spy.id)
        assert done.data["reason"] == "hangup"
        await running.fact(CallFinished, call=spy.id)
        await pbx.gone(spy.id, other.id)
    left = await pbx.channels() | await pbx.bridges()
    assert not [id for id in left if spy.id in id]


async def test_originate_makes_a_call_of_its_own_and_tells_what_came_of_it(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """Its own actions run first; busy, never answered and unreachable are told apart."""
    def call(extension: str) -> Any:
        return {"action": "originate", "to": f"Local/{extension}@callers/n", "timeout": 1}

    new = call("wait") | {"actions": [{"action": "pause", "seconds": 0.1}, HANGUP], "state": {"for": "you"}}
    endpoint.answers["StasisStart"] = [
        [ANSWER, new, call("busy"), call("ring"), {"action": "originate", "to": "PJSIP/nobody"}, HANGUP]
    ]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        call_ = await pbx.call(app)
        results = [await endpoint.wait("OriginateCompleted", count, call=call_.id) for count in range(1, 5)]
        assert [r.data["status"] for r in results] == ["answered", "busy", "noAnswer", "unavailable"]
        made = results[0].data["call"]
        ended = await endpoint.wait("CallEnded", call=made)
        assert ended.body["call"]["state"] == {"for": "you"}
        await endpoint.wait("CallEnded", call=call_.id)
        await pbx.gone(made, call_.id)


async def test_the_dialplan_is_borrowed_and_brings_its_variables_back(
    asterisk: Asterisk, app: str, endpoint: Endpoint, pbx: Pbx
) -> None:
    """The call is one call all the time; a hangup in the dialplan ends it."""
    borrow = {"action": "dialplan", "context": "subs", "extension": "greet", "read": ["GREETED", "DIGITS", "NOPE"]}
    endpoint.answers["StasisStart"] = [
        [ANSWER, borrow, HANGUP],
        [ANSWER, borrow | {"extension": "away"}],
        [ANSWER, borrow | {"extension": "nowhere"}],
    ]
    endpoint.answers["ActionFailed"] = [[HANGUP]]
    async with router(asterisk, app, endpoint) as running:
        await running.ready()
        first = await pbx.call(app)
        done = await endpoint.wait("DialplanCompleted")
        assert done.data["values"] == {"GREETED": "yes", "DIGITS": "42", "NOPE": None}
        await endpoint.wait("CallEnded", call=first.id)
        assert len(endpoint.of("StasisStart", first.id)) == 1
        second = await pbx.call(app)
        await second.answered()
        async with asyncio.timeout(5):
            while (await pbx.ari("GET", f"channels/{second.id}"))[1]["dialplan"]["app_name"] != "Wait":
                await asyncio.sleep(0.02)
        await second.hangup()
        assert (await endpoint.wait("CallEnded", call=second.id)).data["reason"] == "hangup"
        third = await pbx.call(app)
        failed = await endpoint.wait("ActionFailed", call=third.id)
        assert failed.data["error"]["reason"] == "no_such_extension"
        await endpoint.wait("CallEnded", call=third.id)
