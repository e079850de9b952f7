"""Connecting to a host with several addresses: one that is dead costs a quarter of a second, and once.

Rules: the next address is tried when the one before has failed, or has not answered for `NEXT_DELAY`; the first that
answers wins, the others are given up. Which address answered last is tried first.
Source: RFC 8305, 5 and 8.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

NEXT_DELAY = 0.25
_MOST_REMEMBERED = 1024

T = TypeVar("T")


class Addresses:
    """Which address of each host has answered last."""

    def __init__(self) -> None:
        self._answered: dict[str, str] = {}

    def ordered(self, host: str, addresses: Sequence[str]) -> list[str]:
        """`addresses`, the one that has answered last before the others."""
        known = self._answered.get(host)
        return sorted(addresses, key=lambda address: address != known)

    def answered(self, host: str, address: str) -> None:
        if self._answered.get(host) == address:
            return
        if len(self._answered) >= _MOST_REMEMBERED:
            del self._answered[next(iter(self._answered))]
        self._answered[host] = address


async def first_of(
    addresses: Sequence[str], connect: Callable[[str], Awaitable[T]], discard: Callable[[T], None]
) -> tuple[str, T]:
    """The first connection, and to which address. `discard` gets those that came too late. Raises the last OSError."""
    if len(addresses) == 1:
        return addresses[0], await connect(addresses[0])
    under_way: dict[asyncio.Future[T], str] = {}
    waiting = list(addresses)
    won: list[T] = []
    try:
        address = await _race(waiting, under_way, connect, won)
        await _give_up(under_way, discard)
    except BaseException:
        await _give_up(under_way, discard)
        for late in won:
            discard(late)
        raise
    return address, won[0]


async def _race(
    waiting: list[str],
    under_way: dict[asyncio.Future[T], str],
    connect: Callable[[str], Awaitable[T]],
    won: list[T],
) -> str:
    error = OSError("no address")
    while waiting or under_way:
        if waiting:
            address = waiting.pop(0)
            under_way[asyncio.ensure_future(connect(address))] = address
        delay = NEXT_DELAY if waiting else None
        done, _ = await asyncio.wait(under_way, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            failure = task.exception()
            if failure is None:
                won.append(task.result())
                return under_way.pop(task)
            del under_way[task]
            if not isinstance(failure, OSError):
                raise failure
            error = failure
    raise error


async def _give_up(under_way: dict[asyncio.Future[T], str], discard: Callable[[T], None]) -> None:
    if not under_way:
        return
    for task in under_way:
        task.cancel()
    for found in await asyncio.gather(*under_way, return_exceptions=True):
        if not isinstance(found, BaseException):
            discard(found)
    under_way.clear()
