"""The channels that we have asked for and that are to be calls of their own when they enter the app.

Rules: a call that is expected keeps its id, whatever channel it is on: its phone may forward, or be picked up elsewhere.
Each change is told to `on_changed`, which keeps it: a restart loses none.
"""

from __future__ import annotations

from collections.abc import Callable

from hookrouter.calls.effects import Announce


class Expected:
    """`calls`: by (Asterisk, the channel that it is on now); `Announce.channel` is the id of the call."""

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], Announce] = {}
        self.on_changed: Callable[[str, str, Announce | None], None] = lambda asterisk, channel, announced: None

    def __contains__(self, key: object) -> bool:
        return key in self.calls

    def get(self, asterisk: str, channel: str) -> Announce | None:
        return self.calls.get((asterisk, channel))

    def of_call(self, id: str, asterisk: str = "") -> tuple[str, str, Announce] | None:
        """(Asterisk, channel, what was asked for) of the call of this id; of any Asterisk where none is named."""
        for (name, channel), announced in self.calls.items():
            if announced.channel == id and asterisk in ("", name):
                return name, channel, announced
        return None

    def expect(self, asterisk: str, announced: Announce) -> None:
        """When the channel comes into the app it is a call, as `announced` says."""
        self.calls[(asterisk, announced.channel)] = announced
        self.on_changed(asterisk, announced.channel, announced)

    def no_more(self, asterisk: str, channel: str) -> Announce | None:
        """It has come, or never will."""
        announced = self.calls.pop((asterisk, channel), None)
        if announced is not None:
            self.on_changed(asterisk, channel, None)
        return announced

    def move(self, asterisk: str, old: str, new: str) -> bool:
        """The call is on another channel now; False where none was expected on the old one."""
        announced = self.no_more(asterisk, old)
        if announced is None:
            return False
        self.calls[(asterisk, new)] = announced
        self.on_changed(asterisk, new, announced)
        return True

    def announce(self, asterisk: str, announced: Announce) -> None:
        """As an action says. Who has asked first is right, and nobody else takes it back."""
        known = self.get(asterisk, announced.channel)
        if known is not None and known.by != announced.by:
            return
        if announced.route:
            self.expect(asterisk, announced)
        else:
            self.no_more(asterisk, announced.channel)
