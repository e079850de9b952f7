"""POST /v1/calls: what Asterisk is asked for, what is kept for when the call is there, and what is said of faults."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from hookrouter.actions.new_call import decode_new_call
from hookrouter.ari.operations import Request
from hookrouter.ari.performing import Reply
from hookrouter.calls.board import Board
from hookrouter.calls.call import Call
from hookrouter.calls.effects import Announce
from hookrouter.clock import SystemClock
from hookrouter.errors import AnswerRefused, OverTheLimit
from hookrouter.facts import Fact, Facts, LimitReached
from hookrouter.flow import Flow
from hookrouter.policy.policy import Policy
from hookrouter.routing.endpoint import Endpoint, Route
from hookrouter.routing.table import RouteTable
from hookrouter.service.originating import originate

ROUTES = RouteTable(
    [
        Route("crm", Endpoint("http://crm/"), mode="notify"),
        Route("ivr", Endpoint("http://ivr/")),
        Route("out", Endpoint("http://out/")),
        Route("bound", Endpoint("http://bound/"), policy=Policy(max_calls_per_minute=1)),
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


class Runner:
    """What is watched: the step that it is done by, and what is said to it."""

    def __init__(self) -> None:
        self.steps: list[Any] = []
        self.said: list[str] = []

    def enter(self, call: Call, route: Route) -> Any:
        return call

    def turn(self, live: Any, act: Callable[[Any], None]) -> None:
        act(self)

    async def on_disk(self) -> None:
        self.kept = True

    def carry_out(self, steps: list[bytes]) -> None:
        self.steps += [json.loads(step) for step in steps]

    def on_signal(self, name: str, data: Any) -> None:
        self.said.append(name)


class Office:
    """Two Asterisks; `known` are the calls that are, or were."""

    def __init__(self, reply: Reply = Reply(200)) -> None:  # noqa: B008
        self.main, self.second = Asterisk(reply), Asterisk(reply)
        nobody: Any = None
        self.flow = Flow(Board(), ROUTES, nobody, nobody, Facts(), SystemClock())
        self.runner = Runner()
        self.flow.runner = self.runner  # type: ignore[assignment]
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
    proof = office.flow.expected.calls[("main", made["id"])].token
    assert len(proof) == 24
    assert office.main.asked[0].params == {"channelId": made["id"], "endpoint": "PJSIP/alice", "app": "first",
                                           "appArgs": f"hookrouter-call,{proof},{made['id']}", "timeout": 30}  # fmt: skip
    assert office.flow.expected.calls == {("main", made["id"]): Announce(made["id"], "out", (), None, token=proof, to="PJSIP/alice")}
    assert (await office.call(to="PJSIP/alice", route="out"))["id"] != made["id"]


async def test_everything_that_is_said_of_a_call_is_done() -> None:
    """With actions alone the first control route owns it."""
    office = Office()
    actions = [{"action": "play", "media": "sound:x"}]
    made = await office.call(to="PJSIP/alice", actions=actions, state={"a": 1}, asterisk="second", app="second",
                             callerId="Me <1>", timeout=5, variables={"X": "1"}, id="order-1")  # fmt: skip
    params = office.second.asked[0].params
    assert (params["app"], params["callerId"], params["timeout"], params["variables"]) == ("second", "Me <1>", 5, {"X": "1"})
    announced = office.flow.expected.calls[("second", made["id"])]
    assert (made["route"], announced.route, announced.state) == ("ivr", "ivr", b'{"a": 1}')
    assert [json.loads(step) for step in announced.steps] == actions
    [watched] = office.runner.steps
    assert (watched["action"], watched["channel"], watched["timeout"]) == ("~called", made["id"], 5)
    assert watched["by"] == {"action": "originate", "to": "PJSIP/alice", "actions": actions, "state": {"a": 1},
                             "callerId": "Me <1>", "timeout": 5, "variables": {"X": "1"}, "id": "order-1"}  # fmt: skip


async def test_the_same_id_twice_is_one_call() -> None:
    """While it rings, while it is talked on, afterwards, and where only Asterisk knows of it."""
    office = Office()
    made = await office.call(to="PJSIP/a", route="ivr", id="x")
    again = await office.call(to="PJSIP/a", route="ivr", id="x")
    assert again == made | {"already": True}
    office.flow.expected.calls.clear()
    office.known.add(made["id"])
    assert (await office.call(to="PJSIP/a", route="ivr", id="x"))["already"]
    assert len(office.main.asked) == 1
    elsewhere = Office(Reply(409))
    assert (await elsewhere.call(to="PJSIP/a", route="ivr", id="x"))["already"]


async def test_calls_over_the_bound_are_one_warning_a_minute() -> None:
    """However many are refused; every one counts."""
    office = Office()
    now: list[float] = [1000.0]
    told: list[Fact] = []
    office.flow._clock = SimpleNamespace(now=lambda: now[0])  # type: ignore[assignment]
    office.flow._facts.subscribe(told.append)
    for seconds in (0, 1, 1, 30, 0.5):
        now[0] += seconds
        with contextlib.suppress(OverTheLimit):
            await office.call(to="PJSIP/a", route="bound")
    limits = [(fact.limit, fact.muted) for fact in told if isinstance(fact, LimitReached)]
    assert limits == [("max_calls_per_minute", muted) for muted in (False, True, True, True)]
    told.clear()
    now[0] += 60
    for _ in range(3):
        with contextlib.suppress(OverTheLimit):
            await office.call(to="PJSIP/a", route="bound")
    assert [fact.muted for fact in told if isinstance(fact, LimitReached)] == [False, True]


@pytest.mark.parametrize("status", [400, 500, 0])
async def test_a_call_that_asterisk_refuses_is_not_waited_for(status: int) -> None:
    """Its words are passed on."""
    office = Office(Reply(status, b'{"message":"Invalid endpoint"}'))
    with pytest.raises(ValueError, match=f"PJSIP/nobody: status {status} .*Invalid endpoint"):
        await office.call(to="PJSIP/nobody", route="ivr")
    assert office.flow.expected.calls == {}
    assert office.runner.said == ["refused"]


async def test_a_call_that_may_come_is_waited_for() -> None:
    """Nobody knows whether it was asked for; if it comes, its actions run."""
    office = Office(Reply(0, b"no reply", "unknown"))
    with pytest.raises(ValueError, match="GET /v1/calls/hr-call-order-1"):
        await office.call(to="PJSIP/alice", route="ivr", id="order-1")
    assert [channel for _, channel in office.flow.expected.calls] == [office.main.asked[0].params["channelId"]]


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        pytest.param({"to": "PJSIP/a", "asterisk": "third", "route": "ivr"}, "known: main, second", id="asterisk"),
        pytest.param({"to": "PJSIP/a"}, "known: ivr, out, bound", id="neither route nor actions"),
        pytest.param({"to": "PJSIP/a", "route": "nope"}, "known: ivr, out, bound", id="no such route"),
        pytest.param({"to": "PJSIP/a", "route": "crm"}, "known: ivr, out, bound", id="a notify route"),
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
    assert office.flow.expected.calls == {}


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[]", b'"x"', b"[" * 100_000])
def test_a_body_that_is_none_is_refused(body: bytes) -> None:
    """Whatever it is instead."""
    with pytest.raises(AnswerRefused) as refused:
        decode_new_call(body)
    assert len(refused.value.faults) == 1
