"""Text to speech by a program or an HTTP service; every text is made once and kept as a WAV file.

Rules: whatever the program writes becomes telephone quality (8 kHz, 16 bit, one channel), the only WAV that Asterisk plays;
the file's name is the hash of what was asked, so two calls that say the same share it. Asterisk plays it from a folder that
it sees too, or fetches it from us: at `base_url`, else at the address by which it reaches us (`base_of`). What is said never
becomes an option of the program (text/commands.py); where no word of the command has `{text}`, it goes to the program's
standard input.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import Awaitable, Callable
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import httpx
import msgspec

from hookrouter.http.client import Http
from hookrouter.http.trust import Trust
from hookrouter.speech.shelf import Shelf
from hookrouter.speech.wav import telephone
from hookrouter.text.commands import holds, words
from hookrouter.text.urls import shown_url

_NAME = re.compile(r"[0-9a-f]{32}\.wav")
_MAX_AUDIO = 32 * 1024 * 1024
_KIND = "8000 Hz"  # goes into the files' names: what an older version kept otherwise is made anew


class SpeechFailed(Exception):
    """The text could not be spoken; the message says why."""


class Settings(Protocol):
    """`[speech]` of routes.toml."""

    @property
    def command(self) -> tuple[str, ...]: ...
    @property
    def url(self) -> str: ...
    @property
    def folder(self) -> str: ...
    @property
    def asterisk_folder(self) -> str: ...
    @property
    def base_url(self) -> str: ...
    @property
    def timeout(self) -> float: ...
    @property
    def trust(self) -> Trust: ...


def from_folder(settings: Settings) -> bool:
    """Whether Asterisk opens the files itself; otherwise it fetches them."""
    return bool(settings.folder) and (bool(settings.asterisk_folder) or not settings.base_url)


async def _nowhere(asterisk: str) -> str:
    raise SpeechFailed("this router serves no HTTP that Asterisk could fetch the sound from: set `folder` in [speech]")


class Speech:
    """Speaks; one file per text, language and voice."""

    def __init__(self, settings: Settings, http: Http) -> None:
        self._settings = settings
        self._http = http
        self._folder = Path(settings.folder or Path(tempfile.gettempdir()) / f"hookrouter-speech-{os.getuid()}")
        self._shelf = Shelf(self._folder, shared=bool(settings.folder))
        self._making: dict[str, asyncio.Task[None]] = {}
        self.base_of: Callable[[str], Awaitable[str]] = _nowhere

    async def say(self, text: str, lang: str, voice: str, asterisk: str = "") -> str:
        """The media URI for that Asterisk. Raises SpeechFailed."""
        settings = self._settings
        key = "\n".join([_KIND, *settings.command, settings.url, lang, voice, text])
        name = blake2b(key.encode(), digest_size=16).hexdigest()
        path = self._folder / f"{name}.wav"
        if not self._shelf.used(path):
            making = self._making.get(name)
            if making is None:
                making = self._making[name] = asyncio.create_task(self._make(text, lang, voice, path))
                making.add_done_callback(lambda _: self._making.pop(name, None))
            await asyncio.shield(making)
        if from_folder(settings):
            return f"sound:{settings.asterisk_folder or settings.folder}/{name}"
        base = settings.base_url or await self.base_of(asterisk)
        return f"sound:{base.rstrip('/')}/speech/{name}.wav"

    def file(self, name: str) -> Path | None:
        """The file of that name, if it is one of ours."""
        path = self._folder / name
        ours = name.endswith(".wav") and name.removesuffix(".wav").isalnum()
        return path if ours and self._shelf.used(path) else None

    def names(self, name: str) -> bool:
        """Whether a file of ours, here or at another router, can have that name."""
        return _NAME.fullmatch(name) is not None

    async def _make(self, text: str, lang: str, voice: str, path: Path) -> None:
        part = self._shelf.part_of(path)
        try:
            self._shelf.prepare()
            async with asyncio.timeout(self._settings.timeout):
                made = self._run(text, lang, voice, part) if self._settings.command else self._fetch(text, lang, voice)
                sound = await made
            self._shelf.keep(path, await asyncio.to_thread(telephone, sound))
        except TimeoutError:
            raise SpeechFailed(f"no speech within {self._settings.timeout:g} s") from None
        except ValueError as error:
            who = self._settings.command[0] if self._settings.command else shown_url(self._settings.url)
            raise SpeechFailed(f"what {who} has made cannot be played: {error}") from None
        except OSError as error:
            raise SpeechFailed(str(error)) from None
        finally:
            part.unlink(missing_ok=True)

    async def _run(self, text: str, lang: str, voice: str, path: Path) -> bytes:
        values = {"{text}": text, "{lang}": lang or "en", "{voice}": voice, "{file}": str(path)}
        command = words(self._settings.command, values)
        spoken = b"" if holds(self._settings.command, "{text}") else text.encode("utf-8", "replace")
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *command, stdin=pipe if spoken else asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe
        )
        try:
            output, errors = await process.communicate(spoken or None)
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        if process.returncode != 0:
            said = errors.decode("utf-8", "replace").strip()[-300:]
            raise SpeechFailed(f"{command[0]} ended with status {process.returncode}: {said}")
        sound = path.read_bytes() if path.exists() else output
        if sound[:4] != b"RIFF":
            raise SpeechFailed(f"{command[0]} wrote no WAV file, neither to {{file}} nor to its output")
        return sound

    async def _fetch(self, text: str, lang: str, voice: str) -> bytes:
        body = msgspec.json.encode({"text": text, "lang": lang, "voice": voice})
        headers = [("content-type", "application/json"), ("accept", "audio/wav")]
        url = self._settings.url
        try:
            settings = self._settings
            reply = await self._http.send(
                "POST", url, headers, body, timeout=settings.timeout, limit=_MAX_AUDIO, trust=settings.trust
            )
        except httpx.HTTPError as error:
            raise SpeechFailed(f"{shown_url(url)}: {error}") from None
        if reply.status != 200 or reply.body[:4] != b"RIFF":
            raise SpeechFailed(
                f"{shown_url(url)} answered {reply.status} {reply.header('content-type')}, not a WAV file"
            )
        return reply.body
