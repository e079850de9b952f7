"""Who gets the events of some calls beside the route's own endpoint, or in its place: a candidate, a developer's laptop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from hookrouter.actions.comparing import Decode
from hookrouter.actions.decode import Answer
from hookrouter.calls.call import Call
from hookrouter.clock import Clock
from hookrouter.delivery.deliverer import Deliverer
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import Answered, Unanswered
from hookrouter.delivery.retry import SHORTEST_ATTEMPT
from hookrouter.routing.endpoint import Endpoint, Route


class Company(Protocol):
    """What the spine needs of them; `hookrouter.service.listening.Company` is it."""

    def wants(self, route: Route) -> bool:
        """Whether there may be somebody for calls of this route."""
        ...

    async def take(
        self, call: Call, route: Route, message: Message, url: str, decode: Decode, *, first: bool
    ) -> Answered[Answer] | None:
        """The answer of who is in charge in the own endpoint's place; None: that is to be asked. `first`: the call begins."""
        ...

    def begin(
        self, call: Call, route: Route, message: Message, url: str, decode: Decode, *, first: bool
    ) -> Callable[[Answered[Answer] | Unanswered], None] | None:
        """What takes the own endpoint's answer, where it is to be compared."""
        ...


@dataclass(frozen=True, slots=True)
class OwnEndpoint:
    """The one that the route names, with what it is to be told."""

    deliverer: Deliverer
    endpoint: Endpoint
    message: Message
    decode: Decode

    async def ask(self, deadline: float) -> Answered[Answer] | Unanswered:
        """Its answer within `deadline` seconds."""
        return await self.deliverer.control(
            self.endpoint, self.message, deadline=deadline, decode=self.decode, verbs=verbs
        )


async def in_company(
    company: Company, call: Call, route: Route, own: OwnEndpoint, clock: Clock, *, first: bool
) -> Answered[Answer] | Unanswered:
    """The answer where others get the event, too, or in the endpoint's place. `first`: the call begins."""
    message, url, began = own.message, own.endpoint.url, clock.monotonic()
    taken = await company.take(call, route, message, url, own.decode, first=first)
    if taken is not None:
        return own.deliverer.report(message, taken, verbs)
    told = company.begin(call, route, message, url, own.decode, first=first)
    outcome = await own.ask(max(SHORTEST_ATTEMPT, route.deadline - (clock.monotonic() - began)))
    if told is not None:
        told(outcome)
    return outcome


def verbs(answer: Answer) -> tuple[str, ...]:
    """What an answer asks for, for the facts."""
    return tuple(step.action.verb for step in answer.steps)
