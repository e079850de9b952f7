"""Every example of docs/actions.md, as it stands there, on the real Asterisk with SIP phones at both ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from lab.asterisk import Asterisk, free_port
from lab.installing import ensure_mounted, installed
from lab.ua import UA, Call
from rig.endpoint import Endpoint
from rig.pbx import Pbx
from rig.router import Router, route
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from hookrouter.facts import ActionFinished, ActionStarted, CallFinished

DOC = Path(__file__).parents[2] / "docs/actions.md"
EXAMPLES = [
    text for text in re.findall(r"^```json\n(\{.*?\})\n```", DOC.read_text(), re.M | re.S) if '"action"' in text
]  # fmt: skip
ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
SPEECH = '[speech]\ncommand = ["sh", "-c", \'espeak-ng -w "$1.raw.wav" "$0" && sox "$1.raw.wav" -r 8000 -c 1 "$1"\', '
SPEECH += '"{text}", "{file}"]\n'
SHARED = 'folder = "{0.folder}/speech"\nasterisk_folder = "{0.inside}/speech"\n'


@dataclass
class Case:
    """What an example needs around it. `over`: who ends it; `swap`: names of the lab for those of the page."""

    before: list[dict[str, Any]] = field(default_factory=lambda: [ANSWER])
    over: str = "itself"  # or `hangup` (the caller's), `callee`, `keys`
    swap: dict[str, str] = field(default_factory=dict)
    keys: str = ""
    outcome: str = "done"
    result: dict[str, Any] = field(default_factory=dict)


RECORDED = {"action": "startRecording"}
CASES: dict[str, list[Case]] = {
    "answer": [Case(before=[])],
    "ring": [Case(before=[])],
    "ringStop": [Case(before=[{"action": "ring"}])],
    "progress": [Case(before=[])],
    "hangup": [Case(), Case(before=[])],
    "gather": [Case(keys="1234", result={"digits": "1234", "reason": "maxDigits"}), Case(keys="1")],
    "record": [Case(keys="#", result={"format": "wav"})],
    "pauseRecording": [Case(before=[ANSWER, RECORDED])],
    "resumeRecording": [Case(before=[ANSWER, RECORDED, {"action": "pauseRecording"}])],
    "stopRecording": [Case(before=[ANSWER, RECORDED])],
    "dial": [Case(over="callee", result={"status": "answered"}), Case(over="callee", result={"status": "answered"})],
    "transfer": [Case(over="transfer", result={"status": "transferred"}), Case(result={"status": "transferred"})],
    "bridge": [Case(over="hangup"), Case(over="hangup")],
    "conference": [Case(keys="#", result={"reason": "exit"}), Case(over="hangup")],
    "enqueue": [Case(keys="*", result={"reason": "exit"})],
    "dequeue": [Case(result={"reason": "empty"})],
    "spy": [Case(over="hangup")],
    "stream": [Case(over="hangup"), Case(over="hangup")],
    "originate": [Case(before=[])],
    "continue": [Case(), Case(swap={'"default"': '"went-on"', '"100"': '"back"'})],
    "redirect": [Case(before=[])],
    "mailbox": [Case(outcome="failed")],  # Debian's Asterisk has no res_mwi_external: 404
}


def _cases() -> Iterator[Any]:
    seen: dict[str, int] = {}
    for text in EXAMPLES:
        verb = json.loads(text)["action"]
        number = seen[verb] = seen.get(verb, 0) + 1
        found = CASES.get(verb, [])
        case = found[number - 1] if len(found) >= number else Case()
        yield pytest.param(text, case, id=f"{verb}-{number}")


@pytest.fixture(scope="module")
def bot_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def lab(bot_port: int) -> Iterator[Asterisk]:
    """An Asterisk that knows the page's media client."""
    if installed() is None:
        pytest.fail("no Asterisk here; `make lab` installs one (root, Debian)")
    ensure_mounted()
    with Asterisk(media_clients={"bot": f"ws://127.0.0.1:{bot_port}/media"}) as running:
        yield running


@contextlib.asynccontextmanager
async def bot(port: int) -> AsyncIterator[None]:
    async def listen(socket: ServerConnection) -> None:
        with contextlib.suppress(ConnectionClosed):
            async for message in socket:
                if isinstance(message, bytes):
                    await socket.send(message)

    async with serve(listen, "127.0.0.1", port, subprotocols=["media"], compression=None):  # type: ignore[list-item]
        yield


async def _answering(phone: UA, calls: list[Call]) -> None:
    """Picks up whatever comes in."""
    while True:
        call = await phone.incoming(60)
        await call.answer()
        calls.append(call)


def test_the_page_has_examples_of_every_verb() -> None:
    """What is not shown is not tried."""
    from hookrouter.actions.vocabulary import VERBS

    verbs = VERBS.values() if isinstance(VERBS, dict) else VERBS
    shown = {json.loads(text)["action"] for text in EXAMPLES}
    assert {verb.__struct_config__.tag for verb in verbs if verb.examples} <= shown


@pytest.mark.parametrize(("text", "case"), list(_cases()))
async def test_an_example(lab: Asterisk, bot_port: int, app: str, endpoint: Endpoint, text: str, case: Case) -> None:
    """It is carried out, its result is what the page says, and the call goes on or ends as it should."""
    verb = json.loads(text)["action"]
    more = f'allow = ["{verb}"]' if "." in verb else ""
    events = '["StasisStart", "OperationCompleted", "OriginateCompleted", "CallEnded"]'
    async with contextlib.AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(bot(bot_port))
        alice, caller, other = [await enter(UA(lab.sip_port)) for _ in range(3)]
        pbx = await enter(Pbx(lab.url))
        routes = route(endpoint.url, events=events, more=more)
        (lab.folder / "speech").mkdir(exist_ok=True)
        router = await enter(Router(lab.url, app, routes, extra=SPEECH + SHARED.format(lab)))
        await router.ready()
        if verb == "move":
            await enter(pbx.session.ws_connect(f"ws{lab.url.removeprefix('http')}/ari/events?app=other"))
        answered: list[Call] = []
        answering = asyncio.create_task(_answering(alice, answered))
        stack.callback(answering.cancel)
        endpoint.answers["StasisStart"] = [[ANSWER, {"action": "pause", "seconds": 30}]]
        theirs = await (await other.invite(f"app-{app}")).answered()
        started = await endpoint.wait("StasisStart")
        for name in ("alice", "bob", "reception", "sip:100@127.0.0.1"):
            text = text.replace(f"PJSIP/{name}", f"PJSIP/far/{alice.address}")
        text = text.replace("pjsip:alice", f"pjsip:far/{alice.address}").replace("PJSIP/sip:", "PJSIP/far/sip:")
        if verb == "redirect":  # what the phone is to call: its own address, not Asterisk's way there
            text = text.replace("PJSIP/far/", "PJSIP/")
        for old, new in ({"1795396880.3": started.call} | case.swap).items():
            text = text.replace(old, new)
        program = [*case.before, json.loads(text), HANGUP]
        if case.over == "transfer":  # the caller talks to somebody by `dial` first
            program = [ANSWER, {"action": "dial", "to": f"PJSIP/far/{alice.address}"}, HANGUP]
        endpoint.answers["StasisStart"] = [program]
        if verb in ("ring", "ringStop", "progress"):
            program[-1:] = [{"action": "pause", "seconds": 0.2}, HANGUP]
        call = await caller.invite(f"app-{app}")
        mine = (await endpoint.wait("StasisStart", 2)).call
        if case.over == "transfer":
            await _until(lambda: _run(router, mine, "joined_at"))  # they talk: before that there is nobody to hand over
            assert router.service.act(mine, b"[" + text.encode() + b"]")
            await _until(lambda: len(answered) == 2)
            await _until(lambda: _run(router, mine, "phase") == "consulting")
            await answered[0].hangup()
            await _until(lambda: _run(router, mine, "phase") == "talking")
            await asyncio.sleep(0.3)
            await answered[1].hangup()
        else:
            await router.fact(ActionStarted, call=mine, verb=verb)
            await _play_along(case, call, answered)
        done = await router.fact(ActionFinished, call=mine, verb=verb)
        assert done.outcome in (case.outcome, "stopped" if case.over == "hangup" else case.outcome), done
        await theirs.hangup()
        await call.hangup()
        await router.fact(CallFinished, call=mine)
        results = [told.data for told in endpoint.received if told.call == mine and "action" in told.data]
        results = [result for result in results if result["action"]["action"] == verb]
        assert results or not case.result
        assert all(case.result.items() <= result.items() for result in results), results


async def _play_along(case: Case, call: Call, answered: list[Call]) -> None:
    if case.keys:
        await call.answered()
        await asyncio.sleep(0.4)  # a person hears the prompt before pressing
        await call.press(case.keys)
    elif case.over == "hangup":
        await call.answered()
        await asyncio.sleep(0.4)
        await call.hangup()
    elif case.over == "callee":
        await _until(lambda: bool(answered))
        await call.answered()
        await asyncio.sleep(0.3)
        for callee in answered:
            await callee.hangup()


def _run(router: Router, call: str, field: str) -> Any:
    """What the action of a call that has such a field says there."""
    live = router.service.board.by_channel(call)
    programs = live.call.programs.values() if live is not None else ()
    return next((found for program in programs if (found := getattr(program.run, field, None))), None)


async def _until(condition: Any) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.02)
