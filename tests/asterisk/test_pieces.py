"""AMD(), VoiceMail() and Transfer() as pieces of the dialplan, on an Asterisk that has them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from lab.asterisk import HERE, Asterisk
from lab.ua import UA
from rig.endpoint import Endpoint
from rig.router import Router, route

from .conftest import need_asterisk

ANSWER = {"action": "answer"}
HANGUP = {"action": "hangup"}
EVENTS = '["StasisStart", "StasisEnd", "CallEnded"]'
PIECES = """
[pieces]
exten => amd,1,AMD()
 same => n,Stasis(${HOOKROUTER_APP})
exten => hand-over,1,Transfer(${TO})
 same => n,Stasis(${HOOKROUTER_APP})
exten => voicemail,1,VoiceMail(100@default,s)
 same => n,Stasis(${HOOKROUTER_APP})
"""


@pytest.fixture(scope="module")
def office() -> Iterator[Asterisk]:
    """With a mailbox, and the detection of answering machines."""
    need_asterisk()
    amd = "total_analysis_time=3000\nafter_greeting_silence=400\ngreeting=900\n"
    files = {
        "extensions.conf": (HERE / "extensions.conf").read_text() + PIECES,
        "voicemail.conf": "[general]\nformat=wav\nmaxsilence=1\nminsecs=1\n[default]\n100 => 1234,Reception\n",
        "amd.conf": f"[general]\n{amd}",
    }
    with Asterisk(files=files, modules=("app_voicemail",)) as running:
        yield running


def router(asterisk: Asterisk, app: str, endpoint: Endpoint) -> Router:
    return Router(asterisk.url, app, route(endpoint.url, events=EVENTS))


@pytest.mark.parametrize("status", ["HUMAN", "MACHINE"])
async def test_a_machine_that_answers_is_told_from_a_person(
    office: Asterisk, app: str, endpoint: Endpoint, status: str
) -> None:
    """A short word and silence is a person; somebody who goes on talking is a machine."""
    detect = {"action": "dialplan", "context": "pieces", "extension": "amd", "read": ["AMDSTATUS", "AMDCAUSE"]}
    endpoint.answers["StasisStart"] = [[ANSWER, detect, HANGUP]]
    async with router(office, app, endpoint) as running, UA(office.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.rtp.tone(440, 0.5 if status == "HUMAN" else 1.5)
        silence = asyncio.create_task(call.rtp.tone(0, 2))
        done = await endpoint.wait("DialplanCompleted")
        assert done.data["values"]["AMDSTATUS"] == status, done.data
        await silence


async def test_a_message_is_left_in_a_mailbox_and_the_program_goes_on(
    office: Asterisk, app: str, endpoint: Endpoint
) -> None:
    """Its file is there, and what follows is heard."""
    leave = {"action": "dialplan", "context": "pieces", "extension": "voicemail", "read": ["VMSTATUS"]}
    endpoint.answers["StasisStart"] = [[ANSWER, leave, {"action": "play", "media": "sound:hello-world"}, HANGUP]]
    async with router(office, app, endpoint) as running, UA(office.sip_port) as phone:
        await running.ready()
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.rtp.until(lambda: call.rtp.sound, 5)  # the beep
        await call.rtp.tone(440, 2.5)
        await call.press("#")
        done = await endpoint.wait("DialplanCompleted")
        assert done.data["values"] == {"VMSTATUS": "SUCCESS"}
        await call.ended()
        assert list(office.spool.glob("voicemail/default/100/INBOX/msg0000.wav"))


@pytest.mark.parametrize(("status", "word", "code"), [(200, "SUCCESS", "0"), (486, "FAILURE", "486"), (603, "FAILURE", "603")])
async def test_what_the_phone_notifies_is_read_by_a_piece_of_the_dialplan(
    office: Asterisk, app: str, endpoint: Endpoint, status: int, word: str, code: str
) -> None:
    """`Transfer()` waits for its last word, and has it in variables."""
    async with router(office, app, endpoint) as running, UA(office.sip_port) as phone:
        await running.ready()
        steps: list[Any] = [
            ANSWER, {"action": "setVariable", "variable": "TO", "value": f"PJSIP/{phone.at('nobody')}"},
            {"action": "dialplan", "context": "pieces", "extension": "hand-over",
             "read": ["TRANSFERSTATUS", "TRANSFERSTATUSPROTOCOL"]}, HANGUP,
        ]  # fmt: skip
        endpoint.answers["StasisStart"] = [steps]
        call = await (await phone.invite(f"app-{app}")).answered()
        await call.until(lambda: call.refer, 5)
        call.notify(100, "Trying")
        call.notify(180, "Ringing")
        call.notify(status, "Done")
        done = await endpoint.wait("DialplanCompleted")
        assert done.data["values"] == {"TRANSFERSTATUS": word, "TRANSFERSTATUSPROTOCOL": code}
        await call.ended()
