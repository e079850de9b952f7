"""What waits for the disk, and for how long; and what goes out to Asterisk, endpoints and other calls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from hookrouter.actions.decode import Answer, decode_answer
from hookrouter.ari.events import Event, make_event
from hookrouter.ari.operations import Request
from hookrouter.ari.performing import Reply
from hookrouter.calls.board import Board, Live
from hookrouter.calls.call import Call, Outgoing, decode_call, encode_call
from hookrouter.calls.effects import Announce, Push, Recorded, Tell
from hookrouter.calls.journal import Committed
from hookrouter.calls.machine import Turn
from hookrouter.calls.runner import Runner
from hookrouter.clock import SystemClock
from hookrouter.delivery.outcome import Answered, Unanswered
from hookrouter.errors import StoreError
from hookrouter.facts import Fact, Facts, FallbackTaken, Warned
from hookrouter.routing.endpoint import Endpoint, Route
from hookrouter.store.memory import MemoryStore

ROUTE = Route("ivr", Endpoint("http://ivr/"), events=None)


class Disk(MemoryStore):
    """Takes nothing until `write`; notes how long each could have waited."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[tuple[Committed, float]] = []

    def committed(self, done: Committed, *, within: float = 0.0) -> None:
        self.waiting.append((done, within))

    @property
    def within(self) -> float:
        """When the first of those that wait wants it written, in seconds from now."""
        return min(within for _, within in self.waiting)

    def write(self, error: StoreError | None = None) -> None:
        waiting, self.waiting = self.waiting, []
        for done, _ in waiting:
            done(error)


class World:
    """The rest of the router: endpoints that answer nothing, or never."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.told = asyncio.Event()
        self.answers = True
        self.answer = Answer()
        self.broken: Exception | None = None
        self.did: list[str] = []

    async def control(self, live: Live, outgoing: Outgoing) -> Answered[Answer] | Unanswered:
        self.sent.append(outgoing.type)
        if not self.answers:
            await asyncio.Event().wait()
        if self.broken is not None:
            raise self.broken
        return Answered(self.answer, 1, 0.0)

    def wanted(self, type: str) -> bool:
        return type == "CallEnded"

    def controls(self, route: str, tenant: str) -> bool:
        return True

    def settled(self, asterisk: str, channel: str) -> None:
        """Nobody waits for it here."""

    def recorded(self, live: Live, recorded: Recorded) -> None:
        self.did.append(f"recorded {recorded.name}")

    def recorder(self, asterisk: str, name: str) -> tuple[str, str] | None:
        return None

    async def speak(self, asterisk: str, text: str, lang: str, voice: str) -> Reply:
        if text == "\0":
            raise ValueError("embedded null byte")
        return Reply(200, json.dumps({"media": f"sound:{text}"}).encode())

    def tell(self, live: Live, told: Tell) -> None:
        self.did.append(f"tell {told.type}")

    def push(self, live: Live, push: Push) -> None:
        self.did.append(f"push {push.route}")

    def announce(self, live: Live, announced: Announce) -> None:
        self.did.append(f"announce {announced.route}")

    def missing(self, live: Live) -> None:
        self.did.append("missing")


class Asterisk:
    """Answers 204 to everything, or what it is told to; `asked` is what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[Request] = []
        self.replies: dict[str, Reply | Exception] = {}

    async def perform(self, request: Request, **more: Any) -> Reply:
        self.asked.append(request)
        reply = self.replies.get(request.operation, Reply(204))
        if isinstance(reply, Exception):
            raise reply
        return reply

    @property
    def operations(self) -> list[str]:
        return [request.operation for request in self.asked]


class Bench:
    """One call on a runner; its journal is a `Disk`."""

    def __init__(self) -> None:
        self.disk, self.world = Disk(), World()
        outside: Any = self.world
        self.runner = Runner(Board(), {}, self.disk, outside, Facts(), SystemClock())
        call = Call(key="main/1.1", id="1.1", asterisk="main", app="ivr", route="ivr", started_at=0.0)
        self.live = self.runner.enter(call, ROUTE)
        self.runner.turn(self.live, lambda turn: turn.begin(event("StasisStart")))

    def happens(self, type: str) -> None:
        self.runner.turn(self.live, lambda turn: turn.on_event(event(type)))

    async def settled(self) -> list[str]:
        """What has been sent once nothing more can happen without the disk."""
        for _ in range(20):
            await asyncio.sleep(0)
        return self.world.sent


def event(type: str, channel: str = "1.1", **more: Any) -> Event:
    told = {"type": type, "timestamp": "2026-11-23T01:21:20.227+0000", "channel": {"id": channel}, **more}
    return make_event("main", json.dumps(told).encode())


@pytest.mark.parametrize(
    ("type", "within"),
    [("ChannelDtmfReceived", 0.0), ("ChannelUserevent", 0.0), ("ChannelVarset", 0.02), ("ChannelStateChange", 0.02)],
)
async def test_an_event_is_sent_when_it_is_on_disk(type: str, within: float) -> None:
    """At once where somebody may be waiting on the line, else with somebody else's write, or 10 ms later."""
    bench = Bench()
    assert (bench.disk.within, await bench.settled()) == (0.0, [])
    bench.disk.write()
    assert await bench.settled() == ["StasisStart"]
    bench.happens(type)
    assert (bench.disk.within, await bench.settled()) == (within, ["StasisStart"])
    bench.disk.write()
    assert await bench.settled() == ["StasisStart", type]
    await bench.runner.stop()


async def test_what_is_on_disk_by_its_turn_waits_for_nothing() -> None:
    """Events that came while another was with the endpoint were written meanwhile."""
    bench = Bench()
    bench.happens("ChannelVarset")
    bench.happens("ChannelDtmfReceived")
    bench.disk.write()
    assert await bench.settled() == ["StasisStart", "ChannelVarset", "ChannelDtmfReceived"]
    await bench.runner.stop()


async def test_a_hurried_event_takes_those_before_it_along() -> None:
    """Nothing of one call overtakes: the write that the later one wants is for both."""
    bench = Bench()
    bench.disk.write()
    await bench.settled()
    bench.world.answers = False
    bench.happens("ChannelVarset")
    assert bench.disk.within == 0.02
    bench.happens("ChannelDtmfReceived")
    assert bench.disk.within == 0.0
    bench.disk.write()
    assert await bench.settled() == ["StasisStart", "ChannelVarset"]  # the other has its turn after it
    await bench.runner.stop()


async def test_nobody_is_on_the_line_of_a_call_that_has_ended() -> None:
    """Its last events wait for the writes of others."""
    bench = Bench()
    bench.disk.write()
    await bench.settled()
    bench.happens("StasisEnd")
    assert bench.disk.within == 0.05
    bench.disk.write()
    await bench.settled()
    bench.disk.write()
    assert await bench.settled() == ["StasisStart", "StasisEnd", "CallEnded"]
    assert len(bench.runner.board) == 0
    await bench.runner.stop()


class Hall:
    """Several calls on a runner, with an Asterisk; what is written is on disk at once."""

    def __init__(self) -> None:
        self.world, self.asterisk, self.disk = World(), Asterisk(), MemoryStore()
        self.facts: list[Fact] = []
        outside: Any = self.world
        self.board = Board()
        self.runner = Runner(
            self.board, {"main": self.asterisk}, self.disk, outside, Facts(self.facts.append), SystemClock()
        )

    def begin(self, id: str, *actions: Any, asterisk: str = "main", **more: Any) -> Live:
        call = Call(key=f"{asterisk}/{id}", id=id, asterisk=asterisk, app="ivr", route="ivr", started_at=0.0, up=True)
        steps = [json.dumps(action).encode() for action in actions]
        live = self.runner.enter(call, ROUTE)
        self.runner.turn(live, lambda turn: turn.begin(event("StasisStart", id), steps))
        return live

    def happens(self, live: Live, type: str, **more: Any) -> None:
        self.runner.turn(live, lambda turn: turn.on_event(event(type, live.call.id, **more)))

    async def settled(self) -> list[str]:
        """What Asterisk was asked for, once nothing more happens by itself."""
        for _ in range(50):
            await asyncio.sleep(0)
        return self.asterisk.operations

    def warned(self) -> list[str]:
        return [fact.message for fact in self.facts if isinstance(fact, Warned)]


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    hall = Hall()
    yield hall
    await hall.runner.stop()


async def test_a_mistake_in_the_delivery_leads_to_the_fallback(hall: Hall) -> None:
    """A bug of ours is no reason to leave the caller in silence; it is told as what it is."""
    hall.world.broken = KeyError("x")
    hall.begin("1")
    assert await hall.settled() == ["channels.continueInDialplan"]
    assert hall.warned() == ["delivering StasisStart: KeyError: 'x'"]
    assert [fact.reason for fact in hall.facts if isinstance(fact, FallbackTaken)] == ["internal_error"]


async def test_a_mistake_in_a_request_fails_the_action(hall: Hall) -> None:
    """So does a text that cannot be spoken in a way that nobody thought of."""
    hall.asterisk.replies["channels.ring"] = KeyError("x")
    live = hall.begin("1", {"action": "ring"})
    await hall.settled()
    assert hall.world.sent == ["ActionFailed"]
    assert hall.warned() == ["channels.ring: KeyError: 'x'"]
    assert not live.call.requests
    hall.begin("2", {"action": "say", "text": "\0"})
    await hall.settled()
    assert hall.world.sent == ["ActionFailed", "ActionFailed"]


async def test_what_is_spoken_is_played(hall: Hall) -> None:
    """The text-to-speech's file is a sound like others; while it plays, the call is busy."""
    live = hall.begin("1", {"action": "say", "text": "hello"})
    assert await hall.settled() == ["channels.playWithId"]
    assert hall.asterisk.asked[0].params["media"] == ["sound:hello"]
    assert live.busy


async def test_two_calls_are_joined_and_part(hall: Hall) -> None:
    """The other call's program is replaced by the same bridge seen from its side; who hangs up is told to the other."""
    other = hall.begin("2", {"action": "pause", "seconds": 60})
    first = hall.begin("1", {"action": "bridge", "with": "2"})
    await hall.settled()
    bridge = next(iter(first.call.owned["bridge"]))
    assert other.call.owned == {"bridge": {bridge: "room"}}
    for live in (first, other):
        for channel in ("1", "2"):
            hall.runner.turn(live, _entered(channel, bridge))
    hall.happens(first, "StasisEnd")
    await hall.settled()
    assert "BridgeCompleted" in hall.world.sent
    assert [program.run for program in other.call.programs.values()] == []


async def test_a_call_of_another_asterisk_is_nobody_to_join(hall: Hall) -> None:
    """Channel ids are known to their own Asterisk only; a call that has ended is nobody either."""
    hall.begin("2", {"action": "pause", "seconds": 60}, asterisk="second")
    ended = hall.begin("3", {"action": "pause", "seconds": 60})
    hall.world.answers = False
    hall.happens(ended, "StasisEnd")
    for number, id in (("1", "2"), ("4", "3")):
        live = hall.begin(number, {"action": "bridge", "with": id})
        await hall.settled()
        assert "bridges.createWithId" not in hall.asterisk.operations
        assert [out.type for out in live.call.outbox] == ["ActionFailed"]


async def test_who_waits_for_the_start_of_a_conference_is_let_in(hall: Hall) -> None:
    """A signal to a room reaches all who are in it, on the same Asterisk, and nobody else."""
    wait = {"action": "conference", "name": "team", "startOnEnter": False}
    waiting, elsewhere = hall.begin("1", wait), hall.begin("2", wait | {"name": "other"})
    abroad = hall.begin("1", wait, asterisk="second")
    assert len(hall.board.members("main", next(iter(waiting.call.owned["bridge"])))) == 1
    hall.begin("3", {"action": "conference", "name": "team"})
    await hall.settled()
    phases = [next(iter(live.call.programs.values())).run.phase for live in (waiting, elsewhere, abroad)]  # type: ignore[union-attr]
    assert phases == ["joining", "waiting", "waiting"]


async def test_what_a_call_says_to_others_goes_out_in_its_order(hall: Hall) -> None:
    """A notification, a call that is to come, an event for the notify routes; and a channel that is missed."""
    steps = [
        {"action": "notify", "route": "crm", "body": {}},
        {"action": "originate", "to": "PJSIP/a", "wait": False},
        {"action": "pause", "seconds": 60},
    ]
    live = hall.begin("1", *steps)
    await hall.settled()
    assert hall.world.did == ["push crm", "announce ivr"]
    hall.runner.turn(live, lambda turn: turn.arm(":gone", 0.0))
    await hall.settled()
    assert hall.world.did[-1] == "missing"
    hall.happens(live, "StasisEnd")
    await hall.settled()
    assert "tell CallEnded" in hall.world.did


async def test_what_is_only_to_be_kept_goes_into_the_write_of_the_state_it_follows_from() -> None:
    """A crash before the write undoes both, one after it neither: no notification is lost between two writes."""
    bench = Bench()
    bench.disk.write()
    await bench.settled()
    steps = [{"action": "notify", "route": "crm", "body": {}}, {"action": "pause", "seconds": 60}]
    bench.runner.turn(bench.live, lambda turn: turn.inject(decode_answer(json.dumps(steps).encode(), "application/json")))
    assert bench.world.did == ["push crm"]
    await bench.runner.stop()


async def test_a_call_that_is_taken_up_hears_of_its_own_and_is_asked_nothing(hall: Hall) -> None:
    """Read from the journal, it waits until Asterisk has been asked what is still there."""
    call = Call(key="main/1", id="1", asterisk="main", app="ivr", route="ivr", started_at=0.0, owned={"bridge": {"b": "bridge"}})
    live = hall.runner.take_up(call, ROUTE)
    for about in ({"channel": {"id": "1"}}, {"bridge": {"id": "b"}}):
        head = make_event("main", json.dumps({"type": "X"} | about).encode()).head
        assert hall.board.find("main", head) == [live]
    assert await hall.settled() == []


async def test_a_timer_of_a_call_that_was_read_back_may_be_called_off_before_it_is_set(hall: Hall) -> None:
    """What was found out about it came first."""
    live = hall.begin("1", {"action": "pause", "seconds": 60})
    again = hall.runner.take_up(decode_call(encode_call(live.call)), ROUTE)
    hall.runner.turn(again, lambda turn: turn.inject(decode_answer(b'[{"action": "ring"}]')))
    assert not again.timers
    assert await hall.settled() == ["channels.ring"]


async def test_a_timer_that_is_set_again_comes_due_once(hall: Hall) -> None:
    """After a restart all timers are set as they were; what is called off does not come."""
    live = hall.begin("1", {"action": "pause", "seconds": 60})
    first = dict(live.timers)
    hall.runner.turn(live, lambda turn: turn.resume(restarted=True))
    assert first.keys() == live.timers.keys()
    assert all(handle.cancelled() for handle in first.values())
    second = dict(live.timers)
    hall.runner.turn(live, lambda turn: turn.inject(decode_answer(b'[{"action": "ring"}]')))
    assert all(handle.cancelled() for handle in second.values())
    assert not live.timers


async def test_a_program_goes_on_when_its_time_has_come(hall: Hall) -> None:
    """Also one whose time came while the router was away."""
    hall.begin("1", {"action": "pause", "seconds": 0}, {"action": "ring"})
    await hall.settled()
    assert hall.asterisk.operations == ["channels.ring"]


async def test_who_belongs_to_no_call_is_hung_up(hall: Hall) -> None:
    """A leg that answered when its call was over."""
    hall.runner.discard("main", "leg-1")
    await hall.settled()
    assert [(r.operation, r.params) for r in hall.asterisk.asked] == [("channels.hangup", {"channelId": "leg-1"})]


async def test_a_router_that_stops_leaves_every_call_where_it_is(hall: Hall) -> None:
    """What was under way is done again after the next start, as is what was not yet begun."""
    hall.world.answers = False
    live = hall.begin("1")
    await hall.settled()
    pausing = hall.begin("2", {"action": "pause", "seconds": 0})
    await hall.runner.stop()
    now = b'[{"action": "pause", "seconds": 0, "wait": false}, {"action": "ring"}]'
    hall.runner.turn(live, lambda turn: turn.inject(decode_answer(now)))
    assert await hall.settled() == []
    assert [p.kind for p in live.call.programs.values()] == ["main", "detached"]
    assert [pending.operation for pending in live.call.requests.values()] == ["channels.ring"]
    assert live.call.in_flight
    assert pausing.call.programs
    stored = await hall.disk.load_calls()
    assert [found.call_id for found in stored] == ["main/2", "main/1"]


async def test_what_is_asked_for_later_waits_for_what_is_not_on_disk() -> None:
    """A ringing may be repeated, a prompt may not: the ringing after it waits with it."""
    bench = Bench()
    asterisk = Asterisk()
    bench.runner._clients = {"main": asterisk}
    both = decode_answer(b'[{"action": "play", "media": "sound:x", "wait": false}, {"action": "ring"}]')
    bench.runner.turn(bench.live, lambda turn: turn.inject(both))
    bench.runner.turn(bench.live, lambda turn: turn.cast("channels.ringStop", {"channelId": "1.1"}))
    await bench.settled()
    assert asterisk.operations == []
    bench.disk.write()
    await bench.settled()
    assert asterisk.operations == ["channels.playWithId", "channels.ring", "channels.ringStop"]
    bench.runner.turn(bench.live, lambda turn: turn.cast("channels.ring", {"channelId": "1.1"}))
    await bench.settled()
    assert asterisk.operations[-1] == "channels.ring"  # nothing is before it: it need not wait
    await bench.runner.stop()


async def test_a_hangup_waits_for_no_event_that_is_yet_to_be_written() -> None:
    """One write for both: the event waits patiently for it, and the request for nobody."""
    bench = Bench()
    asterisk = Asterisk()
    bench.runner._clients = {"main": asterisk}
    bench.disk.write()
    await bench.settled()
    bench.happens("ChannelVarset")
    bench.runner.turn(bench.live, lambda turn: turn.inject(decode_answer(b'[{"action": "hangup"}]')))
    assert (await bench.settled(), asterisk.operations) == (["StasisStart"], ["channels.hangup"])
    assert bench.disk.within == 0.02  # nobody hurries the disk
    bench.disk.write()
    assert await bench.settled() == ["StasisStart", "ChannelVarset"]
    await bench.runner.stop()


def _entered(channel: str, bridge: str) -> Callable[[Turn], None]:
    entered = event("ChannelEnteredBridge", channel, bridge={"id": bridge, "channels": ["1", "2"]})
    return lambda turn: turn.on_event(entered)


@pytest.mark.parametrize("shared", [False, True])
async def test_what_the_disk_refuses_is_done_unless_another_router_may_go_on(shared: bool) -> None:
    """Of one router the call goes on all the same; of several it waits, in order, until the disk takes it."""
    bench = Bench()
    bench.runner.shared = lambda: shared
    bench.disk.write(StoreError("it does not answer"))
    bench.happens("ChannelHold")
    bench.disk.write(StoreError("it does not answer"))
    sent = await bench.settled()
    assert sent[:1] == ([] if shared else ["StasisStart"])
    waits = asyncio.create_task(bench.runner.on_disk())
    await bench.settled()
    bench.disk.write(StoreError("it does not answer"))
    await bench.settled()
    assert waits.done() is not shared

    bench.runner.recovered()
    bench.disk.write()
    assert (await bench.settled())[:1] == ["StasisStart"]
    assert waits.done()
