"""A small SIP phone for tests: places and takes calls over UDP, hears and sends RTP, knows when it heard what.

Enough of RFC 3261, 3264, 3515, 3550, 3891 and 4733 for a test on loopback: one transport, no authentication, PCMU (PCMA is
understood) and telephone-event, INVITE and re-INVITE (hold, codecs), 302, ACK, BYE, CANCEL, REGISTER, REFER (with Replaces),
INFO, MESSAGE and their answers.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from dataclasses import dataclass, field
from typing import Any

from lab.rtp import Rtp
from lab.sip import parse, tag_of, take_media
from lab.srtp import SUITE, Srtp

_CODECS = {"0": "PCMU", "8": "PCMA"}


@dataclass
class Call:
    """One dialog."""

    ua: UA
    id: str
    local: str
    remote: str
    target: str
    rtp: Rtp
    branch: str = ""
    cseq: int = 1
    invite: str = ""
    status: int = 0
    statuses: list[int] = field(default_factory=list)
    ended_at: float | None = None
    refer: str = ""
    progress: list[str] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    incoming: dict[str, Any] | None = None
    up: bool = False
    acknowledged: bool = False  # the answer of a call that came in
    direction: str = "sendrecv"
    codecs: str = "0"
    sdp_version: int = 0
    reinvited: list[int] = field(default_factory=list)
    video: Rtp | None = None
    heard_direction: str = ""  # what the far side's last SDP says

    async def until(self, condition: Any, timeout: float = 10.0) -> None:
        async with asyncio.timeout(timeout):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    async def answered(self, timeout: float = 10.0) -> Call:
        await self.until(lambda: self.status >= 200 or self.ended_at, timeout)
        assert self.status == 200, self.statuses
        return self

    async def ended(self, timeout: float = 30.0) -> Call:
        """Waits for the far side's BYE (or a final refusal)."""
        await self.until(lambda: self.ended_at is not None, timeout)
        return self

    async def hangup(self) -> None:
        if self.ended_at is None:
            if self.incoming is None and self.status < 200:
                self.ua.request(self, "CANCEL", cseq=self.cseq, branch=self.branch, to_tag=False)
            else:
                self.ua.request(self, "BYE")
            self.finish()

    async def press(self, digits: str) -> None:
        await self.rtp.press(digits)

    async def answer(self) -> None:
        """A call that came in."""
        assert self.incoming is not None
        self.ua.respond(self.incoming, 200, "OK", self)
        self.status, self.up = 200, True

    def ring(self) -> None:
        assert self.incoming is not None
        self.ua.respond(self.incoming, 180, "Ringing", self, body=False)

    def reject(self, status: int, reason: str) -> None:
        assert self.incoming is not None
        self.ua.respond(self.incoming, status, reason, self, body=False)
        self.finish()

    def redirect(self, target: str) -> None:
        """A call that came in is sent elsewhere: 302."""
        assert self.incoming is not None
        self.ua.respond(self.incoming, 302, "Moved Temporarily", self, body=False, contact=target)
        self.finish()

    def refer_to(self, target: str, replaces: Call | None = None) -> None:
        """Asks the far side to call somebody else: a phone's transfer key. What it says of it: `progress`.

        `replaces`: attended, to whom that other call of this phone talks.
        """
        if replaces is not None:
            tags = f"%3Bto-tag%3D{tag_of(replaces.remote)}%3Bfrom-tag%3D{tag_of(replaces.local)}"
            target += f"?Replaces={replaces.id}{tags}"
        self.ua.request(self, "REFER", extra=f"Refer-To: <{target}>\r\nReferred-By: <sip:ua@127.0.0.1>\r\n")

    def reinvite(self, *, direction: str = "sendrecv", codecs: str = "0") -> None:
        """Hold (`sendonly`, `inactive`), resume, or another codec (`8`: PCMA). What came of it: `reinvited`."""
        self.direction, self.codecs = direction, codecs
        self.ua.request(self, "INVITE", body=self.ua.sdp(self))

    def notify(self, status: int, reason: str, *, state: str = "") -> None:
        """What came of the call that the far side's REFER asked for."""
        state = state or ("terminated;reason=noresource" if status >= 200 else "active;expires=60")
        head = f"Event: refer\r\nSubscription-State: {state}\r\n"
        self.ua.request(self, "NOTIFY", body=f"SIP/2.0 {status} {reason}\r\n", kind="message/sipfrag", extra=head)

    async def follow(self) -> Call:
        """Calls whom the far side's REFER, or its 302, names, and tells it how that goes."""
        await self.until(lambda: self.refer, 5)
        return await self.ua.invite(re.sub(r"^.*sip:|@.*$", "", self.refer))

    async def press_info(self, digits: str) -> None:
        """Keys as SIP INFO."""
        for digit in digits:
            body = f"Signal={digit}\r\nDuration=100\r\n"
            self.ua.request(self, "INFO", body=body, kind="application/dtmf-relay")
            await asyncio.sleep(0.05)

    def finish(self) -> None:
        if self.ended_at is None:
            self.ended_at = time.monotonic()
            self.changed.set()


class UA(asyncio.DatagramProtocol):
    """A phone at a free port. `async with UA(server_port) as ua: call = await ua.invite("1000")`."""

    def __init__(self, server_port: int, name: str = "ua", *, video: bool = False, sealed: bool = False) -> None:
        self.video = video  # VP8, beside the sound
        self.sealed = sealed  # SRTP, with the keys in the SDP
        self.server = ("127.0.0.1", server_port)
        self.name = name
        self.calls: dict[str, Call] = {}
        self.waiting: asyncio.Queue[Call] = asyncio.Queue()
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self._media: list[asyncio.DatagramTransport] = []
        self.registered = asyncio.Event()
        self.answered: asyncio.Queue[int] = asyncio.Queue()  # how its text messages were answered
        self._tasks: set[asyncio.Future[None]] = set()

    async def __aenter__(self) -> UA:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self.transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for call in list(self.calls.values()):
            await call.hangup()
        for transport in [self.transport, *self._media]:
            transport.close()

    @property
    def address(self) -> str:
        """As Asterisk dials it: `PJSIP/far/` + this."""
        return f"sip:{self.name}@127.0.0.1:{self.port}"

    def at(self, extension: str) -> str:
        """An extension of the PBX, as a transfer key dials it."""
        return f"sip:{extension}@127.0.0.1:{self.server[1]}"

    async def _rtp(self) -> Rtp:
        loop = asyncio.get_running_loop()
        transport, rtp = await loop.create_datagram_endpoint(Rtp, local_addr=("127.0.0.1", 0))
        self._media.append(transport)
        if self.sealed:
            rtp.sealed = (Srtp(), None)
        return rtp

    def sdp(self, call: Call) -> str:
        port = call.rtp.transport.get_extra_info("sockname")[1]
        call.sdp_version += 1
        picture = ""
        if call.video is not None:
            at = call.video.transport.get_extra_info("sockname")[1]
            picture = f"m=video {at} RTP/AVP 100\r\na=rtpmap:100 VP8/90000\r\na=sendrecv\r\n"
        crypto = f"a=crypto:1 {SUITE} inline:{call.rtp.sealed[0].inline}\r\n" if call.rtp.sealed else ""
        kind = "SAVP" if call.rtp.sealed else "AVP"
        maps = "".join(f"a=rtpmap:{codec} {_CODECS[codec]}/8000\r\n" for codec in call.codecs.split())
        return (
            f"v=0\r\no=- 1 {call.sdp_version} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/{kind} {call.codecs} 101\r\n{crypto}{maps}a=rtpmap:101 telephone-event/8000\r\n"
            f"a=fmtp:101 0-15\r\na={call.direction}\r\n{picture}"
        )

    async def register(self, seconds: int = 600) -> UA:
        """As `name`, beside other phones that are: `PJSIP/name` reaches all of them. 0 seconds: not any more."""
        self.registered.clear()
        self._out_of_call("REGISTER", f"sip:127.0.0.1:{self.server[1]}", f"sip:{self.name}@127.0.0.1", self.name,
                          extra=f"Contact: <{self.address}>\r\nExpires: {seconds}\r\n")  # fmt: skip
        async with asyncio.timeout(5):
            await self.registered.wait()
        return self

    async def invite(self, extension: str, caller: str = "1001") -> Call:
        tag, id = f"{random.getrandbits(32):x}", f"{random.getrandbits(64):x}"
        target = f"sip:{extension}@127.0.0.1:{self.server[1]}"
        call = Call(self, id, f'"{caller}" <sip:{caller}@127.0.0.1>;tag={tag}', f"<{target}>", target, await self._rtp())
        call.video = await self._rtp() if self.video else None
        self.calls[id] = call
        call.branch = f"z9hG4bK{random.getrandbits(48):x}"
        self.request(call, "INVITE", body=self.sdp(call), branch=call.branch)
        return call

    def message(self, text: str, to: str = "pbx", caller: str = "1001") -> None:
        """Sends a text message, out of any call."""
        self._out_of_call("MESSAGE", self.at(to), self.at(to), caller, extra="Content-Type: text/plain\r\n", body=text)

    def _out_of_call(self, method: str, target: str, to: str, caller: str, *, extra: str, body: str = "") -> None:
        branch, tag, id = (f"{random.getrandbits(48):x}" for _ in range(3))
        head = (
            f"{method} {target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{branch}\r\n"
            f"From: <sip:{caller}@127.0.0.1>;tag={tag}\r\nTo: <{to}>\r\nCall-ID: {id}\r\nCSeq: 1 {method}\r\n"
            f"Max-Forwards: 70\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
        )
        self.transport.sendto(f"{head}{body}".encode(), self.server)

    async def incoming(self, timeout: float = 10.0) -> Call:
        """The next call to this phone; it is not answered yet."""
        async with asyncio.timeout(timeout):
            return await self.waiting.get()

    def request(self, call: Call, method: str, *, body: str = "", branch: str = "", cseq: int = 0, extra: str = "",
                to_tag: bool = True, kind: str = "application/sdp") -> None:  # fmt: skip
        if not cseq:
            call.cseq += 1
            cseq = call.cseq
        remote = call.remote if to_tag else call.remote.split(";tag=")[0]
        branch = branch or f"z9hG4bK{random.getrandbits(48):x}"
        if method == "INVITE":
            call.cseq = cseq
        text = (
            f"{method} {call.target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};branch={branch}\r\n"
            f"From: {call.local}\r\nTo: {remote}\r\nCall-ID: {call.id}\r\nCSeq: {cseq} {method}\r\n"
            f"Contact: <{self.address}>\r\nMax-Forwards: 70\r\n{extra}"
        )
        if body:
            text += f"Content-Type: {kind}\r\n"
        self.transport.sendto(f"{text}Content-Length: {len(body)}\r\n\r\n{body}".encode(), self.server)

    def respond(self, message: dict[str, Any], status: int, reason: str, call: Call | None = None, *,
                body: bool = True, contact: str = "") -> None:  # fmt: skip
        headers = message["headers"]
        to = headers["to"]
        if call is not None and ";tag=" not in to:
            to = call.local
        sdp = self.sdp(call) if call is not None and body and message["method"] == "INVITE" else ""
        text = f"SIP/2.0 {status} {reason}\r\n" + "".join(f"Via: {via}\r\n" for via in message["vias"])
        text += "".join(f"Record-Route: {route}\r\n" for route in message["routes"])
        text += f"From: {headers['from']}\r\nTo: {to}\r\nCall-ID: {headers['call-id']}\r\nCSeq: {headers['cseq']}\r\n"
        text += f"Contact: <{contact or self.address}>\r\n" + ("Content-Type: application/sdp\r\n" if sdp else "")
        self.transport.sendto(f"{text}Content-Length: {len(sdp)}\r\n\r\n{sdp}".encode(), self.server)

    def datagram_received(self, data: bytes, address: Any) -> None:
        message = parse(data)
        if message is None:
            return
        call = self.calls.get(message["headers"].get("call-id", ""))
        if message["method"]:
            task = asyncio.ensure_future(self._request(message, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif call is not None:
            self._response(message, call)
        elif message["headers"]["cseq"].endswith("MESSAGE"):
            self.answered.put_nowait(message["status"])
        elif message["status"] == 200:
            self.registered.set()

    def _response(self, message: dict[str, Any], call: Call) -> None:
        headers = message["headers"]
        if not headers["cseq"].endswith("INVITE"):
            return
        if call.up:
            self._reinvited(message, call)
            return
        call.status = message["status"]
        if 300 <= call.status < 400:
            call.refer = headers.get("contact", "")
        call.statuses.append(call.status)
        call.remote = headers["to"]
        call.up = 200 <= call.status < 300
        take_media(message, call)
        if call.status >= 200:
            number = int(headers["cseq"].split()[0])
            if call.status < 300 and "contact" in headers:
                call.target = re.sub(r"^.*<|>.*$", "", headers["contact"])
            self.request(call, "ACK", cseq=number, branch="" if call.status < 300 else call.branch)
            if call.status >= 300:
                call.finish()
        call.changed.set()

    def _reinvited(self, message: dict[str, Any], call: Call) -> None:
        if message["status"] >= 200:
            take_media(message, call)
            call.reinvited.append(message["status"])
            self.request(call, "ACK", cseq=int(message["headers"]["cseq"].split()[0]))
            call.changed.set()

    async def _request(self, message: dict[str, Any], call: Call | None) -> None:
        method, headers = message["method"], message["headers"]
        if method == "INVITE" and call is None:
            tag = f"{random.getrandbits(32):x}"
            call = Call(self, headers["call-id"], f"{headers['to']};tag={tag}", headers["from"],
                        re.sub(r"^.*<|>.*$", "", headers.get("contact", "")), await self._rtp())  # fmt: skip
            call.video = await self._rtp() if self.video and "m=video" in message["body"] else None
            call.incoming = message
            call.invite = message["text"]
            take_media(message, call)
            self.calls[call.id] = call
            self.respond(message, 100, "Trying", body=False)
            self.waiting.put_nowait(call)
        elif method == "INVITE" and call is not None:
            take_media(message, call)
            self.respond(message, 200, "OK", call)
        elif method == "ACK":
            if call is not None:
                call.acknowledged = True
                call.changed.set()
        else:
            accepted = (202, "Accepted") if method == "REFER" else (200, "OK")
            self.respond(message, *accepted, call, body=False)
            if method == "MESSAGE":
                self.messages.put_nowait(message["body"])
            elif call is not None and method == "BYE":
                call.finish()
            elif call is not None and method == "CANCEL" and call.incoming:
                self.respond(call.incoming, 487, "Request Terminated", call, body=False)
                call.finish()
            elif call is not None and method == "NOTIFY":
                call.progress.append(message["body"].strip())
                call.changed.set()
            elif call is not None and method == "REFER":
                call.refer = headers.get("refer-to", "")
                call.changed.set()
