"""After a connect: Asterisk is asked what is there, and the calls are made to agree with it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from hookrouter.actions.decode import Answer
from hookrouter.ari.client import Connected
from hookrouter.ari.events import Event, make_event
from hookrouter.ari.operations import Request
from hookrouter.ari.performing import Reply
from hookrouter.calls.board import Board, Live
from hookrouter.calls.call import Call, decode_call, encode_call
from hookrouter.calls.effects import Announce
from hookrouter.calls.runner import Runner
from hookrouter.clock import SystemClock
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Answered, Unanswered
from hookrouter.delivery.queue import NewDelivery
from hookrouter.facts import Fact, Facts, Warned
from hookrouter.flow import Flow
from hookrouter.routing.endpoint import Endpoint, Route
from hookrouter.routing.table import RouteTable
from hookrouter.service.resume import Resumer, inferred
from hookrouter.store.memory import MemoryStore

EVENTS = frozenset({"StasisStart", "StasisEnd", "CallEnded"})
PAUSE = {"action": "pause", "seconds": 60}


class Asterisk:
    """What is in it: `there` are the channels in the app, `elsewhere` the others; it does what it is asked to."""

    name = "main"
    apps = ("ivr",)

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}
        self.elsewhere: dict[str, dict[str, Any]] = {}
        self.bridges: dict[str, bool] = {}  # whether the app has it
        self.inside: dict[str, list[str]] = {}
        self.broken: set[str] = set()
        self.late: dict[str, asyncio.Event] = {}  # operations that are replied to when that is set
        self.asked: list[Request] = []

    def put(self, id: str, **more: Any) -> None:
        place = {"app_name": "Stasis", "app_data": "ivr"}
        self.there[id] = {
            "id": id, "name": f"PJSIP/{id}", "state": "Up", "creationtime": "t", "dialplan": place, **more
        }  # fmt: skip

    async def perform(self, request: Request, **more: Any) -> Reply:
        await asyncio.sleep(0)
        self.asked.append(request)
        if request.operation in self.late:
            await self.late[request.operation].wait()
        if request.operation in self.broken:
            return Reply(500)
        match request.operation:
            case "applications.get":
                mine = [id for id, ours in self.bridges.items() if ours]
                return _json({"name": "ivr", "channel_ids": list(self.there), "bridge_ids": mine})
            case "channels.list":
                return _json([*self.there.values(), *self.elsewhere.values()])
            case "bridges.list":
                return _json([{"id": id, "channels": self.inside.get(id, [])} for id in self.bridges])
            case "channels.get":
                found = (self.there | self.elsewhere).get(request.params["channelId"])
                return _json(found) if found else Reply(404)
        return Reply(204)

    def did(self, operation: str) -> list[Any]:
        return [next(iter(request.params.values())) for request in self.asked if request.operation == operation]


def _json(value: Any) -> Reply:
    return Reply(200, msgspec.json.encode(value))


class Endpoints:
    """Takes everything, answers nothing."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.bodies: list[Any] = []
        self.silent = False

    async def control(self, endpoint: Endpoint, message: Message, **more: Any) -> Answered[Answer] | Unanswered:
        if self.silent:
            await asyncio.Event().wait()
        self.told.append((message.type, message.call))
        self.bodies.append(json.loads(message.body))
        return Answered(Answer(), 1, 0.0)

    def enqueue(self, deliveries: list[NewDelivery]) -> None:
        self.told += [(f"notify {delivery.type}", delivery.call) for delivery in deliveries]


class Router:
    """Everything between Asterisk and the endpoints."""

    def __init__(self) -> None:
        self.asterisk, self.endpoints, self.disk = Asterisk(), Endpoints(), MemoryStore()
        self.facts: list[Fact] = []
        self.board, clock = Board(), SystemClock()
        self.routes: dict[str, Any] = {}
        parts: Any = self.endpoints
        facts = Facts(self.facts.append)
        self.flow = Flow(self.board, self.table(), parts, parts, facts, clock)
        client: Any = self.asterisk
        self.runner = self.flow.runner = Runner(self.board, {"main": client}, self.disk, self.flow, facts, clock)
        self.resumer = Resumer(self.board, self.flow, self.runner, facts, clock)
        self.flow.on_missing = self.resumer.missing

    def table(self, **route: Any) -> RouteTable:
        control = Route("ivr", Endpoint("http://ivr/"), events=EVENTS, **route)
        return RouteTable([control, Route("crm", Endpoint("http://crm/"), mode="notify", events=EVENTS)])

    async def begins(self, id: str, *actions: Any) -> Live:
        self.asterisk.put(id)
        if actions:
            self.flow.expected.calls[("main", id)] = Announce(id, "ivr", tuple(json.dumps(a).encode() for a in actions), None)
        self.happens("StasisStart", id)
        await settled()
        self.endpoints.told.clear()
        live = self.board.by_channel(id)
        assert live is not None
        return live

    def happens(self, type: str, id: str, **more: Any) -> None:
        self.flow.on_event(told(type, id, **more))

    async def connects(self, *, restarted: bool = False, meanwhile: tuple[Event, ...] = ()) -> None:
        client: Any = self.asterisk
        connecting = asyncio.ensure_future(self.resumer.on_connected(client, Connected(True, restarted, "", "22")))
        await asyncio.sleep(0)
        for event in meanwhile:
            self.flow.on_event(event)
        await connecting
        await settled()

    async def starts_again(self) -> None:
        """Our own restart: the calls are read from the journal."""
        calls = [decode_call(encode_call(live.call)) for live in self.board]
        await self.runner.stop()
        for live in list(self.board):
            self.board.remove(live)
        self.runner.stopping = False
        for call in calls:
            self.resumer.took_up(self.runner.take_up(call, self.flow.table.by_name(call.route)))


def told(type: str, id: str, **more: Any) -> Event:
    channel = {"id": id, "name": f"PJSIP/{id}", "state": "Up"}
    raw = {"type": type, "application": "ivr", "timestamp": "2026-11-23T01:21:20.227+0000", "channel": channel, **more}
    return make_event("main", json.dumps(raw).encode())


async def settled() -> None:
    for _ in range(60):
        await asyncio.sleep(0)


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    router = Router()
    yield router
    await router.runner.stop()


OVER = [("StasisEnd", "1"), ("notify StasisEnd", "1"), ("CallEnded", "1"), ("notify CallEnded", "1")]


async def test_a_call_that_hung_up_while_nobody_listened_has_ended(router: Router) -> None:
    """Its owner and all others are told once, marked as inferred; asking again tells nothing new."""
    await router.begins("1", PAUSE)
    del router.asterisk.there["1"]
    await router.connects()
    assert sorted(router.endpoints.told) == sorted(OVER)
    assert router.endpoints.bodies[-2]["inferred"] is True
    assert all(body["timestamp"] for body in router.endpoints.bodies)
    await router.connects()
    assert len(router.endpoints.told) == 4
    assert len(router.board) == 0


async def test_an_end_that_comes_meanwhile_is_told_as_it_came(router: Router) -> None:
    """It waited until Asterisk was asked, and nothing is inferred beside it."""
    await router.begins("1", PAUSE)
    del router.asterisk.there["1"]
    await router.connects(meanwhile=(told("StasisEnd", "1"),))
    assert sorted(router.endpoints.told) == sorted(OVER)
    assert all("inferred" not in body for body in router.endpoints.bodies)


async def test_all_calls_end_with_asterisk(router: Router) -> None:
    """After its restart no channel is what it was, whatever its id."""
    live = await router.begins("1", PAUSE)
    lent = await router.begins("2", {"action": "dialplan", "context": "subs"}, PAUSE)
    await router.connects(restarted=True)
    assert (live.call.end_reason, lent.call.end_reason) == ("asterisk_restarted", "asterisk_restarted")
    assert len([one for one in router.endpoints.told if one[0] == "StasisEnd"]) == 2


async def test_what_was_on_its_way_when_both_went_is_told_again(router: Router) -> None:
    """The router was killed with an event in flight, and Asterisk restarted meanwhile: the call is told to its end."""
    router.endpoints.silent = True
    await router.begins("1")
    await router.starts_again()
    router.endpoints.silent = False
    del router.asterisk.there["1"]
    await router.connects(restarted=True)
    assert [one for one in router.endpoints.told if not one[0].startswith("notify")] == [
        ("StasisStart", "1"), ("StasisEnd", "1"), ("CallEnded", "1"),
    ]  # fmt: skip
    assert len(router.board) == 0


async def test_an_event_of_no_call_does_not_end_with_asterisk(router: Router) -> None:
    """It is none: what its answer asks for is still done."""
    call = Call(key="main/e", id="e", asterisk="main", app="ivr", route="ivr", started_at=0.0, channelless=True)
    live = router.runner.take_up(call, router.flow.table.by_name("ivr"))
    await router.connects(restarted=True)
    assert call.end_reason == "done"
    assert router.endpoints.told == []
    assert live not in list(router.board)


async def test_a_call_that_is_lent_to_the_dialplan_is_not_missed(router: Router) -> None:
    """It is not in the app, and it is there; when it is not there any more, it has ended."""
    live = await router.begins("1", {"action": "dialplan", "context": "subs"}, PAUSE)
    router.happens("StasisEnd", "1")
    channel = router.asterisk.there.pop("1")
    router.asterisk.elsewhere["1"] = channel | {"dialplan": {"app_name": "Wait", "app_data": "9"}}
    await router.connects()
    assert live.away
    assert router.endpoints.told == []
    router.asterisk.elsewhere.clear()
    await router.connects()
    assert sorted(router.endpoints.told) == sorted(OVER)
    assert len(router.board) == 0


async def test_a_call_that_came_back_from_the_dialplan_unseen_goes_on(router: Router) -> None:
    """It is no new call, and it does not wait for a StasisStart that was lost."""
    live = await router.begins("1", {"action": "dialplan", "context": "subs"}, PAUSE)
    router.happens("StasisEnd", "1")
    router.asterisk.there["1"]["dialplan"] = {"app_name": "Stasis", "app_data": "ivr"}
    await router.connects()
    assert not live.away
    assert router.endpoints.told == [("DialplanCompleted", "1")]


async def test_a_call_that_begins_unseen_is_a_call(router: Router) -> None:
    """Its arguments are those of the dialplan; asking twice begins it once."""
    router.asterisk.put("1", dialplan={"app_name": "Stasis", "app_data": "ivr,sales,de"}, caller={"number": "0301"})
    await router.connects()
    await router.connects()
    assert router.endpoints.told == [("notify StasisStart", "1"), ("StasisStart", "1")]
    assert (router.endpoints.bodies[0]["data"]["args"], router.endpoints.bodies[0]["inferred"]) == (["sales", "de"], True)
    live = router.board.by_channel("1")
    assert live is not None
    assert live.call.caller == "0301"


async def test_a_call_that_begins_meanwhile_begins_once(router: Router) -> None:
    """Its StasisStart was not lost, it waits."""
    router.asterisk.put("1")
    await router.connects(meanwhile=(told("StasisStart", "1"),))
    assert router.endpoints.told == [("notify StasisStart", "1"), ("StasisStart", "1")]
    assert all("inferred" not in body for body in router.endpoints.bodies)


@pytest.mark.parametrize(("adopt", "operations"), [("continue", ["1"]), ("ignore", [])])
async def test_a_route_may_want_no_call_that_it_did_not_see_begin(router: Router, adopt: str, operations: list[str]) -> None:
    """`adopt` says what becomes of it."""
    router.flow.table = router.table(adopt=adopt)
    router.asterisk.put("1")
    await router.connects()
    assert router.endpoints.told == []
    assert router.asterisk.did("channels.continueInDialplan") == operations


async def test_what_is_ours_and_belongs_to_no_call_is_removed(router: Router) -> None:
    """Legs that answered while we were dead, bridges of calls that are over; nothing of anybody else's."""
    for id in ("hr-leg-1", "other", "1;2"):
        router.asterisk.put(id)
    router.asterisk.bridges = {"hr-bridge-1": True, "hr-bridge-2": False, "theirs": True}
    live = await router.begins("1", PAUSE)
    live.call.owned["bridge"] = {"hr-bridge-3": "bridge"}
    router.board.watch(live, "bridge", "hr-bridge-3")
    router.asterisk.bridges["hr-bridge-3"] = True
    await router.connects()
    assert router.asterisk.did("channels.hangup") == ["hr-leg-1"]
    assert router.asterisk.did("bridges.destroy") == ["hr-bridge-1"]
    assert ("StasisStart", "1;2") not in router.endpoints.told  # the far half of a Local channel is no call
    assert ("StasisStart", "other") in router.endpoints.told


async def test_a_channel_that_was_announced_is_a_call_when_it_is_there(router: Router) -> None:
    """It answered while the router was away; it runs what it was announced with."""
    steps = (b'{"action":"ring"}',)
    router.flow.expected.calls[("main", "hr-originated-1")] = Announce("hr-originated-1", "ivr", steps, b'{"a":1}')
    router.asterisk.put("hr-originated-1")
    await router.connects()
    live = router.board.by_channel("hr-originated-1")
    assert live is not None
    assert live.call.state == b'{"a":1}'
    assert router.asterisk.did("channels.ring") == ["hr-originated-1"]
    assert router.asterisk.did("channels.hangup") == []


@pytest.mark.parametrize("again", [True, False])
async def test_a_leg_that_answered_or_hung_up_unseen(router: Router, again: bool) -> None:
    """One is joined with the caller, the other gone; the same after a restart of ours."""
    live = await router.begins("1", {"action": "dial", "to": ["PJSIP/a", "PJSIP/b"]}, PAUSE)
    first, second = live.call.owned["channel"]
    router.asterisk.put(first)
    if again:
        await router.starts_again()
        found = router.board.by_channel("1")
        assert found is not None
        live = found
    await router.connects()
    assert router.asterisk.did("bridges.createWithId") == list(live.call.owned["bridge"])
    assert second not in live.call.owned["channel"]
    assert [type for type, _ in router.endpoints.told if type == "DialCompleted"] == []


async def test_a_call_that_is_answered_before_asterisks_reply_is_told_as_answered(router: Router) -> None:
    """Replies and events come in any order."""
    reply = router.asterisk.late["channels.originateWithId"] = asyncio.Event()
    await router.begins("1", {"action": "originate", "to": "PJSIP/a", "id": "x"}, PAUSE)
    router.happens("StasisStart", "hr-call-x.")
    router.happens("ChannelDestroyed", "hr-call-x.", cause=16)
    reply.set()
    await settled()
    (done,) = [body["data"] for body in router.endpoints.bodies if body["type"] == "OriginateCompleted"]
    assert (done["status"], done["call"]) == ("answered", "hr-call-x.")


async def test_who_took_the_place_of_a_leg_unseen_is_no_call(router: Router) -> None:
    """A stranger stands in the bridge with the caller, and the leg does not: its phone has transferred the talk."""
    live = await router.begins("1", {"action": "dial", "to": "PJSIP/a"}, PAUSE)
    (leg,) = live.call.owned["channel"]
    router.asterisk.put(leg)
    router.happens("ChannelStateChange", leg)
    router.happens("StasisStart", leg, args=["hookrouter-leg"])
    await settled()
    (bridge,) = live.call.owned["bridge"]
    router.asterisk.bridges[bridge] = True
    router.asterisk.inside[bridge] = ["1", "stranger"]
    router.asterisk.put("stranger")
    await router.connects()
    assert "stranger" in live.call.owned["channel"]
    assert router.board.by_channel("stranger") is None
    assert [type for type, _ in router.endpoints.told] == []


@pytest.mark.parametrize("again", [True, False])
async def test_legs_that_are_all_gone_unseen_end_the_dial(router: Router, again: bool) -> None:
    """And its owner is told, once; also of one whose end waits to be told."""
    live = await router.begins("1", {"action": "dial", "to": ["PJSIP/a", "PJSIP/b"]}, PAUSE)
    first, _ = live.call.owned["channel"]
    if again:
        await router.starts_again()
    await router.connects(meanwhile=(told("ChannelDestroyed", first, cause=17),))
    assert [type for type, _ in router.endpoints.told] == ["DialCompleted"]
    assert router.endpoints.bodies[-1]["data"]["status"] == "busy"


async def test_a_leg_that_is_only_being_asked_for_is_not_gone(router: Router) -> None:
    """Its request has no reply yet: Asterisk may be about to make it."""
    call = Call(key="main/1", id="1", asterisk="main", app="ivr", route="ivr", started_at=0.0)
    router.asterisk.put("1")
    router.asterisk.broken.add("nothing")
    live = router.runner.enter(call, router.flow.table.by_name("ivr"))
    router.runner.turn(live, lambda turn: turn.begin(told("StasisStart", "1"), [b'{"action":"dial","to":"PJSIP/a"}']))
    leg = next(iter(live.call.owned["channel"]))
    assert live.call.requests
    router.resumer._look_at(live, {"1"}, {"1": {}}, {}, set())
    assert leg in live.call.owned["channel"]
    await settled()


@pytest.mark.parametrize("operation", ["applications.get", "channels.list", "bridges.list"])
async def test_an_asterisk_that_does_not_tell_changes_nothing(router: Router, operation: str) -> None:
    """No call is ended on a guess; what waited goes on, and the log says why."""
    await router.begins("1", PAUSE)
    router.asterisk.broken.add(operation)
    if operation != "bridges.list":
        del router.asterisk.there["1"]
    await router.connects(meanwhile=(told("StasisStart", "2"),))
    assert ("StasisStart", "2") in router.endpoints.told
    assert not any(type == "StasisEnd" for type, _ in router.endpoints.told)
    assert [fact.subject for fact in router.facts if isinstance(fact, Warned)] == ["resume"]


async def test_calls_of_another_asterisk_are_not_looked_at(router: Router) -> None:
    """Each is asked for its own."""
    call = Call(key="b/9", id="9", asterisk="b", app="ivr", route="ivr", started_at=0.0)
    live = router.runner.take_up(call, router.flow.table.by_name("ivr"))
    await router.connects(restarted=True)
    assert not live.call.ended


async def test_a_call_that_ended_before_the_restart_is_told_to_its_end(router: Router) -> None:
    """What was still to be delivered is; it is not missed, and ends once."""
    call = Call(key="main/1", id="1", asterisk="main", app="ivr", route="ivr", started_at=0.0, ended=True, detailed=True)
    live = router.runner.take_up(call, router.flow.table.by_name("ivr"))
    router.runner.turn(live, lambda turn: turn.emit("CallEnded", b"{}") and None)
    router.resumer.took_up(live)
    await router.connects()
    assert [type for type, _ in router.endpoints.told if type != "notify CallEnded"] == ["CallEnded"]
    router.resumer.missing(live)
    await settled()
    assert not any(type == "StasisEnd" for type, _ in router.endpoints.told)


async def test_a_channel_that_is_missed_has_ended(router: Router) -> None:
    """A request said 404, and no StasisEnd has come."""
    live = await router.begins("1", PAUSE)
    router.runner.turn(live, lambda turn: turn.arm(":gone", 0.0))
    await settled()
    assert sorted(router.endpoints.told) == sorted(OVER)


def test_an_inferred_event_has_the_id_of_what_happened() -> None:
    """Found out twice, it is one event, whatever Asterisk says about the channel by then."""
    once = inferred("main", "StasisEnd", {"id": "1", "state": "Up"}, "ivr", "1000.0", 1000.0, reason="gone")
    twice = inferred("main", "StasisEnd", {"id": "1", "state": "Down"}, "ivr", "1000.0", 1001.0)
    other = inferred("main", "StasisEnd", {"id": "1"}, "ivr", "2000.0", 1000.0)
    assert once.id == twice.id != other.id
    assert once.inferred
    assert json.loads(once.raw)["application"] == "ivr"
