"""One request to its end: its tries, what may be tried again, and what is asked first.

Rules:
- What certainly did not arrive, or failed for a passing reason, is tried again.
- What this Asterisk does not have at all is told as such (501), whatever its own 404 sounds like.
- What may have been done is asked for first (repeating.py). That nothing is there proves only that nothing was done as
  long as it cannot have come and gone: a beep is over in a moment. What stays unknown is `unknown`, and not sent again.
- Until then what its call asks for stands behind it (lines.py), but for a hangup, which ends all of it anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Literal, Protocol

import msgspec

from hookrouter.ari.lines import Lines
from hookrouter.ari.operations import HttpRequest, Operation, Request, build, proof_request, proved
from hookrouter.ari.repeating import Repeat
from hookrouter.errors import AriFateUnknown, AriUnreachable
from hookrouter.http.retrying import Again, try_again

Fate = Literal["replied", "unreachable", "unknown", "proved"]
Busy = Callable[[], bool]

_ALWAYS = "channels.hangup"
_RETRY_TOTAL = 8.0
_PASSING = frozenset({500, 502, 503, 504})
NOT_SUPPORTED = 501
_UNKNOWN_TO_IT = {
    404: b'"Resource not found"',
    405: b'"Invalid method"',
}  # of a thing that is not there it names the kind
_AT_ONCE = 0.5  # seconds after sending in which nothing that was made can have ended already


class Reply(msgspec.Struct, frozen=True, gc=False):
    """What came of a request. `status` 0: no reply (`unreachable`: surely not done; `unknown`: nobody can say).

    `proved`: the reply was lost, and asking showed that it was done.
    """

    status: int
    body: bytes = b""
    fate: Fate = "replied"


async def no_such_operation() -> Reply:
    return Reply(400, b'{"message":"no such operation"}')


class Way(Protocol):
    """The way to Asterisk; `AriClient` is it."""

    lines: Lines
    back: asyncio.Event  # set while Asterisk is connected

    async def exchange(
        self, http: HttpRequest, found: Operation, busy: Busy | None, timeout: float, going: Callable[[], None]
    ) -> tuple[int, bytes, str]:
        """(status, body, transport); calls `going` just before it is sent. Raises AriUnreachable or AriFateUnknown."""
        ...

    async def sleep(self, delay: float) -> None: ...
    def perform(self, request: Request, *, patient: bool = False) -> Coroutine[Any, Any, Reply]: ...
    def report(
        self,
        request: Request,
        status: int,
        started: float,
        transport: str,
        attempt: int,
        call: str,
        detail: str,
        reply: bytes = b"",
    ) -> None: ...
    def now(self) -> float: ...
    @property
    def version(self) -> str: ...
    @property
    def app_is_there(self) -> bool: ...
    @property
    def comes_back(self) -> bool:
        """Whether it is not connected, and will be: who is patient waits."""
        ...


class Job:
    """One `perform`: its tries, and what the last one left behind."""

    __slots__ = ("busy", "call", "doubtful", "first", "found", "http", "last", "patient", "request", "timeout", "way")

    def __init__(self, way: Way, request: Request, found: Operation, busy: Busy | None, timeout: float, call: str,
                 doubtful: bool, patient: bool = False) -> None:  # fmt: skip
        self.way = way
        self.request = request
        self.found = found
        self.http = build(request)
        self.busy = busy
        self.timeout = timeout
        self.call = call
        self.doubtful = doubtful
        self.patient = patient
        self.first = False  # in the line of its call
        self.last = Reply(0, fate="unreachable")

    async def run(self) -> Reply:
        """All tries; never raises for Asterisk's sake."""
        way = self.way
        try:
            if self.call in way.lines and self.request.operation != _ALWAYS:
                await self._stand()
            while True:
                try:
                    return await self.attempt(1)
                except Again:
                    pass
                try:
                    return await try_again(self.attempt, total=_RETRY_TOTAL, sleep=self._wait, now=way.now)
                except Again:
                    if not self.patient or not way.comes_back:
                        return self.last
                await way.back.wait()
        finally:
            self._leave()

    async def _wait(self, delay: float) -> None:
        """Until Asterisk is connected again, `delay` seconds at most."""
        back, sleep = self.way.back, self.way.sleep
        if back.is_set():
            await sleep(delay)
            return
        ways = [asyncio.ensure_future(sleep(delay)), asyncio.ensure_future(back.wait())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()

    async def _stand(self) -> None:
        if self.call and not self.first:
            await self.way.lines.stand(self.call)
            self.first = True

    def _leave(self) -> None:
        if self.first:
            self.first = False
            self.way.lines.leave(self.call)

    async def attempt(self, number: int) -> Reply:
        """One try, counted from 1. Raises Again where another may follow."""
        way, started = self.way, self.way.now()
        if self.doubtful and number == 1 and (settled := await self.settle(None)) is not None:
            return settled
        try:
            status, body, transport = await way.exchange(self.http, self.found, self.busy, self.timeout, self._leave)
        except AriUnreachable as error:
            way.report(self.request, 0, started, "none", number, self.call, str(error))
            self.last = Reply(0, str(error).encode(), "unreachable" if self.last.fate != "unknown" else "unknown")
            await self._stand()
            raise Again(error) from None
        except AriFateUnknown as error:
            way.report(self.request, 0, started, "none", number, self.call, str(error))
            self.last = Reply(0, str(error).encode(), "unknown")
            await self._stand()
            return await self._settle_or_again(started)
        way.report(self.request, status, started, transport, number, self.call, "", body)
        self.last = Reply(status, body)
        if status in _UNKNOWN_TO_IT and _UNKNOWN_TO_IT[status] in body:
            self.last = Reply(NOT_SUPPORTED, self._lacking())
        elif (
            status == 500 and self.found.taken_500 and number == 1 and not self.doubtful and await self._asked() == 200
        ):
            self.last = Reply(409, body)
        elif status in _PASSING and not self.found.final_5xx and self.found.method != "GET":
            return await self._settle_or_again(started)
        elif status == 409 and self.found.doubtful_409 and not await self._is_there():
            self.last = Reply(500, b'{"message":"the endpoint cannot be reached"}')
        elif number > 1 or self.doubtful:
            return await self._after_repeat(status, started)
        return self.last

    def _lacking(self) -> bytes:
        message = (
            f"Asterisk {self.way.version} has no {self.request.operation}, or its module is not loaded: "
            "`hookrouter check --live` lists what it lacks"
        )
        return msgspec.json.encode({"message": message})

    async def _settle_or_again(self, sent_at: float) -> Reply:
        settled = await self.settle(sent_at)
        if settled is not None:
            return settled
        raise Again(self.last.body)

    async def settle(self, sent_at: float | None) -> Reply | None:
        """Whether it was done already: the reply to give, or None where it may be (re)sent.

        `sent_at`: when the doubtful try began (monotonic); None: before a restart, if at all. What is not there now may
        have come and gone since, unless it lasts.
        """
        match self.found.repeat:
            case Repeat.SAFE | Repeat.GONE_IS_DONE:
                return None
            case Repeat.NEVER:
                return self.last if self.last.status else Reply(0, self.last.body, "unknown")
        question = proof_request(self.request)
        if question is None:
            return Reply(0, self.last.body, "unknown")
        answer = await self.way.perform(question, patient=self.patient)
        done = proved(self.request, answer.status)
        if done:
            return Reply(200, answer.body, "proved")
        if done is None:
            return Reply(0, self.last.body, "unknown")
        if self.last.status:
            return None if self.last.status in _PASSING else self.last
        lasting = self.found.proof is not None and self.found.proof.lasting
        gone = self.found.enters_app and not self.way.app_is_there  # what came was hung up at once
        if gone or (not lasting and (sent_at is None or self.way.now() - sent_at > _AT_ONCE)):
            return Reply(0, b"it may have been done, and be over", "unknown")
        return None

    async def _is_there(self) -> bool:
        """Whether the id that was asked for is taken: Asterisk's 409 alone does not say so (repeating.DOUBTFUL_409)."""
        return await self._asked() not in (None, 404)

    async def _asked(self) -> int | None:
        """What Asterisk answers to the question for that id; None: there is no such question."""
        question = proof_request(self.request)
        return None if question is None else (await self.way.perform(question, patient=self.patient)).status

    async def _after_repeat(self, status: int, started: float) -> Reply:
        if status in self.found.done_already:
            return Reply(204, b"", "proved")
        if self.found.repeat is Repeat.ASK and status in (409, 500):
            settled = await self.settle(started)
            return settled if settled is not None else self.last
        return self.last
