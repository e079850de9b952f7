"""say: text to speech, by what `[speech]` in routes.toml names, and then as `play`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Do, Reply, Run, error_message
from hookrouter.actions.play import Digits, PlayRun
from hookrouter.text.commands import name_fault

SPEECH = "~speech"
"""Not one of Asterisk's operations: the runner hands it to the speech adapter, whose reply is {"media": URI}."""


class Say(Action, frozen=True, tag="say"):
    """Speaks a text. The same text is made once and kept."""

    text: Annotated[str, Meta(min_length=1, max_length=5000, description="What is said.")]
    lang: Annotated[str, Meta(description="Such as `de`; what it means is the speech program's business.")] | None = (
        None
    )
    voice: Annotated[str, Meta(description="A voice of the text-to-speech that routes.toml names.")] | None = None
    loop: Annotated[int, Meta(ge=0, le=10_000, description="How often; 0: until something ends it.")] = 1
    stop_on: Annotated[Digits, Meta(description="Keys that end it; the key is in the result.")] = ""

    skipms: ClassVar[None] = None
    offsetms: ClassVar[None] = None
    result: ClassVar[str | None] = "PlayCompleted"
    quiet: ClassVar[bool] = True
    group: ClassVar[str] = "sound"
    completes: ClassVar[str] = "When everything has been said: `PlayCompleted` {state, digit?}."
    examples: ClassVar[tuple[str, ...]] = ('{"action": "say", "text": "Welcome.", "lang": "en"}',)

    def check(self) -> Iterator[tuple[str, str]]:
        for place, name in (("/lang", self.lang), ("/voice", self.voice)):
            if fault := name_fault(name or ""):
                yield place, fault

    def run(self) -> Run:
        return SayRun()


class SayRun(PlayRun, tag="say"):
    media: str = ""

    def start(self, do: Do) -> None:
        action: Say = do.action
        do.request(SPEECH, "speech", text=action.text, lang=action.lang or "", voice=action.voice or "")

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if name != "speech":
            super().on_reply(name, reply, do)
        elif reply.status == 200:
            self.media = msgspec.json.decode(reply.body, type=dict[str, str])["media"]
            self._play(do)
        else:
            do.fail("speech_failed", error_message(reply), reply.status)

    def media_of(self, do: Do) -> list[str]:
        return [self.media]

    def lang_of(self, do: Do) -> str | None:
        return None

    def stop(self, do: Do) -> None:
        if self.playback:
            super().stop(do)
