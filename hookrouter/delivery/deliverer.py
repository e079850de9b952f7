"""A control delivery: at most three attempts within the deadline, then an answer or a clear reason why there is none.

Rules:
- The deadline covers everything: connecting, sending, every byte of the answer, and the pauses between attempts.
- An open breaker answers at once. An endpoint that is asked by its breaker's probe is asked by that one delivery only.
- A wrong answer is a failed attempt that is not made again: the endpoint would answer the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from hookrouter.clock import Clock
from hookrouter.delivery.breaker import Breaker
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Answered, Attempt, Unanswered
from hookrouter.delivery.retry import next_delay, succeeded
from hookrouter.delivery.sender import Sender
from hookrouter.errors import AnswerRefused, Fault
from hookrouter.facts import BreakerChanged, DeliveryAttempted, DeliveryFinished, Facts, LateAnswer
from hookrouter.routing.endpoint import Endpoint

T = TypeVar("T")
_NO_BODY = (202, 204, 205)


class Deliverer:
    """Delivers to control endpoints; one breaker per URL (without its query)."""

    def __init__(self, sender: Sender, facts: Facts, clock: Clock, random: Callable[[], float]) -> None:
        self._sender = sender
        self._facts = facts
        self._clock = clock
        self._random = random
        self._breakers: dict[str, Breaker] = {}

    def breaker(self, url: str) -> Breaker:
        key = url.partition("?")[0]
        found = self._breakers.get(key)
        if found is None:
            found = self._breakers[key] = Breaker()
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
        breaker = self.breaker(endpoint.url)
        outcome: Answered[T] | Unanswered
        if not breaker.allows(started):
            outcome = Unanswered("breaker_open", url=endpoint.url)
        else:
            try:
                outcome = await self._attempts(endpoint, message, started, deadline, decode)
            except BaseException:
                breaker.abandoned()
                raise
            self._judge(breaker, endpoint.url, outcome)
        self._report(message, outcome, verbs)
        return outcome

    async def _attempts(
        self, endpoint: Endpoint, message: Message, started: float, deadline: float, decode: Callable[[bytes, str], T]
    ) -> Answered[T] | Unanswered:
        number = 1
        while True:
            left = deadline - (self._clock.monotonic() - started)
            attempt = await self._sender.attempt(endpoint, message, number, min(endpoint.timeout, left), left)
            self._attempted(endpoint, message, attempt)
            seconds = self._clock.monotonic() - started
            if seconds > deadline and attempt.reason == "response":
                self._facts.emit(LateAnswer(message.id, message.call, message.route))
                return Unanswered("deadline", attempt.status, number, seconds, "the answer came late", (), endpoint.url)
            if succeeded(attempt):
                return self._decode(endpoint, attempt, seconds, decode)
            delay = next_delay(attempt, deadline - seconds, self._random())
            if delay is None:
                reason = "status" if attempt.reason == "response" else attempt.reason
                return Unanswered(reason, attempt.status, number, seconds, attempt.detail, (), endpoint.url)
            await self._clock.sleep(delay)
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

    def _judge(self, breaker: Breaker, url: str, outcome: Answered[T] | Unanswered) -> None:
        """Whether the endpoint works: an answer does, however wrong or refused; no answer, 429 and 5xx do not."""
        broken = isinstance(outcome, Unanswered) and (
            outcome.reason in ("refused_connection", "reset", "timeout", "bad_response", "deadline", "too_large")
            or (outcome.status or 0) >= 500
            or outcome.status == 429
        )
        changed = breaker.failed(self._clock.monotonic()) if broken else breaker.succeeded()
        if changed:
            self._facts.emit(BreakerChanged(url.partition("?")[0], breaker.state))

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


__all__ = ["Deliverer", "Fault"]
