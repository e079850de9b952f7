"""Control deliveries to real endpoints on loopback: the contract's table, the deadline, and what is left behind."""

from __future__ import annotations

import asyncio
import json
import os
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from standardwebhooks import Webhook
from wire import endpoints
from wire.endpoints import Behaviour, Peer, Server, serving

from hookrouter.actions.decode import Answer, decode_answer
from hookrouter.clock import SystemClock
from hookrouter.delivery.deliverer import Deliverer
from hookrouter.delivery.envelope import CallContext, Message, envelope
from hookrouter.delivery.outcome import Answered, Unanswered
from hookrouter.delivery.sender import Sender
from hookrouter.delivery.signing import parse_secret
from hookrouter.facts import DeliveryAttempted, DeliveryFinished, Fact, Facts, LateAnswer
from hookrouter.http.client import Http
from hookrouter.routing.endpoint import Endpoint

pytestmark = pytest.mark.alone

SECRET, OLD_SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
RETRIED = {408, 409, 425, 429, 500, 502, 503, 504, *range(520, 528), 530}
DATA = b'{ "type":"StasisStart",  "args":[], "n": 1.50, "name":"J\\u00fcrgen \xc3\xbc" }'


def message(id: str = "evt_1") -> Message:
    time = "2026-11-23T01:21:20.227Z"
    call = CallContext("1.1", "main", "hookrouter", "ivr", 1, b'{"lang":"de"}')
    body = envelope(id, "StasisStart", time, DATA, call)
    return Message(id, "StasisStart", body, "control", "1.1", "ivr", time, "main")


def decode(body: bytes, content_type: str) -> Answer:
    return decode_answer(body, content_type, first=True)


class Bench:
    """A deliverer with the real clock, whose pauses may be cut short."""

    def __init__(self, http: Http) -> None:
        self.http = http
        self.facts: list[Fact] = []
        self.slept: list[float] = []
        self.hurry = False
        clock = SystemClock()
        sleep = clock.sleep

        async def hurried(delay: float) -> None:
            self.slept.append(delay)
            await sleep(0 if self.hurry else delay)

        clock.sleep = hurried  # type: ignore[method-assign]
        self.deliverer = Deliverer(Sender(http, clock), Facts(self.facts.append), clock, lambda: 0.0)

    async def control(
        self, url: str, timeout: float = 3.0, deadline: float = 8.0, id: str = "evt_1"
    ) -> Answered[Answer] | Unanswered:
        endpoint = Endpoint(url, (parse_secret(SECRET), parse_secret(OLD_SECRET)), timeout=timeout)
        return await self.deliverer.control(endpoint, message(id), deadline=deadline, decode=decode)

    def of(self, type: type[Fact]) -> list[Fact]:
        return [fact for fact in self.facts if isinstance(fact, type)]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    http = Http(connect_timeout=1.0)
    yield Bench(http)
    await http.close()
    assert http.open_connections == 0


async def test_the_request_and_its_answer(bench: Bench) -> None:
    """The body holds Asterisk's bytes as they were, either secret verifies it, and the answer is decoded."""
    async with serving(endpoints.well) as server:
        outcome = await bench.control(server.url)
        [request] = server.requests
    assert isinstance(outcome, Answered)
    assert [step.action.verb for step in outcome.answer.steps] == ["answer"]
    assert DATA in request.body
    assert json.loads(request.body)["call"]["state"] == {"lang": "de"}
    assert len({name for name, _ in request.raw_headers}) == len(request.raw_headers)
    headers = request.headers
    assert headers["webhook-id"] == json.loads(request.body)["id"]
    assert 7000 < int(headers["hookrouter-deadline-ms"]) <= 8000
    assert headers["prefer"] == "reply"
    for secret in (SECRET, OLD_SECRET):
        Webhook(secret).verify(request.body, headers)


@pytest.mark.parametrize("hundreds", range(1, 6))
async def test_every_status(bench: Bench, hundreds: int) -> None:
    """From 100 to 599: exactly the contract's table."""
    bench.hurry = True
    for code in range(hundreds * 100, hundreds * 100 + 100):
        async with serving(endpoints.status(code)) as server:
            outcome = await bench.control(server.url)
            assert len(server.requests) == (3 if code in RETRIED else 1), code
            assert len({request.headers["webhook-id"] for request in server.requests}) == 1
            assert [request.headers["hookrouter-attempt"] for request in server.requests] == ["1", "2", "3"][
                : len(server.requests)
            ]
        if 200 <= code < 300:
            assert isinstance(outcome, Answered), code
        else:
            assert isinstance(outcome, Unanswered), code
            assert (outcome.reason, outcome.status) == ("status", code)


@pytest.mark.parametrize(
    ("behave", "reason", "requests"),
    [
        pytest.param(endpoints.reset, "reset", 3, id="reset after acting"),
        pytest.param(endpoints.close, "reset", 3, id="closed after acting"),
        pytest.param(endpoints.raw(b"HTTP/1.1 two hundred\r\n\r\n"), "bad_response", 1, id="status line"),
        pytest.param(endpoints.raw(b"\x00\xff" * 100), "bad_response", 1, id="garbage"),
        pytest.param(endpoints.endless(), "too_large", 1, id="1 GB"),
        pytest.param(endpoints.endless(None), "too_large", 1, id="1 GB in chunks"),
        pytest.param(
            endpoints.status(200, endpoints.GZIP_BOMB, "content-encoding: gzip"), "bad_response", 1, id="gzip bomb"
        ),
        pytest.param(endpoints.status(200, endpoints.DEEP), "refused_answer", 1, id="nested 100,000 deep"),
        pytest.param(endpoints.status(200, endpoints.HTML, "content-type: text/html"), "refused_answer", 1, id="HTML"),
        pytest.param(
            endpoints.status(200, b"Accepted", "content-type: text/plain"), "refused_answer", 1, id="Accepted"
        ),
        pytest.param(endpoints.status(200, b'[{"action":"plai"}]'), "refused_answer", 1, id="unknown action"),
        pytest.param(endpoints.status(200, b"\xff\xfe[]"), "refused_answer", 1, id="no UTF-8"),
        pytest.param(endpoints.status(503, b" " * 10_000_000), "status", 3, id="503 of 10 MB"),
    ],
)
async def test_wrong_answers(bench: Bench, behave: Behaviour, reason: str, requests: int) -> None:
    """Each comes to an end in well under the deadline, with its reason."""
    async with serving(behave) as server:
        started = time.monotonic()
        outcome = await bench.control(server.url)
        assert time.monotonic() - started < 2
        assert isinstance(outcome, Unanswered)
        assert (outcome.reason, len(server.requests)) == (reason, requests)
        if reason == "refused_answer":
            assert outcome.faults


async def test_memory_under_hostile_answers(bench: Bench) -> None:
    """A gigabyte, a gzip bomb, deep nesting, again and again: at most 10 MB."""
    behaviours = [
        endpoints.endless(),
        endpoints.endless(None),
        endpoints.status(200, endpoints.GZIP_BOMB, "content-encoding: gzip"),
        endpoints.status(200, endpoints.DEEP),
    ]
    tracemalloc.start()
    try:
        for behave in behaviours:
            async with serving(behave) as server:
                for _ in range(4):
                    assert isinstance(await bench.control(server.url), Unanswered)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "behave",
    [
        pytest.param(endpoints.hang, id="silent"),
        pytest.param(endpoints.drip(0.02), id="drips"),
        pytest.param(endpoints.drip_head(0.02), id="drips its head"),
    ],
)
async def test_the_deadline_is_kept(bench: Bench, behave: Behaviour) -> None:
    """However slow the endpoint, the delivery ends at the deadline, after at most three attempts."""
    async with serving(behave) as server:
        started = time.monotonic()
        outcome = await bench.control(server.url, timeout=0.3, deadline=0.8)
        seconds = time.monotonic() - started
        assert isinstance(outcome, Unanswered)
        assert len(server.requests) <= 3
        assert outcome.attempts == len(server.requests)
    assert 0.5 < seconds < 0.8 + 0.15


async def test_nobody_listens(bench: Bench) -> None:
    """Three quick attempts, then the breaker: the sixth delivery has its outcome within 50 ms."""
    with endpoints.closed_port() as url:
        for _ in range(5):
            outcome = await bench.control(url)
            assert isinstance(outcome, Unanswered)
            assert (outcome.reason, outcome.attempts) == ("refused_connection", 3)
        started = time.monotonic()
        outcome = await bench.control(url)
        assert time.monotonic() - started < 0.05
        assert isinstance(outcome, Unanswered)
        assert outcome.reason == "breaker_open"


async def test_the_endpoint_comes_back(bench: Bench) -> None:
    """One probe at a time while it is down; its first answer lets everybody through."""
    release = asyncio.Event()
    up = False

    async def behave(peer: Peer) -> None:
        if up:
            await release.wait()
            await endpoints.well(peer)
        else:
            peer.reset()

    async with serving(behave) as server:
        bench.hurry = True
        for _ in range(5):
            await bench.control(server.url)
        up = True
        bench.deliverer.breaker(server.url).until = 0.0
        server.requests.clear()
        probe = asyncio.create_task(bench.control(server.url))
        await server.wait_for(1)
        others = await asyncio.gather(*(bench.control(server.url) for _ in range(20)))
        assert {outcome.reason for outcome in others if isinstance(outcome, Unanswered)} == {"breaker_open"}
        assert len(server.requests) == 1
        release.set()
        assert isinstance(await probe, Answered)
        done = await asyncio.gather(*(bench.control(server.url) for _ in range(20)))
        assert {type(outcome) for outcome in done} == {Answered}


async def test_the_lost_answer(bench: Bench) -> None:
    """The endpoint acted and its answer was lost: the next attempt has the same id and another signature's time."""
    async with serving(endpoints.once(endpoints.reset)) as server:
        outcome = await bench.control(server.url)
        first, second = server.requests
    assert isinstance(outcome, Answered)
    assert outcome.attempts == 2
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    for request in (first, second):
        Webhook(SECRET).verify(request.body, request.headers)


async def test_a_stale_connection(bench: Bench) -> None:
    """A server that ends kept connections as a request arrives costs the caller no pause, and no answer."""
    seen: set[int] = set()

    async def behave(peer: Peer) -> None:
        if peer.request.connection in seen:
            peer.reset()
        else:
            seen.add(peer.request.connection)
            await endpoints.well(peer)

    async with serving(behave) as server:
        for _ in range(2):
            assert isinstance(await bench.control(server.url), Answered)
        assert len(server.requests) == 3
    assert bench.slept == []


async def test_a_late_answer(bench: Bench) -> None:
    """It comes 50 ms after the deadline: nobody runs it, and it is counted once."""
    release = asyncio.Event()
    async with serving(endpoints.released(release)) as server:
        outcome = await bench.control(server.url, deadline=0.2)
        assert isinstance(outcome, Unanswered)
        assert (outcome.reason, outcome.attempts) == ("deadline", 1)
        assert bench.of(LateAnswer) == []
        release.set()
        await server.all_closed()
    assert bench.of(LateAnswer) == [LateAnswer("evt_1", "1.1", "ivr")]
    assert len(bench.of(DeliveryFinished)) == 1


@pytest.mark.parametrize(("after", "attempts"), [("1", 2), ("3600", 1), ("nonsense", 3)])
async def test_retry_after(bench: Bench, after: str, attempts: int) -> None:
    """It is waited for where the deadline has room for it, and never beyond."""
    bench.hurry = True
    behave = endpoints.status(429, b"", f"retry-after: {after}")
    async with serving(endpoints.once(behave) if after == "1" else behave) as server:
        outcome = await bench.control(server.url)
        assert len(server.requests) == attempts
    assert isinstance(outcome, Answered) is (after == "1")
    assert bench.slept == {"1": [1.0], "3600": [], "nonsense": [0.1, 0.2]}[after]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")
async def test_sockets_and_tasks_do_not_grow(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many deliveries to hanging and resetting endpoints leave what was there before."""
    monkeypatch.setattr("hookrouter.http.client.LATE_SECONDS", 0.1)
    bench.hurry = True

    async def wave(server: Server) -> None:
        await asyncio.gather(*(bench.control(server.url, 0.1, 0.2, f"evt_{number}") for number in range(50)))
        await server.all_closed()

    for behave in (endpoints.hang, endpoints.reset, endpoints.drip(0.01)):
        async with serving(behave) as server:
            await wave(server)
            sockets, tasks = _descriptors(), len(asyncio.all_tasks())
            for _ in range(3):
                bench.deliverer.breaker(server.url).succeeded()
                await wave(server)
            assert _descriptors() <= sockets + 2
            assert len(asyncio.all_tasks()) <= tasks + 2
    assert bench.http.open_connections == 0


async def test_a_dead_endpoint_slows_no_other(bench: Bench) -> None:
    """A hundred callers of an endpoint that hangs do not delay those of another."""
    async with serving(endpoints.hang) as dead, serving(endpoints.well) as alive:
        await bench.control(alive.url)
        stuck = [asyncio.create_task(bench.control(dead.url, 5.0)) for _ in range(100)]
        await dead.wait_for(100)
        started = time.monotonic()
        for _ in range(100):
            assert isinstance(await bench.control(alive.url), Answered)
        assert time.monotonic() - started < 0.5
        for task in stuck:
            task.cancel()
        await asyncio.gather(*stuck, return_exceptions=True)


async def test_what_is_told(bench: Bench) -> None:
    """Every attempt and every delivery is a fact, with its ids and without a secret."""
    async with serving(endpoints.once(endpoints.status(503))) as server:
        await bench.control(server.url)
    attempts = bench.of(DeliveryAttempted)
    assert [(fact.attempt, fact.status, fact.reason) for fact in attempts] == [  # type: ignore[attr-defined]
        (1, 503, "response"),
        (2, 200, "response"),
    ]
    assert len(bench.of(DeliveryFinished)) == 1
    assert "whsec" not in repr(bench.facts)
    assert "v1," not in repr(bench.facts)
