"""How it goes now, as one router sees it, and what several of them say together. Pure.

Rules: each router tells what it has in hand; what is told by several (an endpoint, a kind of trouble) is counted as one. Who
does not answer is named.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from hookrouter import __version__
from hookrouter.calls.hearing import Hears
from hookrouter.cluster.terms import Lease, Peer
from hookrouter.facts import DeliveryAttempted
from hookrouter.telemetry.lookout import Trouble

MOST_LIVE = 100
_MOST_TIMES = 100
_BREAKERS = ("closed", "half_open", "open")


class LiveCall(msgspec.Struct, frozen=True):
    """A live call as a list shows it. `router`: which one has it in hand, where there are several."""

    id: str
    asterisk: str
    route: str
    caller: str
    called: str
    started_at: float
    hears: Hears
    doing: tuple[tuple[str, int, tuple[Any, ...]], ...] = ()  # (kind, index, actions) of each program
    state: Any = None
    router: str = ""


class Endpoint(msgspec.Struct, frozen=True):
    """`good` and `fault`: the last of each, (when, the attempt). `took`: seconds of the last answers, a sample in order."""

    url: str
    routes: tuple[str, ...]
    breaker: str
    good: tuple[float, DeliveryAttempted] | None = None
    fault: tuple[float, DeliveryAttempted] | None = None
    took: tuple[float, ...] = ()

    @property
    def times(self) -> tuple[float, float] | None:
        """p50 and p95."""
        return percentiles(self.took)


class Member(msgspec.Struct, frozen=True):
    """One of several routers. `owns`: Asterisk → the state of its connection; `calls`: that it has; `answers`: it could be asked.

    What a router owns that does not answer is `silent`.
    """

    name: str
    address: str = ""
    version: str = ""
    owns: dict[str, str] = {}
    calls: int = 0
    answers: bool = True


class Now(msgspec.Struct, frozen=True):
    """`live`: those that stand still first, then the longest ones; `count` of all. Times are seconds.

    `members`: the routers, where there are several.
    """

    at: float
    asterisks: dict[str, str]
    live: list[LiveCall]
    count: int
    still: int
    new_calls: int
    took: tuple[float, ...]
    endpoints: list[Endpoint]
    troubles: list[Trouble]
    members: list[Member] = []

    @property
    def times(self) -> tuple[float, float] | None:
        """p50 and p95 of the last answers."""
        return percentiles(self.took)

    @property
    def silent(self) -> list[Member]:
        """Routers that could not be asked."""
        return [member for member in self.members if not member.answers]

    def home(self, asterisk: str) -> str:
        """The router that owns it; empty: none that is known."""
        return next((member.name for member in self.members if asterisk in member.owns), "")


def percentiles(times: Iterable[float]) -> tuple[float, float] | None:
    """p50 and p95."""
    ordered = sorted(times)
    return (ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]) if ordered else None


def sample(times: Iterable[float]) -> tuple[float, ...]:
    """At most a hundred of them, in order, which stand for all."""
    ordered = sorted(times)
    if len(ordered) <= _MOST_TIMES:
        return tuple(ordered)
    return tuple(ordered[place * (len(ordered) - 1) // (_MOST_TIMES - 1)] for place in range(_MOST_TIMES))


def first(call: LiveCall) -> tuple[bool, float]:
    """The order of the live calls."""
    return (call.hears.mood != "still", call.started_at)


def gathered(own: Now, others: Sequence[tuple[Peer, Now | None]], leases: Sequence[Lease] = ()) -> Now:
    """What all say together; None: that one has not answered. `leases`: what others own."""
    told = [own, *(found for _, found in others if found is not None)]
    members = [member for each in told for member in each.members]
    states = {name: state for member in members for name, state in member.owns.items()}
    for peer, found in others:
        if found is None:
            owns = dict.fromkeys(_owned(peer, leases) - states.keys(), "silent")
            states |= owns
            members.append(Member(peer.name, peer.address, owns=owns, answers=False))
    live: dict[tuple[str, str], LiveCall] = {}
    for each in told:
        for call in each.live:
            live.setdefault((call.asterisk, call.id), call)
    return Now(
        own.at,
        own.asterisks | states,
        sorted(live.values(), key=first)[:MOST_LIVE],
        sum(each.count for each in told),
        sum(each.still for each in told),
        sum(each.new_calls for each in told),
        sample(seconds for each in told for seconds in each.took),
        _endpoints([endpoint for each in told for endpoint in each.endpoints]),
        _troubles([trouble for each in told for trouble in each.troubles], own.at),
        sorted(members, key=lambda member: member.name),
    )


def _owned(peer: Peer, leases: Sequence[Lease]) -> set[str]:
    return {lease.entry for lease in leases if lease.name == peer.name and not lease.over}


def _endpoints(all_: Iterable[Endpoint]) -> list[Endpoint]:
    found: dict[str, Endpoint] = {}
    for one in all_:
        known = found.get(one.url)
        found[one.url] = one if known is None else _joined(known, one)
    return list(found.values())


def _joined(one: Endpoint, other: Endpoint) -> Endpoint:
    """What two routers know of an endpoint: the worse of the breakers, the later of the answers."""

    def later(name: str) -> Any:
        known = [value for value in (getattr(one, name), getattr(other, name)) if value is not None]
        return max(known, key=lambda value: value[0], default=None)

    breaker = max(one.breaker, other.breaker, key=lambda state: _BREAKERS.index(state) if state in _BREAKERS else 0)
    routes = tuple(dict.fromkeys((*one.routes, *other.routes)))
    return Endpoint(one.url, routes, breaker, later("good"), later("fault"), sample((*one.took, *other.took)))


def _troubles(all_: Iterable[Trouble], now: float) -> list[Trouble]:
    """The most frequent first."""
    found: dict[tuple[str, str, str], Trouble] = {}
    for one in all_:
        key = (one.what, one.where, one.route)
        known = found.get(key)
        if known is None:
            found[key] = one
            continue
        later = max(known, one, key=lambda trouble: trouble.last)
        minutes = Counter(dict(known.slices))
        minutes.update(dict(one.slices))
        found[key] = Trouble(
            *key, min(known.first, one.first), later.last, later.call, later.detail, sorted(minutes.items())
        )
    return sorted(found.values(), key=lambda trouble: (-trouble.count(now), -trouble.last))


def me(name: str, address: str, states: dict[str, str], owned: Iterable[str], calls: int) -> Member:
    """This router among the others."""
    return Member(name, address, __version__, {entry: states[entry] for entry in owned if entry in states}, calls)


def written(now: Now) -> bytes:
    """As JSON."""
    try:
        return msgspec.json.encode(now)
    except UnicodeEncodeError:  # half of a surrogate pair is no text
        return json.dumps(msgspec.to_builtins(now), ensure_ascii=False).encode("utf-8", "replace")


def read_now(body: bytes) -> Now | None:
    """What another router has said; None where that cannot be read."""
    try:
        return msgspec.json.decode(body, type=Now)
    except msgspec.DecodeError:
        return None


__all__ = [
    "MOST_LIVE", "Endpoint", "LiveCall", "Member", "Now", "first", "gathered", "me", "percentiles", "read_now", "sample",
    "written",
]  # fmt: skip
