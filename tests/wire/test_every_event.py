"""Every event that Asterisk documents, and what it does not document, comes to who wants all: from the socket to the endpoint."""

from __future__ import annotations

import json
import secrets
from typing import Any

from rig.endpoint import Endpoint
from rig.router import Router, route

from hookrouter.ari.operations import event_types, models
from hookrouter.facts import Warned
from hookrouter.simulator import Simulator

_PLAIN: dict[str, Any] = {
    "string": "text", "int": 7, "long": 7, "double": 7.5, "boolean": True, "object": {"any": ["thing", 1]},
    "Date": "2026-11-26T10:00:00.123+0000",
}  # fmt: skip


def sample(kind: str, key: str = "") -> Any:
    """A value of a type of the api-docs, with every field, those that may be missing too."""
    kind = kind.removesuffix("?")
    if kind.startswith("List["):
        return [sample(kind[5:-1])]
    if kind in models():
        return {name: f"{key}-{name}" if name == "id" else sample(of, key) for name, of in models()[kind].items()}
    return _PLAIN[kind]


def every_event(app: str) -> list[dict[str, Any]]:
    events = []
    for type, fields in event_types().items():
        if type not in ("RESTResponse", "ApplicationReplaced"):
            values = {name: sample(kind, f"{type}-{name}") for name, kind in fields.items()}
            events.append(values | {"type": type, "application": app})
    replaced = {name: sample(kind) for name, kind in event_types()["ApplicationReplaced"].items()}
    return [*events, replaced | {"type": "ApplicationReplaced", "application": "another"}]


ODD: list[dict[str, Any]] = [
    {"type": "SomethingOfNextYear", "new": {"deep": [None]}},
    {"type": "ChannelVarset", "variable": None, "value": {"a": 1}, "channel": {"id": "odd", "caller": "Ann"}},
    {"type": "Dial", "peer": "PJSIP/alice", "caller": ["x"], "dialstatus": 5},
    {"type": "PlaybackFinished", "playback": {"id": 5, "media_uri": None}},
    {"type": "RecordingFinished", "recording": {"name": "odd", "duration": "3"}},
    {"type": "BridgeDestroyed", "bridge": {"id": "odd", "channels": "none"}},
    {"type": "ChannelDestroyed", "timestamp": 17, "cause": "normal", "channel": None},
]


async def test_all_of_them_are_delivered_as_they_came(endpoint: Endpoint) -> None:
    """One of each, every field there; and some of which a field is not what is documented, or the type is not known."""
    app = f"app{secrets.token_hex(4)}"
    async with Simulator() as simulator:
        routes = route(endpoint.url, name="all", events='["*"]', more='mode = "notify"')
        async with Router(simulator.url, app, routes, password=simulator.password) as running:
            await running.ready()
            session = simulator.pbx.apps[app].session
            assert session is not None
            events = every_event(app) + [event | {"application": app} for event in ODD]
            for event in events:
                session.send(event)
            for event in events:
                count = sum(other["type"] == event["type"] for other in events)
                await endpoint.wait(event["type"], count)
            told = [json.dumps(delivery.data, sort_keys=True) for delivery in endpoint.received]
            assert sorted(told) == sorted(json.dumps(event, sort_keys=True) for event in events)
            assert all(delivery.body["timestamp"] for delivery in endpoint.received)
            assert [fact for fact in running.of(Warned) if fact.subject in ("ari.garbage", "internal")] == []
