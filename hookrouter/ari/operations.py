"""All 109 operations of ARI, and its event types, read from Asterisk's own api-docs (hookrouter/ari/spec/).

Rules: a request is a name and parameters; where each parameter goes is Asterisk's business and is written there. What a
repeated request does, what blocks and what proves it done stands beside each (repeating.py).
Source: Asterisk 22's rest-api; 13 to 20 know fewer operations: ask the live api-docs, not the version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from typing import Any, Literal
from urllib.parse import quote, urlencode

import msgspec

from hookrouter.ari.repeating import (
    BLOCKING,
    DONE_ALREADY,
    DOUBTFUL_409,
    FINAL_5XX,
    PROOFS,
    REPEATS,
    TAKEN_500,
    Proof,
    Repeat,
)
from hookrouter.errors import Fault


class Parameter(msgspec.Struct, frozen=True):
    """One parameter, as the api-docs have it. `multiple`: a list is joined with commas."""

    name: str
    where: Literal["path", "query", "body"]
    type: str = "string"
    required: bool = False
    multiple: bool = False
    default: Any = None
    values: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None

    @property
    def limits(self) -> tuple[float, float]:
        """The smallest and the largest number that it takes: the api-docs', else what Asterisk can count in."""
        least, most = _LIMITS.get(self.name, (-(2**31), 2**31 - 1))
        return (
            least if self.minimum is None else max(least, self.minimum),
            most if self.maximum is None else min(most, self.maximum),
        )


_LARGEST = 2**63
_DAY = 86_400
_LIMITS: dict[str, tuple[float, float]] = {
    "timeout": (-1, _DAY),  # seconds, which Asterisk makes milliseconds of, in 32 bits
    "maxDurationSeconds": (0, _DAY),
    "maxSilenceSeconds": (0, _DAY),
    "skipms": (0, _DAY * 1000),
    "offsetms": (0, _DAY * 1000),
    "before": (0, 60_000),
    "between": (0, 60_000),
    "duration": (0, 60_000),
    "after": (0, 60_000),
    "oldMessages": (0, 1_000_000),
    "newMessages": (0, 1_000_000),
}


class Operation(msgspec.Struct, frozen=True):
    """One operation. `response` is the api-docs' class, `void` where it returns nothing; `path` is below /ari."""

    name: str
    method: str
    path: str
    response: str
    parameters: tuple[Parameter, ...] = ()
    since: str = ""
    errors: tuple[int, ...] = ()

    @property
    def returns(self) -> bool:
        return self.response != "void"

    @property
    def blocks(self) -> bool:
        return self.name in BLOCKING

    @property
    def repeat(self) -> Repeat:
        return Repeat.SAFE if self.method == "GET" else REPEATS[self.name]

    @property
    def proof(self) -> Proof | None:
        return PROOFS.get(self.name)

    @property
    def done_already(self) -> frozenset[int]:
        """The statuses with which Asterisk answers a repeat whose first one was carried out; empty: none tells."""
        return DONE_ALREADY.get(self.name, frozenset())

    @property
    def doubtful_409(self) -> bool:
        """Whether 409 may also mean that the endpoint cannot be reached."""
        return self.name in DOUBTFUL_409

    @property
    def taken_500(self) -> bool:
        """Whether 500 may also mean that there is one of this id."""
        return self.name in TAKEN_500

    @property
    def enters_app(self) -> bool:
        """Whether it sends a channel into an application: without our event socket there may be none, and it is hung up."""
        return self.method == "POST" and any(parameter.name == "app" for parameter in self.parameters)

    @property
    def final_5xx(self) -> bool:
        return self.name in FINAL_5XX


class Request(msgspec.Struct, gc=False):
    """What is asked of Asterisk: an operation's name and its parameters by name, wherever each goes."""

    operation: str
    params: dict[str, Any] = {}


class HttpRequest(msgspec.Struct, frozen=True, gc=False):
    """The same as HTTP: `target` is path and query below /ari, with its leading slash; `body` is JSON or empty."""

    method: str
    target: str
    body: bytes = b""


class _Spec(msgspec.Struct):
    operations: list[Operation]
    events: dict[str, dict[str, str]]
    models: dict[str, dict[str, str]]


@cache
def _spec() -> _Spec:
    data = files("hookrouter.ari").joinpath("spec/asterisk-22.json").read_bytes()
    return msgspec.json.decode(data, type=_Spec)


@cache
def operations() -> Mapping[str, Operation]:
    """Every operation by name, such as `channels.play`."""
    return {found.name: found for found in _spec().operations}


def operation(name: str) -> Operation | None:
    """The operation of that name, or None."""
    return operations().get(name)


def event_types() -> Mapping[str, Mapping[str, str]]:
    """Every event type of ARI with its fields and their types; a `?` behind the type of one that may be missing."""
    return _spec().events


ANSWERS = frozenset({"RESTResponse", "MissingParams"})
"""Event types that only answer us: nobody is told of them."""


def models() -> Mapping[str, Mapping[str, str]]:
    """What events are made of, `Channel` and the like, written as events are."""
    return _spec().models


def suggest(name: str) -> str | None:
    """The operation that was perhaps meant."""
    lowered = {known.lower(): known for known in operations()}
    close = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return lowered[close[0]] if close else None


_CHECKS: dict[str, tuple[type | tuple[type, ...], str]] = {
    "string": (str, "a string"),
    "int": (int, "a whole number"),
    "long": (int, "a whole number"),
    "double": ((int, float), "a number"),
    "boolean": (bool, "true or false"),
    "containers": (dict, "an object"),
    "object": (dict, "an object"),
}


_MOST_TOLD = 20
_MOST_SHOWN = 64
_MOST_ITEMS = 1000
_MORE = Fault("", "and more")


def _key(text: str) -> str:
    """A key of a JSON pointer; a long one is cut."""
    return text[:_MOST_SHOWN].replace("~", "~0").replace("/", "~1")


def loosened(name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """What every language writes, in the one form that Asterisk takes: null is left out, 4.0 is 4, a container's [] is {}."""
    found = operations()[name]
    known = {parameter.name: parameter for parameter in found.parameters}
    return {
        key: _loosened(known[key], value) if key in known else value
        for key, value in params.items()
        if value is not None
    }


def _loosened(parameter: Parameter, value: Any) -> Any:
    if parameter.type in ("int", "long"):
        return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST else value
    if parameter.multiple and isinstance(value, list):
        return [item for item in value if item is not None]
    if parameter.type in ("containers", "object"):
        if value == [] and parameter.name != "fields":
            return {}
        if isinstance(value, dict) and parameter.name == "variables":
            return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return value


def _without_nulls(value: Any) -> Any:
    return {key: item for key, item in value.items() if item is not None} if isinstance(value, dict) else value


def check(name: str, params: Mapping[str, Any], *, place: str = "") -> list[Fault]:
    """Everything that is wrong with a request, each with its JSON pointer below `place`."""
    found = operation(name)
    if found is None:
        hint = f"; did you mean `{suggestion}`?" if (suggestion := suggest(name)) else ""
        return [Fault(place, f"Asterisk has no operation `{name}`{hint}")]
    known = {parameter.name: parameter for parameter in found.parameters}
    faults: list[Fault] = []
    for key, value in params.items():
        parameter = known.get(key)
        if parameter is not None:
            faults.extend(
                Fault(f"{place}/{key}{at}", message) if number < _MOST_TOLD else _MORE
                for number, (at, message) in enumerate(_faults(name, parameter, value))
            )
        elif len(faults) < _MOST_TOLD:
            close = get_close_matches(key[:_MOST_SHOWN], known, n=1, cutoff=0.6)
            hint = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(known) or 'none'}"
            faults.append(Fault(f"{place}/{_key(key)}", f"`{name}` has no parameter `{key[:_MOST_SHOWN]}`; {hint}"))
        else:
            faults.append(_MORE)
    faults.extend(
        Fault(f"{place}/{parameter.name}", "missing")
        for parameter in known.values()
        if parameter.required and parameter.name not in params
    )
    if name == "bridges.create" and params.get("variables") and not params.get("bridgeId"):
        faults.append(
            Fault(f"{place}/bridgeId", "missing: without it Asterisk refuses `variables`, and leaks a bridge")
        )
    return faults


_Faults = Iterator[tuple[str, str]]


def _faults(name: str, parameter: Parameter, value: Any) -> _Faults:
    """(pointer below the parameter, what is wrong)."""
    if parameter.where == "body" and parameter.name in ("variables", "fields"):
        yield from _body_faults(name, parameter.name, value)
    elif parameter.multiple and isinstance(value, list | str) and _count(value) > _MOST_ITEMS:
        yield "", f"at most {_MOST_ITEMS} are taken"
    elif parameter.multiple and isinstance(value, list):
        if parameter.required and not value:
            yield "", "at least one is needed"
        for index, item in enumerate(value):
            yield from ((f"/{index}", message) for message in _value_faults(parameter, item))
            if isinstance(item, str) and "," in item:
                yield f"/{index}", "Asterisk would split this at its comma (in a URL, write %2C)"
    elif parameter.multiple and isinstance(value, str):
        for item in value.split(","):
            yield from (("", message) for message in _value_faults(parameter, item))
    else:
        yield from (("", message) for message in _value_faults(parameter, value))


def _count(value: list[Any] | str) -> int:
    return value.count(",") + 1 if isinstance(value, str) else len(value)


def _value_faults(parameter: Parameter, value: Any) -> Iterator[str]:
    wanted, text = _CHECKS.get(parameter.type, (object, "a value"))
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        yield f"expected {text}"
    elif parameter.values and value not in parameter.values:
        yield f"`{str(value)[:_MOST_SHOWN]}` is none of: {', '.join(parameter.values)}"
    elif isinstance(value, int | float) and not isinstance(value, bool):
        least, most = parameter.limits
        if value < least:
            yield f"{str(value)[:24]} is less than {least:.15g}"
        elif value > most:
            yield f"{str(value)[:24]} is more than {most:.15g}"
    elif value == "" and parameter.where == "path":
        yield "must not be empty"


def _body_faults(name: str, key: str, value: Any) -> _Faults:
    """`variables` and `fields`: the api-docs say only that they are containers; Asterisk is stricter.

    Source: trying. Anything goes in an event; a message takes text; a channel or bridge also `{"value", "report_events"}`.
    """
    if key == "fields":
        if not isinstance(value, list):
            yield "", "expected a list of objects with `attribute` and `value`"
            return
        for index, item in enumerate(value):
            if not (isinstance(item, dict) and all(isinstance(item.get(part), str) for part in ("attribute", "value"))):
                yield f"/{index}", "expected an object with `attribute` and `value`, both strings"
    elif not isinstance(value, dict):
        yield "", "expected an object"
    elif name != "events.userEvent":
        plain = name.startswith("endpoints.")
        text = (
            "expected a string" if plain else "expected a string, or an object with `value` and perhaps `report_events`"
        )
        for variable, item in value.items():
            boxed = isinstance(item, dict) and isinstance(item.get("value"), str) and not plain
            if not isinstance(item, str) and not boxed:
                yield f"/{_key(variable)}", text


_SAID: dict[str, dict[str, Any]] = {"channels.mute": {"direction": "both"}, "channels.unmute": {"direction": "both"}}
"""Defaults of the api-docs that Asterisk wants to hear all the same (400 without)."""


@cache
def _plan(name: str) -> tuple[str, tuple[tuple[bool, str], ...], frozenset[str], frozenset[str]]:
    """(method, the path's parts as (is a parameter, text), body parameters, all of the path's parameters)."""
    found = operations()[name]
    parts: list[tuple[bool, str]] = []
    for index, piece in enumerate(found.path.replace("}", "{").split("{")):
        if piece:
            parts.append((index % 2 == 1, piece))
    bodies = frozenset(p.name for p in found.parameters if p.where == "body")
    return found.method, tuple(parts), bodies, frozenset(text for is_name, text in parts if is_name)


def build(request: Request) -> HttpRequest:
    """The HTTP request for it. Raises KeyError for an operation or a path parameter that is not there.

    `bridges.create` with a `bridgeId` goes to `/bridges/{bridgeId}`, which is the same but takes a body.
    """
    name, params = request.operation, request.params
    if name in _SAID:
        params = _SAID[name] | params
    elif name == "bridges.create" and params.get("bridgeId"):
        name = "bridges.createWithId"
    method, parts, bodies, in_path = _plan(name)
    target = "".join(quote(str(params[text]), safe="") if is_name else text for is_name, text in parts)
    query: list[tuple[str, str]] = []
    body: dict[str, Any] = {}
    for key, value in params.items():
        if key in in_path or value is None:
            continue
        if key in bodies:
            body[key] = value
        else:
            query.append((key, _text(value)))
    if query:
        target = f"{target}?{urlencode(query, quote_via=quote)}"
    return HttpRequest(method, target, _body(body))


def _body(body: dict[str, Any]) -> bytes:
    if not body:
        return b""
    if set(body) == {"filter"}:  # this one is the whole body
        return msgspec.json.encode(body["filter"])
    return msgspec.json.encode(body)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def proof_request(request: Request) -> Request | None:
    """What to ask to learn whether `request` was carried out; None where nothing can tell."""
    proof = PROOFS.get(request.operation)
    if proof is None or any(request.params.get(source) is None for _, source in proof.params):
        return None
    return Request(proof.operation, {name: request.params[source] for name, source in proof.params})


def proved(request: Request, status: int) -> bool | None:
    """What the proof's status says: done, not done, or (None) nothing.

    404 says not done only while nothing can have come and gone since: see `Proof.lasting`.
    """
    if status == 200:
        return True
    return False if status == 404 else None
