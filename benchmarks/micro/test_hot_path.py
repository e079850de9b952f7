"""Each step of an event's way by itself: CPU only, no sockets.   pytest benchmarks/micro --benchmark-only

`make bench` puts the medians into docs/performance.md.
"""

from __future__ import annotations

import asyncio
import json
import socket
from io import BytesIO
from itertools import count
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from hookrouter.actions.decode import decode_answer
from hookrouter.ari.events import decode_head, event_id
from hookrouter.calls.call import Call, Outgoing, Pending, Program, encode_call
from hookrouter.delivery.envelope import CallContext, Message, envelope, headers
from hookrouter.delivery.signing import sign
from hookrouter.facts import DeliveryAttempted, Facts
from hookrouter.http.http1 import Connection
from hookrouter.routing.conditions import Condition, pattern
from hookrouter.routing.endpoint import Endpoint, Route
from hookrouter.routing.table import RouteTable
from hookrouter.telemetry.logs import Log
from hookrouter.telemetry.metrics import Metrics

SECRET = b"0123456789abcdef01234567"
TIME = "2026-11-23T01:21:20.227Z"
CHANNEL: dict[str, Any] = {
    "id": "1795396880.3", "name": "PJSIP/alice-00000003", "state": "Ring", "protocol_id": "2fc0f9a1@127.0.0.1",
    "caller": {"name": "Alice", "number": "+493012345"}, "connected": {"name": "", "number": ""}, "accountcode": "",
    "dialplan": {"context": "default", "exten": "1000", "priority": 2, "app_name": "Stasis", "app_data": "ivr"},
    "creationtime": "2026-11-23T01:21:20.226+0000", "language": "en",
}  # fmt: skip
EVENT = {
    "type": "StasisStart", "timestamp": "2026-11-23T01:21:20.227+0000", "args": [], "channel": CHANNEL,
    "asterisk_id": "02:42:ac:11:00:02", "application": "ivr",
}  # fmt: skip
RAW = json.dumps(EVENT).encode()
HEAD = decode_head(RAW)
BODY = envelope("evt_1", "StasisStart", TIME, RAW, CallContext("1795396880.3", "main", "ivr", "ivr", 1))
MESSAGE = Message("evt_1", "StasisStart", BODY, "control", "1795396880.3", "ivr", TIME, "main")


def test_decode_the_head(benchmark: BenchmarkFixture) -> None:
    """The fields that decide where an event goes."""
    assert benchmark(decode_head, RAW).channel.id == "1795396880.3"


def test_id_of_an_event(benchmark: BenchmarkFixture) -> None:
    """From its bytes."""
    assert benchmark(event_id, "main", RAW).startswith("evt_")


@pytest.mark.parametrize("routes", [1, 20])
def test_find_the_owner(benchmark: BenchmarkFixture, routes: int) -> None:
    """The last of so many control routes fits, by a path in the event."""
    table = RouteTable(
        Route(f"r{number}", Endpoint("http://ivr/"), conditions=(Condition("channel.dialplan.exten", (pattern(str(exten)),)),))
        for number, exten in enumerate(range(1000 - routes + 1, 1001))
    )
    found = benchmark(table.owner, "main", HEAD, RAW)
    assert found is not None
    assert found.name == f"r{routes - 1}"


def test_make_the_body(benchmark: BenchmarkFixture) -> None:
    """The event's bytes between ours."""
    context = CallContext("1795396880.3", "main", "ivr", "ivr", 1)
    assert benchmark(envelope, "evt_1", "StasisStart", TIME, RAW, context) == BODY


def test_sign(benchmark: BenchmarkFixture) -> None:
    """One secret."""
    assert benchmark(sign, "evt_1", 1795396880, BODY, (SECRET,)).startswith("v1,")


def test_make_the_headers(benchmark: BenchmarkFixture) -> None:
    """The signature included."""
    endpoint = Endpoint("http://ivr/", (SECRET,))
    assert dict(benchmark(headers, endpoint, MESSAGE, 1, 1795396880.2, 8000))["webhook-id"] == "evt_1"


@pytest.mark.parametrize("known", [True, False])
def test_decode_an_answer(benchmark: BenchmarkFixture, known: bool) -> None:
    """Two actions, checked; `known`: the same bytes as lately."""
    numbers = count()

    def body() -> tuple[tuple[bytes, str], dict[str, Any]]:
        digits = 1000 if known else next(numbers)
        text = f"""[{{"action":"play","media":"sound:demo-{digits}"}},{{"action":"hangup"}}]"""
        return (text.encode(), "application/json"), {}

    answer = benchmark.pedantic(decode_answer, setup=body, rounds=2000)
    assert len(answer.steps) == 2


def test_read_an_answer(benchmark: BenchmarkFixture) -> None:
    """From the bytes on a kept connection to the whole reply, without the socket."""
    loop = asyncio.new_event_loop()
    ours, theirs = socket.socketpair()
    connection = Connection(loop, None, lambda closed: None)
    connection.connection_made(_Transport(ours))
    head = b"HTTP/1.1 200 OK\r\nserver: uvicorn\r\ncontent-type: application/json\r\ncontent-length: 40\r\n\r\n"
    data = head + b"x" * 40

    def exchange() -> int:
        asking = connection.exchange(b"", 262_144, 5.0)
        waited = asking.send(None)
        connection.data_received(data)
        assert waited.done()
        try:
            asking.send(None)
        except StopIteration as stopped:
            return len(stopped.value.body)
        raise AssertionError

    assert benchmark(exchange) == 40
    for each in (ours, theirs):
        each.close()
    loop.close()


class _Transport(asyncio.Transport):
    """Writes nowhere."""

    def __init__(self, sock: socket.socket) -> None:
        super().__init__({"socket": sock})

    def write(self, data: Any) -> None:
        return

    def abort(self) -> None:
        return


def test_snapshot_of_a_call(benchmark: BenchmarkFixture) -> None:
    """What the journal is given."""
    call = Call(key="main/1.1", id="1.1", asterisk="main", app="ivr", route="ivr", started_at=1795396880.2)
    call.programs["p1"] = Program("p1", "main", [b'{"action":"answer"}', b'{"action":"hangup"}'], "1.1")
    call.requests["r1"] = Pending("channels.answer", {"channelId": "1.1"}, "p1")
    call.outbox.append(Outgoing("evt_1", "StasisStart", TIME, RAW, 1))
    assert len(benchmark(encode_call, call)) > len(RAW)


def test_tell_a_fact(benchmark: BenchmarkFixture) -> None:
    """A delivery, to the metrics and as a line of the log."""
    metrics, stream = Metrics(), BytesIO()
    facts = Facts(Log("json", stream=stream))
    metrics.subscribe(facts)
    fact = DeliveryAttempted("evt_1", "StasisStart", "1.1", "ivr", "http://ivr/", 1, 200, "response", 0.002, "control")
    benchmark(facts.emit, fact)
    assert sum(metrics.attempts.of.values()) == stream.getvalue().count(b"delivery.attempted") > 0
