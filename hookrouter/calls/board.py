"""The calls that are live now, and which call an id (a channel, bridge, playback, recording) belongs to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from hookrouter.actions.base import Member
from hookrouter.ari.events import Head
from hookrouter.calls.call import Call
from hookrouter.calls.effects import Perform, Send


class Live:
    """A call in memory: its state, its route as last known, and what only the running process has."""

    __slots__ = ("call", "queue", "route", "timers", "unsaved")

    def __init__(self, call: Call, route: Any) -> None:
        self.call = call
        self.route = route
        self.timers: dict[str, asyncio.TimerHandle] = {}
        self.queue: deque[Perform | Send] = deque()  # effects that wait for the disk, in order
        self.unsaved: set[str] = set()  # events that are to be delivered, and not yet on disk

    @property
    def busy(self) -> bool:
        """Whether something plays or records on the call, behind which some operations would wait."""
        return any(kind in ("playback", "recording") for kind in self.call.owned.values())

    @property
    def away(self) -> bool:
        """Whether the call is in the dialplan for a while (the verb `dialplan`), and will be back."""
        return any(getattr(program.run, "away", False) for program in self.call.programs.values())


class Board:
    """All live calls. `find` is on the path of every event: dictionaries only."""

    def __init__(self) -> None:
        self.calls: dict[str, Live] = {}
        self._by_id: dict[tuple[str, str], list[Live]] = {}

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self.calls.values()))

    def add(self, live: Live) -> None:
        self.calls[live.call.key] = live

    def remove(self, live: Live) -> None:
        self.calls.pop(live.call.key, None)
        call = live.call
        for id in (call.id, *call.owned):
            self.unwatch(live, id)

    def free_key(self, asterisk: str, channel: str) -> str:
        """A key for a call of this channel; one that comes back while its last stay is still told about gets another."""
        key, count = f"{asterisk}/{channel}", 1
        while key in self.calls:
            count += 1
            key = f"{asterisk}/{channel}#{count}"
        return key

    def watch(self, live: Live, id: str) -> None:
        found = self._by_id.setdefault((live.call.asterisk, id), [])
        if live not in found:
            found.append(live)

    def unwatch(self, live: Live, id: str) -> None:
        if id == live.call.id and live.call.key in self.calls:
            return
        found = self._by_id.get((live.call.asterisk, id))
        if found and live in found:
            found.remove(live)
            if not found:
                del self._by_id[(live.call.asterisk, id)]

    def find(self, asterisk: str, head: Head) -> Sequence[Live]:
        """The calls that an event concerns, each once; mostly one."""
        found: list[Live] = []
        for id in ids_of(head):
            for live in self._by_id.get((asterisk, id), ()):
                if live not in found:
                    found.append(live)
        return found

    def of(self, asterisk: str, id: str) -> Live | None:
        """The live (not ended) call that `id` belongs to."""
        return next((live for live in reversed(self._by_id.get((asterisk, id), [])) if not live.call.ended), None)

    def by_channel(self, channel: str, asterisk: str | None = None) -> Live | None:
        """The call whose own channel it is, live ones first."""
        ended = None
        for live in self.calls.values():
            if live.call.id == channel and asterisk in (None, live.call.asterisk):
                if not live.call.ended:
                    return live
                ended = live
        return ended

    def members(self, asterisk: str, room: str) -> list[Member]:
        """Who is in a shared room: what the runs of the calls that watch it say of themselves."""
        found: list[Member] = []
        for live in self._by_id.get((asterisk, room), ()):
            for program in live.call.programs.values():
                if program.run is not None and (said := program.run.room()) is not None and said[0] == room:
                    found.append(Member(live.call.id, program.channel, program.step_at, said[1]))
        return sorted(found, key=lambda member: member.since)


def ids_of(head: Head) -> Iterator[str]:
    """Every id in an event that may belong to a call."""
    if head.channel is not None:
        yield head.channel.id
    if head.playback is not None:
        yield head.playback.id
        if head.playback.target_uri:
            yield head.playback.target_uri.partition(":")[2]
    if head.bridge is not None:
        yield head.bridge.id
    if head.recording is not None:
        yield head.recording.name
        if head.recording.target_uri:
            yield head.recording.target_uri.partition(":")[2]
    if head.peer is not None:
        yield head.peer.id
    if head.caller is not None:
        yield head.caller.id
    if head.referred_by is not None and head.referred_by.source_channel is not None:
        yield head.referred_by.source_channel.id
