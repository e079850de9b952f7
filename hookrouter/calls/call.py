"""The whole of one call's state: a plain value that is written to disk, read back, and goes on where it was."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from hookrouter.actions.vocabulary import AnyRun
from hookrouter.policy.authority import ROLES

MOST_TAGS = 50
VERSION = 3
"""3: what a call owns is kept by kind and id. Snapshots of earlier versions are read all the same."""

Things = dict[str, dict[str, str]]
"""Kind (the value of `hookrouter.policy.parameters.Kind`) → id → what the call has it for."""


class Pending(msgspec.Struct):
    """An ARI request without a reply yet. `program` empty: nobody waits for it any more; then `undo` follows a 2xx."""

    operation: str
    params: dict[str, Any]
    program: str = ""
    name: str = ""
    undo: tuple[str, dict[str, Any]] | None = None


class Outgoing(msgspec.Struct):
    """One event for the control endpoint, in the order in which they go out.

    `program` waits for the answer (a result); `ask` names the question of a run that does. `url` is the action's own,
    already resolved; empty: the owner's. `fallback` is set once the owner has failed and `fallback.url` is asked.
    `data` is JSON: Asterisk's own bytes, or the router's result.
    """

    id: str
    type: str
    timestamp: str
    data: bytes
    sequence: int
    program: str = ""
    ask: str = ""
    url: str = ""
    inferred: bool = False
    fallback: bytes = b""


class DialledLeg(msgspec.Struct):
    """A channel that the call has asked for, as it is billed (hookrouter.calls.detail). An instant of 0.0: not yet, or never."""

    to: str
    dialled_at: float
    answered_at: float = 0.0
    let_go_at: float = 0.0  # when we have hung it up
    ended_at: float = 0.0
    status: str = ""
    cause: int = 0


Kind = Literal["main", "fallback", "parallel", "detached", "beside", "filler", "child"]


class Program(msgspec.Struct):
    """A list of actions being carried out: `steps[index]` runs (`run`), or its result waits for an answer (`waiting`)."""

    id: str
    kind: Kind
    steps: list[bytes]
    channel: str
    index: int = 0
    run: AnyRun | None = None
    waiting: str = ""
    when_done: str = ""
    parent: str = ""
    name: str = ""
    step_at: float = 0.0
    doubt: tuple[str, str, int] | None = None
    look_again: bool = False  # once the fate of its requests is known: something may have happened unseen
    left: int = 0  # 1 + index of the action that has given the call away
    done: int = 0  # how many steps are done and no longer in `steps`
    lent: list[str] = []  # channels of other calls that the running action may name


class Call(msgspec.Struct, kw_only=True):
    """One call; `channelless`: an event without one.

    `id` is that of the channel that began it, and stays; `channel` is who is on the line now, `former` who was and may
    still be there. `secret` makes the arguments of its legs, which nobody else can write. All instants are seconds since
    the epoch; `timers` maps a name to when it is due. `tenant` is its route's when it began.
    """

    key: str
    id: str
    asterisk: str
    app: str
    route: str
    started_at: float
    tenant: str = ""
    state: bytes = b"{}"
    name: str = ""
    caller: str = ""
    called: str = ""
    args: list[str] = []
    up: bool = False
    ended: bool = False
    end_reason: str = ""
    digits: str = ""
    closing_keys: dict[
        str, tuple[str, float]
    ] = {}  # by channel: the key that may still follow an entry, and until when
    counter: int = 0
    epoch: str = ""  # the router's start that counts on: two of them may count on from the same state
    sequences: dict[str, int] = {}
    outbox: list[Outgoing] = []
    waiting_bytes: int = 0  # of what is in the outbox
    left_out: dict[str, int] = {}  # by type: how many events are missing at the end of the outbox
    in_flight: str = ""
    programs: dict[str, Program] = {}
    requests: dict[str, Pending] = {}
    timers: dict[str, float] = {}
    owned: Things = msgspec.field(name="things", default_factory=dict)
    claimed: Things = {}  # asked for under an id that an answer chose, and Asterisk has not agreed yet
    channel: str = ""
    former: list[str] = []
    secret: str = ""
    trace: str = ""
    goes_on: dict[str, str] = {}  # what the caller hears without a program: hookrouter.calls.going_on
    music: str | None = None  # the class of the music that an action has begun: it comes back after a prompt
    still_since: float = 0.0  # since when the call stands still; 0.0: it does not
    answers: list[float] = []  # when the last answers with actions came, since the caller heard something new
    heard: str = ""  # the media that was played to its end last
    looped: bool = False  # its owner is in a loop: the actions of its answers are thrown away
    counting_since: float = 0.0  # since when answers with actions are counted (hookrouter.calls.bounds)
    taken: int = 0  # how many there were since
    over: list[str] = []  # the bounds that it has been over
    fallen: int = 0  # since the last answer with actions the fallback's were taken (1), or `continue` after them (2)
    last_event: str = ""  # the type of the event that was answered last
    last_answer: str = ""  # what the answer said
    tags: dict[str, str] = {}  # the endpoint's own words, by which the call is found
    entered_at: float = 0.0  # from here on hookrouter.calls.detail, 0.0: not yet
    answered_at: float = 0.0
    answer_told: bool = False  # by an event, not only by a reply
    ended_at: float = 0.0
    dialled: str = ""  # whom a call of ours was to; empty: it came in
    legs: dict[str, DialledLeg] = {}
    legs_left_out: int = 0
    seconds_left_out: float = 0.0
    in_bridge: str = ""
    beside: list[str] = []  # who is in that bridge, too
    talks_since: float = 0.0
    talked: float = 0.0
    detailed: bool = False  # its CallEnded is told, or nobody wants it
    channelless: bool = False  # no call, but an event that belongs to none, and what its answer asks for
    version: int = VERSION

    def __post_init__(self) -> None:
        self.channel = self.channel or self.id

    @property
    def state_json(self) -> bytes:
        return self.state

    @property
    def numbered(self) -> str:
        """The counter, as ids carry it."""
        return f"{self.epoch}.{self.counter}" if self.epoch else str(self.counter)

    @property
    def maker(self) -> str:
        """What recordings are known by to be this call's; an id may come again, such as one that an API client chose."""
        return f"{self.key} {self.started_at}"

    def things(self) -> Iterator[tuple[str, str]]:
        """(kind, id) of all that is the call's or may become so."""
        for found in (self.owned, self.claimed):
            for kind, ids in found.items():
                for id in ids:
                    yield kind, id


def tagged(tags: dict[str, str], new: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The tags of a call with new ones; where there are too many the oldest go."""
    kept = {name: value for name, value in tags.items() if name not in dict(new)} | dict(new)
    return dict(list(kept.items())[-MOST_TAGS:])


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Call).decode


class _First(msgspec.Struct):
    """What versions 1 and 2 wrote otherwise: id → role, all kinds in one."""

    owned: dict[str, str] = {}


_decode_first = msgspec.msgpack.Decoder(_First).decode


def encode_call(call: Call) -> bytes:
    """The snapshot for the journal."""
    return _encode(call)


def decode_call(snapshot: bytes) -> Call:
    """The call that a snapshot holds. Raises msgspec.DecodeError where another version wrote what we cannot read."""
    call = _decode(snapshot)
    if call.version < 2:
        call.goes_on["unknown"] = ""  # it may hear something that nobody noted then
    if call.version < 3:
        for id, role in _decode_first(snapshot).owned.items():
            if role in ROLES:
                call.owned.setdefault(ROLES[role].value, {})[id] = role
    if call.ended and not call.ended_at:
        call.detailed = True  # an earlier version has told its end
    call.version = VERSION
    return call
