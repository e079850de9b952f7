"""Notify deliveries until they are delivered or dead letters, over restarts: the lanes' shell, with queue and clock.

Rules:
- The first attempt starts after the commit of what it tells. Where the disk refuses, that is said aloud (the queue
  tells `JournalFailed`) and the attempt is made from memory; a delivery that not even the queue's memory has room for
  gets that one attempt and is otherwise `dropped`, counted by its `DeliveryFinished`.
- An attempt that `stop` breaks off counts for nothing: it is made again after the start, with the same id.
- Every lane has its own limits (`LaneSettings`): a dead endpoint takes nothing from another one.
- A route that somebody has paused keeps its deliveries, over restarts too, until they let it go on; a replay waits with them.
- A route that is gone keeps its deliveries: they go on when it returns, or become dead letters (`expired`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from random import random as system_random
from typing import Any, Literal, Protocol

import msgspec

from hookrouter.clock import Clock
from hookrouter.delivery.lane import STRICT_HOLD, Lane, LaneSettings
from hookrouter.delivery.outcome import Attempt
from hookrouter.delivery.queue import (
    Added,
    AttemptEntry,
    DeliveryQueue,
    Filter,
    LaneMark,
    NewDelivery,
    Progress,
    StoredDelivery,
    lane_of,
)
from hookrouter.delivery.schedule import LONGEST_WAIT, Verdict, after_attempt
from hookrouter.errors import StoreError
from hookrouter.facts import BreakerChanged, DeliveryAttempted, DeliveryFinished, Facts, JournalRecovered, Warned
from hookrouter.routing.endpoint import Endpoint
from hookrouter.text.urls import shown_url

SWEEP_DELAY = 30.0
LOAD_RETRY_DELAY = 1.0
HELD_UNTIL = 32_503_680_000.0  # a pause by hand: until somebody ends it
_MOST_BACK = 1000  # deliveries that are looked at, where another router has sent some again
MOST_HOMELESS = 256  # attempts in flight of deliveries that nothing keeps


class NotifyRoute(Protocol):
    """What the notifier needs to know of a route."""

    @property
    def name(self) -> str: ...

    @property
    def endpoint(self) -> Endpoint: ...

    @property
    def order(self) -> Literal["call", "strict"]: ...


Send = Callable[[Any, StoredDelivery, int], Awaitable[Attempt]]  # the route is the caller's own kind of NotifyRoute


class _Station(msgspec.Struct, eq=False):
    """A lane with what the event loop runs for it."""

    name: str
    route: str
    url: str  # the lane's own URL; empty: the route's
    lane: Lane
    alarm: asyncio.Task[None] | None = None
    alarm_at: float = 0.0


class Notifier:
    """Sends notify deliveries. `send` makes one attempt (the number counts from 1) and returns what came of it;
    `routes` finds a route by its name, None where there is none (any more); `random` gives the jitter, 0 to 1.
    """

    def __init__(
        self,
        queue: DeliveryQueue,
        send: Send,
        routes: Callable[[str], NotifyRoute | None],
        facts: Facts,
        clock: Clock,
        random: Callable[[], float] = system_random,
        settings: LaneSettings | None = None,
    ) -> None:
        self._queue = queue
        self._send = send
        self._routes = routes
        self._facts = facts
        self._clock = clock
        self._random = random
        self._settings = settings or LaneSettings()
        self._stations: dict[str, _Station] = {}
        self._attempts: set[asyncio.Task[None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: set[str] = set()  # routes that are paused by hand
        self._homeless = 0
        self.sharers: Callable[[], int] = lambda: 1
        """How many routers send what is due, each for what it owns."""
        self._running = False
        self._unsubscribe: Callable[[], None] = lambda: None

    # -- beginning and end

    async def start(self) -> None:
        """Takes up what an earlier process left, then what `enqueue` brings. Raises StoreError."""
        self._running = True
        await self._take_up()
        self._unsubscribe = self._facts.subscribe(self._disk_is_back, frozenset({JournalRecovered}).__contains__)
        self._spawn(self._sweep())
        self.routes_changed()

    async def _take_up(self) -> None:
        marks = {mark.lane: mark for mark in await self._queue.lane_marks()}
        self._held = {name.partition("\n")[0] for name, mark in marks.items() if mark.paused_until >= HELD_UNTIL}
        for name in {*marks, *await self._queue.backlog()}:
            station = self._station(name)
            if mark := marks.get(name):
                station.lane.stopped_url, station.lane.paused_until = mark.stopped_url, mark.paused_until
            station.lane.spill()

    async def take_over(self) -> None:
        """More of the queue is ours: goes on with what another router has left. Raises StoreError."""
        await self._take_up()
        self.routes_changed()

    def let_go(self) -> None:
        """A part of the queue is another router's: what waits in memory is left to the disk, which knows what is ours."""
        for station in self._stations.values():
            station.lane.unload()
        self.routes_changed()

    async def stop(self, grace: float = 2.0) -> None:
        """Begins no more attempts, gives those in flight `grace` seconds, then breaks them off."""
        self._running = False
        self._unsubscribe()
        for station in self._stations.values():
            if station.alarm is not None:
                station.alarm.cancel()
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=grace)
        left = [*self._attempts, *self._tasks]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    def routes_changed(self) -> None:
        """Routes were loaded again: one that is back, or has a new URL, goes on at once."""
        for station in list(self._stations.values()):
            self._pump(station)

    # -- what comes in

    def enqueue(self, deliveries: Sequence[NewDelivery]) -> None:
        """Hands them to the queue; a delivery that was handed over before is not sent again."""
        orders: dict[bool, list[NewDelivery]] = {}
        for delivery in deliveries:
            orders.setdefault(self._is_strict(delivery.route), []).append(delivery)
        for strict, of_order in orders.items():
            self._queue.add(of_order, partial(self._added, of_order), strict=strict)

    def _added(self, deliveries: list[NewDelivery], added: Added) -> None:
        if not self._running:
            return  # they are on disk, the next process sends them
        now = self._clock.now()
        touched: dict[str, _Station] = {}
        for new in deliveries:
            key = (new.id, new.lane)
            if key not in added.new:
                continue
            stored = StoredDelivery(
                new.id, new.route, new.type, new.body, new.created_at, new.call, new.url, next_at=new.created_at
            )
            if added.error is not None and not added.kept:
                self._send_homeless(stored, str(added.error))
                continue
            station = self._station(new.lane)
            station.lane.offer(stored, added.predecessors.get(key), now)
            touched[new.lane] = station
        for station in touched.values():
            self._pump(station)

    # -- the operator's view

    async def pending(self) -> dict[str, int]:
        """How many deliveries wait, by lane. Raises StoreError."""
        return await self._queue.backlog()

    async def find(self, which: Filter, limit: int = 100, after: int = 0) -> list[StoredDelivery]:
        """See `DeliveryQueue.find`."""
        return await self._queue.find(which, limit, after)

    async def show(self, delivery_id: str) -> list[tuple[StoredDelivery, list[AttemptEntry]]]:
        """Every delivery of this id, one for each lane, with its failed attempts. Raises StoreError."""
        found = await self._queue.find(Filter(ids=(delivery_id,)))
        return [(delivery, await self._queue.history(delivery.id, delivery.lane)) for delivery in found]

    async def replay(self, which: Filter, *, told: bool = False) -> int:
        """Sends dead letters again, with the same id, at the pace of a backlog; says how many. Raises StoreError.

        An endpoint that was stopped (410) is sent to again. `told`: another router has put them back into the queue, and
        what of them is ours goes on, too.
        """
        lanes = await self._queue.revive(which, self._clock.now())
        back = set(lanes)
        if told:
            waiting = await self._queue.find(msgspec.structs.replace(which, status="pending"), _MOST_BACK)
            back.update(lane_of(found.route, found.url) for found in waiting)
        for name in back:
            self.resume(name)
        return sum(lanes.values())

    def resume(self, lane: str) -> None:
        """Ends a lane's stop, or the pause that its endpoint asked for, and tries it at once."""
        station = self._station(lane)
        self._resume(station)
        self._pump(station)

    def _resume(self, station: _Station) -> None:
        station.lane.resume()
        if station.route in self._held:
            station.lane.pause(HELD_UNTIL)
        self._queue.mark_lane(LaneMark(station.name, paused_until=station.lane.paused_until))

    def pause(self, route: str) -> None:
        """Begins no more attempts of this route until `go_on`, over restarts too; what is in flight comes to its end."""
        self._held.add(route)
        self._station(route)
        for station in self._of_route(route):
            station.lane.pause(HELD_UNTIL)
            self._queue.mark_lane(LaneMark(station.name, station.lane.stopped_url, HELD_UNTIL))

    def go_on(self, route: str) -> None:
        """Ends `pause`, and a stop by 410."""
        self._held.discard(route)
        self._station(route)
        for station in self._of_route(route):
            self.resume(station.name)

    def lane_states(self) -> dict[str, dict[str, Any]]:
        """By route: whether somebody has paused it, and the URL that has answered 410 (empty: none)."""
        found: dict[str, dict[str, Any]] = {}
        for station in self._stations.values():
            stopped = found.get(station.route, {}).get("stopped", "") or station.lane.stopped_url
            found[station.route] = {"paused": station.route in self._held, "stopped": stopped and shown_url(stopped)}
        return found

    def _of_route(self, route: str) -> list[_Station]:
        return [station for station in self._stations.values() if station.route == route]

    # -- lanes

    def _is_strict(self, route: str) -> bool:
        found = self._routes(route)
        return found is not None and found.order == "strict"

    def _station(self, name: str) -> _Station:
        station = self._stations.get(name)
        if station is None:
            route, _, url = name.partition("\n")
            lane = Lane(self._settings, strict=self._is_strict(route))
            if route in self._held:
                lane.pause(HELD_UNTIL)
            station = self._stations[name] = _Station(name, route, url, lane)
        return station

    def _pump(self, station: _Station) -> None:
        """Begins whatever may begin now and sees to it that the rest is not forgotten."""
        route = self._routes(station.route) if self._running else None
        if route is None:
            return
        lane = station.lane
        lane.strict, lane.sharers = route.order == "strict", self.sharers()
        url = station.url or route.endpoint.url
        if lane.stopped_url and lane.stopped_url != url:
            self._resume(station)
        now = self._clock.now()
        while (delivery := lane.take(now)) is not None:
            task = asyncio.create_task(self._attempt(station, route, url, delivery))
            self._attempts.add(task)
            task.add_done_callback(self._attempts.discard)
        if limit := lane.wanted(now):
            self._spawn(self._load(station, limit))
        self._set_alarm(station, lane.wake_at(now), now)

    def _set_alarm(self, station: _Station, at: float | None, now: float) -> None:
        if station.alarm is not None:
            if at is None or station.alarm_at <= at:
                return  # it rings early enough; one that rings for nothing costs nothing
            station.alarm.cancel()
            station.alarm = None
        if at is not None:
            station.alarm_at = at
            station.alarm = asyncio.create_task(self._ring(station, max(0.0, at - now)))

    async def _ring(self, station: _Station, delay: float) -> None:
        await self._clock.sleep(delay)
        station.alarm = None
        self._pump(station)

    async def _load(self, station: _Station, limit: int) -> None:
        lane = station.lane
        hold = STRICT_HOLD if lane.strict else None
        try:
            window = await self._queue.due(station.name, self._clock.now(), limit, lane.held(), hold)
        except StoreError:
            lane.not_loaded(self._clock.now() + LOAD_RETRY_DELAY)
        else:
            lane.loaded(window, limit)
        self._pump(station)

    # -- one attempt

    async def _attempt(self, station: _Station, route: NotifyRoute, url: str, delivery: StoredDelivery) -> None:
        lane = station.lane
        try:
            attempt = await self._make(route, url, delivery)
        except asyncio.CancelledError:
            lane.abandoned(delivery)
            raise
        now = self._clock.now()
        verdict = after_attempt(attempt, attempt.number - delivery.replayed, self._random())
        first_at = now if delivery.first_at is None else delivery.first_at
        was_open = lane.is_open
        lane.finished(delivery, verdict, url, first_at, now)
        self._queue.record(_progress(delivery, attempt, verdict, first_at, now))
        if verdict.stop or verdict.pause is not None:
            self._queue.mark_lane(LaneMark(station.name, lane.stopped_url, lane.paused_until))
        if lane.is_open != was_open:
            self._facts.emit(BreakerChanged(shown_url(url), "open" if lane.is_open else "closed"))
        if verdict.stop:
            remedy = "change the route's url, or replay its dead letter, to start it again"
            self._facts.emit(Warned("notify", f"{shown_url(url)} answered 410: nothing more is sent there; {remedy}"))
        if verdict.status != "pending":
            self._report(delivery, verdict.status, attempt.number, verdict.reason, attempt.detail)
        self._pump(station)

    async def _make(self, route: NotifyRoute, url: str, delivery: StoredDelivery) -> Attempt:
        number = delivery.attempts + 1
        try:
            attempt = await self._send(route, delivery, number)
        except Exception as error:  # noqa: BLE001  an attempt that breaks must not leave its delivery in flight for ever
            attempt = Attempt(number, "bad_response", detail=f"{type(error).__name__}: {error}")
        if attempt.number != number:
            attempt = msgspec.structs.replace(attempt, number=number)
        self._facts.emit(
            DeliveryAttempted(
                delivery.id,
                delivery.type,
                delivery.call,
                delivery.route,
                shown_url(url),
                number,
                attempt.status,
                attempt.reason,
                round(attempt.seconds, 4),
                "notify",
                attempt.detail,
            )
        )
        return attempt

    def _report(self, delivery: StoredDelivery, outcome: str, attempts: int, reason: str, detail: str = "") -> None:
        seconds = round(max(0.0, self._clock.now() - delivery.created_at), 4)
        self._facts.emit(
            DeliveryFinished(
                delivery.id,
                delivery.type,
                delivery.call,
                delivery.route,
                "notify",
                outcome,
                attempts,
                seconds,
                reason,
                detail=detail,
            )
        )

    def _send_homeless(self, delivery: StoredDelivery, error: str) -> None:
        """One attempt for a delivery that neither disk nor memory keeps."""
        route = self._routes(delivery.route)
        if route is None or self._homeless >= MOST_HOMELESS:
            self._report(delivery, "dropped", 0, "not_kept", error)
            return
        self._homeless += 1
        task = asyncio.create_task(self._attempt_homeless(route, delivery, error))
        self._attempts.add(task)
        task.add_done_callback(self._attempts.discard)

    async def _attempt_homeless(self, route: NotifyRoute, delivery: StoredDelivery, error: str) -> None:
        try:
            attempt = await self._make(route, delivery.url or route.endpoint.url, delivery)
        finally:
            self._homeless -= 1
        verdict = after_attempt(attempt, 1, 0.0)
        outcome = "delivered" if verdict.status == "delivered" else "dropped"
        self._report(delivery, outcome, 1, verdict.reason, "" if outcome == "delivered" else error)

    # -- what nobody else notices

    def _disk_is_back(self, _: JournalRecovered) -> None:
        for station in self._stations.values():
            station.lane.spill()
        self.routes_changed()

    async def _sweep(self) -> None:
        """Every now and then: dead letters of what waited too long, and lanes that something forgot."""
        while True:
            await self._clock.sleep(SWEEP_DELAY)
            now = self._clock.now()
            with contextlib.suppress(StoreError):
                for name in await self._queue.backlog():
                    if expired := await self._queue.expire(name, now - LONGEST_WAIT, now):
                        message = f"{expired} deliveries of route {name.partition(chr(10))[0]} waited too long"
                        self._facts.emit(Warned("notify", f"{message}: they are dead letters now"))
                    self._station(name).lane.spill()
            self.routes_changed()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _progress(delivery: StoredDelivery, attempt: Attempt, verdict: Verdict, first_at: float, now: float) -> Progress:
    failed = None
    if verdict.status != "delivered":
        failed = AttemptEntry(
            attempt.number, now, verdict.reason, attempt.status, attempt.seconds, attempt.detail[:500]
        )
    return Progress(
        delivery.id,
        delivery.lane,
        verdict.status,
        attempt.number,
        now,
        first_at,
        now + verdict.delay,
        verdict.reason,
        failed,
    )
