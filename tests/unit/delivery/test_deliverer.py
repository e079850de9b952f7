"""A control delivery under a clock of its own: attempts, pauses, deadline, breaker, and what is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hookrouter.delivery import deliverer as deliverer_module
from hookrouter.delivery.deliverer import MOST_IN_FLIGHT, Deliverer
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Answered, Attempt, Reason, Unanswered
from hookrouter.errors import AnswerRefused, Fault
from hookrouter.facts import BreakerChanged, DeliveryAttempted, DeliveryFinished, Fact, Facts, LateAnswer
from hookrouter.routing.endpoint import Endpoint

URL = "http://x/ivr"
ENDPOINT = Endpoint(URL, timeout=3.0)
MESSAGE = Message("evt_1", "StasisStart", b"{}", "control", "1.1", "ivr")


class FakeClock:
    """Time passes only where something sleeps or a request takes it."""

    def __init__(self) -> None:
        self.time = 100.0
        self.slept: list[float] = []

    def now(self) -> float:
        return 1_795_396_880.0 + self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, delay: float) -> None:
        self.slept.append(delay)
        self.time += delay


class FakeSender:
    """Gives the attempts of a script: a reason or status, and the seconds it takes (cut at the timeout)."""

    def __init__(self, clock: FakeClock, *script: tuple[Any, ...]) -> None:
        self.clock = clock
        self.script = list(script)
        self.seen: list[tuple[int, float, float]] = []
        self.late: Callable[[], None] = lambda: None

    async def attempt(
        self, endpoint: Endpoint, message: Message, number: int, timeout: float, left: float, late: Callable[[], None]
    ) -> Attempt:
        self.seen.append((number, round(timeout, 3), round(left, 3)))
        self.late = late
        what, seconds, *more = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        options: dict[str, Any] = more[0] if more else {}
        if what == "timeout":
            seconds = timeout
        self.clock.time += seconds
        if isinstance(what, int):
            return Attempt(number, "response", what, "application/json", b"[]", seconds=seconds, **options)
        return Attempt(number, what, seconds=seconds, detail="why", **options)


class Bench:
    def __init__(self, *script: tuple[Any, ...], jitter: float = 0.0) -> None:
        self.clock = FakeClock()
        self.sender = FakeSender(self.clock, *script)
        self.facts: list[Fact] = []
        self.deliverer = Deliverer(self.sender, Facts(self.facts.append), self.clock, lambda: jitter)  # type: ignore[arg-type]

    async def control(
        self,
        endpoint: Endpoint = ENDPOINT,
        deadline: float = 8.0,
        decode: Callable[[bytes, str], object] = lambda body, type: body,
    ) -> Answered[object] | Unanswered:
        return await self.deliverer.control(
            endpoint, MESSAGE, deadline=deadline, decode=decode, verbs=lambda answer: ("answer",)
        )

    def of(self, type: type[Fact]) -> list[Any]:
        return [fact for fact in self.facts if isinstance(fact, type)]


async def test_an_answer() -> None:
    """One attempt with all of the deadline, decoded; told as an attempt and as a delivery."""
    bench = Bench((200, 0.5))
    came = Answered((b"[]", "application/json"), 1, 0.5, 200, b"[]")
    assert await bench.control(decode=lambda body, type: (body, type)) == came
    assert bench.sender.seen == [(1, 3.0, 8.0)]
    assert bench.facts == [
        DeliveryAttempted("evt_1", "StasisStart", "1.1", "ivr", URL, 1, 200, "response", 0.5, "control"),
        DeliveryFinished("evt_1", "StasisStart", "1.1", "ivr", "control", "answered", 1, 0.5, "", ("answer",)),
    ]


@pytest.mark.parametrize("status", [202, 204, 205])
async def test_statuses_without_an_answer(status: int) -> None:
    """Their body is no answer, whatever is in it."""
    assert await Bench((status, 0.0)).control() == Answered(b"", 1, 0.0, status, b"[]")


@pytest.mark.parametrize("status", range(100, 600))
async def test_every_status(status: int) -> None:
    """Exactly the contract's table: how many attempts, and how it ends."""
    bench = Bench((status, 0.01))
    outcome = await bench.control()
    attempts = 3 if status in (408, 409, 425, 429, 500, 502, 503, 504, *range(520, 528), 530) else 1
    assert len(bench.sender.seen) == attempts
    if 200 <= status < 300:
        assert isinstance(outcome, Answered)
    else:
        assert isinstance(outcome, Unanswered)
        assert (outcome.reason, outcome.status, outcome.attempts, outcome.url) == ("status", status, attempts, URL)


@pytest.mark.parametrize(
    ("reason", "attempts"),
    [("refused_connection", 3), ("reset", 3), ("too_large", 1), ("bad_response", 1)],
)
async def test_every_reason(reason: Reason, attempts: int) -> None:
    """What may pass is tried three times, the rest once."""
    outcome = await Bench((reason, 0.1)).control()
    assert isinstance(outcome, Unanswered)
    assert (outcome.reason, outcome.attempts, outcome.detail) == (reason, attempts, "why")


@pytest.mark.parametrize(
    ("seconds", "timeout", "told"),
    [
        (2.0, 2.0, "no answer within 3 attempts (timeout 2 s, deadline 8 s): raise `timeout` and `deadline`"),
        (8.0, 8.0, "no answer within the one attempt (timeout 8 s, deadline 8 s): raise `timeout` and `deadline`"),
    ],
)
async def test_a_second_try_is_explained_as_what_it_is(seconds: float, timeout: float, told: str) -> None:
    """Not as a riddle of the last one: which times there were, and which to raise."""
    bench = Bench(("timeout", seconds))
    outcome = await bench.control(endpoint=Endpoint(URL, timeout=timeout))
    assert isinstance(outcome, Unanswered)
    assert outcome.detail.startswith(told)
    assert outcome.detail == bench.of(DeliveryFinished)[-1].detail


async def test_the_pauses() -> None:
    """100 and 200 ms, each up to twice as long."""
    for jitter, pauses in ((0.0, [0.1, 0.2]), (1.0, [0.2, 0.4])):
        bench = Bench((503, 0.0), jitter=jitter)
        await bench.control()
        assert bench.clock.slept == pytest.approx(pauses)


async def test_a_later_attempt_may_succeed() -> None:
    """The answer counts its attempts and all of the time."""
    outcome = await Bench(("reset", 1.0), (503, 1.0), (200, 1.0)).control()
    assert isinstance(outcome, Answered)
    assert (outcome.attempts, outcome.seconds) == (3, pytest.approx(3.3))


async def test_a_stale_connection_is_tried_again_at_once() -> None:
    """It counts as an attempt, and costs the caller no pause."""
    bench = Bench(("reset", 0.0, {"stale": True}), (200, 0.0))
    outcome = await bench.control()
    assert isinstance(outcome, Answered)
    assert outcome.attempts == 2
    assert bench.clock.slept == []


async def test_the_deadline_shortens_attempts() -> None:
    """Each attempt gets its timeout or what is left of the deadline, and the last one ends with it."""
    bench = Bench(("timeout", 0.0))
    outcome = await bench.control()
    assert bench.sender.seen == [(1, 3.0, 8.0), (2, 3.0, 4.9), (3, 1.7, 1.7)]
    assert isinstance(outcome, Unanswered)
    assert (outcome.reason, outcome.attempts) == ("deadline", 3)
    assert outcome.seconds == pytest.approx(8.0)


async def test_no_attempt_without_time_for_it() -> None:
    """What the deadline has no room for is not begun: the fallback comes sooner."""
    bench = Bench((503, 7.9))
    outcome = await bench.control()
    assert isinstance(outcome, Unanswered)
    assert (outcome.reason, outcome.status, outcome.attempts) == ("status", 503, 1)


@pytest.mark.parametrize(("after", "attempts"), [(2.0, 3), (5.0, 2), (9.0, 1)])
async def test_retry_after(after: float, attempts: int) -> None:
    """Honoured where it fits into the deadline; where it does not, nobody waits for it."""
    bench = Bench((503, 0.1, {"retry_after": after}))
    outcome = await bench.control()
    assert len(bench.sender.seen) == attempts
    assert bench.clock.slept == [after] * (attempts - 1)
    assert outcome.seconds <= 8.0


async def test_a_wrong_answer() -> None:
    """It is not asked for again, and every fault comes along."""
    faults = (Fault("/actions/0", "unknown action"), Fault("/actions/1/media", "missing"))

    def refuse(body: bytes, content_type: str) -> object:
        raise AnswerRefused(faults)

    bench = Bench((200, 0.1))
    outcome = await bench.control(decode=refuse)
    assert isinstance(outcome, Unanswered)
    assert (outcome.reason, outcome.attempts, outcome.faults) == ("refused_answer", 1, faults)
    [finished] = bench.of(DeliveryFinished)
    assert finished.outcome == "unanswered"
    assert "unknown action" in finished.detail


async def test_an_answer_after_the_deadline() -> None:
    """Thrown away and counted, also one that comes when the request was given up long ago."""
    bench = Bench((200, 8.001))
    outcome = await bench.control()
    assert isinstance(outcome, Unanswered)
    assert outcome.reason == "deadline"
    assert bench.of(LateAnswer) == [LateAnswer("evt_1", "1.1", "ivr")]
    bench.sender.late()
    assert len(bench.of(LateAnswer)) == 2


# ---- the breaker


async def test_a_failing_endpoint_is_left_alone() -> None:
    """After five failed deliveries the next is answered at once; a probe then gets one attempt; an answer closes it."""
    bench = Bench(("refused_connection", 0.0))
    for _ in range(5):
        await bench.control()
    assert bench.of(BreakerChanged) == [BreakerChanged(URL, "open")]
    before = bench.clock.time
    assert await bench.control() == Unanswered("breaker_open", url=URL)
    assert bench.clock.time == before
    assert bench.of(DeliveryFinished)[-1].reason == "breaker_open"

    bench.clock.time += 1.0
    bench.sender.seen.clear()
    await bench.control()
    assert len(bench.sender.seen) == 1
    bench.clock.time += 2.0
    bench.sender.script = [(200, 0.0)]
    assert isinstance(await bench.control(), Answered)
    states = [fact.state for fact in bench.of(BreakerChanged)]
    assert states == ["open", "half_open", "open", "half_open", "closed"]
    assert isinstance(await bench.control(), Answered)


async def test_each_endpoint_has_its_own() -> None:
    """Another path is another endpoint, another query is not."""
    bench = Bench(("refused_connection", 0.0))
    for number in range(5):
        await bench.control(Endpoint(f"{URL}?call={number}"))
    assert (await bench.control(Endpoint(URL))).reason == "breaker_open"  # type: ignore[union-attr]
    assert (await bench.control(Endpoint(f"{URL}/other"))).reason == "refused_connection"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("what", "opens"),
    [
        (200, False),
        (404, False),
        (409, False),
        (429, True),
        (500, True),
        (505, True),
        ("timeout", True),
        ("reset", True),
        ("bad_response", True),
        ("too_large", True),
    ],
)
async def test_what_opens_it(what: Any, opens: bool) -> None:
    """Only what says that the endpoint does not work; a refusal is an answer."""
    bench = Bench((what, 0.0))
    for _ in range(5):
        await bench.control()
    assert (bench.deliverer.breaker(URL).state == "open") is opens


async def test_a_wrong_answer_does_not_open_it() -> None:
    """The endpoint works; its author does not."""

    def refuse(body: bytes, content_type: str) -> object:
        raise AnswerRefused([Fault("", "no")])

    bench = Bench((200, 0.0))
    for _ in range(6):
        assert (await bench.control(decode=refuse)).reason == "refused_answer"  # type: ignore[union-attr]


async def test_it_also_ends_deliveries_between_two_attempts() -> None:
    """When others find out that the endpoint is dead, nobody waits for a second attempt."""
    bench = Bench(("refused_connection", 0.0))
    breaker = bench.deliverer.breaker(URL)
    breaker.failures = 4
    sleep = bench.clock.sleep

    async def meanwhile(delay: float) -> None:
        breaker.failed(bench.clock.time, "free")
        await sleep(delay)

    bench.clock.sleep = meanwhile  # type: ignore[method-assign]
    outcome = await bench.control()
    assert isinstance(outcome, Unanswered)
    assert (outcome.reason, outcome.attempts) == ("breaker_open", 1)
    assert breaker.failures == 5


async def test_a_cancelled_probe_leaves_its_place() -> None:
    """A caller who hangs up during the probe does not keep the breaker half open for ever."""
    bench = Bench(("refused_connection", 0.0))
    for _ in range(5):
        await bench.control()
    bench.clock.time += 1.0

    async def gone(*args: object) -> Attempt:
        raise asyncio.CancelledError

    attempt, bench.sender.attempt = bench.sender.attempt, gone  # type: ignore[method-assign, assignment]
    with pytest.raises(asyncio.CancelledError):
        await bench.control()
    bench.sender.attempt = attempt  # type: ignore[method-assign]
    bench.sender.script = [(200, 0.0)]
    assert isinstance(await bench.control(), Answered)


# ---- many at once


async def test_a_hanging_endpoint_has_a_limit() -> None:
    """Beyond `MOST_IN_FLIGHT` a delivery waits for its turn, within its deadline."""
    bench = Bench((200, 0.0))
    release, inside = asyncio.Event(), 0

    async def hang(endpoint: Endpoint, message: Message, number: int, *more: object) -> Attempt:
        nonlocal inside
        inside += 1
        await release.wait()
        return Attempt(number, "response", 200, body=b"[]")

    bench.sender.attempt = hang  # type: ignore[method-assign, assignment]
    tasks = [asyncio.create_task(bench.control()) for _ in range(MOST_IN_FLIGHT + 1)]
    await asyncio.sleep(0)
    outcome = await bench.control(deadline=0.05)
    assert isinstance(outcome, Unanswered)
    assert (outcome.reason, outcome.attempts) == ("deadline", 0)
    assert inside == MOST_IN_FLIGHT
    release.set()
    assert {type(done) for done in await asyncio.gather(*tasks)} == {Answered}
    assert inside == MOST_IN_FLIGHT + 1


async def test_made_up_urls_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """URLs that answers make up do not add up; the failing ones are remembered."""
    monkeypatch.setattr(deliverer_module, "_MOST_STATIONS", 10)
    bench = Bench(("refused_connection", 0.0))
    for _ in range(5):
        await bench.control()
    bench.sender.script = [(200, 0.0)]
    for number in range(50):
        await bench.control(Endpoint(f"{URL}/{number}"))
    assert len(bench.deliverer._stations) <= 10
    assert bench.deliverer.breaker(URL).state == "open"
