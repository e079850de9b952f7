"""How a call ends: what it has made goes, its legs are waited for, its detail record is told. Pure.

Rules: when the call has ended, nothing new starts; what is to be delivered is delivered, and then the call is gone.
"""

from __future__ import annotations

from hookrouter.actions.base import Reply
from hookrouter.actions.decode import decode_step
from hookrouter.calls import detail
from hookrouter.calls.effects import Gone, Report
from hookrouter.calls.following import Following
from hookrouter.calls.programs import LEAVE_TIMEOUT
from hookrouter.calls.silence import Silence
from hookrouter.facts import CallFinished
from hookrouter.policy.parameters import Kind

CLOSING_TIMEOUT = 15.0
GONE_DELAY = 0.5
_CLEANUP = {
    "bridge": ("bridges.destroy", "bridgeId"),
    "leg": ("channels.hangup", "channelId"),
    "snoop": ("channels.hangup", "channelId"),
}


class Ending(Following, Silence):
    """From the first word of an end until nothing of the call is left."""

    def _borrowed(self) -> bool:
        """Whether the call has only gone into the dialplan for a while (the verb `dialplan`)."""
        return any(getattr(program.run, "away", False) for program in self.call.programs.values())

    def _leaving(self) -> bool:
        """Whether the call has been given away (`continue`, `move`, `redirect`): its StasisEnd is no hangup."""
        for program in self.call.programs.values():
            if program.channel != self.call.channel:
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

    def _idle(self) -> bool:
        """Whether every program is over, or has given the call away, which is here all the same."""
        for program in self.call.programs.values():  # noqa: SIM110  on the path of every event
            if not (program.left or self._is_over(program)):
                return False
        return True

    def _look_after_leaving(self, reply: Reply) -> None:
        """A leaving action was taken and no StasisEnd has come: was its event lost, or does it take its time?"""
        if self.call.ended:
            return
        if reply.status == 404:
            self.arm(":gone", GONE_DELAY)
        self.arm(":leave", LEAVE_TIMEOUT)

    def _end(self, reason: str = "", at: float = 0.0) -> None:
        """`at`: when Asterisk has said that it ended, 0.0: now."""
        call = self.call
        call.ended = True
        call.end_reason = reason or ("left" if self._leaving() else "hangup")
        for key in (":idle", ":filler", ":leave", ":gone", ":silence", ":look"):
            self.disarm(key)
        for program in self._find_all("child"):
            if program.channel == call.channel and (program.left or (program.run and self.action(program).leaves)):
                self._child_ended(program, "left")  # it has hung up itself; the reply may be on its way
            elif program.channel == call.channel:
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
        detail.ended(call, at or self.now)
        call.detailed = call.channelless or not (self._wants("CallEnded") or self.world.wanted("CallEnded"))
        if not call.detailed:
            self.arm(":legs", detail.LEGS_TIMEOUT)

    def _tell_detail(self) -> None:
        """`CallEnded`, once the ends of all legs are known, or have been waited for long enough."""
        if not self.call.detailed:
            self.call.detailed = True
            self.disarm(":legs")
            self.emit("CallEnded", detail.call_detail(self.call), deliver=self._wants("CallEnded"))

    def _after_the_end(self) -> None:
        """What the call has made goes."""
        call = self.call
        if not (call.detailed or detail.legs_that_go_on(call)):
            self._tell_detail()
        if call.programs:
            return
        if call.owned or call.claimed or call.former:
            self._let_all_go()
        self._go_when_done()

    def _let_all_go(self) -> None:
        call = self.call
        for things in call.owned.values():
            for id, role in things.items():
                if role in _CLEANUP:
                    operation, key = _CLEANUP[role]
                    self.cast(operation, {key: id})
        call.owned = {}
        self._let_former_go()
        call.former = []
        for kind, id in list(call.things()):  # whoever waits to learn whose it is learns it
            self.forget(Kind(kind), id)

    def _go_when_done(self) -> None:
        call = self.call
        if call.detailed and not (call.programs or call.outbox or call.requests):
            for key in list(call.timers):
                self.disarm(key)
            seconds = round(self.now - call.started_at, 4)
            if not call.channelless:
                self.effects.append(
                    Report(CallFinished(call.id, call.asterisk, call.route, call.end_reason, seconds, call.tenant))
                )
            self.effects.append(Gone())
