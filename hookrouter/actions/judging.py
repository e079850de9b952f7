"""What of an answer its route's policy does not allow, nested actions included, each with its place and the key to write.

Rule: told when the answer is decoded, so that nothing of it runs; what only comes about later is judged again when a
request is to leave.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from itertools import islice
from typing import Any, get_args

import msgspec

from hookrouter.actions.base import Action, Step
from hookrouter.actions.decode import Answer, decode_answer
from hookrouter.actions.dial import Dial
from hookrouter.actions.faults import MOST_TOLD
from hookrouter.actions.nested import Prompt, Steps
from hookrouter.actions.operation import OperationAction
from hookrouter.actions.remembered import Remembered
from hookrouter.errors import AnswerRefused, Fault
from hookrouter.policy.origins import resolve
from hookrouter.policy.policy import Policy, judged
from hookrouter.policy.said import said_by_operation, said_by_struct

_KNOWN_BYTES = 32 * 1024  # of answers, for each set of rules
_URLS = {"url": "/url", "wait_url": "/waitUrl"}


class Rules(msgspec.Struct, frozen=True):
    """What a route allows: its policy, and where an action's own `url` may lead (`base`: the route's)."""

    policy: Policy
    base: str = ""
    allow_urls: tuple[str, ...] = ()


def refuse(steps: Sequence[Step], rules: Rules, place: str) -> None:
    """Raises AnswerRefused with what `rules` do not allow of the actions at `place`."""
    if found := [fault for index, step in enumerate(steps) for fault in step_faults(step, rules, f"{place}/{index}")]:
        raise AnswerRefused(found[:MOST_TOLD])


@lru_cache(maxsize=1024)
def answer_decoder(rules: Rules, first: bool, channelless: bool) -> Callable[[bytes, str], Answer]:
    """What reads the answers of an endpoint under `rules`. What it gives raises AnswerRefused with every fault."""

    def decode(body: bytes, content_type: str) -> Answer:
        answer = decode_answer(body, content_type, first=first)
        if not answer.steps:
            return answer
        faults = []
        top = "/actions" if body.lstrip()[:1] == b"{" else ""
        for index, step in enumerate(answer.steps):
            if channelless and not step.action.callless:
                hint = "`originate` makes a call; `sendMessage`, `deviceState`, `notify` and the like need none"
                fault = f"`{step.action.verb}` needs a call, and this event belongs to none; {hint}"
                faults.append(Fault(f"{top}/{index}/action", fault))
            if len(faults) < MOST_TOLD:
                faults += step_faults(step, rules, f"{top}/{index}")
        if faults:
            raise AnswerRefused(faults[:MOST_TOLD])
        return answer

    return decode


@lru_cache(maxsize=256)
def _known(rules: Rules) -> Remembered[tuple[Fault, ...]]:
    return Remembered(_KNOWN_BYTES)


def step_faults(step: Step, rules: Rules, place: str) -> Sequence[Fault]:
    """What `rules` do not allow of the action at `place`. The same bytes are judged once."""
    known = _known(rules)
    found = known.get(step.raw)
    if found is None:
        found = tuple(islice(action_faults(step.action, rules, ""), MOST_TOLD))
        known.put(step.raw, found)
    return [Fault(place + fault.place, fault.message) for fault in found] if found else ()


def action_faults(action: Action, rules: Rules, place: str) -> Iterator[Fault]:
    """All that `rules` do not allow of one action and of what is nested in it."""
    if isinstance(action, OperationAction):
        if judged(action.operation):
            for where, message in rules.policy.faults(said_by_operation(action.operation, action.params)):
                yield Fault(place + where, message)
    else:
        for where, message in rules.policy.faults(said_by_struct(action)):
            yield Fault(place + where, message)
        if isinstance(action, Dial) and (most := max(map(len, action.groups), default=0)) > rules.policy.max_legs:
            yield Fault(
                f"{place}/to", f"{most} legs at a time; the `max_legs` of this route is {rules.policy.max_legs}"
            )
        if rules.base:
            yield from _url_faults(action, rules, place)
    for name, encoded in _nesting(type(action)):
        yield from _within(getattr(action, name), rules, f"{place}/{encoded}")


def _url_faults(action: Action, rules: Rules, place: str) -> Iterator[Fault]:
    for name, where in _URLS.items():
        if url := getattr(action, name, None):
            try:
                resolve(rules.base, url, rules.allow_urls)
            except ValueError as error:
                yield Fault(place + where, str(error))


@cache
def _nesting(kind: type[msgspec.Struct]) -> tuple[tuple[str, str], ...]:
    """(attribute, name in JSON) of the fields that may hold actions."""
    return tuple((field.name, field.encode_name) for field in msgspec.structs.fields(kind) if _may_nest(field.type))


def _may_nest(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Steps):
        return True
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return bool(_nesting(annotation))
    return any(_may_nest(part) for part in get_args(annotation))


def _within(value: Any, rules: Rules, place: str) -> Iterator[Fault]:
    if isinstance(value, Steps):
        alone = isinstance(value, Prompt) and len(value.actions) == 1  # most often a media URI: there is no action
        for index, action in enumerate(value.actions):
            for fault in action_faults(action, rules, f"{place}/{index}"):
                yield Fault(place, fault.message) if alone else fault
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _within(item, rules, f"{place}/{str(key).replace('~', '~0').replace('/', '~1')}")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _within(item, rules, f"{place}/{index}")
    elif isinstance(value, msgspec.Struct):
        for name, encoded in _nesting(type(value)):
            yield from _within(getattr(value, name), rules, f"{place}/{encoded}")
