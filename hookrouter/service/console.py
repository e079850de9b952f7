"""What the console's pages show: gathered from the board, the lookout, the record and the queue, as far as somebody may see it."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from hookrouter.calls.board import Live
from hookrouter.calls.hearing import hears
from hookrouter.cluster.peers import Asked
from hookrouter.config import Access
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.queue import Filter
from hookrouter.errors import StoreError
from hookrouter.facts import CallFinished, CallStarted
from hookrouter.http.client import HttpReply
from hookrouter.record.entries import Entry
from hookrouter.record.finding import Query, Row
from hookrouter.record.steps import attempt_of
from hookrouter.routing.endpoint import Route
from hookrouter.service.gathering import (
    MOST_LIVE,
    Endpoint,
    LiveCall,
    Now,
    gathered,
    me,
    read_now,
    sample,
    written,
)
from hookrouter.service.showing import any_json
from hookrouter.telemetry.logs import LEVELS
from hookrouter.telemetry.lookout import Lookout, Told

if TYPE_CHECKING:
    from hookrouter.service.service import Service

MOST_LOGS = 100
_RESEND_TIMEOUT = 15.0


class Sent(msgspec.Struct, frozen=True):
    """What came back when an event was sent again."""

    status: int | None
    reason: str
    seconds: float
    body: bytes
    detail: str


class Tried(Protocol):
    """A simulated call against a route's endpoint. `at`: when it began; `steps`: as far as it has come."""

    @property
    def number(self) -> int: ...
    @property
    def at(self) -> float: ...
    @property
    def over(self) -> bool: ...
    @property
    def problems(self) -> list[str]: ...
    def steps(self) -> Sequence[Any]: ...


class Tries(Protocol):
    """Simulated calls from the console; whoever has a simulator gives it to the view."""

    def begin(self, route: Route, given: Mapping[str, str]) -> int:
        """The number of a call that has begun. Raises ConfigurationError, ValueError."""
        ...

    def find(self, route: str, number: int) -> Tried | None: ...
    def of(self, route: str) -> Sequence[Tried]: ...
    async def stop(self) -> None: ...


class View:
    """Of one router."""

    def __init__(self, service: Service, lookout: Lookout, now: Callable[[], float]) -> None:
        self._service, self._lookout, self._now = service, lookout, now
        self._sending = asyncio.Semaphore(4)
        self.tries: Tries | None = None

    def clock(self) -> float:
        """Now, in seconds since the epoch."""
        return self._now()

    # ---- now

    def now(self, access: Access) -> Now:
        """What an operator wants to see first, of this router."""
        board = [live for live in self._service.board if not live.call.channelless and access.sees(live.call.tenant)]
        name, states = self._service.name, self._service.ready()
        shown = sorted(board, key=lambda live: (not live.call.still_since or live.call.ended, live.call.started_at))
        members = []
        if name:
            address = self._service.config.cluster.address
            members = [me(name, address, states, self._service.owned(), len(board))]
        return Now(
            self._now(),
            states,
            [self._live(live) for live in shown[:MOST_LIVE]],
            len(board),
            sum(bool(live.call.still_since) and not live.call.ended for live in board),
            self._lookout.new_calls(lambda route: self._sees(route, access)),
            sample(
                seconds
                for health in self._lookout.health()
                if self._sees(health.route, access)
                for seconds in health.times
            ),
            self._endpoints(access),
            [found for found in self._lookout.troubles() if self._sees(found.route, access)],
            members,
        )

    async def everywhere(self, access: Access, asked: Asked) -> Now:
        """The same of all routers. `asked`: how the others are asked for theirs."""
        own, peers = self.now(access), self._service.peers
        replies = await peers.ask_all(peers.all(), asked) if peers.shared else []
        said = [(peer, _said(reply)) for peer, reply in replies]
        return gathered(own, said, peers.owners()) if peers.shared else own

    async def said(self, access: Access, asked: Asked | None) -> bytes:
        """As JSON; `asked` None: of this router alone."""
        return written(self.now(access) if asked is None else await self.everywhere(access, asked))

    def _sees(self, route: str, access: Access) -> bool:
        """Whether what is a route's is shown; of no route is for who sees all."""
        if access.tenant is None:
            return True
        found = self._service.config.routes.by_name(route)
        return found is not None and access.sees(found.tenant)

    def _endpoints(self, access: Access) -> list[Endpoint]:
        """Those of the configuration in its order, then those that answers have named."""
        routes: dict[str, list[str]] = {}
        for route in self._routes(access):
            routes.setdefault(route.endpoint.shown, []).append(route.name)
        for health in self._lookout.health():
            if health.route not in routes.setdefault(health.url, []) and self._sees(health.route, access):
                routes[health.url].append(health.route)
        return [self._endpoint(url, names) for url, names in routes.items() if names]

    def _endpoint(self, url: str, names: list[str]) -> Endpoint:
        known = [health for health in self._lookout.health() if health.url == url and health.route in names]
        good = max((health.good for health in known if health.good), key=lambda found: found[0], default=None)
        fault = max((health.fault for health in known if health.fault), key=lambda found: found[0], default=None)
        took = sample(seconds for health in known for seconds in health.times)
        return Endpoint(url, tuple(names), self._lookout.breaker(url), good, fault, took)

    # ---- calls

    def live(self, id: str, access: Access) -> LiveCall | None:
        """A call that goes on."""
        found = self._service._live(id, access)
        return self._live(found, whole=True) if found is not None and not found.call.ended else None

    async def here(self, id: str, access: Access) -> bool:
        """Whether this router is the one to ask about a call: it has it in hand, or knows that it is over."""
        if self.live(id, access) is not None:
            return True
        try:
            rows = await self._service.recorder.find(Query(call_id=id, tenant=access.tenant, limit=1))
        except StoreError:  # who has it in hand does not ask the database
            return False
        return bool(rows) and rows[0].ended_at is not None

    def check(self, id: str, answer: bytes, access: Access) -> None:
        """Whether `act` would take it. Raises AnswerRefused."""
        self._service.judged(id, answer, access)

    async def record(self, id: str, access: Access) -> tuple[Row, list[Entry]] | None:
        return await self._service.recorder.read(id, access.tenant)

    async def send_again(self, id: str, place: int, access: Access) -> Sent | str:
        """Sends the request of a recorded attempt once more, with its id; what is answered is not executed. A text: why not."""
        found = await self.record(id, access)
        entry = found[1][place] if found is not None and 0 <= place < len(found[1]) else None
        if found is None or entry is None or entry.what != "Exchanged":
            return "this step is no delivery of the call"
        event = str(entry.fields.get("event_id", ""))
        attempted = next(
            (e.fields for e in found[1] if e.what == "DeliveryAttempted" and attempt_of(e) == attempt_of(entry)), {}
        )
        route = self._service.config.routes.by_name(str(attempted.get("route", "")))
        if route is None or not access.sees(route.tenant):
            return "its route is not in routes.toml any more"
        if entry.fields.get("url") != route.endpoint.shown:
            return f"it was sent to {entry.fields.get('url')}, and the route's endpoint is {route.endpoint.shown} now"
        body = bytes(entry.fields.get("request", b""))
        message = Message(event, str(attempted.get("type", "")), body, route.mode, "", route.name)
        if self._sending.locked():
            return "others are being sent again: try it in a moment"
        async with self._sending:
            attempt = await self._service._sender.attempt(
                route.endpoint, message, int(entry.fields.get("attempt", 1)), _RESEND_TIMEOUT, None
            )
        return Sent(attempt.status, attempt.reason, attempt.seconds, attempt.body, attempt.detail)

    def _live(self, live: Live, *, whole: bool = False) -> LiveCall:
        call = live.call
        doing: tuple[tuple[str, int, tuple[Any, ...]], ...] = ()
        if whole:
            doing = tuple(
                (program.kind, program.index, tuple(any_json(step) for step in program.steps))
                for program in call.programs.values()
            )
        state = any_json(call.state) if whole else None
        return LiveCall(
            call.id, call.asterisk, call.route, call.caller, call.called, call.started_at, hears(call), doing, state,
            self._service.name,
        )  # fmt: skip

    # ---- deliveries

    async def replay(self, ids: list[str], access: Access, *, told: bool = False) -> int:
        """Dead letters by their ids; how many are sent again. `told`: another router has begun with it."""
        which = self._service._of(access, Filter(ids=tuple(ids), status="dead"))
        return await self._service.notifier.replay(which, told=told)

    async def waiting(self, access: Access) -> list[dict[str, Any]]:
        """Each notify route with how many wait, and whether it is paused or stopped."""
        counts = Counter[str]()
        for lane, many in (await self._service.notifier.pending()).items():
            counts[lane.partition("\n")[0]] += many
        states = self._service.notifier.lane_states()
        return [
            {"route": route.name, "url": route.endpoint.shown, "waiting": counts[route.name], "mode": route.mode}
            | states.get(route.name, {"paused": False, "stopped": ""})
            for route in self._routes(access)
            if route.mode == "notify" or counts[route.name]
        ]

    def pause(self, route: str, access: Access, *, on: bool) -> bool:
        """Holds up a route's notify deliveries, or lets them go on; whether there is such a route."""
        if self.route(route, access) is None:
            return False
        (self._service.notifier.pause if on else self._service.notifier.go_on)(route)
        return True

    # ---- routes

    def _routes(self, access: Access) -> list[Route]:
        return [route for route in self._service.config.routes.routes if access.sees(route.tenant)]

    def routes(self, access: Access) -> list[tuple[Route, Endpoint, int]]:
        """Each with its endpoint and how many calls it has now."""
        counts = Counter(live.call.route for live in self._service.board if not live.call.channelless)
        return [
            (route, self._endpoint(route.endpoint.shown, [route.name]), counts[route.name])
            for route in self._routes(access)
        ]

    def route(self, name: str, access: Access) -> Route | None:
        return next((route for route in self._routes(access) if route.name == name), None)

    def figures(self, name: str) -> list[tuple[str, str]]:
        """What was counted of a route since the start, in words."""
        metrics = self._service.metrics_of
        found: list[tuple[str, str]] = [("calls begun", str(metrics.calls_started.of.get((name,), 0)))]
        for title, counts in (
            ("attempts", metrics.attempts), ("deliveries", metrics.deliveries), ("fallbacks", metrics.fallbacks),
            ("over a bound", metrics.limits), ("answers of the candidate", metrics.compared),
        ):  # fmt: skip
            said = [
                f"{many} × {' '.join(labels[1:])}" for labels, many in sorted(counts.of.items()) if labels[0] == name
            ]
            found.append((title, ", ".join(said) or "none"))
        return found

    # ---- logs

    def logs(self, query: Mapping[str, str], access: Access) -> tuple[list[Told], bool]:
        """The last facts that fit, the newest first, and whether there are more. Raises ValueError."""
        given = query.get("before", "")
        before = int(given) if given.isascii() and given.isdigit() and len(given) < 18 else None
        level = query.get("level", "")
        if level and level not in LEVELS:
            raise ValueError(f"level is one of {', '.join(LEVELS)}, not {level[:40]}")
        text, name = query.get("text", "").lower(), query.get("name", "")
        owner = self._owners() if access.tenant is not None else {}
        found: list[Told] = []
        for told in self._lookout.told(before):
            if level and LEVELS[told.level] < LEVELS[level]:
                continue
            if access.tenant is not None and self._owner(told, owner) != access.tenant:
                continue
            if name and told.name != name:
                continue
            if text and text not in f"{told.name} {getattr(told.fact, 'call', '')} {told.words()}".lower():
                continue
            if len(found) == MOST_LOGS:
                return found, True
            found.append(told)
        return found, False

    def _owners(self) -> dict[str, str]:
        """Whose the calls are that the last facts tell of."""
        found = {live.call.id: live.call.tenant for live in self._service.board}
        for told in self._lookout.told():
            if isinstance(told.fact, CallFinished):
                found[told.fact.call] = told.fact.tenant
            elif isinstance(told.fact, CallStarted) and (route := self._service.config.routes.by_name(told.fact.route)):
                found.setdefault(told.fact.call, route.tenant)
        return found

    def _owner(self, told: Told, owners: Mapping[str, str]) -> str | None:
        """The tenant that a fact is about; None: nobody's."""
        if call := getattr(told.fact, "call", ""):
            return owners.get(call)
        route = self._service.config.routes.by_name(getattr(told.fact, "route", ""))
        return route.tenant if route is not None else None


def _said(reply: HttpReply | Any) -> Now | None:
    return read_now(reply.body) if isinstance(reply, HttpReply) and reply.status == 200 else None


__all__ = ["MOST_LOGS", "Sent", "View"]
