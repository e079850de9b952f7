"""Carries out what the machine asks for: first the disk, then Asterisk and the endpoints, each call in its own order.

Rules:
- One input at a time per call, in the turn of the loop in which it comes; nothing here awaits between input and state.
- What is only to be kept (a copy for a notify route, a call that is expected) goes into the same write as the state that
  it follows from: both are there after a crash, or neither.
- What is not harmless to repeat is done only after the state that knows of it is on disk. What is harmless may go first,
  but never before what the same call asked for earlier. To deliver an event that is on disk is harmless: it has one id.
- Writes wait for those of others where nobody on the line waits for them: the call has ended, or the event is one that
  only tells what has happened anyway.
- A failing disk does not stop live calls: the journal says so, and the effects follow all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from hookrouter.actions.base import Member, Peer, Reply
from hookrouter.actions.decode import Answer
from hookrouter.actions.say import SPEECH
from hookrouter.ari.operations import Request, operation
from hookrouter.ari.performing import Reply as NoReply
from hookrouter.ari.repeating import Repeat
from hookrouter.calls.board import Board, Live
from hookrouter.calls.call import Call, Outgoing, encode_call
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
    Report,
    Send,
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

_HARMLESS = frozenset({Repeat.SAFE, Repeat.GONE_IS_DONE})
_WRITTEN_WITHIN = 0.05
_TOLD_WITHIN = 0.02
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


class Outside(Protocol):
    """The rest of the router, as far as calls need it; `hookrouter.flow.Flow` is it."""

    async def control(self, live: Live, outgoing: Outgoing) -> Answered[Answer] | Unanswered: ...
    async def speak(self, text: str, lang: str, voice: str) -> Reply:
        """200 and {"media": URI}, or what is wrong."""
        ...

    def tell(self, live: Live, told: Tell) -> None: ...
    def push(self, live: Live, push: Push) -> None: ...
    def announce(self, live: Live, announced: Announce) -> None: ...
    def missing(self, live: Live) -> None: ...
    def wanted(self, type: str) -> bool: ...


class _World:
    """What one call sees of the others."""

    __slots__ = ("_asterisk", "_board", "wanted")

    def __init__(self, board: Board, asterisk: str, wanted: Callable[[str], bool]) -> None:
        self._board = board
        self._asterisk = asterisk
        self.wanted = wanted

    def peer(self, call_id: str) -> Peer | None:
        live = self._board.by_channel(call_id, self._asterisk)
        return live.call if live is not None and not live.call.ended else None

    def members(self, room: str) -> Sequence[Member]:
        return self._board.members(self._asterisk, room)


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._worlds: dict[str, _World] = {}
        self.stopping = False

    # ---- inputs -----------------------------------------------------------------------------------------------

    def turn(self, live: Live, act: Callable[[Turn], None]) -> None:
        """Hands one input to the machine and carries out what follows."""
        call = live.call
        world = self._worlds.get(call.asterisk)
        if world is None:
            world = self._worlds[call.asterisk] = _World(self.board, call.asterisk, self._outside.wanted)
        turn = Turn(call, live.route, world, self._clock.now(), Doer)
        act(turn)
        if turn.put:
            put = turn.put
            live.unsaved.update(put)
            self._carry_out(live, turn.effects)
            behind = live.queue and not call.ended  # what is put has its turn after something that may be patient
            hurry = behind and any(out.type not in _TELLING for out in call.outbox if out.id in put)
            within = 0.0 if hurry else _WRITTEN_WITHIN
            self._journal.committed(lambda error: live.unsaved.difference_update(put), within=within)
        else:
            self._carry_out(live, turn.effects)

    def start(self, call: Call, route: Any, act: Callable[[Turn], None]) -> Live:
        """A call that begins now."""
        live = Live(call, route)
        self.board.add(live)
        self.turn(live, act)
        return live

    def take_up(self, call: Call, route: Any) -> Live:
        """A call read from the journal: on the board, and nothing done yet."""
        live = Live(call, route)
        self.board.add(live)
        for id in (call.id, *call.owned):
            self.board.watch(live, id)
        return live

    def discard(self, asterisk: str, channel: str) -> None:
        """Hangs up a channel of ours that belongs to no call any more."""
        self._spawn(self._hang_up(asterisk, channel))

    async def _hang_up(self, asterisk: str, channel: str) -> None:
        await self._clients[asterisk].perform(Request("channels.hangup", {"channelId": channel}))

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
        signals: list[Signal] = []
        outside: list[Perform | Send] = []
        missing = False
        for effect in effects:
            match effect:
                case Report():
                    self._facts.emit(effect.fact)
                case Arm():
                    self._arm(live, effect)
                case Disarm():
                    if handle := live.timers.pop(effect.key, None):
                        handle.cancel()
                case Watch():
                    self.board.watch(live, effect.id)
                case Unwatch():
                    self.board.unwatch(live, effect.id)
                case Signal():
                    signals.append(effect)
                case Missing():
                    missing = True
                case Tell():
                    self._outside.tell(live, effect)
                case Push():
                    self._outside.push(live, effect)
                case Announce():
                    self._outside.announce(live, effect)
                case Gone():
                    self._journal.drop_call(live.call.key)
                    self.board.remove(live)
                case Perform() | Send():
                    outside.append(effect)
        call = live.call
        if call.key in self.board.calls:
            self._journal.save_call(call.key, call.asterisk, lambda: encode_call(call))
        if outside:
            self._queue(live, outside)
        for signal in signals:
            self._signal(live, signal)
        if missing:
            self._outside.missing(live)

    def _queue(self, live: Live, effects: list[Perform | Send]) -> None:
        if not live.queue:
            first = next((index for index, effect in enumerate(effects) if not _harmless(live, effect)), len(effects))
            for effect in effects[:first]:
                self._do(live, effect)
            effects = effects[first:]
            if not effects:
                return
        live.queue.extend(effects)
        count = len(effects)

        def on_disk(error: StoreError | None) -> None:
            for _ in range(count):
                self._do(live, live.queue.popleft())

        within = _WRITTEN_WITHIN if live.call.ended else min(map(_patience, effects))
        self._journal.committed(on_disk, within=within)

    def _do(self, live: Live, effect: Perform | Send) -> None:
        if self.stopping:
            return
        if isinstance(effect, Perform):
            self._spawn(self._perform(live, effect))
        else:
            self._spawn(self._send(live, effect.outgoing))

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _perform(self, live: Live, effect: Perform) -> None:
        try:
            if effect.operation == SPEECH:
                reply = await self._outside.speak(**effect.params)
            else:
                reply = await self._clients[live.call.asterisk].perform(
                    Request(effect.operation, effect.params), doubtful=effect.doubtful,
                    channel_busy=lambda: live.busy, call=live.call.id, patient=True,
                )  # fmt: skip
        except Exception as error:  # noqa: BLE001  a mistake of ours must not leave the caller in silence
            message = f"{effect.operation}: {type(error).__name__}: {error}"
            self._facts.emit(Warned("internal", message, live.call.id))
            reply = NoReply(0, message.encode(), "unknown")
        self.turn(live, lambda turn: turn.on_reply(effect.key, reply))

    async def _send(self, live: Live, outgoing: Outgoing) -> None:
        outcome: Answered[Answer] | Unanswered
        try:
            outcome = await self._outside.control(live, outgoing)
        except Exception as error:  # noqa: BLE001  a mistake of ours must not leave the caller in silence either
            outcome = Unanswered("internal_error", detail=f"{type(error).__name__}: {error}")
            self._facts.emit(Warned("internal", f"delivering {outgoing.type}: {outcome.detail}", live.call.id))
        if isinstance(outcome, Answered):
            self.turn(live, lambda turn: turn.answered(outgoing.id, outcome.answer))
        else:
            self.turn(live, lambda turn: turn.unanswered(outgoing.id, outcome))

    def _arm(self, live: Live, arm: Arm) -> None:
        if handle := live.timers.pop(arm.key, None):
            handle.cancel()
        delay = max(0.0, arm.at - self._clock.now())
        live.timers[arm.key] = asyncio.get_running_loop().call_later(delay, self._due, live, arm.key)

    def _due(self, live: Live, key: str) -> None:
        live.timers.pop(key, None)
        if not self.stopping:
            self.turn(live, lambda turn: turn.on_timer(key))

    def _signal(self, sender: Live, signal: Signal) -> None:
        asterisk = sender.call.asterisk
        if (live := self.board.by_channel(signal.target, asterisk)) is not None and not live.call.ended:
            targets = [live]
        else:
            targets = [
                live for live in self.board if live is not sender and live.call.asterisk == asterisk
                and not live.call.ended and signal.target in live.call.owned
            ]  # fmt: skip
        for target in targets:
            self.turn(target, lambda turn: turn.on_signal(signal.name, signal.data))


def _patience(effect: Perform | Send) -> float:
    """How many seconds it may wait for somebody else's write."""
    return _TOLD_WITHIN if isinstance(effect, Send) and effect.outgoing.type in _TELLING else 0.0


def _harmless(live: Live, effect: Perform | Send) -> bool:
    """Whether doing it again after a crash changes nothing."""
    if isinstance(effect, Send):
        return effect.outgoing.id not in live.unsaved
    if not isinstance(effect, Perform):
        return False
    found = operation(effect.operation)
    return found is not None and found.repeat in _HARMLESS


__all__ = ["Ari", "Awaitable", "Outside", "Runner"]
