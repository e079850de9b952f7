"""Stasis applications: who listens, what they are subscribed to, which events they want.

Rules: an application outlives its socket; while nobody listens it is inactive and its events are lost, unless Asterisk
itself keeps the connection (`persistent`): then they are queued. The event filter also filters RESTResponse.
Source: Asterisk's res_stasis, res_ari's websocket; docs/asterisk.md.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode


class Session:
    """One socket: what is to be written to it, in order. None ends it."""

    def __init__(self, apps: tuple[str, ...]) -> None:
        self.apps = apps
        self.outgoing: asyncio.Queue[bytes | None] = asyncio.Queue()

    def send(self, message: dict[str, Any] | bytes) -> None:
        self.outgoing.put_nowait(message if isinstance(message, bytes) else _encode(message))

    def end(self) -> None:
        self.outgoing.put_nowait(None)


class App:
    """One application."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.session: Session | None = None
        self.persistent = False
        self.subscriptions: Counter[str] = Counter()
        self.subscribe_all = False
        self.allowed: list[dict[str, Any]] = []
        self.disallowed: list[dict[str, Any]] = []
        self.waiting: deque[dict[str, Any]] = deque()

    @property
    def active(self) -> bool:
        return self.session is not None or self.persistent

    def wants(self, type: str) -> bool:
        """What the event filter says."""
        if any(entry.get("type") == type for entry in self.disallowed):
            return False
        return not self.allowed or any(entry.get("type") == type for entry in self.allowed)

    def subscribe(self, topic: str) -> None:
        self.subscriptions[topic] += 1

    def unsubscribe(self, topic: str, *, entirely: bool = False) -> None:
        if topic in self.subscriptions:
            self.subscriptions[topic] -= 1
            if entirely or self.subscriptions[topic] <= 0:
                del self.subscriptions[topic]

    def hears(self, topics: tuple[str, ...]) -> bool:
        return self.subscribe_all or any(topic in self.subscriptions for topic in topics)

    def tell(self, event: dict[str, Any]) -> None:
        if not self.wants(event["type"]):
            return
        event = {**event, "application": self.name}
        if self.session is not None:
            self.session.send(event)
        elif self.persistent:
            self.waiting.append(event)

    def described(self) -> dict[str, Any]:
        """As `GET /applications/{name}` tells it."""

        def ids(kind: str) -> list[str]:
            return [topic.split(":", 1)[1] for topic in self.subscriptions if topic.startswith(f"{kind}:")]

        return {
            "name": self.name,
            "channel_ids": ids("channel"),
            "bridge_ids": ids("bridge"),
            "endpoint_ids": ids("endpoint"),
            "device_names": ids("deviceState"),
            "events_allowed": self.allowed,
            "events_disallowed": self.disallowed,
        }
