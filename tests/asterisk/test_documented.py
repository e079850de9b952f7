"""Every example of docs/actions.md is carried out on the real Asterisk, all of them at once, each in a call of its own."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from lab.asterisk import Asterisk, free_port
from lab.ua import UA
from rig.endpoint import Delivery, Endpoint
from rig.pbx import Pbx
from rig.router import Router, route
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from hookrouter.actions.vocabulary import BY_NAME
from hookrouter.facts import ActionFinished, ActionStarted

from .conftest import need_asterisk

ANSWER, HANGUP = {"action": "answer"}, {"action": "hangup"}
PAGE = (Path(__file__).parents[2] / "docs/actions.md").read_text()
OPERATIONS = re.findall(r'^(\{"action": "\w+\.\w+".*\})$', PAGE, re.MULTILINE)
SOMEBODY = "Local/answer-hangup@callers/n"
RECORDING = [ANSWER, {"action": "startRecording"}]
BEFORE: dict[str, list[dict[str, Any]]] = {
    "answer": [], "ring": [], "progress": [], "ringStop": [{"action": "ring"}],
    "pauseRecording": RECORDING, "resumeRecording": [*RECORDING, {"action": "pauseRecording"}], "stopRecording": RECORDING,
    "mohStop": [ANSWER, {"action": "moh"}], "silenceStop": [ANSWER, {"action": "silence"}],
}  # fmt: skip
KEYS = {"gather": "1234", "record": "#", "enqueue": "*"}
UNTIL_HANGUP = {"bridge", "conference", "spy", "stream"}
FAILS = {"mailbox": "not_found"}
"""Debian's package has no res_mwi_external."""


@dataclass
class Stage:
    """Everything that the examples need: a router, its endpoint, a phone, another call, somebody to listen."""

    router: Router
    endpoint: Endpoint
    phone: UA
    names: dict[str, str]

    async def carry_out(self, number: int, example: str) -> None:
        """Raises what is wrong."""
        for old, new in self.names.items():
            example = example.replace(old, new)
        action = json.loads(example)
        verb, caller = action["action"], f"{5000 + number}"
        attended = action.get("mode") == "attended"
        program = [{"action": "dial", "to": SOMEBODY}] if attended else [*BEFORE.get(verb, [ANSWER]), action]
        self.endpoint.answers[f"StasisStart {caller}"] = [*program, {"action": "pause", "seconds": 0.5}, HANGUP]
        call = await self.phone.invite(f"app-{self.router.config.asterisks[0].apps[0]}", caller=caller)
        id = (await self._began(caller)).call
        if attended:
            await self.router.fact(ActionStarted, call=id, verb="dial")
            await call.answered()
            assert self.router.service.act(id, json.dumps([action, HANGUP]).encode())
        await self.router.fact(ActionStarted, call=id, verb=verb)
        if verb in KEYS:
            await call.answered()
            await call.press(KEYS[verb])
        if verb in UNTIL_HANGUP:
            await call.answered()
            await call.hangup()
        done = await self.router.fact(ActionFinished, call=id, verb=verb, timeout=25)
        if verb in FAILS:
            assert done.outcome == "failed"
            assert done.detail.startswith(FAILS[verb])
        else:
            assert done.outcome == "done", done.detail
        await call.hangup()

    async def _began(self, caller: str) -> Delivery:
        def found() -> list[Delivery]:
            starts = self.endpoint.of("StasisStart")
            return [start for start in starts if start.data["channel"]["caller"]["number"] == caller]

        async with asyncio.timeout(15), self.endpoint.changed:
            await self.endpoint.changed.wait_for(found)
        return found()[0]


async def listen(socket: ServerConnection) -> None:
    try:
        async for _ in socket:
            pass
    except ConnectionClosed:
        return


def speech(asterisk: Asterisk) -> str:
    """[speech] whose every text sounds alike."""
    folder = asterisk.folder / "speech"
    folder.mkdir(exist_ok=True)
    beep = next(asterisk.root.glob("usr/share/asterisk/sounds/*/beep.wav"))
    shutil.copy(beep, folder / "any.wav")
    return (
        f"[speech]\ncommand = ['sh', '-c', 'cp {folder}/any.wav \"$0\"', '{{file}}', '{{text}}']\n"
        f'folder = "{folder}"\nasterisk_folder = "{asterisk.inside}/speech"\n'
    )


@pytest.fixture
async def stage(app: str, endpoint: Endpoint) -> AsyncIterator[Stage]:
    need_asterisk()
    port = free_port()
    endpoint.answers["StasisStart"] = lambda start: endpoint.answers.get(
        f"StasisStart {start.data['channel']['caller']['number']}", [ANSWER]
    )
    endpoint.answers["FetchRequested"] = [[HANGUP]]
    more = 'allow = ["asterisk.getGlobalVar"]'
    with Asterisk(media_clients={"bot": f"ws://127.0.0.1:{port}/"}) as asterisk:
        async with (
            serve(listen, "127.0.0.1", port, subprotocols=["media"], compression=None),  # type: ignore[list-item]
            Pbx(asterisk.url) as pbx, UA(asterisk.sip_port) as phone,
            Router(asterisk.url, app, route(endpoint.url, more=more), extra=speech(asterisk)) as router,
        ):  # fmt: skip
            await router.ready()
            other = await pbx.call(app)
            await other.answered()
            names = {f"PJSIP/{name}": SOMEBODY for name in ("alice", "bob", "reception")}
            names |= {"1795396880.3": other.id, "pjsip:alice": f"pjsip:far/{phone.address}"}
            names |= {'"other"': f'"{pbx.hand}"', '"hookrouter"': f'"{app}"'}
            names |= {'"default", "extension": "100"': '"went-on", "extension": "back"'}
            yield Stage(router, endpoint, phone, names)


async def test_every_example_does_what_it_says(stage: Stage) -> None:
    """Each action is done, but for what Debian's package cannot do; the list of those that are not is empty."""
    examples = [example for name in sorted(BY_NAME) for example in BY_NAME[name].examples] + OPERATIONS
    assert len(OPERATIONS) == 2
    results = await asyncio.gather(*map(stage.carry_out, range(len(examples)), examples), return_exceptions=True)
    wrong = {example: repr(result)[:600] for example, result in zip(examples, results, strict=True) if result is not None}
    assert not wrong, "\n".join(f"{key}: {value}" for key, value in wrong.items())
