"""Nothing crosses from one tenant to another: names that calls share, calls, what is told."""

from __future__ import annotations

import json
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.table import Table

from hookrouter.actions.bridge import room_id, shared_id
from hookrouter.actions.originate import own_id
from hookrouter.actions.queue import queue_room
from hookrouter.ari.events import decode_head
from hookrouter.calls.board import Board, Live
from hookrouter.calls.call import Call
from hookrouter.routing.endpoint import Endpoint, Route
from hookrouter.routing.table import RouteTable

SPELT = st.text(st.sampled_from("ab-._/~éA%"), max_size=4)


@given(st.tuples(SPELT, SPELT, SPELT), st.tuples(SPELT, SPELT, SPELT))
def test_two_rooms_meet_only_where_all_is_the_same(one: Any, two: Any) -> None:
    """App, tenant and name, however they are spelt; a conference is no room, and a queue neither."""
    for id in (room_id, queue_room, lambda *which: shared_id("conference", *which)):
        assert (id(*one) == id(*two)) is (one == two)
        assert id(*one).lower() == id(*one)
        assert len(id(*one)) < 80
    assert len({room_id(*one), queue_room(*one), shared_id("conference", *one)}) == 3


def test_apps_and_rooms_whose_names_run_together() -> None:
    """As they did when a dash stood between them."""
    ids = [room_id("a-b", "", "c"), room_id("a", "", "b-c"), room_id("a", "b", "c"), room_id("a", "", "b.2d.c"),
           shared_id("conference", "a", "", "x"), room_id("a", "", "conference-x"), room_id("A", "", "b-c")]  # fmt: skip
    assert all(one != two for one, two in combinations(ids, 2))


@given(st.tuples(SPELT, SPELT), st.tuples(SPELT, SPELT))
def test_two_calls_have_the_same_id_only_where_all_is_the_same(one: Any, two: Any) -> None:
    """Of `originate` and POST /v1/calls."""
    assert (own_id(one[1], one[0]) == own_id(two[1], two[0])) is (one == two)


def test_the_id_of_a_call_without_a_tenant_is_as_it_was() -> None:
    """So that what somebody kept is still found."""
    assert own_id("callback-4711") == "hr-call-callback-4711."


@pytest.mark.parametrize("scope", ["call", "any"])
@pytest.mark.parametrize(("tenant", "reach"), [("acme", True), ("other", False), ("", False)])
@pytest.mark.parametrize("action", [{"action": "bridge", "with": "2"}, {"action": "spy", "call": "2"}])
def test_a_call_of_another_tenant_is_nobody(scope: Any, tenant: str, reach: bool, action: Any) -> None:
    """Also to a route that may touch all."""
    table = Table(up=True, scope=scope, tenant="acme")
    table.call.tenant = "acme"
    table.others.calls["2"] = SimpleNamespace(id="2", channel="2", route="ivr", tenant=tenant, state_json=b"")
    table.others.things[("channel", "2")] = tenant
    table.start([action])
    assert bool(table.operations) is reach
    assert reach or json.loads(table.call.outbox[0].data)["error"]["reason"] == "forbidden"


def test_a_call_cannot_be_given_to_a_route_that_is_not_there() -> None:
    """Nor to another tenant's, which is the same to it."""
    table = Table(up=True)
    table.others.no_routes.add("theirs")
    table.start([{"action": "originate", "to": "PJSIP/a", "route": "theirs"}])
    assert table.operations == []
    assert table.data()["error"]["reason"] == "no_such_route"


def _notify(name: str, tenant: str) -> Route:
    return Route(name, Endpoint("http://127.0.0.1"), mode="notify", events=None, tenant=tenant)


@pytest.mark.parametrize(
    ("tenant", "owner", "told"),
    [("acme", "ivr", ["a"]), ("other", "ivr", ["b"]), ("", "ivr", ["c"]), ("", "", ["a", "b", "c"])],
)
def test_only_routes_of_the_calls_tenant_are_told(tenant: str, owner: str, told: list[str]) -> None:
    """Of a call that no route owns whoever matches."""
    table = RouteTable([_notify("a", "acme"), _notify("b", "other"), _notify("c", "")])
    call = Call(key="main/1", id="1", asterisk="main", app="app", route=owner, tenant=tenant, started_at=0.0)
    head = decode_head(b'{"type":"ChannelVarset","channel":{"id":"1"}}')
    assert [route.name for route in table.notified("main", head, b"{}", call)] == told
    assert [route.name for route in table.told("CallEnded", "main", call, b"{}")] == told


def test_what_still_comes_of_a_call_that_is_over_is_its_tenants() -> None:
    """Its channel's last event comes when nobody is there any more."""
    board = Board()
    live = Live(Call(key="main/1", id="1", asterisk="main", app="a", route="r", tenant="acme", started_at=0.0), None)
    board.add(live)
    board.watch(live, "channel", "1")
    board.remove(live)
    assert board.past_tenant("main", decode_head(b'{"type":"ChannelDestroyed","channel":{"id":"1"}}')) == "acme"
    assert board.past_tenant("main", decode_head(b'{"type":"ChannelDestroyed","channel":{"id":"2"}}')) is None


THEIRS = {("channel", "1795396880.2"): "other", ("channel", "hr-leg-2-1"): "other", ("bridge", "b-2"): "other"}


@pytest.mark.parametrize(
    "which", [{"scope": "any"}, {"allow": ("channels.hangup", "channels.snoopChannel", "bridges.addChannel")}]
)
@pytest.mark.parametrize(
    "id", ["1795396880.2", "1795396880.", "hr-leg-2", "HR-LEG-2-1", "hr-leg-2-1;2", "PJSIP/bob-00000001"]
)
def test_a_channel_of_another_tenant_is_reached_by_none_of_its_names(id: str, which: Any) -> None:
    """Asterisk finds channels by their name, without regard to case, and by the beginning of their id."""
    for action in (
        {"action": "channels.hangup", "channelId": id},
        {"action": "channels.snoopChannel", "channelId": id, "app": "app", "spy": "both"},
        {"action": "bridges.addChannel", "bridgeId": "hr-bridge-1", "channel": ["1", id]},
        {"action": "spy", "call": id},
        {"action": "bridge", "with": id},
    ):
        table = Table(up=True, tenant="acme", **which)
        table.call.tenant = "acme"
        table.call.owned = {"bridge": {"hr-bridge-1": "bridge"}}
        table.others.things.update(THEIRS)
        table.start([action])
        assert table.operations == []
        assert table.data()["error"]["reason"] == "forbidden"


def test_which_call_asterisk_could_take_an_id_for() -> None:
    """The board finds it as Asterisk does; where all are of one tenant there is nothing to tell apart."""
    board = Board()
    for id, tenant in (("1795396880.21", "acme"), ("Far-9", "other")):
        live = Live(
            Call(key=f"main/{id}", id=id, asterisk="main", app="a", route="r", tenant=tenant, started_at=0.0), None
        )
        board.add(live)
        board.watch(live, "channel", id)
    assert board.like("main", "1795396880.2") == "acme"
    assert board.like("main", "FAR-9") == "other"
    assert board.like("main", "2") is None
    assert board.like("main", "") not in (None, "acme", "other")
    assert board.like("two", "far-9") is None
    board.remove(live)
    assert board.like("main", "far") is None


LISTED: list[tuple[str, Any, Any]] = [
    ("channels.list", [{"id": "1795396880.2", "name": "PJSIP/bob-1"}, {"id": "1"}, {"id": "9"}], [{"id": "1"}, {"id": "9"}]),
    ("bridges.list", [{"id": "b-2", "channels": []}, {"id": "x", "channels": ["hr-leg-2-1", "1"]}], [{"id": "x", "channels": ["1"]}]),
    ("recordings.listStored", [{"name": "theirs"}, {"name": "before"}], [{"name": "before"}]),
    ("applications.get", {"name": "app", "channel_ids": ["1", "hr-leg-2-1"], "bridge_ids": ["b-2"]},
     {"name": "app", "channel_ids": ["1"], "bridge_ids": []}),
    ("endpoints.list", [{"resource": "bob", "channel_ids": ["hr-leg-2-1"]}], [{"resource": "bob", "channel_ids": []}]),
    ("asterisk.getInfo", {"system": {}}, {"system": {}}),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "body", "left"), LISTED, ids=[operation for operation, _, _ in LISTED])
def test_lists_of_everything_hold_nothing_of_another_tenant(operation: str, body: Any, left: Any) -> None:
    """What belongs to no call, and what is the tenant's own, stays."""
    table = Table(up=True, tenant="acme", scope="any")
    table.call.tenant = "acme"
    table.others.things.update(THEIRS)
    table.others.recordings["theirs"] = ("other", "main/2 900.0")
    table.start([{"action": operation} | ({"applicationName": "app"} if operation == "applications.get" else {})])
    table.reply(status=200, body=body)
    assert table.data()["body"] == left


def test_a_channel_that_two_asterisks_have_is_of_no_tenant_that_can_be_told() -> None:
    """Their ids are made of the second and a count, so that two can have the same."""
    board = Board()
    for asterisk, tenant, id in (("one", "acme", "1.5"), ("two", "other", "1.5"), ("two", "other", "1.6")):
        call = Call(key=f"{asterisk}/{id}", id=id, asterisk=asterisk, app="a", route="r", tenant=tenant, started_at=0.0)
        live = Live(call, None)
        board.add(live)
        board.watch(live, "channel", id)
    assert board.whose(["one", "two"], "1.5") == (True, None)
    assert board.whose(["one", "two"], "1.6") == (True, "other")
    assert board.whose(["one"], "1.5") == (True, "acme")
    assert board.whose(["one", "two"], "1.7") == (False, None)
