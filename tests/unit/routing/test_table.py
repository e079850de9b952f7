"""Which routes an event goes to."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from hookrouter.ari.events import decode_head
from hookrouter.routing.conditions import Condition, pattern
from hookrouter.routing.endpoint import NO_ROUTE, Endpoint, Fallback, Route
from hookrouter.routing.table import RouteTable

_CHANNEL = {"id": "c1", "name": "PJSIP/a-1", "caller": {"number": "+4930"}, "dialplan": {"exten": "100"}}
_CALL = SimpleNamespace(id="c1", route="ivr", tenant="", app="ivr", name="PJSIP/a-1", caller="+4930", called="100", args=["sales"])


def _route(name: str, match: dict[str, Any] | None = None, **more: Any) -> Route:
    conditions = tuple(
        Condition(key, args=tuple((pattern(item),) for item in value))
        if key == "args"
        else Condition(key, (pattern(value),))
        for key, value in (match or {}).items()
    )
    return Route(name, Endpoint(f"http://{name}.test/"), conditions=conditions, **more)


def _notify(name: str, match: dict[str, Any] | None = None, *events: str) -> Route:
    return _route(name, match, mode="notify", events=frozenset(events) or None)


def _event(type: str = "StasisStart", **fields: Any) -> tuple[Any, bytes]:
    raw = json.dumps({"type": type, "application": "ivr"} | fields).encode()
    return decode_head(raw), raw


_START = {"channel": _CHANNEL, "args": ["sales", "de"]}


@pytest.mark.parametrize(
    ("match", "owned"),
    [
        pytest.param({}, True, id="no-conditions"),
        pytest.param({"app": "ivr"}, True, id="app"),
        pytest.param({"app": "other"}, False, id="another-app"),
        pytest.param({"app": "i*"}, True, id="app-glob"),
        pytest.param({"asterisk": "main"}, True, id="asterisk"),
        pytest.param({"asterisk": "backup"}, False, id="another-asterisk"),
        pytest.param({"args": ["sales"]}, True, id="args"),
        pytest.param({"args": ["support"]}, False, id="other-args"),
        pytest.param({"channel.dialplan.exten": "1*"}, True, id="path"),
        pytest.param({"channel.dialplan.exten": 100}, True, id="path-number"),
        pytest.param({"channel.dialplan.exten": "2*"}, False, id="path-does-not-fit"),
        pytest.param({"channel.nothing": "*"}, False, id="path-to-nowhere"),
        pytest.param({"app": "ivr", "channel.caller.number": "+49*"}, True, id="all-hold"),
        pytest.param({"channel.caller.number": "+49*", "channel.dialplan.exten": "2*"}, False, id="one-does-not"),
    ],
)
def test_a_route_owns_the_calls_that_fit(match: dict[str, Any], owned: bool) -> None:
    """All conditions must hold."""
    table = RouteTable([_route("a", match)])
    found = table.owner("main", *_event(**_START))
    assert (found is not None) is owned


def test_the_first_control_route_that_fits_owns_the_call() -> None:
    """The order of the file decides; notify routes and routes without StasisStart own nothing."""
    table = RouteTable(
        [
            _notify("told"),
            _route("texts", events=frozenset({"TextMessageReceived"})),
            _route("other", {"app": "other"}),
            _route("first", {"args": ["sales"]}),
            _route("all", events=None),
        ]
    )
    owner = table.owner("main", *_event(**_START))
    assert owner is not None
    assert owner.name == "first"
    rest = table.owner("main", *_event(channel=_CHANNEL))
    assert rest is not None
    assert rest.name == "all"


def test_an_event_without_a_call_has_a_control_route_too() -> None:
    """A text message goes to the first control route that names it, or all, and fits."""
    table = RouteTable(
        [
            _route("calls"),
            _route("texts", {"endpoint.resource": "alice"}, events=frozenset({"TextMessageReceived"})),
        ]
    )
    found = table.controlling("main", *_event("TextMessageReceived", endpoint={"resource": "alice"}))
    assert found is not None
    assert found.name == "texts"
    assert table.controlling("main", *_event("TextMessageReceived", endpoint={"resource": "bob"})) is None
    assert table.controlling("main", *_event("DeviceStateChanged")) is None


def test_every_notify_route_that_fits_is_told() -> None:
    """Those that name the type and those that name all, in the order of the file."""
    table = RouteTable(
        [
            _notify("a", {}, "StasisStart"),
            _notify("all"),
            _notify("b", {}, "StasisEnd"),
            _notify("c", {"channel.dialplan.exten": "2*"}, "StasisStart"),
            _notify("d", {"channel.dialplan.exten": "1*"}, "StasisStart"),
            _route("control"),
        ]
    )
    assert [route.name for route in table.notified("main", *_event(**_START))] == ["a", "all", "d"]
    assert [route.name for route in table.notified("main", *_event("Dial"))] == ["all"]
    assert table.wants("Dial")


def test_nobody_is_told_of_what_nobody_named() -> None:
    """Without a route for the type nothing is decoded."""
    table = RouteTable([_notify("a", {"x": 1}, "StasisStart")])
    head, _ = _event("Dial")
    assert not table.notified("main", head, b"this is not even JSON")
    assert not table.wants("Dial")
    assert not table.told("CallEnded", "main", _CALL, b"{}")


@pytest.mark.parametrize(
    ("match", "told"),
    [
        pytest.param({"channel.dialplan.exten": "1*"}, True, id="extension"),
        pytest.param({"channel.caller.number": "+49*"}, True, id="caller"),
        pytest.param({"channel.name": "PJSIP/*"}, True, id="name"),
        pytest.param({"channel.id": "c1"}, True, id="id"),
        pytest.param({"channel.caller.number": "+1*"}, False, id="another-caller"),
        pytest.param({"args": ["sales"]}, True, id="args"),
        pytest.param({"recording.name": "r*"}, True, id="the-events-own"),
    ],
)
def test_an_event_without_a_channel_is_seen_with_its_calls(match: dict[str, Any], told: bool) -> None:
    """A recording's event fits a route by the caller of the call that it belongs to."""
    table = RouteTable([_notify("a", match, "RecordingFinished", "RecordingCompleted")])
    event = _event("RecordingFinished", recording={"name": "r1"})
    assert bool(table.notified("main", *event, _CALL)) is told
    data = json.dumps({"recording": {"name": "r1"}}).encode()
    assert bool(table.told("RecordingCompleted", "main", _CALL, data)) is told


def test_an_events_own_channel_counts_before_the_calls() -> None:
    """A leg's event is looked at as it is."""
    table = RouteTable([_notify("a", {"channel.caller.number": "+4930"}, "ChannelStateChange")])
    assert not table.notified("main", *_event("ChannelStateChange", channel={"caller": {"number": "5"}}), _CALL)


@pytest.mark.parametrize(
    "raw", [b'{"type": "Dial", "x": "\xff"}', b"[1]", b"[" * 100_000], ids=["utf8", "list", "deep"]
)
def test_an_event_that_cannot_be_decoded_fits_no_path(raw: bytes) -> None:
    """What the head did not look at may be broken: it matches nothing and breaks nothing."""
    table = RouteTable([_notify("a", {"x": "*"}, "Dial"), _notify("b", {}, "Dial")])
    head, _ = _event("Dial")
    assert [route.name for route in table.notified("main", head, raw)] == ["b"]


def test_the_types_that_are_asked_for() -> None:
    """The union of all routes, or None where one wants all."""
    routes = [_route("a"), _notify("b", {}, "Dial", "CallEnded")]
    assert RouteTable(routes).event_types() == {"StasisStart", "StasisEnd", "Dial", "CallEnded"}
    assert RouteTable([*routes, _notify("c")]).event_types() is None
    assert RouteTable().event_types() == frozenset()


def test_tables_are_compared_and_asked_by_name() -> None:
    """Two tables of the same routes are equal; a name that is gone is None."""
    table = RouteTable([_route("a"), _route("b")])
    assert table == RouteTable([_route("a"), _route("b")])
    assert table != RouteTable([_route("a")])
    assert table != "a table"
    assert len(table) == 2
    assert table.by_name("b") is table.routes[1]
    assert table.by_name("c") is None


def test_a_route_says_what_others_ask_of_it() -> None:
    """The machine's view of a route."""
    route = _route("a", fallback=Fallback(Endpoint("http://b.test/"), (b"{}",)))
    assert (route.url, route.fallback_url, route.fallback_actions) == ("http://a.test/", "http://b.test/", (b"{}",))
    assert route.wants("StasisEnd")
    assert not route.wants("Dial")
    assert (NO_ROUTE.fallback_url, NO_ROUTE.fallback_actions) == ("", None)
    assert not NO_ROUTE.wants("StasisStart")
