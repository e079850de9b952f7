"""play: sounds, recordings, numbers, tones, files from the web, one after another.

Source: Asterisk's channels.playWithId. A playback whose media cannot be opened is reported in three ways, all noticed
here: `PlaybackFinished` with state `failed`; no `PlaybackFinished` at all (`recording:` and unknown schemes), found out
by asking for the playback; a refusal of the request.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar

from msgspec import Meta

from hookrouter.actions.base import Action, Do, Reply, Run, fail_with
from hookrouter.ari.events import Event

MediaUri = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=4096,
        description="`sound:`, `recording:`, `number:`, `digits:`, `characters:`, `tone:` or an http(s) URL.",
    ),
]
Digits = Annotated[str, Meta(pattern=r"^[0-9A-D*#]*$", description="Keys, each a character of `0-9`, `A-D`, `*`, `#`.")]

_SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")
_KNOWN = ("sound:", "number:", "digits:", "characters:", "tone:", "http:", "https:")
_CHECK_DELAY = 5.0  # how often a running playback is asked for: a lost event must not hold a call for ever
_DOUBT_DELAY = 0.3  # the same for media that Asterisk may never report as finished
_HANGUP_GRACE = 0.3  # a hangup fails the playback too, and says so a moment later


def media_faults(media: str | list[str], place: str = "/media") -> Iterator[tuple[str, str]]:
    """What is wrong with media URIs that no pattern can tell."""
    for index, uri in enumerate([media] if isinstance(media, str) else media):
        if not _SCHEME.match(uri):
            where = place if isinstance(media, str) else f"{place}/{index}"
            yield where, f"`{uri}` has no scheme; did you mean `sound:{uri}`?"


def asterisk_media(media: str | list[str]) -> list[str]:
    """The URIs as Asterisk wants them: a web address is a sound to it."""
    uris = [media] if isinstance(media, str) else media
    return [f"sound:{uri}" if uri.startswith(("http://", "https://")) else uri for uri in uris]


class Play(Action, frozen=True, tag="play"):
    """Plays media to the caller. Before `answer` it is early media, which not every phone lets the caller hear."""

    media: MediaUri | Annotated[list[MediaUri], Meta(min_length=1, max_length=100)]
    lang: Annotated[str, Meta(description="Language of the sounds; default: the channel's.")] | None = None
    skipms: Annotated[int, Meta(ge=0, description="Milliseconds that forward and reverse skip.")] | None = None
    offsetms: Annotated[int, Meta(ge=0, description="Milliseconds to skip at the start.")] | None = None
    loop: Annotated[int, Meta(ge=0, le=10_000, description="How often it is played; 0: until something ends it.")] = 1
    stop_on: Annotated[Digits, Meta(description="Keys that end it; the key is in the result.")] = ""

    result: ClassVar[str | None] = "PlayCompleted"
    quiet: ClassVar[bool] = True
    group: ClassVar[str] = "sound"
    completes: ClassVar[str] = "When the sound has ended: `PlayCompleted` {state, digit?}."
    examples: ClassVar[tuple[str, ...]] = (
        '{"action": "play", "media": "sound:hello-world"}',
        '{"action": "play", "media": ["sound:vm-youhave", "number:3", "sound:vm-messages"], "stopOn": "#"}',
    )

    def check(self) -> Iterator[tuple[str, str]]:
        return media_faults(self.media)

    def run(self) -> Run:
        return PlayRun()


class PlayRun(Run, tag="play"):
    """One playback after another, as often as `loop` says."""

    playback: str = ""
    played: int = 0
    digit: str = ""
    asked: int = 0
    lost: bool = False  # its end may have been told while nobody listened

    def start(self, do: Do) -> None:
        self._play(do)

    def _play(self, do: Do) -> None:
        action = do.action
        if self.playback:
            do.disown(self.playback)
        self.playback = do.new_id("playback")
        self.asked = 0
        self.lost = False
        do.own("playback", self.playback)
        params = {
            name: value
            for name, value in (("lang", self.lang_of(do)), ("skipms", action.skipms), ("offsetms", action.offsetms))
            if value is not None
        }
        do.request(
            "channels.playWithId",
            "play",
            undo=("playbacks.stop", {"playbackId": self.playback}),
            channelId=do.channel,
            playbackId=self.playback,
            media=self.media_of(do),
            **params,
        )

    def media_of(self, do: Do) -> list[str]:
        """What is played, as Asterisk wants it."""
        return asterisk_media(do.action.media)

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
                do.disown(self.playback)
                fail_with(do, reply, "play")
        elif reply.status == 404:
            self.asked += 1
            if self.asked > 1 and self.lost:
                self._played(do)
            elif self.asked > 1:
                media = ", ".join(self.media_of(do))
                do.disown(self.playback)
                do.fail("media_failed", f"Asterisk ended the playback of {media} without a word: no such media?")
            else:  # its end may be on its way
                do.after(_DOUBT_DELAY, "check")
        else:
            self.asked = 0
            do.after(_CHECK_DELAY, "check")

    def on_event(self, event: Event, do: Do) -> None:
        head = event.head
        if head.type == "PlaybackFinished" and head.playback and head.playback.id == self.playback:
            do.cancel("check")
            if head.playback.state == "failed":
                do.after(_HANGUP_GRACE, "failed")
                return
            self._played(do)
        elif (
            head.type == "ChannelDtmfReceived"
            and not self.digit
            and head.channel
            and head.channel.id == do.channel
            and head.digit
            and head.digit in do.action.stop_on
        ):
            self.digit = head.digit
            do.take_digits()
            do.cast("playbacks.stop", playbackId=self.playback)

    def _played(self, do: Do) -> None:
        self.played += 1
        loop = do.action.loop
        if self.digit or (loop and self.played >= loop):
            do.disown(self.playback)
            do.finish({"state": "done", "digit": self.digit} if self.digit else {"state": "done"})
        else:
            self._play(do)

    def on_timer(self, name: str, do: Do) -> None:
        if name == "failed":
            do.disown(self.playback)
            do.fail(
                "media_failed",
                f"Asterisk could not play {', '.join(self.media_of(do))}: missing, empty, unreadable or not in a format it knows",
            )
        else:
            do.request("playbacks.get", "check", playbackId=self.playback)

    def stop(self, do: Do) -> None:
        do.cast("playbacks.stop", playbackId=self.playback)
        do.disown(self.playback)

    def on_resume(self, do: Do) -> None:
        self.lost = True
        do.after(0.0, "check")
