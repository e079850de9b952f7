"""A call follows its channels: where another channel takes the place of one of its own, everything that meant the one means
the other. Pure.

Rules:
- Asterisk says so in three ways: `replace_channel` in a StasisStart (a phone's transfer, a picked-up leg in a bridge),
  `forwarded` in a Dial (302), and a StasisStart with the arguments of a leg of ours on another channel (a picked-up leg).
- The call keeps its id. Where its own channel is replaced (its phone has transferred the other party), it goes on with
  whoever is on the new one.
- One that takes the place of a leg is subscribed to, so that its end is told with its cause. Asterisk undoes that now and
  then: of a leg that has left the app and whose end is not told, the router asks whether it is still there.
- A channel that was replaced is let go after a moment: its phone has had its answer then, and most hang up by themselves.
Source: events as seen on Asterisk 22.10, see docs/asterisk.md.
"""

from __future__ import annotations

from typing import Any

from hookrouter.actions.base import Reply
from hookrouter.ari.events import Event, make_event
from hookrouter.calls import detail
from hookrouter.calls.effects import Arm, Disarm, Unwatch, Watch
from hookrouter.calls.keys import Keys
from hookrouter.calls.outbox import as_json
from hookrouter.policy.parameters import Kind

FORMER_GRACE = 2.0
LEG_DELAY = 0.2  # after a StasisEnd: a hangup is told by a ChannelDestroyed, a millisecond later


def renamed(value: Any, old: str, new: str) -> Any:
    """`value` with `new` for `old`: a text, or the last word of one (`ring ID`), in a list, or as a key of a map."""
    if isinstance(value, str):
        if value == old:
            return new
        return value[: -len(old)] + new if value.endswith(f" {old}") else value
    if isinstance(value, list):
        return [renamed(item, old, new) for item in value]
    return {renamed(key, old, new): item for key, item in value.items()}


class Following(Keys):
    """`former`: channels of the call that have been replaced and may still be there."""

    def take_place(self, old: str, new: str, event: Event) -> None:
        """A StasisStart says that `new` has taken the place of `old`: for what runs, not to be told."""
        self.follow(old, new, event)
        self.look(event)

    def look(self, event: Event) -> None:
        """Something for what runs, not to be told."""
        raise NotImplementedError

    def follow(self, old: str, new: str, event: Event) -> None:
        """`new` has taken the place of `old`; `event` says so."""
        call = self.call
        channels = call.owned.get("channel", {})
        if old == call.channel:
            call.channel = new
            call.former.append(old)
        elif old in channels:
            call.owned["channel"] = renamed(channels, old, new)
            call.former.append(old)
            self.cast("applications.subscribe", {"applicationName": call.app, "eventSource": [f"channel:{new}"]})
        self.effects.append(Watch("channel", new))
        call.goes_on = renamed(call.goes_on, old, new)
        detail.replaced(call, old, new, self.now)
        call.closing_keys = renamed(call.closing_keys, old, new)
        self._rename_timers(old, new)
        for pending in call.requests.values():
            pending.name = renamed(pending.name, old, new)
        for program in list(call.programs.values()):
            program.channel = renamed(program.channel, old, new)
            program.name = renamed(program.name, old, new)
            program.lent = renamed(program.lent, old, new)
            if program.run is not None:
                for field in program.run.channels:
                    setattr(program.run, field, renamed(getattr(program.run, field), old, new))
        for program in list(call.programs.values()):
            if program.run is not None and program.id in call.programs:
                program.run.on_replaced(old, new, event, self._doer(self, program))
        if old in call.former:
            self.arm(":former", FORMER_GRACE)

    def _rename_timers(self, old: str, new: str) -> None:
        timers = self.call.timers
        for key in [key for key in timers if key.endswith(f" {old}")]:
            at = timers.pop(key)
            timers[renamed(key, old, new)] = at
            self.effects += [Disarm(key), Arm(renamed(key, old, new), at)]

    def _former_gone(self, channel: str) -> None:
        """A channel that was replaced has ended."""
        self.call.former.remove(channel)
        self.effects.append(Unwatch("channel", channel))

    def _let_former_go(self) -> None:
        for channel in self.call.former:
            self.cast("channels.hangup", {"channelId": channel})

    def _leg_ends(self, event: Event) -> None:
        """A leg is out of the app. Where it has taken another's place, Asterisk does not always say that it has hung up."""
        channel = event.head.channel
        if channel is None:
            return
        if event.type == "ChannelDestroyed":
            self.disarm(f":left {channel.id}")
        elif self.owns(Kind.CHANNEL, channel.id):
            self.arm(f":left {channel.id}", LEG_DELAY)

    def _look_at_leg(self, channel: str, reply: Reply) -> None:
        if reply.status == 404 and self.owns(Kind.CHANNEL, channel):
            about = {"type": "ChannelDestroyed", "cause": 16, "channel": {"id": channel, "state": "Up"}}
            self.look(make_event(self.call.asterisk, as_json(about), inferred=True))
