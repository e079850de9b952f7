"""Candidates beside a route's endpoint: whole calls, in order, bounded, and what came of both answers is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from hookrouter.actions.comparing import Decode
from hookrouter.actions.decode import Answer, decode_answer
from hookrouter.clock import SystemClock
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Answered, Attempt, Unanswered
from hookrouter.errors import AnswerRefused, Fault
from hookrouter.facts import AnswerCompared, Facts, Warned
from hookrouter.routing.endpoint import Endpoint, Route, Shadow
from hookrouter.service import candidates
from hookrouter.service.candidates import Candidates, chosen

OWN, NEXT = "https://own.test/ivr", "https://next.test/v2"
SHADOW = Shadow(Endpoint(NEXT, (b"key",)))
ROUTE = Route("ivr", Endpoint(OWN), shadow=SHADOW)
PLAY = b'[{"action":"play","media":"sound:a"}]'
Reply = Callable[[Message], Awaitable[Attempt]]


class Desk:
    """Candidates whose HTTP is `reply`. `facts` and `warned` are what they told, `sent` what they sent and where."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.facts: list[AnswerCompared] = []
        self.warned: list[Warned] = []
        self.sent: list[tuple[str, str, str]] = []
        self.changed = asyncio.Event()
        self.all = Facts(self._observe)
        self.candidates = Candidates(self.all, SystemClock(), lambda http, clock, facts: self)  # type: ignore[arg-type, return-value]

    def _observe(self, fact: Any) -> None:
        (self.warned if isinstance(fact, Warned) else self.facts).append(fact)
        self.changed.set()

    async def attempt(self, endpoint: Endpoint, message: Message, *_: Any) -> Attempt:
        self.sent.append((endpoint.url, message.id, message.kind))
        return await self.reply(message)

    def goes(
        self, event: str = "e", call: str = "1", url: str = OWN, shadow: Shadow = SHADOW, decode: Decode = decode_answer
    ) -> Callable[[Any], None] | None:
        return self.candidates.begin(ROUTE, shadow, Message(event, "StasisStart", b"{}", "control", call, "ivr"), url, decode)

    async def asked(self, count: int) -> None:
        """Waits until so many requests have been sent."""
        async with asyncio.timeout(5):
            while len(self.sent) < count:
                await asyncio.sleep(0)

    async def told(self, count: int = 1) -> list[AnswerCompared]:
        async with asyncio.timeout(5):
            while len(self.facts) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.facts


def answers(body: bytes = PLAY, status: int = 200) -> Reply:
    async def reply(message: Message) -> Attempt:
        return Attempt(1, "response", status, body=body, seconds=0.25)

    return reply


async def silent(message: Message) -> Attempt:
    return Attempt(1, "timeout", seconds=3.0, detail="no answer within 3 s")


@asynccontextmanager
async def desk(reply: Reply) -> AsyncIterator[Desk]:
    found = Desk(reply)
    yield found
    await found.candidates.stop()


def own(body: bytes = PLAY) -> Answered[Answer]:
    return Answered(decode_answer(body), 1, 0.1, 200, body)


@pytest.mark.parametrize(
    ("reply", "outcome", "expected"),
    [
        (answers(), own(), ("same", 200, ())),
        (answers(PLAY.replace(b"sound:a", b"sound:b")), own(), ("different", 200, ("/actions/0/media",))),
        (answers(b"oops", 500), own(), ("different", 500, ("/actions", "/mode", "/whenDone", "/tags", "/status"))),
        (silent, own(), ("no_answer", None, ())),
        (answers(), Unanswered("deadline", detail="too late"), ("nothing_to_compare", 200, ())),
    ],
)
async def test_what_came_of_both_answers(reply: Reply, outcome: Any, expected: tuple[str, int | None, tuple[str, ...]]) -> None:
    """Whichever is there first."""
    async with desk(reply) as found:
        for event, early in (("first", True), ("second", False)):
            told = found.goes(event)
            assert told is not None
            if early:
                told(outcome)
            if not early:
                await found.asked(2)
                told(outcome)
            fact = (await found.told(1 if early else 2))[-1]
            assert (fact.outcome, fact.status, fact.differences) == expected
            assert (fact.event, fact.call, fact.route, fact.url, fact.type) == (event, "1", "ivr", NEXT, "StasisStart")
        assert found.sent == [(NEXT, "first", "shadow"), (NEXT, "second", "shadow")]


async def test_what_the_route_refuses_is_a_difference() -> None:
    """An answer that would not run on this route, by its policy, is not the same."""

    def decode(body: bytes, content_type: str) -> Answer:
        if b"sound:b" in body:
            raise AnswerRefused([Fault("/0", "not allowed")])
        return decode_answer(body)

    async with desk(answers(PLAY.replace(b"sound:a", b"sound:b"))) as found:
        told = found.goes(decode=decode)
        assert told is not None
        told(own())
        assert "/refused" in (await found.told())[0].differences


async def test_what_may_differ_is_the_same() -> None:
    """Places that the route ignores."""
    async with desk(answers(PLAY.replace(b"sound:a", b"sound:b"))) as found:
        told = found.goes(shadow=Shadow(Endpoint(NEXT), ignore=("/actions/*/media",)))
        assert told is not None
        told(own())
        assert (await found.told())[0].outcome == "same"


def test_whole_calls_are_chosen() -> None:
    """A share of them, the same ones each time, and not the same ones for each route."""
    calls = [f"1764180000.{number}" for number in range(2000)]
    some = [call for call in calls if chosen("ivr", call, 0.1)]
    assert 120 < len(some) < 280
    assert some == [call for call in calls if chosen("ivr", call, 0.1)]
    assert some != [call for call in calls if chosen("sales", call, 0.1)]
    assert set(some) <= {call for call in calls if chosen("ivr", call, 0.2)}
    assert all(chosen("ivr", call, 1.0) for call in calls)
    assert chosen("ivr", "\ud83d", 1.0)


async def test_who_is_not_chosen_costs_nothing() -> None:
    """No request, no fact."""
    async with desk(answers()) as found:
        assert found.goes(shadow=Shadow(Endpoint(NEXT), 1e-9)) is None
        assert (found.sent, found.facts) == ([], [])


async def test_an_actions_own_url_is_beside_it() -> None:
    """The same path at the candidate's host."""
    async with desk(answers()) as found:
        told = found.goes(url="https://own.test/done?x=1")
        assert told is not None
        told(own())
        await found.told()
        assert found.sent[0][0] == "https://next.test/done"


async def test_the_events_of_a_call_come_in_order() -> None:
    """One at a time; other calls do not wait for them."""
    gates: dict[str, asyncio.Event] = {"a": asyncio.Event(), "b": asyncio.Event(), "c": asyncio.Event()}

    async def gated(message: Message) -> Attempt:
        await gates[message.id].wait()
        return Attempt(1, "response", 200, body=PLAY)

    async with desk(gated) as found:
        for event, call in (("a", "1"), ("b", "1"), ("c", "2")):
            told = found.goes(event, call)
            assert told is not None
            told(own())
        gates["b"].set()
        gates["c"].set()
        await found.told()
        assert [id for _, id, _ in found.sent] == ["a", "c"]
        gates["a"].set()
        assert [fact.event for fact in await found.told(3)] == ["c", "a", "b"]


async def test_what_is_too_much_is_skipped_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """At most so many at a time, and so many that wait; the calls notice nothing."""
    monkeypatch.setattr(candidates, "MOST_AT_ONCE", 2)
    monkeypatch.setattr(candidates, "MOST_WAITING", 3)
    gate = asyncio.Event()

    async def gated(message: Message) -> Attempt:
        await gate.wait()
        return Attempt(1, "response", 200, body=PLAY)

    async with desk(gated) as found:
        first = [found.goes("a", "1"), found.goes("b", "2")]
        assert found.goes("c", "3") is None
        assert [(fact.event, fact.outcome) for fact in found.facts] == [("c", "skipped")]
        await found.asked(2)
        more = [found.goes(event, "1") for event in ("d", "e", "f")]
        assert found.goes("g", "2") is None
        gate.set()
        for told in (*first, *more):
            assert told is not None
            told(own())
        assert [fact.outcome for fact in await found.told(7)].count("same") == 5


async def test_whatever_goes_wrong_is_only_told() -> None:
    """The next call of the candidate works again."""

    async def broken(message: Message) -> Attempt:
        raise RuntimeError("oops")

    async with desk(broken) as found:
        told = found.goes()
        assert told is not None
        told(own())
        async with asyncio.timeout(5):
            while not found.warned:
                await asyncio.sleep(0)
        assert "RuntimeError: oops" in found.warned[0].message
        found.reply = answers()
        told = found.goes("next")
        assert told is not None
        told(own())
        assert [fact.outcome for fact in await found.told()] == ["same"]


async def test_what_is_under_way_at_the_end_is_dropped() -> None:
    """Nothing waits for a candidate."""

    async def never(message: Message) -> Attempt:
        await asyncio.Event().wait()
        raise AssertionError

    found = Desk(never)
    assert found.goes() is not None
    await found.asked(1)
    async with asyncio.timeout(5):
        await found.candidates.stop()
