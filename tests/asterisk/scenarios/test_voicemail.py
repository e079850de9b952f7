"""examples/scenarios/voicemail.py with real phones, and a mail server that is away at first."""

from __future__ import annotations

import asyncio
import email
from email.message import Message
from types import TracebackType

from lab.asterisk import Asterisk
from lab.rtp import power, ulaw
from lab.ua import UA
from rig.scene import far, hears, scene


class Mail:
    """An SMTP server: enough of it for smtplib. `busy`: how many sessions it refuses first."""

    def __init__(self, busy: int = 0) -> None:
        self.busy, self.refused = busy, 0
        self.messages: asyncio.Queue[Message] = asyncio.Queue()

    async def __aenter__(self) -> Mail:
        self.server = await asyncio.start_server(self._session, "127.0.0.1", 0)
        self.address = "127.0.0.1:{1}".format(*self.server.sockets[0].getsockname())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refused < self.busy:
            self.refused += 1
            writer.write(b"421 not now\r\n")
        else:
            writer.write(b"220 here\r\n")
            while line := await reader.readline():
                if line.upper().startswith(b"DATA"):
                    writer.write(b"354 go on\r\n")
                    text = (await reader.readuntil(b"\r\n.\r\n"))[:-5]
                    self.messages.put_nowait(email.message_from_bytes(text))
                writer.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")
                if line.upper().startswith(b"QUIT"):
                    break
        await writer.drain()
        writer.close()


def spoken(message: Message) -> bytes:
    """The attached audio as µ-law."""
    audio = next(part.get_payload(decode=True) for part in message.walk() if part.get_content_type() == "audio/wav")
    assert isinstance(audio, bytes)
    samples = audio[44:]
    return bytes(ulaw(int.from_bytes(samples[i : i + 2], "little", signed=True)) for i in range(0, len(samples), 2))


async def test_a_message_is_mailed_although_the_caller_has_hung_up_and_the_server_was_away(
    asterisk: Asterisk, app: str
) -> None:
    """The phone refuses, the caller speaks and goes; the second attempt brings the mail, with what was said."""
    async with (
        Mail(busy=1) as server, UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as owner_phone,
        scene(asterisk, app, "voicemail", OWNER=far(owner_phone), SMTP=server.address, GREETING="sound:vm-theperson") as voicemail,
    ):  # fmt: skip
        call = await phone.invite(f"app-{app}", caller="4711")
        owner = await owner_phone.incoming()
        owner.reject(486, "Busy Here")
        await call.answered()
        await voicemail.heard(call, "vm-theperson")
        await voicemail.heard(call, "beep")
        await call.rtp.tone(440, 1.5)
        await call.hangup()
        recorded = await voicemail.event("RecordingCompleted", path="/messages")
        message = await asyncio.wait_for(server.messages.get(), 15)
        assert server.refused == 1
        assert message["subject"] == "Message from 4711"
        assert power(spoken(message)[4000:8000], 440) > 0.8
        again = await voicemail.event("RecordingCompleted", 2, path="/messages")
        assert again["id"] == recorded["id"]
        await voicemail.clean()


async def test_who_is_there_gets_the_call_and_nothing_is_recorded(asterisk: Asterisk, app: str) -> None:
    """The two talk; then a caller who gives up while it rings leaves no message either."""
    async with (
        UA(asterisk.sip_port) as phone, UA(asterisk.sip_port) as owner_phone,
        scene(asterisk, app, "voicemail", OWNER=far(owner_phone)) as voicemail,
    ):  # fmt: skip
        call = await phone.invite(f"app-{app}")
        owner = await owner_phone.incoming()
        await owner.answer()
        await call.answered()
        await hears(call, owner, 440)
        await owner.hangup()
        await call.ended()
        impatient = await phone.invite(f"app-{app}")
        owner = await owner_phone.incoming()
        owner.ring()
        await impatient.until(lambda: 180 in impatient.statuses)
        await impatient.hangup()
        await owner.ended()
        await voicemail.event("DialCompleted", status="cancelled")
        await voicemail.clean()
        assert not voicemail.of("RecordingCompleted")
