"""spy: listens to another call, whispers to its party, or joins in.

Rules: only calls of the same route may be heard, unless the route says `scope = "any"`. A snoop channel hears the call;
it and this call are in a bridge of ours. It ends when either call does.
Source: Asterisk's channels.snoopChannelWithId.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from hookrouter.actions.base import LEG, Action, Do, Reply, Run, dissolve, fail_with
from hookrouter.ari.events import Event
from hookrouter.policy.parameters import Kind

_ENTER_TIMEOUT = 2.0  # seconds in which the snoop is in the app
Direction = Literal["none", "in", "out", "both"]
_MODES: dict[str, tuple[Direction, Direction]] = {
    "listen": ("both", "none"), "whisper": ("both", "out"), "barge": ("both", "both"),
}  # fmt: skip


class Spy(Action, frozen=True, tag="spy"):
    """Lets this call hear another one, and be heard by it as `mode` says."""

    call: Annotated[str, Meta(min_length=1, description="The other call's id.")]
    mode: (
        Annotated[
            Literal["listen", "whisper", "barge"],
            Meta(
                description="`listen` (the default): nobody hears us; `whisper`: that call's party does; `barge`: whoever "
                "talks with them, too."
            ),
        ]
        | None
    ) = None
    spy: (
        Annotated[
            Direction,
            Meta(description="Instead of `mode`, what we hear: `in` what that party says, `out` what they hear."),
        ]
        | None
    ) = None
    whisper: (
        Annotated[
            Direction,
            Meta(description="Instead of `mode`, who hears us: `out` that party, `in` whoever talks with them."),
        ]
        | None
    ) = None
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    talks: ClassVar[bool] = True
    result: ClassVar[str | None] = "SpyCompleted"
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = "When either call ends: `SpyCompleted` {reason, seconds}."
    examples: ClassVar[tuple[str, ...]] = ('{"action": "spy", "call": "1795396880.3", "mode": "listen"}',)

    def check(self) -> Iterator[tuple[str, str]]:
        if self.mode is not None and (self.spy is not None or self.whisper is not None):
            yield "/mode", "give either `mode`, or `spy` and `whisper`"

    @property
    def directions(self) -> tuple[Direction, Direction]:
        if self.mode is None and (self.spy or self.whisper):
            return self.spy or "none", self.whisper or "none"
        return _MODES[self.mode or "listen"]

    def run(self) -> Run:
        return SpyRun()


class SpyRun(Run, tag="spy"):
    snoop: str = ""
    bridge: str = ""
    joining: bool = False
    since: float = 0.0

    def start(self, do: Do) -> None:
        action: Spy = do.action
        if do.peer(action.call) is None and not do.may_touch(Kind.CHANNEL, action.call):
            do.fail("forbidden", f'`{action.call}` is not a live call of this route; `scope = "any"` reaches others')
            return
        if action.call == do.channel:
            do.fail("forbidden", "a call cannot spy on itself")
            return
        do.borrow(action.call)
        self.snoop, self.bridge = do.new_id("snoop"), do.new_id("bridge")
        do.own("snoop", self.snoop)
        do.own("bridge", self.bridge)
        spy, whisper = action.directions
        do.request("channels.snoopChannelWithId", "snoop", undo=("channels.hangup", {"channelId": self.snoop}),
                   channelId=action.call, snoopId=self.snoop, spy=spy, whisper=whisper, app=do.call.app,
                   appArgs=do.arguments(LEG, self.snoop))  # fmt: skip

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if not 200 <= reply.status < 300:
            self._release(do)
            fail_with(do, reply, "spy")
        elif name == "snoop":
            do.after(_ENTER_TIMEOUT, "enter")
        elif name == "bridge":
            do.request("bridges.addChannel", "add", bridgeId=self.bridge, channel=[do.channel, self.snoop])
        elif name == "add":
            self.since = do.now

    def _join(self, do: Do) -> None:
        """The snoop is in the app: before that Asterisk says 422."""
        if not self.joining:
            self.joining = True
            do.request("bridges.createWithId", "bridge", undo=("bridges.destroy", {"bridgeId": self.bridge}),
                       bridgeId=self.bridge, type="mixing", name=f"spy {do.call.id}")  # fmt: skip

    def on_timer(self, name: str, do: Do) -> None:
        self._join(do)  # its StasisStart was lost, or Asterisk says what is wrong

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        channel = head.channel.id if head.channel else ""
        if channel == self.snoop and head.type == "StasisStart":
            self._join(do)
        elif channel == self.snoop and head.type in ("StasisEnd", "ChannelDestroyed"):
            self._finish("hangup", do)
        elif head.type == "BridgeDestroyed" and head.bridge and head.bridge.id == self.bridge:
            self._finish("ended", do)

    def _finish(self, reason: str, do: Do) -> None:
        self._release(do)
        seconds = round(do.now - self.since, 3) if self.since else 0.0
        do.finish({"reason": reason, "seconds": seconds, "call": do.action.call})

    def _release(self, do: Do) -> None:
        dissolve(do, self.bridge)
        if do.owns("snoop", self.snoop):
            do.cast("channels.hangup", channelId=self.snoop)
            do.disown("snoop", self.snoop)

    def stop(self, do: Do) -> None:
        self._release(do)

    def on_hangup(self, do: Do) -> None:
        self._finish("hangup", do)
