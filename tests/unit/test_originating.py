"""POST /v1/calls: what Asterisk is asked for, what is kept for when the call is there, and what is said of faults."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hookrouter.ari.operations import Request
from hookrouter.ari.performing import Reply
from hookrouter.calls.board import Board
from hookrouter.calls.effects import Announce
from hookrouter.clock import SystemClock
from hookrouter.errors import AnswerRefused
from hookrouter.facts import Facts
from hookrouter.flow import Flow
from hookrouter.originating import decode_new_call, originate
from hookrouter.routing.endpoint import Endpoint, Route
from hookrouter.routing.table import RouteTable

ROUTES = RouteTable(
    [
        Route("crm", Endpoint("http://crm/"), mode="notify"),
        Route("ivr", Endpoint("http://ivr/")),
        Route("out", Endpoint("http://out/")),
    ]
)


class Asterisk:
    def __init__(self, reply: Reply) -> None:
        self.apps = ("first", "second")
        self.reply = reply
        self.asked: list[Request] = []

    async def perform(self, request: Request) -> Reply:
        self.asked.append(request)
        return self.reply


class Office:
    """Two Asterisks; `known` are the calls that are, or were."""

    def __init__(self, reply: Reply = Reply(200)) -> None:  # noqa: B008
        self.main, self.second = Asterisk(reply), Asterisk(reply)
        nobody: Any = None
        self.flow = Flow(Board(), ROUTES, nobody, nobody, Facts(), SystemClock())
        self.known: set[str] = set()

    async def find(self, id: str) -> Any:
        return {"id": id} if id in self.known else None

    async def call(self, **body: Any) -> dict[str, Any]:
        clients: Any = {"main": self.main, "second": self.second}
        return await originate(clients, self.flow, ROUTES, self.find, json.dumps(body).encode())


async def test_a_call_is_announced_before_asterisk_is_asked() -> None:
    """With a route alone its function is told of the StasisStart, in the first app of the first Asterisk."""
    office = Office()
    made = await office.call(to="PJSIP/alice", route="out")
    assert (made["asterisk"], made["route"]) == ("main", "out")
    assert [r.operation for r in office.main.asked] == ["channels.originateWithId"]
    assert office.main.asked[0].params == {"channelId": made["id"], "endpoint": "PJSIP/alice", "app": "first", "timeout": 30}
    assert office.flow.announced == {("main", made["id"]): Announce(made["id"], "out", (), None)}
    assert (await office.call(to="PJSIP/alice", route="out"))["id"] != made["id"]


async def test_everything_that_is_said_of_a_call_is_done() -> None:
    """With actions alone the first control route owns it."""
    office = Office()
    actions = [{"action": "play", "media": "sound:x"}]
    made = await office.call(to="PJSIP/alice", actions=actions, state={"a": 1}, asterisk="second", app="second",
                             callerId="Me <1>", timeout=5, variables={"X": "1"}, id="order-1")  # fmt: skip
    params = office.second.asked[0].params
    assert (params["app"], params["callerId"], params["timeout"], params["variables"]) == ("second", "Me <1>", 5, {"X": "1"})
    announced = office.flow.announced[("second", made["id"])]
    assert (made["route"], announced.route, announced.state) == ("ivr", "ivr", b'{"a": 1}')
    assert [json.loads(step) for step in announced.steps] == actions


async def test_the_same_id_twice_is_one_call() -> None:
    """While it rings, while it is talked on, afterwards, and where only Asterisk knows of it."""
    office = Office()
    made = await office.call(to="PJSIP/a", route="ivr", id="x")
    again = await office.call(to="PJSIP/a", route="ivr", id="x")
    assert again == made | {"already": True}
    office.flow.announced.clear()
    office.known.add(made["id"])
    assert (await office.call(to="PJSIP/a", route="ivr", id="x"))["already"]
    assert len(office.main.asked) == 1
    elsewhere = Office(Reply(409))
    assert (await elsewhere.call(to="PJSIP/a", route="ivr", id="x"))["already"]


@pytest.mark.parametrize("status", [400, 500, 0])
async def test_a_call_that_asterisk_refuses_is_not_waited_for(status: int) -> None:
    """Its words are passed on."""
    office = Office(Reply(status, b'{"message":"Invalid endpoint"}'))
    with pytest.raises(ValueError, match=f"PJSIP/nobody: status {status} .*Invalid endpoint"):
        await office.call(to="PJSIP/nobody", route="ivr")
    assert office.flow.announced == {}


async def test_a_call_that_may_come_is_waited_for() -> None:
    """Nobody knows whether it was asked for; if it comes, its actions run."""
    office = Office(Reply(0, b"no reply", "unknown"))
    with pytest.raises(ValueError, match="GET /v1/calls/hr-call-order-1"):
        await office.call(to="PJSIP/alice", route="ivr", id="order-1")
    assert [channel for _, channel in office.flow.announced] == [office.main.asked[0].params["channelId"]]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        pytest.param({"to": "PJSIP/a", "asterisk": "third", "route": "ivr"}, "known: main, second", id="asterisk"),
        pytest.param({"to": "PJSIP/a"}, "known: ivr, out", id="neither route nor actions"),
        pytest.param({"to": "PJSIP/a", "route": "nope"}, "known: ivr, out", id="no such route"),
        pytest.param({"to": "PJSIP/a", "route": "crm"}, "known: ivr, out", id="a notify route"),
        pytest.param({"to": "PJSIP/a", "actions": [{"action": "plya"}]}, "/actions/0/action", id="an action"),
        pytest.param({"to": "", "timeout": 0}, "/to", id="a field"),
        pytest.param({"to": "PJSIP/a", "id": "a.b"}, "/id", id="an id"),
        pytest.param({"to": "PJSIP/a", "route": "ivr", "state": "x" * 17_000}, "/state: 17002 bytes", id="a state"),
    ],
)
async def test_a_fault_is_said_before_anybody_is_called(body: Any, fault: str) -> None:
    """With its place, and what would have been right."""
    office = Office()
    with pytest.raises(AnswerRefused) as refused:
        await office.call(**body)
    assert fault in "; ".join(map(str, refused.value.faults))
    assert office.main.asked == office.second.asked == []
    assert office.flow.announced == {}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'"x"', b"[" * 100_000])
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    """Whatever it is instead."""
    with pytest.raises(AnswerRefused) as refused:
        decode_new_call(body)
    assert len(refused.value.faults) == 1
