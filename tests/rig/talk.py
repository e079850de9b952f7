"""Two phones in a talk: whether they hear each other, and whether anything of it is left."""

from __future__ import annotations

import asyncio
from typing import Any

from lab.asterisk import Asterisk
from lab.rtp import power
from lab.ua import UA, Call

from rig.pbx import Pbx


async def talk(*pairs: tuple[Call, Call, float]) -> None:
    """(who speaks, who hears it, at how many hertz): all at the same time, again until each has heard theirs."""
    async with asyncio.timeout(8):
        left = list(pairs)
        while left:
            marks = [len(other.rtp.sound) for _, other, _ in left]
            await asyncio.gather(*(one.rtp.tone(hertz, 0.3) for one, _, hertz in left))
            heard = [_heard(other, mark) for mark, (_, other, _) in zip(marks, left, strict=True)]
            left = [pair for pair, sound in zip(left, heard, strict=True) if not (sound and power(sound, pair[2]) > 0.4)]


async def says_something(asterisk: Asterisk, number: str) -> None:
    """A phone dials the number, and hears something until it is hung up."""
    async with UA(asterisk.sip_port) as phone:
        call = await (await phone.invite(number)).answered()
        await call.ended()
        assert len(call.rtp.sound) > 30


async def both_hear(one: Call, other: Call) -> None:
    await talk((one, other, 440), (other, one, 1000))


async def silent(one: Call, other: Call, hertz: float = 700) -> None:
    """A tone of one does not reach the other."""
    mark = len(other.rtp.sound)
    await one.rtp.tone(hertz, 0.4)
    sound = _heard(other, mark)
    assert not sound or power(sound, hertz) < 0.4


def _heard(call: Call, mark: int) -> bytes:
    return b"".join(payload for _, payload in call.rtp.sound[mark:][-12:])


async def nothing_left(asterisk: Asterisk, timeout: float = 8.0) -> None:
    """No channel and no bridge; the one of Asterisk's text messages always stays."""
    async with Pbx(asterisk.url) as pbx:
        left: Any = None
        try:
            async with asyncio.timeout(timeout):
                while True:
                    left = [c["name"] for c in (await pbx.ari("GET", "channels"))[1] if not c["name"].startswith("Message/")]
                    left += [bridge["name"] or bridge["id"] for bridge in (await pbx.ari("GET", "bridges"))[1]]
                    if not left:
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise TimeoutError(f"still there: {left}") from None


async def handed_on(call: Call) -> None:
    """A phone that has transferred its talk hangs up when it is told that this has worked; Asterisk leaves that to it."""
    await call.until(lambda: any("200 OK" in line for line in call.progress))
    await call.hangup()
