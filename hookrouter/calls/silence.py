"""Nobody is left in silence: when a call stands still, and when its owner is in a loop, it gets the fallback. Pure.

Rules:
- A call stands still when no program has anything to do, nothing is under way to the endpoint, nothing goes on by itself
  (going_on.py) and nothing is scheduled. `while_waiting` and a recording that runs beside do not count: with them alone the
  caller still waits.
- After the route's `silence_timeout` the call gets the fallback. An event that is answered meanwhile begins the seconds again,
  as its function may come back later; but after `_MOST_TIMES` as many seconds in all, the fallback comes in any case.
- An `ActionFailed` that is answered without actions brings the fallback at once: nothing else is to come.
- A call that the fallback's actions leave in silence goes back to the dialplan. If that fails, too, it waits for `idle_timeout`.
- An owner is in a loop after `LOOP_ANSWERS` answers with actions within `LOOP_SECONDS`, if meanwhile the caller pressed no key
  and heard nothing new, which is a sound that was played to its end and is not the one before. Actions that run beside a
  prompt do not count.
"""

from __future__ import annotations

from collections.abc import Sequence

from hookrouter.actions.decode import NOTHING, Answer
from hookrouter.ari.events import Head
from hookrouter.calls import going_on
from hookrouter.calls.bounds import ANSWER_SECONDS, too_many_answers
from hookrouter.calls.call import Outgoing, Program, tagged
from hookrouter.calls.effects import Report
from hookrouter.calls.programs import Programs
from hookrouter.delivery.outcome import Answered
from hookrouter.facts import CallStandsStill, CallTagged, FallbackTaken, Warned

FILLER_DELAY = 1.0
LOOP_ANSWERS, LOOP_SECONDS = 20, 10.0
LOOK_DELAY = 10.0  # how often what goes on is asked for: the end of a sound may be lost
_MOST_TIMES = 3


class Silence(Programs):
    """What keeps a call from standing still."""

    _prompt_over = False  # a sound on the call's channel has ended in this turn
    _at_once = False  # an ActionFailed has just brought no actions

    # ---- standing still -------------------------------------------------------------------------------------------

    def _is_over(self, program: Program) -> bool:
        """Whether it has nothing left to do, or nothing that the caller could hear."""
        if program.kind == "beside" or self._fills(program):
            return True
        if program.run is not None or program.waiting or program.left:
            return False
        return program.index >= len(program.steps) and program.when_done not in ("hangup", "continue")

    def _all_over(self) -> bool:
        for program in self.call.programs.values():  # noqa: SIM110  on the path of every event
            if not self._is_over(program):
                return False
        return True

    def _stands_still(self) -> bool:
        """Whether it would, if nothing were under way to the endpoint."""
        call = self.call
        return not (call.ended or call.channelless or call.goes_on) and self._all_over()

    def _watch_silence(self) -> None:
        """After every input."""
        call, timeout = self.call, self.route.silence_timeout
        if not (timeout and self._stands_still()):
            if call.still_since:
                call.still_since = 0.0
                self.disarm(":silence")
            if call.goes_on and ":look" not in call.timers and not call.ended and going_on.may_end_unheard(call):
                self.arm(":look", LOOK_DELAY)
        elif call.outbox:
            self.disarm(":silence")
        elif ":silence" not in call.timers and call.fallen < 2:
            call.still_since = call.still_since or self.now
            left = min(timeout, call.still_since + _MOST_TIMES * timeout - self.now) if not self._at_once else 0.0
            if left > 0:
                self.arm(":silence", left)
            else:
                self._fall_out_of_silence()
                self._drain()
                self._watch_silence()

    def _music_again(self) -> None:
        """After a prompt that was not followed by another."""
        self._prompt_over = False
        if not self._borrowed() and (params := going_on.music_again(self.call)) is not None:
            self.cast("channels.startMoh", params)

    def _borrowed(self) -> bool:
        """Whether the call has only gone into the dialplan for a while."""
        raise NotImplementedError

    def _fall_out_of_silence(self) -> None:
        call = self.call
        seconds = round(self.now - call.still_since, 3)
        answered = call.last_answer or "nothing"
        fact = CallStandsStill(call.id, call.route, call.last_event, answered, seconds, self._in_words())
        self.effects.append(Report(fact))
        call.still_since, self._at_once = 0.0, False
        self._fall_back_to_actions("silence", "", again=call.fallen > 0)

    def _in_words(self) -> str:
        """What has happened, and what would have helped."""
        call = self.call
        last = "No event was answered yet."
        if call.last_event:
            last = f"The last event, {call.last_event}, was answered with {call.last_answer or 'nothing'}."
        if call.fallen:
            return f"The fallback's actions are done and left the caller in silence: let them end with `hangup`. {last}"
        if call.last_event == "ActionFailed":
            return (
                f"An action failed, and its program is over. {last} Answer ActionFailed with what the caller gets instead, "
                f"or give the action `onError`."
            )
        return (
            f"Nothing runs, nothing is to come, and the caller hears nothing. {last} Answer it with a list of actions whose "
            f"last one ends the call or waits for the caller (`hangup`, `continue`, `gather`), or come back by POST "
            f"/v1/calls/{call.id}/actions within the route's `silence_timeout` ({self.route.silence_timeout:g} s)."
        )

    def _look_at_what_goes_on(self, keys: Sequence[str]) -> None:
        """Its end may have come while nobody listened, or without a word."""
        for key in keys:
            if (question := going_on.question(key)) is not None:
                self._request("", f"~look {key}", *question, None)

    # ---- what was answered ----------------------------------------------------------------------------------------

    def _tagged(self, answer: Answer) -> None:
        if answer.tags and not self.call.channelless:
            self.call.tags = tagged(self.call.tags, answer.tags)
            self.effects.append(Report(CallTagged(self.call.id, dict(answer.tags))))

    def _noted(self, out: Outgoing, answer: Answer, came: Answered[Answer] | None) -> Answer:
        """The answer as it counts: of an owner in a loop, or one with too many answers, nothing does."""
        call = self.call
        call.last_event = out.type
        said = came.in_words if came is not None and not answer.steps else ""
        call.last_answer = ", ".join(step.action.verb for step in answer.steps[:10]) or said
        if call.looped or (answer.steps and self._disturbs(answer) and self._loops(out)):
            return NOTHING
        if answer.steps and too_many_answers(call, self.route.policy.max_answers, self.now):
            self._out_of_the_call(out)
            return NOTHING
        if answer.steps:
            call.fallen = 0
        elif out.type == "ActionFailed":
            self._at_once = True
        return answer

    def _keep_filler(self, answer: Answer) -> None:
        """`while_waiting` goes on after an answer that leaves the call standing still: its function may come back."""
        if answer.steps or not self._stands_still():
            self._end_filler()

    def _fill_the_wait(self) -> None:
        """A second is over: the caller gets `while_waiting`, unless they hear something."""
        if self._playing() or self.call.goes_on:
            self.arm(":filler", FILLER_DELAY)
        elif self._find("filler") is None and (self.call.in_flight or self._stands_still()):
            self._spawn("filler", self.route.while_waiting)

    def _came_back(self, answer: Answer) -> None:
        """By the control API: whoever sends these means them."""
        call = self.call
        call.last_event, call.last_answer = "POST /actions", ", ".join(step.action.verb for step in answer.steps[:10])
        call.looped, call.answers, call.fallen = False, [], 0
        if not call.in_flight:
            self.disarm(":filler")

    def _end_filler(self) -> None:
        self.disarm(":filler")
        self._drop_fillers()

    # ---- loops ----------------------------------------------------------------------------------------------------

    def _heard_something_new(self, head: Head) -> bool:
        """Whether an event tells so. A sound that we have stopped is no longer ours."""
        if head.type == "ChannelDtmfReceived":
            return head.channel is not None and head.channel.id == self.call.channel
        playback = head.playback
        if head.type != "PlaybackFinished" or playback is None or playback.state != "done":
            return False
        if playback.id not in self.call.owned.get("playback", ()) or playback.media_uri == self.call.heard:
            return False
        self.call.heard = playback.media_uri
        return True

    def _disturbs(self, answer: Answer) -> bool:
        """Whether it may take something from what the caller hears: actions that run beside a prompt, or after it, do not."""
        replaces = answer.mode == "replace" or not (self._playing() or self.call.goes_on)
        return replaces and not self.call.channelless

    def _loops(self, out: Outgoing) -> bool:
        """Counts an answer with actions. True: it is one too many; the call gets the fallback, and its owner is not listened to."""
        call = self.call
        call.answers = [*call.answers[1 - LOOP_ANSWERS :], self.now]
        if len(call.answers) < LOOP_ANSWERS or self.now - call.answers[0] > LOOP_SECONDS:
            return False
        call.looped, call.answers = True, []
        message = (
            f"{LOOP_ANSWERS} answers with actions came within {LOOP_SECONDS:g} s, in which the caller heard nothing new; the "
            f"last were `{call.last_answer}` to {out.type}. Look at `type` in the endpoint: answer with actions to the "
            f"events that you know, and with an empty list to all others. What it answers in this call is ignored from now on"
        )
        self.effects.append(Report(Warned("loop", message, call.id)))
        for program in list(call.programs.values()):
            if program.kind != "beside":
                self._drop(program)
        self._fall_back_to_actions("loop", out.id)
        return True

    def _out_of_the_call(self, out: Outgoing) -> None:
        """Too many answers: the call gets the fallback, and its owner is not listened to any more."""
        call, most = self.call, self.route.policy.max_answers
        call.looped, call.answers = True, []
        self._limited("max_answers", f"{most} answers with actions came within {ANSWER_SECONDS:g} s")
        for program in list(call.programs.values()):
            if program.kind != "beside":
                self._drop(program)
        self._fall_back_to_actions("limit", out.id)

    # ---- the fallback ---------------------------------------------------------------------------------------------

    def _fall_back_to_actions(self, reason: str, event_id: str, *, again: bool = False) -> None:
        """`again`: they have just run, and left the call in silence, or without an answer."""
        if self.call.channelless:
            self.effects.append(Report(FallbackTaken("", self.call.route, event_id, reason, "none")))
            return  # nobody is on the line
        steps = None if again else self.route.fallback_actions
        kind = "actions" if steps else "continue"
        self.call.fallen = 1 if steps else 2
        self.effects.append(Report(FallbackTaken(self.call.id, self.call.route, event_id, reason, kind)))
        self._kill_main()
        self._start_main(steps or (b'{"action":"continue"}',), "fallback")
