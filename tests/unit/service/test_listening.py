"""Who listens: whose calls they hear, from when on, and when they are let go."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import msgspec
import pytest

from hookrouter.actions.decode import Answer, decode_answer
from hookrouter.calls.call import Call
from hookrouter.clock import SystemClock
from hookrouter.config import Access
from hookrouter.config.values import ALL
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Answered
from hookrouter.facts import Facts
from hookrouter.routing.endpoint import Endpoint, Route
from hookrouter.service import listening
from hookrouter.service.listening import Ear, Listening

URL = "https://own.test/ivr"
ROUTE = Route("ivr", Endpoint(URL, timeout=0.01))
CALL = Call(key="main/1", id="1", asterisk="main", app="app", route="ivr", caller="+4930", called="1000", started_at=1.0)


class Desk:
    def __init__(self) -> None:
        self.listening = Listening(Facts(), SystemClock())

    def add(self, access: Access = ALL, **wanted: Any) -> Ear:
        ear = self.listening.add(json.dumps(wanted).encode(), access)
        assert ear is not None
        return ear

    def goes(self, call: Call = CALL, type: str = "StasisStart", *, first: bool = True) -> int:
        """How many hear an event of the call."""
        message = Message("e", type, b"{}", "control", call.id, "ivr")
        return len(self.listening.begin(call, ROUTE, message, URL, decode_answer, first=first))

    async def taken(self, call: Call = CALL, route: Route = ROUTE) -> Answered[Answer] | None:
        message = Message("e", "StasisStart", b"{}", "control", call.id, "ivr")
        return await self.listening.take(call, route, message, URL, decode_answer, first=True)


@pytest.mark.parametrize(
    ("match", "heard"),
    [
        ({}, 1),
        ({"route": "ivr", "caller": "+49*"}, 1),
        ({"route": "ivr", "caller": "+43*"}, 0),
        ({"called": "1000", "app": "app", "asterisk": "ma?n"}, 1),
        ({"called": "100"}, 0),
    ],
)
async def test_which_calls_match(match: dict[str, str], heard: int) -> None:
    """All that is named, as globs."""
    desk = Desk()
    desk.add(match=match)
    assert desk.goes() == heard


async def test_whole_calls_are_heard() -> None:
    """Those that begin while somebody listens, to their end."""
    desk = Desk()
    desk.add()
    assert desk.goes(first=False) == 0
    assert desk.goes() == 1
    assert desk.goes(type="DigitsCollected", first=False) == 1
    assert desk.goes(type="StasisEnd", first=False) == 1
    assert desk.goes(type="StasisEnd", first=False) == 0


async def test_a_tenants_token_hears_its_own_calls() -> None:
    """And no other, not even those of nobody."""
    desk = Desk()
    ear = desk.add(Access("acme"))
    for tenant, heard in (("", 0), ("other", 0), ("acme", 1)):
        call = msgspec.structs.replace(CALL, key=f"main/{tenant}", tenant=tenant)
        assert desk.goes(call) == heard
    assert list(ear.calls) == ["main/acme"]


async def test_who_is_late_again_and_again_is_let_go() -> None:
    """Three calls in a row: the next one does not wait for them."""
    desk = Desk()
    ear = desk.add(take=True)
    for _ in range(listening.MOST_LATE):
        assert desk.listening
        assert await desk.taken() is None
    assert not desk.listening
    desk.listening.remove(ear)  # as when their connection ends
    *_, last = [line async for line in ear.stream()]
    assert json.loads(last.removeprefix(b"data: ")) == {"what": "ended", "why": "3 answers in a row came too late"}


async def test_who_answers_in_time_may_be_late_again() -> None:
    """The count begins anew."""
    desk = Desk()
    ear = desk.add(take=True)
    for _ in range(2):
        assert await desk.taken() is None
    slow = msgspec.structs.replace(ROUTE, endpoint=Endpoint(URL, timeout=5.0))
    taking = asyncio.create_task(desk.taken(route=slow))
    async with asyncio.timeout(5):
        while not ear.waiting:
            await asyncio.sleep(0)
    (number,) = ear.waiting
    assert desk.listening.answer(ear.id, number, ALL, {"status": "200"}, b"[]")
    assert not desk.listening.answer(ear.id, number, ALL, {"status": "200"}, b"[]")
    found = await taking
    assert found is not None
    assert found.answer.steps == ()
    assert ear.late == 0


async def test_there_is_time_for_the_own_endpoint() -> None:
    """Who has the whole deadline for one attempt waits for half of it."""
    desk = Desk()
    ear = desk.add(take=True)
    assert await desk.taken(route=Route("ivr", Endpoint(URL, timeout=0.2), deadline=0.2)) is None
    told = [json.loads(line) for line in ear._lines]
    assert next(one["timeout"] for one in told if one["what"] == "asked") == 0.1
    assert "no answer within 0.1 s" in next(one["why"] for one in told if one["what"] == "lost")


async def test_who_owes_too_many_answers_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What they owe is kept in memory."""
    monkeypatch.setattr(listening, "MOST_WAITING", 2)
    desk = Desk()
    ear = desk.add()
    assert [desk.goes(), desk.goes(first=False), desk.goes(first=False)] == [1, 1, 0]
    (number, _) = ear.waiting
    assert desk.listening.answer(ear.id, number, ALL, {"reason": "timeout"}, b"")
    assert desk.goes(first=False) == 1


async def test_one_is_in_charge_and_others_only_hear() -> None:
    """The first who takes."""
    desk = Desk()
    first, second, shadow = desk.add(take=True), desk.add(take=True), desk.add()
    assert await desk.taken() is None
    assert desk.goes() == 1
    assert (first.late, second.late, len(shadow.waiting)) == (1, 0, 1)


async def test_who_reads_too_slowly_misses_it() -> None:
    """And the call does not wait: it is not even asked."""
    desk = Desk()
    ear, taker = desk.add(), desk.add(take=True)
    for one in (ear, taker):
        while one.put(b"x"):
            pass
    slow = msgspec.structs.replace(ROUTE, endpoint=Endpoint(URL, timeout=60.0))
    assert await desk.taken(route=slow) is None
    assert desk.goes() == 0
    assert not ear.waiting
