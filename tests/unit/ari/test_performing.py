"""Every way in which a request can go wrong, and what is done about it: the contract's rules for retries."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from hookrouter.ari.lines import Lines
from hookrouter.ari.operations import HttpRequest, Operation, Request, operation
from hookrouter.ari.performing import Job, Reply
from hookrouter.errors import AriFateUnknown, AriUnreachable
from hookrouter.http.retrying import Again

CUT = "cut"  # sent, and no reply came
AWAY = "away"  # not sent
SLOW = "slow"  # sent, and no reply came for long

PLAY = Request("channels.playWithId", {"channelId": "1", "playbackId": "p", "media": ["sound:a"]})
RECORD = Request("channels.record", {"channelId": "1", "name": "r", "format": "wav"})
BRIDGE = Request("bridges.createWithId", {"bridgeId": "b"})
CREATE = Request("channels.create", {"endpoint": "PJSIP/a", "app": "x", "channelId": "c"})
ANONYMOUS = Request("channels.create", {"endpoint": "PJSIP/a", "app": "x"})
SNOOP = Request("channels.snoopChannelWithId", {"channelId": "1", "snoopId": "s", "app": "x"})
HANGUP = Request("channels.hangup", {"channelId": "1"})
ANSWER = Request("channels.answer", {"channelId": "1"})
DTMF = Request("channels.sendDTMF", {"channelId": "1", "dtmf": "1"})
MOVE = Request("channels.continueInDialplan", {"channelId": "1"})
GET = Request("channels.get", {"channelId": "1"})


class Way:
    """An Asterisk that does as its script says; questions (GETs of `perform`) are answered with `proof`."""

    def __init__(self, script: list[int | str], proof: int = 404) -> None:
        self.script = script
        self.proof = proof
        self.asked: list[str] = []
        self.reported: list[tuple[int, int]] = []
        self.time = 0.0
        self.app_is_there = True
        self.comes_back = False
        self.lines = Lines()
        self.back = asyncio.Event()
        self.version = "16.28.0"
        self.body = b""

    async def exchange(
        self, http: HttpRequest, found: Operation, busy: Any, timeout: float, going: Callable[[], None]
    ) -> tuple[int, bytes, str]:
        what = self.script.pop(0)
        if what == AWAY:
            raise AriUnreachable("refused")
        if what in (CUT, SLOW):
            self.time += 10.0 if what == SLOW else 0.01
            raise AriFateUnknown("no reply")
        assert isinstance(what, int)
        return what, self.body, "ws"

    async def perform(self, request: Request, *, patient: bool = False) -> Reply:
        self.asked.append(request.operation)
        return Reply(self.proof, b"{}", "replied" if self.proof else "unreachable")

    def report(
        self, request: Request, status: int, started: float, transport: str, attempt: int, call: str, detail: str,
        reply: bytes = b"",
    ) -> None:  # fmt: skip
        self.reported.append((attempt, status))

    def now(self) -> float:
        return self.time

    async def sleep(self, delay: float) -> None:
        self.time += delay


async def run(way: Way, request: Request, doubtful: bool = False) -> Reply:
    """Tries as long as the job says, and the script has something to say."""
    found = operation(request.operation)
    assert found is not None
    job = Job(way, request, found, None, 10.0, "1", doubtful)
    number = 0
    while True:
        number += 1
        try:
            return await job.attempt(number)
        except Again:
            if not way.script:
                return job.last


@pytest.mark.parametrize(
    ("request_", "script", "proof", "expected"),
    [
        pytest.param(PLAY, [201], 404, (201, "replied", 1), id="it is done"),
        pytest.param(PLAY, [404], 404, (404, "replied", 1), id="an answer of 4xx is one"),
        pytest.param(PLAY, [AWAY, AWAY, 201], 404, (201, "replied", 3), id="what was not sent is sent again"),
        pytest.param(DTMF, [AWAY, 204], 404, (204, "replied", 2), id="even where a repeat would harm"),
        pytest.param(PLAY, [AWAY], 404, (0, "unreachable", 1), id="never reached"),
        pytest.param(PLAY, [CUT], 200, (200, "proved", 1), id="play: it is there, so it was done"),
        pytest.param(PLAY, [CUT, 201], 404, (201, "replied", 2), id="play: not there right after, so it was not done"),
        pytest.param(PLAY, [SLOW], 404, (0, "unknown", 1), id="play: not there much later proves nothing"),
        pytest.param(PLAY, [CUT], 0, (0, "unknown", 1), id="play: nobody can be asked"),
        pytest.param(PLAY, [CUT], 500, (0, "unknown", 1), id="play: the proof fails"),
        pytest.param(RECORD, [SLOW], 404, (0, "unknown", 1), id="record: it may be over"),
        pytest.param(BRIDGE, [SLOW, 200], 404, (200, "replied", 2), id="a bridge lasts: not there, not made"),
        pytest.param(BRIDGE, [SLOW, AWAY], 404, (0, "unknown", 2), id="once unknown, not reaching it does not make it known"),
        pytest.param(CREATE, [SLOW], 404, (0, "unknown", 1), id="create: it may have been busy"),
        pytest.param(CREATE, [500], 404, (500, "replied", 1), id="create: 500 is an answer"),
        pytest.param(CREATE, [409], 404, (500, "replied", 1), id="create: 409, and the id is free: unreachable endpoint"),
        pytest.param(CREATE, [409], 200, (409, "replied", 1), id="create: 409, the id is taken"),
        pytest.param(CREATE, [CUT, 409], 404, (500, "replied", 2), id="create: not done, then no such endpoint"),
        pytest.param(ANONYMOUS, [CUT], 404, (0, "unknown", 1), id="without an id nothing can be proved"),
        pytest.param(PLAY, [503, 201], 404, (201, "replied", 2), id="play: a passing fault passes"),
        pytest.param(PLAY, [503], 200, (200, "proved", 1), id="play: a fault, and yet it is there"),
        pytest.param(SNOOP, [CUT, 500], 404, (500, "replied", 2), id="snoop: not done, and cannot be"),
        pytest.param(HANGUP, [CUT, 204], 404, (204, "replied", 2), id="hangup is sent again"),
        pytest.param(HANGUP, [CUT, 404], 404, (204, "proved", 2), id="hangup: gone, so it was done"),
        pytest.param(HANGUP, [404], 404, (404, "replied", 1), id="hangup: gone already, not by us"),
        pytest.param(ANSWER, [CUT, CUT, 204], 404, (204, "replied", 3), id="answer is sent again"),
        pytest.param(ANSWER, [503, 204], 404, (204, "replied", 2), id="answer: 503 passes"),
        pytest.param(ANSWER, [413], 404, (413, "replied", 1), id="too large stays too large"),
        pytest.param(DTMF, [CUT], 404, (0, "unknown", 1), id="digits are never sent twice"),
        pytest.param(DTMF, [503], 404, (503, "replied", 1), id="not even after a fault"),
        pytest.param(MOVE, [CUT], 404, (0, "unknown", 1), id="continue: nobody can say"),
        pytest.param(GET, [CUT, 200], 404, (200, "replied", 2), id="a question is asked again"),
        pytest.param(GET, [503], 404, (503, "replied", 1), id="but its answer is taken"),
    ],
)
async def test_what_is_tried_again(
    request_: Request, script: list[int | str], proof: int, expected: tuple[int, str, int]
) -> None:
    """(status, fate, tries) of each request against an Asterisk that fails in each way."""
    way = Way(list(script), proof)
    reply = await run(way, request_)
    assert (reply.status, reply.fate, len(way.reported)) == expected
    assert not way.script


@pytest.mark.parametrize(
    ("request_", "script", "proof", "expected"),
    [
        pytest.param(PLAY, [], 404, (0, "unknown", 0), id="a sound may have been heard"),
        pytest.param(PLAY, [], 200, (200, "proved", 0), id="it still plays"),
        pytest.param(CREATE, [], 404, (0, "unknown", 0), id="it may have rung"),
        pytest.param(BRIDGE, [200], 404, (200, "replied", 1), id="a bridge that is not there was not made"),
        pytest.param(BRIDGE, [], 200, (200, "proved", 0), id="a bridge that is there is ours"),
        pytest.param(HANGUP, [404], 404, (204, "proved", 1), id="hung up before we died"),
        pytest.param(HANGUP, [204], 404, (204, "replied", 1), id="not hung up before we died"),
        pytest.param(ANSWER, [204], 404, (204, "replied", 1), id="answering twice does no harm"),
        pytest.param(DTMF, [], 404, (0, "unknown", 0), id="digits are not sent again"),
    ],
)
async def test_what_may_have_been_sent_before_a_restart(
    request_: Request, script: list[int | str], proof: int, expected: tuple[int, str, int]
) -> None:
    """(status, fate, tries) where the journal says planned, and nobody knows whether it was sent."""
    way = Way(list(script), proof)
    reply = await run(way, request_, doubtful=True)
    assert (reply.status, reply.fate, len(way.reported)) == expected
    assert not way.script


async def test_what_entered_an_app_that_is_gone_may_have_been_there() -> None:
    """The socket broke, and the app went with it: that no such channel is there proves nothing; nobody is called twice."""
    originate = Request("channels.originateWithId", {"channelId": "1", "endpoint": "PJSIP/a", "app": "x"})
    way = Way([CUT, 200])
    way.app_is_there = False
    reply = await run(way, originate)
    assert (reply.status, reply.fate, way.script) == (0, "unknown", [200])
    way = Way([CUT, 200])
    assert (await run(way, originate)).status == 200


class Door(Way):
    """Nothing gets through before it is opened; `sent`: what then did, and what was asked for."""

    def __init__(self, fault: str) -> None:
        super().__init__([])
        self.fault = fault
        self.opened = asyncio.Event()
        self.tried = 0
        self.sent: list[str] = []

    async def exchange(
        self, http: HttpRequest, found: Operation, busy: Any, timeout: float, going: Callable[[], None]
    ) -> tuple[int, bytes, str]:
        self.tried += 1
        if self.fault == AWAY and not self.opened.is_set():
            raise AriUnreachable("refused")
        going()
        self.sent.append(f"{http.method} {http.target[1:]}".partition("?")[0])
        if self.fault == CUT and len(self.sent) == 1:
            raise AriFateUnknown("no reply")
        await asyncio.sleep(0)
        return 204, b"", "ws"

    async def perform(self, request: Request, *, patient: bool = False) -> Reply:
        await self.opened.wait()
        return await super().perform(request)

    async def sleep(self, delay: float) -> None:
        await self.opened.wait()

    def ask(self, request: Request, call: str) -> asyncio.Task[Reply]:
        found = operation(request.operation)
        assert found is not None
        return asyncio.create_task(Job(self, request, found, None, 10.0, call, doubtful=False).run())


@pytest.mark.parametrize("fault", [AWAY, CUT])
async def test_what_a_call_asks_for_keeps_its_order(fault: str) -> None:
    """What did not get through, or may not have, goes before what its call asked for later; others do not wait for it."""
    way = Door(fault)
    first = way.ask(PLAY, "1")
    while not way.tried:
        await asyncio.sleep(0)
    later = [way.ask(DTMF, "1"), way.ask(MOVE, "1")]
    other = way.ask(ANSWER, "2")
    hangup = way.ask(HANGUP, "1")
    for _ in range(10):
        await asyncio.sleep(0)
    assert way.sent == (["POST channels/1/play/p", "POST channels/1/answer", "DELETE channels/1"] if fault == CUT else [])
    way.opened.set()
    await asyncio.gather(first, *later, other, hangup)
    assert [what for what in way.sent if what.startswith("POST channels/1/") and "answer" not in what][-3:] == [
        "POST channels/1/play/p", "POST channels/1/dtmf", "POST channels/1/continue",
    ]  # fmt: skip
    assert "1" not in way.lines
    assert "2" not in way.lines


async def test_who_gives_up_lets_the_next_one_pass() -> None:
    """A task that is cancelled while it stands in the line, or at its head."""
    way = Door(AWAY)
    jobs = [way.ask(request, "1") for request in (PLAY, DTMF, MOVE)]
    for _ in range(10):
        await asyncio.sleep(0)
    for job in jobs[:2]:
        job.cancel()
    await asyncio.gather(*jobs[:2], return_exceptions=True)
    way.opened.set()
    assert (await jobs[2]).status == 204
    assert way.sent == ["POST channels/1/continue"]
    assert "1" not in way.lines


@pytest.mark.parametrize(("status", "said"), [(404, "Resource not found"), (405, "Invalid method")])
async def test_what_an_old_asterisk_does_not_have_is_named(status: int, said: str) -> None:
    """It is no 404 of a channel that has gone: nobody waits for the end of a call, and nothing is asked."""
    way = Way([status])
    way.body = f'{{"message":"{said}"}}'.encode()
    reply = await run(way, Request("channels.progress", {"channelId": "1"}))
    assert reply.status == 501
    assert b"Asterisk 16.28.0 has no channels.progress" in reply.body
    assert not way.asked


@pytest.mark.parametrize(("proof", "doubtful", "status"), [(200, False, 409), (404, False, 500), (0, False, 500), (200, True, 200)])
async def test_a_bridge_that_is_there_already(proof: int, doubtful: bool, status: int) -> None:
    """Asterisk 16 says 500, as it does of all that goes wrong: only asking tells. One that may be ours is."""
    way = Way([500], proof) if not doubtful else Way([], proof)
    assert (await run(way, BRIDGE, doubtful)).status == status
