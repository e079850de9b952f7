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

from hookrouter.ari.repeating import BLOCKING, FINAL_5XX, PROOFS, REPEATS, Proof, Repeat
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
    """Every event type of ARI with its fields and their types."""
    return _spec().events


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
    "containers": ((dict, list), "an object"),
    "object": (dict, "an object"),
}


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
        if parameter is None:
            close = get_close_matches(key, known, n=1, cutoff=0.6)
            hint = f"did you mean `{close[0]}`?" if close else f"known: {', '.join(known) or 'none'}"
            faults.append(Fault(f"{place}/{key}", f"`{name}` has no parameter `{key}`; {hint}"))
        else:
            faults.extend(Fault(f"{place}/{key}", message) for message in _faults(parameter, value))
    faults.extend(
        Fault(f"{place}/{parameter.name}", "missing")
        for parameter in known.values()
        if parameter.required and parameter.name not in params
    )
    return faults


def _faults(parameter: Parameter, value: Any) -> Iterator[str]:
    if parameter.multiple and isinstance(value, list):
        for item in value:
            yield from _faults(msgspec.structs.replace(parameter, multiple=False), item)
        return
    wanted, text = _CHECKS.get(parameter.type, (object, "a value"))
    if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
        yield f"expected {text}"
    elif parameter.values and value not in parameter.values:
        yield f"`{value}` is none of: {', '.join(parameter.values)}"
    elif parameter.minimum is not None and isinstance(value, int | float) and value < parameter.minimum:
        yield f"{value} is less than {parameter.minimum:g}"
    elif parameter.maximum is not None and isinstance(value, int | float) and value > parameter.maximum:
        yield f"{value} is more than {parameter.maximum:g}"


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
    """The HTTP request for it. Raises KeyError for an operation or a path parameter that is not there."""
    method, parts, bodies, in_path = _plan(request.operation)
    params = request.params
    target = "".join(quote(str(params[text]), safe="") if is_name else text for is_name, text in parts)
    query: list[tuple[str, str]] = []
    body: dict[str, Any] = {}
    for name, value in params.items():
        if name in in_path or value is None:
            continue
        if name in bodies:
            body[name] = value
        else:
            query.append((name, _text(value)))
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
    """What the proof's status says: done, not done, or (None) nothing."""
    if status == 200:
        return True
    return False if status == 404 else None


_unknown = {name for name, found in operations().items() if found.method != "GET"} ^ set(REPEATS)
if _unknown:  # a new api-docs file with operations that nobody has thought about
    raise RuntimeError(f"repeating.py and the api-docs disagree about {sorted(_unknown)}")
