"""What every verb is made of: its fields (`Action`), its work in progress (`Run`), and what it may do (`Do`).

Rules:
- An action is a frozen msgspec struct; its fields, limits and docstrings are the published schema and documentation.
- A run is a plain serialisable struct: after a crash it is read back and goes on where it was. It holds no action,
  no time and no connection; all of that comes through `Do`.
- A run is told everything that concerns its call (events, replies to its requests, its timers, its child programs,
  a hangup) and ends with exactly one `do.finish(...)` or `do.fail(...)`.
- Nothing here waits: a method asks for things and returns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, ClassVar, Literal, Protocol

import msgspec
from msgspec import Meta

from hookrouter.actions.json_text import BIG_NUMBER, bad_part, state_json
from hookrouter.actions.nested import OnError
from hookrouter.ari.events import Event
from hookrouter.policy.parameters import Kind

LEG = "hookrouter-leg"
"""The first Stasis argument of a leg: it belongs to a call, and is none."""

CALL = "hookrouter-call"
"""The first Stasis argument of a call that we have asked for."""

MAX_STATE_BYTES = 16 * 1024
"""How much JSON a call's state may be."""


def state_fault(state: msgspec.Raw | msgspec.UnsetType) -> Iterator[tuple[str, str]]:
    """What is wrong with a call's new state, with its place in what holds it."""
    if isinstance(state, msgspec.UnsetType):
        return
    try:
        found = state_json(bytes(state))
    except ValueError:
        keys, why = bad_part(bytes(state))
        yield "/" + "/".join(("state", *keys)), f"not JSON: {why}" if why else BIG_NUMBER
    else:
        if len(found) > MAX_STATE_BYTES:
            yield "/state", f"{len(found)} bytes of JSON; a state may have {MAX_STATE_BYTES}"


class Step(msgspec.Struct, frozen=True):
    """One decoded action beside the JSON that it was given as."""

    raw: bytes
    action: Action


class Action(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel", tag_field="action"):
    """The fields that every action takes."""

    id: Annotated[str, Meta(max_length=256, description="Yours; comes back in `data.action` of the result.")] | None = (
        None
    )
    wait: Annotated[
        bool, Meta(description="`false`: go on with the next action at once, without waiting for this one's end.")
    ] = True
    on_error: Annotated[
        OnError | None,
        Meta(
            description="What follows when this action fails: `stop` (the default) ends the program and sends "
            "`ActionFailed`, `continue` goes on with the next action, a list of actions runs in place of the rest."
        ),
    ] = None

    result: ClassVar[str | None] = None  # the event type that tells its result
    quiet: ClassVar[bool] = False  # True: the result is only sent where it is asked for
    talks: ClassVar[bool] = False  # True: what is typed meanwhile is for somebody else, and answers no later question
    leaves: ClassVar[bool] = False  # True: the call is no longer ours when it is done
    beside: ClassVar[bool] = False  # with `wait` false: goes on when the program is replaced
    takes_over: ClassVar[bool] = False  # it goes on with the parties of the action that it replaces
    callless: ClassVar[bool] = False  # True: needs no call; allowed in the answer to an event that belongs to none
    internal: ClassVar[bool] = False  # True: only the router itself makes it
    subject: ClassVar[str] = ""  # the field that says whom or what it is about, for the log
    group: ClassVar[str] = "call"  # the chapter of the documentation
    examples: ClassVar[tuple[str, ...]] = ()  # JSON, executed by the tests
    completes: ClassVar[str] = "At once."  # when it is complete, for the documentation

    def about(self) -> str:
        """Whom or what it is about, for the log; empty: the verb says all."""
        found = getattr(self, self.subject) if self.subject else ""
        return found if isinstance(found, str) else ", ".join(map(str, found))

    def check(self) -> Iterator[tuple[str, str]]:
        """What no single field can tell: yields (pointer below the action, message with its remedy)."""
        return iter(())

    def run(self) -> Run:
        """A fresh run of this action."""
        raise NotImplementedError

    @property
    def verb(self) -> str:
        return str(self.__struct_config__.tag)


class Reply(Protocol):
    """Asterisk's reply to a request: an HTTP status (0: none came) and the body."""

    @property
    def status(self) -> int: ...
    @property
    def body(self) -> bytes: ...
    @property
    def fate(self) -> str: ...


Outcome = Literal["done", "failed", "left"]
"""How a child program ended: by itself, by a failure (`do.error`), or by a `hangup` (or the like) of its channel."""


class CallView(Protocol):
    """What a run may know of its call; see `hookrouter.calls.call.Call`."""

    @property
    def id(self) -> str: ...
    @property
    def channel(self) -> str: ...
    @property
    def asterisk(self) -> str: ...
    @property
    def app(self) -> str: ...
    @property
    def route(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def up(self) -> bool: ...
    @property
    def ended(self) -> bool: ...
    @property
    def caller(self) -> str: ...
    @property
    def called(self) -> str: ...
    @property
    def started_at(self) -> float: ...
    @property
    def state_json(self) -> bytes: ...


class Peer(Protocol):
    """Another live call, or a member of a room, as far as a verb may know it."""

    @property
    def id(self) -> str: ...
    @property
    def channel(self) -> str:
        """Who is on its line now."""
        ...

    @property
    def route(self) -> str: ...
    @property
    def tenant(self) -> str: ...
    @property
    def state_json(self) -> bytes: ...


class Do(Protocol):
    """What a run may ask for. All of it happens after the call's new state is on disk."""

    error: tuple[str, str, int]  # in `on_child(…, "failed")`: the child's reason, message and status

    @property
    def call(self) -> CallView: ...

    @property
    def now(self) -> float:
        """Seconds since the epoch."""
        ...

    @property
    def channel(self) -> str:
        """The channel that this program acts on: the call's own, or a leg's."""
        ...

    @property
    def action(self) -> Any: ...

    @property
    def raw(self) -> bytes: ...

    @property
    def handed(self) -> Mapping[str, Any] | None:
        """What the replaced action has handed over, to one that `takes_over`."""
        ...

    def owned(self, *roles: str) -> Sequence[str]:
        """The ids of what the call has in these roles, in order of the roles and then of age."""
        ...

    def owns(self, role: str, id: str) -> bool: ...

    def claimed(self, *roles: str) -> Sequence[str]:
        """As `owned`, of what has only been asked for."""
        ...

    def new_id(self, kind: str) -> str:
        """A fresh id of ours; the same after a crash, as the counter is part of the call."""
        ...

    def arguments(self, kind: str, channel: str) -> str:
        """The Stasis arguments of a channel that is asked for (`LEG`, `CALL`): another that comes with them has taken
        its place. Nobody else can write them.
        """
        ...

    def own(self, role: str, id: str) -> None:
        """From now on `id` is the call's, and its events too; bridges, legs and snoops go when the call does.

        `role`: what the call has it for (`hookrouter.policy.authority.ROLES`). Only for an id of `new_id`, or once
        Asterisk has agreed: for one that an answer chose, see `claim`.
        """
        ...

    def claim(self, role: str, id: str, *, ours: bool = False) -> str | None:
        """The call is going to ask for a thing with an id that an answer chose: its events are heard, and nothing else.

        Why it may not, where it is, or could be, somebody else's (then nothing has changed). `own` follows Asterisk's
        2xx, `disown` its refusal. `ours`: it has been made from what the answer said, and has our own form.
        """
        ...

    def disown(self, role: str, id: str) -> None: ...

    def disclaim(self, role: str, id: str) -> None:
        """Takes back a `claim`; what is owned by now stays."""
        ...

    def recorded(self, name: str, *, gone: bool = False) -> None:
        """A stored recording has been made by this call without being recorded (a copy), or is `gone`."""
        ...

    def borrow(self, channel: str) -> None:
        """The running action may name this channel of another call, as its rules allow; until it ends."""
        ...

    def refusal(self, operation: str, params: Mapping[str, Any]) -> str | None:
        """Why an operation that an answer has named may not be sent; None where it may."""
        ...

    def request(
        self, operation: str, name: str = "", /, *, undo: tuple[str, dict[str, Any]] | None = None, **params: Any
    ) -> None:
        """Sends an ARI request; `on_reply(name, …)` follows. `undo` is sent if the run is gone by the reply.

        One that names what is not the call's is not sent: its reply has the fate `forbidden`.
        """
        ...

    def cast(self, operation: str, /, **params: Any) -> None:
        """An ARI request whose reply nobody waits for: cleaning up. It is still retried and survives a crash."""
        ...

    def after(self, delay: float, name: str = "") -> None:
        """`on_timer(name)` after `delay` seconds; the same name again replaces it."""
        ...

    def cancel(self, name: str = "") -> None: ...

    def spawn(self, steps: Sequence[bytes], name: str, *, channel: str | None = None) -> None:
        """Runs nested actions, `on_child(name, outcome)` when they have ended; at most one of a name at a time."""
        ...

    def beside(self, step: bytes) -> None:
        """Runs an action of its own beside the program, whatever becomes of this one."""
        ...

    def kill(self, name: str) -> None:
        """Stops a child program; no `on_child` follows."""
        ...

    def running(self, name: str) -> bool: ...

    def finish(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        then: Sequence[bytes] | None = None,
        told: bool = False,
        type: str | None = None,
    ) -> None:
        """The action is complete. `data` goes into its result; `then` runs before the rest; `told`: no result is sent."""
        ...

    def fail(self, reason: str, message: str, status: int = 0) -> None:
        """The action has failed: `onError` decides what follows."""
        ...

    def tell(self, type: str, data: Mapping[str, Any]) -> None:
        """An event of the router's own to the owner, beside the program; its answer is an ordinary answer."""
        ...

    def ask(self, type: str, data: Mapping[str, Any], name: str, *, url: str | None = None) -> None:
        """As `tell`, but the actions of the answer come to `on_answer(name, steps)` and are not run by themselves."""
        ...

    def take_digits(self) -> str:
        """What the caller typed and nothing used yet; taking it empties the buffer. A leg finds nothing there."""
        ...

    def give_back(self, digits: str) -> None:
        """What was taken and is for what follows."""
        ...

    def expect_closing(self, key: str, within: float) -> None:
        """`key` belongs to what this run has collected, if it is the next one and comes within so many seconds."""
        ...

    def peer(self, call_id: str) -> Peer | None:
        """Another live call that this one may touch (same route, or scope `any`), or None."""
        ...

    def is_nobodys(self, kind: Kind, id: str) -> bool:
        """Whether no call has the thing, nor has made it."""
        ...

    def is_others(self, kind: Kind, id: str) -> bool:
        """Whether a thing belongs to a call of another tenant."""
        ...

    def may_touch(self, kind: Kind, id: str) -> bool:
        """Whether a thing belongs to this call, or the route's scope reaches it."""
        ...

    def members(self, room: str) -> Sequence[Member]:
        """Who is in a shared room now, in order of entry; rooms are known by what the members' runs say of themselves."""
        ...

    def signal(self, target: str, name: str, data: Mapping[str, Any] | None = None) -> None:
        """`on_signal(name, data)` at every run in room `target`, or at every run of the call with that id."""
        ...

    def notify(self, url: str | None, route: str | None, body: bytes) -> None:
        """A durable delivery beside the call, as a notify event is."""
        ...

    def set_state(self, state: bytes) -> None: ...

    def originate_call(
        self, channel: str, route: str, steps: Sequence[bytes], state: bytes | None, to: str = ""
    ) -> None:
        """Announces a channel of ours that is to become a call of its own when it enters the app."""
        ...

    def controls(self, route: str) -> bool:
        """Whether there is a control route of this name, and of the call's tenant."""
        ...


class Member(msgspec.Struct, frozen=True):
    """One run in a shared room: which call it is, and what it says of itself."""

    call: str
    channel: str
    since: float
    data: dict[str, Any] = {}


class Run(msgspec.Struct, kw_only=True, tag_field="run"):
    """The progress of one action. The base completes with the first reply: enough for verbs that are one request.

    `raw`: an answer has named the operation itself, so that nothing but the call's own may be in it.
    """

    raw: ClassVar[bool] = False
    channels: ClassVar[tuple[str, ...]] = ()  # the fields that hold ids of channels: others may take their places

    def start(self, do: Do) -> None:
        raise NotImplementedError

    def on_reply(self, name: str, reply: Reply, do: Do) -> None:
        if 200 <= reply.status < 300:
            do.finish()
        else:
            fail_with(do, reply)

    def on_event(self, event: Event, do: Do) -> None:
        """Any event of the call; most runs look at few."""

    def on_key(self, channel: str, key: str, do: Do) -> bool:
        """A key that was pressed on a channel of the call; True: it was for this run, and is nobody else's."""
        return False

    def on_timer(self, name: str, do: Do) -> None:
        """A timer of this run's that has come due."""

    def on_child(self, name: str, outcome: Outcome, do: Do) -> None:
        """A child program that has ended by itself."""

    def on_answer(self, name: str, steps: Sequence[bytes] | None, do: Do) -> None:
        """The answer to `do.ask`; None where none came."""

    def on_replaced(self, old: str, new: str, event: Event, do: Do) -> None:
        """Another channel has taken a place; the fields in `channels` say `new` for `old` by now."""

    def on_signal(self, name: str, data: Mapping[str, Any], do: Do) -> None:
        """Something that another call's run said to the room or to this call."""

    def stop(self, do: Do) -> None:
        """Replaced: give back what would go on by itself (a playback, a recording). Neither finish nor fail."""

    def on_limit(self, do: Do) -> None:
        """It asked for more than its route may have at a time, and fails after this: give back what it has so far."""
        self.stop(do)

    def on_hangup(self, do: Do) -> None:
        """The call has ended. The default drops the action; a run that has a result finishes, now or soon."""
        do.finish(told=True)

    def on_resume(self, do: Do) -> None:
        """Read back after a crash, or connected again: look at what may have happened meanwhile.

        Who is in the run's `bridge` comes as events by itself; see `in_bridge`.
        """

    def in_bridge(self, do: Do) -> tuple[str, ...]:
        """The channels that this run takes to be in its `bridge`; after a loss, those that are not have left."""
        return ()

    def hand_over(self, do: Do) -> Mapping[str, Any] | None:
        """Replaced by an action that goes on with its parties: what they are. They are no longer this run's business."""
        return None

    def room(self) -> tuple[str, dict[str, Any]] | None:
        """The shared room that this run is in, and what it says of itself there."""
        return None


class RequestRun(Run, tag="request"):
    """A verb that is one request on its channel."""

    def start(self, do: Do) -> None:
        operation, params = do.action.request(do.channel)
        do.request(operation, **params)


class RequestAction(Action, frozen=True):
    """The base of verbs that are one ARI request."""

    undo: ClassVar[str | None] = None  # the operation that takes it back, used when a filler ends

    def request(self, channel: str) -> tuple[str, dict[str, Any]]:
        """The operation and its parameters."""
        raise NotImplementedError

    def run(self) -> Run:
        return RequestRun()


def dissolve(do: Do, bridge: str, *others: str) -> None:
    """Ends a bridge of ours, if it is there. The caller is taken out of it before, and so are `others` of other calls: a
    sound that is asked for while a channel is still on its way out of a bridge is lost, and nothing tells of it."""
    if do.owns("bridge", bridge):
        if not do.call.ended:
            do.cast("bridges.removeChannel", bridgeId=bridge, channel=[do.channel])
        for other in others:
            do.cast("bridges.removeChannel", bridgeId=bridge, channel=[other])
        do.cast("bridges.destroy", bridgeId=bridge)
        do.disown("bridge", bridge)


def fail_with(do: Do, reply: Reply, what: str = "") -> None:
    """Fails with Asterisk's own words."""
    message = error_message(reply)
    if reply.fate == "forbidden":
        do.fail("forbidden", message)
        return
    if reply.status == 0:
        reason = "unreachable" if reply.fate == "unreachable" else "unknown"
        message = message or "Asterisk did not reply; whether it was done is not known"
    elif reply.status == 404:
        reason = "not_found"
    elif reply.status == 409:
        reason = "conflict"
    elif reply.status < 500:
        reason = "refused"
    else:
        reason = "not_supported" if reply.status == 501 else "asterisk_error"
    do.fail(reason, f"{what}: {message}" if what else message, reply.status)


def error_message(reply: Reply) -> str:
    """The `message` of ARI's error body, else the body's first 200 characters."""
    try:
        return str(msgspec.json.decode(reply.body, type=dict[str, Any]).get("message", ""))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return reply.body[:200].decode("utf-8", "replace")
