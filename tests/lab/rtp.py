"""What a phone of the tests hears and says: G.711 µ-law and RFC 4733 in RTP, open or sealed."""

from __future__ import annotations

import asyncio
import math
import random
import struct
import time
from collections.abc import Callable
from typing import Any

from lab.srtp import Srtp

_BIAS, _CLIP = 0x84, 32635
EVENTS = "0123456789*#ABCD"
_TONES = {key: (low, high) for low, keys in ((697, "123A"), (770, "456B"), (852, "789C"), (941, "*0#D"))
          for key, high in zip(keys, (1209, 1336, 1477, 1633), strict=True)}  # fmt: skip


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
        self.sealed: tuple[Srtp, Srtp | None] | None = None  # what it sends by, and what it hears by

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def datagram_received(self, data: bytes, address: Any) -> None:
        if len(data) < 12:
            return
        if self.sealed is not None:
            opened = self.sealed[1].unprotect(data) if self.sealed[1] is not None else None
            if opened is None:
                return
            data = opened
        kind, payload = data[1] & 0x7F, data[12:]
        if kind == 101:
            stamp = data[4:8]
            if payload[1] & 0x80 and stamp != self._last_event:
                self._last_event = stamp
                self.digits += EVENTS[payload[0]]
        self.packets.append((time.monotonic(), kind, payload))
        self.changed.set()

    async def until(self, condition: Callable[[], Any], timeout: float) -> None:
        """Waits for what packets bring about."""
        async with asyncio.timeout(timeout):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

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
        packet = head + payload
        if self.sealed is not None:
            packet = self.sealed[0].protect(packet)
        if self.remote:
            self.transport.sendto(packet, self.remote)

    async def tone(self, hertz: float, seconds: float) -> None:
        """Sends a sine in real time."""
        phase = 0
        for _ in range(int(seconds * 50)):
            samples = (int(8000 * math.sin(2 * math.pi * hertz * (phase + i) / 8000)) for i in range(160))
            self.send(bytes(map(ulaw, samples)))
            phase += 160
            await asyncio.sleep(0.02)

    async def keys(self, digits: str, seconds: float = 0.12) -> None:
        """Keys as sound: two sines each, in real time."""
        for digit in digits:
            for packet in range(int(seconds * 50)):
                at = range(packet * 160, packet * 160 + 160)
                samples = (int(sum(6000 * math.sin(2 * math.pi * tone * i / 8000) for tone in _TONES[digit])) for i in at)
                self.send(bytes(map(ulaw, samples)))
                await asyncio.sleep(0.02)
            for _ in range(6):
                self.send(b"\xff" * 160)
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
