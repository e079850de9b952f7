"""The programs of a call: started, stepped through, finished, failed, stopped; child programs belong to an action. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hookrouter.actions.base import Action, Outcome
from hookrouter.actions.decode import decode_step
from hookrouter.calls import going_on
from hookrouter.calls.call import Kind, Program
from hookrouter.calls.effects import Report
from hookrouter.calls.outbox import Outbox, as_json
from hookrouter.facts import ActionFinished, ActionStarted, Warned

LEAVE_TIMEOUT = 3.0
DOUBT_DELAY = 1.0
_GONE_STATUSES = (404, 409)


class Programs(Outbox):
    """Programs live side by side; each has at most one action running."""

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
        program = Program(
            id, kind, list(steps), channel or self.call.channel, parent=parent, name=name, when_done=when_done
        )
        self.call.programs[id] = program
        self._ready.append(id)
        return program

    def _start_main(self, steps: Sequence[bytes], kind: Kind, when_done: str = "") -> None:
        self._drop_fillers()
        self.call.goes_on.pop(going_on.UNKNOWN, None)
        self._spawn(kind, steps, when_done=when_done)

    def spawn_child(self, parent: Program, steps: Sequence[bytes], name: str, channel: str | None) -> None:
        self.kill_child(parent, name)
        self._spawn("child", steps, parent=parent.id, name=name, channel=channel or parent.channel)

    def spawn_beside(self, step: bytes) -> None:
        self._spawn("beside", [step])

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
            self._forget_keys(program)
            self._report(program, "stopped")
            program.run = None
        if program.kind == "filler":
            self._undo_filler(program)
        self._remove(program)

    def _forget_keys(self, program: Program) -> None:
        """What was typed while it ran was for somebody else."""
        if program.channel == self.call.channel and self.action(program).talks:
            self.call.digits = ""

    def _drop_fillers(self) -> None:
        if self.call.programs:
            for program in self._find_all("filler"):
                self._drop(program)

    def _undo_filler(self, program: Program) -> None:
        for other in [
            p for p in self.call.programs.values() if p.kind in ("detached", "beside") and p.parent == program.id
        ]:
            self._drop(other)
        for raw in program.steps[: program.index + 1]:
            undo = getattr(decode_step(raw), "undo", None)
            if undo:
                self.cast(undo, {"channelId": program.channel})

    def _remove(self, program: Program) -> None:
        self._release(program)
        self.call.programs.pop(program.id, None)

    def _release(self, program: Program) -> None:
        """Lets go of what the running action holds: timers, children; its requests and questions are nobody's now."""
        call, id = self.call, program.id
        if call.timers:
            prefix = f"{id}:"
            for key in [key for key in call.timers if key.startswith(prefix)]:
                self.disarm(key)
        for pending in call.requests.values():
            if pending.program == id:
                pending.program = ""
        for out in call.outbox:
            if out.ask and out.program == id:
                out.program = ""
        program.doubt = None
        program.lent = []
        if len(call.programs) > 1:
            for child in [p for p in call.programs.values() if p.parent == id and p.kind == "child"]:
                self._drop(child)

    def _drain(self) -> None:
        while self._ready:
            program = self.call.programs.get(self._ready.pop(0))
            if program is None or self.call.ended:
                continue
            if program.index >= len(program.steps):
                self._completed(program)
            else:
                self._step(program)

    def _step(self, program: Program) -> None:
        if program.index and program.kind != "filler":  # what a filler began is looked up in its steps
            del program.steps[: program.index]
            program.done, program.index = program.done + program.index, 0
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
        self.effects.append(
            Report(ActionStarted(self.call.id, program.id, program.done + program.index, action.verb, raw))
        )
        if self.call.channelless and not action.callless:
            self._failed(program, "no_call", f"`{action.verb}` needs a call, and this event belongs to none", 0)
            return
        program.run.start(self._doer(self, program))

    def _completed(self, program: Program) -> None:
        if program.kind == "filler":
            return  # what it began goes on until the answer is there
        if program.kind == "child":
            self._child_ended(program, "done")
            return
        self._remove(program)
        if (
            program.kind in ("main", "fallback")
            and program.when_done in ("hangup", "continue")
            and not self.call.channelless
        ):
            self._start_main([as_json({"action": program.when_done})], "main")

    def _report(self, program: Program, outcome: str, detail: str = "", result: str = "") -> None:
        action = self.action(program)
        index, seconds = program.done + program.index, round(self.now - program.step_at, 4)
        about = action.about()
        self.effects.append(
            Report(
                ActionFinished(self.call.id, program.id, index, action.verb, outcome, seconds, detail, about, result)
            )
        )

    def action(self, program: Program) -> Action:
        return decode_step(program.steps[program.index])

    def finish(self, program: Program, data: Mapping[str, Any] | None, then: Sequence[bytes] | None, told: bool,
               type: str | None) -> None:  # fmt: skip
        if program.run is None:
            return
        action, raw = self.action(program), program.steps[program.index]
        self._report(program, "done", result=str(data.get("status") or data.get("reason") or "") if data else "")
        self._forget_keys(program)
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
        elif action.leaves and program.channel == self.call.channel:
            program.left = program.index + 1
            program.index = len(program.steps)
            self.arm(":leave", LEAVE_TIMEOUT)
        elif program.kind in ("detached", "beside"):
            self._remove(program)
        elif action.leaves and program.kind == "child":
            self._child_ended(program, "left")
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
        raw = bytes(getattr(action, "by", raw))
        body = b'{"action":' + raw + (b"," + as_json(data)[1:] if data else b"}")
        wanted = (
            bool(url) or not (told or action.quiet) or (self.route.events is not None and type in self.route.events)
        )
        wanted = wanted or (self.route.events is None and not told)
        awaited = wanted and not self.call.ended and program.kind not in ("detached", "beside", "filler")
        id = self.emit(type, body, program=program.id if awaited else "", url=self.resolve(url), deliver=wanted)
        return id if awaited else ""

    def fail(self, program: Program, reason: str, message: str, status: int) -> None:
        if program.run is None:
            return
        if (
            status in _GONE_STATUSES
            and program.channel == self.call.channel
            and program.doubt is None
            and not self.call.ended
            and not self.call.channelless
        ):
            program.doubt = (reason, message, status)  # perhaps the caller has just hung up: then it is no failure
            self.arm(f"{program.id}:~doubt", DOUBT_DELAY)
            self._request(program.id, "~doubt", "channels.get", {"channelId": self.call.channel}, None)
            return
        self._failed(program, reason, message, status)

    def _over_the_bound(self, id: str, message: str) -> None:
        """The action of a program has asked for too much: what it has so far is given back, and it fails."""
        program = self.call.programs.get(id)
        if program is None or program.run is None:
            return
        run, do = program.run, self._doer(self, program)
        self._release(program)
        run.on_limit(do)
        self._failed(program, "limit", message, 0)

    def _failed(self, program: Program, reason: str, message: str, status: int) -> None:
        action, raw = self.action(program), program.steps[program.index]
        hung_up = self.call.ended  # then it is no failure
        self._report(program, "stopped" if hung_up else "failed", f"{reason}: {message}")
        self._forget_keys(program)
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
        self._failed_program(program, b'{"action":' + raw + b',"error":' + as_json(error) + b"}", error)

    def _failed_program(self, program: Program, data: bytes, error: Mapping[str, Any]) -> None:
        kind = program.kind
        if kind == "child":
            self._child_ended(program, "failed", (error["reason"], error["message"], error["status"] or 0))
        elif kind == "filler":  # it stays: what it began before is taken back with the answer
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

    def _child_ended(self, program: Program, outcome: Outcome, error: tuple[str, str, int] = ("", "", 0)) -> None:
        """By itself: tells the action that it belongs to, which runs as long as it has children."""
        self._remove(program)
        parent = self.call.programs[program.parent]
        assert parent.run is not None
        do = self._doer(self, parent)
        do.error = error
        parent.run.on_child(program.name, outcome, do)

    def _playing(self) -> bool:
        """Whether something runs that the caller may hear; a recording beside the program is none."""
        return any(program.run is not None and program.kind != "beside" for program in self.call.programs.values())

    def _busy(self, apart_from: Program | None) -> bool:
        """Whether something goes on by itself, so that the call does not stand still."""
        return any(
            program is not apart_from and program.kind in ("main", "fallback", "parallel")
            for program in self.call.programs.values()
        )
