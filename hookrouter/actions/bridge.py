"""bridge: joins the call with another one, or with everybody in a shared room, until it ends.

Rules:
- `with` makes a bridge of its own for the two. The other call's program is replaced by the same bridge seen from its
  side, so that its function is told (`BridgeCompleted`) and goes on.
- `name` is a room: the first to come makes it, the last to go removes it.
- 204 to addChannel does not prove that a channel is in: `ChannelEnteredBridge` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Do, Reply, Run, dissolve, fail_with
from hookrouter.actions.play import MediaUri
from hookrouter.ari.events import Event
from hookrouter.policy.authority import OURS
from hookrouter.policy.parameters import Kind

_ENTER_TIMEOUT = 5.0
_MAX_JOINS = 3


def shared_id(kind: str, app: str, tenant: str, name: str) -> str:
    """The id of something that calls share by its name, the same on every router of the app.

    Of two that differ in anything, if only in a letter's case, the ids differ (Asterisk's, too, has no cases).
    """
    digest = blake2b(msgspec.json.encode([kind, app, tenant, name]), digest_size=16)
    return f"{OURS}room-{digest.hexdigest()}"


def room_id(app: str, tenant: str, name: str) -> str:
    """The bridge id of a room."""
    return shared_id("room", app, tenant, name)


class Bridge(Action, frozen=True, tag="bridge"):
    """Joins the call with another call, or with all who are in the room `name`."""

    with_: Annotated[str, Meta(min_length=1, description="The other call's (or a leg's) id.")] | None = msgspec.field(
        default=None, name="with"
    )
    name: Annotated[str, Meta(min_length=1, max_length=100, description="A shared room, instead of `with`.")] | None = (
        None
    )
    type: Annotated[
        Literal["mixing", "mixing,dtmf_events", "holding", "mixing,proxy_media"],
        Meta(description="Asterisk's bridge type. In a plain `mixing` bridge of two phones, keys are not reported."),
    ] = "mixing,dtmf_events"
    moh: (
        Annotated[
            str,
            Meta(description="Class of the music that all in it hear; without it a `holding` bridge is silent."),
        ]
        | None
    ) = None
    announce: Annotated[MediaUri, Meta(description="Played to all in the bridge when the call has joined.")] | None = (
        None
    )
    time_limit: Annotated[float, Meta(gt=0, le=86_400 * 7, description="Seconds after which it ends.")] | None = None
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    talks: ClassVar[bool] = True
    result: ClassVar[str | None] = "BridgeCompleted"
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = (
        "When either side leaves: `BridgeCompleted` {reason: `hangup` `left` `timeLimit` `ended`, seconds}."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "bridge", "name": "team"}',
        '{"action": "bridge", "with": "1795396880.3", "timeLimit": 3600}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if (self.with_ is None) == (self.name is None):
            yield "/with", "give either `with` (a call's id) or `name` (a shared room)"

    def run(self) -> Run:
        return BridgeRun()


class BridgeRun(Run, tag="bridge"):
    """`other`: the other call, or channel; `theirs`: who is on its line now; `waiting`: the channels that are to enter."""

    channels: ClassVar[tuple[str, ...]] = ("theirs", "waiting")
    bridge: str = ""
    other: str = ""
    theirs: str = ""
    waiting: list[str] = []
    entered_at: float = 0.0
    joins: int = 0
    leaving: str = ""

    def start(self, do: Do) -> None:
        action = do.action
        if action.name is not None:
            self.bridge = room_id(do.call.app, do.call.tenant, action.name)
            do.own("room", self.bridge)
            self.waiting = [do.channel]
        else:
            self.other = action.with_
            if self.other == do.channel:
                do.fail("forbidden", "a call cannot be bridged with itself")
                return
            peer = do.peer(self.other)
            self.theirs = self.other if peer is None else peer.channel
            if peer is None and not do.may_touch(Kind.CHANNEL, self.other):
                do.fail(
                    "forbidden",
                    f"`{self.other}` is not a live call of this route and does not belong to this call; "
                    'a route with `scope = "any"` may bridge any',
                )
                return
            do.borrow(self.theirs)
            self.bridge = do.new_id("bridge")
            do.own("bridge", self.bridge)
            self.waiting = [do.channel, self.theirs]
        self._create(do)

    def _create(self, do: Do) -> None:
        undo = None if do.action.name else ("bridges.destroy", {"bridgeId": self.bridge})
        do.request("bridges.createWithId", "create", undo=undo, bridgeId=self.bridge, type=do.action.type,
                   name=do.action.name or f"call {do.call.id}")  # fmt: skip

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        ok = 200 <= reply.status < 300
        if name == "create":
            if ok or (reply.status == 409 and do.action.name):
                self.joins += 1
                if self.other and do.peer(self.other):
                    me = do.call.id if do.channel == do.call.channel else do.channel
                    do.signal(self.other, "bridged", {"bridge": self.bridge, "with": me})
                do.request("bridges.addChannel", "add", bridgeId=self.bridge, channel=self.waiting)
            else:
                self._fail(do, reply, "bridge")
        elif ok:
            if self.waiting:  # ChannelEnteredBridge may have come before the reply
                do.after(_ENTER_TIMEOUT, "enter")
        elif reply.status in (404, 409, 422) and do.action.name and self.joins < _MAX_JOINS and not self.entered_at:
            self._create(do)  # the last one of the room left, and took it along
        else:
            self._fail(do, reply, f"the bridge with {self.other or do.action.name}")

    def _fail(self, do: Do, reply: Reply, what: str) -> None:
        self._release(do)
        fail_with(do, reply, what)

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        bridge = head.bridge.id if head.bridge else ""
        channel = head.channel.id if head.channel else ""
        if head.type == "ChannelEnteredBridge" and bridge == self.bridge:
            self._entered(channel, do)
        elif head.type == "ChannelLeftBridge" and bridge == self.bridge:
            if channel in (do.channel, self.theirs):
                self._ended("left", do)
        elif head.type == "BridgeDestroyed" and bridge == self.bridge:
            self._ended("ended", do)
        elif head.type in ("StasisEnd", "ChannelDestroyed") and channel and channel == self.theirs:
            self._ended("hangup", do)

    def _entered(self, channel: str, do: Do) -> None:
        if channel not in self.waiting:
            return
        self.waiting = [other for other in self.waiting if other != channel]
        if self.waiting:
            return
        do.cancel("enter")
        self.entered_at = do.now
        action = do.action
        if action.time_limit is not None:
            do.after(action.time_limit, "limit")
        if action.announce:
            said = {"action": "~playAll", "bridge": self.bridge, "media": action.announce}
            do.spawn([msgspec.json.encode(said)], "announce")
        if action.moh is not None:
            do.cast("bridges.startMoh", bridgeId=self.bridge, mohClass=action.moh)

    def _ended(self, reason: str, do: Do) -> None:
        """Waits a moment where the cause may still be on its way: a hangup takes the channel out of the bridge first."""
        if self.leaving and reason != "hangup":
            return
        self.leaving = reason
        if reason == "left":
            do.after(0.25, "left")
        else:
            self._finish(do)

    def on_signal(self, name: str, data: Mapping[str, Any], do: Do) -> None:
        if name == "gone" and data.get("call") == self.other and not do.call.ended:
            self._ended("hangup", do)

    def on_timer(self, name: str, do: Do) -> None:
        if name == "enter":
            self._release(do)
            do.fail("not_joined", f"{' and '.join(self.waiting)} did not enter the bridge within {_ENTER_TIMEOUT:g} s")
        elif name == "limit":
            self._ended("timeLimit", do)
        else:  # left, and no hangup was the reason
            self._finish(do)

    def _finish(self, do: Do) -> None:
        self._release(do)
        seconds = round(do.now - self.entered_at, 3) if self.entered_at else 0.0
        do.finish({"reason": self.leaving, "seconds": seconds, "bridge": self.bridge})

    def _release(self, do: Do) -> None:
        """Leaves the bridge as it was found: our own goes, a room goes with its last member."""
        if do.owns("bridge", self.bridge):
            dissolve(do, self.bridge, *filter(None, [self.theirs]))
        elif self.leaving != "ended":
            if not do.call.ended:
                do.cast("bridges.removeChannel", bridgeId=self.bridge, channel=[do.channel])
            others = [member for member in do.members(self.bridge) if member.channel != do.channel]
            if not others and do.action.name:
                do.cast("bridges.destroy", bridgeId=self.bridge)
        do.disown("bridge", self.bridge)

    def stop(self, do: Do) -> None:
        self._release(do)

    def on_hangup(self, do: Do) -> None:
        self.leaving = "hangup"
        if self.other:
            do.signal(self.other, "gone", {"call": do.call.id})
        self._finish(do)

    def in_bridge(self, do: Do) -> tuple[str, ...]:
        return (do.channel, self.theirs) if self.entered_at else ()

    def room(self) -> tuple[str, dict[str, Any]] | None:
        return (self.bridge, {}) if self.bridge.startswith(f"{OURS}room-") else None


class Bridged(Action, frozen=True, tag="~bridged"):
    """The other side of `bridge`: what a call does that another call has joined with itself. Only the router makes it."""

    bridge: str
    with_: str = msgspec.field(name="with")
    time_limit: ClassVar[None] = None
    announce: ClassVar[None] = None
    moh: ClassVar[None] = None
    name: ClassVar[None] = None
    talks: ClassVar[bool] = True
    result: ClassVar[str | None] = "BridgeCompleted"
    internal: ClassVar[bool] = True

    def run(self) -> Run:
        return BridgedRun()


class BridgedRun(BridgeRun, tag="bridged"):
    """It is joined by the other call's request; all that is left is to notice, and to leave."""

    def start(self, do: Do) -> None:
        self.bridge, self.other = do.action.bridge, do.action.with_
        peer = do.peer(self.other)
        self.theirs = self.other if peer is None else peer.channel
        self.waiting = [do.channel]
        do.own("room", self.bridge)
        do.after(_ENTER_TIMEOUT, "enter")
