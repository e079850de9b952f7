"""A control delivery: at most three attempts within the deadline, then an answer or a clear reason why there is none.

Rules:
- The deadline covers everything: waiting for a turn, connecting, sending, every byte of the answer, the pauses between.
- An open breaker answers at once, also a delivery that is between two attempts. A probe gets one attempt: the endpoint
  has been failing, and somebody is on the line.
- A wrong answer is a failed attempt that is not made again: the endpoint would answer the same.
- At most `MOST_IN_FLIGHT` deliveries are with one endpoint; a hanging one does not take every file descriptor.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from hookrouter.clock import Clock
from hookrouter.delivery.breaker import Admission, Breaker
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Answered, Attempt, Unanswered
from hookrouter.delivery.retry import SHORTEST_ATTEMPT, next_delay, succeeded
from hookrouter.delivery.sender import Sender
from hookrouter.errors import AnswerRefused
from hookrouter.facts import BreakerChanged, DeliveryAttempted, DeliveryFinished, Facts, LateAnswer
from hookrouter.routing.endpoint import Endpoint

T = TypeVar("T")
MOST_IN_FLIGHT = 256
_NO_BODY = (202, 204, 205)
_MOST_STATIONS = 1024
_ENDED_BY_TIME = ("timeout", "refused_connection")
_BROKEN = ("refused_connection", "reset", "timeout", "bad_response", "deadline", "too_large")


class _Station:
    """What is known of one endpoint."""

    __slots__ = ("breaker", "turns", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.breaker = Breaker()
        self.turns = asyncio.Semaphore(MOST_IN_FLIGHT)

    async def enter(self, timeout: float) -> bool:
        """Waits for its turn, at most `timeout` seconds; whether it came. `turns.release()` ends it."""
        if not self.turns.locked():
            return await self.turns.acquire()
        try:
            async with asyncio.timeout(timeout):
                return await self.turns.acquire()
        except TimeoutError:
            return False

    @property
    def remarkable(self) -> bool:
        return bool(self.breaker.failures or self.breaker.state != "closed" or self.turns._value < MOST_IN_FLIGHT)


class Deliverer:
    """Delivers to control endpoints. An endpoint is a URL without its query; `random` gives 0 to 1."""

    def __init__(self, sender: Sender, facts: Facts, clock: Clock, random: Callable[[], float]) -> None:
        self._sender = sender
        self._facts = facts
        self._clock = clock
        self._random = random
        self._stations: dict[str, _Station] = {}

    def breaker(self, url: str) -> Breaker:
        """The breaker of this URL's endpoint."""
        return self._station(url).breaker

    def _station(self, url: str) -> _Station:
        key = url.partition("?")[0]
        found = self._stations.get(key)
        if found is None:
            if len(self._stations) >= _MOST_STATIONS:  # URLs that answers made up: forget those with nothing to tell
                self._stations = {url: station for url, station in self._stations.items() if station.remarkable}
            found = self._stations[key] = _Station(key)
        return found

    async def control(
        self,
        endpoint: Endpoint,
        message: Message,
        *,
        deadline: float,
        decode: Callable[[bytes, str], T],
        verbs: Callable[[T], tuple[str, ...]] = lambda answer: (),
    ) -> Answered[T] | Unanswered:
        """The answer, or why there is none within `deadline` seconds. `decode` raises AnswerRefused."""
        started = self._clock.monotonic()
        station = self._station(endpoint.url)
        was = station.breaker.state
        admission = station.breaker.admit(started)
        self._told(station, changed=station.breaker.state != was)
        try:
            outcome = await self._outcome(station, admission, endpoint, message, started, deadline, decode)
        except BaseException:
            station.breaker.abandoned(admission)
            raise
        self._judge(station, admission, outcome)
        self._report(message, outcome, verbs)
        return outcome

    async def _outcome(
        self,
        station: _Station,
        admission: Admission,
        endpoint: Endpoint,
        message: Message,
        started: float,
        deadline: float,
        decode: Callable[[bytes, str], T],
    ) -> Answered[T] | Unanswered:
        if admission == "refused":
            return Unanswered("breaker_open", url=endpoint.url)
        if not await station.enter(deadline):
            detail = f"{MOST_IN_FLIGHT} deliveries were with this endpoint already"
            return Unanswered("deadline", None, 0, self._clock.monotonic() - started, detail, (), endpoint.url)
        try:
            return await self._attempts(station, admission, endpoint, message, started, deadline, decode)
        finally:
            station.turns.release()

    async def _attempts(
        self,
        station: _Station,
        admission: Admission,
        endpoint: Endpoint,
        message: Message,
        started: float,
        deadline: float,
        decode: Callable[[bytes, str], T],
    ) -> Answered[T] | Unanswered:
        number = 1
        late = partial(self._came_late, message)
        while True:
            left = max(SHORTEST_ATTEMPT, deadline - (self._clock.monotonic() - started))
            attempt = await self._sender.attempt(endpoint, message, number, min(endpoint.timeout, left), left, late)
            self._attempted(endpoint, message, attempt)
            seconds = self._clock.monotonic() - started
            if succeeded(attempt):
                if seconds <= deadline:
                    return self._decode(endpoint, attempt, seconds, decode)
                self._came_late(message)
                return Unanswered("deadline", attempt.status, number, seconds, "the answer came late", (), endpoint.url)
            delay = None if admission == "probe" else next_delay(attempt, deadline - seconds, self._random())
            if delay is None:
                return _unanswered(endpoint, attempt, seconds, deadline)
            if delay:
                await self._clock.sleep(delay)
            if station.breaker.state == "open":
                seconds = self._clock.monotonic() - started
                return Unanswered("breaker_open", attempt.status, number, seconds, attempt.detail, (), endpoint.url)
            number += 1

    def _decode(
        self, endpoint: Endpoint, attempt: Attempt, seconds: float, decode: Callable[[bytes, str], T]
    ) -> Answered[T] | Unanswered:
        body = b"" if attempt.status in _NO_BODY else attempt.body
        try:
            return Answered(decode(body, attempt.content_type), attempt.number, seconds)
        except AnswerRefused as error:
            return Unanswered(
                "refused_answer", attempt.status, attempt.number, seconds, str(error), error.faults, endpoint.url
            )

    def _judge(self, station: _Station, admission: Admission, outcome: Answered[T] | Unanswered) -> None:
        """Whether the endpoint works: an answer does, however wrong or refused; no answer, 429 and 5xx do not."""
        if isinstance(outcome, Unanswered) and outcome.reason == "breaker_open":
            return  # the others have judged
        broken = isinstance(outcome, Unanswered) and (
            outcome.reason in _BROKEN or (outcome.status or 0) >= 500 or outcome.status == 429
        )
        breaker = station.breaker
        changed = breaker.failed(self._clock.monotonic(), admission) if broken else breaker.succeeded()
        self._told(station, changed=changed)

    def _told(self, station: _Station, *, changed: bool) -> None:
        if changed:
            self._facts.emit(BreakerChanged(station.url, station.breaker.state))

    def _came_late(self, message: Message) -> None:
        self._facts.emit(LateAnswer(message.id, message.call, message.route))

    def _attempted(self, endpoint: Endpoint, message: Message, attempt: Attempt) -> None:
        self._facts.emit(
            DeliveryAttempted(
                message.id,
                message.type,
                message.call,
                message.route,
                endpoint.url,
                attempt.number,
                attempt.status,
                attempt.reason,
                attempt.seconds,
                message.kind,
                attempt.detail,
            )
        )

    def _report(
        self, message: Message, outcome: Answered[T] | Unanswered, verbs: Callable[[T], tuple[str, ...]]
    ) -> None:
        reason, detail, seconds, name = "", "", outcome.seconds, "answered"
        actions: tuple[str, ...] = ()
        if isinstance(outcome, Unanswered):
            name, reason, detail = "unanswered", outcome.reason, outcome.detail
        else:
            actions = verbs(outcome.answer)
        self._facts.emit(
            DeliveryFinished(
                message.id,
                message.type,
                message.call,
                message.route,
                "control",
                name,
                outcome.attempts,
                seconds,
                reason,
                actions,
                detail,
            )
        )


def _unanswered(endpoint: Endpoint, attempt: Attempt, seconds: float, deadline: float) -> Unanswered:
    reason: str = "status" if attempt.reason == "response" else attempt.reason
    if reason in _ENDED_BY_TIME and seconds >= deadline - 0.005:
        reason = "deadline"
    return Unanswered(reason, attempt.status, attempt.number, seconds, attempt.detail, (), endpoint.url)
