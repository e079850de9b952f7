"""The call machine: (a call's state, one input) → its new state and the effects that follow. Pure.

Rules:
- A `Turn` handles one input; everything that it wants done is in `effects`, in order.
- Events for the endpoint wait in `call.outbox`; the first of them is in flight, one at a time.
- Programs live side by side in `call.programs`; each has at most one action running. Child programs (a prompt, a
  screening) belong to the action that spawned them.
- When the call has ended, nothing new starts; what is to be delivered is delivered, and then the call is gone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hookrouter.actions.base import Reply, Run
from hookrouter.actions.decode import Answer, decode_step
from hookrouter.ari.events import Event, make_event
from hookrouter.calls.call import Outgoing, Program
from hookrouter.calls.effects import Arm, Gone, Missing, Perform, Report, Send, Watch
from hookrouter.calls.outbox import RouteView, World, as_json
from hookrouter.calls.programs import LEAVE_TIMEOUT, Programs
from hookrouter.delivery.outcome import Unanswered
from hookrouter.facts import CallFinished, FallbackTaken, LateAnswer

FILLER_DELAY = 1.0
CLOSING_TIMEOUT = 15.0
GONE_DELAY = 0.5
_CLEANUP = {
    "bridge": ("bridges.destroy", "bridgeId"),
    "leg": ("channels.hangup", "channelId"),
    "snoop": ("channels.hangup", "channelId"),
}


def _members(bridge: bytes) -> list[str]:
    found: list[str] = msgspec.json.decode(bridge, type=dict[str, Any]).get("channels", [])
    return found


class Turn(Programs):
    """One input's handling. Create it, call exactly one `on_*` (or `begin`, `resume`, `inject`), take the effects."""

    # ---- inputs ---------------------------------------------------------------------------------------------------

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
        if self._wants(event.type) and not (comes_or_goes and (not own or (self._borrowed() and not event.inferred))):
            self._put(event)  # a leg that comes or goes is no call that begins or ends; nor is one that is lent
        for program in list(call.programs.values()):
            if program.run is not None and program.id in call.programs:
                program.run.on_event(event, self._doer(self, program))
        if own and head.type == "ChannelDestroyed" and not call.ended:
            self.arm(":gone", GONE_DELAY)  # its StasisEnd is late, or it was lent to the dialplan and none will come
        if own and head.type == "StasisEnd" and (event.inferred or not self._borrowed()):
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
        if program is not None and program.look_again:
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
            if self._playing():
                self.arm(":filler", FILLER_DELAY)
            else:
                self._spawn("filler", self.route.while_waiting)
        elif name == "idle":
            self._fall_back_to_actions("idle_timeout", "")
        elif name == "gone":
            if not self.call.ended:
                self.effects.append(Missing())
        elif name == "leave":
            self._request("", "~leave", "channels.get", {"channelId": self.call.id}, None)
        else:  # closing
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
            if out.ask:
                if program is not None and program.run is not None:  # else who asked is over
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
        rest = waits and program is not None and (program.index + 1 < len(program.steps) or bool(program.when_done))
        stands_still = not call.ended and not out.ask and not rest and not self._busy(program)
        if stands_still and self.route.fallback_url and not out.fallback and not out.url:
            detail = {"reason": why.reason, "status": why.status, "url": why.url or self.route.url}
            out.fallback = as_json(detail)
            self.effects.append(Report(FallbackTaken(call.id, call.route, event_id, why.reason, "url")))
            self.effects.append(Send(out))
            return
        self._delivered(event_id)
        if out.ask:
            if program is not None and program.run is not None and not call.ended:
                program.run.on_answer(out.ask, None, self._doer(self, program))
        elif stands_still:
            fell = program is not None and program.kind == "fallback"
            if program is not None:
                self._remove(program)
            self._fall_back_to_actions(why.reason, event_id, again=fell)
        elif waits and program is not None:
            program.waiting = ""
            if program.kind == "child" and not rest:
                self._child_ended(program, "failed", ("unanswered", why.reason, 0))
            else:
                program.index += 1
                self._ready.append(program.id)
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
            self._start_main([as_json(step)], "main")
        else:
            for program in list(self.call.programs.values()):
                if program.run is not None and program.id in self.call.programs:
                    program.run.on_signal(name, data, self._doer(self, program))
        self._settle()

    def lost(self, reason: str) -> None:
        """The call is no longer in our app, and no event said so (Asterisk restarted, the channel is gone)."""
        if not self.call.ended:
            self._end(reason)
        self._settle()

    # ---- after a loss ---------------------------------------------------------------------------------------------

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

    def look(self, event: Event) -> None:
        """Something that may have happened unseen, such as a leg that has answered: for what runs, not to be told."""
        for program in list(self.call.programs.values()):
            if program.run is not None and program.id in self.call.programs:
                program.run.on_event(event, self._doer(self, program))
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
                run.on_event(make_event(self.call.asterisk, as_json(about), inferred=True), self._doer(self, program))

    # ---- answers --------------------------------------------------------------------------------------------------

    def _delivered(self, event_id: str) -> Outgoing | None:
        call = self.call
        if call.in_flight != event_id or not call.outbox or call.outbox[0].id != event_id:
            return None
        call.in_flight = ""
        self.disarm(":filler")
        self._drop_fillers()
        return call.outbox.pop(0)

    def _answer_result(self, program: Program, answer: Answer, raws: list[bytes]) -> None:
        program.waiting = ""
        if answer.when_done:
            program.when_done = answer.when_done
        if raws and answer.mode == "replace":
            program.steps = program.steps[: program.index + 1] + raws
            if program.kind == "fallback":
                program.kind = "main"  # the owner is back
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
            if answer.mode == "replace":
                if main is not None and main.run is not None and decode_step(raws[0]).takes_over:
                    self.handed = main.run.hand_over(self._doer(self, main))
                self._kill_main()
                self.call.digits = ""
            self._start_main(raws, "main", answer.when_done or "")
        elif answer.when_done and main is not None:
            main.when_done = answer.when_done
        elif answer.when_done in ("hangup", "continue") and not self.call.channelless:
            self._start_main([as_json({"action": answer.when_done})], "main")

    # ---- the fallback ---------------------------------------------------------------------------------------------

    def _fall_back_to_actions(self, reason: str, event_id: str, *, again: bool = False) -> None:
        """`again`: they have just run, and what they ended with got no answer either."""
        if self.call.channelless:
            self.effects.append(Report(FallbackTaken("", self.call.route, event_id, reason, "none")))
            return  # nobody is on the line
        steps = None if again else self.route.fallback_actions
        kind = "actions" if steps else "continue"
        self.effects.append(Report(FallbackTaken(self.call.id, self.call.route, event_id, reason, kind)))
        self._kill_main()
        self._start_main(steps or (b'{"action":"continue"}',), "fallback")

    # ---- the end --------------------------------------------------------------------------------------------------

    def _borrowed(self) -> bool:
        """Whether the call has only gone into the dialplan for a while (the verb `dialplan`)."""
        return any(getattr(program.run, "away", False) for program in self.call.programs.values())

    def _leaving(self) -> bool:
        """Whether the call has been given away (`continue`, `move`, `redirect`): its StasisEnd is no hangup."""
        for program in self.call.programs.values():
            if program.channel != self.call.id:
                continue
            if program.run is not None:
                action = self.action(program)
            elif program.left:
                action = decode_step(program.steps[program.left - 1])
            else:
                continue
            if action.leaves and action.verb != "hangup":
                return True
        return False

    def _all_left(self) -> bool:
        """Whether each of the programs has given the call away, which is here all the same."""
        for program in self.call.programs.values():  # noqa: SIM110  on the path of every event
            if not program.left:
                return False
        return True

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
            if program.run is None or program.kind == "filler":
                self._remove(program)
            else:
                program.run.on_hangup(self._doer(self, program))
        if call.programs:
            self.arm(":closing", CLOSING_TIMEOUT)
        if not call.channelless and (self._wants("CallEnded") or self.world.wanted("CallEnded")):
            seconds = round(self.now - call.started_at, 3)
            self.emit(
                "CallEnded", as_json({"reason": call.end_reason, "seconds": seconds}), deliver=self._wants("CallEnded")
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
            if self.route.while_waiting and not (call.ended or call.channelless):
                self.arm(":filler", FILLER_DELAY)
        idle = not (call.ended or call.outbox) and (not call.programs or self._all_left())
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


__all__ = ["RouteView", "Turn", "World"]
