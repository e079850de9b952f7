"""What happened, as frozen records, and who may observe it.

Logs, metrics, traces, the console and the demo's ladder are observers of this one stream; nothing else reports.
A fact's name is past tense; every fact carries the ids that tie it to its call, event and endpoint. Never a secret.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

Raw = Mapping[str, Any]
"""A field that is only for the record, as bytes are: no log line and no live event has it."""


class Fact(msgspec.Struct, frozen=True, gc=False, omit_defaults=True, rename={"event": "event_id"}):
    """The base of all facts. A default is the empty value, which JSON leaves out; seconds are given to 0.1 ms.

    As JSON `event` is `event_id`: in a log line, `event` is the line's name.
    """


class RouterStarted(Fact, frozen=True):
    """It serves: `url` is where its own HTTP is."""

    url: str
    dashboard: str
    version: str


class RouterStopped(Fact, frozen=True):
    """The end, on request. `calls`: how many are left as they are."""

    calls: int


class AriConnected(Fact, frozen=True):
    asterisk: str
    apps: tuple[str, ...]
    version: str = ""
    reconnect: bool = False


class AriLost(Fact, frozen=True):
    """The event socket ended. `reason`: `closed`, `ping_timeout`, `unauthorized`, `not_found`, `unavailable`, `no_answer`, `tls`."""

    asterisk: str
    reason: str
    detail: str = ""
    retry_in: float = 0.0


class AriReplaced(Fact, frozen=True):
    """Another client took the app: we stepped down."""

    asterisk: str
    app: str


class EntryTaken(Fact, frozen=True):
    """This router owns an Asterisk from now on. `why`: it was `free`, `given back`, its lease `over`, its owner `dead`, or it
    was `offered` by an owner that did not reach it, was `handed over`, or `taken back` from a hand-over; `of`: who had it.

    `seconds`: until its calls were read.
    """

    asterisk: str
    epoch: int
    why: str
    of: str = ""
    seconds: float = 0.0


class EntryHandedOver(Fact, frozen=True):
    """This router has given an Asterisk to the router `to`, as it was asked for. `seconds`: until that one was connected."""

    asterisk: str
    to: str
    seconds: float = 0.0


class EntryLost(Fact, frozen=True):
    """Another router owns an Asterisk that this one had: it has let go of its calls."""

    asterisk: str


class EventReceived(Fact, frozen=True):
    """`raw`: Asterisk's own bytes; `call` is empty where the event belongs to none."""

    asterisk: str
    type: str
    event: str
    call: str = ""
    raw: bytes = b""
    inferred: bool = False


class AriRequested(Fact, frozen=True):
    """One ARI request came to its end. `status` 0: no reply. `transport`: `http` or `ws`. `reply`: the body of it."""

    asterisk: str
    operation: str
    status: int
    seconds: float
    transport: str
    attempt: int
    call: str = ""
    detail: str = ""
    params: Raw = {}
    reply: bytes = b""


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
    tenant: str = ""


class CallResumed(Fact, frozen=True):
    """A call that goes on after the router was away. `waiting`: events that are delivered now; `programs`: what runs.

    What happened in the last moment before the router ended may be missing in the record.
    """

    call: str
    asterisk: str
    app: str
    route: str
    caller: str
    called: str
    started_at: float
    waiting: tuple[str, ...] = ()
    programs: tuple[str, ...] = ()
    message: str = ""


class CallTagged(Fact, frozen=True):
    """An answer has given the call words of the endpoint's own, by which it is found. `tags`: those that are new."""

    call: str
    tags: dict[str, str]


class CallNotAnswered(Fact, frozen=True):
    """A call of ours, by `POST /v1/calls` or `originate`, that never came to be. `status` as in `OriginateCompleted`."""

    call: str
    asterisk: str
    route: str
    status: str
    cause: int
    tenant: str = ""


class ActionStarted(Fact, frozen=True):
    call: str
    program: str
    index: int
    verb: str
    action: bytes


class ActionFinished(Fact, frozen=True):
    """`outcome`: `done`, `failed`, `stopped`. `about`: whom or what; `result`: the status or reason that its result has."""

    call: str
    program: str
    index: int
    verb: str
    outcome: str
    seconds: float
    detail: str = ""
    about: str = ""
    result: str = ""


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
    kind: str
    detail: str = ""


class Exchanged(Fact, frozen=True):
    """One HTTP attempt to the letter, for the record: `DeliveryAttempted` is its summary.

    Secrets in the headers are masked. Seconds count from the attempt's beginning; 0: a kept connection, or no answer.
    """

    event: str
    call: str
    attempt: int
    url: str
    request_headers: Raw = {}
    request: bytes = b""
    status: int | None = None
    answer_headers: Raw = {}
    answer: bytes = b""
    connect_seconds: float = 0.0
    first_byte_seconds: float = 0.0
    seconds: float = 0.0


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


class AnswerCompared(Fact, frozen=True):
    """What a candidate answered beside the route's own endpoint; nothing of it has run. `url`: the candidate's.

    `outcome`: `same`, `different`, `no_answer` (of the candidate's), `nothing_to_compare` (the own one had none),
    `skipped` (too many waited). `differences`: their places; `answer`: the candidate's body; seconds are the candidate's.
    """

    event: str
    type: str
    call: str
    route: str
    url: str
    outcome: str
    seconds: float = 0.0
    status: int | None = None
    differences: tuple[str, ...] = ()
    detail: str = ""
    answer: bytes = b""


class FallbackTaken(Fact, frozen=True):
    call: str
    route: str
    event: str
    reason: str
    kind: str  # url, actions, continue; none: the event belonged to no call


class CallStandsStill(Fact, frozen=True):
    """Nothing runs, nothing is to come, the caller hears nothing: they get the fallback. `event`: the last one's type."""

    call: str
    route: str
    event: str
    answered: str
    seconds: float
    message: str


class LateAnswer(Fact, frozen=True):
    """An answer that came after its deadline, or for a call that had ended: thrown away."""

    event: str
    call: str
    route: str


class LimitReached(Fact, frozen=True):
    """Something was over a bound of the route and was not done. `limit`: the key of routes.toml; `muted`: told before."""

    call: str
    route: str
    limit: str
    message: str
    muted: bool = False


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


class AuthRefused(Fact, frozen=True):
    """Somebody was refused at our own HTTP. `door`: `api`, `login`, `ari`; `address`: where the connection comes from.

    `times`: how many this line stands for. `muted`: one like it was told a moment ago.
    """

    door: str
    reason: str
    address: str
    asked: str
    detail: str = ""
    times: int = 1
    muted: bool = False


class HttpRefused(Fact, frozen=True):
    """A connection or a request at our own HTTP was over a bound."""

    reason: str
    address: str
    detail: str = ""
    times: int = 1
    muted: bool = False


class Warned(Fact, frozen=True):
    """Something that an operator should know, with its remedy."""

    subject: str
    message: str
    call: str = ""
    extra: dict[str, Any] = {}


_RAW = (bytes, Raw)


def said_fields(kind: type[Fact]) -> list[str]:
    """The fields of a kind that may be said aloud: all but raw bytes."""
    return [field.name for field in msgspec.structs.fields(kind) if field.type not in _RAW]


Observer = Callable[[Any], None]
Wants = Callable[[type[Fact]], bool]


class Facts:
    """Hands each fact to every observer that wants its kind, in order of subscription, in the caller's own turn of the loop.

    Who wants what is asked once for each kind: most facts have few observers, and cost no more than those.
    """

    def __init__(self, *observers: Observer) -> None:
        self._observers: list[tuple[Observer, Wants | None]] = [(observer, None) for observer in observers]
        self._of: dict[type[Fact], tuple[Observer, ...]] = {}

    def subscribe(self, observer: Observer, wants: Wants | None = None) -> Callable[[], None]:
        """Adds an observer; the returned function takes it away again. `wants`: of which kinds, None: of all."""
        entry = (observer, wants)
        self._observers.append(entry)
        self._of = {}

        def unsubscribe() -> None:
            self._observers.remove(entry)
            self._of = {}

        return unsubscribe

    def ask_again(self) -> None:
        """An observer wants other kinds than before."""
        self._of = {}

    def wanted(self, kind: type[Fact]) -> bool:
        """Whether anybody observes this kind: for facts that are dear to make."""
        observers = self._of.get(kind)
        return bool(self._ask(kind) if observers is None else observers)

    def emit(self, fact: Fact) -> None:
        observers = self._of.get(fact.__class__)
        for observer in self._ask(fact.__class__) if observers is None else observers:
            observer(fact)

    def _ask(self, kind: type[Fact]) -> tuple[Observer, ...]:
        """Also where nobody wants it: that, too, is asked once."""
        found = tuple(observer for observer, wants in self._observers if wants is None or wants(kind))
        self._of[kind] = found
        return found
