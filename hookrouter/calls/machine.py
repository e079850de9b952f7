"""The call machine: (a call's state, one input) → its new state and the effects that follow. Pure.

Rules:
- A `Turn` handles one input; everything that it wants done is in `effects`, in order.
- Events for the endpoint wait in `call.outbox`; the first of them is in flight, one at a time.
- Programs live side by side in `call.programs`; each has at most one action running. Child programs (a prompt, a
  screening) belong to the action that spawned them.
- When the call has ended, nothing new starts; what is to be delivered is delivered, and then the call is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Protocol

import msgspec

from hookrouter.actions.base import Action, Do, Member, Peer, Reply, Run
from hookrouter.actions.decode import Answer, decode_step
from hookrouter.actions.urls import resolve
from hookrouter.ari.events import Event, make_event, rfc3339
from hookrouter.calls.call import Call, Kind, Outgoing, Pending, Program
from hookrouter.calls.effects import (
    Arm,
    Disarm,
    Effect,
    Gone,
    Missing,
    Perform,
    Report,
    Send,
    Signal,
    Tell,
    Watch,
)
from hookrouter.delivery.outcome import Unanswered
from hookrouter.facts import ActionFinished, ActionStarted, CallFinished, FallbackTaken, LateAnswer, Warned
from hookrouter.timestamps import rfc3339_now

FILLER_DELAY = 1.0
LEAVE_TIMEOUT = 3.0
CLOSING_TIMEOUT = 15.0
DOUBT_DELAY = 1.0
GONE_DELAY = 0.5
_GONE_STATUSES = (404, 409)
_CLEANUP = {
    "bridge": ("bridges.destroy", "bridgeId"),
    "leg": ("channels.hangup", "channelId"),
    "snoop": ("channels.hangup", "channelId"),
}


class RouteView(Protocol):
    """What the machine needs of a route; `hookrouter.routing.endpoint.Route` has it."""

    @property
    def name(self) -> str: ...
    @property
    def events(self) -> frozenset[str] | None: ...
    @property
    def idle_timeout(self) -> float: ...
    @property
    def scope(self) -> str: ...
    @property
    def allow(self) -> tuple[str, ...]: ...
    @property
    def allow_urls(self) -> tuple[str, ...]: ...
    @property
    def while_waiting(self) -> tuple[bytes, ...]: ...
    @property
    def url(self) -> str: ...
    @property
    def fallback_url(self) -> str: ...
    @property
    def fallback_actions(self) -> tuple[bytes, ...] | None: ...


class World(Protocol):
    """What a call may know of the others."""

    def peer(self, call_id: str) -> Peer | None: ...
    def members(self, room: str) -> Sequence[Member]: ...
    def wanted(self, type: str) -> bool:
        """Whether a notify route wants the router's own events of this type."""
        ...


def _members(bridge: bytes) -> list[str]:
    found: list[str] = msgspec.json.decode(bridge, type=dict[str, Any]).get("channels", [])
    return found


def _json(value: Any) -> bytes:
    return msgspec.json.encode(value)


class Turn:
    """One input's handling. Create it, call exactly one `on_*` (or `begin`, `resume`, `inject`), take the effects."""

    def __init__(
        self, call: Call, route: RouteView, world: World, now: float, doer: Callable[[Turn, Program], Do]
    ) -> None:
        self.call = call
        self.route = route
        self.world = world
        self.now = now
        self.effects: list[Effect] = []
        self.put: list[str] = []  # ids of the events that are to be delivered since this turn
        self._doer = doer
        self._ready: list[str] = []
        self.handed: Mapping[str, Any] | None = None

    # ---- inputs -----------------------------------------------------------------------------------------------

    def begin(self, event: Event, steps: Sequence[bytes] = ()) -> None:
        """The StasisStart that makes it a call. `steps`: what runs at once (an originated call's own actions)."""
        if not self.call.channelless:
            self.effects.append(Watch(self.call.id))
        if steps:
            self._start_main(steps, "main")
        elif self._wants(event.type):
            self._put(event)
        self._settle()

    def on_event(self, event: Event) -> None:
        """Any later event of the call or of what belongs to it."""
        call, head = self.call, event.head
        own = head.channel is not None and head.channel.id == call.id
        if own and head.type == "StasisEnd" and call.ended:
            return  # it was inferred, and told
        if own and head.channel and head.channel.state == "Up":
            call.up = True
        if own and head.type == "ChannelDtmfReceived" and not call.ended:
            call.digits += head.digit
        comes_or_goes = head.type in ("StasisStart", "StasisEnd")
        if self._wants(event.type) and not (comes_or_goes and (not own or self._borrowed())):
            self._put(event)  # a leg that comes or goes is no call that begins or ends; nor is one that is lent
        for program in list(call.programs.values()):
            if program.run is not None and program.id in call.programs:
                program.run.on_event(event, self._doer(self, program))
        if own and head.type == "ChannelDestroyed" and not call.ended and self._borrowed():
            self._end("hangup")  # in the dialplan that it was lent to
        if own and head.type == "StasisEnd" and not call.ended and not self._borrowed():
            self._end(call.end_reason)
        self._settle()

    def on_reply(self, key: str, reply: Reply) -> None:
        """Asterisk's reply to the request `key`, or what is known of its fate."""
        pending = self.call.requests.pop(key, None)
        if pending is None:
            return
        program = self.call.programs.get(pending.program)
        if pending.name == "~leave":
            self._look_after_leaving(reply)
        elif program is None or program.run is None:
            if pending.undo and (200 <= reply.status < 300 or reply.fate == "unknown"):
                self.cast(*pending.undo)
        elif pending.name == "~bridge":
            self._look_at_bridge(program, program.run, pending.params["bridgeId"], reply)
        elif pending.name == "~doubt":
            if reply.status == 404:
                self.disarm(f"{program.id}:~doubt")
                self.arm(":gone", GONE_DELAY)
        else:
            if pending.operation == "channels.answer" and 200 <= reply.status < 300 and program.channel == self.call.id:
                self.call.up = True
            program.run.on_reply(pending.name, reply, self._doer(self, program))
            if program.look_again:
                self._look_again(program)
        self._settle()

    def on_timer(self, key: str) -> None:
        """The timer `key` has come due."""
        if self.call.timers.pop(key, None) is None:
            return
        program_id, _, name = key.partition(":")
        if program_id:
            program = self.call.programs.get(program_id)
            if program is not None and name == "~doubt" and program.doubt:
                self._failed(program, *program.doubt)
            elif program is not None and program.run is not None:
                program.run.on_timer(name, self._doer(self, program))
        elif name == "filler":
            if not self.call.ended and self.call.in_flight and not self._find("filler"):
                self._spawn("filler", self.route.while_waiting)
        elif name == "idle":
            if not self.call.ended:
                self._fall_back_to_actions("idle_timeout", "")
        elif name == "gone":
            if not self.call.ended:
                self.effects.append(Missing())
        elif name == "leave":
            self._request("", "~leave", "channels.get", {"channelId": self.call.id}, None)
        elif name == "closing":
            for program in list(self.call.programs.values()):
                self._drop(program)
        self._settle()

    def answered(self, event_id: str, answer: Answer) -> None:
        """The endpoint's answer to the delivery in flight."""
        out = self._delivered(event_id)
        if out is None:
            return
        call = self.call
        if call.ended:
            if answer.steps:
                self.effects.append(Report(LateAnswer(event_id, call.id, call.route)))
        else:
            if answer.state is not None:
                call.state = answer.state
            raws = [step.raw for step in answer.steps]
            program = call.programs.get(out.program)
            if out.ask and program and program.run:
                program.run.on_answer(out.ask, raws, self._doer(self, program))
            elif program is not None and program.waiting == event_id:
                self._answer_result(program, answer, raws)
            else:
                self._answer_event(answer, raws)
        self._settle()

    def unanswered(self, event_id: str, why: Unanswered) -> None:
        """No attempt of the delivery in flight succeeded."""
        call = self.call
        out = call.outbox[0] if call.outbox and call.outbox[0].id == event_id else None
        if out is None or call.in_flight != event_id:
            return
        program = call.programs.get(out.program)
        waits = program is not None and program.waiting == event_id
        rest = waits and program is not None and program.index + 1 < len(program.steps)
        stands_still = not call.ended and not out.ask and not rest and not self._busy(program)
        if stands_still and self.route.fallback_url and not out.fallback and not out.url:
            detail = {"reason": why.reason, "status": why.status, "url": why.url or self.route.url}
            out.fallback = _json(detail)
            self.effects.append(Report(FallbackTaken(call.id, call.route, event_id, why.reason, "url")))
            self.effects.append(Send(out))
            return
        self._delivered(event_id)
        if out.ask and program and program.run and not call.ended:
            program.run.on_answer(out.ask, None, self._doer(self, program))
        elif rest and program:
            program.waiting = ""
            program.index += 1
            self._ready.append(program.id)
        elif stands_still:
            if program is not None:
                self._remove(program)
            self._fall_back_to_actions(why.reason, event_id)
        self._settle()

    def inject(self, answer: Answer) -> None:
        """An answer that came by the control API: as if the owner had answered an event."""
        if not self.call.ended:
            if answer.state is not None:
                self.call.state = answer.state
            self._answer_event(answer, [step.raw for step in answer.steps])
        self._settle()

    def on_signal(self, name: str, data: Mapping[str, Any]) -> None:
        """What another call's run said to this call or its room."""
        if name == "bridged" and not self.call.ended:
            self._kill_main()
            step = {"action": "~bridged", "bridge": data["bridge"], "with": data["with"]}
            self._start_main([_json(step)], "main")
        else:
            for program in list(self.call.programs.values()):
                if program.run is not None and program.id in self.call.programs:
                    program.run.on_signal(name, data, self._doer(self, program))
        self._settle()

    def resume(self, *, restarted: bool) -> None:
        """After our own restart (`restarted`) or a reconnect: look again at everything that may have gone on alone."""
        call = self.call
        if restarted:
            self.effects.append(Watch(call.id))
            self.effects.extend(Watch(id) for id in call.owned)
            self.effects.extend(Perform(key, p.operation, p.params, doubtful=True) for key, p in call.requests.items())
            self.effects.extend(Arm(key, at) for key, at in call.timers.items())
            if call.in_flight and call.outbox:
                self.effects.append(Send(call.outbox[0]))
        if not call.ended:
            for program in list(call.programs.values()):
                self._look_again(program)
        self._settle()

    def _look_again(self, program: Program) -> None:
        """`on_resume`, once the fate of its own requests is known."""
        if program.run is None or program.id not in self.call.programs:
            return
        program.look_again = any(pending.program == program.id for pending in self.call.requests.values())
        if program.look_again:
            return
        bridge = getattr(program.run, "bridge", "")
        program.run.on_resume(self._doer(self, program))
        if bridge and bridge in self.call.owned:
            self._request(program.id, "~bridge", "bridges.get", {"bridgeId": bridge}, None)

    def look(self, event: Event) -> None:
        """Something that may have happened unseen, such as a leg that has answered: for what runs, not to be told."""
        for program in list(self.call.programs.values()):
            if program.run is not None and program.id in self.call.programs:
                program.run.on_event(event, self._doer(self, program))
        self._settle()

    def _look_at_bridge(self, program: Program, run: Run, bridge: str, reply: Reply) -> None:
        """Who has come into the bridge, and who has left it, while nobody told us."""
        if reply.status not in (200, 404):
            return
        believed = run.in_bridge(self._doer(self, program))
        inside = _members(reply.body) if reply.status == 200 else []
        happened = [("ChannelEnteredBridge", id) for id in inside]
        happened += [("ChannelLeftBridge", id) for id in believed if id and id not in inside]
        if reply.status == 404:
            happened = [("BridgeDestroyed", "")]
        for type, channel in happened:
            if program.run is run and program.id in self.call.programs:
                about: dict[str, Any] = {"type": type, "bridge": {"id": bridge, "channels": inside}}
                if channel:
                    about["channel"] = {"id": channel}
                run.on_event(make_event(self.call.asterisk, _json(about), inferred=True), self._doer(self, program))

    def lost(self, reason: str) -> None:
        """The call is no longer in our app, and no event said so (Asterisk restarted, the channel is gone)."""
        if not self.call.ended:
            self._end(reason)
        self._settle()

    # ---- deliveries -------------------------------------------------------------------------------------------

    def _wants(self, type: str) -> bool:
        events = self.route.events
        return events is None or type in events

    def _put(self, event: Event) -> None:
        out = Outgoing(
            id=event.id,
            type=event.type,
            timestamp=rfc3339(event.head.timestamp) or rfc3339_now(self.now),
            data=event.raw,
            sequence=self._sequence(""),
            inferred=event.inferred,
        )
        self.call.outbox.append(out)
        self.put.append(out.id)

    def _sequence(self, url: str) -> int:
        sequences = self.call.sequences
        sequences[url] = number = sequences.get(url, 0) + 1
        return number

    def emit(
        self, type: str, data: bytes, *, program: str = "", ask: str = "", url: str = "", deliver: bool = True
    ) -> str:
        """An event of the router's own; to the owner (or `url`) if `deliver`, and to the notify routes that name it."""
        call = self.call
        id = self.next_event_id()
        timestamp = rfc3339_now(self.now)
        if deliver:
            call.outbox.append(
                Outgoing(id, type, timestamp, data, self._sequence(url), program=program, ask=ask, url=url)
            )
            self.put.append(id)
        if self.world.wanted(type):
            self.effects.append(Tell(id, type, timestamp, data))
        return id

    def next_event_id(self) -> str:
        """The id of the router's own next event: the same after a crash, as the counter is part of the call."""
        call = self.call
        call.counter += 1
        digest = blake2b(f"{call.asterisk}/{call.id}/{call.started_at}/{call.counter}".encode(), digest_size=16)
        return f"evt_{digest.hexdigest()}"

    def ask(self, program: Program, type: str, data: bytes, name: str, url: str) -> None:
        """A question of a run's: the answer's actions come to its `on_answer`."""
        self.emit(type, data, program=program.id, ask=name, url=self.resolve(url))

    def _delivered(self, event_id: str) -> Outgoing | None:
        call = self.call
        if call.in_flight != event_id or not call.outbox or call.outbox[0].id != event_id:
            return None
        call.in_flight = ""
        self.disarm(":filler")
        for program in self._find_all("filler"):
            self._drop(program)
        return call.outbox.pop(0)

    def _answer_result(self, program: Program, answer: Answer, raws: list[bytes]) -> None:
        program.waiting = ""
        if answer.when_done:
            program.when_done = answer.when_done
        if raws and answer.mode == "replace":
            program.steps = program.steps[: program.index + 1] + raws
            for other in self._find_all("detached"):
                if other.parent == program.id:
                    self._drop(other)
        elif raws and answer.mode == "append":
            program.steps = program.steps + raws
        elif raws:
            self._spawn("parallel", raws)
        program.index += 1
        self._ready.append(program.id)

    def _answer_event(self, answer: Answer, raws: list[bytes]) -> None:
        main = self._main()
        if raws and answer.mode == "parallel":
            self._spawn("parallel", raws)
        elif raws and answer.mode == "append" and main is not None:
            main.steps = main.steps + raws
            main.when_done = answer.when_done or main.when_done
        elif raws:
            if main is not None and main.run is not None and decode_step(raws[0]).takes_over:
                self.handed = main.run.hand_over(self._doer(self, main))
            self._kill_main()
            self.call.digits = ""
            self._start_main(raws, "main", answer.when_done or "")
        elif answer.when_done and main is not None:
            main.when_done = answer.when_done
        elif answer.when_done in ("hangup", "continue") and not self.call.channelless:
            self._start_main([_json({"action": answer.when_done})], "main")

    # ---- the fallback -----------------------------------------------------------------------------------------

    def _busy(self, apart_from: Program | None) -> bool:
        """Whether something goes on by itself, so that the call does not stand still."""
        return any(
            program is not apart_from and program.kind in ("main", "fallback", "parallel")
            for program in self.call.programs.values()
        )

    def _fall_back_to_actions(self, reason: str, event_id: str) -> None:
        if self.call.channelless:
            self.effects.append(Report(FallbackTaken("", self.call.route, event_id, reason, "none")))
            return  # nobody is on the line
        steps = self.route.fallback_actions
        kind = "continue" if steps is None else "actions"
        self.effects.append(Report(FallbackTaken(self.call.id, self.call.route, event_id, reason, kind)))
        self._kill_main()
        self._start_main(steps if steps is not None else (b'{"action":"continue"}',), "fallback")

    # ---- programs ---------------------------------------------------------------------------------------------

    def _main(self) -> Program | None:
        return self._find("main") or self._find("fallback")

    def _find(self, kind: Kind) -> Program | None:
        return next((program for program in self.call.programs.values() if program.kind == kind), None)

    def _find_all(self, kind: Kind) -> list[Program]:
        return [program for program in self.call.programs.values() if program.kind == kind]

    def _spawn(
        self,
        kind: Kind,
        steps: Sequence[bytes],
        *,
        parent: str = "",
        name: str = "",
        channel: str = "",
        when_done: str = "",
    ) -> Program:
        self.call.counter += 1
        id = f"p{self.call.counter}"
        program = Program(id, kind, list(steps), channel or self.call.id, parent=parent, name=name, when_done=when_done)
        self.call.programs[id] = program
        self._ready.append(id)
        return program

    def _start_main(self, steps: Sequence[bytes], kind: Kind, when_done: str = "") -> None:
        self._spawn(kind, steps, when_done=when_done)

    def spawn_child(self, parent: Program, steps: Sequence[bytes], name: str, channel: str | None) -> None:
        self.kill_child(parent, name)
        self._spawn("child", steps, parent=parent.id, name=name, channel=channel or parent.channel)

    def child(self, parent: Program, name: str) -> Program | None:
        return next((p for p in self._find_all("child") if p.parent == parent.id and p.name == name), None)

    def kill_child(self, parent: Program, name: str) -> None:
        child = self.child(parent, name)
        if child is not None:
            self._drop(child)

    def _kill_main(self) -> None:
        for program in list(self.call.programs.values()):
            if program.kind in ("main", "fallback", "detached", "filler"):
                self._drop(program)

    def _drop(self, program: Program) -> None:
        """Stops it wherever it is."""
        if program.id not in self.call.programs:
            return
        if program.run is not None:
            run, do = program.run, self._doer(self, program)
            self._release(program)
            run.stop(do)
            self._report(program, "stopped")
            program.run = None
        if program.kind == "filler":
            self._undo_filler(program)
        self._remove(program)

    def _undo_filler(self, program: Program) -> None:
        for raw in program.steps[: program.index + 1]:
            undo = getattr(decode_step(raw), "undo", None)
            if undo:
                self.cast(undo, {"channelId": program.channel})

    def _remove(self, program: Program) -> None:
        self._release(program)
        self.call.programs.pop(program.id, None)

    def _release(self, program: Program) -> None:
        """Lets go of what the running action holds: its timers, its children; its requests are nobody's now."""
        prefix = f"{program.id}:"
        for key in [key for key in self.call.timers if key.startswith(prefix)]:
            self.disarm(key)
        for pending in self.call.requests.values():
            if pending.program == program.id:
                pending.program = ""
        program.doubt = None
        for child in [p for p in self._find_all("child") if p.parent == program.id]:
            self._drop(child)

    def _drain(self) -> None:
        while self._ready:
            program = self.call.programs.get(self._ready.pop(0))
            if program is None or program.run is not None or program.waiting or self.call.ended:
                continue
            if program.index >= len(program.steps):
                self._completed(program)
            else:
                self._step(program)

    def _step(self, program: Program) -> None:
        raw = program.steps[program.index]
        action = decode_step(raw)
        if not action.wait and program.kind not in ("detached", "beside"):
            kind: Kind = "beside" if action.beside else "detached"
            beside = self._spawn(kind, [raw], parent=program.id, channel=program.channel)
            self._ready.remove(beside.id)
            program.index += 1
            self._ready.insert(0, program.id)
            program = beside
        program.step_at = self.now
        program.look_again = False
        program.run = action.run()
        self.effects.append(Report(ActionStarted(self.call.id, program.id, program.index, action.verb, raw)))
        if self.call.channelless and not action.callless:
            self._failed(program, "no_call", f"`{action.verb}` needs a call, and this event belongs to none", 0)
            return
        program.run.start(self._doer(self, program))

    def _completed(self, program: Program) -> None:
        self._remove(program)
        if program.kind == "child":
            parent = self.call.programs.get(program.parent)
            if parent is not None and parent.run is not None:
                parent.run.on_child(program.name, "done", self._doer(self, parent))
        elif (
            program.kind in ("main", "fallback")
            and program.when_done in ("hangup", "continue")
            and not self.call.channelless
        ):
            self._start_main([_json({"action": program.when_done})], "main")

    def _report(self, program: Program, outcome: str, detail: str = "") -> None:
        verb = self.action(program).verb
        seconds = self.now - program.step_at
        self.effects.append(
            Report(ActionFinished(self.call.id, program.id, program.index, verb, outcome, seconds, detail))
        )

    def action(self, program: Program) -> Action:
        return decode_step(program.steps[program.index])

    # ---- what a run asks for (through `Do`) -------------------------------------------------------------------

    def finish(self, program: Program, data: Mapping[str, Any] | None, then: Sequence[bytes] | None, told: bool,
               type: str | None) -> None:  # fmt: skip
        if program.run is None:
            return
        action, raw = self.action(program), program.steps[program.index]
        self._report(program, "done")
        program.run = None
        self._release(program)
        if then:
            program.steps[program.index + 1 : program.index + 1] = then
        type = type or action.result
        waiting = ""
        if data is not None and type is not None:
            waiting = self._result(program, action, raw, type, data, told)
        if self.call.ended:
            self._remove(program)
        elif action.leaves and program.channel == self.call.id:
            program.left = program.index + 1
            program.index = len(program.steps)
            self.arm(":leave", LEAVE_TIMEOUT)
        elif program.kind in ("detached", "beside"):
            self._remove(program)
        elif action.leaves and program.kind == "child":
            self._remove(program)
            parent = self.call.programs.get(program.parent)
            if parent is not None and parent.run is not None:
                parent.run.on_child(program.name, "left", self._doer(self, parent))
        elif waiting:
            program.waiting = waiting
        else:
            program.index += 1
            self._ready.append(program.id)

    def _result(
        self, program: Program, action: Action, raw: bytes, type: str, data: Mapping[str, Any], told: bool
    ) -> str:
        """Sends the result where it is wanted; the event id if the program is to wait for the answer."""
        url = getattr(action, "url", None) or ""
        body = b'{"action":' + raw + (b"," + _json(data)[1:] if data else b"}")
        wanted = (
            bool(url) or not (told or action.quiet) or (self.route.events is not None and type in self.route.events)
        )
        wanted = wanted or (self.route.events is None and not told)
        awaited = wanted and not self.call.ended and program.kind not in ("detached", "beside", "filler")
        id = self.emit(type, body, program=program.id if awaited else "", url=self.resolve(url), deliver=wanted)
        return id if awaited else ""

    def resolve(self, url: str) -> str:
        if not url:
            return ""
        try:
            return resolve(self.route.url, url, self.route.allow_urls)
        except ValueError as error:  # checked with the answer; a route that changed since then sends it to the owner
            self.effects.append(Report(Warned("action.url", str(error), self.call.id)))
            return ""

    def fail(self, program: Program, reason: str, message: str, status: int) -> None:
        if program.run is None:
            return
        if (
            status in _GONE_STATUSES
            and program.channel == self.call.id
            and program.doubt is None
            and not self.call.ended
            and not self.call.channelless
        ):
            program.doubt = (reason, message, status)  # perhaps the caller has just hung up: then it is no failure
            self.arm(f"{program.id}:~doubt", DOUBT_DELAY)
            self._request(program.id, "~doubt", "channels.get", {"channelId": self.call.id}, None)
            return
        self._failed(program, reason, message, status)

    def _failed(self, program: Program, reason: str, message: str, status: int) -> None:
        action, raw = self.action(program), program.steps[program.index]
        hung_up = self.call.ended  # then it is no failure
        self._report(program, "stopped" if hung_up else "failed", f"{reason}: {message}")
        program.run = None
        self._release(program)
        if hung_up:
            self._remove(program)
            return
        on_error = action.on_error
        if on_error is not None and on_error.mode == "continue":
            program.index += 1
            self._ready.append(program.id)
            return
        if on_error is not None and on_error.mode == "actions":
            program.steps = program.steps[: program.index + 1] + list(on_error)
            program.index += 1
            self._ready.append(program.id)
            return
        error = {"status": status or None, "reason": reason, "message": message}
        self._failed_program(program, b'{"action":' + raw + b',"error":' + _json(error) + b"}", error)

    def _failed_program(self, program: Program, data: bytes, error: Mapping[str, Any]) -> None:
        kind = program.kind
        if kind == "child":
            self._remove(program)
            parent = self.call.programs.get(program.parent)
            if parent is not None and parent.run is not None:
                do = self._doer(self, parent)
                do.error = (error["reason"], error["message"], error["status"] or 0)
                parent.run.on_child(program.name, "failed", do)
        elif kind == "filler":
            self._remove(program)
            self.effects.append(Report(Warned("while_waiting", error["message"], self.call.id)))
        elif kind in ("detached", "beside"):
            self._remove(program)
            self.emit("ActionFailed", data)
        elif kind == "fallback":
            last = decode_step(program.steps[program.index]).verb
            self._remove(program)
            self.effects.append(Report(Warned("fallback", f"the fallback failed: {error['message']}", self.call.id)))
            step = b'{"action":"hangup"}' if last == "continue" else b'{"action":"continue"}'
            if last != "hangup":
                self._start_main([step], "fallback")
        else:
            program.steps = program.steps[: program.index + 1]
            program.waiting = self.emit("ActionFailed", data, program=program.id)

    def request(self, program: Program, name: str, operation: str, params: dict[str, Any],
                undo: tuple[str, dict[str, Any]] | None) -> None:  # fmt: skip
        self._request(program.id, name, operation, params, undo)

    def cast(self, operation: str, params: dict[str, Any]) -> None:
        self._request("", "", operation, params, None)

    def _request(self, program: str, name: str, operation: str, params: dict[str, Any],
                 undo: tuple[str, dict[str, Any]] | None) -> None:  # fmt: skip
        self.call.counter += 1
        key = f"r{self.call.counter}"
        self.call.requests[key] = Pending(operation, params, program, name, undo)
        self.effects.append(Perform(key, operation, params))

    def arm(self, key: str, delay: float) -> None:
        self.call.timers[key] = at = self.now + delay
        self.effects.append(Arm(key, at))

    def disarm(self, key: str) -> None:
        if self.call.timers.pop(key, None) is not None:
            self.effects.append(Disarm(key))

    def signal(self, target: str, name: str, data: Mapping[str, Any]) -> None:
        self.effects.append(Signal(target, name, data))

    # ---- the end ----------------------------------------------------------------------------------------------

    def _borrowed(self) -> bool:
        """Whether the call has only gone into the dialplan for a while (the verb `dialplan`)."""
        return any(getattr(program.run, "away", False) for program in self.call.programs.values())

    def _leaving(self) -> bool:
        """Whether the call has been given away (`continue`, `move`, `redirect`): its StasisEnd is no hangup."""
        for program in self._find_all("main") + self._find_all("fallback"):
            if program.run is not None:
                action = self.action(program)
            elif ":leave" in self.call.timers and program.left:
                action = decode_step(program.steps[program.left - 1])
            else:
                continue
            if action.leaves and action.verb != "hangup":
                return True
        return False

    def _look_after_leaving(self, reply: Reply) -> None:
        """A leaving action was taken and no StasisEnd has come: was its event lost, or does it take its time?"""
        if self.call.ended:
            return
        if reply.status == 404:
            self.arm(":gone", GONE_DELAY)
        self.arm(":leave", LEAVE_TIMEOUT)

    def _end(self, reason: str = "") -> None:
        call = self.call
        call.ended = True
        call.end_reason = reason or ("left" if self._leaving() else "hangup")
        for key in (":idle", ":filler", ":leave", ":gone"):
            self.disarm(key)
        for program in self._find_all("child"):
            if program.channel == call.id:
                self._remove(program)
            else:
                self._drop(program)
        for program in list(call.programs.values()):
            if program.id not in call.programs:
                continue
            if program.run is None or program.kind == "filler":
                self._remove(program)
            else:
                program.run.on_hangup(self._doer(self, program))
        if call.programs:
            self.arm(":closing", CLOSING_TIMEOUT)
        if not call.channelless and (self._wants("CallEnded") or self.world.wanted("CallEnded")):
            seconds = round(self.now - call.started_at, 3)
            self.emit(
                "CallEnded", _json({"reason": call.end_reason, "seconds": seconds}), deliver=self._wants("CallEnded")
            )

    def _settle(self) -> None:
        """After every input: start what is ready, send what is next, keep the idle timer, notice the end."""
        self._drain()
        call = self.call
        if call.ended and not call.programs:
            for id, kind in list(call.owned.items()):
                if kind in _CLEANUP:
                    operation, key = _CLEANUP[kind]
                    self.cast(operation, {key: id})
                del call.owned[id]
        if call.outbox and not call.in_flight:
            call.in_flight = call.outbox[0].id
            self.effects.append(Send(call.outbox[0]))
            if self.route.while_waiting and not (call.ended or call.channelless or self._playing()):
                self.arm(":filler", FILLER_DELAY)
        idle = not call.ended and not call.programs and not call.outbox
        if idle and call.channelless:
            self._end("done")
        elif idle and ":idle" not in call.timers:
            self.arm(":idle", self.route.idle_timeout)
        elif not idle:
            self.disarm(":idle")
        if call.ended and not call.programs and not call.outbox and not call.requests:
            for key in list(call.timers):
                self.disarm(key)
            seconds = self.now - call.started_at
            if not call.channelless:
                self.effects.append(Report(CallFinished(call.id, call.asterisk, call.route, call.end_reason, seconds)))
            self.effects.append(Gone())

    def _playing(self) -> bool:
        return any(program.run is not None for program in self.call.programs.values())


__all__ = ["RouteView", "Turn", "World"]
