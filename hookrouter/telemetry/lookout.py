"""What an operator sees first: how it goes now, what went wrong in the last hour, and the last facts; an observer like any other.

Rules: what goes well costs an append; what goes wrong is counted by what it is and where, in slices of a minute. All of it
is bounded, and forgotten with the process: days are the record's.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count
from typing import Any

import msgspec

from hookrouter import facts as f
from hookrouter.facts import Fact, Facts, said_fields
from hookrouter.telemetry.logs import NAMES, Level, level_of
from hookrouter.telemetry.phrases import phrase
from hookrouter.text.lines import cut

HOUR = 3600.0
MOST_FACTS = 5_000
MOST_TROUBLES = 300
MOST_ENDPOINTS = 200
_MOST_TIMES = 1_000
_MINUTE = 60.0
_QUIET = frozenset({f.Exchanged, f.EventReceived, f.AriRequested, f.ActionStarted, f.DeliveryFinished})
"""Kinds that come by the thousand: the record has them call by call."""


class Told(msgspec.Struct, frozen=True, gc=False):
    """A fact, when it was emitted (seconds since the epoch), and its place among all."""

    number: int
    at: float
    fact: Fact

    @property
    def level(self) -> Level:
        return level_of(self.fact)

    @property
    def name(self) -> str:
        """As in a log line, such as `delivery.attempted`."""
        found = NAMES.get(type(self.fact))
        return found[0] if found is not None else type(self.fact).__name__

    def words(self) -> str:
        """What happened, in words; the call is not among them."""
        said = phrase(self.fact, with_call=False)
        return said if said is not None else " ".join(f"{name}={value}" for name, value in self.fields())

    def fields(self) -> Iterator[tuple[str, str]]:
        for name in said_fields(type(self.fact)):
            value = getattr(self.fact, name)
            if value not in ("", None, (), {}) and name not in ("call", "muted"):
                yield name, str(value)


class Trouble(msgspec.Struct):
    """One kind of thing that went wrong: how often, since when, and in which call last."""

    what: str
    where: str
    route: str
    first: float
    last: float
    call: str = ""
    detail: str = ""
    slices: list[tuple[int, int]] = []  # (minute, how many)

    def count(self, now: float) -> int:
        """In the last hour."""
        return sum(many for minute, many in self.slices if minute * _MINUTE > now - HOUR)

    def since(self, now: float) -> float:
        """When it first happened in the last hour."""
        oldest = next((minute * _MINUTE for minute, _ in self.slices if minute * _MINUTE > now - HOUR), self.last)
        return max(self.first, oldest)


class Health(msgspec.Struct):
    """What is known of one route's deliveries to one URL: `good` and `fault` are (when, the attempt)."""

    url: str
    route: str
    good: tuple[float, f.DeliveryAttempted] | None = None
    fault: tuple[float, f.DeliveryAttempted] | None = None
    times: deque[float] = msgspec.field(default_factory=lambda: deque(maxlen=_MOST_TIMES))


class Lookout:
    """`now`: seconds since the epoch."""

    def __init__(self, facts: Facts, now: Callable[[], float]) -> None:
        self._now = now
        self._facts: deque[tuple[int, float, Fact]] = deque(maxlen=MOST_FACTS)
        self._troubles: OrderedDict[tuple[str, str, str], Trouble] = OrderedDict()
        self._started: deque[tuple[float, str]] = deque(maxlen=20_000)  # (when, route) of new calls
        self._health: OrderedDict[tuple[str, str], Health] = OrderedDict()
        self._breakers: OrderedDict[str, str] = OrderedDict()
        append, number = self._facts.append, count(1).__next__
        facts.subscribe(lambda fact: append((number(), now(), fact)), lambda kind: kind not in _QUIET)
        for kind, hear in _HEARD.items():
            facts.subscribe(partial(hear, self), frozenset({kind}).__contains__)

    # ---- what is asked

    def told(self, before: int | None = None) -> Iterator[Told]:
        """The last facts, the newest first; `before`: only those with smaller numbers."""
        for number, at, fact in reversed(self._facts):
            if before is None or number < before:
                yield Told(number, at, fact)

    def troubles(self) -> list[Trouble]:
        """Of the last hour, the most frequent first."""
        now = self._now()
        found = [trouble for trouble in self._troubles.values() if trouble.count(now)]
        return sorted(found, key=lambda trouble: (-trouble.count(now), -trouble.last))

    def health(self) -> list[Health]:
        return list(self._health.values())

    def breaker(self, url: str) -> str:
        """`closed`, `open` or `half_open`; `url` as it is shown."""
        return self._breakers.get(url, "closed")

    def new_calls(self, sees: Callable[[str], bool]) -> int:
        """How many began in the last minute, of the routes that `sees` leaves."""
        since = self._now() - _MINUTE
        many = 0
        for at, route in reversed(self._started):
            if at < since:
                break
            many += sees(route)
        return many

    # ---- what is heard

    def went_wrong(self, what: str, where: str = "", route: str = "", call: str = "", detail: str = "") -> None:
        now, key = self._now(), (what, where, route)
        trouble = self._troubles.get(key)
        if trouble is None:
            trouble = self._troubles[key] = Trouble(what, where, route, now, now)
            while len(self._troubles) > MOST_TROUBLES:
                self._troubles.popitem(last=False)
        self._troubles.move_to_end(key)
        trouble.last, trouble.call, trouble.detail = now, call or trouble.call, cut(detail, 300) or trouble.detail
        minute, slices = int(now // _MINUTE), trouble.slices
        if slices and slices[-1][0] == minute:
            slices[-1] = (minute, slices[-1][1] + 1)
        else:
            slices.append((minute, 1))
            while slices[0][0] * _MINUTE <= now - HOUR:
                del slices[0]

    def _attempted(self, fact: f.DeliveryAttempted) -> None:
        key = (fact.url, fact.route)
        health = self._health.get(key)
        if health is None:
            health = self._health[key] = Health(fact.url, fact.route)
            while len(self._health) > MOST_ENDPOINTS:
                self._health.popitem(last=False)
        if fact.status is not None and 200 <= fact.status < 300:
            health.good = (self._now(), fact)
            health.times.append(fact.seconds)
            return
        health.fault = (self._now(), fact)
        what = str(fact.status) if fact.status is not None else fact.reason
        self.went_wrong(what, fact.url, fact.route, fact.call, fact.detail)

    def _finished(self, fact: f.DeliveryFinished) -> None:
        if fact.outcome in ("dead", "dropped"):
            self.went_wrong(f"delivery {fact.outcome}", fact.type, fact.route, fact.call, fact.detail)
        elif fact.outcome == "unanswered" and fact.reason not in ("status", "timeout", "reset", "refused_connection"):
            self.went_wrong(fact.reason, fact.type, fact.route, fact.call, fact.detail)

    def _began(self, fact: f.CallStarted) -> None:
        self._started.append((self._now(), fact.route))

    def _action(self, fact: f.ActionFinished) -> None:
        if fact.outcome == "failed":
            self.went_wrong("action failed", f"{fact.verb} {fact.about}".strip(), "", fact.call, fact.detail)

    def _breaker(self, fact: f.BreakerChanged) -> None:
        self._breakers[fact.url] = fact.state
        while len(self._breakers) > MOST_ENDPOINTS:
            self._breakers.popitem(last=False)
        if fact.state == "open":
            self.went_wrong("breaker opened", fact.url)

    def _fallback(self, fact: f.FallbackTaken) -> None:
        self.went_wrong(f"fallback ({fact.kind})", fact.reason, fact.route, fact.call)

    def _still(self, fact: f.CallStandsStill) -> None:
        self.went_wrong("stood still", f"after {fact.event or 'its begin'}", fact.route, fact.call, fact.message)

    def _late(self, fact: f.LateAnswer) -> None:
        self.went_wrong("late answer", "", fact.route, fact.call)

    def _limit(self, fact: f.LimitReached) -> None:
        self.went_wrong("limit reached", fact.limit, fact.route, fact.call, fact.message)

    def _lost(self, fact: f.AriLost) -> None:
        self.went_wrong("Asterisk away", f"{fact.asterisk}: {fact.reason}", "", "", fact.detail)

    def _replaced(self, fact: f.AriReplaced) -> None:
        self.went_wrong("app taken by another client", f"{fact.asterisk}: {fact.app}")

    def _journal(self, fact: f.JournalFailed) -> None:
        self.went_wrong("journal failed", fact.what, "", "", fact.detail)

    def _routes(self, fact: f.RoutesRefused) -> None:
        self.went_wrong("routes.toml refused", fact.path, "", "", "; ".join(fact.faults))

    def _auth(self, fact: f.AuthRefused) -> None:
        self.went_wrong("refused at our HTTP", f"{fact.door}: {fact.reason} from {fact.address}", "", "", fact.detail)

    def _warned(self, fact: f.Warned) -> None:
        self.went_wrong(f"warned: {fact.subject}", "", "", fact.call, fact.message)


_HEARD: dict[type[Fact], Callable[[Lookout, Any], None]] = {
    f.DeliveryAttempted: Lookout._attempted,
    f.DeliveryFinished: Lookout._finished,
    f.CallStarted: Lookout._began,
    f.ActionFinished: Lookout._action,
    f.BreakerChanged: Lookout._breaker,
    f.FallbackTaken: Lookout._fallback,
    f.CallStandsStill: Lookout._still,
    f.LateAnswer: Lookout._late,
    f.LimitReached: Lookout._limit,
    f.AriLost: Lookout._lost,
    f.AriReplaced: Lookout._replaced,
    f.JournalFailed: Lookout._journal,
    f.RoutesRefused: Lookout._routes,
    f.AuthRefused: Lookout._auth,
    f.Warned: Lookout._warned,
}
