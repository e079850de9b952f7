"""Warns of routes that can never get what they are there for."""

from __future__ import annotations

from collections.abc import Sequence

from hookrouter.ari.operations import event_types
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config.collecting import Findings, did_you_mean, join
from hookrouter.routing.conditions import Condition
from hookrouter.routing.endpoint import Route


def warn_of_unreachable(routes: Sequence[Route], asterisks: Sequence[AsteriskSettings], findings: Findings) -> None:
    """Looks at each route by itself, then at the control routes before it."""
    apps = sorted({app for settings in asterisks for app in settings.apps})
    names = sorted(settings.name for settings in asterisks)
    for route in routes:
        _names_nobody(route, "app", apps, findings)
        _names_nobody(route, "asterisk", names, findings)
        _unknown_fields(route, findings)
    owning = [route for route in routes if route.mode == "control" and route.wants("StasisStart")]
    if not owning:
        findings.warn("routes", "no control route names StasisStart: every call is given back to the dialplan at once")
    demands = [frozenset(c for c in route.conditions if not _trivial(c, apps, names)) for route in owning]
    for position, route in enumerate(owning):
        for earlier, demanded in zip(owning[:position], demands, strict=False):
            if demanded <= demands[position]:
                taker = f"routes[{earlier.index}] ({earlier.name}) takes all of them before"
                findings.warn(f"routes[{route.index}]", f"`{route.name}` never gets a call: {taker}")
                break


def _trivial(condition: Condition, apps: Sequence[str], names: Sequence[str]) -> bool:
    """Whether it holds for whatever can come."""
    known = {"app": apps, "asterisk": names}.get(condition.key)
    return known is not None and all(map(condition.holds_for, known))


def _names_nobody(route: Route, key: str, known: Sequence[str], findings: Findings) -> None:
    for condition in route.conditions:
        if condition.key == key and not any(map(condition.holds_for, known)):
            findings.warn(
                f"routes[{route.index}].match.{key}",
                f"fits nothing that is configured ({', '.join(known)}): never true",
            )


def _unknown_fields(route: Route, findings: Findings) -> None:
    """A path that begins with no field of the events named is likely a slip; a newer Asterisk may know it, though."""
    types = event_types()
    if route.events is not None and not route.events <= types.keys():
        return  # results of the router's own have fields of their own
    known = sorted({field for name in route.events or types for field in types[name]} | {"channel"})
    for condition in route.conditions:
        if not condition.own and condition.path[0] not in known:
            hint = did_you_mean(condition.path[0], [*known, "app", "args", "asterisk"])
            where = join(f"routes[{route.index}].match", condition.key)
            findings.warn(where, f"none of the route's events has a field `{condition.path[0]}`{hint}")
