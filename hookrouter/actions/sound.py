"""mute, hold, moh and silence, each with its end: what the parties of the call hear, without a prompt."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta

from hookrouter.actions.base import RequestAction

Direction = Annotated[
    Literal["in", "out", "both"], Meta(description="`in`: what we hear of the caller; `out`: what the caller hears.")
]


class _Plain(RequestAction, frozen=True):
    group: ClassVar[str] = "sound"
    operation: ClassVar[str]

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        return self.operation, {"channelId": channel}


class Mute(_Plain, frozen=True, tag="mute"):
    """Silences one or both directions of the call's audio."""

    direction: Direction = "both"
    undo: ClassVar[str | None] = "channels.unmute"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "mute", "direction": "in"}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        return "channels.mute", {"channelId": channel, "direction": self.direction}


class Unmute(_Plain, frozen=True, tag="unmute"):
    """Ends `mute`."""

    direction: Direction = "both"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "unmute", "direction": "in"}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        return "channels.unmute", {"channelId": channel, "direction": self.direction}


class Hold(_Plain, frozen=True, tag="hold"):
    """Tells the caller's phone that it is on hold."""

    operation: ClassVar[str] = "channels.hold"
    undo: ClassVar[str | None] = "channels.unhold"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "hold"}',)


class Unhold(_Plain, frozen=True, tag="unhold"):
    """Ends `hold`."""

    operation: ClassVar[str] = "channels.unhold"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "unhold"}',)


class Moh(_Plain, frozen=True, tag="moh"):
    """Plays music on hold until `mohStop`; the program goes on at once. After a prompt the music begins again."""

    moh_class: (
        Annotated[
            str,
            Meta(
                description="A class of musiconhold.conf; for one that is not there Asterisk plays `default`, and tells nobody."
            ),
        ]
        | None
    ) = None
    undo: ClassVar[str | None] = "channels.stopMoh"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "moh", "mohClass": "default"}',)

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        params = {"channelId": channel}
        return "channels.startMoh", params if self.moh_class is None else params | {"mohClass": self.moh_class}


class MohStop(_Plain, frozen=True, tag="mohStop"):
    """Ends `moh`."""

    operation: ClassVar[str] = "channels.stopMoh"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "mohStop"}',)


class Silence(_Plain, frozen=True, tag="silence"):
    """Sends silence until `silenceStop`: keeps the audio path open through NATs and gateways."""

    operation: ClassVar[str] = "channels.startSilence"
    undo: ClassVar[str | None] = "channels.stopSilence"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "silence"}',)


class SilenceStop(_Plain, frozen=True, tag="silenceStop"):
    """Ends `silence`."""

    operation: ClassVar[str] = "channels.stopSilence"
    examples: ClassVar[tuple[str, ...]] = ('{"action": "silenceStop"}',)
