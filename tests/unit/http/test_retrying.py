"""In-process retries: when they stop, what they wait, and what they let through."""

from __future__ import annotations

import pytest

from hookrouter.http.retrying import Again, try_again


class Time:
    """Passes only in sleep."""

    def __init__(self) -> None:
        self.time = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, delay: float) -> None:
        self.slept.append(delay)
        self.time += delay


async def test_it_waits_before_each_try_and_numbers_them_from_two() -> None:
    """The first try was the caller's own."""
    time, numbers = Time(), []

    async def attempt(number: int) -> str:
        numbers.append((number, len(time.slept)))
        if number < 4:
            raise Again("not yet")
        return "done"

    assert await try_again(attempt, total=8, sleep=time.sleep, now=time.now) == "done"
    assert numbers == [(2, 1), (3, 2), (4, 3)]
    assert all(0.05 <= delay <= 1.0 for delay in time.slept)


async def test_it_ends_after_the_total() -> None:
    """No new try begins after `total` seconds, and the last failure is what is left."""
    time, tries = Time(), []

    async def attempt(number: int) -> None:
        tries.append(time.time)
        raise Again(number)

    with pytest.raises(Again) as error:
        await try_again(attempt, total=8, sleep=time.sleep, now=time.now)
    assert error.value.cause == len(tries) + 1
    assert 7 <= tries[-1] <= 9.1
    assert 8 <= len(tries) < 60


async def test_other_errors_pass_at_once() -> None:
    """Only `Again` is tried again."""
    time = Time()

    async def attempt(number: int) -> None:
        raise ValueError("a mistake")

    with pytest.raises(ValueError, match="a mistake"):
        await try_again(attempt, total=8, sleep=time.sleep, now=time.now)
    assert len(time.slept) == 1
