"""play: sounds, recordings, numbers, tones, files from the web, one after another.

Rules: what comes from the web is a playback of its own, as Asterisk tells of the last of a list alone whether it could be
played. It is tried again where it fails: Asterisk's cache loses a sound that several callers fetch at the same moment
for the first time, and one that must not be cached as often as they do; the last try is by an address of its own.
Source: Asterisk's channels.playWithId, res_http_media_cache. A playback whose media cannot be opened is reported in three
ways, all noticed here: `PlaybackFinished` with state `failed`; no `PlaybackFinished` at all (`recording:` and unknown
schemes), found out by asking for the playback; a refusal of the request.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar
from urllib.parse import urlsplit

from msgspec import Meta

from hookrouter.actions.base import Action, Do, Reply, Run, error_message, fail_with
from hookrouter.ari.events import Event
from hookrouter.policy.parameters import Kind
from hookrouter.policy.said import in_language
from hookrouter.text.media import media_address, media_list

MediaUri = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        description="`sound:`, `recording:`, `number:`, `digits:`, `characters:`, `tone:` or an http(s) URL.",
        extra=in_language(Kind.MEDIA),
    ),
]
Digits = Annotated[
    str, Meta(pattern=r"^[0-9A-D*#]*(?!\n)$", description="Keys, each a character of `0-9`, `A-D`, `*`, `#`.")
]

_KNOWN = ("sound:", "number:", "digits:", "characters:", "tone:", "http:", "https:")
_CHECK_DELAY = 5.0  # how often a running playback is asked for: a lost event must not hold a call for ever
_DOUBT_DELAY = 0.3  # the same for media that Asterisk may never report as finished
_AGAIN_DELAY = 0.1  # before what comes from the web is tried again
_WEB_TRIES = 3
_HANGUP_GRACE = 0.3  # a hangup fails the playback too, and says so a moment later


def asterisk_media(media: str | list[str]) -> list[str]:
    """The URIs as Asterisk wants them."""
    return media_list([media] if isinstance(media, str) else media)


def _ending(uri: str) -> str:
    """`.wav` of a web address: Asterisk looks for it at the very end."""
    found = re.search(r"\.[A-Za-z0-9]+$", urlsplit(media_address(uri)).path)
    return found[0] if found else ""


class Play(Action, frozen=True, tag="play"):
    """Plays media to the caller. Before `answer` it is early media, which not every phone lets the caller hear."""

    media: MediaUri | Annotated[list[MediaUri], Meta(min_length=1, max_length=100)]
    lang: (
        Annotated[
            str,
            Meta(description="Language of the sounds; default: the channel's.", extra=in_language(Kind.LANGUAGE)),
        ]
        | None
    ) = None
    skipms: (
        Annotated[int, Meta(ge=0, le=86_400_000, description="Milliseconds that forward and reverse skip.")] | None
    ) = None
    offsetms: Annotated[int, Meta(ge=0, le=86_400_000, description="Milliseconds to skip at the start.")] | None = None
    loop: Annotated[int, Meta(ge=0, le=10_000, description="How often it is played; 0: until something ends it.")] = 1
    stop_on: Annotated[Digits, Meta(description="Keys that end it; the key is in the result.")] = ""

    subject = "media"
    result: ClassVar[str | None] = "PlayCompleted"
    quiet: ClassVar[bool] = True
    group: ClassVar[str] = "sound"
    completes: ClassVar[str] = "When the sound has ended: `PlayCompleted` {state, digit?}."
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "play", "media": "sound:hello-world"}',
        '{"action": "play", "media": ["sound:vm-youhave", "number:3", "sound:vm-messages"], "stopOn": "#"}',
    )

    def run(self) -> Run:
        return PlayRun()


class PlayRun(Run, tag="play"):
    """One playback after another, as often as `loop` says."""

    playback: str = ""
    played: int = 0
    part: int = 0  # of the media: what comes from the web is a part of its own
    tries: int = 0  # of this part, before this one
    digit: str = ""
    asked: int = 0
    refusal: str = ""  # why it may not be played
    lost: bool = False  # its end may have been told while nobody listened

    def start(self, do: Do) -> None:
        self._play(do)

    def where(self, do: Do) -> tuple[str, dict[str, Any]]:
        """The operation that plays, and to whom."""
        return "channels.playWithId", {"channelId": do.channel}

    def _play(self, do: Do) -> None:
        action = do.action
        if self.playback:
            do.disown("playback", self.playback)
        self.playback = do.new_id("playback")
        self.asked = 0
        self.lost = False
        do.own("playback", self.playback)
        params = {
            name: value
            for name, value in (
                ("lang", self.lang_of(do)),
                ("skipms", action.skipms),
                ("offsetms", None if self.part else action.offsetms),
            )
            if value is not None
        }
        operation, whom = self.where(do)
        do.request(
            operation,
            "play",
            undo=("playbacks.stop", {"playbackId": self.playback}),
            **whom,
            playbackId=self.playback,
            media=self._media(do),
            **params,
        )

    def media_of(self, do: Do) -> list[str]:
        """What is played, as Asterisk wants it."""
        return asterisk_media(do.action.media)

    def _parts(self, do: Do) -> list[list[str]]:
        """What Asterisk is asked for at once."""
        parts: list[list[str]] = []
        for uri in self.media_of(do):
            if parts and not media_address(uri) and not media_address(parts[-1][-1]):
                parts[-1].append(uri)
            else:
                parts.append([uri])
        return parts

    def _media(self, do: Do) -> list[str]:
        part = self._parts(do)[self.part]
        if self.tries + 1 < _WEB_TRIES:
            return part
        return [f"{uri}#{self.playback}{_ending(uri)}" for uri in part]  # nobody else fetches by this address

    def lang_of(self, do: Do) -> str | None:
        lang: str | None = do.action.lang
        return lang

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if name == "play":
            if 200 <= reply.status < 300:
                uris = self.media_of(do)
                do.after(_CHECK_DELAY if all(uri.startswith(_KNOWN) for uri in uris) else _DOUBT_DELAY, "check")
            elif reply.fate == "unknown":  # it is not played again: it may have been heard
                self.lost = True
                do.after(_DOUBT_DELAY, "check")
            else:
                do.disown("playback", self.playback)
                self._refused(reply, do)
        elif name == "there":
            if reply.status == 404:
                do.fail("media_failed", f"Asterisk has no such recording: {', '.join(self.media_of(do))}", 404)
            else:
                do.fail("forbidden", self.refusal)
        elif reply.status == 404:
            self.asked += 1
            if self.asked > 1 and self.lost:
                self._played(do)
            elif self.asked > 1:
                media = ", ".join(self.media_of(do))
                do.disown("playback", self.playback)
                do.fail("media_failed", f"Asterisk ended the playback of {media} without a word: no such media?")
            else:  # its end may be on its way
                do.after(_DOUBT_DELAY, "check")
        else:
            self.asked = 0
            do.after(_CHECK_DELAY, "check")

    def _refused(self, reply: Reply, do: Do) -> None:
        """Of a recording that no call of ours has made, the reason is that, or that it is not there at all."""
        names = [uri.removeprefix("recording:") for uri in self.media_of(do) if uri.startswith("recording:")]
        nobodys = next((name for name in names if do.is_nobodys(Kind.STORED, name)), "")
        if reply.fate == "forbidden" and nobodys:
            self.refusal = error_message(reply)
            do.request("recordings.getStored", "there", recordingName=nobodys)
        else:
            fail_with(do, reply, "play")

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        if head.type == "PlaybackFinished" and head.playback and head.playback.id == self.playback:
            do.cancel("check")
            if head.playback.state == "failed":
                again = self.tries + 1 < _WEB_TRIES and media_address(self._parts(do)[self.part][0])
                do.after(_AGAIN_DELAY if again else _HANGUP_GRACE, "again" if again else "failed")
                return
            self._played(do)

    def on_key(self, channel: str, key: str, do: Do) -> bool:
        if channel != do.channel or self.digit or key not in do.action.stop_on:
            return False
        self.digit = key
        do.cast("playbacks.stop", playbackId=self.playback)
        return True

    def _played(self, do: Do) -> None:
        self.tries = 0
        if not self.digit and self.part + 1 < len(self._parts(do)):
            self.part += 1
            self._play(do)
            return
        self.part = 0
        self.played += 1
        loop = do.action.loop
        if self.digit or (loop and self.played >= loop):
            do.disown("playback", self.playback)
            do.finish({"state": "done", "digit": self.digit} if self.digit else {"state": "done"})
        else:
            self._play(do)

    def on_timer(self, name: str, do: Do) -> None:
        if name == "failed":
            do.disown("playback", self.playback)
            do.fail(
                "media_failed",
                f"Asterisk could not play {', '.join(self.media_of(do))}: missing, empty, unreadable or not in a format it knows",
            )
        elif name == "again":
            self.tries += 1
            self._play(do)
        else:
            do.request("playbacks.get", "check", playbackId=self.playback)

    def stop(self, do: Do) -> None:
        do.cast("playbacks.stop", playbackId=self.playback)
        do.disown("playback", self.playback)

    def on_resume(self, do: Do) -> None:
        self.lost = True
        do.after(0.0, "check")


class PlayAll(Play, frozen=True, kw_only=True, tag="~playAll"):
    """Plays media to all who are in a bridge. Only the router makes it."""

    bridge: str

    internal: ClassVar[bool] = True

    def run(self) -> Run:
        return PlayAllRun()


class PlayAllRun(PlayRun, tag="playAll"):
    """As `play`, in a bridge."""

    def where(self, do: Do) -> tuple[str, dict[str, Any]]:
        return "bridges.playWithId", {"bridgeId": do.action.bridge}
