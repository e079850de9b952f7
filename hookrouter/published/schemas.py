"""The answer, and routes.toml with the actions in it, as JSON Schema: from the definitions that the decoders themselves use.

Rule: what an editor or a generator of types shows stands on the property itself: its description is no part of an
alternative's, and alternatives are not nested.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from hookrouter.actions.base import Action
from hookrouter.actions.nested import Steps
from hookrouter.actions.vocabulary import BY_NAME
from hookrouter.ari.operations import operations
from hookrouter.config.schema import routes_schema

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_COMMON = ("id", "wait", "onError")


def hook(kind: type) -> dict[str, Any]:
    if issubclass(kind, Steps):
        return kind.schema()
    if kind is msgspec.Raw:
        return {}
    raise NotImplementedError(kind)


def tidy(schema: dict[str, Any]) -> dict[str, Any]:
    """The same schema with descriptions where they are looked for, and alternatives side by side."""
    found = dict(schema)
    if "description" in found:
        found["description"] = " ".join(found["description"].split())
    for key in ("properties", "$defs"):
        if key in found:
            found[key] = {name: tidy(item) for name, item in found[key].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(found.get(key), dict):
            found[key] = tidy(found[key])
    if "anyOf" in found:
        branches = [tidy(branch) for branch in found["anyOf"]]
        inner = [part for branch in branches for part in branch.get("anyOf", [branch])]
        said = [branch.pop("description") for branch in branches if "description" in branch]
        if said:
            found.setdefault("description", said[0])
        for part in inner:
            if "items" in part and part["items"].get("description") == found.get("description"):
                part["items"] = {name: value for name, value in part["items"].items() if name != "description"}
        found["anyOf"] = inner
    elif found.get("items", {}).get("description") and "description" not in found:
        found["items"] = dict(found["items"])
        found["description"] = found["items"].pop("description")
    return found


_ABOUT = ("description", "default", "examples", "title")
_NULL: dict[str, Any] = {"type": "null"}
_NO_ITEMS: dict[str, Any] = {"type": "array", "maxItems": 0}


def lenient(schema: dict[str, Any]) -> dict[str, Any]:
    """An object as it is read: null is left out, and the empty list is an empty map (reading.py)."""
    required = schema.get("required", ())
    properties = {
        name: found if name == "action" else _lenient_field(found, null=name not in required)
        for name, found in schema["properties"].items()
    }
    return {**schema, "properties": properties}


def _lenient_field(schema: dict[str, Any], *, null: bool) -> dict[str, Any]:
    about = {key: value for key, value in schema.items() if key in _ABOUT}
    bare = {key: value for key, value in schema.items() if key not in _ABOUT}
    if not bare:
        return schema  # any JSON
    parts = [_lenient_part(part) for part in bare.get("anyOf", [bare])]
    if any("additionalProperties" in part for part in parts):
        parts.append(_NO_ITEMS)
    if null and _NULL not in parts:
        parts.append(_NULL)
    return {**about, **(parts[0] if len(parts) == 1 else {"anyOf": parts})}


def _lenient_part(part: dict[str, Any]) -> dict[str, Any]:
    """What a list or a map holds may be null as well."""
    return {
        key: _lenient_field(value, null=True)
        if key in ("items", "additionalProperties") and isinstance(value, dict)
        else value
        for key, value in part.items()
    }


def _verb_schema(verb: type[Action]) -> tuple[dict[str, Any], dict[str, Any]]:
    (reference,), definitions = msgspec.json.schema_components([verb], schema_hook=hook, ref_template="#/$defs/{name}")
    name = reference["$ref"].rsplit("/", 1)[1]
    schema = dict(definitions.pop(name))
    schema["properties"]["action"] = {"const": str(verb.__struct_config__.tag)}
    schema["description"] = verb.__doc__ or ""
    schema.pop("title", None)
    if verb.examples:
        schema["examples"] = [msgspec.json.decode(example) for example in verb.examples]
    return tidy(schema), {name: tidy(found) for name, found in definitions.items()}


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
        if schema["type"] in ("integer", "number"):
            schema["minimum"], schema["maximum"] = parameter.limits
        if parameter.multiple:
            schema = {"anyOf": [schema, {"type": "array", "items": schema}]}
        elif schema["type"] == "object":
            schema = {"anyOf": [schema, {"type": "array"} if parameter.name == "fields" else _NO_ITEMS]}
        if parameter.default is not None:
            schema["default"] = parameter.default
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
        "description": f"{found.method} {found.path}: Asterisk's own operation, since version {found.since}.",
    }


@cache
def actions_schema() -> dict[str, Any]:
    """JSON Schema 2020-12 of an answer; `$defs.Action` is a `oneOf` with `action` as the discriminator."""
    definitions: dict[str, Any] = {}
    names: dict[str, str] = {}
    for tag, verb in BY_NAME.items():
        schema, more = _verb_schema(verb)
        definitions |= {name: lenient(found) if "properties" in found else found for name, found in more.items()}
        key = f"{verb.__name__}Action"
        definitions[key] = lenient(schema)
        names[tag] = f"#/$defs/{key}"
    for name in operations():
        key = re.sub(r"[^A-Za-z0-9]", "_", name)
        definitions[key] = lenient(_operation_schema(name))
        names[name] = f"#/$defs/{key}"
    definitions["Action"] = {
        "oneOf": [{"$ref": reference} for reference in names.values()],
        "discriminator": {"propertyName": "action", "mapping": names},
    }
    definitions["Actions"] = {
        "description": "Run in order; each is complete before the next begins.",
        "type": "array",
        "items": {"anyOf": [{"$ref": "#/$defs/Action"}, _NULL]},
        "maxItems": 1000,
    }
    definitions["Answer"] = _ANSWER
    return {
        "$schema": _DIALECT,
        "title": "hookrouter answer",
        "$ref": "#/$defs/Answer",
        "$defs": definitions,
    }


_ANSWER: dict[str, Any] = {
    "description": "What an endpoint answers: a list of actions, or an object with more to say.",
    "anyOf": [
        {"$ref": "#/$defs/Actions"},
        lenient(
            {
                "type": "object",
                "properties": {
                    "actions": {"$ref": "#/$defs/Actions"},
                    "state": {"description": "Replaces the call's state: any JSON, at most 16 KiB."},
                    "mode": {
                        "description": "`replace` stops what runs and does this instead, `append` does it afterwards, "
                        "`parallel` beside it.",
                        "enum": ["replace", "append", "parallel"],
                        "default": "replace",
                    },
                    "whenDone": {
                        "description": "What follows the last action; by default the call waits for its next event.",
                        "enum": ["wait", "hangup", "continue", None],
                        "default": None,
                    },
                    "tags": {
                        "description": "Words of your own by which the call is found afterwards; added to those it has.",
                        "type": "object",
                        "propertyNames": {"minLength": 1, "maxLength": 64},
                        "additionalProperties": {"type": ["string", "number", "boolean"], "maxLength": 256},
                        "maxProperties": 20,
                    },
                },
                "additionalProperties": False,
            }
        ),
    ],
}


@cache
def routes_document() -> dict[str, Any]:
    """JSON Schema 2020-12 of routes.toml, with all that its lists of actions may hold."""
    definitions = {name: schema for name, schema in actions_schema()["$defs"].items() if name != "Answer"}
    found: dict[str, Any] = _with_actions(routes_schema())
    return {**found, "$defs": found["$defs"] | definitions}


def _with_actions(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_with_actions(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("required") == ["action"]:
        return {"$ref": "#/$defs/Action"}
    return {key: _with_actions(item) for key, item in schema.items()}
