"""Which routes an event goes to: the first control route that fits owns a call, every notify route that fits is told.

Rules: the whole event is only decoded where a route asks for a path in it; routes are sorted by event type beforehand.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from hookrouter.ari.events import Head
from hookrouter.routing.endpoint import Route

_NOTHING: tuple[Route, ...] = ()
_decode = msgspec.json.Decoder().decode


class RouteTable:
    """All routes of a configuration, in the order of the file."""

    def __init__(self, routes: Iterable[Route] = ()) -> None:
        self.routes = tuple(routes)
        self._by_name = {route.name: route for route in self.routes}
        self._control = tuple(route for route in self.routes if route.mode == "control")
        notify = [route for route in self.routes if route.mode == "notify"]
        self._any = tuple(route for route in notify if route.events is None)
        named = {type for route in notify for type in route.events or ()}
        self._notify = {type: tuple(route for route in notify if route.wants(type)) for type in named}

    def __len__(self) -> int:
        return len(self.routes)

    def by_name(self, name: str) -> Route | None:
        return self._by_name.get(name)

    def owner(self, asterisk: str, head: Head, raw: bytes) -> Route | None:
        """The control route for the call that this StasisStart begins."""
        return next(iter(_fitting(self._control, asterisk, head, raw)), None)

    def controlling(self, asterisk: str, head: Head, raw: bytes) -> Route | None:
        """The control route for an event that belongs to no call (of an endpoint, a device, a text message)."""
        routes = [route for route in self._control if route.events is not None and head.type in route.events]
        return next(iter(_fitting(routes, asterisk, head, raw)), None)

    def notified(self, asterisk: str, head: Head, raw: bytes, args: Sequence[str] = ()) -> Sequence[Route]:
        """The notify routes that get a copy. `args`: those that the event's call entered the app with."""
        candidates = self._notify.get(head.type, self._any)
        if not candidates:
            return _NOTHING
        return _fitting(candidates, asterisk, head, raw, args)

    def wants(self, type: str) -> bool:
        """Whether any notify route names this type (also one of the router's own)."""
        return bool(self._notify.get(type, self._any))

    def told(self, type: str, asterisk: str, app: str) -> Sequence[Route]:
        """The notify routes for an event of the router's own; of `match`, its `app` and `asterisk` count."""
        return [
            route
            for route in self._notify.get(type, self._any)
            if all(
                condition.holds_for(app if condition.key == "app" else asterisk)
                for condition in route.conditions
                if condition.key in ("app", "asterisk")
            )
        ]

    def event_types(self) -> frozenset[str] | None:
        """The types that some route names; None where one wants all."""
        found: set[str] = set()
        for route in self.routes:
            if route.events is None:
                return None
            found |= route.events
        return frozenset(found)


def _fitting(routes: Sequence[Route], asterisk: str, head: Head, raw: bytes, args: Sequence[str] = ()) -> list[Route]:
    found: list[Route] = []
    event: Any = None
    for route in routes:
        for condition in route.conditions:
            if condition.key == "app":
                holds = condition.holds_for(head.application)
            elif condition.key == "asterisk":
                holds = condition.holds_for(asterisk)
            elif condition.key == "args":
                holds = condition.holds_for_args(head.args or list(args))
            else:
                if event is None:
                    event = _decode(raw)
                holds = condition.holds(event)
            if not holds:
                break
        else:
            found.append(route)
    return found
