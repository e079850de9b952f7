"""Wrong guesses are slowed down, told and counted, and take a bounded place."""

from __future__ import annotations

import asyncio

from hookrouter.facts import AuthRefused, Fact, Facts, HttpRefused
from hookrouter.web import refusals
from hookrouter.web.refusals import LONGEST, TELL_DELAY, Refusals


class World:
    """A clock that is set by hand; who sleeps is woken by hand."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self.wake = asyncio.Event()
        self.facts: list[Fact] = []
        self.refusals = Refusals(Facts(self.facts.append), lambda: self.now, self.sleep)

    async def sleep(self, delay: float) -> None:
        self.slept.append(delay)
        await self.wake.wait()


async def test_each_wrong_guess_is_answered_later() -> None:
    """Up to a longest time; another address is not slower for it, and after a while all is forgotten."""
    world = World()
    world.wake.set()
    for _ in range(8):
        assert await world.refusals.slow_down("192.0.2.1")
    assert world.slept == [0.1, 0.2, 0.4, 0.8, 1.6, LONGEST, LONGEST, LONGEST]
    await world.refusals.slow_down("192.0.2.2")
    assert world.slept[-1] == 0.1
    await world.refusals.slow_down("::ffff:192.0.2.1")
    assert world.slept[-1] == LONGEST
    world.now += 601
    await world.refusals.slow_down("192.0.2.1")
    assert world.slept[-1] == 0.1


async def test_few_are_held_at_a_time() -> None:
    """Of one address, and of all: the others are refused at once, so that guessing takes no memory."""
    world = World()
    held = [asyncio.create_task(world.refusals.slow_down("2001:db8::1")) for _ in range(4)]
    await asyncio.sleep(0)
    assert not await world.refusals.slow_down("2001:db8::ffff:2")
    many = [asyncio.create_task(world.refusals.slow_down(f"192.0.2.{number}")) for number in range(60)]
    await asyncio.sleep(0)
    assert not await world.refusals.slow_down("198.51.100.1")
    world.wake.set()
    assert all(await asyncio.gather(*held, *many))
    assert await world.refusals.slow_down("198.51.100.1")


async def test_what_is_remembered_has_a_bound() -> None:
    """However many addresses come."""
    world = World()
    world.wake.set()
    for number in range(3000):
        address = f"10.0.{number // 250}.{number % 250}"
        await world.refusals.slow_down(address)
        world.refusals.tell("api", "wrong_token", address, "/")
    assert len(world.refusals._guessers) <= refusals._MOST_KNOWN
    assert len(world.refusals._told) <= refusals._MOST_KNOWN
    await world.refusals.slow_down("not an address" * 100)


def test_the_same_refusal_is_told_once_in_a_while() -> None:
    """Each is a fact, and counted by it; those that are muted are told of with the next that is not."""
    world = World()
    for _ in range(5):
        world.refusals.tell("ari", "wrong_password", "192.0.2.1", "/ari/main?x=secret", "because")
    world.refusals.tell("ari", "unknown_name", "192.0.2.1", "/ari/mian", "because")
    world.now += TELL_DELAY
    world.refusals.tell("ari", "wrong_password", "192.0.2.1", "/ari/main", "because")
    told = [fact for fact in world.facts if isinstance(fact, AuthRefused)]
    assert [fact.muted for fact in told] == [False, True, True, True, True, False, False]
    assert told[0] == AuthRefused("ari", "wrong_password", "192.0.2.1", "/ari/main", "because")
    assert told[-1].times == 5
    world.refusals.tell_http("head_too_large", "192.0.2.1")
    assert world.facts[-1] == HttpRefused("head_too_large", "192.0.2.1")


def test_what_is_told_is_short() -> None:
    """A path of a megabyte makes no line of a megabyte."""
    world = World()
    world.refusals.tell("api", "no_token", "192.0.2.1", "/" + "x" * 10**6, "y" * 10**6)
    (fact,) = world.facts
    assert len(str(fact)) < 1000
