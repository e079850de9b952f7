"""The OpenAPI of the router's own HTTP: what web/app.py serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hookrouter.originating import NewCall
from hookrouter.schemas import hook, tidy

_REFERENCE = "#/components/schemas/"
_TEXT = {"type": "string"}
_SECONDS = {"type": "number", "description": "Seconds since the epoch."}
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
_PROGRAM = {
    "type": "object",
    "description": "A list of actions that the call carries out.",
    "required": ["id", "kind", "index", "actions", "waiting"],
    "properties": {
        "id": _TEXT,
        "kind": _TEXT,
        "index": {"type": "integer", "description": "The action that runs."},
        "actions": {"type": "array", "items": {"type": "object"}},
        "waiting": {"type": "boolean", "description": "For an endpoint's answer."},
    },
}
_LIVE_CALL = {
    "type": "object",
    "required": [
        "id",
        "asterisk",
        "app",
        "route",
        "caller",
        "called",
        "started_at",
        "up",
        "ended",
        "state",
        "programs",
    ],
    "properties": {
        **dict.fromkeys(("id", "asterisk", "app", "route", "caller", "called"), _TEXT),
        "started_at": _SECONDS,
        "up": {"type": "boolean", "description": "Answered."},
        "ended": {"type": "boolean"},
        "state": {"description": "`call.state`, as the last answer set it."},
        "programs": {"type": "array", "items": {"$ref": f"{_REFERENCE}Program"}},
    },
}
_DELIVERY = {
    "type": "object",
    "required": ["id", "body"],
    "properties": {"id": _TEXT, "body": {"type": "string", "description": "The exact bytes that are sent."}},
}
_DELIVERY_QUERY = {
    "id": "One delivery, with its attempts.",
    "status": "`pending`, `delivered` or `dead`.",
    "route": "A route's name.",
    "call": "A call's id.",
    "type": "An event type.",
    "reason": "Why the last attempt failed.",
    "created_after": "Seconds since the epoch.",
    "created_before": "Seconds since the epoch.",
    "limit": "At most so many; 100 by default.",
    "after": "For the next page: the last one's number.",
}


def control_schemas() -> dict[str, Any]:
    return {
        "Problem": _PROBLEM,
        "NewCall": _new_call(),
        "LiveCall": _LIVE_CALL,
        "Program": _PROGRAM,
        "Delivery": _DELIVERY,
    }


def _new_call() -> dict[str, Any]:
    (_,), found = msgspec.json.schema_components([NewCall], schema_hook=hook, ref_template=_REFERENCE + "{name}")
    schema = tidy(found["NewCall"])
    schema["properties"]["actions"]["$ref"] = f"{_REFERENCE}Actions"
    return schema


def _reference(name: str) -> dict[str, Any]:
    return {"$ref": _REFERENCE + name}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _json(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _operation(
    id: str, summary: str, good: str, said: str, content: Any = None, *, open: bool = False, **faults: str
) -> dict[str, Any]:
    """`good`: the status that says so, `content` what comes with it; `faults`: the others, as `_404="No such call."`."""
    problem = {"application/problem+json": {"schema": _reference("Problem")}}
    refused = {code[1:]: text for code, text in faults.items()} | (
        {} if open else {"401": "The token is missing or wrong."}
    )
    return {
        "operationId": id,
        "summary": summary,
        "security": [] if open else [{"token": []}],
        "responses": {
            good: {"description": said} | ({"content": content} if content else {}),
            **{code: {"description": text, "content": problem} for code, text in refused.items()},
        },
    }


def _in_query(known: Mapping[str, str]) -> dict[str, Any]:
    found = [{"name": name, "in": "query", "description": said, "schema": _TEXT} for name, said in known.items()]
    return {"parameters": found}


def _body(name: str) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": _json(_reference(name))}}


def control_paths() -> dict[str, Any]:
    state = _json(_object(ready={"type": "boolean"}, asterisk={"type": "object"}))
    ready = _operation("ready", "Is every Asterisk connected?", "200", "All are.", state, open=True)
    ready["responses"]["503"] = {"description": "Not all are.", "content": state}
    calls = _json(_object(calls={"type": "array", "items": _reference("LiveCall")}))
    made = _object(id=_TEXT, asterisk=_TEXT, route=_TEXT)
    made["properties"]["already"] = {
        "type": "boolean",
        "description": "The same `id` was called before: it is one call.",
    }
    found = _json(_object(deliveries={"type": "array", "items": _reference("Delivery")}))
    replayed = _json(_object(replayed={"type": "integer"}))
    id = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
    audio = _operation("recording", "The audio.", "200", "The file.", {"audio/*": {}}, _404="No such recording.")
    again = _operation("replay", "Sends a dead letter again, with the same id.", "202", "How many.", replayed)
    again_all = _operation("replayAll", "Sends dead letters again.", "202", "How many.", replayed, _422="Bad query.")
    listed = _operation("deliveries", "Notify deliveries.", "200", "The list.", found, _422="Bad query.")
    called = _operation("originate", "Calls somebody.", "201", "Called.", _json(made), _422="Refused.")
    act = _operation("act", "Actions in mid-call.", "202", "Taken.", _404="No such call.", _422="Refused.")
    return {
        "/healthz": {"get": _operation("health", "Alive?", "200", "Alive.", {"text/plain": {}}, open=True)},
        "/readyz": {"get": ready},
        "/metrics": {
            "get": _operation("metrics", "For Prometheus.", "200", "Its text format.", {"text/plain": {}}, open=True)
        },
        "/v1/calls": {
            "get": _operation("calls", "Live calls.", "200", "The list.", calls),
            "post": called | _body("NewCall"),
        },
        "/v1/calls/{id}": {
            "parameters": [id],
            "get": _operation(
                "call",
                "A call, live or ended, and its timeline.",
                "200",
                "The call.",
                _json({"type": "object"}),
                _404="No such call.",
            ),
            "delete": _operation("hangup", "Hangs up.", "204", "Done.", _404="No such call."),
        },
        "/v1/calls/{id}/actions": {"parameters": [id], "post": act | _body("Answer")},
        "/v1/deliveries": {"get": listed | _in_query(_DELIVERY_QUERY)},
        "/v1/deliveries/replay": {"post": again_all | _in_query(_DELIVERY_QUERY)},
        "/v1/deliveries/{id}/replay": {"parameters": [id], "post": again},
        "/v1/recordings/{name}": {
            "parameters": [id | {"name": "name"}],
            "get": audio | _in_query({"asterisk": "Which one has it; default: each is asked."}),
        },
        "/v1/events": {
            "get": _operation("events", "What happens, live.", "200", "Server-sent events.", {"text/event-stream": {}})
        },
    }
