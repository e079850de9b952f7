"""A scripted call: who calls, what they do, who is dialled, and what is expected. From TOML, or from options.

Rule: everything wrong with a script is said at once, with its place, before anything starts.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from hookrouter.errors import ConfigurationError, Fault
from hookrouter.simulator.parties import Keys, Party, read_party

Positive = Annotated[float, Meta(gt=0)]
NotNegative = Annotated[float, Meta(ge=0)]


class Step(msgspec.Struct, forbid_unknown_fields=True):
    """One thing that the caller does; exactly one of the fields but `timeout` is given."""

    wait_for: str | None = None  # media that contains this; "answered"; "ringing"; "any": whatever is played next
    press: Keys | None = None
    pause: Positive | None = None
    say: str | None = None
    hangup: bool | None = None
    timeout: Positive = 15.0


class Expect(msgspec.Struct, forbid_unknown_fields=True):
    """What must have been when the call is over; what is not given is not looked at."""

    heard: list[str] = []
    actions: list[str] = []
    answered_within: Positive | None = None
    endpoint_within: Positive | None = None
    state: dict[str, Any] | None = None
    variables: dict[str, str] = {}
    ended_by: str | None = None
    cause: int | None = None


class Person(msgspec.Struct, forbid_unknown_fields=True):
    """Somebody who calls. `after`: seconds after the first; `digits`: keys at prompts, as `--digits` has them."""

    caller: str = "+4930123456"
    name: str = ""
    called: str = "1000"
    args: list[str] = []
    after: NotNegative = 0.0
    hangup_after: Positive = 60.0
    digits: str = ""
    steps: list[Step] = []
    expect: Expect = msgspec.field(default_factory=Expect)


class Script(Person, forbid_unknown_fields=True):
    """The whole file: the first caller, the others, whoever is dialled, and sounds of one's own (name → seconds)."""

    callers: list[Person] = []
    sounds: dict[str, Positive] = {}
    dial: dict[str, str | Party] = {}

    def parties(self) -> dict[str, Party]:
        """Raises ConfigurationError."""
        found = {name: read_party(value, f"dial.{name}") for name, value in self.dial.items()}
        if faults := [one for one in found.values() if isinstance(one, Fault)]:
            raise ConfigurationError(faults)
        return {name: one for name, one in found.items() if isinstance(one, Party)}


def read_script(path: Path) -> Script:
    """Raises ConfigurationError with every fault."""
    try:
        raw = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError([Fault(str(path), f"cannot be read: {error}")]) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError([Fault(str(path), f"not TOML: {error}")]) from None
    try:
        script = msgspec.convert(raw, Script)
    except msgspec.ValidationError as error:
        message, _, place = str(error).partition(" - at `$.")
        raise ConfigurationError([Fault(place.rstrip("`") or str(path), message)]) from None
    faults = list(_faults(script, ""))
    for index, person in enumerate(script.callers):
        faults += _faults(person, f"callers[{index}].")
    try:
        script.parties()
    except ConfigurationError as error:
        faults += error.faults
    if faults:
        raise ConfigurationError(faults)
    return script


def _faults(person: Person, place: str) -> Iterator[Fault]:
    for index, step in enumerate(person.steps):
        if sum(one is not None for one in (step.wait_for, step.press, step.pause, step.say, step.hangup)) != 1:
            yield Fault(f"{place}steps[{index}]", "give exactly one of wait_for, press, pause, say, hangup")
    if person.expect.ended_by not in (None, "caller", "endpoint"):
        yield Fault(f"{place}expect.ended_by", "`caller` or `endpoint`")


def from_digits(digits: str) -> list[Step]:
    """`1,23`: key 1 when something is played, then 2 and 3 when the next thing is."""
    steps: list[Step] = []
    for group in filter(None, (part.strip() for part in digits.split(","))):
        steps += [Step(wait_for="any"), Step(pause=0.5), Step(press=group)]
    return steps
