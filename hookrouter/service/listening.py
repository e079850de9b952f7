"""Who listens by `POST /v1/listen`: events of live calls reach them over the control API, and their answers come back by it.

Rules:
- Whole calls: those that begin while somebody listens, that match, and that their token may see.
- As a shadow, what they answer is only compared. With `take` they are in charge of a call instead of the route's own endpoint,
  until they end, are late, or answer what the route refuses: then the own endpoint is asked, within the same deadline.
- Who has come by a session hears and answers nothing more when that ends.
- No call waits longer for them than for one attempt at the own endpoint, nor than half the deadline: there is time for the
  own endpoint. Who was late `MOST_LATE` times in a row is let go.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from itertools import count
from typing import Any

import msgspec

from hookrouter.actions.comparing import Decode, Given
from hookrouter.actions.decode import Answer
from hookrouter.calls.call import Call
from hookrouter.clock import Clock
from hookrouter.config import Access
from hookrouter.delivery.envelope import Message
from hookrouter.delivery.outcome import NO_BODY, Answered
from hookrouter.errors import AnswerRefused
from hookrouter.facts import AnswerCompared, DeliveryAttempted, Exchanged, Facts, Warned
from hookrouter.routing.endpoint import Route
from hookrouter.service.candidates import Candidates, Outcome, Pair, Told
from hookrouter.text.urls import shown_url
from hookrouter.web.listeners import Listener

MOST = 8
MOST_LATE = 3
MATCHED = ("route", "caller", "called", "app", "asterisk")
MOST_WAITING = 256  # events whose answers one of them owes
_MOST_CALLS = 10_000
_WHO = "listen"  # in the place of a URL


class Wanted(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The body of the request. `match`: name → glob, all of them; `ignore`: places of answers that may differ."""

    match: dict[str, str] = {}
    take: bool = False
    ignore: tuple[str, ...] = ()


class Ear(Listener):
    """One who listens. `id`: a secret, which their answers come with; `calls`: those that they hear."""

    def __init__(self, wanted: Wanted, access: Access, holds: Callable[[], bool]) -> None:
        super().__init__(access, holds)
        self.id = secrets.token_urlsafe(16)
        self.wanted = wanted
        self.calls: dict[str, None] = {}
        self.waiting: dict[int, tuple[float, asyncio.Future[Given] | Pair]] = {}
        self.late = 0
        self.tell("listening", id=self.id)

    def tell(self, what: str, **more: Any) -> bool:
        """Whether there was room for it."""
        return self.put(_said(what, **more))

    def hears(self, call: Call, *, first: bool) -> bool:
        """Whether the call is one of theirs; `first`: it begins."""
        if first and self.access.sees(call.tenant) and self._matches(call):
            self.calls[call.key] = None
            if len(self.calls) > _MOST_CALLS:
                del self.calls[next(iter(self.calls))]
        return call.key in self.calls

    def _matches(self, call: Call) -> bool:
        return all(fnmatchcase(str(getattr(call, name)), glob) for name, glob in self.wanted.match.items())


class Listening:
    """All who listen to one router."""

    def __init__(self, facts: Facts, clock: Clock) -> None:
        self._facts, self._clock = facts, clock
        self._ears: dict[str, Ear] = {}
        self._numbers = count(1)

    def __bool__(self) -> bool:
        return bool(self._ears)

    # ---- what the web asks for

    def add(self, body: bytes, access: Access, holds: Callable[[], bool] = lambda: True) -> Ear | None:
        """One more, None: there are `MOST` of them. `remove` it in the end. `holds`: whether it may still. Raises ValueError."""
        try:
            wanted = msgspec.json.decode(body or b"{}", type=Wanted)
        except msgspec.DecodeError as error:
            raise ValueError(str(error)) from None
        if unknown := sorted(wanted.match.keys() - set(MATCHED)):
            raise ValueError(f"unknown in `match`: {', '.join(unknown)[:100]}; known: {', '.join(MATCHED)}")
        if len(self._ears) >= MOST:
            return None
        ear = Ear(wanted, access, holds)
        self._ears[ear.id] = ear
        return ear

    def remove(self, ear: Ear, why: str = "") -> None:
        """They are gone, or are let go and told `why`: what they had not answered goes its own way."""
        if self._ears.pop(ear.id, None) is not None:
            ear.end(_said("ended", why=why) if why else b"")
        waiting, ear.waiting = ear.waiting, {}
        for _, asked in waiting.values():
            if isinstance(asked, Pair):
                asked.other(Given(None, reason="gone"), 0.0)
            elif not asked.done():
                asked.set_result(Given(None, reason="gone", detail="they have stopped listening"))

    def look_again(self) -> None:
        """A session may have ended."""
        for ear in list(self._ears.values()):
            if not ear.holds():
                self.remove(ear)

    def answer(self, id: str, number: int, access: Access, query: Mapping[str, str], body: bytes) -> bool:
        """What they answered to an event; False: nobody waits for it any more. Raises ValueError."""
        given = given_by(query, body)
        ear = self._ears.get(id)
        if ear is None or ear.access != access or number not in ear.waiting:
            return False
        began, asked = ear.waiting.pop(number)
        if isinstance(asked, Pair):
            asked.other(given, self._clock.monotonic() - began)
        elif not asked.done():
            asked.set_result(given)
        return True

    def end(self) -> None:
        for ear in list(self._ears.values()):
            self.remove(ear)

    # ---- what the flow asks for

    def begin(
        self, call: Call, route: Route, message: Message, url: str, decode: Decode, *, first: bool
    ) -> list[Told | None]:
        """The event goes to those who listen as a shadow; what is given back takes what the own endpoint answered."""
        self.look_again()
        told: list[Told | None] = []
        for ear in list(self._ears.values()):
            if ear.wanted.take or not ear.hears(call, first=first):
                continue
            pair = Pair(message, route.name, _WHO, ear.wanted.ignore, decode, self._facts)
            pair.then = lambda fact, lines, ear=ear: _tell_compared(ear, fact, lines)  # type: ignore[misc]
            number = next(self._numbers)
            if len(ear.waiting) >= MOST_WAITING:
                pair.skipped(f"they owe {MOST_WAITING} answers already")
            elif self._ask(ear, number, message, route, url):
                ear.waiting[number] = (self._clock.monotonic(), pair)
                told.append(pair.own)
            else:
                pair.skipped("they read too slowly")
            self._over(ear, call, message)
        return told

    async def take(
        self, call: Call, route: Route, message: Message, url: str, decode: Decode, *, first: bool
    ) -> Answered[Answer] | None:
        """The answer of who is in charge of the call; None: nobody is, from now on, and the own endpoint is to be asked."""
        self.look_again()
        ear = next((one for one in self._ears.values() if one.wanted.take and one.hears(call, first=first)), None)
        if ear is None:
            return None
        number, began = next(self._numbers), self._clock.monotonic()
        if not self._ask(ear, number, message, route, url):
            self._lost(ear, call, message, "they read too slowly")
            return None
        asked: asyncio.Future[Given] = asyncio.get_running_loop().create_future()
        ear.waiting[number] = (began, asked)
        timeout = _patience(route)
        try:
            async with asyncio.timeout(timeout):
                given = await asked
        except TimeoutError:
            ear.late += 1
            given = Given(None, reason="timeout", detail=f"no answer within {timeout:g} s")
        finally:
            ear.waiting.pop(number, None)
        self._told(message, given, self._clock.monotonic() - began)
        self._over(ear, call, message)
        if given.status is None or not 200 <= given.status < 300:
            why = given.detail or given.reason if given.status is None else f"they answered {given.status}"
            self._lost(ear, call, message, why)
            return None
        ear.late = 0
        try:
            found = decode(given.body if given.status not in NO_BODY else b"", "")
        except AnswerRefused as error:
            self._lost(ear, call, message, f"their answer was refused: {error}")
            return None
        return Answered(found, 1, self._clock.monotonic() - began, given.status, given.body)

    def _ask(self, ear: Ear, number: int, message: Message, route: Route, url: str) -> bool:
        try:
            body = message.body.decode()
        except UnicodeDecodeError:
            return False
        return ear.tell(
            "asked", number=number, event=message.id, type=message.type, call=message.call, route=route.name,
            url=shown_url(url), first=route.endpoint.shown, timeout=_patience(route), body=body,
        )  # fmt: skip

    def _over(self, ear: Ear, call: Call, message: Message) -> None:
        if message.type == "StasisEnd":
            ear.calls.pop(call.key, None)

    def _lost(self, ear: Ear, call: Call, message: Message, why: str) -> None:
        """The call goes back to its route's own endpoint."""
        ear.calls.pop(call.key, None)
        ear.tell("lost", type=message.type, call=message.call, why=why[:2000])
        words = f"{message.type}: {why}; the route's own endpoint is in charge of the call again"
        self._facts.emit(Warned("listen", words[:1000], message.call))
        if ear.late >= MOST_LATE:
            self.remove(ear, f"{MOST_LATE} answers in a row came too late")

    def _told(self, message: Message, given: Given, seconds: float) -> None:
        """For the record and the log, as any other attempt."""
        reason, status = "response" if given.status is not None else given.reason, given.status
        self._facts.emit(
            Exchanged(
                message.id,
                message.call,
                1,
                _WHO,
                {},
                message.body,
                status,
                answer=given.body,
                seconds=round(seconds, 4),
            )
        )
        about = (message.id, message.type, message.call, message.route, _WHO, 1, status, reason)
        self._facts.emit(DeliveryAttempted(*about, round(seconds, 4), "control", given.detail))


class Company:
    """The candidates of routes, and those who listen."""

    def __init__(self, candidates: Candidates, listening: Listening) -> None:
        self._candidates, self._listening = candidates, listening

    def wants(self, route: Route) -> bool:
        return route.shadow is not None or bool(self._listening)

    async def take(
        self, call: Call, route: Route, message: Message, url: str, decode: Decode, *, first: bool
    ) -> Answered[Answer] | None:
        return await self._listening.take(call, route, message, url, decode, first=first) if self._listening else None

    def begin(
        self, call: Call, route: Route, message: Message, url: str, decode: Decode, *, first: bool
    ) -> Told | None:
        told = self._listening.begin(call, route, message, url, decode, first=first) if self._listening else []
        if route.shadow is not None:
            told.append(self._candidates.begin(route, route.shadow, message, url, decode))
        kept = [one for one in told if one is not None]
        if not kept:
            return None

        def tell(outcome: Outcome) -> None:
            for one in kept:
                one(outcome)

        return tell


def _patience(route: Route) -> float:
    """Seconds for who is in charge: half of the time stays for the route's own endpoint."""
    return min(route.endpoint.timeout, route.deadline / 2)


def _said(what: str, **more: Any) -> bytes:
    return msgspec.json.encode({"what": what, **more})


def _tell_compared(ear: Ear, fact: AnswerCompared, lines: list[str]) -> None:
    ear.tell(
        "compared", event=fact.event, type=fact.type, call=fact.call, outcome=fact.outcome, detail=fact.detail,
        differences=lines,
    )  # fmt: skip


def given_by(query: Mapping[str, str], body: bytes) -> Given:
    """What somebody's answer says: `?status=200` and its body, or `?reason=timeout&detail=…`. Raises ValueError."""
    status = query.get("status", "")
    if status:
        if not (status.isascii() and status.isdigit() and 100 <= int(status[:4]) <= 599):
            raise ValueError(f"status is that of an HTTP answer, not `{status[:40]}`")
        return Given(int(status), body)
    if not (reason := query.get("reason", "")):
        raise ValueError("give `status` with the answer as the body, or `reason` where there was none")
    return Given(None, reason=reason[:100], detail=query.get("detail", "")[:300])


__all__ = ["MATCHED", "MOST", "Company", "Ear", "Listening", "Wanted", "given_by"]
