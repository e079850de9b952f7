"""What a turn puts out: events for the endpoint, requests for Asterisk, timers, signals to other calls. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from hookrouter.actions.base import Do, Member, Peer
from hookrouter.actions.urls import resolve
from hookrouter.ari.events import Event, rfc3339
from hookrouter.calls.call import Call, Outgoing, Pending, Program
from hookrouter.calls.effects import Arm, Disarm, Effect, Perform, Report, Signal, Tell
from hookrouter.facts import Warned
from hookrouter.timestamps import rfc3339_now


class RouteView(Protocol):
    """What the machine needs of a route; `hookrouter.routing.endpoint.Route` has it."""

    @property
    def name(self) -> str: ...
    @property
    def events(self) -> frozenset[str] | None: ...
    @property
    def idle_timeout(self) -> float: ...
    @property
    def scope(self) -> str: ...
    @property
    def allow(self) -> tuple[str, ...]: ...
    @property
    def allow_urls(self) -> tuple[str, ...]: ...
    @property
    def while_waiting(self) -> tuple[bytes, ...]: ...
    @property
    def url(self) -> str: ...
    @property
    def fallback_url(self) -> str: ...
    @property
    def fallback_actions(self) -> tuple[bytes, ...] | None: ...


class World(Protocol):
    """What a call may know of the others."""

    def peer(self, call_id: str) -> Peer | None: ...
    def members(self, room: str) -> Sequence[Member]: ...
    def wanted(self, type: str) -> bool:
        """Whether a notify route wants the router's own events of this type."""
        ...


def as_json(value: Any) -> bytes:
    return msgspec.json.encode(value)


class Outbox:
    """The call, and the effects of this turn so far, in order."""

    def __init__(
        self, call: Call, route: RouteView, world: World, now: float, doer: Callable[[Any, Program], Do]
    ) -> None:
        self.call = call
        self.route = route
        self.world = world
        self.now = now
        self.effects: list[Effect] = []
        self.put: list[str] = []  # ids of the events that are to be delivered since this turn
        self._doer = doer
        self._ready: list[str] = []
        self.handed: Mapping[str, Any] | None = None

    def _wants(self, type: str) -> bool:
        events = self.route.events
        return events is None or type in events

    def _put(self, event: Event) -> None:
        out = Outgoing(
            id=event.id,
            type=event.type,
            timestamp=rfc3339(event.head.timestamp) or rfc3339_now(self.now),
            data=event.raw,
            sequence=self._sequence(""),
            inferred=event.inferred,
        )
        self.call.outbox.append(out)
        self.put.append(out.id)

    def _sequence(self, url: str) -> int:
        sequences = self.call.sequences
        sequences[url] = number = sequences.get(url, 0) + 1
        return number

    def emit(
        self, type: str, data: bytes, *, program: str = "", ask: str = "", url: str = "", deliver: bool = True
    ) -> str:
        """An event of the router's own; to the owner (or `url`) if `deliver`, and to the notify routes that name it."""
        call = self.call
        id = self.next_event_id()
        timestamp = rfc3339_now(self.now)
        if deliver:
            call.outbox.append(
                Outgoing(id, type, timestamp, data, self._sequence(url), program=program, ask=ask, url=url)
            )
            self.put.append(id)
        if self.world.wanted(type):
            self.effects.append(Tell(id, type, timestamp, data))
        return id

    def next_event_id(self) -> str:
        """The id of the router's own next event: the same after a crash, as the counter is part of the call."""
        call = self.call
        call.counter += 1
        digest = blake2b(f"{call.asterisk}/{call.id}/{call.started_at}/{call.counter}".encode(), digest_size=16)
        return f"evt_{digest.hexdigest()}"

    def ask(self, program: Program, type: str, data: bytes, name: str, url: str) -> None:
        """A question of a run's: the answer's actions come to its `on_answer`."""
        self.emit(type, data, program=program.id, ask=name, url=self.resolve(url))

    def resolve(self, url: str) -> str:
        if not url:
            return ""
        try:
            return resolve(self.route.url, url, self.route.allow_urls)
        except ValueError as error:  # checked with the answer; a route that changed since then sends it to the owner
            self.effects.append(Report(Warned("action.url", str(error), self.call.id)))
            return ""

    def request(self, program: Program, name: str, operation: str, params: dict[str, Any],
                undo: tuple[str, dict[str, Any]] | None) -> None:  # fmt: skip
        self._request(program.id, name, operation, params, undo)

    def cast(self, operation: str, params: dict[str, Any]) -> None:
        self._request("", "", operation, params, None)

    def _request(self, program: str, name: str, operation: str, params: dict[str, Any],
                 undo: tuple[str, dict[str, Any]] | None) -> None:  # fmt: skip
        self.call.counter += 1
        key = f"r{self.call.counter}"
        self.call.requests[key] = Pending(operation, params, program, name, undo)
        self.effects.append(Perform(key, operation, params))

    def arm(self, key: str, delay: float) -> None:
        self.call.timers[key] = at = self.now + delay
        self.effects.append(Arm(key, at))

    def disarm(self, key: str) -> None:
        if self.call.timers.pop(key, None) is not None:
            self.effects.append(Disarm(key))

    def signal(self, target: str, name: str, data: Mapping[str, Any]) -> None:
        self.effects.append(Signal(target, name, data))
