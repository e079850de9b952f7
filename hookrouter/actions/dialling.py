"""The run of `dial`: legs ring, one of them wins and is joined with the caller, until one hangs up.

A phone that forwards (302) or is picked up elsewhere is another leg in the same place. When a phone transfers the talk, it
goes on with the new party.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from hookrouter.actions.base import LEG, Do, Outcome, Reply, dissolve, error_message, fail_with
from hookrouter.actions.endings import DIALSTATUS, Status, status_of
from hookrouter.actions.legs import BRIDGE_TYPE, MAX_FORWARDS, Leg, forwarded_to, registered
from hookrouter.actions.nested import Steps
from hookrouter.actions.recorded import BridgeRecordingRun
from hookrouter.ari.events import Event, Head, Ref
from hookrouter.text.calling import caller_id

if TYPE_CHECKING:
    from hookrouter.actions.dial import Dial

_RANK: tuple[Status, ...] = ("busy", "rejected", "noAnswer", "unavailable")
_JOIN_TIMEOUT = 8.0
_SAME_INSTANT = 0.25  # seconds in which the answer of a leg arrives that was given together with the first
_HANGUP_GRACE = 0.5  # one who has just hung up cannot be joined, and their end is told a moment later


class LegState(msgspec.Struct):
    """What has become of one leg. `index`: its place in its group."""

    index: int
    endpoint: str
    phase: Literal["dialing", "answered", "ready", "sorry", "gone"] = "dialing"
    status: str = ""
    cause: int = 0
    entered: bool = False
    bridged: bool = False  # before it is answered, for its early media
    forwards: int = 0


class DialRun(BridgeRecordingRun, tag="dial"):
    """`group`: which group rings now; `winner`: the leg that the caller talks to, or is to."""

    channels: ClassVar[tuple[str, ...]] = ("winner", "waiting", "legs")
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
    forbidden: str = ""  # why one of them may not be called
    replaced: str = ""  # the channel whose phone has transferred the talk last
    transferred: str | None = None  # to whom

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
            channel = self._call(index, leg.endpoint, leg.endpoint, do)
            if name := registered(leg.endpoint):  # Asterisk itself calls the first of its phones alone
                do.request("channels.getChannelVar", f"phones {channel}", channelId=do.channel,
                           variable=f"PJSIP_DIAL_CONTACTS({name})")  # fmt: skip

    def _call(self, index: int, endpoint: str, to: str, do: Do, *, forwards: int = 0) -> str:
        """Rings `to` in the place `index` of the group, for `endpoint`; the leg's channel."""
        action: Dial = do.action
        leg = action.groups[self.group][index]
        channel = do.new_id("leg")
        self.legs[channel] = LegState(index, endpoint, forwards=forwards)
        do.own("leg", channel)
        timeout = leg.timeout or action.timeout
        if action.early_media:
            do.request("channels.create", f"create {channel}", undo=("channels.hangup", {"channelId": channel}),
                       endpoint=to, app=do.call.app, appArgs=do.arguments(LEG, channel), channelId=channel,
                       originator=do.channel, variables=self._variables(action, leg))  # fmt: skip
        else:
            params: dict[str, Any] = {"timeout": int(timeout) + 2, "variables": self._variables(action, leg)}
            if caller := leg.caller_id or action.caller_id or caller_id("", do.call.caller):
                params["callerId"] = caller
            do.request("channels.originateWithId", f"leg {channel}", undo=("channels.hangup", {"channelId": channel}),
                       channelId=channel, endpoint=to, app=do.call.app, appArgs=do.arguments(LEG, channel),
                       originator=do.channel, **params)  # fmt: skip
        do.after(timeout, f"ring {channel}")
        return channel

    def _other_phones(self, channel: str, reply: Reply, do: Do) -> None:
        """The phones that are registered beside the one that rings, ring too."""
        leg = self.legs.get(channel)
        if reply.status != 200 or not reply.body or leg is None or leg.phase != "dialing" or self.winner:
            return
        found = str(msgspec.json.decode(reply.body, type=dict[str, Any]).get("value", ""))
        for phone in found.split("&")[1:]:
            self._call(leg.index, leg.endpoint, phone, do)

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
            if reply.fate == "forbidden":
                self.forbidden = error_message(reply)
            if what == "dial":  # it was created, and would stay
                self._hang_up(channel, do, "normal")
            self._gone(channel, "unavailable", 0, do)
        elif what in ("leg", "create") and not good:  # nobody knows whether it was called: is it there?
            do.request("channels.get", f"there {channel}", channelId=channel)
        elif what == "there" and reply.status == 404:
            self._gone(channel, "unavailable", 0, do)
        elif what in ("answer", "bridge", "add") and (channel != self.winner or self.joined_at):
            return  # who was to be joined has hung up since, or is in already
        elif what == "phones":
            self._other_phones(channel, reply, do)
        elif what == "out":
            self._ask(channel, do)
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
            self._dialled(head, head.peer, do)
        elif head.type == "StasisStart" and channel == self.snoop:  # before that Asterisk says 409
            said = {"action": "play", "media": do.action.whisper}
            do.spawn([msgspec.json.encode(said)], "whisper", channel=self.snoop)
        elif head.type in ("StasisStart", "ChannelStateChange") and channel in self.legs:
            leg, up = self.legs[channel], head.channel is not None and head.channel.state == "Up"
            if head.type == "StasisStart" and (up or do.action.early_media):
                leg.entered = True  # it may be up a moment before it is in the app
            if leg.entered and up:
                self._answered(channel, do)
            elif leg.entered and not leg.bridged and leg.phase == "dialing":  # before it has entered, Asterisk says 409
                self._early(channel, do)
        elif head.type == "ChannelDestroyed" and channel in self.legs:
            leg = self.legs[channel]
            self.last_cause = head.cause if channel == self.winner or not self.winner else self.last_cause
            self._gone(channel, status_of(leg.status, head.cause), head.cause, do)
        elif head.type == "ChannelEnteredBridge" and head.bridge and head.bridge.id == self.bridge:
            self._entered(channel, do)
        elif head.type == "StasisEnd" and channel == self.winner and self.legs[channel].phase == "ready":
            do.after(_HANGUP_GRACE, f"left {channel}")  # a hangup is told by its ChannelDestroyed
        elif head.type == "BridgeAttendedTransfer":
            self._attended(event, do)
        elif head.type == "BridgeDestroyed" and head.bridge and head.bridge.id == self.bridge and self.joined_at:
            self._over("ended", do)
        elif head.recording is not None:
            self.recording_event(event, do)

    def on_replaced(self, old: str, new: str, event: Event, do: Do) -> None:
        if self.joined_at and event.type == "StasisStart" and event.head.channel is not None:
            place = event.head.channel.dialplan
            self.replaced, self.transferred = old, place.exten if place else event.head.channel.name

    def _attended(self, event: Event, do: Do) -> None:
        """Who it is that they talk to now: the other party of the other talk of the phone."""
        head = event.head
        first = head.transferer_first_leg is not None and head.transferer_first_leg.id == self.replaced
        if (whom := head.transfer_target if first else head.transferee) is not None and self.replaced:
            self.transferred = (whom.caller.number if whom.caller else "") or whom.name

    def _dialled(self, head: Head, peer: Ref, do: Do) -> None:
        channel, leg = peer.id, self.legs[peer.id]
        if head.dialstatus == "ANSWER":
            if do.action.early_media:
                self._answered(channel, do)
        elif status := DIALSTATUS.get(head.dialstatus):
            leg.status = status
            if do.action.early_media:  # a created channel stays until its own timeout, and is not forwarded by Asterisk
                if head.forward and leg.phase == "dialing" and leg.forwards < MAX_FORWARDS:
                    to = forwarded_to(head.forward, peer.dialplan.context if peer.dialplan else "")
                    self._call(leg.index, leg.endpoint, to, do, forwards=leg.forwards + 1)
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
        if leg.bridged and (self._confirm(channel, do) or do.action.announce):  # the caller is not to hear it
            leg.bridged = False
            do.cast("channels.ring", channelId=do.channel)
            do.request("bridges.removeChannel", f"out {channel}", bridgeId=self.bridge, channel=[channel])
        else:
            self._ask(channel, do)

    def _confirm(self, channel: str, do: Do) -> Steps | None:
        action: Dial = do.action
        return action.groups[self.group][self.legs[channel].index].confirm or action.confirm

    def _ask(self, channel: str, do: Do) -> None:
        """Somebody is there: do they want it?"""
        if channel not in self.legs or self.legs[channel].phase != "answered":
            return
        if confirm := self._confirm(channel, do):
            do.spawn(list(confirm), f"confirm {channel}", channel=channel)
        else:
            self._win(channel, do)

    def _win(self, channel: str, do: Do) -> None:
        self.winner = channel
        for other, leg in self.legs.items():
            if other == channel:
                continue
            if leg.phase == "dialing" and do.action.apology:
                do.after(_SAME_INSTANT, f"late {other}")  # it may have answered just now
            elif leg.phase == "dialing":
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
        if self.bridge and self.legs[self.winner].bridged:
            self.joined_at = do.now
            self._joined(do)
            return
        if self.bridge:  # it was taken out of it
            self.waiting = [self.winner]
            do.after(_JOIN_TIMEOUT, "join")
            do.request("bridges.addChannel", f"add {self.winner}", bridgeId=self.bridge, channel=self.waiting)
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
                       appArgs=do.arguments(LEG, self.snoop))  # fmt: skip

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
        elif what == "whisper":
            self._release_snoop(do)
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
        elif what == "late":
            if self.winner and channel in self.legs and self.legs[channel].phase == "dialing":
                self._hang_up(channel, do, "answered_elsewhere")
        elif what == "limit":
            self._over("timeLimit", do)
        elif what == "left":  # somebody has sent it elsewhere: it lives, and is not ours any more
            self._gone(channel, "unavailable", 0, do, ending="left")
        else:
            self.recording_timer(do)

    # ---- the end ----

    def _hang_up(self, channel: str, do: Do, reason: str) -> None:
        do.cast("channels.hangup", channelId=channel, reason=reason)

    def _gone(self, channel: str, status: str, cause: int, do: Do, *, ending: str = "hangup") -> None:
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
        do.disown("leg", channel)
        if channel == self.winner:
            if self.joined_at:
                self._over(ending, do)
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
            dissolve(do, self.bridge)
            self.bridge = ""

    def _over(self, ending: str, do: Do) -> None:
        """Talk is over, or nobody came: waits for the recording's file, then tells."""
        if self.ending:
            return
        self.ending = ending or "nobody"
        self.talked = round(do.now - self.joined_at, 3) if self.joined_at else 0.0
        self._let_legs_go(do)  # the bridge stays: of one that is gone Asterisk does not say when the file is closed
        self.end_recording(do)

    def complete(self, do: Do) -> None:
        dissolve(do, self.bridge)
        endpoint = None
        if self.joined_at:
            endpoint, status = self.legs[self.winner].endpoint, "answered"
        elif do.call.ended:
            status = "cancelled"
        else:
            status = next((found for found in _RANK if found in self.failures), "unavailable")
            if status == "unavailable" and self.forbidden:
                do.fail("forbidden", self.forbidden)
                return
        data = {"status": status, "endpoint": endpoint, "cause": self.last_cause or None, "talkSeconds": self.talked,
                "reason": self.ending}  # fmt: skip
        if self.transferred is not None:
            data |= {"transferred": True, "transferredTo": self.transferred}
        do.finish(data)

    def _release(self, do: Do) -> None:
        self._let_legs_go(do)
        dissolve(do, self.bridge)

    def _let_legs_go(self, do: Do) -> None:
        do.kill("ringback")
        if not self.joined_at and not do.call.ended:
            do.cast("channels.ringStop", channelId=do.channel)
        for channel, leg in self.legs.items():
            if leg.phase != "gone":
                self._hang_up(channel, do, "normal")
                leg.phase = "gone"
            do.cancel(f"ring {channel}")
            do.disown("leg", channel)
        self._release_snoop(do)

    def _release_snoop(self, do: Do) -> None:
        do.kill("whisper")
        if self.snoop:
            do.cast("channels.hangup", channelId=self.snoop)
            do.disown("snoop", self.snoop)
            self.snoop = ""

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
            self.keep_recording(do)
        self._release(do)

    def on_hangup(self, do: Do) -> None:
        self._over("hangup", do)
