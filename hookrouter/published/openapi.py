"""OpenAPI 3.1: every webhook with its payload and an example, and the router's own HTTP.

Rules: payloads of ARI's events are Asterisk's api-docs (of the newest version that is known), those of the router's own are
actions/results.py. `Webhook` is all of them, told apart by `type`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from hookrouter import __version__
from hookrouter.actions.results import RESULT_TYPES, Result
from hookrouter.ari.operations import event_types, models
from hookrouter.published.openapi_control import control_paths, control_schemas
from hookrouter.published.samples import BY_HAND, sample
from hookrouter.published.schemas import actions_schema, hook, tidy

_REFERENCE = "#/components/schemas/"
_ARI = {
    "string": {"type": "string"},
    "Date": {"type": "string", "description": "As Asterisk writes it: `2026-11-23T01:21:20.227+0000`."},
    "int": {"type": "integer"},
    "long": {"type": "integer"},
    "double": {"type": "number"},
    "boolean": {"type": "boolean"},
    "object": {"type": "object"},
}
_CALL = {
    "type": "object",
    "description": "The call that it belongs to; absent where it belongs to none.",
    "required": ["id", "asterisk", "app", "route", "sequence", "state"],
    "properties": {
        "id": {"type": "string", "description": "The id of its channel."},
        "asterisk": {"type": "string", "description": "The name in routes.toml."},
        "app": {"type": "string", "description": "The Stasis app."},
        "route": {"type": "string", "description": "The name of the route."},
        "sequence": {"type": "integer", "minimum": 1, "description": "Counts the call's deliveries to this endpoint."},
        "state": {"description": "What the last answer set; `{}` at first."},
    },
}
_FALLBACK = {
    "type": "object",
    "description": "Why this endpoint, the route's fallback, is asked.",
    "properties": {
        "reason": {"type": "string"},
        "status": {"type": ["integer", "null"]},
        "url": {"type": "string"},
    },
}


def _header(name: str, description: str, *, required: bool = True, **schema: Any) -> dict[str, Any]:
    said = {"name": name, "in": "header", "description": description, "required": required}
    return {**said, "schema": {"type": "string", **schema}}


_HEADERS = {
    found["name"]: found
    for found in (
        _header("webhook-id", "The body's `id`: the same in every attempt."),
        _header("webhook-timestamp", "Seconds since the epoch, of this attempt.", pattern="^[0-9]+$"),
        _header(
            "webhook-signature",
            "`v1,` and base64 of HMAC-SHA256 of `id.timestamp.body`; one for each secret of the route, separated by "
            "spaces. Absent if it has none.",
            required=False,
        ),
        _header("hookrouter-attempt", "From 1.", pattern="^[1-9][0-9]*$"),
        _header("hookrouter-deadline-ms", "What is left of the deadline; control only.", required=False),
        _header("prefer", "`reply`: an answer is waited for; not for notify.", required=False),
        _header("hookrouter-shadow", "`true`: to a candidate; its answer is compared, and not run.", required=False),
        _header("traceparent", "W3C trace context: the trace is the call's."),
    )
}


@cache
def openapi_document() -> dict[str, Any]:
    """The whole document, as `hookrouter schema openapi` prints it."""
    schemas: dict[str, Any] = dict(_rebased(actions_schema()["$defs"]))
    for name, fields in models().items():
        schemas[name] = _object(fields, f"Asterisk's {name}.")
    for name, fields in event_types().items():
        schemas[name] = _event(name, fields)
    for name, result in RESULT_TYPES.items():
        schemas |= _result(name, result)
    schemas |= {"Call": _CALL, "Fallback": _FALLBACK, **control_schemas()}
    types = [*event_types(), *RESULT_TYPES]
    for name in types:
        schemas[f"{name}Webhook"] = _webhook(name)
    references = {name: f"{_REFERENCE}{name}Webhook" for name in types}
    schemas["Webhook"] = {
        "description": "Whatever an endpoint may be sent.",
        "oneOf": [{"$ref": reference} for reference in references.values()],
        "discriminator": {"propertyName": "type", "mapping": references},
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "hookrouter",
            "version": __version__,
            "description": "`webhooks`: what your endpoint is sent and answers. `paths`: the router's own HTTP.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "http://127.0.0.1:8080", "description": "`listen` of `[server]` in routes.toml."}],
        "webhooks": {name: _operation_of(name) for name in types},
        "paths": control_paths(),
        "components": {
            "schemas": schemas,
            "parameters": _HEADERS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _rebased(value: Any) -> Any:
    """`#/$defs/` as OpenAPI's components."""
    if isinstance(value, dict):
        return {key: _rebased(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rebased(item) for item in value]
    if isinstance(value, str) and value.startswith("#/$defs/"):
        return value.replace("#/$defs/", _REFERENCE)
    return value


def _ari_type(kind: str) -> dict[str, Any]:
    if kind.startswith("List["):
        return {"type": "array", "items": _ari_type(kind[5:-1])}
    return dict(_ARI[kind]) if kind in _ARI else {"$ref": _REFERENCE + kind}


def _object(fields: Mapping[str, str], description: str) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": [name for name, kind in fields.items() if not kind.endswith("?")],
        "properties": {name: _ari_type(kind.removesuffix("?")) for name, kind in fields.items()},
    }


def _event(name: str, fields: Mapping[str, str]) -> dict[str, Any]:
    schema = _object(fields, f"Asterisk's own event {name}, as Asterisk sent it.")
    schema["properties"]["type"] = {"const": name}
    return schema


def _result(name: str, result: type[Result]) -> dict[str, Any]:
    """Its schema, and those of its parts."""
    (_,), found = msgspec.json.schema_components([result], schema_hook=hook, ref_template=_REFERENCE + "{name}")
    schemas = {part: tidy(schema) for part, schema in found.items()}
    schema = schemas[name]
    schema.pop("title", None)
    if name not in ("CallEnded", "EventsLeftOut"):
        action = {"$ref": f"{_REFERENCE}Action", "description": "The action, as it was given; with its `id`."}
        schema["properties"] = {"action": action, **schema["properties"]}
        schema["required"] = ["action", *schema.get("required", [])]
    return schemas


def _webhook(name: str) -> dict[str, Any]:
    ours = name in RESULT_TYPES
    return {
        "type": "object",
        "required": ["id", "type", "timestamp", "data", *(["call"] if ours else [])],
        "properties": {
            "id": {"type": "string", "maxLength": 64, "description": "The same in every attempt: `webhook-id`."},
            "type": {"const": name},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": {"$ref": _REFERENCE + name},
            "inferred": {"type": "boolean", "description": "Found out by asking, after a loss of the connection."},
            "check": {
                "const": True,
                "description": "A sample that `hookrouter check --live` sends: there is no call, and nothing of the answer is "
                "carried out.",
            },
            "fallback": {"$ref": f"{_REFERENCE}Fallback"},
            "call": {"$ref": f"{_REFERENCE}Call"},
        },
    }


def _operation_of(name: str) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": {"$ref": f"{_REFERENCE}{name}Webhook"}}
    if name in RESULT_TYPES or name in BY_HAND:
        media["examples"] = {name: {"value": sample(name)}}
    answer = {"content": {"application/json": {"schema": {"$ref": f"{_REFERENCE}Answer"}}}}
    whose = "The router's own." if name in RESULT_TYPES else "Asterisk's own."
    return {
        "post": {
            "operationId": f"on{name}",
            "summary": name,
            "description": f"{whose} Signed after Standard Webhooks, if the route has a `secret`.",
            "security": [],
            "parameters": [{"$ref": f"#/components/parameters/{header}"} for header in _HEADERS],
            "requestBody": {"required": True, "content": {"application/json": media}},
            "responses": {
                "200": {"description": "Actions (control), or taken (notify).", **answer},
                "204": {"description": "Nothing changes."},
                "4XX": {"description": "Refused: no retry, the fallback follows (but for 408, 409, 425 and 429)."},
            },
        }
    }
