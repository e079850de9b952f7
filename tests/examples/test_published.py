"""What endpoints are really sent is what `hookrouter schema openapi` says."""

from __future__ import annotations

import json
import re
import secrets
from pathlib import Path
from typing import Any

import httpx
import jsonschema
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route
from starlette.routing import Route

from hookrouter.actions.vocabulary import RESULTS
from hookrouter.ari.operations import event_types
from hookrouter.published.openapi import openapi_document
from hookrouter.simulator import Simulator
from hookrouter.web.app import create_app

_DOCUMENT = openapi_document()


def _faults(name: str, body: Any) -> list[str]:
    schema = {"$ref": f"#/components/schemas/{name}Webhook", "components": _DOCUMENT["components"]}
    found = jsonschema.Draft202012Validator(schema).iter_errors(body)
    return [f"{name} {error.json_path}: {error.message}" for error in found]


def test_every_type_is_there_and_every_example_fits() -> None:
    """ARI's events and the router's own; an example for each of its own, and for a call's beginning and end."""
    webhooks = _DOCUMENT["webhooks"]
    assert set(webhooks) == set(event_types()) | RESULTS
    media = {name: item["post"]["requestBody"]["content"]["application/json"] for name, item in webhooks.items()}
    examples = {name: found["examples"][name]["value"] for name, found in media.items() if "examples" in found}
    assert set(examples) >= RESULTS | {"StasisStart", "StasisEnd", "ChannelDtmfReceived"}
    assert [fault for name, body in examples.items() for fault in _faults(name, body)] == []


_VARIES = re.compile(r"data\.(action|body|values|tags|error)\.")


def _keys(value: Any, above: str = "") -> set[str]:
    """The path of every key; of what an endpoint has given, or a caller, not those below it."""
    if isinstance(value, list):
        return set().union(*(_keys(item, above) for item in value))
    if not isinstance(value, dict):
        return set()
    found = {f"{above}{key}" for key in value}.union(*(_keys(item, f"{above}{key}.") for key, item in value.items()))
    return {key for key in found if not _VARIES.match(key)}


def _compare_with_the_page(endpoint: Endpoint) -> None:
    """Of docs/samples.md: what it says that calls have shown came, with these keys and no other that always comes."""
    text = (Path(__file__).parents[2] / "docs/samples.md").read_text()
    shown = text.partition("## From calls")[2].partition("\n## ")[0]
    samples = {name: json.loads(body) for name, body in re.findall(r"### (\w+)\n+```json\n(.*?)```", shown, re.DOTALL)}
    assert len(samples) > 20
    for name, sample in samples.items():
        came = [_keys(delivery.body) for delivery in endpoint.received if delivery.type == name]
        assert came, f"{name} did not come"
        assert set.intersection(*came) - _keys(sample) == set(), f"{name}: docs/samples.md has not what always comes"
        if name not in RESULTS:  # whose fields hang on how it went
            assert _keys(sample) - set.union(*came) == set(), f"{name}: docs/samples.md has what never came"


_FIRST: list[dict[str, Any]] = [
    {"action": "answer"},
    {"action": "getVariable", "variables": ["CHANNEL(language)", "NOT_THERE"]},
    {"action": "play", "media": "sound:hello-world"},
    {"action": "asterisk.getInfo"},
    {"action": "record", "maxDurationSeconds": 1},
    {"action": "startRecording", "name": "RECORDING"},
    {"action": "stopRecording", "name": "RECORDING"},
    {"action": "bridge", "name": "lobby", "timeLimit": 0.3},
    {"action": "conference", "name": "team", "exitOn": "*"},
    {"action": "enqueue", "queue": "sales", "timeout": 1, "waitUrl": "wait", "every": 1},
    {"action": "dequeue", "queue": "empty"},
    {"action": "originate", "to": "Local/busy@callers", "timeout": 5},
    {"action": "dial", "to": "Local/busy@callers", "timeout": 5},
    {"action": "dial", "to": "Local/answer-hangup@callers", "timeout": 5},
    {"action": "fetch", "url": "next"},
]


async def test_what_is_sent_fits(pbx: Pbx, endpoint: Endpoint) -> None:
    """Every event of a call that does a little of everything, told to an endpoint that wants to know all."""
    app = f"app{secrets.token_hex(4)}"
    endpoint.answers["StasisStart"] = [
        step | ({"name": app} if step.get("name") == "RECORDING" else {}) for step in _FIRST
    ]
    endpoint.answers["FetchRequested"] = [{"action": "gather", "maxDigits": 1, "timeout": 5}]
    endpoint.answers["DigitsCollected"] = [{"action": "play", "media": "sound:not-there"}]

    text = route(endpoint.url, events='["*"]', more='scope = "any"')
    async with Router(pbx.url, app, text) as router:
        await router.ready()
        caller = await pbx.call(app, number="4711")
        await endpoint.wait("ChannelEnteredBridge", 2, timeout=60)  # the lobby, then the conference
        await caller.press("*")
        await endpoint.wait("FetchRequested", timeout=60)
        await caller.press("5")
        await endpoint.wait("ActionFailed", timeout=60)
        await caller.hangup()
        await endpoint.wait("CallEnded", timeout=60)
    _compare_with_the_page(endpoint)
    seen = {delivery.type for delivery in endpoint.received}
    assert [fault for delivery in endpoint.received for fault in _faults(delivery.type, delivery.body)] == []
    assert seen >= RESULTS - {
        "TransferCompleted",
        "SpyCompleted",
        "StreamCompleted",
        "DialplanCompleted",
        "CallerTaken",
        "EventsLeftOut",
    }


def _answered(method: str, path: str, reply: httpx.Response) -> list[str]:
    """What is wrong with a reply of the router's own HTTP."""
    said = _DOCUMENT["paths"][path][method]["responses"][str(reply.status_code)]
    if "content" not in said:
        return [] if not reply.content else [f"{method} {path}: {reply.text}"]
    kind = reply.headers["content-type"].partition(";")[0]
    if kind not in said["content"]:
        return [f"{method} {path} answers {kind}"]
    schema = said["content"][kind].get("schema")
    if schema is None:
        return []
    found = jsonschema.Draft202012Validator(schema | {"components": _DOCUMENT["components"]}).iter_errors(reply.json())
    return [f"{method} {path} {error.json_path}: {error.message}" for error in found]


async def test_the_routers_own_http_fits(endpoint: Endpoint) -> None:
    """Each of its paths is in the document, and answers as the document says."""
    endpoint.answers["StasisStart"] = [{"action": "answer"}, {"action": "pause", "seconds": 60}]
    async with Simulator() as simulator, Pbx(simulator.url) as pbx:
        async with Router(simulator.url, "ivr", route(endpoint.url), serve=True) as router:
            await router.ready()
            served = {found.path for found in create_app(router.service).routes if isinstance(found, Route)}
            pages = {"/", "/calls", "/calls/{id}", "/deliveries", "/routes", "/routes/{name}", "/logs"}  # for browsers
            hidden = {*pages, "/openapi.json", "/speech/{name}"}
            assert {path.replace(":path", "") for path in served} - hidden == set(_DOCUMENT["paths"])
            transport = httpx.ASGITransport(app=create_app(router.service), client=("127.0.0.1", 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
                caller = await pbx.call("ivr", number="4711")
                await caller.answered()
                asked: list[tuple[str, str, Any]] = [
                    ("get", "/healthz", None),
                    ("get", "/readyz", None),
                    ("get", "/metrics", None),
                    ("get", "/v1/calls", None),
                    ("get", "/v1/calls/{id}", None),
                    ("post", "/v1/calls/{id}/actions", []),
                    ("post", "/v1/calls/{id}/actions", [{"action": "anwser"}]),
                    ("post", "/v1/calls", {"to": "Local/wait@callers", "route": "ivr"}),
                    ("post", "/v1/calls", {"to": ""}),
                    ("get", "/v1/deliveries", None),
                    ("post", "/v1/deliveries/replay", None),
                    ("post", "/v1/deliveries/{id}/replay", None),
                    ("get", "/v1/recordings/{name}", None),
                    ("delete", "/v1/calls/{id}", None),
                    ("get", "/login", None),
                    ("post", "/login", {"token": "wrong"}),
                    ("post", "/logout", None),
                ]
                wrong, statuses = [], []
                for method, path, body in asked:
                    where = path.format(id=caller.id, name="nothing")
                    reply = await http.request(method, where, content=None if body is None else json.dumps(body))
                    statuses.append(reply.status_code)
                    wrong += _answered(method, path, reply)
    assert wrong == []
    assert statuses == [200, 200, 200, 200, 200, 202, 422, 201, 422, 200, 422, 202, 404, 204, 200, 401, 303]
