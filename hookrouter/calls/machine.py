"""The call machine: (a call's state, one input) → its new state and the effects that follow. Pure.

Rules:
- A `Turn` handles one input; everything that it wants done is in `effects`, in order.
- Events for the endpoint wait in `call.outbox`; the first of them is in flight, one at a time.
- Programs live side by side in `call.programs`; each has at most one action running. Child programs (a prompt, a
  screening) belong to the action that spawned them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from hookrouter.actions.base import Reply
from hookrouter.actions.decode import Answer, decode_step
from hookrouter.ari.events import Event
from hookrouter.calls import detail, going_on
from hookrouter.calls.call import Outgoing, Program
from hookrouter.calls.effects import Arm, Missing, Perform, Report, Send, Unwatch, Watch
from hookrouter.calls.ending import GONE_DELAY, Ending
from hookrouter.calls.looking import Looking
from hookrouter.calls.outbox import RouteView, World, as_json
from hookrouter.calls.silence import FILLER_DELAY
from hookrouter.delivery.outcome import Answered, Unanswered
from hookrouter.facts import FallbackTaken, LateAnswer
from hookrouter.policy.authority import OURS
from hookrouter.policy.parameters import Kind
from hookrouter.text.urls import shown_url

_ENDS = frozenset({"StasisEnd", "ChannelDestroyed"})


class _Forbidden(msgspec.Struct, frozen=True):
    """The reply to a request that was not sent."""

    body: bytes
    status: int = 403
    fate: str = "forbidden"


class Turn(Looking, Ending):
    """One input's handling. Create it, call exactly one `on_*` (or `begin`, `resume`, `inject`), take the effects."""

    # ---- inputs ---------------------------------------------------------------------------------------------------

    def begin(self, event: Event, steps: Sequence[bytes] = ()) -> None:
        """The StasisStart that makes it a call. `steps`: what runs at once (an originated call's own actions)."""
        detail.began(self.call, event.head, self.now)
        if not self.call.channelless:
            self.effects += [Watch("channel", id) for id in dict.fromkeys((self.call.id, self.call.channel))]
        if steps:
            self._start_main(steps, "main")
        elif self._wants(event.type):
            self._put(event)
        self._settle()

    def carry_out(self, steps: Sequence[bytes]) -> None:
        """What the router itself has to do, beside any call."""
        self._start_main(steps, "main")
        self._settle()

    def on_event(self, event: Event) -> None:
        """Any later event of the call or of what belongs to it."""
        call, head = self.call, event.head
        own = head.channel is not None and head.channel.id == call.channel
        if head.forwarded is not None and head.peer is not None and self.owns(Kind.CHANNEL, head.peer.id):
            self.follow(head.peer.id, head.forwarded.id, event)
        if own and head.type == "StasisEnd" and call.ended:
            return  # it was inferred, and told
        if own and head.channel and head.channel.state == "Up":
            call.up = True
        going_on.told(call, head)
        if head.type == "PlaybackFinished" and call.music is not None:
            self._prompt_over = True
        detail.told(call, head, self.now)
        if call.answers and self._heard_something_new(head):
            call.answers = []
        comes_or_goes = head.type in ("StasisStart", "StasisEnd")
        if self._wants(event.type) and not (comes_or_goes and (not own or (self._borrowed() and not event.inferred))):
            self._put(event)  # a leg that comes or goes is no call that begins or ends; nor is one that is lent
        if head.type == "ChannelDtmfReceived" and head.channel is not None and not call.ended:
            self._key(head.channel.id, head.digit)
        for program in list(call.programs.values()):
            if program.run is not None and program.id in call.programs:
                program.run.on_event(event, self._doer(self, program))
        self._forget_what_is_gone(event)
        if call.former and head.channel and head.type in _ENDS and head.channel.id in call.former:
            self._former_gone(head.channel.id)
        if not own and head.type in _ENDS:
            self._leg_ends(event)
        if own and head.type == "ChannelDestroyed" and not call.ended:
            self.arm(":gone", GONE_DELAY)  # its StasisEnd is late, or it was lent to the dialplan and none will come
        if own and head.type == "StasisEnd" and (event.inferred or not self._borrowed()):
            self._end(call.end_reason, detail.instant(head.timestamp, self.now))
        self._settle()

    def on_reply(self, key: str, reply: Reply) -> None:
        """Asterisk's reply to the request `key`, or what is known of its fate."""
        self._replied(key, reply)
        self._settle()

    def _replied(self, key: str, reply: Reply) -> None:
        pending = self.call.requests.pop(key, None)
        if pending is None:
            return
        if pending.operation in going_on.NOTED and not 200 <= reply.status < 300 and reply.fate != "unknown":
            going_on.refused(self.call, pending.operation, pending.params)
        if pending.operation in detail.DIALS and not 200 <= reply.status < 300 and reply.fate != "unknown":
            detail.refused(self.call, pending.params, self.now)
        program = self.call.programs.get(pending.program)
        if pending.name.startswith("~look "):
            going_on.looked(self.call, pending.name.removeprefix("~look "), reply.status, reply.body)
        elif pending.name.startswith("~left "):
            self._look_at_leg(pending.params["channelId"], reply)
        elif pending.name == "~leave":
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
            if (
                pending.operation == "channels.answer"
                and 200 <= reply.status < 300
                and program.channel == self.call.channel
            ):
                self.call.up = True
                detail.answered(self.call, self.now)
            program.run.on_reply(pending.name, reply, self._doer(self, program))
        if program is not None and program.look_again:
            self._look_again(program)

    def _forget_what_is_gone(self, event: Event) -> None:
        """An id that an answer has chosen is free again, and may be another's tomorrow. Ours never come twice."""
        head = event.head
        if head.type == "ChannelDestroyed" and head.channel is not None:
            kind, id = Kind.CHANNEL, head.channel.id
            if id in self.call.legs and not self.owns(kind, id):
                self.effects.append(Unwatch(kind.value, id))
        elif head.type == "BridgeDestroyed" and head.bridge is not None:
            kind, id = Kind.BRIDGE, head.bridge.id
        elif head.type == "PlaybackFinished" and head.playback is not None:
            kind, id = Kind.PLAYBACK, head.playback.id
        elif head.type in ("RecordingFinished", "RecordingFailed") and head.recording is not None:
            kind, id = Kind.RECORDING, head.recording.name
        else:
            return
        if not id.startswith(OURS):
            self.forget(kind, id)

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
            self._fill_the_wait()
        elif name == "silence":
            self._fall_out_of_silence()
        elif name == "look":
            self._look_at_what_goes_on(going_on.may_end_unheard(self.call))
        elif name == "idle":
            self._fall_back_to_actions("idle_timeout", "")
        elif name == "gone":
            if not self.call.ended:
                self.effects.append(Missing())
        elif name == "legs":
            self._tell_detail()
        elif name == "leave":
            self._request("", "~leave", "channels.get", {"channelId": self.call.channel}, None)
        elif name.startswith("left "):
            channel = name.removeprefix("left ")
            if self.owns(Kind.CHANNEL, channel):
                self._request("", f"~left {channel}", "channels.get", {"channelId": channel}, None)
        elif name == "former":
            self._let_former_go()
        else:  # closing
            for program in list(self.call.programs.values()):
                self._drop(program)
        self._settle()

    def answered(self, event_id: str, answer: Answer, came: Answered[Answer] | None = None) -> None:
        """The endpoint's answer to the delivery in flight. `came`: as what it came."""
        out = self._delivered(event_id)
        if out is None:
            return
        call = self.call
        self._tagged(answer)
        if answer.steps or out.ask:
            self._end_filler()
        if call.ended:
            if answer.steps:
                self.effects.append(Report(LateAnswer(event_id, call.id, call.route)))
        else:
            answer = self._noted(out, answer, came)
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
                self._answer_event(answer, raws, self._after(out))
            self._keep_filler(answer)
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
        stands_still = not (call.ended or out.ask or rest or self._busy(program) or going_on.talks(call))
        if stands_still and self.route.fallback_url and not out.fallback and not out.url:
            detail = {"reason": why.reason, "status": why.status, "url": why.url or shown_url(self.route.url)}
            out.fallback = as_json(detail)
            self.effects.append(Report(FallbackTaken(call.id, call.route, event_id, why.reason, "url")))
            self.effects.append(Send(out))
            return
        self._delivered(event_id)
        self._end_filler()
        call.last_event, call.last_answer = out.type, f"nothing ({why.reason})"
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
        self._tagged(answer)
        if not self.call.ended:
            if answer.state is not None:
                self.call.state = answer.state
            if answer.steps:
                self._came_back(answer)
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
            self.effects += [Watch("channel", id) for id in dict.fromkeys((call.id, call.channel, *call.former))]
            self.effects.extend(Watch(kind, id) for kind, id in call.things())
            self.effects.extend(Watch("channel", id) for id in detail.legs_that_go_on(call))
            self.effects.extend(Perform(key, p.operation, p.params, doubtful=True) for key, p in call.requests.items())
            self.effects.extend(Arm(key, at) for key, at in call.timers.items())
            if call.in_flight and call.outbox:
                self.effects.append(Send(call.outbox[0]))
        if not call.ended:
            looked_at = {f"bridge {getattr(program.run, 'bridge', '')}" for program in call.programs.values()}
            self._look_at_what_goes_on([key for key in call.goes_on if key not in looked_at])
            for program in list(call.programs.values()):
                self._look_again(program)
        self._settle()

    def look(self, event: Event) -> None:
        """Something that may have happened unseen, such as a leg that has answered: for what runs, not to be told."""
        detail.told(self.call, event.head, self.now)
        for program in list(self.call.programs.values()):
            if program.run is not None and program.id in self.call.programs:
                program.run.on_event(event, self._doer(self, program))
        self._settle()

    # ---- answers --------------------------------------------------------------------------------------------------

    def _delivered(self, event_id: str) -> Outgoing | None:
        call = self.call
        if call.in_flight != event_id or not call.outbox or call.outbox[0].id != event_id:
            return None
        call.in_flight = ""
        return self._take_first()

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

    def _answer_event(self, answer: Answer, raws: list[bytes], keys: str | None = None) -> None:
        """`keys`: what the caller has typed after the key that is answered, where it is one."""
        main = self._main()
        if raws and keys is not None:
            self.call.digits = keys
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
                self.call.digits = keys or ""
            self._start_main(raws, "main", answer.when_done or "")
        elif answer.when_done and main is not None:
            main.when_done = answer.when_done
        elif answer.when_done in ("hangup", "continue") and not self.call.channelless:
            self._start_main([as_json({"action": answer.when_done})], "main")

    # ---- after every input ----------------------------------------------------------------------------------------

    def _settle(self) -> None:
        """After every input: start what is ready, send what is next, keep the idle timer, notice the end."""
        self._drain()
        while self._refused or self._over:
            if self._over:
                self._over_the_bound(*self._over.pop(0))
            else:
                key, why = self._refused.pop(0)
                self._replied(key, _Forbidden(as_json({"message": why})))
            self._drain()
        if self._prompt_over:
            self._music_again()
        call = self.call
        if call.still_since or call.goes_on or not (call.outbox or call.ended):  # else nothing can have begun or ended
            self._watch_silence()
        if call.ended:
            self._after_the_end()
        if call.outbox:
            if not call.in_flight:
                self._send(call.outbox[0])
            if ":idle" in call.timers:
                self.disarm(":idle")
        elif not call.ended:
            self._watch_idleness()

    def _send(self, first: Outgoing) -> None:
        call = self.call
        call.in_flight = first.id
        self.effects.append(Send(first))
        if self.route.while_waiting and not (call.ended or call.channelless or ":filler" in call.timers):
            self.arm(":filler", FILLER_DELAY)

    def _watch_idleness(self) -> None:
        """While nothing is to be delivered."""
        call = self.call
        if not self._idle():
            self.disarm(":idle")
        elif call.channelless:
            self._end("done")
            self._go_when_done()
        elif ":idle" not in call.timers:
            self.arm(":idle", self.route.idle_timeout)


__all__ = ["RouteView", "Turn", "World"]
