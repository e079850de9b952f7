"""stream: the call's media to a program and back: a bot, a transcriber, a recorder of your own.

Rules: `to` is a WebSocket client that Asterisk's websocket_client.conf names, or `rtp:HOST:PORT`, or
`audiosocket:HOST:PORT`. The call is bridged with the media channel only once its media is up, so that nothing is said to
nobody; a program that does not take it fails within two seconds. AudioSocket knows 16-bit samples only: of another format
Asterisk sends the bytes all the same, as if they were such, and takes what comes for such. A program that listens before it
speaks should send silence from the start: of one that has sent nothing Asterisk sometimes waits for the first byte, and
nothing of that call moves until it comes (docs/asterisk.md); nothing that we could ask of Asterisk avoids that.
Source: Asterisk's channels.externalMedia, chan_websocket, chan_audiosocket.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal
from uuid import NAMESPACE_URL, uuid5

from msgspec import Meta

from hookrouter.actions.base import Action, Do, Reply, Run, dissolve, fail_with
from hookrouter.ari.events import Event
from hookrouter.ari.versions import WEBSOCKET_MEDIA
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language

_UP_TIMEOUT = 2.0
_NEEDS = f" (over a WebSocket, which takes chan_websocket of {WEBSOCKET_MEDIA})"


class Stream(Action, frozen=True, tag="stream"):
    """Joins the call with a media stream until one of them ends."""

    to: Annotated[
        str,
        Meta(
            min_length=1,
            description="A client of websocket_client.conf, `rtp:HOST:PORT` or `audiosocket:HOST:PORT`. A program at an AudioSocket "
            "must send from the start, every 20 ms, be it silence: Asterisk may wait for it.",
            extra=in_language(Kind.HOST),
        ),
    ]
    format: (
        Annotated[
            str,
            Meta(
                description="`ulaw` (the default), `alaw`, `g722`, or 16-bit samples: `slin` (8 kHz; the default of AudioSocket, "
                "which carries nothing else), `slin12`, `slin16`, `slin24`, `slin32`, `slin44`, `slin48`, `slin96`, `slin192`."
            ),
        ]
        | None
    ) = None
    direction: Annotated[
        Literal["both", "in", "out"], Meta(description="`in`: the program only hears; `out`: it only speaks.")
    ] = "both"
    metadata: Annotated[
        dict[str, str], Meta(description="Channel variables of the media channel.", extra=in_language(Kind.VARIABLES))
    ] = {}
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    talks: ClassVar[bool] = True
    result: ClassVar[str | None] = "StreamCompleted"
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = (
        "When the stream or the call ends: `StreamCompleted` {reason: `ended` `hangup`, seconds}."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "stream", "to": "bot", "format": "ulaw"}',
        '{"action": "stream", "to": "rtp:127.0.0.1:9999"}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        kind, _, rest = self.to.partition(":")
        if kind in ("rtp", "audiosocket") and not rest.rpartition(":")[2].isdigit():
            yield "/to", f"`{self.to}` has no port; such as `{kind}:127.0.0.1:9999`"
        if kind == "audiosocket" and not self.codec.startswith("slin"):
            yield (
                "/format",
                f"AudioSocket carries `slin`, `slin16` and the like; `{self.format}` would be noise: leave it out",
            )
        if kind in ("ws", "wss", "http", "https"):
            yield "/to", "name a client of Asterisk's websocket_client.conf, which holds the address"

    @property
    def codec(self) -> str:
        return self.format or ("slin" if self.to.startswith("audiosocket:") else "ulaw")

    def run(self) -> Run:
        return StreamRun()


class StreamRun(Run, tag="stream"):
    channel: str = ""
    bridge: str = ""
    since: float = 0.0

    def start(self, do: Do) -> None:
        action: Stream = do.action
        self.channel, self.bridge = do.new_id("media"), do.new_id("bridge")
        do.own("leg", self.channel)
        kind, _, rest = action.to.partition(":")
        params: dict[str, Any] = {"external_host": rest, "encapsulation": "rtp", "transport": "udp"}
        if kind == "audiosocket":
            params = {"external_host": rest, "encapsulation": "audiosocket", "transport": "tcp",
                      "data": str(uuid5(NAMESPACE_URL, f"{do.call.id}/{self.channel}"))}  # fmt: skip
        elif kind != "rtp":
            params = {"external_host": action.to, "encapsulation": "none", "transport": "websocket"}
        if action.metadata:
            params["variables"] = action.metadata
        do.after(_UP_TIMEOUT, "up")
        do.request("channels.externalMedia", "media", undo=("channels.hangup", {"channelId": self.channel}),
                   channelId=self.channel, app=do.call.app, format=action.codec, connection_type="client",
                   direction="both", **params)  # fmt: skip

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if not 200 <= reply.status < 300:
            if name != "media" or reply.fate != "unknown":  # else: is it up within its time?
                self._release(do)
                old = reply.status == 400 and not do.action.to.startswith(("rtp:", "audiosocket:"))
                fail_with(do, reply, f"stream to {do.action.to}{_NEEDS if old else ''}")
        elif name == "media" and b'"state":"Up"' in reply.body.replace(b" ", b""):
            self._join(do)
        elif name == "bridge":
            do.request("bridges.addChannel", "add", bridgeId=self.bridge, channel=[do.channel])
            do.request("bridges.addChannel", "add media", bridgeId=self.bridge, channel=[self.channel])
            if do.action.direction == "in":
                do.cast("channels.mute", channelId=self.channel, direction="in")
            elif do.action.direction == "out":
                do.cast("channels.mute", channelId=self.channel, direction="out")
        elif name == "add":
            self.since = do.now

    def _join(self, do: Do) -> None:
        if do.owns("bridge", self.bridge):
            return
        do.cancel("up")
        do.own("bridge", self.bridge)
        do.request("bridges.createWithId", "bridge", undo=("bridges.destroy", {"bridgeId": self.bridge}),
                   bridgeId=self.bridge, type="mixing", name=f"stream {do.call.id}")  # fmt: skip

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        if head.type == "BridgeDestroyed" and head.bridge and head.bridge.id == self.bridge:
            self._finish("ended", do)
        if head.channel is None or head.channel.id != self.channel:
            return
        if head.type in ("StasisStart", "ChannelStateChange") and head.channel.state == "Up":
            self._join(do)
        elif head.type == "ChannelDestroyed":
            do.disown("leg", self.channel)
            if self.since:
                self._finish("ended", do)
            else:
                self._release(do)
                do.fail(
                    "stream_refused",
                    f"nothing accepts the stream at {do.action.to} (cause {head.cause}): does the program run there?",
                )

    def on_timer(self, name: str, do: Do) -> None:
        self._release(do)
        do.fail("stream_refused", f"the media to {do.action.to} was not up within {_UP_TIMEOUT:g} s")

    def _finish(self, reason: str, do: Do) -> None:
        self._release(do)
        do.finish({"reason": reason, "seconds": round(do.now - self.since, 3) if self.since else 0.0})

    def _release(self, do: Do) -> None:
        if do.owns("leg", self.channel):
            do.cast("channels.hangup", channelId=self.channel)
            do.disown("leg", self.channel)
        dissolve(do, self.bridge)

    def stop(self, do: Do) -> None:
        self._release(do)

    def on_hangup(self, do: Do) -> None:
        self._finish("hangup", do)
