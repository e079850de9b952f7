"""The whole of one call's state: a plain value that is written to disk, read back, and goes on where it was."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from hookrouter.actions.vocabulary import AnyRun

VERSION = 1


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


class Call(msgspec.Struct, kw_only=True):
    """One call; `channelless`: an event without one.

    All instants are seconds since the epoch; `timers` maps a name to when it is due.
    """

    key: str
    id: str
    asterisk: str
    app: str
    route: str
    started_at: float
    state: bytes = b"{}"
    name: str = ""
    caller: str = ""
    called: str = ""
    args: list[str] = []
    up: bool = False
    ended: bool = False
    end_reason: str = ""
    digits: str = ""
    counter: int = 0
    sequences: dict[str, int] = {}
    outbox: list[Outgoing] = []
    in_flight: str = ""
    programs: dict[str, Program] = {}
    requests: dict[str, Pending] = {}
    timers: dict[str, float] = {}
    owned: dict[str, str] = {}
    trace: str = ""
    channelless: bool = False  # no call, but an event that belongs to none, and what its answer asks for
    version: int = VERSION

    @property
    def state_json(self) -> bytes:
        return self.state


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Call).decode


def encode_call(call: Call) -> bytes:
    """The snapshot for the journal."""
    return _encode(call)


def decode_call(snapshot: bytes) -> Call:
    """The call that a snapshot holds. Raises msgspec.DecodeError where another version wrote what we cannot read."""
    return _decode(snapshot)
