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
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from hookrouter.clock import Clock
from hookrouter.delivery.breaker import Admission, Breaker
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import NO_BODY, Answered, Attempt, Unanswered
from hookrouter.delivery.retry import SHORTEST_ATTEMPT, next_delay, succeeded
from hookrouter.delivery.sender import Sender
from hookrouter.errors import AnswerRefused
from hookrouter.facts import BreakerChanged, DeliveryAttempted, DeliveryFinished, Facts, LateAnswer
from hookrouter.routing.endpoint import Endpoint
from hookrouter.text.urls import shown_url

T = TypeVar("T")
MOST_IN_FLIGHT = 256
_CROWD = f"{MOST_IN_FLIGHT} deliveries were with this endpoint already"
_MOST_STATIONS = 1024
_MOST_DETAIL = 4000
_ENDED_BY_TIME = ("timeout", "refused_connection")
_LONGER = (
    "raise `timeout` and `deadline` if the function needs longer, or let it answer 202 and bring the actions later, by "
    "POST /v1/calls/ID/actions"
)
_BROKEN = ("refused_connection", "reset", "timeout", "bad_response", "deadline", "too_large")


class _Station:
    """What is known of one endpoint. `busy`: how many deliveries are with it; `queue`: those that wait for their turn."""

    __slots__ = ("breaker", "busy", "queue", "url")

    def __init__(self, url: str) -> None:
        self.url = url
        self.breaker = Breaker()
        self.busy = 0
        self.queue: deque[asyncio.Future[None]] = deque()

    async def turn(self, timeout: float) -> bool:
        """Waits for somebody else's turn to end, at most `timeout` seconds; whether it is ours now."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.queue.append(turn)
        try:
            async with asyncio.timeout(timeout):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self.leave()  # it came in the same moment: it is for the next one
            elif turn in self.queue:
                self.queue.remove(turn)
            if isinstance(error, TimeoutError):
                return False
            raise
        return True

    def leave(self) -> None:
        """The turn goes to the next one that waits, or is free."""
        while self.queue:
            turn = self.queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.busy -= 1

    @property
    def remarkable(self) -> bool:
        return bool(self.breaker.failures or self.breaker.state != "closed" or self.busy)


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
        station = self._stations.get(endpoint.url) or self._station(endpoint.url)
        breaker = station.breaker
        admission: Admission = "free"
        if breaker.state != "closed":
            was = breaker.state
            admission = breaker.admit(started)
            self._told(station, changed=breaker.state != was)
        outcome: Answered[T] | Unanswered
        if admission == "refused":
            outcome = Unanswered("breaker_open", url=endpoint.shown)
        else:
            try:
                if station.busy < MOST_IN_FLIGHT:
                    station.busy += 1
                elif not await station.turn(deadline):
                    outcome = Unanswered(
                        "deadline", None, 0, self._clock.monotonic() - started, _CROWD, (), endpoint.shown
                    )
                    self._judge(station, admission, outcome)
                    return self.report(message, outcome, verbs)
                try:
                    outcome = await self._attempts(station, admission, endpoint, message, started, deadline, decode)
                finally:
                    station.leave()
            except BaseException:
                breaker.abandoned(admission)
                raise
            if breaker.failures or breaker.state != "closed" or isinstance(outcome, Unanswered):
                self._judge(station, admission, outcome)
        return self.report(message, outcome, verbs)

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
        number, clock = 1, self._clock.monotonic
        late = partial(self._came_late, message)
        while True:
            left = deadline - (clock() - started)
            if left < SHORTEST_ATTEMPT:
                left = SHORTEST_ATTEMPT
            timeout = endpoint.timeout if endpoint.timeout < left else left
            attempt = await self._sender.attempt(endpoint, message, number, timeout, left, late)
            self._attempted(endpoint, message, attempt)
            seconds = clock() - started
            if succeeded(attempt):
                if seconds <= deadline:
                    return self._decode(endpoint, attempt, seconds, decode)
                self._came_late(message)
                detail = f"the answer came after {seconds:.1f} s (deadline {deadline:g} s): {_LONGER}"
                return Unanswered("deadline", attempt.status, number, seconds, detail, (), endpoint.shown)
            delay = None if admission == "probe" else next_delay(attempt, deadline - seconds, self._random())
            if delay is None:
                return _unanswered(endpoint, attempt, seconds, deadline)
            if delay:
                await self._clock.sleep(delay)
            if station.breaker.state == "open":
                seconds = clock() - started
                return Unanswered("breaker_open", attempt.status, number, seconds, attempt.detail, (), endpoint.shown)
            number += 1

    def _decode(
        self, endpoint: Endpoint, attempt: Attempt, seconds: float, decode: Callable[[bytes, str], T]
    ) -> Answered[T] | Unanswered:
        body = b"" if attempt.status in NO_BODY else attempt.body
        try:
            answer = decode(body, attempt.content_type)
            return Answered(answer, attempt.number, seconds, attempt.status or 200, attempt.body)
        except AnswerRefused as error:
            return Unanswered(
                "refused_answer", attempt.status, attempt.number, seconds, _shown(error), error.faults, endpoint.shown
            )

    def _judge(self, station: _Station, admission: Admission, outcome: Answered[T] | Unanswered) -> None:
        """Whether the endpoint works: an answer does, however wrong or refused; no answer, 429 and 5xx do not."""
        breaker = station.breaker
        if not isinstance(outcome, Unanswered):
            self._told(station, changed=breaker.succeeded())
            return
        if outcome.reason == "breaker_open":
            return  # the others have judged
        broken = outcome.reason in _BROKEN or (outcome.status or 0) >= 500 or outcome.status == 429
        changed = breaker.failed(self._clock.monotonic(), admission) if broken else breaker.succeeded()
        self._told(station, changed=changed)

    def _told(self, station: _Station, *, changed: bool) -> None:
        if changed:
            self._facts.emit(BreakerChanged(shown_url(station.url), station.breaker.state))

    def _came_late(self, message: Message) -> None:
        self._facts.emit(LateAnswer(message.id, message.call, message.route))

    def _attempted(self, endpoint: Endpoint, message: Message, attempt: Attempt) -> None:
        self._facts.emit(
            DeliveryAttempted(
                message.id,
                message.type,
                message.call,
                message.route,
                endpoint.shown,
                attempt.number,
                attempt.status,
                attempt.reason,
                round(attempt.seconds, 4),
                message.kind,
                attempt.detail,
            )
        )

    def report(
        self, message: Message, outcome: Answered[T] | Unanswered, verbs: Callable[[T], tuple[str, ...]]
    ) -> Answered[T] | Unanswered:
        """Tells what became of a delivery, and gives it back."""
        reason, detail, seconds, name = "", "", round(outcome.seconds, 4), "answered"
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
        return outcome


def _shown(error: AnswerRefused) -> str:
    """Its faults for a log line; the list of them is bounded already, their text together here."""
    text = str(error)
    return text if len(text) <= _MOST_DETAIL else text[:_MOST_DETAIL] + "…"


def _unanswered(endpoint: Endpoint, attempt: Attempt, seconds: float, deadline: float) -> Unanswered:
    reason: str = "status" if attempt.reason == "response" else attempt.reason
    if reason in _ENDED_BY_TIME and seconds >= deadline - 0.005:
        reason = "deadline"
    detail, times = attempt.detail, f"{attempt.number} attempts" if attempt.number > 1 else "the one attempt"
    if attempt.reason == "timeout":
        detail = f"no answer within {times} (timeout {endpoint.timeout:g} s, deadline {deadline:g} s): {_LONGER}"
    return Unanswered(reason, attempt.status, attempt.number, seconds, detail, (), endpoint.shown)
