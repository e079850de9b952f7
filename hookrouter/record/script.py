"""A recorded call as a script for `hookrouter simulate`: what the caller did and when, whom it dialled, what was heard. Pure.

Rules: what the caller did comes as long behind the prompt that played as it did. Sounds last as long as they did, so that those
of one's own are known, too. Spoken texts are waited for and not expected: their sounds have other names each time. What is
expected is what was: whoever wants less takes lines out.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from hookrouter.actions.endings import DIALSTATUS, status_of
from hookrouter.record.entries import Entry
from hookrouter.record.finding import Row
from hookrouter.record.raw import object_of, text_at

_KINDS = ("sound:", "digits:", "number:", "characters:", "tone:", "recording:")
_SPOKEN = re.compile(r"sound:.*[/:][0-9a-f]{32}(\.wav)?")
_SPEECH = "say:"  # what the simulator calls a spoken text begins so
_LEAST_PAUSE = 0.1
_LONGER = 10.0  # seconds that a script lets its call last beyond what the recorded one did
_KEYS = frozenset("0123456789ABCD*#")
_STAYS = 600.0  # seconds that a leg talks which did not hang up by itself
_ENDS = ("channels.hangup", "channels.continueInDialplan", "channels.redirect")
_LONGEST = 3600.0  # that a script can say
_AS_PARTIES = {"cancelled": "noAnswer"}  # it rang until somebody else had answered, or the time was over


def script_of(row: Row, entries: Sequence[Entry]) -> str:
    """TOML, as docs/simulate.md describes it."""
    return "\n".join(_Telling(row).tell(entries).lines()) + "\n"


class _Leg(msgspec.Struct):
    """Somebody who was dialled; instants in seconds since the epoch."""

    endpoint: str
    rang_at: float
    outcome: str = ""
    status: str = ""  # of its last `Dial`
    answered_at: float = 0.0
    ended_at: float = 0.0
    hung_up: bool = False  # by us
    keys: str = ""
    pressed_at: float = 0.0

    def line(self) -> str:
        if not self.answered_at:
            outcome = self.outcome or DIALSTATUS.get(self.status, "noAnswer")
            return f"{_text(self.endpoint)} = {_text(_AS_PARTIES.get(outcome, outcome))}"
        talk = self.ended_at - self.answered_at if self.ended_at and not self.hung_up else _STAYS
        parts = [f'outcome = "answered", after = {_seconds(self.answered_at - self.rang_at)}']
        if self.keys:
            after = self.pressed_at - self.answered_at
            parts.append(f"press = {_text(self.keys)}, press_after = {_seconds(after)}")
            talk -= after
        parts.append(f"talk = {_seconds(max(_LEAST_PAUSE, talk))}")
        return f"{_text(self.endpoint)} = {{ {', '.join(parts)} }}"


class _Playback(msgspec.Struct):
    media: list[str]
    began_at: float = 0.0
    stopped: bool = False


class _Telling:
    """Goes through the entries once."""

    def __init__(self, row: Row) -> None:
        self._row = row
        self._args: list[str] = []
        self._name = ""
        self._steps: list[str] = []
        self._heard: list[str] = []
        self._since: list[str] = []  # what has begun to play since the last step
        self._at = row.started_at  # of the last thing that the next step can count from
        self._actions: list[str] = []
        self._sounds: dict[str, float] = {}
        self._playbacks: dict[str, _Playback] = {}
        self._legs: dict[str, _Leg] = {}
        self._by_endpoint = False

    def tell(self, entries: Sequence[Entry]) -> _Telling:
        for entry in entries:
            if entry.what == "ActionStarted":
                self._actions.append(str(entry.fields.get("verb", "")))
            elif entry.what == "AriRequested":
                self._requested(entry)
            elif entry.what == "EventReceived":
                self._happened(entry)
        if not self._by_endpoint:
            self._does("hangup = true", self._row.ended_at or self._at)
        return self

    def _does(self, step: str, at: float) -> None:
        """A step of the caller's, behind what was playing and what they did before."""
        if self._since:
            since = [_SPEECH if _SPOKEN.fullmatch(one) else one for one in self._since]
            wanted = since[-1]
            self._steps += [f"wait_for = {_text(wanted)}\ntimeout = 60"] * sum(wanted in one for one in since)
            self._since = []
        if at - self._at >= _LEAST_PAUSE:
            self._steps.append(f"pause = {_seconds(at - self._at)}")
        self._steps.append(step)
        self._at = at

    def _requested(self, entry: Entry) -> None:
        operation, params = str(entry.fields.get("operation", "")), entry.fields.get("params") or {}
        good, channel = 200 <= int(entry.fields.get("status", 0)) < 300, str(params.get("channelId", ""))
        if operation in ("channels.create", "channels.originateWithId", "channels.originate"):
            endpoint = str(params.get("endpoint", "")).partition("/sip:")[0]
            leg = self._legs[channel or endpoint] = _Leg(endpoint, entry.at)
            leg.outcome = "" if good else "unavailable"
        elif operation == "channels.hangup" and channel in self._legs:
            self._legs[channel].hung_up = True
        elif operation in _ENDS and channel == self._row.call_id and good:
            self._by_endpoint = True
        elif operation == "channels.playWithId" and channel == self._row.call_id:
            media = params.get("media")
            known = [str(one) for one in media] if isinstance(media, list | tuple) else [str(media)]
            self._playbacks[str(params.get("playbackId", ""))] = _Playback(known, entry.at)
        elif operation == "playbacks.stop" and (found := self._playbacks.get(str(params.get("playbackId", "")))):
            found.stopped = True

    def _happened(self, entry: Entry) -> None:
        type_, event = str(entry.fields.get("type", "")), object_of(entry.fields.get("raw", b""))
        channel = text_at(event, "channel", "id")
        if type_ == "StasisStart" and channel == self._row.call_id and not self._heard:
            self._args = [str(one) for one in event.get("args") or ()]
            self._name = text_at(event, "channel", "caller", "name")
        elif type_ in ("PlaybackStarted", "PlaybackContinuing"):
            self._plays(entry.at, text_at(event, "playback", "id"), text_at(event, "playback", "media_uri"), event)
        elif type_ == "PlaybackFinished":
            self._has_played(entry.at, text_at(event, "playback", "id"))
        elif type_ == "ChannelDtmfReceived" and (key := text_at(event, "digit")):
            if channel == self._row.call_id:
                kept = key in _KEYS  # the digits of card data are not
                self._does(f"press = {_text(key)}" if kept else 'press = "0"  # which key is not kept', entry.at)
            elif key in _KEYS and (leg := self._legs.get(channel)):
                leg.keys, leg.pressed_at = leg.keys + key, leg.pressed_at or entry.at
        elif type_ == "Dial" and (leg := self._legs.get(text_at(event, "peer", "id"))):
            leg.status = text_at(event, "dialstatus") or leg.status
            if leg.status == "ANSWER":
                leg.answered_at = leg.answered_at or entry.at
        elif type_ == "ChannelDestroyed" and (leg := self._legs.get(channel)):
            leg.ended_at = entry.at
            if not leg.answered_at:
                leg.outcome = status_of(DIALSTATUS.get(leg.status, ""), int(event.get("cause") or 0))

    def _plays(self, at: float, id: str, media: str, event: dict[str, Any]) -> None:
        if not media.startswith(_KINDS) or text_at(event, "playback", "target_uri") != f"channel:{self._row.call_id}":
            return
        self._heard.append(media)
        self._since.append(media)
        self._at = at
        self._playbacks.setdefault(id, _Playback([media])).began_at = at

    def _has_played(self, at: float, id: str) -> None:
        """Its sounds last as long as they did; what was cut short is a second longer at least, so that it can be again."""
        found = self._playbacks.get(id)
        if found is None or not found.began_at:
            return
        for media in found.media:
            seconds = (at - found.began_at) / len(found.media) + (1.0 if found.stopped else 0.0)
            name = media.removeprefix("sound:")
            if name != media and not _SPOKEN.fullmatch(media) and "&" not in name:
                self._sounds[name] = max(self._sounds.get(name, _LEAST_PAUSE), seconds)

    def lines(self) -> Iterator[str]:
        row = self._row
        lasted = (row.ended_at or self._at) - row.started_at
        yield f"# Call {_text(row.call_id)[1:-1]} of route {_text(row.route)[1:-1]}"
        yield f"caller = {_text(row.caller)}"
        if self._name:
            yield f"name = {_text(self._name)}"
        yield f"called = {_text(row.called)}"
        if self._args:
            yield f"args = [{', '.join(map(_text, self._args))}]"
        yield f"hangup_after = {math.ceil(max(60.0, lasted + _LONGER))}"
        if legs := {leg.endpoint: leg for leg in self._legs.values() if leg.endpoint}:
            yield "\n[dial]"
            for leg in legs.values():
                yield leg.line()
        if self._sounds:
            yield "\n[sounds]"
            for name, seconds in self._sounds.items():
                yield f"{_text(name)} = {_seconds(seconds)}"
        for step in self._steps:
            yield f"\n[[steps]]\n{step}"
        yield "\n[expect]"
        heard = [media for media in self._heard if not _SPOKEN.fullmatch(media)]
        yield f"heard = [{', '.join(_text(_literal(media)) for media in heard)}]"
        yield f"actions = [{', '.join(map(_text, self._actions))}]"
        yield f"ended_by = {_text('endpoint' if self._by_endpoint else 'caller')}"


def _literal(media: str) -> str:
    """As a glob that fits nothing else."""
    return re.sub(r"([*?[])", r"[\1]", media)


def _seconds(seconds: float) -> str:
    return f"{max(0.0, seconds):.1f}"


def _text(text: str) -> str:
    """A TOML string: JSON's escapes are TOML's; DEL and C1 controls are escaped too."""
    quoted = msgspec.json.encode(text.encode("utf-8", "replace").decode()).decode()
    return "".join(c if c.isprintable() else _escaped(c) for c in quoted)


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


__all__ = ["script_of"]
