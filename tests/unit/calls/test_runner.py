"""What waits for the disk, and for how long."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from hookrouter.actions.decode import Answer
from hookrouter.ari.events import Event, make_event
from hookrouter.calls.board import Board, Live
from hookrouter.calls.call import Call, Outgoing
from hookrouter.calls.journal import Committed
from hookrouter.calls.runner import Runner
from hookrouter.clock import SystemClock
from hookrouter.delivery.outcome import Answered, Unanswered
from hookrouter.facts import Facts
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

    def write(self) -> None:
        waiting, self.waiting = self.waiting, []
        for done, _ in waiting:
            done(None)


class World:
    """The rest of the router: endpoints that answer nothing, or never."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.told = asyncio.Event()
        self.answers = True

    async def control(self, live: Live, outgoing: Outgoing) -> Answered[Answer] | Unanswered:
        self.sent.append(outgoing.type)
        if not self.answers:
            await asyncio.Event().wait()
        return Answered(Answer(), 1, 0.0)

    def wanted(self, type: str) -> bool:
        return False


class Bench:
    """One call on a runner; its journal is a `Disk`."""

    def __init__(self) -> None:
        self.disk, self.world = Disk(), World()
        outside: Any = self.world
        self.runner = Runner(Board(), {}, self.disk, outside, Facts(), SystemClock())
        call = Call(key="main/1.1", id="1.1", asterisk="main", app="ivr", route="ivr", started_at=0.0)
        self.live = self.runner.start(call, ROUTE, lambda turn: turn.begin(event("StasisStart")))

    def happens(self, type: str) -> None:
        self.runner.turn(self.live, lambda turn: turn.on_event(event(type)))

    async def settled(self) -> list[str]:
        """What has been sent once nothing more can happen without the disk."""
        for _ in range(20):
            await asyncio.sleep(0)
        return self.world.sent


def event(type: str) -> Event:
    told = {"type": type, "timestamp": "2026-11-23T01:21:20.227+0000", "channel": {"id": "1.1"}}
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
