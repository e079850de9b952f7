"""Warns of routes that can never get what they are there for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from hookrouter.ari.operations import event_types, models
from hookrouter.ari.settings import AsteriskSettings
from hookrouter.config.collecting import Findings, did_you_mean, join
from hookrouter.routing.conditions import Condition
from hookrouter.routing.endpoint import Route

_OWN = ["app", "args", "asterisk"]
_CALLED, _CALLER = "channel.dialplan.exten", "channel.caller.number"
_MEANT = dict.fromkeys(("called", "callee", "did", "dnid", "dialed", "dialled", "to", "exten", "extension"), _CALLED)
_MEANT |= dict.fromkeys(("caller", "callerid", "caller_id", "cid", "ani", "clid", "from"), _CALLER)
"""What people call the two numbers of a call, and where an event has them."""


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
                f"matches nothing that is configured ({', '.join(known)}), so it is never true",
            )


def _unknown_fields(route: Route, findings: Findings) -> None:
    """A path that leads to no field of the events named is likely a slip; a newer Asterisk may know it, though."""
    if route.events is not None and not route.events <= event_types().keys():
        return  # results of the router's own have fields of their own
    top: dict[str, set[str]] = {"channel": {"Channel"}}
    for name in route.events or event_types():
        _add(top, event_types()[name])
    for condition in route.conditions:
        if not condition.own and (message := _slip(condition.path, top)) is not None:
            findings.warn(join(f"routes[{route.index}].match", condition.key), message)


def _add(fields: dict[str, set[str]], more: Mapping[str, str]) -> None:
    for field, kind in more.items():
        fields.setdefault(field, set()).add(kind.removesuffix("?"))


def _slip(path: Sequence[str], top: Mapping[str, set[str]]) -> str | None:
    """What is wrong with a path, as far as Asterisk's api-docs tell."""
    fields, whole = top, "none of the route's events has a field"
    for depth, name in enumerate(path):
        if name not in fields:
            deeper = [f"{field}.{below}" for field, kinds in fields.items() for below in _paths(kinds, 2)]
            found = [known for known in deeper if known.rpartition(".")[2] == name]
            if not depth and name.lower() in _MEANT:
                found = [_MEANT[name.lower()]]
            hint = (
                f", did you mean {'.'.join([*path[:depth], min(found, key=len)])}?"
                if found
                else did_you_mean(name, [*sorted(fields), *(() if depth else _OWN)])
            )
            return f"{whole} `{name}`{hint}"
        kinds = fields[name]
        below: dict[str, set[str]] = {}
        for kind in kinds & models().keys():
            _add(below, models()[kind])
        if not below:
            return None  # a leaf, or channel variables and the like, whose names are anybody's
        fields, whole = below, f"`{'.'.join(path[: depth + 1])}` has no field"
    return None


_TEXTS = frozenset({"string", "Date", "int", "long", "double", "boolean"})


def text_above(path: str) -> str | None:
    """The part of a path that has nothing below it: a text or a number in whatever event it comes, or before a misspelt
    `regex`. None: none is known to be.
    """
    names = path.split(".")
    if names[0] in _OWN:
        return names[0] if len(names) > 1 else None
    fields: dict[str, set[str]] = {}
    for found in event_types().values():
        _add(fields, found)
    for depth, name in enumerate(names[:-1]):
        kinds = fields.get(name, set())
        if kinds and kinds <= _TEXTS:
            return ".".join(names[: depth + 1])
        if get_close_matches(names[depth + 1], ["regex"], cutoff=0.7):
            return ".".join(names[: depth + 1])
        fields = {}
        for kind in kinds & models().keys():
            _add(fields, models()[kind])
    return None


def _paths(kinds: set[str], depth: int) -> list[str]:
    """The paths below a field of these types."""
    found = []
    for kind in kinds & models().keys():
        for field, inner in models()[kind].items():
            found.append(field)
            if depth > 1:
                found.extend(f"{field}.{below}" for below in _paths({inner.removesuffix("?")}, depth - 1))
    return found
