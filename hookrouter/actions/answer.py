"""answer, ring, ringStop, progress: what the caller's phone is told before anybody speaks."""

from __future__ import annotations

from typing import Any, ClassVar

from hookrouter.actions.base import RequestAction


class Answer(RequestAction, frozen=True, tag="answer"):
    """Answers the call. Answering a call that is already up does nothing."""

    examples: ClassVar[tuple[str, ...]] = ('{"action": "answer"}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        return "channels.answer", {"channelId": channel}


class Ring(RequestAction, frozen=True, tag="ring"):
    """Lets the caller hear that it rings."""

    undo: ClassVar[str | None] = "channels.ringStop"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "ring"}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        return "channels.ring", {"channelId": channel}


class RingStop(RequestAction, frozen=True, tag="ringStop"):
    """Ends the ringing that `ring` began."""

    examples: ClassVar[tuple[str, ...]] = ('{"action": "ringStop"}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        return "channels.ringStop", {"channelId": channel}


class Progress(RequestAction, frozen=True, tag="progress"):
    """Opens the audio before the call is answered (early media): what is played now, the caller hears unbilled."""

    examples: ClassVar[tuple[str, ...]] = ('{"action": "progress"}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        return "channels.progress", {"channelId": channel}
