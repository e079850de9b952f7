"""`say` without a voice: a text is a sound as long as it takes to say it."""

from __future__ import annotations

from hashlib import blake2b
from pathlib import Path

from hookrouter.simulator.media import Media
from hookrouter.speech.speech import Speech

_PER_SECOND = 14  # characters; a quick, friendly voice
_SHORTEST = 0.4
_FOLDER = "sound:say/"


def length(text: str) -> float:
    """Seconds."""
    return max(_SHORTEST, len(text) / _PER_SECOND)


class SimulatedSpeech(Speech):
    """In the place of the router's own speech: no program runs, and no file is written."""

    def __init__(self, media: Media) -> None:  # nothing of the real one's is needed
        self._media = media

    async def say(self, text: str, lang: str, voice: str, asterisk: str = "") -> str:
        """The media URI."""
        name = blake2b(f"{lang}\n{voice}\n{text}".encode(), digest_size=8).hexdigest()
        uri = f"{_FOLDER}{name}"
        self._media.sounds[uri.removeprefix("sound:")] = round(length(text) * 1000)
        self._media.spoken[uri] = text
        return uri

    def file(self, name: str) -> Path | None:
        """There are none."""
        return None
