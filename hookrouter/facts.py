"""What happened, as frozen records, and who may observe it.

Logs, metrics, traces, the dashboard and the demo's ladder are observers of this one stream; nothing else reports.
A fact's name is past tense; every fact carries the ids that tie it to its call, event and endpoint. Never a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec


class Fact(msgspec.Struct, frozen=True, gc=False):
    """The base of all facts."""


class AriConnected(Fact, frozen=True):
    asterisk: str
    apps: tuple[str, ...]
    version: str = ""
    reconnect: bool = False


class AriLost(Fact, frozen=True):
    """The event socket ended. `reason`: `closed`, `ping_timeout`, `unauthorized`, `not_found`, `unavailable`, `no_answer`."""

    asterisk: str
    reason: str
    detail: str = ""
    retry_in: float = 0.0


class AriReplaced(Fact, frozen=True):
    """Another client took the app: we stepped down."""

    asterisk: str
    app: str


class EventReceived(Fact, frozen=True):
    asterisk: str
    type: str
    event: str
    call: str = ""


class AriRequested(Fact, frozen=True):
    """One ARI request came to its end. `status` 0: no reply. `transport`: `http` or `ws`."""

    asterisk: str
    operation: str
    status: int
    seconds: float
    transport: str
    attempt: int = 1
    call: str = ""
    detail: str = ""


class CallStarted(Fact, frozen=True):
    call: str
    asterisk: str
    app: str
    route: str
    caller: str = ""
    called: str = ""


class CallFinished(Fact, frozen=True):
    call: str
    asterisk: str
    route: str
    reason: str
    seconds: float


class ActionStarted(Fact, frozen=True):
    call: str
    program: str
    index: int
    verb: str
    action: bytes


class ActionFinished(Fact, frozen=True):
    """`outcome`: `done`, `failed`, `stopped`."""

    call: str
    program: str
    index: int
    verb: str
    outcome: str
    seconds: float
    detail: str = ""


class DeliveryAttempted(Fact, frozen=True):
    event: str
    type: str
    call: str
    route: str
    url: str
    attempt: int
    status: int | None
    reason: str
    seconds: float
    kind: str = "control"
    detail: str = ""


class DeliveryFinished(Fact, frozen=True):
    """`outcome`: `answered`, `unanswered`, `delivered`, `dead`, `dropped`. `actions`: verbs of the answer."""

    event: str
    type: str
    call: str
    route: str
    kind: str
    outcome: str
    attempts: int
    seconds: float
    reason: str = ""
    actions: tuple[str, ...] = ()
    detail: str = ""


class FallbackTaken(Fact, frozen=True):
    call: str
    route: str
    event: str
    reason: str
    kind: str  # url, actions, continue; none: the event belonged to no call


class LateAnswer(Fact, frozen=True):
    """An answer that came after its deadline, or for a call that had ended: thrown away."""

    event: str
    call: str
    route: str


class BreakerChanged(Fact, frozen=True):
    url: str
    state: str  # open, half_open, closed


class RoutesLoaded(Fact, frozen=True):
    path: str
    routes: int
    reload: bool = False


class RoutesRefused(Fact, frozen=True):
    """An edit of routes.toml that is wrong: the old routes stay."""

    path: str
    faults: tuple[str, ...]


class JournalFailed(Fact, frozen=True):
    """Something that should be on disk is not; live calls go on."""

    what: str
    detail: str


class JournalRecovered(Fact, frozen=True):
    what: str


class Warned(Fact, frozen=True):
    """Something that an operator should know, with its remedy."""

    subject: str
    message: str
    call: str = ""
    extra: dict[str, Any] = {}


Observer = Callable[[Fact], None]


class Facts:
    """Hands each fact to every observer, in order of subscription, in the caller's own turn of the loop."""

    def __init__(self, *observers: Observer) -> None:
        self._observers = list(observers)

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Adds an observer; the returned function takes it away again."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def emit(self, fact: Fact) -> None:
        for observer in self._observers:
            observer(fact)
