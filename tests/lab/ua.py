"""A small SIP phone for tests: places and takes calls over UDP, hears and sends RTP, knows when it heard what.

Enough of RFC 3261, 3264, 3550 and 4733 for a test on loopback: one transport, no authentication, PCMU and
telephone-event, INVITE, ACK, BYE, CANCEL, REFER and their answers.
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import struct
import time
from dataclasses import dataclass, field
from typing import Any

_BIAS, _CLIP = 0x84, 32635
EVENTS = "0123456789*#ABCD"


def ulaw(sample: int) -> int:
    """One 16-bit sample as G.711 µ-law."""
    sign = 0x80 if sample < 0 else 0
    sample = min(abs(sample), _CLIP) + _BIAS
    exponent = max(0, sample.bit_length() - 8)
    return ~(sign | (exponent << 4) | ((sample >> (exponent + 3)) & 0x0F)) & 0xFF


def linear(code: int) -> int:
    code = ~code & 0xFF
    sample = (((code & 0x0F) << 3) + _BIAS) << ((code & 0x70) >> 4)
    return _BIAS - sample if code & 0x80 else sample - _BIAS


class Rtp(asyncio.DatagramProtocol):
    """One media socket. `packets`: (arrival in monotonic seconds, payload type, payload)."""

    def __init__(self) -> None:
        self.packets: list[tuple[float, int, bytes]] = []
        self.digits = ""
        self._last_event: bytes = b""
        self.changed = asyncio.Event()
        self.sequence = random.randrange(1000)
        self.timestamp = random.randrange(1000) * 160
        self.ssrc = random.getrandbits(32)
        self.remote: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if len(data) < 12:
            return
        kind, payload = data[1] & 0x7F, data[12:]
        if kind == 101:
            stamp = data[4:8]
            if payload[1] & 0x80 and stamp != self._last_event:
                self._last_event = stamp
                self.digits += EVENTS[payload[0]]
        self.packets.append((time.monotonic(), kind, payload))
        self.changed.set()

    @property
    def sound(self) -> list[tuple[float, bytes]]:
        """Packets that are not silence."""
        return [(at, payload) for at, kind, payload in self.packets if kind == 0 and loud(payload)]

    @property
    def span(self) -> float:
        """Seconds from the first to the last packet."""
        times = [at for at, kind, _ in self.packets if kind == 0]
        return times[-1] - times[0] + 0.02 if times else 0.0

    def send(self, payload: bytes, kind: int = 0, *, marker: bool = False, advance: int = 160) -> None:
        head = struct.pack("!BBHII", 0x80, kind | (0x80 if marker else 0), self.sequence & 0xFFFF,
                           self.timestamp & 0xFFFFFFFF, self.ssrc)  # fmt: skip
        self.sequence += 1
        self.timestamp += advance
        if self.remote:
            self.transport.sendto(head + payload, self.remote)

    async def tone(self, hertz: float, seconds: float) -> None:
        """Sends a sine in real time."""
        phase = 0
        for _ in range(int(seconds * 50)):
            samples = (int(8000 * math.sin(2 * math.pi * hertz * (phase + i) / 8000)) for i in range(160))
            self.send(bytes(map(ulaw, samples)))
            phase += 160
            await asyncio.sleep(0.02)

    async def press(self, digits: str, seconds: float = 0.1) -> None:
        """RFC 4733 events, in real time."""
        for digit in digits:
            event, stamp = EVENTS.index(digit), self.timestamp
            count = int(seconds * 50)
            for index in range(count + 3):
                duration = min(index + 1, count) * 160
                end = 0x80 if index >= count else 0
                self.timestamp = stamp
                self.send(struct.pack("!BBH", event, end | 10, duration), 101, marker=index == 0, advance=0)
                if index < count:
                    await asyncio.sleep(0.02)
            self.timestamp = stamp + count * 160 + 800
            await asyncio.sleep(0.1)


def loud(payload: bytes, level: int = 200) -> bool:
    return bool(payload) and max(abs(linear(code)) for code in payload) > level


def power(payload: bytes, hertz: float) -> float:
    """How much of a frequency is in µ-law audio, 0 to 1 (Goertzel)."""
    samples = [linear(code) for code in payload]
    coefficient = 2 * math.cos(2 * math.pi * hertz / 8000)
    one = two = 0.0
    for sample in samples:
        one, two = sample + coefficient * one - two, one
    energy = sum(sample * sample for sample in samples) or 1.0
    return (one * one + two * two - coefficient * one * two) / (energy * len(samples) / 2)


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
        self.status = 200

    def ring(self) -> None:
        assert self.incoming is not None
        self.ua.respond(self.incoming, 180, "Ringing", self, body=False)

    def reject(self, status: int, reason: str) -> None:
        assert self.incoming is not None
        self.ua.respond(self.incoming, status, reason, self, body=False)
        self.finish()

    def refer_to(self, target: str) -> None:
        """Asks the far side to call somebody else: a phone's transfer key. What it says of it: `progress`."""
        self.ua.request(self, "REFER", extra=f"Refer-To: <{target}>\r\nReferred-By: <sip:ua@127.0.0.1>\r\n")

    def finish(self) -> None:
        if self.ended_at is None:
            self.ended_at = time.monotonic()
            self.changed.set()


class UA(asyncio.DatagramProtocol):
    """A phone at a free port. `async with UA(server_port) as ua: call = await ua.invite("1000")`."""

    def __init__(self, server_port: int, name: str = "ua") -> None:
        self.server = ("127.0.0.1", server_port)
        self.name = name
        self.calls: dict[str, Call] = {}
        self.waiting: asyncio.Queue[Call] = asyncio.Queue()
        self.messages: asyncio.Queue[str] = asyncio.Queue()
        self._media: list[asyncio.DatagramTransport] = []
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

    async def _rtp(self) -> Rtp:
        loop = asyncio.get_running_loop()
        transport, rtp = await loop.create_datagram_endpoint(Rtp, local_addr=("127.0.0.1", 0))
        self._media.append(transport)
        return rtp

    def _sdp(self, rtp: Rtp) -> str:
        port = rtp.transport.get_extra_info("sockname")[1]
        return (
            "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
            f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
            "a=fmtp:101 0-15\r\na=sendrecv\r\n"
        )

    async def invite(self, extension: str, caller: str = "1001") -> Call:
        tag, id = f"{random.getrandbits(32):x}", f"{random.getrandbits(64):x}"
        target = f"sip:{extension}@127.0.0.1:{self.server[1]}"
        call = Call(self, id, f'"{caller}" <sip:{caller}@127.0.0.1>;tag={tag}', f"<{target}>", target, await self._rtp())
        self.calls[id] = call
        call.branch = f"z9hG4bK{random.getrandbits(48):x}"
        self.request(call, "INVITE", body=self._sdp(call.rtp), branch=call.branch)
        return call

    def message(self, text: str, to: str = "pbx", caller: str = "1001") -> None:
        """Sends a text message, out of any call."""
        branch, tag, id = (f"{random.getrandbits(48):x}" for _ in range(3))
        target = f"sip:{to}@127.0.0.1:{self.server[1]}"
        head = (
            f"MESSAGE {target} SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{branch}\r\n"
            f"From: <sip:{caller}@127.0.0.1>;tag={tag}\r\nTo: <{target}>\r\nCall-ID: {id}\r\nCSeq: 1 MESSAGE\r\n"
            f"Max-Forwards: 70\r\nContent-Type: text/plain\r\nContent-Length: {len(text)}\r\n\r\n"
        )
        self.transport.sendto(f"{head}{text}".encode(), self.server)

    async def incoming(self, timeout: float = 10.0) -> Call:
        """The next call to this phone; it is not answered yet."""
        async with asyncio.timeout(timeout):
            return await self.waiting.get()

    def request(self, call: Call, method: str, *, body: str = "", branch: str = "", cseq: int = 0, extra: str = "",
                to_tag: bool = True) -> None:  # fmt: skip
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
            text += "Content-Type: application/sdp\r\n"
        self.transport.sendto(f"{text}Content-Length: {len(body)}\r\n\r\n{body}".encode(), self.server)

    def respond(self, message: dict[str, Any], status: int, reason: str, call: Call | None = None, *,
                body: bool = True) -> None:  # fmt: skip
        headers = message["headers"]
        to = headers["to"]
        if call is not None and ";tag=" not in to:
            to = call.local
        sdp = self._sdp(call.rtp) if call is not None and body and message["method"] == "INVITE" else ""
        text = f"SIP/2.0 {status} {reason}\r\n" + "".join(f"Via: {via}\r\n" for via in message["vias"])
        text += "".join(f"Record-Route: {route}\r\n" for route in message["routes"])
        text += f"From: {headers['from']}\r\nTo: {to}\r\nCall-ID: {headers['call-id']}\r\nCSeq: {headers['cseq']}\r\n"
        text += f"Contact: <{self.address}>\r\n" + ("Content-Type: application/sdp\r\n" if sdp else "")
        self.transport.sendto(f"{text}Content-Length: {len(sdp)}\r\n\r\n{sdp}".encode(), self.server)

    def datagram_received(self, data: bytes, address: Any) -> None:
        message = _parse(data)
        if message is None:
            return
        call = self.calls.get(message["headers"].get("call-id", ""))
        if message["method"]:
            task = asyncio.ensure_future(self._request(message, call))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif call is not None:
            self._response(message, call)

    def _response(self, message: dict[str, Any], call: Call) -> None:
        headers = message["headers"]
        if not headers["cseq"].endswith("INVITE"):
            return
        call.status = message["status"]
        call.statuses.append(call.status)
        call.remote = headers["to"]
        _remote_media(message, call)
        if call.status >= 200:
            number = int(headers["cseq"].split()[0])
            if call.status < 300 and "contact" in headers:
                call.target = re.sub(r"^.*<|>.*$", "", headers["contact"])
            self.request(call, "ACK", cseq=number, branch="" if call.status < 300 else call.branch)
            if call.status >= 300:
                call.finish()
        call.changed.set()

    async def _request(self, message: dict[str, Any], call: Call | None) -> None:
        method, headers = message["method"], message["headers"]
        if method == "INVITE" and call is None:
            tag = f"{random.getrandbits(32):x}"
            call = Call(self, headers["call-id"], f"{headers['to']};tag={tag}", headers["from"],
                        re.sub(r"^.*<|>.*$", "", headers.get("contact", "")), await self._rtp())  # fmt: skip
            call.incoming = message
            call.invite = message["text"]
            _remote_media(message, call)
            self.calls[call.id] = call
            self.respond(message, 100, "Trying", body=False)
            self.waiting.put_nowait(call)
        elif method == "INVITE" and call is not None:
            _remote_media(message, call)
            self.respond(message, 200, "OK", call)
        elif method == "ACK":
            return
        else:
            self.respond(message, 200, "OK", call, body=False)
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


def _parse(data: bytes) -> dict[str, Any] | None:
    head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
    first, *lines = head.split("\r\n")
    if not first.strip():
        return None
    headers: dict[str, str] = {}
    vias, routes = [], []
    for line in lines:
        name, _, value = line.partition(":")
        name = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "r": "refer-to"}.get(
            name.lower().strip(), name.lower().strip()
        )
        if name == "via":
            vias.append(value.strip())
        elif name == "record-route":
            routes.append(value.strip())
        headers[name] = value.strip()
    words = first.split(" ", 2)
    response = words[0].startswith("SIP/")
    return {
        "method": "" if response else words[0], "status": int(words[1]) if response else 0, "headers": headers,
        "vias": vias, "routes": routes, "body": body, "text": head,
    }  # fmt: skip


def _remote_media(message: dict[str, Any], call: Call) -> None:
    found = re.search(r"m=audio (\d+)", message["body"])
    if found:
        host = re.search(r"c=IN IP4 (\S+)", message["body"])
        call.rtp.remote = (host[1] if host else "127.0.0.1", int(found[1]))
