"""Whether a call went well, and if not, why: one sentence, from the facts of it. Pure.

Rules:
- The first trouble that nothing else explains is the reason; when Asterisk went away, what failed on the way to it is not.
- An action that failed is why a call stood still after its ActionFailed.
- A caller who hangs up is no trouble. A called party who could not be reached (busy, no answer, …) is why a call failed
  where nobody else was reached after that, nor a message was left.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hookrouter import facts as f
from hookrouter.facts import Fact

Outcome = tuple[str, str]  # `good` or `failed`, and the sentence
_MOST = 300
_LOOP = 4
_RANKS: dict[type[Fact], int] = {
    f.CallStandsStill: 4, f.LimitReached: 4, f.FallbackTaken: 3, f.DeliveryFinished: 3, f.ActionFinished: 2, f.Warned: 1,
}  # fmt: skip


def _fallback(fact: f.FallbackTaken) -> str:
    what = {
        "url": "the fallback endpoint was asked", "actions": "the fallback's actions ran",
        "continue": "the call was given back to the dialplan", "none": "nothing followed",
    }.get(fact.kind, fact.kind)  # fmt: skip
    return f"no usable answer ({fact.reason}); {what}"


def _delivery(fact: f.DeliveryFinished) -> str:
    if fact.kind != "control" or fact.outcome != "unanswered":
        return ""
    detail = f": {fact.detail}" if fact.detail else ""
    tries = "1 attempt" if fact.attempts == 1 else f"{fact.attempts} attempts"
    return f"{fact.type} got no usable answer after {tries} ({fact.reason}{detail})"


_UNREACHED = {
    "busy": "busy", "noAnswer": "no answer", "rejected": "rejected", "unavailable": "not to be reached",
}  # fmt: skip
_SERVED = frozenset({"record", "conference", "queue", "bridge", "transfer", "redirect", "stream"})
_GONE = {
    "asterisk_restarted": "Asterisk went away in the middle of the call, and has restarted",
    "asterisk_gone": "Asterisk went away in the middle of the call",
    "lost": "Asterisk went away in the middle of the call",
    "restarted": "Asterisk went away in the middle of the call, and has restarted",
}


def _action(fact: f.ActionFinished) -> str:
    return f"`{fact.verb}` failed ({fact.detail})" if fact.outcome == "failed" else ""


_SAYS: dict[type[Fact], Callable[[Any], str]] = {
    f.FallbackTaken: _fallback,
    f.DeliveryFinished: _delivery,
    f.ActionFinished: _action,
    f.CallStandsStill: lambda fact: str(fact.message),
    f.LimitReached: lambda fact: str(fact.message),
    f.Warned: lambda fact: str(fact.message),
}


TROUBLES = frozenset(_SAYS)
"""The kinds of facts that may be trouble; of the others a verdict need not hear."""


class Verdict:
    """Hears the facts of one call, in order."""

    __slots__ = ("_rank", "_sentence", "_troubled", "_unreached")

    def __init__(self) -> None:
        self._unreached = ""
        self._rank = 0
        self._sentence = ""
        self._troubled = False

    def hear(self, fact: Fact) -> bool:
        """A fact of the call; most say nothing here. Whether it tells of trouble."""
        if fact.__class__ is f.ActionFinished:
            self._hear_of_legs(fact)
        says = _SAYS.get(fact.__class__)
        if says is None or not (sentence := says(fact)):
            return False
        rank = _RANKS[fact.__class__]
        if (
            fact.__class__ is f.CallStandsStill
            and fact.event == "ActionFailed"
            and self._rank == _RANKS[f.ActionFinished]
        ):
            self._rank = rank  # the failed action is why
        if fact.__class__ is f.Warned and fact.subject == "loop":
            rank = _LOOP
        self._troubled = self._troubled or rank > 1
        if rank > self._rank or (
            rank == self._rank == 3 and fact.__class__ is f.DeliveryFinished and not self._sentence
        ):
            self._rank, self._sentence = rank, sentence[:_MOST]
        return True

    def _hear_of_legs(self, fact: f.ActionFinished) -> None:
        if fact.outcome != "done":
            return
        if fact.result in _UNREACHED:
            whom = f" of {fact.about}" if fact.about else ""
            self._unreached = f"`{fact.verb}`{whom}: {_UNREACHED[fact.result]}"[:_MOST]
        elif fact.result == "answered" or fact.verb in _SERVED:
            self._unreached = ""

    def spoken(self, reason: str) -> Outcome:
        """The verdict of a call that ended for `reason`."""
        if reason in _GONE and self._rank < _RANKS[f.FallbackTaken]:
            return "failed", _GONE[reason]
        if self._troubled:
            return "failed", self._sentence
        return ("failed", self._unreached) if self._unreached else ("good", "")


__all__ = ["TROUBLES", "Verdict"]
