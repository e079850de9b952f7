"""Carries out what the machine asks for: first the disk, then Asterisk and the endpoints, each call in its own order.

Rules:
- One input at a time per call, in the turn of the loop in which it comes; nothing here awaits between input and state.
- What is only to be kept (a copy for a notify route, a call that is expected) goes into the same write as the state that
  it follows from: both are there after a crash, or neither.
- What is not harmless to repeat is done only after the state that knows of it is on disk. What is harmless may go first,
  but never before what the same call asked of the same side earlier: requests to Asterisk keep their order, deliveries
  keep theirs, and neither waits for the other. To deliver an event that is on disk is harmless: it has one id.
- Writes wait for those of others where nobody on the line waits for them: the call has ended, or the event is one that
  only tells what has happened anyway.
- A failing disk does not stop live calls: the journal says so, and the effects follow all the same. But where another router
  may go on with a call from what is on disk, what is not there yet is not done: it would be done twice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any, Protocol, TypeVar, TypeVarTuple

from hookrouter.actions.base import Member, Peer, Reply
from hookrouter.actions.decode import Answer
from hookrouter.actions.recorded import LENGTH
from hookrouter.actions.say import SPEECH
from hookrouter.ari.operations import Request, operation
from hookrouter.ari.performing import Reply as NoReply
from hookrouter.ari.repeating import Repeat
from hookrouter.calls import detail
from hookrouter.calls.board import Board, Live
from hookrouter.calls.call import Call, Outgoing
from hookrouter.calls.doer import Doer
from hookrouter.calls.effects import (
    Announce,
    Arm,
    Disarm,
    Effect,
    Gone,
    Missing,
    Perform,
    Push,
    Recorded,
    Report,
    Send,
    Settled,
    Signal,
    Tell,
    Unwatch,
    Watch,
)
from hookrouter.calls.journal import Journal
from hookrouter.calls.machine import Turn
from hookrouter.clock import Clock
from hookrouter.delivery.outcome import Answered, Unanswered
from hookrouter.errors import StoreError
from hookrouter.facts import Facts, Warned

E = TypeVar("E", Perform, Send)
Input = TypeVarTuple("Input")
_HARMLESS = frozenset({Repeat.SAFE, Repeat.GONE_IS_DONE})
_WRITTEN_WITHIN = 0.05
_TOLD_WITHIN = 0.02
_SAVED_AT_ONCE = 200
_TELLING = frozenset(
    {
        "ChannelVarset", "ChannelStateChange", "ChannelHangupRequest", "ChannelDialplan", "ChannelCallerId",
        "ChannelConnectedLine", "ChannelCreated", "ChannelDestroyed", "PlaybackStarted", "RecordingStarted",
    }
)  # fmt: skip


class Ari(Protocol):
    """What the runner needs of an `AriClient`."""

    async def perform(
        self,
        request: Request,
        *,
        doubtful: bool = False,
        channel_busy: Callable[[], bool] | None = None,
        timeout: float = 3.0,
        call: str = "",
        patient: bool = False,
    ) -> Reply: ...

    async def length(self, name: str, format: str) -> Reply:
        """200 and {"seconds": …} of a stored recording, or 404 where that cannot be told."""
        ...


class Outside(Protocol):
    """The rest of the router, as far as calls need it; `hookrouter.flow.Flow` is it."""

    async def control(self, live: Live, outgoing: Outgoing) -> Answered[Answer] | Unanswered: ...
    async def speak(self, asterisk: str, text: str, lang: str, voice: str) -> Reply:
        """200 and {"media": URI}, or what is wrong."""
        ...

    def tell(self, live: Live, told: Tell) -> None: ...
    def push(self, live: Live, push: Push) -> None: ...
    def announce(self, live: Live, announced: Announce) -> None: ...
    def missing(self, live: Live) -> None: ...
    def recorded(self, live: Live, recorded: Recorded) -> None: ...
    def recorder(self, asterisk: str, name: str) -> tuple[str, str] | None:
        """The tenant and the name (`Call.maker`) of the call that has made the recording; None: no call of ours has."""
        ...

    def settled(self, asterisk: str, channel: str) -> None:
        """It is known now whether Asterisk has made a channel of this id for the call that asked for it."""
        ...

    def wanted(self, type: str) -> bool: ...
    def controls(self, route: str, tenant: str) -> bool: ...


class _World:
    """What one call sees of the others."""

    __slots__ = ("_asterisk", "_board", "_outside", "begins", "controls", "wanted")

    def __init__(self, board: Board, asterisk: str, outside: Outside) -> None:
        self.begins = board.rates.take
        self._board = board
        self._asterisk = asterisk
        self._outside = outside
        self.wanted = outside.wanted
        self.controls = outside.controls

    def peer(self, call_id: str) -> Peer | None:
        live = self._board.by_channel(call_id, self._asterisk)
        return live.call if live is not None and not live.call.ended else None

    def members(self, room: str) -> Sequence[Member]:
        return self._board.members(self._asterisk, room)

    def tenant_of(self, kind: str, id: str) -> str | None:
        if kind == "stored recording":
            made = self._outside.recorder(self._asterisk, id)
            return made[0] if made is not None else None
        live = self._board.of(self._asterisk, kind, id)
        return live.call.tenant if live is not None else None

    def like(self, channel: str) -> str | None:
        return self._board.like(self._asterisk, channel)

    def maker(self, recording: str) -> str:
        made = self._outside.recorder(self._asterisk, recording)
        return made[1] if made is not None else ""

    def taken(self, kind: str, id: str) -> bool:
        return self._board.taken(self._asterisk, kind, id)


class Runner:
    """Runs every live call. All methods belong to the event loop's thread."""

    def __init__(
        self, board: Board, clients: Mapping[str, Ari], journal: Journal, outside: Outside, facts: Facts, clock: Clock
    ) -> None:
        self.board = board
        self._clients = clients
        self._journal = journal
        self._outside = outside
        self._facts = facts
        self._clock = clock
        self._tasks: dict[asyncio.Task[None], str] = {}  # and for which Asterisk
        self._worlds: dict[str, _World] = {}
        self.stopping = False
        self.permitted: Callable[[str], Awaitable[object]] | None = (
            None  # waits until an Asterisk is ours, if it may be another's
        )
        self.shared: Callable[[], bool] = lambda: False
        """Whether other routers may go on with our calls, from what is on disk."""
        self._held: list[Callable[[], None]] = []  # what waits until the journal takes writes again
        self.epochs: dict[str, str] = {}  # by Asterisk: of this start, for the ids of every call's
        self._rest: dict[type[Effect], Callable[[Live, Any], None]] = {
            Arm: self._arm,
            Disarm: self._disarm,
            Watch: lambda live, effect: board.watch(live, effect.kind, effect.id),
            Unwatch: lambda live, effect: board.unwatch(live, effect.kind, effect.id),
            Recorded: lambda live, effect: outside.recorded(live, effect),
            Tell: lambda live, effect: outside.tell(live, effect),
            Push: lambda live, effect: outside.push(live, effect),
            Announce: lambda live, effect: outside.announce(live, effect),
            Gone: self._gone,
        }

    # ---- inputs -----------------------------------------------------------------------------------------------

    def turn(self, live: Live, act: Callable[[Turn, *Input], None], *input: *Input) -> None:
        """Hands one input to the machine and carries out what follows: `act` is called with a `Turn` and `input`."""
        call = live.call
        world = self._worlds.get(call.asterisk)
        if world is None:
            world = self._worlds[call.asterisk] = _World(self.board, call.asterisk, self._outside)
        turn = Turn(call, live.route, world, self._clock.now(), Doer)
        act(turn, *input)
        if turn.put:
            put = turn.put
            live.unsaved.update(put)
            self._carry_out(live, turn.effects)
            behind = live.sends and not call.ended  # what is put has its turn after something that may be patient
            hurry = behind and any(out.type not in _TELLING for out in call.outbox[-len(put) :])
            within = 0.0 if hurry else _WRITTEN_WITHIN
            self._kept(partial(live.unsaved.difference_update, put), within)
        else:
            self._carry_out(live, turn.effects)

    def enter(self, call: Call, route: Any) -> Live:
        """A call that begins now: on the board, and to be handed its first input."""
        call.epoch = self.epochs.get(call.asterisk, "")
        live = Live(call, route)
        self.board.add(live)
        return live

    def take_up(self, call: Call, route: Any) -> Live:
        """A call read from the journal: on the board, and nothing done yet."""
        call.epoch = self.epochs.get(call.asterisk, "")
        live = Live(call, route)
        self.board.add(live)
        own = dict.fromkeys((call.id, call.channel, *call.former))
        own |= dict.fromkeys(detail.legs_that_go_on(call))
        for kind, id in (*(("channel", id) for id in own), *call.things()):
            self.board.watch(live, kind, id)
        return live

    def recovered(self) -> None:
        """The journal takes writes again. Every live call is written once more: a database may have lost what was there."""
        held, self._held = self._held, []
        for then in held:
            self._kept(then, 0.0)
        self._spawn(self._save_all(), "")

    async def on_disk(self) -> None:
        """Waits until all that has been handed over is on disk; one that refuses is waited for where others read it."""
        kept = asyncio.Event()
        self._kept(kept.set, 0.0)
        await kept.wait()

    async def _save_all(self) -> None:
        keys = list(self.board.calls)
        for begin in range(0, len(keys), _SAVED_AT_ONCE):
            for key in keys[begin : begin + _SAVED_AT_ONCE]:
                if live := self.board.calls.get(key):
                    self._journal.save_call(key, live.call.asterisk, live.snapshot)
            try:
                await self._journal.settled()
            except StoreError:
                return  # it comes back once more

    def discard(self, asterisk: str, channel: str) -> None:
        """Hangs up a channel of ours that belongs to no call any more."""
        self.send(asterisk, Request("channels.hangup", {"channelId": channel}))

    def send(self, asterisk: str, request: Request) -> None:
        """A request that belongs to no call."""
        self._spawn(self._perform_alone(asterisk, request), asterisk)

    async def _perform_alone(self, asterisk: str, request: Request) -> None:
        await self._clients[asterisk].perform(request)

    def let_go(self, asterisk: str) -> None:
        """Another router goes on with the calls of this Asterisk: nothing is done or written for them here any more."""
        for live in self.board:
            if live.call.asterisk == asterisk:
                live.let_go = True
                for handle in live.timers.values():
                    handle.cancel()
                self.board.remove(live)
        for task, of in self._tasks.items():
            if of == asterisk:
                task.cancel()

    async def stop(self) -> None:
        """Leaves every call where it is: nothing is sent any more, all states are on disk."""
        self.stopping = True
        for live in self.board:
            for handle in live.timers.values():
                handle.cancel()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ---- effects ----------------------------------------------------------------------------------------------

    def _carry_out(self, live: Live, effects: list[Effect]) -> None:
        later: list[Signal | Missing | Settled] = []
        requests: list[Perform] = []
        sends: list[Send] = []
        for effect in effects:
            kind = effect.__class__
            if kind is Report:
                self._facts.emit(effect.fact)  # type: ignore[attr-defined]
            elif kind is Perform:
                requests.append(effect)  # type: ignore[arg-type]
            elif kind is Send:
                sends.append(effect)  # type: ignore[arg-type]
            elif kind is Signal or kind is Missing or kind is Settled:
                later.append(effect)  # type: ignore[arg-type]
            else:
                self._rest[kind](live, effect)
        call = live.call
        if call.key in self.board.calls:
            self._journal.save_call(call.key, call.asterisk, live.snapshot)
        if requests:
            self._queue(live, live.requests, requests)
        if sends:
            self._queue(live, live.sends, sends)
        for effect in later:
            if isinstance(effect, Signal):
                self._signal(live, effect)
            elif isinstance(effect, Settled):
                self._outside.settled(call.asterisk, effect.channel)
            else:
                self._outside.missing(live)

    def _disarm(self, live: Live, disarm: Disarm) -> None:
        if handle := live.timers.pop(disarm.key, None):
            handle.cancel()

    def _gone(self, live: Live, _: Gone) -> None:
        self._journal.drop_call(live.call.key)
        self.board.remove(live)

    def _queue(self, live: Live, waiting: deque[E], effects: list[E]) -> None:
        if not waiting:
            while effects and _harmless(live, effects[0]):
                self._do(live, effects.pop(0))
            if not effects:
                return
        waiting.extend(effects)
        count = len(effects)

        def on_disk() -> None:
            for _ in range(count):
                self._do(live, waiting.popleft())

        self._kept(on_disk, _WRITTEN_WITHIN if live.call.ended else min(map(_patience, effects)))

    def _kept(self, then: Callable[[], None], within: float) -> None:
        """Calls `then` when all that there is now is on disk, or cannot be kept and nobody could miss it there."""

        def done(error: StoreError | None) -> None:
            if error is not None and self.shared():
                self._held.append(then)
            else:
                then()

        self._journal.committed(done, within=within)

    def _do(self, live: Live, effect: Perform | Send) -> None:
        if self.stopping or live.let_go:
            return
        if isinstance(effect, Perform):
            self._spawn(self._perform(live, effect), live.call.asterisk)
        else:
            self._spawn(self._send(live, effect.outgoing), live.call.asterisk)

    def _spawn(self, work: Coroutine[Any, Any, None], asterisk: str) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks[task] = asterisk
        task.add_done_callback(self._tasks.__delitem__)

    async def _perform(self, live: Live, effect: Perform) -> None:
        try:
            if effect.operation == SPEECH:
                reply = await self._outside.speak(live.call.asterisk, **effect.params)
            elif effect.operation == LENGTH:
                reply = await self._clients[live.call.asterisk].length(**effect.params)
            else:
                reply = await self._clients[live.call.asterisk].perform(
                    Request(effect.operation, effect.params), doubtful=effect.doubtful,
                    channel_busy=lambda: live.busy, call=live.call.id, patient=True,
                )  # fmt: skip
        except Exception as error:  # noqa: BLE001  a mistake of ours must not leave the caller in silence
            message = f"{effect.operation}: {type(error).__name__}: {error}"
            self._facts.emit(Warned("internal", message, live.call.id))
            reply = NoReply(0, message.encode(), "unknown")
        self.turn(live, Turn.on_reply, effect.key, reply)

    async def _send(self, live: Live, outgoing: Outgoing) -> None:
        outcome: Answered[Answer] | Unanswered
        if self.permitted is not None:
            await self.permitted(live.call.asterisk)
        try:
            outcome = await self._outside.control(live, outgoing)
        except Exception as error:  # noqa: BLE001  a mistake of ours must not leave the caller in silence either
            outcome = Unanswered("internal_error", detail=f"{type(error).__name__}: {error}")
            self._facts.emit(Warned("internal", f"delivering {outgoing.type}: {outcome.detail}", live.call.id))
        if isinstance(outcome, Answered):
            self.turn(live, Turn.answered, outgoing.id, outcome.answer, outcome)
        else:
            self.turn(live, Turn.unanswered, outgoing.id, outcome)

    def _arm(self, live: Live, arm: Arm) -> None:
        if handle := live.timers.pop(arm.key, None):
            handle.cancel()
        delay = max(0.0, arm.at - self._clock.now())
        live.timers[arm.key] = asyncio.get_running_loop().call_later(delay, self._due, live, arm.key)

    def _due(self, live: Live, key: str) -> None:
        live.timers.pop(key, None)
        if not self.stopping:
            self.turn(live, Turn.on_timer, key)

    def _signal(self, sender: Live, signal: Signal) -> None:
        asterisk = sender.call.asterisk
        if (live := self.board.by_channel(signal.target, asterisk)) is not None and not live.call.ended:
            targets = [live]
        else:
            targets = [
                live for live in self.board.watching(asterisk, signal.target)
                if live is not sender and not live.call.ended
            ]  # fmt: skip
        for target in targets:
            self.turn(target, Turn.on_signal, signal.name, signal.data)


def _patience(effect: Perform | Send) -> float:
    """How many seconds it may wait for somebody else's write."""
    return _TOLD_WITHIN if isinstance(effect, Send) and effect.outgoing.type in _TELLING else 0.0


def _harmless(live: Live, effect: Perform | Send) -> bool:
    """Whether doing it again after a crash changes nothing."""
    if isinstance(effect, Send):
        return effect.outgoing.id not in live.unsaved
    found = operation(effect.operation)
    return found is not None and found.repeat in _HARMLESS


__all__ = ["Ari", "Awaitable", "Outside", "Runner"]
