"""Who is refused at our own HTTP: told, counted, and slowed down where something was guessed wrong.

Rules:
- Right credentials are never slowed down, whoever else guesses from the same address.
- Each wrong guess from an address is answered later than the one before, up to `LONGEST`; few of them are held at a time,
  the others are refused at once. What is remembered has a bound.
- Every refusal is a fact, and counted; of the same ones one line in `TELL_DELAY` is more than `muted`.
- An address is what the connection comes from; of IPv6 its /64, which one stranger has whole.
"""

from __future__ import annotations

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Awaitable, Callable

import msgspec

from hookrouter.facts import AuthRefused, Facts, HttpRefused

FIRST = 0.1
LONGEST = 2.0
TELL_DELAY = 10.0
_FORGET = 600.0
_MOST_KNOWN = 1024
_HELD_EACH = 4
_HELD_ALL = 64
_LONGEST_TEXT = 200


class _Guesser(msgspec.Struct):
    wrong: int = 0
    last: float = 0.0
    held: int = 0


class _Told(msgspec.Struct):
    at: float
    since: int = 0  # how many were muted


class Refusals:
    """`now`: seconds of a clock that only goes forward."""

    def __init__(
        self,
        facts: Facts,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._facts = facts
        self._now = now
        self._sleep = sleep
        self._guessers: OrderedDict[str, _Guesser] = OrderedDict()
        self._told: OrderedDict[tuple[str, str, str], _Told] = OrderedDict()
        self._held = 0

    def tell(self, door: str, reason: str, address: str, asked: str, detail: str = "") -> None:
        """Somebody showed nothing, or something wrong. `asked`: the path; what is behind a `?` is left out."""
        muted, times = self._mute(address, door, reason)
        where = asked.partition("?")[0][:_LONGEST_TEXT]
        self._facts.emit(AuthRefused(door, reason, address, where, detail[:_LONGEST_TEXT], times, muted))

    def tell_http(self, reason: str, address: str, detail: str = "") -> None:
        """A connection or a request was ended before anything was looked at in it."""
        muted, times = self._mute(address, "http", reason)
        self._facts.emit(HttpRefused(reason, address, detail, times, muted))

    async def slow_down(self, address: str) -> bool:
        """Returns when a wrong guess from there may be answered; False: there are too many, refuse it at once."""
        guesser = self._guesser(_network(address))
        delay = min(LONGEST, FIRST * 2.0 ** min(guesser.wrong, 16))
        guesser.wrong += 1
        guesser.last = self._now()
        if guesser.held >= _HELD_EACH or self._held >= _HELD_ALL:
            return False
        guesser.held += 1
        self._held += 1
        try:
            await self._sleep(delay)
        finally:
            guesser.held -= 1
            self._held -= 1
        return True

    def _guesser(self, network: str) -> _Guesser:
        found = self._guessers.get(network)
        if found is None or (self._now() - found.last > _FORGET and not found.held):
            found = self._guessers[network] = _Guesser()
        self._guessers.move_to_end(network)
        while len(self._guessers) > _MOST_KNOWN:
            self._guessers.popitem(last=False)
        return found

    def _mute(self, address: str, door: str, reason: str) -> tuple[bool, int]:
        """Whether one like this was told a moment ago; and how many it stands for."""
        key, now = (_network(address), door, reason), self._now()
        told = self._told.get(key)
        if told is not None and now - told.at < TELL_DELAY:
            told.since += 1
            return True, 1
        times = 1 + (told.since if told is not None else 0)
        self._told[key] = _Told(now)
        self._told.move_to_end(key)
        while len(self._told) > _MOST_KNOWN:
            self._told.popitem(last=False)
        return False, times


def _network(address: str) -> str:
    """An address, or the network of it that one stranger has whole."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address[:64]
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.IPv6Address(int(found) >> 64 << 64))
    return str(found)
