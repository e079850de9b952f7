"""Playbacks: timed by the length of their media, one after another on a channel or bridge.

Source: Asterisk's res_stasis_playback.c; what happens to media that cannot be opened was seen on 22.10.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from hookrouter.simulator.media import NEVER, Unplayable

if TYPE_CHECKING:
    from hookrouter.simulator.bridges import Bridge
    from hookrouter.simulator.channels import Channel
    from hookrouter.simulator.pbx import Pbx


class Playback:
    """One playback of one or more media."""

    def __init__(
        self, pbx: Pbx, id: str, target: Channel | Bridge, media: list[str], language: str, skip: int, offset: int
    ) -> None:
        self.pbx = pbx
        self.id = id
        self.target = target
        self.media = media
        self.language = language
        self.state = "queued"
        self.index = 0
        self._skip = skip / 1000
        self._position = offset / 1000
        self._since: float | None = None
        self._changed = asyncio.Event()
        self._stopped = False
        if target.leaving:
            return  # it is lost, and nothing tells of it
        pbx.playbacks[id] = self
        target.line.add(self._run, self._abandoned)

    def described(self) -> dict[str, Any]:
        found = {"id": self.id, "media_uri": self.media[self.index]}
        if self.index + 1 < len(self.media) and self.state not in ("done", "failed"):
            found["next_media_uri"] = self.media[self.index + 1]
        return {**found, "target_uri": self.target.topic, "language": self.language, "state": self.state}

    def _tell(self, type: str, state: str) -> None:
        self.state = state
        self.pbx.emit(type, self.target.topic, playback=self.described())

    async def _run(self) -> None:
        told, failed = True, False
        try:
            for index, uri in enumerate(self.media):
                if self._stopped:
                    break
                if index:
                    self._tell("PlaybackContinuing", "continuing")
                self.index = index
                self._tell("PlaybackStarted", "playing")
                try:
                    length = self.pbx.media.seconds(uri)
                except Unplayable as error:
                    told, failed = error.told, True
                    continue
                told, failed = True, False
                self.target.notice("media", self.pbx.media.shown(uri))
                await self._play(length)
                self._position = 0.0
        except asyncio.CancelledError:
            self._finish("failed")
            raise
        if told:
            self._finish("failed" if failed else "done")
        else:
            self.pbx.playbacks.pop(self.id, None)

    async def _play(self, length: float) -> None:
        self._since = self.pbx.timing.elapsed()
        while not self._stopped:
            self._changed.clear()
            left = None if self._since is None or length == NEVER else length - self._at()
            if left is not None and left <= 0:
                return
            if not await self.pbx.timing.first(self._changed, left):
                return

    def _at(self) -> float:
        return self._position + (0.0 if self._since is None else self.pbx.timing.elapsed() - self._since)

    def _abandoned(self) -> None:
        self._tell("PlaybackStarted", "playing")
        self._finish("failed")

    def _finish(self, state: str) -> None:
        if self.pbx.playbacks.pop(self.id, None) is not None:
            self._tell("PlaybackFinished", state)
            self.target.notice("media ended", self.pbx.media.shown(self.media[self.index]))

    def stop(self) -> None:
        self._stopped = True
        self._changed.set()

    def control(self, operation: str) -> None:
        """restart, pause, unpause, reverse, forward."""
        position = self._at()
        match operation:
            case "pause":
                self._position, self._since = position, None
                self.state = "paused"
            case "unpause":
                self._since = self.pbx.timing.elapsed()
                self._tell("PlaybackStarted", "playing")
            case _:
                moved = {"restart": -position, "reverse": -self._skip, "forward": self._skip}[operation]
                self._position = max(0.0, position + moved)
                self._since = None if self._since is None else self.pbx.timing.elapsed()
        self._changed.set()
