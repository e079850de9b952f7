"""What a script expects, held against what was."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from hookrouter.simulator.talking import Talk


def check(talk: Talk, slowest: float) -> Iterator[str]:
    """Every expectation of this caller's that was not met. `slowest` in seconds."""
    expect, caller, place = talk.person.expect, talk.caller, f"{talk.place}expect"
    if caller is None:
        return
    heard = [one.detail for one in caller.heard if one.what == "media"]
    yield from _in_order(f"{place}.heard", expect.heard, heard)
    yield from _in_order(f"{place}.actions", expect.actions, talk.actions)
    if expect.answered_within is not None:
        answered = next((one.at for one in caller.heard if one.what == "answered"), None)
        if answered is None:
            yield f"{place}.answered_within: the call was never answered"
        elif answered > expect.answered_within:
            yield f"{place}.answered_within: {expect.answered_within:g} s; it took {answered:.3f} s"
    if expect.endpoint_within is not None and slowest > expect.endpoint_within:
        yield f"{place}.endpoint_within: {expect.endpoint_within:g} s; the slowest answer took {slowest:.3f} s"
    for name, value in (expect.state or {}).items():
        if not isinstance(talk.state, dict) or talk.state.get(name) != value:
            yield f"{place}.state: `{name}` should be {value!r}; the state at the end was {talk.state!r}"
    for name, value in expect.variables.items():
        if talk.variables.get(name) != value:
            yield f"{place}.variables: `{name}` should be {value!r}, and was {talk.variables.get(name)!r}"
    if expect.ended_by not in (None, talk.ended_by):
        yield f"{place}.ended_by: {expect.ended_by}; the {talk.ended_by} ended the call"
    if expect.cause not in (None, caller.channel.cause):
        yield f"{place}.cause: {expect.cause}; the cause was {caller.channel.cause}"


def _in_order(place: str, wanted: list[str], given: list[str]) -> Iterator[str]:
    rest = iter(given)
    for one in wanted:
        if not any(fnmatchcase(found, one) for found in rest):
            yield f"{place}: `{one}` is missing (in this order); there was: {', '.join(given) or 'nothing'}"
            return
