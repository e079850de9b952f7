"""dial: calls somebody for the caller, and joins the two until one hangs up.

Rules:
- `to` is one endpoint, a list that rings together, or a list of lists that ring one after another.
- The first who answers (and passes `confirm`) wins; the others stop ringing, and one who had answered too is told so
  (`apology`). When the caller hangs up, every leg does.
- The caller is answered when the callee has; until then they hear `ringback`, or the callee's own early media.
- The caller's channel never leaves the app: the two are joined by a bridge of ours, and the program goes on afterwards.
Source: Asterisk's channels.originateWithId (StasisStart comes with the answer; a failure is `Dial` and
`ChannelDestroyed` with a Q.850 cause), channels.create and channels.dial for early media.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Literal

import msgspec
from msgspec import Meta

from hookrouter.actions.base import LEG, Action, Do, Outcome, Prompt, Reply, Run, Steps, error_message, fail_with
from hookrouter.actions.play import MediaUri, asterisk_media
from hookrouter.actions.record import BridgeRecordingRun, keep_recording
from hookrouter.ari.events import Event

BRIDGE_TYPE = "mixing,dtmf_events"
"""So that keys pressed during the talk are events (feature codes); Asterisk mixes natively otherwise, and sees none."""
Endpoint = Annotated[
    str, Meta(min_length=1, max_length=512, description="Such as `PJSIP/alice` or `PJSIP/+4930@trunk`.")
]
Status = Literal["answered", "busy", "noAnswer", "rejected", "unavailable", "cancelled"]
_CAUSES: dict[int, Status] = {17: "busy", 18: "noAnswer", 19: "noAnswer", 21: "rejected", 16: "noAnswer"}
_DIALSTATUS: dict[str, Status] = {"BUSY": "busy", "NOANSWER": "noAnswer", "CONGESTION": "unavailable",
                                  "CHANUNAVAIL": "unavailable", "CANCEL": "cancelled"}  # fmt: skip
_RANK: tuple[Status, ...] = ("busy", "rejected", "noAnswer", "unavailable")
_JOIN_TIMEOUT = 8.0
_HANGUP_GRACE = 0.5  # one who has just hung up cannot be joined, and their end is told a moment later


class Leg(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """One endpoint with what is special about it."""

    endpoint: Endpoint
    caller_id: Annotated[str, Meta(description="What it sees; default: the action's.")] | None = None
    timeout: Annotated[float, Meta(gt=0, le=3600, description="Seconds of ringing; default: the action's.")] | None = (
        None
    )
    variables: Annotated[dict[str, str], Meta(description="Channel variables of the leg.")] = {}
    headers: Annotated[dict[str, str], Meta(description="SIP headers of the INVITE.")] = {}
    confirm: Annotated[Steps | None, Meta(description="Actions that it must pass; default: the action's.")] = None


def status_of(dialstatus: str, cause: int) -> str:
    """What a leg that is gone came to. `dialstatus`: what `Dial` said, if anything; a declined call says NOANSWER there."""
    if cause in (17, 21):
        return _CAUSES[cause]
    return dialstatus or _CAUSES.get(cause, "unavailable")


class Dial(Action, frozen=True, tag="dial"):
    """Calls one or several endpoints and joins the first who answers with the caller."""

    to: Annotated[
        str | Leg | list[str | Leg | list[str | Leg]],
        Meta(description="An endpoint, a list rung together, or a list of lists rung one after another."),
    ]
    timeout: Annotated[float, Meta(gt=0, le=3600, description="Seconds of ringing, for each group.")] = 30.0
    caller_id: Annotated[str, Meta(description='What the callee sees: `"Name" <number>`.')] | None = None
    early_media: Annotated[
        bool, Meta(description="The caller hears what the callee's side sends before the answer.")
    ] = False
    ringback: Annotated[MediaUri, Meta(description="What the caller hears meanwhile; default: ringing.")] | None = None
    announce: Annotated[Prompt | None, Meta(description="What the callee hears before they are joined.")] = None
    confirm: Annotated[
        Steps | None, Meta(description="Actions that the callee must pass; `hangup` in them rejects.")
    ] = None
    apology: Annotated[Prompt | None, Meta(description="What one hears who answered too late.")] = None
    whisper: (
        Annotated[MediaUri, Meta(description="Played to the callee when they are joined; the caller does not hear it.")]
        | None
    ) = None
    record: Annotated[bool | str, Meta(description="Records both sides; a string is the recording's name.")] = False
    time_limit: Annotated[float, Meta(gt=0, le=86_400, description="Seconds of talk after which it ends.")] | None = (
        None
    )
    url: Annotated[str, Meta(description="Where the result goes; default: the owner of the call.")] | None = None

    result: ClassVar[str | None] = "DialCompleted"
    group: ClassVar[str] = "parties"
    completes: ClassVar[str] = (
        "When the talk is over or nobody came: `DialCompleted` {status: `answered` `busy` `noAnswer` `rejected` "
        "`unavailable` `cancelled`, endpoint, cause, talkSeconds}."
    )
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "dial", "to": "PJSIP/alice", "timeout": 20}',
        '{"action": "dial", "to": [["PJSIP/reception"], ["PJSIP/alice", "PJSIP/bob"]], "timeout": 10}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        if not self.groups or not all(self.groups):
            yield "/to", "is empty: name at least one endpoint in each group"
        for group in self.groups:
            for leg in group:
                if "/" not in leg.endpoint:
                    yield "/to", f"`{leg.endpoint}` has no technology; did you mean `PJSIP/{leg.endpoint}`?"

    @property
    def groups(self) -> list[list[Leg]]:
        """Who rings when."""
        if isinstance(self.to, str | Leg):
            return [[_leg(self.to)]]
        if any(isinstance(item, list) for item in self.to):
            return [[_leg(leg) for leg in item] if isinstance(item, list) else [_leg(item)] for item in self.to]
        return [[_leg(item) for item in self.to if not isinstance(item, list)]]

    def run(self) -> Run:
        return DialRun()


def _leg(target: str | Leg) -> Leg:
    return Leg(endpoint=target) if isinstance(target, str) else target


class LegState(msgspec.Struct):
    """What has become of one leg. `index`: its place in its group."""

    index: int
    endpoint: str
    phase: Literal["dialing", "answered", "ready", "sorry", "gone"] = "dialing"
    status: str = ""
    cause: int = 0
    entered: bool = False
    bridged: bool = False  # before it is answered, for its early media


class DialRun(BridgeRecordingRun, tag="dial"):
    """`group`: which group rings now; `winner`: the leg that the caller talks to, or is to."""

    group: int = 0
    legs: dict[str, LegState] = {}
    failures: list[str] = []
    winner: str = ""
    bridge: str = ""
    joined_at: float = 0.0
    waiting: list[str] = []
    snoop: str = ""
    talked: float = 0.0
    last_cause: int = 0
    hushed: bool = False  # the caller hears no ringing any more: somebody has answered
    refused: str = ""  # why Asterisk did not join the two

    # ---- ringing ----

    def start(self, do: Do) -> None:
        self._ring(do)
        self._ringback(do)

    def _ringback(self, do: Do) -> None:
        action = do.action
        self.hushed = False
        if action.ringback:
            do.spawn([msgspec.json.encode({"action": "play", "media": action.ringback, "loop": 0})], "ringback")
        elif not action.early_media:
            do.cast("channels.ring", channelId=do.channel)

    def _ring(self, do: Do) -> None:
        action: Dial = do.action
        self.legs = {}
        for index, leg in enumerate(action.groups[self.group]):
            channel = do.new_id("leg")
            self.legs[channel] = LegState(index, leg.endpoint)
            do.own("leg", channel)
            timeout = leg.timeout or action.timeout
            if action.early_media:
                do.request("channels.create", f"create {channel}", undo=("channels.hangup", {"channelId": channel}),
                           endpoint=leg.endpoint, app=do.call.app, appArgs=LEG, channelId=channel,
                           originator=do.channel, variables=self._variables(action, leg))  # fmt: skip
            else:
                params: dict[str, Any] = {"timeout": int(timeout) + 2, "variables": self._variables(action, leg)}
                if caller := leg.caller_id or action.caller_id or do.call.caller:
                    params["callerId"] = caller
                do.request("channels.originateWithId", f"leg {channel}",
                           undo=("channels.hangup", {"channelId": channel}), channelId=channel, endpoint=leg.endpoint,
                           app=do.call.app, appArgs=LEG, originator=do.channel, **params)  # fmt: skip
            do.after(timeout, f"ring {channel}")

    def _variables(self, action: Dial, leg: Leg) -> dict[str, str]:
        found = dict(leg.variables)
        for name, value in leg.headers.items():
            found[f"PJSIP_HEADER(add,{name})"] = value
        if action.early_media and (caller := leg.caller_id or action.caller_id):
            found["CALLERID(all)"] = caller
        return found

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        what, _, channel = name.partition(" ")
        good = 200 <= reply.status < 300
        if what in ("leg", "create", "dial") and not good and reply.fate != "unknown":
            if what == "dial":  # it was created, and would stay
                self._hang_up(channel, do, "normal")
            self._gone(channel, "unavailable", 0, do)
        elif what in ("leg", "create") and not good:  # nobody knows whether it was called: is it there?
            do.request("channels.get", f"there {channel}", channelId=channel)
        elif what == "there" and reply.status == 404:
            self._gone(channel, "unavailable", 0, do)
        elif what in ("answer", "bridge", "add") and (channel != self.winner or self.joined_at):
            return  # who was to be joined has hung up since, or is in already
        elif what == "answer":
            self._join(do)
        elif what == "bridge" and good:
            do.request("bridges.addChannel", f"add {channel}", bridgeId=self.bridge, channel=self.waiting)
        elif what == "bridge":
            self._release(do)
            fail_with(do, reply, "joining the two")
        elif what == "add" and not good:
            self.refused = error_message(reply)
            do.after(_HANGUP_GRACE, "join")
        elif what in ("record", "stored"):
            self.recording_reply(what, reply, do)

    def _early(self, channel: str, do: Do) -> None:
        """The leg is in a bridge with the caller before it rings, so that its early media is heard."""
        self.legs[channel].bridged = True
        if not self.bridge:
            self.bridge = do.new_id("bridge")
            do.own("bridge", self.bridge)
            do.cast("bridges.createWithId", bridgeId=self.bridge, type=BRIDGE_TYPE, name=f"dial {do.call.id}")
            do.cast("channels.progress", channelId=do.channel)
            do.cast("bridges.addChannel", bridgeId=self.bridge, channel=[do.channel])
        do.cast("bridges.addChannel", bridgeId=self.bridge, channel=[channel])
        timeout = do.action.groups[self.group][self.legs[channel].index].timeout or do.action.timeout
        do.request("channels.dial", f"dial {channel}", channelId=channel, caller=do.channel,
                   timeout=int(timeout) + 2)  # fmt: skip

    # ---- what the legs do ----

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        channel = head.channel.id if head.channel else ""
        if head.type == "Dial" and head.peer is not None and head.peer.id in self.legs:
            self._dialled(head.peer.id, head.dialstatus, do)
        elif head.type == "StasisStart" and channel == self.snoop:  # before that Asterisk says 409
            do.cast("channels.play", channelId=self.snoop, media=asterisk_media(do.action.whisper))
        elif head.type in ("StasisStart", "ChannelStateChange") and channel in self.legs:
            leg, up = self.legs[channel], head.channel is not None and head.channel.state == "Up"
            if head.type == "StasisStart" and (up or do.action.early_media):
                leg.entered = True  # it may be up a moment before it is in the app
            if leg.entered and up:
                self._answered(channel, do)
            elif leg.entered and not leg.bridged:  # before it has entered, Asterisk says 409
                self._early(channel, do)
        elif head.type == "ChannelDestroyed" and channel in self.legs:
            leg = self.legs[channel]
            self.last_cause = head.cause if channel == self.winner or not self.winner else self.last_cause
            self._gone(channel, status_of(leg.status, head.cause), head.cause, do)
        elif head.type == "ChannelEnteredBridge" and head.bridge and head.bridge.id == self.bridge:
            self._entered(channel, do)
        elif head.type == "BridgeDestroyed" and head.bridge and head.bridge.id == self.bridge and self.joined_at:
            self._over("ended", do)
        elif head.recording is not None:
            self.recording_event(event, do)

    def _dialled(self, channel: str, dialstatus: str, do: Do) -> None:
        if dialstatus == "ANSWER":
            if do.action.early_media:
                self._answered(channel, do)
        elif status := _DIALSTATUS.get(dialstatus):
            self.legs[channel].status = status
            if do.action.early_media:  # a created channel stays until its own timeout
                self._hang_up(channel, do, "normal")
                self._gone(channel, status, 0, do)

    def _answered(self, channel: str, do: Do) -> None:
        leg = self.legs[channel]
        if leg.phase != "dialing":
            return
        leg.phase = "answered"
        do.cancel(f"ring {channel}")
        if self.winner:
            self._sorry(channel, do)
            return
        action: Dial = do.action
        confirm = action.groups[self.group][leg.index].confirm or action.confirm
        if confirm:
            do.spawn(list(confirm), f"confirm {channel}", channel=channel)
        else:
            self._win(channel, do)

    def _win(self, channel: str, do: Do) -> None:
        self.winner = channel
        for other, leg in self.legs.items():
            if other == channel:
                continue
            if leg.phase == "dialing":
                self._hang_up(other, do, "answered_elsewhere")
            elif leg.phase == "answered":
                do.kill(f"confirm {other}")
                self._sorry(other, do)
        if do.action.announce:
            do.spawn(list(do.action.announce), "announce", channel=channel)
        else:
            self._ready(do)

    def _sorry(self, channel: str, do: Do) -> None:
        leg = self.legs[channel]
        if do.action.apology:
            leg.phase = "sorry"
            if leg.bridged:  # who talks there is not for them
                do.cast("bridges.removeChannel", bridgeId=self.bridge, channel=[channel])
            do.spawn(list(do.action.apology), f"sorry {channel}", channel=channel)
        else:
            self._hang_up(channel, do, "answered_elsewhere")

    def _ready(self, do: Do) -> None:
        self.legs[self.winner].phase = "ready"
        self.hushed = True
        do.kill("ringback")
        do.cast("channels.ringStop", channelId=do.channel)
        if do.call.up:
            self._join(do)
        else:
            do.request("channels.answer", f"answer {self.winner}", channelId=do.channel)

    def _join(self, do: Do) -> None:
        self.waiting = [do.channel, self.winner]
        if self.bridge:
            self.joined_at = do.now
            self._joined(do)
            return
        self.bridge = do.new_id("bridge")
        do.own("bridge", self.bridge)
        do.after(_JOIN_TIMEOUT, "join")
        do.request("bridges.createWithId", f"bridge {self.winner}", undo=("bridges.destroy", {"bridgeId": self.bridge}),
                   bridgeId=self.bridge, type=BRIDGE_TYPE, name=f"dial {do.call.id}")  # fmt: skip

    def _entered(self, channel: str, do: Do) -> None:
        if channel in self.waiting:
            self.waiting = [other for other in self.waiting if other != channel]
            if not self.waiting and not self.joined_at:
                self.joined_at = do.now
                self._joined(do)

    def _joined(self, do: Do) -> None:
        do.cancel("join")
        action = do.action
        if action.time_limit is not None:
            do.after(action.time_limit, "limit")
        if action.record:
            self.begin_recording(self.bridge, do)
        if action.whisper:
            self.snoop = do.new_id("snoop")
            do.own("snoop", self.snoop)
            do.request("channels.snoopChannelWithId", "snoop", undo=("channels.hangup", {"channelId": self.snoop}),
                       channelId=self.winner, snoopId=self.snoop, spy="none", whisper="out", app=do.call.app,
                       appArgs=LEG)  # fmt: skip

    def on_child(self, name: str, outcome: Outcome, do: Do) -> None:
        what, _, channel = name.partition(" ")
        if what == "confirm" and outcome == "done":
            self._win(channel, do)
        elif what == "confirm":
            self._hang_up(channel, do, "rejected")
        elif what == "sorry":
            self._hang_up(channel, do, "answered_elsewhere")
        elif what == "announce":
            self._ready(do)
        else:  # the ringback cannot be played, or somebody has stopped it
            do.cast("channels.ring", channelId=do.channel)

    def on_timer(self, name: str, do: Do) -> None:
        what, _, channel = name.partition(" ")
        if what == "ring":
            self.legs[channel].status = "noAnswer"
            self._hang_up(channel, do, "no_answer")
            self._gone(channel, "noAnswer", 19, do)
        elif what == "join":
            self._release(do)
            late = f"{' and '.join(self.waiting)} did not enter the bridge within {_JOIN_TIMEOUT:g} s"
            do.fail("not_joined", self.refused or late)
        elif what == "limit":
            self._over("timeLimit", do)
        else:
            self.recording_timer(do)

    # ---- the end ----

    def _hang_up(self, channel: str, do: Do, reason: str) -> None:
        do.cast("channels.hangup", channelId=channel, reason=reason)

    def _gone(self, channel: str, status: str, cause: int, do: Do) -> None:
        leg = self.legs.get(channel)
        if leg is None or leg.phase == "gone":
            return
        if leg.phase == "answered":  # hung up in `confirm`, or while it was told what this is about
            do.kill(f"confirm {channel}")
            status = "rejected"
        if leg.phase == "sorry":
            do.kill(f"sorry {channel}")
        leg.phase, leg.status, leg.cause = "gone", status, cause
        do.cancel(f"ring {channel}")
        do.disown(channel)
        if channel == self.winner:
            if self.joined_at:
                self._over("hangup", do)
                return
            self._lost(do)
        if not self.winner and all(other.phase == "gone" for other in self.legs.values()):
            self.failures = [*self.failures, *(other.status for other in self.legs.values())]
            self.last_cause = cause or self.last_cause
            if self.group + 1 < len(do.action.groups) and not do.call.ended:
                self.group += 1
                self._ring(do)
                if self.hushed:
                    self._ringback(do)
            else:
                self._over("", do)

    def _lost(self, do: Do) -> None:
        """Who had answered has hung up: while it was told what this is about, or when it was to be joined."""
        self.winner = self.refused = ""
        do.kill("announce")
        do.cancel("join")
        if self.bridge and not do.action.early_media:  # its replies are nobody's now
            do.cast("bridges.destroy", bridgeId=self.bridge)
            do.disown(self.bridge)
            self.bridge = ""

    def _over(self, ending: str, do: Do) -> None:
        """Talk is over, or nobody came: waits for the recording's file, then tells."""
        if self.ending:
            return
        self.ending = ending or "nobody"
        self.talked = round(do.now - self.joined_at, 3) if self.joined_at else 0.0
        self._release(
            do, bridge=not self.recording
        )  # of one that is gone Asterisk does not say when the file is closed
        self.end_recording(do)

    def complete(self, do: Do) -> None:
        self._release_bridge(do)
        endpoint = None
        if self.joined_at:
            endpoint, status = self.legs[self.winner].endpoint, "answered"
        elif do.call.ended:
            status = "cancelled"
        else:
            status = next((found for found in _RANK if found in self.failures), "unavailable")
        do.finish({"status": status, "endpoint": endpoint, "cause": self.last_cause or None, "talkSeconds": self.talked,
                   "reason": self.ending})  # fmt: skip

    def _release(self, do: Do, *, bridge: bool = True) -> None:
        do.kill("ringback")
        if not self.joined_at and not do.call.ended:
            do.cast("channels.ringStop", channelId=do.channel)
        for channel, leg in self.legs.items():
            if leg.phase != "gone":
                self._hang_up(channel, do, "normal")
                leg.phase = "gone"
            do.cancel(f"ring {channel}")
            do.disown(channel)
        if self.snoop:
            do.cast("channels.hangup", channelId=self.snoop)
            do.disown(self.snoop)
            self.snoop = ""
        if bridge:
            self._release_bridge(do)

    def _release_bridge(self, do: Do) -> None:
        if self.bridge in do.owned:
            do.cast("bridges.destroy", bridgeId=self.bridge)
            do.disown(self.bridge)

    def hand_over(self, do: Do) -> Mapping[str, Any] | None:
        """The leg that the caller talks to, and the bridge of the two."""
        if not self.joined_at or self.ending:
            return None
        handed = {"leg": self.winner, "bridge": self.bridge}
        del self.legs[self.winner]
        self.bridge = ""
        return handed

    def stop(self, do: Do) -> None:
        if self.recording:  # its file is told all the same, and where the talk goes on, is not closed yet
            keep_recording(self.recording, do)
        self._release(do)

    def on_hangup(self, do: Do) -> None:
        self._over("hangup", do)
