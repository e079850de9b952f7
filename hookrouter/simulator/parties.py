"""Whoever the endpoint dials: how the simulated phones behave, and the dialplan that makes them.

Rule: an endpoint is looked up by its exact text first, then by globs in their order; who is not named answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Annotated, Literal, get_args

import msgspec
from msgspec import Meta

from hookrouter.errors import Fault

Outcome = Literal["answered", "busy", "noAnswer", "rejected", "unavailable", "late"]
Seconds = Annotated[float, Meta(ge=0, le=3600)]
Keys = Annotated[str, Meta(pattern=r"^[0-9A-D*#]+(?!\n)$")]

_CAUSES = {"busy": 17, "rejected": 21}
_LATE = 8.0


class Party(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One phone. Times are seconds; `press` are keys that whoever answers presses after `press_after`."""

    outcome: Outcome = "answered"
    after: Seconds = 1.0
    talk: Seconds = 3.0
    press: Keys | None = None
    press_after: Seconds = 1.0


def read_party(value: str | Party, place: str) -> Party | Fault:
    """`busy`, `late:8`, `answered:1#` (the keys that are pressed), or a table."""
    if isinstance(value, Party):
        return value
    outcome, colon, more = value.partition(":")
    if outcome not in get_args(Outcome):
        return Fault(place, f"`{outcome}` is not one of {', '.join(get_args(Outcome))}")
    given: dict[str, object] = {"outcome": outcome}
    if colon and outcome == "answered":
        given["press"] = more
    elif colon and outcome == "late":
        try:
            given["after"] = float(more)
        except ValueError:
            return Fault(place, f"`late:{more}`: the seconds have to be a number, such as late:8")
    elif colon:
        return Fault(
            place, f"nothing follows `{outcome}`; `late:8` takes seconds, `answered:1` the keys that are pressed"
        )
    elif outcome == "late":
        given["after"] = _LATE
    try:
        return msgspec.convert(given, Party)
    except msgspec.ValidationError as error:
        return Fault(place, f"`{value}`: {str(error).partition(' - at')[0]}")


class Parties:
    """All phones of one run. `asked`: which of the names were dialled."""

    def __init__(self, named: Mapping[str, Party]) -> None:
        self._named = dict(named)
        self._all = [*self._named.values(), Party()]
        self.asked: set[str] = set()

    def phone(self, endpoint: str) -> str | None:
        """The extension of `callers` that this endpoint behaves as; None: it cannot be reached."""
        name = self._name(endpoint)
        if name is None:
            return f"party-{len(self._all) - 1}"
        self.asked.add(name)
        found = self._named[name]
        return None if found.outcome == "unavailable" else f"party-{self._all.index(found)}"

    def follows(self, endpoint: str) -> bool:
        """Whether the caller's phone, asked to call this endpoint instead (`redirect`), gets through to it."""
        name = self._name(endpoint)
        if name is None:
            return True
        self.asked.add(name)
        return self._named[name].outcome in ("answered", "late")

    def _name(self, endpoint: str) -> str | None:
        if endpoint in self._named:
            return endpoint
        return next((name for name in self._named if fnmatchcase(endpoint, name)), None)

    @property
    def unasked(self) -> list[str]:
        """Names that nobody dialled: most likely slips."""
        return [name for name in self._named if name not in self.asked]

    def dialplan(self) -> str:
        lines = ["[callers]"]
        for index, party in enumerate(self._all):
            steps = _steps(party)
            lines += [f"exten => party-{index},1,{steps[0]}", *(f" same => n,{step}" for step in steps[1:])]
        return "\n".join(lines) + "\n"


def _steps(party: Party) -> list[str]:
    ringing = ["Ringing()", f"Wait({party.after:g})"]
    if cause := _CAUSES.get(party.outcome):
        return [*ringing, f"Hangup({cause})"]
    if party.outcome == "noAnswer":
        return ["Ringing()", "Wait(86400)"]
    pressed = [f"Wait({party.press_after:g})", f"SendDTMF({party.press},100,100)"] if party.press else []
    return [*ringing, "Answer()", *pressed, f"Wait({party.talk:g})", "Hangup()"]
