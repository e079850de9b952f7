"""Candidates for a route's place (`shadow`): they get the events of some calls, too, and what they answer is only compared.

Rules:
- Nothing of an answer runs, and no call waits for one: a candidate has connections of its own, one attempt for each event,
  and bounds; what is over them is counted as `skipped`.
- Chosen is a whole call, by its id: the same ones before and after a restart. Its events come one at a time, in order.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from hashlib import blake2b

import msgspec

from hookrouter.actions.comparing import Decode, Given, compared
from hookrouter.actions.decode import Answer
from hookrouter.clock import Clock
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Answered, Attempt, Unanswered
from hookrouter.delivery.sender import Sender
from hookrouter.facts import AnswerCompared, Facts, Warned
from hookrouter.http.client import Http
from hookrouter.routing.endpoint import Endpoint, Route, Shadow
from hookrouter.text.urls import beside

MOST_AT_ONCE = 32  # candidates' answers that are waited for
MOST_WAITING = 256  # events that wait for their turn
MOST_TOLD = 20  # differences of one answer
_OF_64 = 2.0**64

Outcome = Answered[Answer] | Unanswered
Told = Callable[[Outcome], None]


def chosen(route: str, call: str, share: float) -> bool:
    """Whether a call is one of those that the candidate sees."""
    digest = blake2b(f"{route}\n{call}".encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") < share * _OF_64


def given_by(attempt: Attempt) -> Given:
    """What came of a candidate's attempt, to be compared."""
    if attempt.reason != "response":
        return Given(None, reason=attempt.reason, detail=attempt.detail)
    return Given(attempt.status, attempt.body, detail=attempt.detail)


def given_of(outcome: Outcome) -> Given:
    """What came of a control delivery; what was refused, or did not come, is nothing to compare with."""
    if isinstance(outcome, Answered):
        return Given(outcome.status, outcome.body)
    return Given(None, reason=outcome.reason, detail=outcome.detail)


class Pair:
    """Both answers to one event: when the second one of them is there, `emit` gets what comparing them has brought."""

    def __init__(
        self, message: Message, route: str, url: str, ignore: tuple[str, ...], decode: Decode, facts: Facts
    ) -> None:
        self.message = message
        self._route, self._url, self._ignore, self._decode, self._facts = route, url, ignore, decode, facts
        self._own: Given | None = None
        self._other: tuple[Given, float] | None = None
        self.then: Callable[[AnswerCompared, list[str]], None] = lambda fact, told: None

    def own(self, outcome: Outcome) -> None:
        """What the route's own endpoint answered."""
        self._own = given_of(outcome)
        self._compare()

    def other(self, given: Given, seconds: float) -> None:
        """What the candidate did."""
        self._other = (given, seconds)
        self._compare()

    def skipped(self, why: str) -> None:
        self._emit("skipped", detail=why)

    def _compare(self) -> None:
        if self._own is None or self._other is None:
            return
        given, seconds = self._other
        try:
            found = list(compared(self._own, given, self._ignore, self._decode))
        except Exception as error:  # noqa: BLE001  whatever a candidate answers, no call is to notice
            self._facts.emit(Warned("shadow", f"{self.message.type}: {type(error).__name__}: {error}"[:500]))
            return
        if self._own.status is None:
            outcome, found = "nothing_to_compare", []
        elif given.status is None:
            outcome, found = "no_answer", []
        else:
            outcome = "different" if found else "same"
        detail = f"{given.reason} {given.detail}".strip() if outcome in ("no_answer", "different") else ""
        self._emit(
            outcome, given, round(seconds, 4), detail, tuple(one.place for one in found[:MOST_TOLD]),
            [one.told("by the route's endpoint", "by the candidate") for one in found[:MOST_TOLD]],
        )  # fmt: skip

    def _emit(
        self, outcome: str, given: Given | None = None, seconds: float = 0.0, detail: str = "",
        places: tuple[str, ...] = (), told: list[str] | None = None,
    ) -> None:  # fmt: skip
        message, found = self.message, given or Given(None)
        about = (message.id, message.type, message.call, self._route, self._url)
        fact = AnswerCompared(*about, outcome, seconds, found.status, places, detail, found.body)
        self._facts.emit(fact)
        self.then(fact, told or [])


class Candidates:
    """Those of the routes of one router. `make_sender`: as the service has it; nothing is made before there is a candidate."""

    def __init__(self, facts: Facts, clock: Clock, make_sender: Callable[[Http, Clock, Facts], Sender]) -> None:
        self._facts, self._clock, self._make_sender = facts, clock, make_sender
        self._http: Http | None = None
        self._lanes: dict[tuple[str, str], deque[tuple[Endpoint, Pair]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def begin(self, route: Route, shadow: Shadow, message: Message, url: str, decode: Decode) -> Told | None:
        """An event goes to `url`, the route's own endpoint or an action's: to the candidate, too, where the call is chosen.

        What is given back takes what the own endpoint answered.
        """
        call = message.call or message.id
        if not chosen(route.name, call, shadow.share):
            return None
        endpoint = msgspec.structs.replace(shadow.endpoint, url=beside(shadow.endpoint.url, route.url, url))
        copy = msgspec.structs.replace(message, kind="shadow")
        pair = Pair(copy, route.name, endpoint.shown, shadow.ignore, decode, self._facts)
        lane = self._lanes.get((route.name, call))
        if lane is None and len(self._lanes) >= MOST_AT_ONCE:
            pair.skipped(f"{MOST_AT_ONCE} answers of candidates are waited for already")
        elif sum(map(len, self._lanes.values())) >= MOST_WAITING:
            pair.skipped(f"{MOST_WAITING} events wait for candidates already")
        else:
            if lane is not None:
                lane.append((endpoint, pair))
            else:
                self._lanes[route.name, call] = lane = deque([(endpoint, pair)])
                task = asyncio.create_task(self._work((route.name, call), lane), name="shadow")
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            return pair.own
        return None

    async def _work(self, key: tuple[str, str], lane: deque[tuple[Endpoint, Pair]]) -> None:
        """The events of one call, in order."""
        try:
            while lane:
                endpoint, pair = lane.popleft()
                attempt = await self._sender().attempt(endpoint, pair.message, 1, endpoint.timeout, endpoint.timeout)
                pair.other(given_by(attempt), attempt.seconds)
        except Exception as error:  # noqa: BLE001  a candidate costs no call anything
            self._facts.emit(Warned("shadow", f"{key[0]}: {type(error).__name__}: {error}"[:500], key[1]))
        finally:
            del self._lanes[key]

    def _sender(self) -> Sender:
        if self._http is None:
            self._http = Http()
            self._of_candidates = self._make_sender(self._http, self._clock, Facts())
        return self._of_candidates

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()
            self._http = None


__all__ = ["Candidates", "Outcome", "Pair", "Told", "chosen", "given_by", "given_of"]
