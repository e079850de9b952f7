"""Which routes an event goes to: the first control route that fits owns a call, every notify route that fits is told.

Rules:
- Only a control route that names StasisStart can own a call: nobody else would say what to do with it.
- The whole event is only decoded where a route asks for a path in it, and only after `app`, `asterisk` and `args` hold.
- Routes of one tenant get nothing of another's calls. A call that no route owns is nobody's: who matches is told.
- An event of a call that has no `channel` of its own (a playback's, a recording's, a result of the router's) is looked at
  as if it had the call's: `channel.id`, `.name`, `.caller.number` and `.dialplan.exten`, as they were at StasisStart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import msgspec

from hookrouter.ari.events import Head
from hookrouter.routing.conditions import Condition
from hookrouter.routing.endpoint import Route

WITHOUT_CALL = frozenset(
    {"ContactStatusChange", "DeviceStateChanged", "EndpointStateChange", "PeerStatusChange", "TextMessageReceived"}
)
"""Events that belong to no call and may be answered: of contacts, devices, endpoints, and text messages."""

_NOBODY: tuple[Route, ...] = ()
_decode = msgspec.json.Decoder().decode


class KnownCall(Protocol):
    """What `match` may look at in the call that an event belongs to; `hookrouter.calls.call.Call` has it."""

    @property
    def id(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def app(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def caller(self) -> str: ...
    @property
    def called(self) -> str: ...
    @property
    def args(self) -> Sequence[str]: ...


class _Candidate:
    """A route with its conditions, the cheap ones apart."""

    __slots__ = ("own", "paths", "route")

    def __init__(self, route: Route) -> None:
        self.route = route
        self.own: tuple[Condition, ...] = tuple(found for found in route.conditions if found.own)
        self.paths: tuple[Condition, ...] = tuple(found for found in route.conditions if not found.own)


class _ByType:
    """Candidates sorted by event type; routes that want all types are among those of each."""

    def __init__(self, routes: Iterable[Route]) -> None:
        candidates = [_Candidate(route) for route in routes]
        named = {type for candidate in candidates for type in candidate.route.events or ()}
        self._any = tuple(found for found in candidates if found.route.events is None)
        self._named = {type: tuple(found for found in candidates if found.route.wants(type)) for type in named}

    def of(self, type: str) -> tuple[_Candidate, ...]:
        return self._named.get(type, self._any)


class RouteTable:
    """All routes of a configuration, in the order of the file."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.routes = tuple(routes)
        self.tenants = frozenset(route.tenant for route in self.routes)
        self._by_name = {route.name: route for route in self.routes}
        self._control = _ByType(route for route in self.routes if route.mode == "control")
        self._notify = _ByType(route for route in self.routes if route.mode == "notify")

    def __len__(self) -> int:
        return len(self.routes)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RouteTable) and self.routes == other.routes

    __hash__ = None  # type: ignore[assignment]  # compared after a reload, never a key

    def by_name(self, name: str) -> Route | None:
        """The route of that name; None where the configuration has none (any more)."""
        return self._by_name.get(name)

    def owner(self, asterisk: str, head: Head, raw: bytes) -> Route | None:
        """The control route for the call that this StasisStart begins; None: nobody wants it."""
        return next(iter(_fitting(self._control.of("StasisStart"), asterisk, head, raw, None)), None)

    def controlling(self, asterisk: str, head: Head, raw: bytes) -> Route | None:
        """The control route that names this type of `WITHOUT_CALL`; None: nobody answers (`*` is all of a call's)."""
        named = [found for found in self._control.of(head.type) if found.route.events is not None]
        return next(iter(_fitting(named, asterisk, head, raw, None)), None) if named else None

    def notified(self, asterisk: str, head: Head, raw: bytes, call: KnownCall | None = None) -> Sequence[Route]:
        """The notify routes that get a copy. `call`: the one that the event belongs to."""
        candidates = self._notify.of(head.type)
        return _fitting(candidates, asterisk, head, raw, call) if candidates else _NOBODY

    def wants(self, type: str) -> bool:
        """Whether any notify route names this type (also one of the router's own)."""
        return bool(self._notify.of(type))

    def told(self, type: str, asterisk: str, call: KnownCall, data: bytes) -> Sequence[Route]:
        """The notify routes for an event of the router's own about this call; `data` is its JSON."""
        candidates = self._notify.of(type)
        return _fitting(candidates, asterisk, Head(type, application=call.app), data, call) if candidates else _NOBODY

    def event_types(self) -> frozenset[str] | None:
        """The types that some route names, the router's own among them; None where one wants all."""
        found: set[str] = set()
        for route in self.routes:
            if route.events is None:
                return None
            found |= route.events
        return frozenset(found)


def _fitting(
    candidates: Sequence[_Candidate], asterisk: str, head: Head, raw: bytes, call: KnownCall | None
) -> list[Route]:
    found: list[Route] = []
    event: Any = None
    for candidate in candidates:
        if call is not None and call.route and candidate.route.tenant != call.tenant:
            continue
        if candidate.own and not _own_hold(candidate.own, asterisk, head, call):
            continue
        if candidate.paths:
            if event is None:
                event = _whole(raw, call)
            if not _paths_hold(candidate.paths, event):
                continue
        found.append(candidate.route)
    return found


def _own_hold(conditions: Sequence[Condition], asterisk: str, head: Head, call: KnownCall | None) -> bool:
    for condition in conditions:
        if condition.key == "app":
            holds = condition.holds_for(head.application)
        elif condition.key == "asterisk":
            holds = condition.holds_for(asterisk)
        else:
            holds = condition.holds_for_args(head.args or (call.args if call else ()))
        if not holds:
            return False
    return True


def _paths_hold(conditions: Sequence[Condition], event: Any) -> bool:
    for condition in conditions:  # noqa: SIM110 - a generator would cost as much as the match
        if not condition.holds(event):
            return False
    return True


def _whole(raw: bytes, call: KnownCall | None) -> dict[str, Any]:
    """The decoded event; one that is no JSON where the head did not look has nothing at any path."""
    try:
        event = _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        event = None
    if not isinstance(event, dict):
        event = {}
    if call is not None and "channel" not in event:
        caller, dialplan = {"number": call.caller}, {"exten": call.called}
        event["channel"] = {"id": call.id, "name": call.name, "caller": caller, "dialplan": dialplan}
    return event
