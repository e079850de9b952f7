"""What a turn puts out: events for the endpoint, requests for Asterisk, timers, signals to other calls. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from hookrouter.actions.base import Do, Member, Peer, RequestRun
from hookrouter.actions.operation import OperationRun
from hookrouter.ari.events import Event, rfc3339
from hookrouter.calls import detail, going_on
from hookrouter.calls.bounds import BEGINS_CALLS, MAKES_LEGS, legs_under_way
from hookrouter.calls.call import Call, Outgoing, Pending, Program
from hookrouter.calls.effects import Arm, Disarm, Effect, Perform, Report, Settled, Signal, Tell, Unwatch
from hookrouter.facts import LimitReached, Warned
from hookrouter.policy.authority import reaches, refusal
from hookrouter.policy.origins import resolve
from hookrouter.policy.parameters import Kind
from hookrouter.policy.policy import Policy
from hookrouter.text.urls import without_queries
from hookrouter.timestamps import rfc3339_now

MOST_WAITING = 2000
MOST_WAITING_BYTES = 4 * 1024 * 1024
"""How many events of one call, and how much of them, may wait for its endpoint."""

_MOST_TYPES = 100
_MOST_ADDRESSES = 1000


class RouteView(Protocol):
    """What the machine needs of a route; `hookrouter.routing.endpoint.Route` has it."""

    @property
    def name(self) -> str: ...
    @property
    def events(self) -> frozenset[str] | None: ...
    @property
    def idle_timeout(self) -> float: ...
    @property
    def silence_timeout(self) -> float: ...
    @property
    def scope(self) -> str: ...
    @property
    def allow(self) -> tuple[str, ...]: ...
    @property
    def allow_urls(self) -> tuple[str, ...]: ...
    @property
    def policy(self) -> Policy: ...
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
    def tenant_of(self, kind: str, id: str) -> str | None:
        """Of the live call that a thing belongs to, or of the call that has made a recording; None: of none."""
        ...

    def like(self, channel: str) -> str | None:
        """Of the live calls that have a channel which Asterisk could take this id for; None: of none, or all the same."""
        ...

    def maker(self, recording: str) -> str:
        """The call (`Call.maker`) that has made the stored recording; empty: none of ours."""
        ...

    def begins(self, route: str, most: int, now: float) -> bool:
        """Whether one more call that the route's answers begin is within `most` a minute; then it is counted."""
        ...

    def taken(self, kind: str, id: str) -> bool:
        """Whether some call has a thing with this id, or asks for one."""
        ...

    def controls(self, route: str, tenant: str) -> bool:
        """Whether there is a control route of this name and tenant."""
        ...

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
        self._over: list[tuple[str, str]] = []  # programs whose request was over a bound, and which
        self._refused: list[tuple[str, str]] = []  # requests that may not leave, and why: answered within this turn
        self.handed: Mapping[str, Any] | None = None

    def _wants(self, type: str) -> bool:
        events = self.route.events
        return events is None or type in events

    def _put(self, event: Event) -> None:
        """To be delivered; left out, and counted, where too much waits already. The end of the call always fits."""
        call, ends = self.call, event.type == "StasisEnd"
        if not ends and (self._is_full() or (call.left_out and not self._has_room())):
            self._leave_out(event.type)
            return
        if call.left_out:
            self._tell_what_was_left_out()
        self._append(
            Outgoing(
                id=event.id,
                type=event.type,
                timestamp=rfc3339(event.head.timestamp) or rfc3339_now(self.now),
                data=event.raw,
                sequence=self._sequence(""),
                inferred=event.inferred,
            )
        )

    def _append(self, out: Outgoing) -> None:
        self.call.outbox.append(out)
        self.call.waiting_bytes += len(out.data)
        self.put.append(out.id)

    def _take_first(self) -> Outgoing:
        """The one that has been delivered."""
        call = self.call
        out = call.outbox.pop(0)
        call.waiting_bytes = max(0, call.waiting_bytes - len(out.data))
        if call.left_out and self._has_room():
            self._tell_what_was_left_out()
        return out

    def _is_full(self) -> bool:
        return len(self.call.outbox) >= MOST_WAITING or self.call.waiting_bytes >= MOST_WAITING_BYTES

    def _has_room(self) -> bool:
        """Again, after it was full: half of it, so that a burst has few gaps."""
        call = self.call
        return len(call.outbox) <= MOST_WAITING // 2 and call.waiting_bytes <= MOST_WAITING_BYTES // 2

    def _leave_out(self, type: str) -> None:
        left = self.call.left_out
        if not left:
            waiting = f"{len(self.call.outbox)} events of the call wait for its endpoint"
            words = (
                f"{waiting}: those that follow are left out until half of them are delivered, and told as EventsLeftOut"
            )
            self.effects.append(Report(Warned("burst", words, self.call.id)))
        name = type if type in left or len(left) < _MOST_TYPES else "others"
        left[name] = left.get(name, 0) + 1

    def _tell_what_was_left_out(self) -> None:
        left, self.call.left_out = self.call.left_out, {}
        self.emit("EventsLeftOut", as_json({"count": sum(left.values()), "types": left}))

    def _sequence(self, url: str) -> int:
        sequences = self.call.sequences
        if url not in sequences and len(sequences) >= _MOST_ADDRESSES:
            del sequences[next(address for address in sequences if address)]
        sequences[url] = number = sequences.get(url, 0) + 1
        return number

    def emit(
        self, type: str, data: bytes, *, program: str = "", ask: str = "", url: str = "", deliver: bool = True
    ) -> str:
        """An event of the router's own; to the owner (or `url`) if `deliver`, and to the notify routes that name it."""
        id = self.next_event_id()
        timestamp = rfc3339_now(self.now)
        if deliver:
            self._append(Outgoing(id, type, timestamp, data, self._sequence(url), program=program, ask=ask, url=url))
        if self.world.wanted(type):
            self.effects.append(Tell(id, type, timestamp, data))
        return id

    def next_event_id(self) -> str:
        """The id of the router's own next event: that of no other one, also where the state on disk is an older one."""
        call = self.call
        call.counter += 1
        digest = blake2b(f"{call.asterisk}/{call.id}/{call.started_at}/{call.numbered}".encode(), digest_size=16)
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
            self.effects.append(Report(Warned("action.url", without_queries(str(error)), self.call.id)))
            return ""

    def request(self, program: Program, name: str, operation: str, params: dict[str, Any],
                undo: tuple[str, dict[str, Any]] | None) -> None:  # fmt: skip
        """For a run; what it may not name is refused without asking Asterisk."""
        if why := self.judge(program, operation, params):
            self.call.counter += 1
            key = f"r{self.call.counter}"
            self.call.requests[key] = Pending(operation, params, program.id, name)
            self._refused.append((key, why))
        elif operation in MAKES_LEGS and (over := self._over_a_bound(program, operation)):
            self._over.append((program.id, over))
        else:
            self._request(program.id, name, operation, params, undo)

    def send(self, program: Program, operation: str, params: dict[str, Any]) -> None:
        """For a run that waits for no reply."""
        if why := self.judge(program, operation, params):
            self.effects.append(Report(Warned("action.refused", f"{operation}: {why}", self.call.id)))
        else:
            self.cast(operation, params)

    def cast(self, operation: str, params: dict[str, Any]) -> None:
        """The router's own cleaning up: of what the call has, or has had."""
        self._request("", "", operation, params, None)

    # ---- whose things are (hookrouter.policy.authority) ---------------------------------------------------------

    def judge(self, program: Program, operation: str, params: Mapping[str, Any], *, raw: bool = False) -> str | None:
        """Why a program may not send this; None where it may. `raw`: an answer has named the operation itself."""
        if operation.startswith("~"):
            return None  # not one of Asterisk's
        why = refusal(operation, params, _Holder(self, program), raw=raw or getattr(program.run, "raw", False))
        return why or self.route.policy.request_fault(operation, params) or None

    # ---- how much at a time (hookrouter.calls.bounds) -----------------------------------------------------------

    def _over_a_bound(self, program: Program, operation: str) -> str:
        """Which bound one more leg or call is over, in words; empty where it is within all."""
        policy = self.route.policy
        if legs_under_way(self.call) > policy.max_legs:
            return self._limited("max_legs", f"the call has {policy.max_legs} legs and calls under way already")
        begins = operation in BEGINS_CALLS and getattr(program.run, "begins_calls", False)
        if begins and not self.world.begins(self.route.name, policy.max_calls_per_minute, self.now):
            most = policy.max_calls_per_minute
            return self._limited("max_calls_per_minute", f"the route has begun {most} calls within a minute already")
        return ""

    def _limited(self, limit: str, message: str) -> str:
        call = self.call
        muted = limit in call.over
        if not muted:
            call.over.append(limit)
        message = f"{message}; if more are right, raise `{limit}` of the route or of [policy]"
        self.effects.append(Report(LimitReached(call.id, call.route, limit, message, muted)))
        return message

    def owns(self, kind: Kind, id: str) -> bool:
        call = self.call
        if kind is Kind.STORED:
            return self.world.maker(id) == call.maker
        return id in call.owned.get(kind.value, ()) or (
            kind is Kind.CHANNEL and id in (call.id, call.channel) and not call.channelless
        )

    def reaches(self, program: Program, kind: Kind, id: str) -> bool:
        return reaches(kind, id, _Holder(self, program))

    def claims(self, kind: Kind, id: str) -> bool:
        return id in self.call.claimed.get(kind.value, ())

    def tenant_of(self, kind: Kind, id: str) -> str | None:
        if kind is Kind.CHANNEL:
            id = id.removesuffix(";2").removesuffix(";1")  # the halves of a Local channel
        found = self.world.tenant_of(kind.value, id)
        return self.world.like(id) if found is None and kind is Kind.CHANNEL else found

    def is_others(self, kind: Kind, id: str) -> bool:
        return self.world.tenant_of(kind.value, id) not in (None, self.call.tenant)

    def forget(self, kind: Kind, id: str) -> None:
        """It is gone, or was not made: it is nobody's from now on."""
        call = self.call
        for things in (call.owned, call.claimed):
            if id in things.get(kind.value, ()):
                del things[kind.value][id]
                if not things[kind.value]:
                    del things[kind.value]
                if not (kind is Kind.CHANNEL and detail.goes_on(call, id)):  # of a leg its end is heard
                    self.effects.append(Unwatch(kind.value, id))
                if things is call.claimed and kind is Kind.CHANNEL:
                    self.effects.append(Settled(id))

    def _request(self, program: str, name: str, operation: str, params: dict[str, Any],
                 undo: tuple[str, dict[str, Any]] | None) -> None:  # fmt: skip
        self.call.counter += 1
        key = f"r{self.call.counter}"
        self.call.requests[key] = Pending(operation, params, program, name, undo)
        if operation in going_on.NOTED:
            self._note(operation, params, program)
        if operation in detail.DIALS:
            detail.dialled(self.call, params, self.now)
        elif operation == "channels.hangup":
            detail.hung_up(self.call, params, self.now)
        self.effects.append(Perform(key, operation, params))

    def _note(self, operation: str, params: Mapping[str, Any], program: str) -> None:
        """What a filler begins is not what the call hears: it only fills the wait for its owner."""
        found = self.call.programs.get(program)
        if found is None or not self._fills(found):
            raw = found is not None and isinstance(found.run, OperationRun)
            action = found is not None and isinstance(found.run, OperationRun | RequestRun)
            going_on.asked(self.call, operation, params, raw=raw, action=action)

    def _fills(self, program: Program) -> bool:
        """Whether it is `while_waiting`, or was begun by it."""
        parent = self.call.programs.get(program.parent)
        return program.kind == "filler" or (parent is not None and parent.kind == "filler")

    def arm(self, key: str, delay: float) -> None:
        self.call.timers[key] = at = self.now + delay
        self.effects.append(Arm(key, at))

    def disarm(self, key: str) -> None:
        if self.call.timers.pop(key, None) is not None:
            self.effects.append(Disarm(key))

    def signal(self, target: str, name: str, data: Mapping[str, Any]) -> None:
        self.effects.append(Signal(target, name, data))


class _Holder:
    """A call with the program that asks, as they are judged."""

    __slots__ = ("_outbox", "_program")

    def __init__(self, outbox: Outbox, program: Program) -> None:
        self._outbox = outbox
        self._program = program

    @property
    def app(self) -> str:
        return self._outbox.call.app

    @property
    def tenant(self) -> str:
        return self._outbox.call.tenant

    @property
    def scope(self) -> str:
        return self._outbox.route.scope

    @property
    def allow(self) -> Sequence[str]:
        return self._outbox.route.allow

    def owns(self, kind: Kind, id: str) -> bool:
        if self._outbox.owns(kind, id):
            return True
        return kind is Kind.CHANNEL and (id == self._program.channel or id in self._program.lent)

    def claims(self, kind: Kind, id: str) -> bool:
        return self._outbox.claims(kind, id)

    def shares(self, kind: Kind, id: str) -> bool:
        return self._outbox.call.owned.get(kind.value, {}).get(id) == "room"

    def tenant_of(self, kind: Kind, id: str) -> str | None:
        return self._outbox.tenant_of(kind, id)
