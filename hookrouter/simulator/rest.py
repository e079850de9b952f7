"""REST: method and path to an operation of the api-docs, its parameters, and whoever carries it out.

Rules: all 109 operations are known; one without a handler of its own answers plausibly. Errors are Asterisk's:
`{"message": …}` with its status.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec

from hookrouter.ari.operations import Operation, operations
from hookrouter.simulator.pbx import Pbx

Params = dict[str, Any]
Answer = tuple[int, Any]
Handler = Callable[[Pbx, Params], Awaitable[Answer]]

HANDLERS: dict[str, Handler] = {}
OWN_CHECKS: set[str] = set()
DONE: Answer = (204, None)


def handles(*names: str, checks: bool = False) -> Callable[[Handler], Handler]:
    """Registers what carries out these operations. `checks`: it says itself what is missing."""

    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[name] = handler
            if checks:
                OWN_CHECKS.add(name)
        return handler

    return register


class Refused(Exception):
    """A request that Asterisk answers with an error."""

    def __init__(self, status: int, message: str, key: str = "message") -> None:
        super().__init__(message)
        self.status = status
        self.key = key


@cache
def _table() -> Mapping[int, list[tuple[list[str], Operation]]]:
    """Operations by the number of their path's parts, literal parts first."""
    table: dict[int, list[tuple[list[str], Operation]]] = {}
    for found in operations().values():
        parts = found.path.strip("/").split("/")
        table.setdefault(len(parts), []).append((parts, found))
    for entries in table.values():
        entries.sort(key=lambda entry: [part.startswith("{") for part in entry[0]])
    return table


def route(method: str, path: str) -> tuple[Operation, dict[str, str]]:
    """The operation and its path parameters. Raises Refused (404 for the path, 405 for the method)."""
    given = path.strip("/").split("/")
    known = False
    for parts, found in _table().get(len(given), []):
        if all(part.startswith("{") or part == unquote(one) for part, one in zip(parts, given, strict=True)):
            known = True
            if found.method == method:
                return found, {
                    part[1:-1]: unquote(one) for part, one in zip(parts, given, strict=True) if part.startswith("{")
                }
    raise Refused(405, "Invalid method") if known else Refused(404, "Resource not found")


async def perform(pbx: Pbx, method: str, target: str, body: bytes = b"") -> tuple[int, bytes, str]:
    """One request: status, body and content type. `target` is path and query below /ari."""
    try:
        status, answer = await _perform(pbx, method, target, body)
    except Refused as error:
        status, answer = error.status, {error.key: str(error)}
    if isinstance(answer, bytes):
        return status, answer, "audio/wav"
    return status, b"" if answer is None else msgspec.json.encode(answer), "application/json"


_MISSING = {
    ("channels.originate", "endpoint"): (400, "Endpoint must be specified"),
    ("channels.originateWithId", "endpoint"): (400, "Endpoint must be specified"),
    ("channels.create", "endpoint"): (400, "Endpoint must be specified"),
    ("playbacks.control", "operation"): (400, "Missing operation"),
    ("events.claimChannel", "channelId"): (400, "channelId parameter is required"),
    ("events.claimChannel", "application"): (400, "application parameter is required"),
    ("channels.externalMedia", "app"): (400, "app cannot be empty"),
    ("recordings.copyStored", "destinationRecordingName"): (400, "Invalid destination recording name"),
}  # what Asterisk says; it has no rule of its own for it


async def _perform(pbx: Pbx, method: str, target: str, body: bytes) -> Answer:
    split = urlsplit("http://ari/" + target.lstrip("/"))
    found, params = route(method, split.path)
    given: Params = {}
    if body.strip():
        try:
            decoded = msgspec.json.decode(body)
        except msgspec.DecodeError:
            raise Refused(400, "Request body could not be parsed") from None
        given = {"filter": decoded} if found.name == "applications.filter" else _object(decoded)
    given.update(parse_qsl(split.query, keep_blank_values=True))
    given.update(params)
    if found.name not in OWN_CHECKS:
        for parameter in found.parameters:
            if parameter.required and parameter.name not in given:
                raise Refused(*_MISSING.get((found.name, parameter.name), (400, f"Missing parameter {parameter.name}")))
    for watcher in pbx.asked:
        watcher(found.name, given)
    handler = HANDLERS.get(found.name)
    if handler is not None:
        return await handler(pbx, given)
    return _plausible(found)


def _object(decoded: Any) -> Params:
    if not isinstance(decoded, dict):
        raise Refused(400, "Request body could not be parsed")
    return decoded


def _plausible(found: Operation) -> Answer:
    if found.response == "void":
        return DONE
    if found.response.startswith("List["):
        return 200, []
    raise Refused(404, "There is none")


def reason(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def number(params: Params, name: str, default: int = 0) -> int:
    """A parameter that is a whole number. Raises Refused."""
    try:
        return int(params.get(name) or default)
    except (TypeError, ValueError):
        raise Refused(400, f"{name} must be a number") from None


def text(params: Params, name: str, default: str = "") -> str:
    found = params.get(name, default)
    return default if found is None else str(found)


def flag(params: Params, name: str) -> bool:
    return text(params, name).lower() in ("true", "yes", "1", "on")


def listed(params: Params, name: str) -> list[str]:
    found = params.get(name)
    if isinstance(found, list):
        return [str(one) for one in found]
    return [one for one in str(found or "").split(",") if one]


def variables(params: Params) -> dict[str, str]:
    """The body's `variables`: values may be anything that has a text."""
    found = params.get("variables")
    if isinstance(found, dict):
        inner = found.get("variables")
        return {str(key): str(one) for key, one in (inner if isinstance(inner, dict) else found).items()}
    return {}
