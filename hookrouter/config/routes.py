"""`[[routes]]` → `Route` values, and what only that can find wrong with them."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from hookrouter.actions.decode import decode_steps
from hookrouter.actions.vocabulary import RESULTS
from hookrouter.ari.operations import event_types, operation, suggest
from hookrouter.config.collecting import Findings, did_you_mean, join
from hookrouter.config.shapes import CONTROL_ONLY, NOTIFY_ONLY, AuthTable, RouteShape
from hookrouter.config.tables import Secrets, check_url
from hookrouter.delivery.signing import parse_secret
from hookrouter.errors import AnswerRefused
from hookrouter.routing.conditions import Condition, Pattern, pattern, regex
from hookrouter.routing.endpoint import Auth, Endpoint, Fallback, Route

CONTROL_TIMEOUT = 3.0
NOTIFY_TIMEOUT = 15.0
_NEEDED = {
    "basic": ("username", "password"),
    "bearer": ("token",),
    "oauth2": ("token_url", "client_id", "client_secret"),
    "aws-sigv4": ("access_key_id", "secret_access_key", "region"),
}
_MAY = {"oauth2": ("scope",), "aws-sigv4": ("service", "session_token")}
_SECRET_KEYS = ("password", "token", "client_secret", "secret_access_key")
_OURS = re.compile(
    r"webhook-.*|hookrouter-.*|ce-.*|content-type|content-length|host|transfer-encoding|connection|prefer"
)


class RouteBuilder:
    """Turns checked shapes into routes."""

    def __init__(self, secrets: Secrets, findings: Findings) -> None:
        self._secrets = secrets
        self._findings = findings

    def routes(self, shapes: Sequence[RouteShape | None], raw: Any) -> list[Route]:
        """The enabled ones. `raw`: the tables as they were given, which tells what was left out."""
        found: list[Route] = []
        names: dict[str, int] = {}
        for index, shape in enumerate(shapes):
            if shape is None:
                continue
            route = self._route(index, shape, raw[index])
            if route.name in names:
                other = f"`{route.name}` is the name of routes[{names[route.name]}] too"
                self._findings.fault(f"routes[{index}].name", f"{other}; each name is there once")
            names.setdefault(route.name, index)
            if shape.enabled:
                found.append(route)
        return found

    def _route(self, index: int, shape: RouteShape, given: Mapping[str, Any]) -> Route:
        place = f"routes[{index}]"
        check_url(f"{place}.url", shape.url, self._findings)
        if not (shape.name or "-").isprintable():
            self._findings.fault(f"{place}.name", "has characters that cannot be printed")
        for position, name in enumerate(shape.allow):
            if operation(name) is None:
                hint = f", did you mean {near}?" if (near := suggest(name)) else ""
                self._findings.fault(f"{place}.allow[{position}]", f"Asterisk has no operation `{name}`{hint}")
        for position, url in enumerate(shape.allow_urls):
            check_url(f"{place}.allow_urls[{position}]", url, self._findings)
        for key in CONTROL_ONLY if shape.mode == "notify" else NOTIFY_ONLY:
            if key in given:
                self._findings.warn(f"{place}.{key}", f"has no effect: the route's mode is `{shape.mode}`")
        endpoint = Endpoint(
            shape.url,
            self._keys(place, shape),
            self._headers(place, shape),
            self._auth(f"{place}.auth", shape.auth),
            self._timeout(place, shape),
            shape.format,
        )
        return Route(
            name=shape.name or f"route-{index + 1}",
            endpoint=endpoint,
            mode=shape.mode,
            events=self._events(place, shape.events),
            conditions=tuple(self._conditions(f"{place}.match", shape.match, "")),
            deadline=shape.deadline,
            fallback=self._fallback(place, shape, endpoint),
            while_waiting=self._actions(shape.while_waiting, f"{place}.while_waiting"),
            idle_timeout=shape.idle_timeout,
            scope=shape.scope,
            allow=tuple(shape.allow),
            allow_urls=tuple(shape.allow_urls),
            order=shape.order,
            adopt=shape.adopt,
            index=index,
        )

    def _timeout(self, place: str, shape: RouteShape) -> float:
        if shape.mode == "notify":
            return NOTIFY_TIMEOUT if shape.timeout is None else shape.timeout
        if shape.timeout is None:
            return min(CONTROL_TIMEOUT, shape.deadline)
        if shape.timeout > shape.deadline and not self._findings.has(f"{place}.deadline"):
            longer = (
                f"{shape.timeout:g} s for one attempt is longer than the {shape.deadline:g} s of `deadline` for all"
            )
            self._findings.fault(f"{place}.timeout", f"{longer}; lower it, or raise the deadline")
        return shape.timeout

    def _keys(self, place: str, shape: RouteShape) -> tuple[bytes, ...]:
        texts: list[tuple[str, str]] = []
        if isinstance(shape.secret, str):
            texts.append((f"{place}.secret", shape.secret))
        elif shape.secret is not None:
            texts += [(f"{place}.secret[{index}]", text) for index, text in enumerate(shape.secret)]
            if not texts:
                self._findings.fault(f"{place}.secret", "is empty; leave it out to send unsigned")
        of_file = self._secrets.read(place, "secret", "" if texts else None, shape.secret_file)
        if shape.secret_file is not None:
            texts += [(f"{place}.secret_file", text) for text in (of_file or "").split()]
        keys: list[bytes] = []
        for where, text in texts:
            try:
                keys.append(parse_secret(text))
            except ValueError as error:
                self._findings.fault(where, str(error))
        return tuple(keys)

    def _headers(self, place: str, shape: RouteShape) -> tuple[tuple[str, str], ...]:
        for name, value in shape.headers.items():
            where = join(f"{place}.headers", name)
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name):
                self._findings.fault(where, "is no header's name")
            elif _OURS.fullmatch(name.lower()):
                self._findings.fault(where, "is set by the router; take another name")
            elif name.lower() == "authorization" and shape.auth is not None:
                self._findings.fault(where, "give either this header or `auth`")
            if not re.fullmatch(r"[\t -~]*", value):
                self._findings.fault(where, "a header's value is one line of ASCII")
        return tuple((name.lower(), value) for name, value in shape.headers.items())

    def _auth(self, place: str, table: AuthTable | None) -> Auth | None:
        if table is None or self._findings.has(f"{place}.type"):
            return None
        given = {
            field.name: value
            for field in msgspec.structs.fields(table)
            if (value := getattr(table, field.name)) is not None and field.name != "type"
        }
        for key in _SECRET_KEYS:
            found = self._secrets.read(place, key, given.get(key), given.pop(f"{key}_file", None))
            if found is not None:
                given[key] = found
        needed = _NEEDED[table.type]
        for key in needed:
            if key not in given and not self._findings.has(f"{place}.{key}_file"):
                self._findings.fault(f"{place}.{key}", f'missing: type "{table.type}" needs it')
        taken = {*needed, *_MAY.get(table.type, ())}
        for key in sorted(given.keys() - taken):
            self._findings.fault(
                f"{place}.{key}", f'type "{table.type}" has no use for it; it takes {", ".join(needed)}'
            )
        if not re.fullmatch(r"[!-~]*", given.get("token", "")):
            self._findings.fault(f"{place}.token", "goes into a header: ASCII without spaces")
        if "token_url" in given:
            check_url(f"{place}.token_url", given["token_url"], self._findings)
        if table.type in ("oauth2", "aws-sigv4") and not installed("httpx_auth"):
            self._findings.fault(f"{place}.type", f'"{table.type}" needs an extra: pip install "hookrouter[oauth]"')
        options = tuple(sorted(given.items()))
        return Auth(table.type, given.get("username", ""), given.get("password", ""), given.get("token", ""), options)

    def _events(self, place: str, names: Sequence[str]) -> frozenset[str] | None:
        known = known_events()
        for position, name in enumerate(names):
            if name != "*" and name not in known:
                hint = did_you_mean(name, known)
                hint = hint if hint.startswith(",") else "; docs/routes.md lists them"
                self._findings.fault(f"{place}.events[{position}]", f"there is no event type `{name}`{hint}")
        return None if "*" in names else frozenset(names)

    def _conditions(self, place: str, match: Mapping[str, Any], above: str) -> Iterator[Condition]:
        for key, value in match.items():
            where = join(place, key)
            path = f"{above}.{key}" if above else key
            if not all(path.split(".")):
                self._findings.fault(where, "a path is names with single dots between them")
            elif path == "args":
                wanted = value if isinstance(value, list) else [value]
                args = tuple(tuple(self._patterns(item, f"{where}[{i}]")) for i, item in enumerate(wanted))
                yield Condition(path, args=args)
            elif isinstance(value, dict) and value and "regex" not in value:
                yield from self._conditions(where, value, path)
            else:
                yield Condition(path, tuple(self._patterns(value, where)))

    def _patterns(self, value: Any, place: str) -> Iterator[Pattern]:
        if isinstance(value, list) and value:
            for index, item in enumerate(value):
                yield from self._patterns(item, f"{place}[{index}]")
        elif isinstance(value, dict) and set(value) == {"regex"} and isinstance(value["regex"], str):
            try:
                yield regex(value["regex"])
            except ValueError as error:
                self._findings.fault(place, str(error))
        elif isinstance(value, str | int | float):
            yield pattern(value)
        else:
            self._findings.fault(
                place, 'expected a string, a number, true or false, {regex = "…"}, or a list with at least one of them'
            )

    def _fallback(self, place: str, shape: RouteShape, endpoint: Endpoint) -> Fallback:
        table = shape.fallback
        if table is None:
            return Fallback()
        target = None
        if table.url is not None:
            check_url(f"{place}.fallback.url", table.url, self._findings)
            target = msgspec.structs.replace(endpoint, url=table.url)
        if table.actions is None:
            return Fallback(target)
        return Fallback(target, self._actions(table.actions, f"{place}.fallback.actions"))

    def _actions(self, actions: Sequence[Any], place: str) -> tuple[bytes, ...]:
        try:
            return tuple(step.raw for step in decode_steps(msgspec.json.encode(actions)))
        except AnswerRefused as refused:
            for fault in refused.faults:
                self._findings.fault(place + _as_place(fault.place), fault.message)
        return ()


def known_events() -> frozenset[str]:
    """The event types that a route can name: Asterisk's, without the two that only answer us, and the router's own."""
    return (frozenset(event_types()) - {"RESTResponse", "MissingParams"}) | RESULTS | {"Notify"}


def _as_place(pointer: str) -> str:
    """The JSON pointer `/2/media` as `[2].media`."""
    found = ""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found = f"{found}[{name}]" if name.isdigit() else join(found or "", name) if found else f".{name}"
    return found


def installed(module: str) -> bool:
    """Whether an extra's module is there."""
    return importlib.util.find_spec(module) is not None
