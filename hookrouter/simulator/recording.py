"""Live recordings: how long they run, what ends them, and what is kept.

Source: Asterisk's res_stasis_recording.c. Where no audio frames come, Asterisk gives up after four seconds (seen on 22.10).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hookrouter.simulator.bridges import Bridge
    from hookrouter.simulator.channels import Channel
    from hookrouter.simulator.pbx import Pbx

_NO_AUDIO = 4.0


class Recording:
    """One recording of a channel or bridge."""

    def __init__(
        self,
        pbx: Pbx,
        target: Channel | Bridge,
        name: str,
        format: str,
        longest: int,
        silence: int,
        terminate: str,
        *,
        beep: bool = False,
    ) -> None:
        self.pbx = pbx
        self.target = target
        self.name = name
        self.format = format
        self.state = "queued"
        self._silence = silence
        self._ends: str = {"any": "0123456789*#ABCD", "none": ""}.get(terminate, terminate)
        limits = [limit for limit in (longest, silence) if limit]
        self._limit: float | None = min(limits) if limits and target.hears_audio else None
        if not target.hears_audio:
            self._limit = _NO_AUDIO
        self._beep = beep
        self._stop = asyncio.Event()
        self._cancelled = False
        pbx.live[name] = self
        target.line.add(self._run, self._abandoned)

    def described(self, **more: Any) -> dict[str, Any]:
        found = {"name": self.name, "format": self.format, "state": self.state, "target_uri": self.target.topic}
        return {**found, **more}

    def _tell(self, type: str, state: str, **more: Any) -> None:
        self.state = state
        self.pbx.emit(type, self.target.topic, recording=self.described(**more))

    async def _run(self) -> None:
        if self._cancelled or self._stop.is_set():
            self._finish(0.0)
            return
        start = self.pbx.timing.elapsed()
        digits = getattr(self.target, "on_digit", None)
        if digits is not None:
            digits.append(self._digit)
        try:
            self._tell("RecordingStarted", "recording")
            if self._beep:
                self.target.notice("media", "sound:beep")
            self.target.notice("recorded", self.name)
            await self.pbx.timing.first(self._stop, self._limit)
        finally:
            if digits is not None:
                digits.remove(self._digit)
            self._finish(self.pbx.timing.elapsed() - start if self.target.hears_audio else 0.0)

    def _digit(self, digit: str) -> None:
        if digit in self._ends:
            self._stop.set()

    def _finish(self, seconds: float) -> None:
        if self.pbx.live.get(self.name) is not self:
            return
        del self.pbx.live[self.name]
        if self._cancelled:
            self._tell("RecordingFinished", "done", duration=round(seconds))
            return
        self.pbx.stored[self.name] = self.format
        self.pbx.lengths[self.name] = seconds
        more = {"talking_duration": 0, "silence_duration": round(seconds)} if self._silence else {}
        self._tell("RecordingFinished", "done", duration=round(seconds), **more)

    def _abandoned(self) -> None:
        if self.pbx.live.pop(self.name, None) is not None:
            self._tell("RecordingFailed", "failed")

    def stop(self) -> None:
        self._stop.set()

    def cancel(self) -> None:
        self._cancelled = True
        self._stop.set()
