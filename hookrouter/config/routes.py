"""`[[routes]]` → `Route` values, and what only that can find wrong with them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import msgspec

from hookrouter.actions.decode import decode_steps
from hookrouter.actions.judging import Rules, refuse
from hookrouter.actions.vocabulary import RESULTS
from hookrouter.ari.operations import ANSWERS, event_types, operation, suggest
from hookrouter.config.auth import AuthReader, Given, check_endpoint
from hookrouter.config.certificates import Certificates
from hookrouter.config.collecting import Findings, did_you_mean, join
from hookrouter.config.policy import route_policy
from hookrouter.config.reach import text_above
from hookrouter.config.shapes import CONTROL_ONLY, NOTIFY_ONLY, PolicyTable, RouteShape
from hookrouter.config.tables import Secrets
from hookrouter.delivery.envelope import RESERVED
from hookrouter.delivery.signing import parse_secret
from hookrouter.errors import AnswerRefused
from hookrouter.policy.authority import RECORDING_GRANT
from hookrouter.policy.policy import Policy
from hookrouter.routing.conditions import Condition, Pattern, pattern, regex
from hookrouter.routing.endpoint import Endpoint, Fallback, Route, Shadow
from hookrouter.text.functions import is_function

CONTROL_TIMEOUT = 3.0
NOTIFY_TIMEOUT = 15.0
_OF_HTTP = frozenset({"host", "transfer-encoding", "connection", "prefer"})


class RouteBuilder:
    """Turns checked shapes into routes."""

    def __init__(
        self,
        secrets: Secrets,
        certificates: Certificates,
        findings: Findings,
        policy: PolicyTable = PolicyTable(),  # noqa: B008  frozen
        own_hosts: Sequence[str] = (),
        environ: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`policy`: what routes have where they say nothing; `own_hosts`: of what the operator wrote outside of routes;
        `environ`: where AWS's credentials may be.
        """
        self._auth = AuthReader(secrets, findings, environ)
        self._secrets = secrets
        self._certificates = certificates
        self._policy = policy
        self._own_hosts = own_hosts
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
        check_endpoint(f"{place}.url", shape.url, self._findings)
        for key in ("name", "tenant"):
            if not (getattr(shape, key) or "-").isprintable():
                self._findings.fault(f"{place}.{key}", "has characters that cannot be printed")
        for position, name in enumerate(shape.allow):
            if name.startswith(RECORDING_GRANT):
                if name == RECORDING_GRANT:
                    self._findings.fault(
                        f"{place}.allow[{position}]", "names no recording; `recording:*` is all of them"
                    )
            elif operation(name) is None:
                hint = f", did you mean {near}?" if (near := suggest(name)) else ""
                self._findings.fault(f"{place}.allow[{position}]", f"Asterisk has no operation `{name}`{hint}")
        for position, path in enumerate(shape.redact):
            if not all(path.split(".")):
                self._findings.fault(
                    f"{place}.redact[{position}]", f"`{path}` is not a path: names with dots between them"
                )
        for key in CONTROL_ONLY if shape.mode == "notify" else NOTIFY_ONLY:
            if key in given:
                self._findings.warn(f"{place}.{key}", f"has no effect: the route's mode is `{shape.mode}`")
        policy = route_policy(place, shape, self._policy, self._own_hosts, self._findings)
        keys, headers = self._keys(place, shape), self._headers(place, shape)
        auth = self._auth.read(f"{place}.auth", shape.auth)
        endpoint = Endpoint(
            shape.url,
            keys,
            headers,
            auth.at(f"{place}.url", shape.url),
            self._timeout(place, shape),
            shape.format,
            self._certificates.trust(place, shape, shape.url),
        )
        self._allowed(place, shape, endpoint)
        return Route(
            name=shape.name or f"route-{index + 1}",
            endpoint=endpoint,
            mode=shape.mode,
            events=self._events(place, shape.events),
            conditions=tuple(self._conditions(f"{place}.match", shape.match, "")),
            deadline=shape.deadline,
            fallback=self._fallback(place, shape, endpoint, auth, policy),
            while_waiting=self._actions(shape.while_waiting, f"{place}.while_waiting", policy),
            idle_timeout=shape.idle_timeout,
            silence_timeout=shape.silence_timeout,
            tenant=shape.tenant or "",
            scope=shape.scope,
            allow=tuple(shape.allow),
            allow_urls=tuple(item if isinstance(item, str) else item.url for item in shape.allow_urls),
            entrusted_urls=tuple(
                item.url for item in shape.allow_urls if not isinstance(item, str) and item.credentials
            ),
            policy=policy,
            order=shape.order,
            adopt=shape.adopt,
            record=shape.record,
            redact=tuple(shape.redact),
            shadow=self._shadow(place, shape, endpoint, auth),
            index=index,
        )

    def _allowed(self, place: str, shape: RouteShape, endpoint: Endpoint) -> None:
        """Judges `allow_urls`: a function is worth nothing without what it is invoked with."""
        for position, item in enumerate(shape.allow_urls):
            where, url = f"{place}.allow_urls[{position}]", item if isinstance(item, str) else item.url
            check_endpoint(where if isinstance(item, str) else f"{where}.url", url, self._findings)
            if is_function(url) and (isinstance(item, str) or not item.credentials):
                hint = f'{{url = "{url}", credentials = true}}'
                self._findings.fault(where, f"a function is invoked with the route's `auth`; write {hint}")
            elif is_function(url) and (endpoint.auth is None or endpoint.auth.type != "aws-sigv4"):
                self._findings.fault(
                    where, 'a function is invoked with the route\'s `auth`; give one of type "aws-sigv4"'
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
            texts += [(f"{place}.secret_file", line) for line in (of_file or "").splitlines() if line.strip()]
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
                self._findings.fault(where, "is not the name of a header")
            elif name.lower().startswith(RESERVED) or name.lower() in _OF_HTTP:
                self._findings.fault(where, "is set by the router; take another name")
            elif name.lower() == "authorization" and shape.auth is not None:
                self._findings.fault(where, "give either this header or `auth`")
            if not re.fullmatch(r"[\t -~]*", value):
                self._findings.fault(where, "a header's value is one line of ASCII")
        return tuple((name.lower(), value) for name, value in shape.headers.items())

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
            elif (leaf := text_above(path)) is not None:
                wrong = path[len(leaf) + 1 :].partition(".")[0]
                hint = did_you_mean(wrong, ["regex"])
                hint = hint if hint.startswith(",") else '; a value is a text, a list of them, or { regex = "…" }'
                self._findings.fault(where, f"`{leaf}` has nothing below it, and `{wrong}` is not an operator{hint}")
            elif isinstance(value, dict) and value and "regex" not in value:
                yield from self._conditions(where, value, path)
            else:
                yield Condition(path, tuple(self._patterns(value, where)))

    def _patterns(self, value: Any, place: str) -> Iterator[Pattern]:
        if isinstance(value, list) and value:
            for index, item in enumerate(value):
                yield from self._patterns(item, f"{place}[{index}]")
        elif isinstance(value, dict) and "regex" in value and len(value) > 1:
            more = ", ".join(f"`{key}`" for key in value if key != "regex")
            self._findings.fault(place, f"`regex` stands alone; take out {more}")
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

    def _fallback(self, place: str, shape: RouteShape, endpoint: Endpoint, auth: Given, policy: Policy) -> Fallback:
        table = shape.fallback
        if table is None:
            return Fallback()
        target = None
        if table.url is not None:
            where = f"{place}.fallback.url"
            check_endpoint(where, table.url, self._findings)
            target = msgspec.structs.replace(endpoint, url=table.url, auth=auth.at(where, table.url))
        if table.actions is None:
            return Fallback(target)
        return Fallback(target, self._actions(table.actions, f"{place}.fallback.actions", policy))

    def _shadow(self, place: str, shape: RouteShape, endpoint: Endpoint, auth: Given) -> Shadow | None:
        table = shape.shadow
        if table is None:
            return None
        where = f"{place}.shadow.url"
        check_endpoint(where, table.url, self._findings)
        for position, may_differ in enumerate(table.ignore):
            if not may_differ.startswith("/"):
                self._findings.fault(
                    f"{place}.shadow.ignore[{position}]",
                    f"`{may_differ}` is not a place; they begin with /, such as /state/at",
                )
        candidate = msgspec.structs.replace(endpoint, url=table.url, auth=auth.at(where, table.url))
        return Shadow(candidate, table.share, tuple(table.ignore))

    def _actions(self, actions: Sequence[Any], place: str, policy: Policy) -> tuple[bytes, ...]:
        try:
            steps = decode_steps(msgspec.json.encode(actions))
            refuse(steps, Rules(policy), "")
            return tuple(step.raw for step in steps)
        except AnswerRefused as refused:
            for fault in refused.faults:
                self._findings.fault(place + _as_place(fault.place), fault.message)
        return ()


def known_events() -> frozenset[str]:
    """The event types that a route can name: Asterisk's, without the two that only answer us, and the router's own."""
    return (frozenset(event_types()) - ANSWERS) | RESULTS | {"Notify"}


def _as_place(pointer: str) -> str:
    """The JSON pointer `/2/media` as `[2].media`."""
    found = ""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        found = f"{found}[{name}]" if name.isdigit() else join(found or "", name) if found else f".{name}"
    return found
