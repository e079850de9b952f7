"""Text to speech by a program or an HTTP service; every text is made once and kept as a WAV file.

Rules: what is made is telephone quality (8 kHz, 16 bit, mono) where the program can; the file's name is the hash of what
was asked, so two calls that say the same share it. Asterisk plays it from a folder that it sees too, or fetches it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import tempfile
from hashlib import blake2b
from pathlib import Path
from typing import Protocol

import httpx
import msgspec

from hookrouter.http import Http

_MAX_AUDIO = 32 * 1024 * 1024


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


class Speech:
    """Speaks; one file per text, language and voice."""

    def __init__(self, settings: Settings, http: Http) -> None:
        self._settings = settings
        self._http = http
        self._folder = Path(settings.folder or Path(tempfile.gettempdir()) / f"hookrouter-speech-{os.getuid()}")
        self._making: dict[str, asyncio.Task[None]] = {}

    async def say(self, text: str, lang: str, voice: str) -> str:
        """The media URI. Raises SpeechFailed."""
        settings = self._settings
        key = "\n".join([*settings.command, settings.url, lang, voice, text])
        name = blake2b(key.encode(), digest_size=16).hexdigest()
        path = self._folder / f"{name}.wav"
        if not path.exists():
            making = self._making.get(name)
            if making is None:
                making = self._making[name] = asyncio.create_task(self._make(text, lang, voice, path))
                making.add_done_callback(lambda _: self._making.pop(name, None))
            await asyncio.shield(making)
        if settings.folder:
            return f"sound:{settings.asterisk_folder or settings.folder}/{name}"
        return f"sound:{settings.base_url.rstrip('/')}/speech/{name}.wav"

    def file(self, name: str) -> Path | None:
        """The file of that name, if it is one of ours."""
        path = self._folder / name
        ours = name.endswith(".wav") and name.removesuffix(".wav").isalnum()
        return path if ours and path.exists() else None

    async def _make(self, text: str, lang: str, voice: str, path: Path) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part.wav")
        try:
            async with asyncio.timeout(self._settings.timeout):
                if self._settings.command:
                    await self._run(text, lang, voice, part)
                else:
                    await self._fetch(text, lang, voice, part)
            part.replace(path)
        except TimeoutError:
            raise SpeechFailed(f"no speech within {self._settings.timeout:g} s") from None
        except OSError as error:
            raise SpeechFailed(str(error)) from None
        finally:
            part.unlink(missing_ok=True)

    async def _run(self, text: str, lang: str, voice: str, path: Path) -> None:
        values = {"{text}": text, "{lang}": lang or "en", "{voice}": voice, "{file}": str(path)}
        command = [_filled(word, values) for word in self._settings.command]
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            output, errors = await process.communicate()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            raise
        if process.returncode != 0:
            said = errors.decode("utf-8", "replace").strip()[-300:]
            raise SpeechFailed(f"{command[0]} ended with status {process.returncode}: {said}")
        if not path.exists():
            path.write_bytes(output)
        if path.read_bytes()[:4] != b"RIFF":
            raise SpeechFailed(f"{command[0]} wrote no WAV file, neither to {{file}} nor to its output")

    async def _fetch(self, text: str, lang: str, voice: str, path: Path) -> None:
        body = msgspec.json.encode({"text": text, "lang": lang, "voice": voice})
        headers = [("content-type", "application/json"), ("accept", "audio/wav")]
        url = self._settings.url
        try:
            reply = await self._http.send("POST", url, headers, body, timeout=self._settings.timeout, limit=_MAX_AUDIO)
        except httpx.HTTPError as error:
            raise SpeechFailed(f"{url}: {error}") from None
        if reply.status != 200 or reply.body[:4] != b"RIFF":
            raise SpeechFailed(f"{url} answered {reply.status} {reply.header('content-type')}, not a WAV file")
        path.write_bytes(reply.body)


def _filled(word: str, values: dict[str, str]) -> str:
    """Puts values in; what they hold is never looked at again."""
    return values.get(word) if word in values else _within(word, values)  # type: ignore[return-value]


def _within(word: str, values: dict[str, str]) -> str:
    for key in ("{lang}", "{voice}", "{file}"):
        word = word.replace(key, values[key])
    return word
