"""The published interface as JSON Schema and OpenAPI, made from the definitions that the decoder itself uses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from hookrouter import __version__
from hookrouter.actions.base import Action, Steps
from hookrouter.actions.vocabulary import BY_NAME, RESULTS
from hookrouter.ari.operations import event_types, operations

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_COMMON = ("id", "wait", "onError")


def _hook(kind: type) -> dict[str, Any]:
    if issubclass(kind, Steps):
        return kind.schema()
    if kind is msgspec.Raw:
        return {}
    raise NotImplementedError(kind)


def _verb_schema(verb: type[Action]) -> tuple[dict[str, Any], dict[str, Any]]:
    (reference,), definitions = msgspec.json.schema_components([verb], schema_hook=_hook, ref_template="#/$defs/{name}")
    name = reference["$ref"].rsplit("/", 1)[1]
    schema = dict(definitions.pop(name))
    schema["properties"]["action"] = {"const": str(verb.__struct_config__.tag)}
    schema["description"] = (verb.__doc__ or "").strip()
    schema.pop("title", None)
    if verb.examples:
        schema["examples"] = [msgspec.json.decode(example) for example in verb.examples]
    return schema, definitions


_TYPES = {
    "int": "integer",
    "long": "integer",
    "double": "number",
    "boolean": "boolean",
    "containers": "object",
    "object": "object",
}


def _operation_schema(name: str) -> dict[str, Any]:
    found = operations()[name]
    properties: dict[str, Any] = {"action": {"const": name}}
    required = ["action"]
    for parameter in found.parameters:
        schema: dict[str, Any] = {"type": _TYPES.get(parameter.type, "string")}
        if parameter.values:
            schema["enum"] = list(parameter.values)
        if parameter.minimum is not None:
            schema["minimum"] = parameter.minimum
        if parameter.maximum is not None:
            schema["maximum"] = parameter.maximum
        if parameter.multiple:
            schema = {"anyOf": [schema, {"type": "array", "items": schema}]}
        properties[parameter.name] = schema
        if parameter.required and parameter.name not in ("channelId", "playbackId", "snoopId", "bridgeId"):
            required.append(parameter.name)
    common = _verb_schema(next(iter(BY_NAME.values())))[0]["properties"]
    properties |= {key: common[key] for key in _COMMON if key not in properties}
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
        "description": f"{found.method} {found.path}: Asterisk's own operation.",
    }


@cache
def actions_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of an answer; `$defs.Action` is a `oneOf` with `action` as the discriminator."""
    definitions: dict[str, Any] = {}
    names: dict[str, str] = {}
    for tag, verb in BY_NAME.items():
        schema, more = _verb_schema(verb)
        definitions |= more
        key = f"{verb.__name__}Action"
        definitions[key] = schema
        names[tag] = f"#/$defs/{key}"
    for name in operations():
        key = re.sub(r"[^A-Za-z0-9]", "_", name)
        definitions[key] = _operation_schema(name)
        names[name] = f"#/$defs/{key}"
    definitions["Action"] = {
        "oneOf": [{"$ref": reference} for reference in names.values()],
        "discriminator": {"propertyName": "action", "mapping": names},
    }
    definitions["Actions"] = {"type": "array", "items": {"$ref": "#/$defs/Action"}, "maxItems": 1000}
    definitions["Answer"] = {
        "anyOf": [
            {"$ref": "#/$defs/Actions"},
            {
                "type": "object",
                "properties": {
                    "actions": {"$ref": "#/$defs/Actions"},
                    "state": {"description": "Replaces the call's state: any JSON, at most 16 KiB."},
                    "mode": {"enum": ["replace", "append", "parallel"], "default": "replace"},
                    "whenDone": {"enum": ["wait", "hangup", "continue", None], "default": None},
                },
                "additionalProperties": False,
            },
        ]
    }
    return {
        "$schema": _DIALECT,
        "title": "hookrouter answer",
        "$ref": "#/$defs/Answer",
        "$defs": definitions,
    }


def _envelope(data: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["id", "type", "timestamp", "data"],
        "properties": {
            "id": {"type": "string", "maxLength": 64},
            "type": {"type": "string"},
            "timestamp": {"type": "string", "format": "date-time"},
            "data": dict(data),
            "inferred": {"type": "boolean"},
            "fallback": {"type": "object"},
            "call": {
                "type": "object",
                "required": ["id", "asterisk", "app", "route", "sequence", "state"],
                "properties": {
                    "id": {"type": "string"},
                    "asterisk": {"type": "string"},
                    "app": {"type": "string"},
                    "route": {"type": "string"},
                    "sequence": {"type": "integer", "minimum": 1},
                    "state": {},
                },
            },
        },
    }


def _rebased(value: Any) -> Any:
    """`#/$defs/` as OpenAPI's components."""
    if isinstance(value, dict):
        return {key: _rebased(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rebased(item) for item in value]
    if isinstance(value, str) and value.startswith("#/$defs/"):
        return value.replace("#/$defs/", "#/components/schemas/")
    return value


@cache
def openapi_document() -> dict[str, Any]:
    """OpenAPI 3.1: the webhooks with their payloads, and the control API."""
    schemas = _rebased(actions_schema()["$defs"])
    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}}
    webhooks: dict[str, Any] = {}
    for type, fields in event_types().items():
        data = {"type": "object", "properties": {name: {} for name in fields}, "description": f"ARI's {type}."}
        webhooks[type] = _webhook(type, data, answer)
    for type in sorted(RESULTS):
        webhooks[type] = _webhook(type, {"type": "object", "properties": {"action": {}}}, answer)
    return {
        "openapi": "3.1.0",
        "info": {"title": "hookrouter", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "webhooks": webhooks,
        "paths": _paths(),
        "components": {
            "schemas": schemas | {"Problem": _PROBLEM, "NewCall": _new_call()},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


_PROBLEM = {
    "type": "object",
    "description": "RFC 9457.",
    "required": ["type", "title", "status"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "faults": {"type": "array", "items": {"type": "object"}},
    },
}


def _webhook(type: str, data: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "post": {
            "operationId": f"on{type}",
            "requestBody": {"content": {"application/json": {"schema": _envelope(data)}}},
            "responses": {
                "200": {"description": "Actions (control), or taken (notify).", **answer},
                "204": {"description": "Nothing changes."},
            },
        }
    }


def _new_call() -> dict[str, Any]:
    from hookrouter.originating import NewCall

    schema = msgspec.json.schema(NewCall, schema_hook=_hook)
    return dict(schema["$defs"]["NewCall"]) if "$defs" in schema else dict(schema)


def _paths() -> dict[str, Any]:
    secured: list[dict[str, list[str]]] = [{"token": []}]
    call = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}

    def operation(id: str, summary: str, **responses: str) -> dict[str, Any]:
        found = {code[1:]: {"description": text} for code, text in responses.items()}
        return {"operationId": id, "summary": summary, "security": secured, "responses": found}

    answer = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/Answer"}}}, "required": True}
    new_call = {"content": {"application/json": {"schema": {"$ref": "#/components/schemas/NewCall"}}}, "required": True}
    return {
        "/healthz": {"get": {"operationId": "health", "responses": {"200": {"description": "Alive."}}}},
        "/readyz": {
            "get": {
                "operationId": "ready",
                "responses": {
                    "200": {"description": "Every Asterisk is connected."},
                    "503": {"description": "Not all are."},
                },
            }
        },
        "/metrics": {"get": {"operationId": "metrics", "responses": {"200": {"description": "Prometheus text."}}}},
        "/v1/calls": {
            "get": operation("calls", "Live calls.", _200="The list."),
            "post": operation("originate", "Calls somebody.", _201="Called.", _422="Refused.")
            | {"requestBody": new_call},
        },
        "/v1/calls/{id}": {
            "parameters": [call],
            "get": operation("call", "A call and its timeline.", _200="The call.", _404="No such call."),
            "delete": operation("hangup", "Hangs up.", _204="Done.", _404="No such call."),
        },
        "/v1/calls/{id}/actions": {
            "parameters": [call],
            "post": operation("act", "Actions in mid-call.", _202="Taken.", _404="No such call.", _422="Refused.")
            | {"requestBody": answer},
        },
        "/v1/deliveries": {"get": operation("deliveries", "Notify deliveries.", _200="The list.", _422="Bad query.")},
        "/v1/deliveries/{id}/replay": {
            "parameters": [call],
            "post": operation("replay", "Sends a dead letter again.", _202="How many."),
        },
        "/v1/recordings/{name}": {
            "parameters": [call | {"name": "name"}],
            "get": operation("recording", "The audio.", _200="The file.", _404="No such recording."),
        },
        "/v1/events": {"get": operation("events", "What happens, live.", _200="Server-sent events.")},
    }
