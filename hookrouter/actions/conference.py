"""conference: a room with rules: who starts it, who ends it, how many may come, what is heard meanwhile.

Rules: while nobody who may start it (`startOnEnter`) has come, those who wait hear music and are not joined; when one with
`endOnExit` leaves, all others leave too. Who is in is known from the members' own runs, so a restart forgets nobody. The
recording is one file of the whole room: it begins with the first member who asks for one; when they leave, another member
who asks for one takes charge of it, and with the last of these it ends and is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

from msgspec import Meta

from hookrouter.actions.base import Action, Do, Member, Reply, Run, error_message
from hookrouter.actions.bridge import shared_id
from hookrouter.actions.legs import BRIDGE_TYPE
from hookrouter.actions.play import Digits
from hookrouter.actions.recorded import BridgeRecordingRun, name_faults
from hookrouter.ari.events import Event

_ENTER_TIMEOUT = 8.0
_MAX_JOINS = 3


class Conference(Action, frozen=True, tag="conference"):
    """Puts the call into a conference until it leaves."""

    name: Annotated[
        str, Meta(min_length=1, max_length=100, description="The conference; whoever names the same one meets.")
    ]
    start_on_enter: Annotated[bool, Meta(description="`false`: waits until somebody with `true` is there.")] = True
    end_on_exit: Annotated[bool, Meta(description="When this caller leaves, the conference ends for all.")] = False
    mute: Annotated[
        bool, Meta(description="Hears the others and is not heard, until an `unmute` or until it leaves.")
    ] = False
    beep: Annotated[bool, Meta(description="A tone when this caller comes and goes.")] = False
    moh: Annotated[str, Meta(description="Music class while it has not started.")] | None = None
    max_members: (
        Annotated[int, Meta(ge=1, le=1000, description="Whoever would be one too many is refused (reason `full`).")]
        | None
    ) = None
    record: Annotated[
        bool | str,
        Meta(
            description="Records the conference into one file, until the last caller who has asked for it leaves; a string "
            "is its name."
        ),
    ] = False
    exit_on: Annotated[Digits, Meta(description="Keys with which this caller leaves.")] = ""
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    talks: ClassVar[bool] = True
    subject = "name"
    result: ClassVar[str | None] = "ConferenceCompleted"
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = (
        "When the call leaves it: `ConferenceCompleted` {reason: `exit` `ended` `full` `hangup` `left`, seconds, members}."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "conference", "name": "team", "startOnEnter": false, "exitOn": "#"}',
        '{"action": "conference", "name": "team", "endOnExit": true, "beep": true, "maxMembers": 10}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        return name_faults(self.record, "/record")

    def run(self) -> Run:
        return ConferenceRun()


class ConferenceRun(BridgeRecordingRun, tag="conference"):
    """`phase`: `waiting` for the start, `joining`, `in`."""

    bridge: str = ""
    phase: str = ""
    starts: bool = False
    ends: bool = False
    joins: int = 0
    since: float = 0.0
    records: bool = False
    most: int = 0
    seconds: float = 0.0

    def room(self) -> tuple[str, dict[str, Any]] | None:
        if not self.phase:
            return None
        return self.bridge, {"starts": self.starts, "in": self.phase == "in", "records": self.records,
                             "recording": bool(self.recording)}  # fmt: skip

    def in_bridge(self, do: Do) -> tuple[str, ...]:
        return (do.channel,) if self.phase == "in" else ()

    def start(self, do: Do) -> None:
        action: Conference = do.action
        self.bridge = shared_id("conference", do.call.app, do.call.tenant, action.name)
        others = self._others(do)
        if action.max_members is not None and len(others) >= action.max_members:
            do.finish({"reason": "full", "seconds": 0.0, "members": len(others)})
            return
        do.own("room", self.bridge)
        self.starts, self.ends, self.records = action.start_on_enter, action.end_on_exit, bool(action.record)
        started = any(member.data.get("starts") or member.data.get("in") for member in others)
        if self.starts or started:
            self._create(do)
            if self.starts and not started:
                do.signal(self.bridge, "started")
        else:
            self.phase = "waiting"
            params = {"mohClass": action.moh} if action.moh else {}
            do.cast("channels.startMoh", channelId=do.channel, **params)

    def _others(self, do: Do) -> list[Member]:
        return [member for member in do.members(self.bridge) if member.channel != do.channel]

    def _create(self, do: Do) -> None:
        if self.phase == "waiting":
            do.cast("channels.stopMoh", channelId=do.channel)
        self.phase = "joining"
        self.joins += 1
        do.after(_ENTER_TIMEOUT, "enter")
        do.request("bridges.createWithId", "create", bridgeId=self.bridge, type=BRIDGE_TYPE, name=do.action.name)

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        good = 200 <= reply.status < 300
        if name == "create" and (good or reply.status == 409):
            if do.action.mute and self.joins == 1:  # the way that `unmute` takes back
                do.cast("channels.mute", channelId=do.channel, direction="in")
            do.request("bridges.addChannel", "add", bridgeId=self.bridge, channel=[do.channel])
        elif name == "add" and not good and reply.status in (404, 409, 422) and self.joins < _MAX_JOINS:
            self._create(do)  # the last one left a moment ago, and took the room along
        elif name in ("create", "add") and not good:
            self._release(do)
            do.fail("not_joined", f"the conference: {error_message(reply)}", reply.status)
        elif name in ("record", "stored"):
            self.recording_reply(name, reply, do)

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        mine = head.channel is not None and head.channel.id == do.channel
        if head.recording is not None:
            self.recording_event(event, do)
        elif self.ending:
            return
        elif head.bridge is not None and head.bridge.id == self.bridge:
            self.most = max(self.most, len(head.bridge.channels))
            if head.type == "ChannelEnteredBridge" and mine and self.phase == "joining":
                self._entered(do)
            elif head.type == "BridgeDestroyed" and self.phase == "in":
                self._leave("ended", do)
            elif head.type == "ChannelLeftBridge" and mine and self.phase == "in":
                do.after(0.25, "left")  # a hangup takes the channel out first, and says so a moment later

    def on_key(self, channel: str, key: str, do: Do) -> bool:
        if channel != do.channel or self.ending or key not in do.action.exit_on:
            return False
        self._leave("exit", do)
        return True

    def _entered(self, do: Do) -> None:
        do.cancel("enter")
        self.phase, self.since = "in", do.now
        action: Conference = do.action
        if action.beep:
            do.cast("bridges.play", bridgeId=self.bridge, media=["sound:beep"])
        if action.record and not any(member.data.get("recording") for member in self._others(do)):
            self.begin_recording(self.bridge, do)

    def on_signal(self, name: str, data: Mapping[str, Any], do: Do) -> None:
        if name == "started" and self.phase == "waiting":
            self._create(do)
        elif name == "ended" and not self.ending:
            self._leave("ended", do)
        elif name == "recording" and data.get("bridge") == self.bridge and not self.recording:
            self.recording = str(data["name"])
            do.own("call-recording", self.recording)

    def on_timer(self, name: str, do: Do) -> None:
        if name == "left":
            self._leave("left", do)
        elif name == "file":
            self.recording_timer(do)
        else:
            self._release(do)
            do.fail("not_joined", f"the call did not enter the conference within {_ENTER_TIMEOUT:g} s")

    # ---- the end ----

    def _leave(self, reason: str, do: Do) -> None:
        """Out of the room; the result waits for the recording's file, where it is this one that tells of it."""
        if self.phase == "in" and do.action.beep and self._others(do):
            do.cast("bridges.play", bridgeId=self.bridge, media=["sound:beeperr"])
        self.ending = reason
        self.seconds = round(do.now - self.since, 3) if self.since else 0.0
        do.cancel("left")
        self._hand_on_recording(do)
        self._release(do)
        if self.ends and reason != "ended":
            do.signal(self.bridge, "ended")
        self.end_recording(do)

    def _hand_on_recording(self, do: Do) -> None:
        """To another member who asks for it."""
        heirs = [member for member in self._others(do) if member.data.get("records") and member.data.get("in")]
        if self.recording and heirs and not self.ends:
            do.signal(heirs[0].call, "recording", {"bridge": self.bridge, "name": self.recording})
            self.leave_recording(do)

    def complete(self, do: Do) -> None:
        do.finish({"reason": self.ending, "seconds": self.seconds, "members": self.most})

    def _release(self, do: Do) -> None:
        if self.phase == "waiting" and not do.call.ended:
            do.cast("channels.stopMoh", channelId=do.channel)
        elif self.phase in ("joining", "in") and not do.call.ended:
            do.cast("bridges.removeChannel", bridgeId=self.bridge, channel=[do.channel])
            if do.action.mute:
                do.cast("channels.unmute", channelId=do.channel, direction="in")
        if self.phase in ("joining", "in") and not any(member.data.get("in") for member in self._others(do)):
            do.cast("bridges.destroy", bridgeId=self.bridge)
        self.phase = ""
        do.disown("room", self.bridge)

    def stop(self, do: Do) -> None:
        if self.ending:  # only its file is waited for
            self.keep_recording(do)
            return
        self._hand_on_recording(do)
        self.give_up_recording(do)
        self._release(do)
        if self.ends:
            do.signal(self.bridge, "ended")

    def on_hangup(self, do: Do) -> None:
        if not self.ending:
            self._leave("hangup", do)
