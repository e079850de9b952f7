"""A program at the other end of an AudioSocket: it echoes, and it never falls silent.

Why silence is sent: of a program that sends nothing Asterisk may wait for the first byte with the channel locked, and the whole
bridge, and requests that look at it, wait with it (docs/asterisk.md).
Source: Asterisk's chan_audiosocket, res_audiosocket.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

FORMATS: Final = ("slin", "slin12", "slin16", "slin24", "slin32", "slin44", "slin48", "slin96", "slin192")
_SAMPLES: Final = (160, 240, 320, 480, 640, 882, 960, 1920, 3840)  # of 20 ms
_UUID, _SOUND = 0x01, 0x10


class EchoProgram:
    """`sessions`: the ids of its connections; `sizes`: bytes of each piece of sound that came; `hang_up()` ends them."""

    def __init__(self, format: str = "slin") -> None:
        place = FORMATS.index(format)
        self.sessions: list[bytes] = []
        self.sizes: list[int] = []
        self._silence = bytes((_SOUND + place, *(_SAMPLES[place] * 2).to_bytes(2, "big"))) + bytes(_SAMPLES[place] * 2)
        self._hung_up = asyncio.Event()

    def hang_up(self) -> None:
        self._hung_up.set()

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.create_task(self._talk(writer))
        try:
            while True:
                head = await reader.readexactly(3)
                payload = await reader.readexactly(int.from_bytes(head[1:], "big"))
                if head[0] == _UUID:
                    self.sessions.append(payload)
                elif _SOUND <= head[0] < _SOUND + len(FORMATS):
                    self.sizes.append(len(payload))
                    writer.write(head + payload)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            talk.cancel()
            writer.close()

    async def _talk(self, writer: asyncio.StreamWriter) -> None:
        """Silence until there is something to echo, then a little now and then; at last, that it hangs up."""
        with contextlib.suppress(ConnectionError):
            while not self._hung_up.is_set():
                writer.write(self._silence)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.02 if not self.sizes else 0.5):
                        await self._hung_up.wait()
            writer.write(bytes(3))
            await writer.drain()
