"""The OpenAPI of the router's own HTTP: what web/app.py serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hookrouter.actions.new_call import NewCall
from hookrouter.published.schemas import hook, lenient, tidy

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
        "index": {"type": "integer", "description": "The place in `actions` of the one that runs."},
        "actions": {"type": "array", "items": {"type": "object"}, "description": "Those that are done have left."},
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
        "stands_still_since": {
            "type": ["number", "null"],
            "description": "Nothing runs, and the caller hears nothing.",
        },
    },
}
_RECORDED_CALL = {
    "type": "object",
    "description": "A call of the record. `row`: its place in the list, for `before`.",
    "required": ["id", "row", "route", "caller", "called", "started_at", "ended", "outcome", "tags"],
    "properties": {
        **dict.fromkeys(("id", "asterisk", "app", "route", "tenant", "caller", "called", "reason"), _TEXT),
        "row": {"type": "integer"},
        "started_at": _SECONDS,
        "ended": {"type": "boolean"},
        "ended_at": {"type": ["number", "null"], "description": "Seconds since the epoch."},
        "outcome": {"enum": ["live", "good", "failed"]},
        "sentence": {"type": "string", "description": "Why it failed."},
        "tags": {"type": "object", "additionalProperties": _TEXT},
        "bytes": {"type": "integer", "description": "Of all that is kept of it, before it is compressed."},
        "left_out": {"type": "integer", "description": "Entries that are not kept any more."},
    },
}
_NAMES = {"type": "array", "items": _TEXT, "description": "Other routers that did not answer."}
_MISSING = {
    "type": "array",
    "description": "Where several routers share a database: the Asterisks whose calls are not in the list.",
    "items": {
        "type": "object",
        "required": ["asterisk", "router", "address", "why"],
        "properties": dict.fromkeys(("asterisk", "router", "address", "why"), _TEXT),
    },
}
_OWNED = {
    "type": "array",
    "items": _TEXT,
    "description": "Of an answer to another router: the Asterisks whose calls these are.",
}
_NOW = {
    "type": "object",
    "description": "How it goes now, at all routers that answer.",
    "required": ["at", "asterisks", "live", "count", "still", "new_calls", "took", "endpoints", "troubles"],
    "properties": {
        "at": _SECONDS,
        "asterisks": {
            "type": "object",
            "additionalProperties": _TEXT,
            "description": "The state of each connection; `silent`: its router does not answer.",
        },
        "live": {
            "type": "array",
            "items": {"type": "object"},
            "description": "The first 100: who stands still, then the oldest.",
        },
        "count": {"type": "integer", "description": "Live calls."},
        "still": {"type": "integer", "description": "Of them, those that stand still."},
        "new_calls": {"type": "integer", "description": "In the last minute."},
        "took": {
            "type": "array",
            "items": {"type": "number"},
            "description": "Seconds of the last answers: a sample, in order.",
        },
        "endpoints": {"type": "array", "items": {"type": "object"}},
        "troubles": {"type": "array", "items": {"type": "object"}, "description": "What went wrong in the last hour."},
        "members": {
            "type": "array",
            "description": "The routers, where several share a database.",
            "items": {
                "type": "object",
                "required": ["name"],
                "properties": {
                    **dict.fromkeys(("name", "address", "version"), _TEXT),
                    "owns": {"type": "object", "additionalProperties": _TEXT, "description": "Asterisk → state."},
                    "calls": {"type": "integer"},
                    "answers": {"type": "boolean", "description": "It could be asked."},
                },
            },
        },
    },
}
_RECORD = {
    "type": "object",
    "required": ["call", "entries"],
    "properties": {
        "call": {"$ref": f"{_REFERENCE}RecordedCall"},
        "entries": {
            "type": "array",
            "items": {"type": "object", "required": ["at", "what"], "properties": {"at": _SECONDS, "what": _TEXT}},
            "description": "In order. Bodies are text; what is no UTF-8 is an object with `base64`.",
        },
    },
}
_CALL_QUERY = {
    "text": "Words of numbers, ids, tags, reasons and bodies; the last may be the beginning of one. All must be there.",
    "route": "A route's name.",
    "outcome": "`live`, `good` or `failed`.",
    "caller": "The caller's number.",
    "called": "The number that was called.",
    "tags": "`customer:4711`, or `customer` for any value; several with commas.",
    "since": "When it began: `1h` ago, RFC 3339, or seconds since the epoch.",
    "until": "Likewise: before that.",
    "before": "For the next page: the last one's `row`.",
    "limit": "At most so many; 50 by default, 500 at most.",
}
_DELIVERY = {
    "type": "object",
    "required": ["id", "body"],
    "properties": {"id": _TEXT, "body": {"type": "string", "description": "The exact bytes that are sent."}},
}
_REPLAY_QUERY = {"all": "`true`: every dead letter; needed where no filter is given."}
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


_GUARDED = {
    "401": "The token is missing or wrong.",
    "403": "Not from there (a page of another site, another machine where no token is set), or not with this token.",
    "429": "Too many wrong tokens came from this address; the right one is taken at any time.",
}


def control_schemas() -> dict[str, Any]:
    return {
        "Problem": _PROBLEM,
        "NewCall": _new_call(),
        "LiveCall": _LIVE_CALL,
        "Now": _NOW,
        "RecordedCall": _RECORDED_CALL,
        "CallRecord": _RECORD,
        "Program": _PROGRAM,
        "Delivery": _DELIVERY,
    }


def _new_call() -> dict[str, Any]:
    (_,), found = msgspec.json.schema_components([NewCall], schema_hook=hook, ref_template=_REFERENCE + "{name}")
    schema = tidy(found["NewCall"])
    schema["properties"]["actions"]["$ref"] = f"{_REFERENCE}Actions"
    return lenient(schema)


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
    refused = {code[1:]: text for code, text in faults.items()} | ({} if open else _GUARDED)
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


def _listening() -> dict[str, Any]:
    """Events to who asks for them, and their answers."""
    globs = {"type": "object", "additionalProperties": _TEXT}
    wanted = {"match": globs, "take": {"type": "boolean"}, "ignore": {"type": "array", "items": _TEXT}}
    body = {"requestBody": {"content": _json({"type": "object", "properties": wanted, "additionalProperties": False})}}
    stream: dict[str, Any] = {"text/event-stream": {}}
    summary = "Events of calls that begin from now on, to be answered."
    listen = _operation("listen", summary, "200", "Server-sent events.", stream, _422="Bad request.", _503="Too many.")
    query = _in_query(
        {"status": "That of the answer; its body is the request's.", "reason": "Why there is none, such as `timeout`.",
         "detail": "More of that."}
    )  # fmt: skip
    answer = _operation(
        "answerEvent", "The answer to one of them.", "204", "Taken.", _404="It came too late.", _422="Bad answer."
    )
    path = [{"name": name, "in": "path", "required": True, "schema": _TEXT} for name in ("id", "number")]
    content: dict[str, Any] = {"requestBody": {"content": {"application/octet-stream": {}}}}
    return {
        "/v1/listen": {"post": listen | body},
        "/v1/listen/{id}/{number}": {"parameters": path, "post": answer | query | content},
    }


def _cluster() -> dict[str, Any]:
    """Several routers: an Asterisk goes from one to another."""
    name = {"name": "asterisk", "in": "path", "required": True, "schema": _TEXT}
    place = _json(_object(router=_TEXT, version=_TEXT, state=_TEXT, reached={"type": "boolean"}))
    look = _operation(
        "clusterLook", "Whether this router could take the Asterisk.", "200", "What it says.", place,
        _404="No such Asterisk.", _409="There is one router only.",
    )  # fmt: skip
    seconds = {"type": "number", "description": "Until the other one was connected."}
    given = _json(_object(asterisk=_TEXT, router=_TEXT, address=_TEXT, seconds=seconds))
    summary = "Has the Asterisk's owner, whichever router is asked, give it to another router that runs. Calls go on."
    give = _operation(
        "handOver", summary, "200", "The other one has it.", given, _404="No such Asterisk.",
        _409="Nothing was moved: nobody could take it, or not that one.", _422="No such router, or a bad request.",
        _503="Nothing was moved: the owner or the database does not answer.",
        _504="It was not taken in time: who has it now is said.",
    )  # fmt: skip
    to = {"type": "string", "description": "The router's name; default: whoever says first that it can."}
    body: dict[str, Any] = {"type": "object", "properties": {"to": to}, "additionalProperties": False}
    taken = _json(_object(router=_TEXT, epoch={"type": "integer"}))
    take = _operation(
        "clusterTake", "What an owner asks of the router that is to have its Asterisk.", "200", "It is connected.", taken,
        _404="No such Asterisk.", _409="It is not the owner's any more.", _422="Bad request.",
        _503="The database does not answer.", _504="It has not connected, and was given back.",
    )  # fmt: skip
    of = _json(_object(epoch={"type": "integer", "description": "That of the owner."}, of=_TEXT))
    return {
        "/v1/cluster/{asterisk}": {"parameters": [name], "get": look},
        "/v1/cluster/{asterisk}/hand-over": {"parameters": [name], "post": give | {"requestBody": {"content": _json(body)}}},
        "/v1/cluster/{asterisk}/take": {
            "parameters": [name], "post": take | {"requestBody": {"required": True, "content": of}}
        },
    }  # fmt: skip


def control_paths() -> dict[str, Any]:
    state = _json(_object(ready={"type": "boolean"}, asterisk={"type": "object"}))
    ready = _operation("ready", "Is every Asterisk connected?", "200", "All are.", state, open=True)
    ready["responses"]["503"] = {"description": "Not all are.", "content": state}
    either = {"anyOf": [_reference("LiveCall"), _reference("RecordedCall")]}
    calls = _json(_object(calls={"type": "array", "items": either}))
    searched = "Live calls; with a query the recorded ones that fit, live or over, the newest first."
    made = _object(id=_TEXT, asterisk=_TEXT, route=_TEXT)
    made["properties"]["already"] = {
        "type": "boolean",
        "description": "The same `id` was called before: it is one call.",
    }
    calls["application/json"]["schema"]["properties"] |= {"missing": _MISSING, "asterisks": _OWNED}
    found = _json(_object(deliveries={"type": "array", "items": _reference("Delivery")}))
    replayed = _json(_object(replayed={"type": "integer"}))
    replayed["application/json"]["schema"]["properties"]["silent"] = _NAMES
    id = {"name": "id", "in": "path", "required": True, "schema": _TEXT}
    audio = _operation(
        "recording",
        "The audio.",
        "200",
        "The file.",
        {"audio/*": {}},
        _404="No such recording.",
        _503="Too many at a time, or the router that owns its Asterisk is silent.",
    )
    again = _operation("replay", "Sends a dead letter again, with the same id.", "202", "How many.", replayed)
    again_all = _operation("replayAll", "Sends dead letters again.", "202", "How many.", replayed, _422="Bad query.")
    listed = _operation("deliveries", "Notify deliveries.", "200", "The list.", found, _422="Bad query.")
    called = _operation("originate", "Calls somebody.", "201", "Called.", _json(made), _422="Refused.")
    act = _operation("act", "Actions in mid-call.", "202", "Taken.", _404="No such call.", _422="Refused.")
    login = _operation("login", "A browser's session, for a token.", "303", "The cookie.", open=True)
    page: dict[str, Any] = {"text/html": {}}
    login["responses"]["401"] = {"description": "The token is wrong.", "content": page}
    login["responses"]["429"] = {"description": "Too many were wrong.", "content": page}
    form = {"application/x-www-form-urlencoded": {"schema": _object(token=_TEXT)}}
    return {
        "/login": {
            "get": _operation("loginPage", "Asks for the token.", "200", "A page.", page, open=True),
            "post": login | {"requestBody": {"required": True, "content": form}},
        },
        "/logout": {"post": _operation("logout", "Ends the session.", "303", "It is over.", open=True)},
        "/healthz": {"get": _operation("health", "Alive?", "200", "Alive.", {"text/plain": {}}, open=True)},
        "/readyz": {"get": ready},
        "/metrics": {
            "get": _operation("metrics", "For Prometheus.", "200", "Its text format.", {"text/plain": {}}, open=True)
        },
        "/v1/calls": {
            "get": _operation("calls", searched, "200", "The list.", calls, _422="Bad query.") | _in_query(_CALL_QUERY),
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
        "/v1/calls/{id}/record": {
            "parameters": [id],
            "get": _operation(
                "record",
                "All that is kept of a call: events, deliveries with their bodies, requests to Asterisk.",
                "200",
                "The record.",
                _json(_reference("CallRecord")),
                _404="Nothing is kept of such a call.",
            ),
        },
        "/v1/calls/{id}/actions": {"parameters": [id], "post": act | _body("Answer")},
        "/v1/deliveries": {"get": listed | _in_query(_DELIVERY_QUERY)},
        "/v1/deliveries/replay": {"post": again_all | _in_query(_DELIVERY_QUERY | _REPLAY_QUERY)},
        "/v1/deliveries/{id}/replay": {"parameters": [id], "post": again},
        "/v1/recordings/{name}": {
            "parameters": [id | {"name": "name"}],
            "get": audio | _in_query({"asterisk": "Which one has it; default: each is asked."}),
        },
        "/v1/events": {
            "get": _operation(
                "events",
                "What happens, live.",
                "200",
                "Server-sent events.",
                {"text/event-stream": {}},
                _503="Too many listeners.",
            )
        },
        "/v1/now": {"get": _operation("now", "How it goes now.", "200", "Figures.", _json(_reference("Now")))},
        **_cluster(),
        **_listening(),
    }
