"""The calls that are live now, and which call a thing (a channel, bridge, playback, recording) belongs to.

Rule: a thing is its kind and its id: a recording that is called as a channel is has nothing to do with the channel.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from hookrouter.actions.base import Member
from hookrouter.ari.events import Head
from hookrouter.calls.bounds import CALL_SECONDS
from hookrouter.calls.call import Call, encode_call
from hookrouter.calls.effects import Perform, Send
from hookrouter.policy.authority import OURS
from hookrouter.policy.rates import Rates

_PAST = 10_000  # how many things of calls that are over are remembered: their last events come a moment later


class Live:
    """A call in memory: its state, its route as last known, and what only the running process has."""

    __slots__ = ("call", "let_go", "requests", "route", "sends", "snapshot", "timers", "unsaved", "watched")

    def __init__(self, call: Call, route: Any) -> None:
        self.call = call
        self.route = route
        self.timers: dict[str, asyncio.TimerHandle] = {}
        self.requests: deque[Perform] = deque()  # for Asterisk: wait for the disk, in order
        self.sends: deque[Send] = deque()  # for the endpoint: likewise
        self.unsaved: set[str] = set()  # events that are to be delivered, and not yet on disk
        self.watched: set[tuple[str, str]] = set()  # (kind, id) of the things whose events it gets
        self.let_go = False  # another router goes on with it
        self.snapshot = partial(encode_call, call)  # its state at the moment when it is called

    @property
    def busy(self) -> bool:
        """Whether something plays or records on the call, behind which some operations would wait."""
        owned = self.call.owned
        return bool(owned.get("playback")) or "recording" in owned.get("recording", {}).values()

    @property
    def away(self) -> bool:
        """Whether the call is in the dialplan for a while (the verb `dialplan`), and will be back."""
        return any(getattr(program.run, "away", False) for program in self.call.programs.values())


class Board:
    """All live calls. `find` is on the path of every event: dictionaries only."""

    def __init__(self) -> None:
        self.calls: dict[str, Live] = {}
        self.rates = Rates(CALL_SECONDS)  # new calls that routes begin
        self._by_id: dict[tuple[str, str, str], list[Live]] = {}  # (asterisk, kind, id)
        self._past: OrderedDict[tuple[str, str, str], str] = OrderedDict()

    def __len__(self) -> int:
        return len(self.calls)

    def __iter__(self) -> Iterator[Live]:
        return iter(list(self.calls.values()))

    def add(self, live: Live) -> None:
        self.calls[live.call.key] = live

    def remove(self, live: Live) -> None:
        self.calls.pop(live.call.key, None)
        for kind, id in list(live.watched):
            self.unwatch(live, kind, id)
            self._past[(live.call.asterisk, kind, id)] = live.call.tenant
        while len(self._past) > _PAST:
            self._past.popitem(last=False)

    def free_key(self, asterisk: str, channel: str) -> str:
        """A key for a call of this channel; one that comes back while its last stay is still told about gets another."""
        key, count = f"{asterisk}/{channel}", 1
        while key in self.calls:
            count += 1
            key = f"{asterisk}/{channel}#{count}"
        return key

    def watch(self, live: Live, kind: str, id: str) -> None:
        found = self._by_id.setdefault((live.call.asterisk, kind, id), [])
        if live not in found:
            found.append(live)
        live.watched.add((kind, id))

    def unwatch(self, live: Live, kind: str, id: str) -> None:
        if kind == "channel" and id in (live.call.id, live.call.channel) and live.call.key in self.calls:
            return
        live.watched.discard((kind, id))
        found = self._by_id.get((live.call.asterisk, kind, id))
        if found and live in found:
            found.remove(live)
            if not found:
                del self._by_id[(live.call.asterisk, kind, id)]

    def find(self, asterisk: str, head: Head) -> Sequence[Live]:
        """The calls that an event concerns, each once; mostly one."""
        found: list[Live] = []
        for kind, id in ids_of(head):
            for live in self._by_id.get((asterisk, kind, id), ()):
                if live not in found and not (live.call.claimed and _only_asked_for(live, kind, id)):
                    found.append(live)
        return found

    def past_tenant(self, asterisk: str, head: Head) -> str | None:
        """The tenant of a call that is over, and that an event still tells of; None: nobody knows of it any more."""
        return next((found for key in ids_of(head) if (found := self._past.get((asterisk, *key))) is not None), None)

    def of(self, asterisk: str, kind: str, id: str) -> Live | None:
        """The live (not ended) call that a thing belongs to; one that has only asked for it does not count."""
        for live in reversed(self._by_id.get((asterisk, kind, id), [])):
            if not live.call.ended and id not in live.call.claimed.get(kind, ()):
                return live
        return None

    def claimant(self, asterisk: str, kind: str, id: str) -> Live | None:
        """The live call that has asked for a thing of this id and does not know yet whether it gets it."""
        for live in self._by_id.get((asterisk, kind, id), ()):
            if not live.call.ended and id in live.call.claimed.get(kind, ()):
                return live
        return None

    def taken(self, asterisk: str, kind: str, id: str) -> bool:
        """Whether some call has a thing of this kind with this id, or with one that Asterisk could take for it.

        Asterisk finds channels without regard to upper and lower case, and by the beginning of their id.
        """
        wanted = id.lower()
        for (where, what, other), lives in self._by_id.items():
            if where == asterisk and what == kind and not all(live.call.ended for live in lives):
                known = other.lower()
                if known == wanted or (kind == "channel" and known.startswith(wanted)):
                    return True
        return False

    def whose(self, asterisks: Iterable[str], channel: str) -> tuple[bool, str | None]:
        """Whether there is a live call with that channel, and its tenant.

        Two Asterisks may have a channel of the same id; where their tenants differ, it is None: nobody can tell.
        """
        lives = [live for name in asterisks if (live := self.of(name, "channel", channel)) is not None]
        tenants = {live.call.tenant for live in lives}
        return bool(lives), tenants.pop() if len(tenants) == 1 else None

    def like(self, asterisk: str, channel: str) -> str | None:
        """The tenant of a live call with a channel that Asterisk could take this for (see `taken`); None: there is none,
        or all calls are of one tenant.

        Where calls of several tenants have one, none of them can be meant: `…`, which is nobody's name.
        """
        if len({live.call.tenant for live in self.calls.values()}) < 2:
            return None
        wanted = channel.lower()
        found = {
            live.call.tenant
            for (where, kind, id), lives in self._by_id.items()
            if where == asterisk and kind == "channel" and id.lower().startswith(wanted)
            for live in lives
            if not live.call.ended
        }
        return (found.pop() if len(found) == 1 else "…") if found else None

    def watching(self, asterisk: str, id: str) -> Sequence[Live]:
        """The calls in the room or queue of that id."""
        return [*self._by_id.get((asterisk, "bridge", id), ()), *self._by_id.get((asterisk, "queue", id), ())]

    def touched(self, asterisk: str, channel: str) -> Sequence[Live]:
        """The calls that may speak of a channel: whose it is, and who is in a bridge with that call."""
        found = list(self._by_id.get((asterisk, "channel", channel), ()))
        for live in tuple(found):
            for bridge in live.call.owned.get("bridge", ()):
                found += [other for other in self._by_id.get((asterisk, "bridge", bridge), ()) if other not in found]
        return [live for live in found if not live.call.ended]

    def by_channel(self, channel: str, asterisk: str | None = None) -> Live | None:
        """The call of that id, or on whose line that channel is now, live ones first."""
        ended = None
        for live in self.calls.values():
            if channel in (live.call.id, live.call.channel) and asterisk in (None, live.call.asterisk):
                if not live.call.ended:
                    return live
                ended = live
        return ended

    def members(self, asterisk: str, room: str) -> list[Member]:
        """Who is in a shared room: what the runs of the calls that watch it say of themselves."""
        found: list[Member] = []
        for live in self.watching(asterisk, room):
            for program in live.call.programs.values():
                if program.run is not None and (said := program.run.room()) is not None and said[0] == room:
                    found.append(Member(live.call.id, program.channel, program.step_at, said[1]))
        return sorted(found, key=lambda member: member.since)


def _only_asked_for(live: Live, kind: str, id: str) -> bool:
    """A channel of an id that an answer chose may be anybody's until Asterisk has agreed."""
    return kind == "channel" and not id.startswith(OURS) and id in live.call.claimed.get(kind, ())


def ids_of(head: Head) -> Iterator[tuple[str, str]]:
    """(kind, id) of every thing in an event that may belong to a call."""
    if head.channel is not None:
        yield "channel", head.channel.id
    if head.playback is not None:
        yield "playback", head.playback.id
        if head.playback.target_uri:
            yield _target(head.playback.target_uri)
    if head.bridge is not None:
        yield "bridge", head.bridge.id
    if head.recording is not None:
        yield "recording", head.recording.name
        if head.recording.target_uri:
            yield _target(head.recording.target_uri)
    if head.peer is not None:
        yield "channel", head.peer.id
    if head.caller is not None:
        yield "channel", head.caller.id
    if head.transferer_first_leg is not None:
        yield "channel", head.transferer_first_leg.id
        if head.transferer_second_leg is not None:
            yield "channel", head.transferer_second_leg.id
    if head.referred_by is not None and head.referred_by.source_channel is not None:
        yield "channel", head.referred_by.source_channel.id


def _target(uri: str) -> tuple[str, str]:
    """`channel:ID` or `bridge:ID`."""
    kind, _, id = uri.partition(":")
    return kind, id
