"""The whole state of one simulated Asterisk, and how its events reach the applications."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from hookrouter.simulator.apps import App
from hookrouter.simulator.dialplan import Dialplan
from hookrouter.simulator.media import Media, core_sounds
from hookrouter.simulator.timing import Timing

if TYPE_CHECKING:
    from hookrouter.simulator.bridges import Bridge
    from hookrouter.simulator.channels import Channel
    from hookrouter.simulator.playing import Playback
    from hookrouter.simulator.recording import Recording

ASTERISK_ID = "02:fc:00:00:00:01"
VERSION = "22.10.1"

Phones = Callable[[str], str | None]
"""Endpoint such as `PJSIP/alice` → the extension of the context `callers` that it behaves as; None: unreachable."""

Follows = Callable[[str], bool]
"""Whether a phone that is sent to this endpoint (`redirect`) gets through to it."""


class Pbx:
    """Channels, bridges, playbacks, recordings, applications. Nothing here knows HTTP."""

    def __init__(
        self,
        timing: Timing,
        dialplan: Dialplan | None = None,
        sounds: Mapping[str, int] | None = None,
        phones: Phones | None = None,
        follows: Follows | None = None,
    ) -> None:
        self.timing = timing
        self.dialplan = dialplan or Dialplan.default()
        self.phones: Phones = phones or (lambda endpoint: None)
        self.follows: Follows = follows or (lambda endpoint: True)
        self.startup_time = timing.stamp()
        self.apps: dict[str, App] = {}
        self.channels: dict[str, Channel] = {}
        self.bridges: dict[str, Bridge] = {}
        self.playbacks: dict[str, Playback] = {}
        self.live: dict[str, Recording] = {}
        self.stored: dict[str, str] = {}
        self.lengths: dict[str, float] = {}
        self.globals: dict[str, str] = {}
        self.devices: dict[str, str] = {}
        self.mailboxes: dict[str, tuple[int, int]] = {}
        self.claims: dict[str, str] = {}
        self.logs: dict[str, str] = {}
        self.media = Media(core_sounds() if sounds is None else sounds, self.lengths)
        self.watchers: list[Callable[[dict[str, Any]], None]] = []
        self.asked: list[Callable[[str, dict[str, Any]], None]] = []
        self._serials: Counter[str] = Counter()
        self._ids = itertools.count()

    def new_id(self) -> str:
        """A unique id as Asterisk makes them."""
        return f"{int(self.timing.now())}.{next(self._ids)}"

    def serial(self, kind: str) -> str:
        """The eight digits at the end of a channel's name."""
        self._serials[kind] += 1
        return f"{self._serials[kind] - 1:08x}"

    def app(self, name: str) -> App:
        """The application of that name, made where there is none."""
        return self.apps.setdefault(name, App(name))

    def emit(self, type: str, *topics: str, **fields: Any) -> None:
        """Tells every application that is subscribed to one of the topics (`channel:ID`, `bridge:ID`)."""
        event = {"type": type, "timestamp": self.timing.stamp(), **fields, "asterisk_id": ASTERISK_ID}
        for watcher in self.watchers:
            watcher(event)
        for app in list(self.apps.values()):
            if app.hears(topics):
                app.tell(event)

    def tell(self, app: str, type: str, **fields: Any) -> None:
        """An event for one application, subscribed or not."""
        event = {"type": type, "timestamp": self.timing.stamp(), **fields, "asterisk_id": ASTERISK_ID}
        for watcher in self.watchers:
            watcher(event)
        self.app(app).tell(event)

    def forget_topic(self, topic: str) -> None:
        for app in self.apps.values():
            app.unsubscribe(topic, entirely=True)

    def visible(self) -> Iterator[Channel]:
        return (channel for channel in self.channels.values() if not channel.hidden)

    def end(self) -> None:
        """Everything stops at once and without a word: a killed Asterisk."""
        for app in self.apps.values():
            app.session, app.persistent = None, False
        self.watchers.clear()
        for channel in list(self.channels.values()):
            channel.drop()
        for bridge in list(self.bridges.values()):
            bridge.line.stop()
