"""What the machine wants done: values, carried out by the runner after the call's state is on disk."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from hookrouter.calls.call import Outgoing
from hookrouter.facts import Fact


class Effect(msgspec.Struct, frozen=True, gc=False):
    """The base of all effects."""


class Perform(Effect, frozen=True):
    """Send an ARI request; the reply comes back under `key`. `doubtful`: it may have been sent before a crash."""

    key: str
    operation: str
    params: dict[str, Any]
    doubtful: bool = False


class Arm(Effect, frozen=True):
    """Call back under `key` at the instant `at`."""

    key: str
    at: float


class Disarm(Effect, frozen=True):
    key: str


class Send(Effect, frozen=True):
    """Deliver this to the control endpoint (or its fallback), and bring back the answer."""

    outgoing: Outgoing


class Tell(Effect, frozen=True):
    """An event of the router's own, for the notify routes that name its type."""

    id: str
    type: str
    timestamp: str
    data: bytes


class Watch(Effect, frozen=True):
    """Events of this thing are events of this call from now on."""

    kind: str
    id: str


class Unwatch(Effect, frozen=True):
    kind: str
    id: str


class Settled(Effect, frozen=True):
    """It is known now whether Asterisk has made the channel that this call asked for."""

    channel: str


class Recorded(Effect, frozen=True):
    """This call has made the recording of this name: whose it is outlives the call. `gone`: it is there no more."""

    name: str
    gone: bool = False


class Signal(Effect, frozen=True):
    """To every run in room `target`, or of the call `target`."""

    target: str
    name: str
    data: Mapping[str, Any]


class Announce(Effect, frozen=True):
    """`channel` becomes a call of its own when it enters the app. `route` empty: it will not.

    `by`: who has asked for it (`Call.maker`; empty: the control API), and alone may take that back. `token`: what stands in
    its Stasis arguments. `to`: whom it calls.
    """

    channel: str
    route: str
    steps: tuple[bytes, ...]
    state: bytes | None
    tenant: str = ""
    by: str = ""
    token: str = ""
    to: str = ""


class Push(Effect, frozen=True):
    """The verb `notify`: a durable delivery of `body` to `url`, or to a notify route."""

    id: str
    url: str
    route: str
    body: bytes
    timestamp: str


class Report(Effect, frozen=True):
    fact: Fact


class Missing(Effect, frozen=True):
    """The call's channel is not there, and no StasisEnd has said so: infer it."""


class Gone(Effect, frozen=True):
    """The call is over and everything of it is delivered: forget it."""
