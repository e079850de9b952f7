"""Notify deliveries from the hand-over to the end, on a clock that only the test moves."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import count, pairwise
from random import Random
from typing import Literal

import msgspec
import pytest

from hookrouter.delivery.lane import LaneSettings
from hookrouter.delivery.notifier import Notifier
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.queue import Added, Filter, NewDelivery, StoredDelivery
from hookrouter.delivery.schedule import LONGEST_WAIT
from hookrouter.errors import StoreError
from hookrouter.facts import BreakerChanged, DeliveryAttempted, DeliveryFinished, Fact, Facts, JournalRecovered, Warned
from hookrouter.routing.endpoint import Endpoint
from hookrouter.store.memory import MemoryStore

BEGIN = 1_000_000.0


class ManualClock:
    """Time that passes only in `advance`."""

    def __init__(self) -> None:
        self.at = BEGIN
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    async def sleep(self, delay: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.at + delay, next(self._numbers), future))
        await future

    async def advance(self, delay: float) -> None:
        """Lets everything happen that happens within `delay` seconds."""
        end = self.at + delay
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            self.at = max(self.at, at)
            if not future.done():
                future.set_result(None)
            await settle()
        self.at = end


async def settle() -> None:
    for _ in range(12):
        await asyncio.sleep(0)


class Route(msgspec.Struct, frozen=True):
    name: str
    endpoint: Endpoint
    order: Literal["call", "strict"] = "call"


class World:
    """A notifier with its queue and endpoints; `answer` decides what an endpoint says."""

    def __init__(self, settings: LaneSettings | None = None) -> None:
        self.clock = ManualClock()
        self.told: list[Fact] = []
        self.facts = Facts(self.told.append)
        self.queue = MemoryStore(self.clock)
        self.routes = {"crm": Route("crm", Endpoint("http://crm/"))}
        self.sent: list[tuple[float, str, int]] = []
        self.bodies: list[bytes] = []
        self.in_flight: Counter[str] = Counter()
        self.most_in_flight: Counter[str] = Counter()
        self.settings = settings
        self.answer: Callable[[Route, StoredDelivery, int], Attempt | int | Awaitable[int]] = lambda r, d, n: 200
        self.notifier = self.new_notifier()

    def new_notifier(self) -> Notifier:
        return Notifier(self.queue, self.send, self.routes.get, self.facts, self.clock, lambda: 0.0, self.settings)

    async def send(self, route: Route, delivery: StoredDelivery, number: int) -> Attempt:
        self.sent.append((self.clock.now() - BEGIN, delivery.id, number))
        self.bodies.append(delivery.body)
        self.in_flight[route.name] += 1
        self.most_in_flight[route.name] = max(self.most_in_flight[route.name], self.in_flight[route.name])
        try:
            answer = self.answer(route, delivery, number)
            if not isinstance(answer, int | Attempt):
                answer = await answer
        finally:
            self.in_flight[route.name] -= 1
        return answer if isinstance(answer, Attempt) else Attempt(number, "response", answer)

    def enqueue(self, *ids: str, call: str = "", route: str = "crm", url: str = "") -> None:
        now = self.clock.now()
        self.notifier.enqueue([NewDelivery(id, route, "StasisStart", id.encode(), now, call, url) for id in ids])

    def finished(self) -> list[tuple[str, str, int, str]]:
        ends = [fact for fact in self.told if isinstance(fact, DeliveryFinished)]
        return [(fact.event, fact.outcome, fact.attempts, fact.reason) for fact in ends]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.queue.start()
    await made.notifier.start()
    yield made
    await made.notifier.stop(grace=0.0)


async def test_a_delivery_is_sent_once_with_its_exact_bytes(world: World) -> None:
    """At once, with attempt 1; handed over again it is not sent again."""
    world.enqueue("a")
    await settle()
    world.enqueue("a")
    await settle()
    assert world.sent == [(0.0, "a", 1)]
    assert world.bodies == [b"a"]
    assert world.finished() == [("a", "delivered", 1, "status_200")]
    assert await world.notifier.pending() == {}
    (attempted,) = [fact for fact in world.told if isinstance(fact, DeliveryAttempted)]
    assert (attempted.url, attempted.kind, attempted.status) == ("http://crm/", "notify", 200)


async def test_the_whole_schedule_ends_in_a_dead_letter(world: World) -> None:
    """Eleven attempts at the contract's times, then exact bytes, attempts and why are kept."""
    world.answer = lambda r, d, n: 500
    world.enqueue("a")
    await world.clock.advance(400_000)
    times = [at for at, _, _ in world.sent]
    assert [number for _, _, number in world.sent] == list(range(1, 12))
    gaps = [round(b - a) for a, b in pairwise(times)]
    # once the endpoint counts as failing, attempts also wait for the next probe, at most 10 s
    assert [gap // 10 * 10 if gap > 10 else gap for gap in gaps] == [
        5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400,
    ]  # fmt: skip
    assert world.finished() == [("a", "dead", 11, "status_500")]
    ((dead, attempts),) = await world.notifier.show("a")
    assert (dead.status, dead.body, dead.reason, len(attempts)) == ("dead", b"a", "status_500", 11)


async def test_a_dead_letter_is_replayed_with_the_same_id_and_a_fresh_schedule(world: World) -> None:
    """The attempt number goes on, the delays begin again."""
    world.answer = lambda r, d, n: 422
    world.enqueue("a", "b")
    await settle()
    world.answer = lambda r, d, n: 500 if n < 4 else 200
    await world.clock.advance(10)
    assert await world.notifier.replay(Filter(ids=("a",))) == 1
    await world.clock.advance(5)
    await world.clock.advance(30)
    assert world.sent[2:] == [(10.0, "a", 2), (15.0, "a", 3), (45.0, "a", 4)]
    assert [d.id for d in await world.notifier.find(Filter(status="dead"))] == ["b"]


async def test_first_attempts_of_a_call_are_in_order_and_one_at_a_time(world: World) -> None:
    """The next one starts when the one before has its answer; other calls do not wait."""
    gates = {id: asyncio.Event() for id in ("a1", "a2")}

    async def slow(id: str) -> int:
        await gates[id].wait()
        return 200

    world.answer = lambda r, d, n: slow(d.id) if d.id in gates else 200
    world.enqueue("a1", "a2", call="a")
    world.enqueue("a3", call="a")
    world.enqueue("b1", "b2", call="b")
    world.enqueue("x", "y")
    await settle()
    assert [id for _, id, _ in world.sent] == ["a1", "b1", "x", "y", "b2"]
    gates["a1"].set()
    await settle()
    gates["a2"].set()
    await settle()
    assert [id for _, id, _ in world.sent[5:]] == ["a2", "a3"]


async def test_in_call_order_a_retry_holds_up_nobody(world: World) -> None:
    """The second event of the call goes on while the first one waits for its retry."""
    world.answer = lambda r, d, n: 500 if (d.id, n) == ("a1", 1) else 200
    world.enqueue("a1", "a2", call="a")
    await world.clock.advance(6)
    assert world.sent == [(0.0, "a1", 1), (0.0, "a2", 1), (5.0, "a1", 2)]


async def test_in_strict_order_a_retry_holds_up_its_call_only(world: World) -> None:
    """Later events of the call wait for it, those of others do not."""
    world.routes["crm"] = Route("crm", Endpoint("http://crm/"), "strict")
    world.answer = lambda r, d, n: 500 if d.id == "a1" and n < 3 else 200
    world.enqueue("a1", "a2", call="a")
    world.enqueue("b1", call="b")
    await world.clock.advance(1)
    world.enqueue("a3", call="a")
    await world.clock.advance(50)
    assert world.sent == [
        (0.0, "a1", 1), (0.0, "b1", 1), (5.0, "a1", 2), (35.0, "a1", 3), (35.0, "a2", 1), (35.0, "a3", 1),
    ]  # fmt: skip


async def test_in_strict_order_a_call_is_held_up_for_a_quarter_of_an_hour_at_most(world: World) -> None:
    """Then its later events go, and the failed one keeps to its schedule."""
    world.routes["crm"] = Route("crm", Endpoint("http://crm/"), "strict")
    world.answer = lambda r, d, n: 500 if d.id == "a1" else 200
    world.enqueue("a1", "a2", call="a")
    await world.clock.advance(899)
    assert {id for _, id, _ in world.sent} == {"a1"}
    await world.clock.advance(2)
    assert world.sent[-1] == (900.0, "a2", 1)


async def test_retry_after_pauses_the_endpoint_and_is_remembered(world: World) -> None:
    """Nothing goes there meanwhile, not even after a restart; another endpoint is not affected."""
    world.routes["erp"] = Route("erp", Endpoint("http://erp/"))
    world.answer = lambda r, d, n: Attempt(n, "response", 429, retry_after=60.0) if (d.id, n) == ("a", 1) else 200
    world.enqueue("a")
    await world.clock.advance(1)
    world.enqueue("b")
    world.enqueue("c", route="erp")
    await world.clock.advance(20)
    await world.notifier.stop()
    world.notifier = world.new_notifier()
    await world.notifier.start()
    await world.clock.advance(38)
    assert world.sent == [(0.0, "a", 1), (1.0, "c", 1)]
    await world.clock.advance(2)
    assert sorted(world.sent[2:], key=lambda sent: sent[1]) == [(60.0, "a", 2), (60.0, "b", 1)]


async def test_410_stops_the_endpoint_until_its_url_changes(world: World) -> None:
    """What comes then waits, also over a restart; a new URL in the route starts it again."""
    world.answer = lambda r, d, n: 410
    world.enqueue("a")
    await settle()
    world.answer = lambda r, d, n: 200
    world.enqueue("b")
    await world.clock.advance(100)
    assert [fact.subject for fact in world.told if isinstance(fact, Warned)] == ["notify"]
    await world.notifier.stop()
    world.notifier = world.new_notifier()
    await world.notifier.start()
    await world.clock.advance(100)
    assert [id for _, id, _ in world.sent] == ["a"]
    assert await world.notifier.pending() == {"crm": 1}
    world.routes["crm"] = Route("crm", Endpoint("http://new/"))
    world.notifier.routes_changed()
    await settle()
    assert [id for _, id, _ in world.sent] == ["a", "b"]
    assert await world.queue.lane_marks() == []


async def test_replaying_starts_a_stopped_endpoint(world: World) -> None:
    """The operator's word is stronger than an old 410."""
    world.answer = lambda r, d, n: 410 if n == 1 else 200
    world.enqueue("a")
    await settle()
    assert await world.notifier.replay(Filter(status="dead", route="crm")) == 1
    await settle()
    assert world.finished() == [("a", "dead", 1, "status_410"), ("a", "delivered", 2, "status_200")]


async def test_a_route_that_somebody_has_paused_waits_over_restarts(world: World) -> None:
    """What comes, what an action sends to a URL of its own, and what is replayed: all of it, until it is let go on."""
    world.answer = lambda r, d, n: 400
    world.enqueue("a")
    await settle()
    world.answer = lambda r, d, n: 200
    world.notifier.pause("crm")
    world.enqueue("b")
    world.enqueue("c", url="http://other/")
    assert await world.notifier.replay(Filter(status="dead", route="crm")) == 1
    await world.clock.advance(100)
    await world.notifier.stop()
    world.notifier = world.new_notifier()
    await world.notifier.start()
    await world.clock.advance(100)
    assert [id for _, id, _ in world.sent] == ["a"]
    assert world.notifier.lane_states()["crm"]["paused"]
    world.notifier.go_on("crm")
    await world.clock.advance(1)
    assert sorted(id for _, id, _ in world.sent) == ["a", "a", "b", "c"]
    assert await world.queue.lane_marks() == []


async def test_a_failing_endpoint_gets_one_request_at_a_time(world: World) -> None:
    """After five failures in a row it is probed once a second, and everything goes on when it is back."""
    gate = asyncio.Event()

    async def hang() -> int:
        await gate.wait()
        return 500

    world.answer = lambda r, d, n: 500
    world.enqueue(*(f"a{n}" for n in range(5)))
    await settle()
    world.answer = lambda r, d, n: hang()
    world.enqueue(*(f"b{n}" for n in range(50)))
    await world.clock.advance(3)
    assert world.in_flight["crm"] == 1
    assert len(world.sent) == 6
    world.answer = lambda r, d, n: 200
    gate.set()
    await world.clock.advance(40)
    assert await world.notifier.pending() == {}
    changes = [fact.state for fact in world.told if isinstance(fact, BreakerChanged)]
    assert changes == ["open", "closed"]


async def test_requests_in_flight_are_bounded_by_endpoint(world: World) -> None:
    """A slow endpoint has its limit; another one is not slowed."""
    world.routes["erp"] = Route("erp", Endpoint("http://erp/"))
    gate = asyncio.Event()

    async def hang() -> int:
        await gate.wait()
        return 200

    world.answer = lambda r, d, n: hang() if r.name == "crm" else 200
    world.enqueue(*(f"a{n}" for n in range(100)))
    world.enqueue("b", route="erp")
    await settle()
    assert world.in_flight["crm"] == LaneSettings().concurrency
    assert world.finished() == [("b", "delivered", 1, "status_200")]
    gate.set()
    await settle()
    for _ in range(10):
        await settle()
    assert len(world.finished()) == 101


async def test_after_a_restart_what_was_pending_is_sent(world: World) -> None:
    """In the order in which it came, and what was in flight again, with the same attempt number."""
    never = asyncio.Event()

    async def hang() -> int:
        await never.wait()
        return 200

    world.answer = lambda r, d, n: hang()
    world.enqueue("a1", "a2", "a3", call="a")
    await settle()
    stopping = asyncio.create_task(world.notifier.stop(grace=0.0))
    await settle()
    await stopping
    world.enqueue("late", call="a")
    world.answer = lambda r, d, n: 200
    world.notifier = world.new_notifier()
    await world.notifier.start()
    await world.clock.advance(1)
    assert [(id, number) for _, id, number in world.sent] == [("a1", 1), ("a1", 1), ("a2", 1), ("a3", 1), ("late", 1)]


async def test_a_backlog_drains_evenly_and_new_events_go_first() -> None:
    """Fault 15: no second has more than twice the mean; a new event's first attempt does not wait for the backlog."""
    world = World(LaneSettings(backlog_rate=100.0, window=50, most_fresh=40))
    await world.queue.start()
    await world.notifier.start()
    world.answer = lambda r, d, n: 503
    for batch in range(20):
        world.enqueue(*(f"old{batch}.{n}" for n in range(100)))
        await settle()
    await world.clock.advance(60)
    pending = sum((await world.notifier.pending()).values())
    assert pending == 2000
    world.answer = lambda r, d, n: 200
    back = world.clock.now() - BEGIN
    world.sent.clear()
    waits = []
    for number in range(30):
        await world.clock.advance(0.5)
        begun = world.clock.now() - BEGIN
        world.enqueue(f"new{number}")
        await world.clock.advance(0.5)
        first = [at for at, id, _ in world.sent if id == f"new{number}"]
        waits.append(first[0] - begun if first else 99.0)
    assert sorted(waits)[int(len(waits) * 0.95)] < 1.0
    while await world.notifier.pending():
        await world.clock.advance(5)
    seconds = Counter(int(at - back) for at, _, _ in world.sent)
    rates = [seconds[second] for second in range(max(seconds))]
    assert max(rates) <= 2 * sum(rates) / len(rates)
    assert {outcome for _, outcome, _, _ in world.finished()} == {"delivered"}
    assert len(world.finished()) == 2030
    await world.notifier.stop()


async def test_memory_holds_a_window_of_the_backlog_only() -> None:
    """What a dead endpoint collects stays in the queue."""
    world = World(LaneSettings(most_fresh=10, window=10))
    await world.queue.start()
    await world.notifier.start()
    world.answer = lambda r, d, n: 500
    for number in range(500):
        world.enqueue(f"a{number}", call="one")
    await world.clock.advance(20)
    (station,) = world.notifier._stations.values()
    assert len(station.lane.held()) <= 10
    world.answer = lambda r, d, n: 200
    await world.clock.advance(600)
    assert await world.notifier.pending() == {}
    first = {}
    for index, (_, id, number) in enumerate(world.sent):
        if number == 1:
            first[id] = index
    assert list(first) == [f"a{number}" for number in range(500)]
    await world.notifier.stop()


async def test_a_new_event_stays_behind_what_its_call_left_on_disk() -> None:
    """Being new is no reason to overtake an older event of the same call."""
    world = World(LaneSettings(most_fresh=3, window=4, concurrency=2))
    await world.queue.start()
    await world.notifier.start()
    gate = asyncio.Event()

    async def hang() -> int:
        await gate.wait()
        return 200

    world.answer = lambda r, d, n: hang()
    world.enqueue(*(f"a{n}" for n in range(8)), call="a")
    await settle()
    world.enqueue("a8", call="a")
    await settle()
    gate.set()
    await world.clock.advance(2)
    assert [id for _, id, _ in world.sent] == [f"a{n}" for n in range(9)]
    await world.notifier.stop()


async def test_an_action_s_own_url_is_a_lane_of_its_own(world: World) -> None:
    """A dead URL of one action does not stop the route."""
    world.answer = lambda r, d, n: 410 if d.url else 200
    world.enqueue("a", url="http://other/")
    await settle()
    world.enqueue("b", url="http://other/")
    world.enqueue("c")
    await settle()
    assert [id for _, id, _ in world.sent] == ["a", "c"]
    assert [m.stopped_url for m in await world.queue.lane_marks()] == ["http://other/"]


async def test_a_route_that_is_gone_keeps_its_deliveries(world: World) -> None:
    """They go on when it returns; after the schedule's whole length they are dead letters."""
    route = world.routes.pop("crm")
    world.enqueue("a")
    await world.clock.advance(100)
    world.routes["crm"] = route
    world.notifier.routes_changed()
    await settle()
    assert [id for _, id, _ in world.sent] == ["a"]
    del world.routes["crm"]
    world.enqueue("b")
    await world.clock.advance(60)
    world.clock.at += LONGEST_WAIT
    await world.clock.advance(60)
    assert [(d.id, d.reason) for d in await world.notifier.find(Filter(status="dead"))] == [("b", "expired")]


async def test_an_attempt_that_breaks_is_a_failed_one(world: World) -> None:
    """An exception of the sender is no reason to forget the delivery."""

    def broken(route: Route, delivery: StoredDelivery, number: int) -> int:
        if number == 1:
            raise ValueError("mine")
        return 200

    world.answer = broken
    world.enqueue("a")
    await world.clock.advance(6)
    assert world.finished() == [("a", "delivered", 2, "status_200")]
    ((_, attempts),) = await world.notifier.show("a")
    assert [(entry.reason, entry.detail) for entry in attempts] == [("bad_response", "ValueError: mine")]


class FullDisk(MemoryStore):
    """A queue whose disk refuses; `kept` says whether its memory still has room."""

    kept = False
    full = True

    def add(self, deliveries: list[NewDelivery], done: Callable[[Added], None], *, strict: bool = False) -> None:
        if not self.full:
            super().add(deliveries, done, strict=strict)
            return
        if self.kept:
            super().add(deliveries, lambda added: None, strict=strict)
        new = frozenset((d.id, d.lane) for d in deliveries)
        self._loop.call_soon(done, Added(new, {}, StoreError("full"), self.kept))

    async def due(self, *arguments: object, **more: object) -> object:
        if self.full:
            raise StoreError("full")
        return await super().due(*arguments, **more)


@pytest.mark.parametrize("kept", [True, False])
async def test_a_full_disk_does_not_stop_the_first_attempt(kept: bool) -> None:
    """It is made from memory; what fails then waits for the disk if the queue has it, else it is `dropped` and said."""
    world = World()
    world.queue = disk = FullDisk(world.clock)
    disk.kept = kept
    world.notifier = world.new_notifier()
    await disk.start()
    await world.notifier.start()
    world.answer = lambda r, d, n: 200 if d.id == "a" or n > 1 else 500
    world.enqueue("a", "b")
    await world.clock.advance(8)
    assert [id for _, id, _ in world.sent] == ["a", "b"]
    disk.full = False
    world.facts.emit(JournalRecovered("journal"))
    await world.clock.advance(8)
    assert world.finished() == [
        ("a", "delivered", 1, "status_200"),
        ("b", "delivered", 2, "status_200") if kept else ("b", "dropped", 1, "status_500"),
    ]
    await world.notifier.stop()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("order", ["call", "strict"])
async def test_whatever_happens_nothing_is_lost_and_the_order_holds(
    seed: int, order: Literal["call", "strict"]
) -> None:
    """Random failures, pauses, restarts and bursts: everything is delivered in the end, each call in its order."""
    dice = Random(seed)
    small = LaneSettings(concurrency=3, backlog_share=2, backlog_rate=50.0, window=6, most_fresh=5, open_after=3)
    world = World(small)
    world.routes["crm"] = Route("crm", Endpoint("http://crm/"), order)
    mood = [0.0]

    async def later() -> int:
        await world.clock.sleep(dice.choice([0.01, 0.3, 2.0]))
        return 200 if dice.random() > mood[0] else 500

    def answer(route: Route, delivery: StoredDelivery, number: int) -> Attempt | Awaitable[int]:
        if dice.random() < 0.03 * mood[0]:
            return Attempt(number, "response", 429, retry_after=3.0)
        return later()

    world.answer = answer
    await world.queue.start()
    await world.notifier.start()
    made: dict[str, list[str]] = {}
    for number in range(150):
        mood[0] = dice.choice([0.0, 0.0, 0.3, 1.0]) if number % 10 == 0 else mood[0]
        call = dice.choice(["", "a", "b", "c"])
        ids = [f"{call}{number}.{n}" for n in range(dice.choice([1, 1, 1, 4]))]
        world.enqueue(*ids, call=call)
        made.setdefault(call, []).extend(ids)
        await world.clock.advance(dice.choice([0.0, 0.0, 0.05, 1.0]))
        if dice.random() < 0.03:
            await world.notifier.stop(grace=0.0)
            world.notifier = world.new_notifier()
            await world.notifier.start()
    mood[0] = 0.0
    await world.clock.advance(100_000)
    assert await world.notifier.pending() == {}
    ends = [id for id, outcome, _, _ in world.finished()]
    assert sorted(ends) == sorted(id for ids in made.values() for id in ids), "each is delivered once"
    assert len(ends) == len(set(ends))
    for call in "abc":
        firsts = list(dict.fromkeys(id for _, id, _ in world.sent if id.startswith(call)))
        assert firsts == made.get(call, [])
        if order == "strict" and not _held_too_long(world):
            assert [id for id in ends if id.startswith(call)] == made.get(call, [])
    await world.notifier.stop()


def _held_too_long(world: World) -> bool:
    """Whether some delivery held up its call for a quarter of an hour, after which the order is given up."""
    first = {id: at for at, id, number in reversed(world.sent) if number == 1}
    return any(at - first[id] > 900 for at, id, _ in world.sent)
