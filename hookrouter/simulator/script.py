"""A scripted call: what the caller does, and what is expected of the endpoint. From TOML, or from options.

Rule: everything wrong with a script is said at once, with its place, before anything starts.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from hookrouter.errors import ConfigurationError, Fault

Positive = Annotated[float, Meta(gt=0)]
Keys = Annotated[str, Meta(pattern=r"^[0-9A-D*#]+$")]


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


class Script(msgspec.Struct, forbid_unknown_fields=True):
    """The whole file."""

    caller: str = "+4930123456"
    name: str = ""
    called: str = "1000"
    args: list[str] = []
    hangup_after: Positive = 60.0
    steps: list[Step] = []
    expect: Expect = msgspec.field(default_factory=Expect)


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
    faults = [
        Fault(f"steps[{index}]", "give exactly one of wait_for, press, pause, say, hangup")
        for index, step in enumerate(script.steps)
        if sum(one is not None for one in (step.wait_for, step.press, step.pause, step.say, step.hangup)) != 1
    ]
    if script.expect.ended_by not in (None, "caller", "endpoint"):
        faults.append(Fault("expect.ended_by", "`caller` or `endpoint`"))
    if faults:
        raise ConfigurationError(faults)
    return script


def from_digits(digits: str) -> list[Step]:
    """`1,23`: key 1 when something is played, then 2 and 3 when the next thing is."""
    steps: list[Step] = []
    for group in filter(None, (part.strip() for part in digits.split(","))):
        steps += [Step(wait_for="any"), Step(pause=0.5), Step(press=group)]
    return steps
