"""An endpoint's answer → a checked program, or every fault of it with its place.

Rules:
- An answer is refused whole: nothing of it runs when anything of it is wrong.
- The fast path decodes each action once; only a refusal walks it again (faults.py).
- What a body may be: at most 256 KiB, at most 64 levels deep, a list of actions or an object with `actions`.
"""

from __future__ import annotations

import codecs
import re
from functools import lru_cache
from typing import Any, Literal

import msgspec

from hookrouter.actions.base import Action, Step, Steps, state_fault
from hookrouter.actions.faults import OWN_FIELDS, action_faults, answer_faults, text_fault, value_fault
from hookrouter.actions.operation import OperationAction
from hookrouter.actions.vocabulary import INTERNAL, VERBS
from hookrouter.errors import AnswerRefused, Fault

MAX_ANSWER_BYTES = 256 * 1024
MAX_DEPTH = 64
MAX_ACTIONS = 1000

Mode = Literal["replace", "append", "parallel"]
WhenDone = Literal["wait", "hangup", "continue"]

_TOKENS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[{]|[\]}]', re.DOTALL)
_BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class Answer(msgspec.Struct, frozen=True):
    """What an endpoint answered. `steps` empty: nothing changes. `state` None: the state stays; else raw JSON."""

    steps: tuple[Step, ...] = ()
    state: bytes | None = None
    mode: Mode = "replace"
    when_done: WhenDone | None = None


class _Head(msgspec.Struct):
    action: str


class _Object(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    actions: list[msgspec.Raw] = []
    state: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    mode: Mode = "replace"
    when_done: WhenDone | None = None


NOTHING = Answer()


def _dec_hook(type: Any, value: Any) -> Any:
    if isinstance(type, _StepsType):
        found = type(msgspec.json.encode(item) for _, item in type.items(value))
        for raw in found:
            decode_step(raw)
        if isinstance(value, str) and hasattr(found, "mode"):
            found.mode = value
        return found
    raise NotImplementedError(f"no decoder for {type}")


_StepsType = type(Steps)
_decode_head = msgspec.json.Decoder(_Head).decode
_decode_object = msgspec.json.Decoder(_Object).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_DECODERS = {
    str(verb.__struct_config__.tag): msgspec.json.Decoder(verb, dec_hook=_dec_hook).decode
    for verb in (*VERBS, *INTERNAL)
}


@lru_cache(maxsize=4096)
def decode_step(raw: bytes) -> Action:
    """One action from its JSON. The same bytes give the same (frozen) action. Raises AnswerRefused."""
    try:
        decode = _DECODERS.get(_decode_head(raw).action)
        if decode is not None:
            action = decode(raw)
            if not any(action.check()):
                return action
            raise AnswerRefused([Fault(place, message) for place, message in action.check()])
    except AnswerRefused:
        pass
    except (*_BAD_JSON, ValueError):
        pass
    return _examine(raw)


def _examine(raw: bytes) -> Action:
    """The slow path: an operation by its own name, or all that is wrong."""
    try:
        value = msgspec.json.decode(raw)
    except _BAD_JSON as error:
        raise AnswerRefused([Fault("", f"not JSON: {error}")]) from None
    name = value.get("action") if isinstance(value, dict) else None
    if isinstance(name, str) and "." in name:
        return _operation(name, value)
    faults = list(action_faults(value, ""))
    if not faults:  # of a key that is there twice the last one is looked at
        raise AnswerRefused([Fault("", "could not be decoded: is a field there twice?")])
    raise AnswerRefused(faults)


def _operation(name: str, value: dict[str, Any]) -> OperationAction:
    faults = list(action_faults(value, ""))
    if faults:
        raise AnswerRefused(faults)
    params = {key: item for key, item in value.items() if key not in ("action", *OWN_FIELDS)}
    base = {key: value[key] for key in OWN_FIELDS if key in value}
    return msgspec.convert(
        {"action": "RESOURCE.OPERATION", "operation": name, "params": params, **base},
        OperationAction,
        dec_hook=_dec_hook,
    )


def decode_steps(raw: bytes, place: str = "") -> tuple[Step, ...]:
    """A JSON list of actions, as a route's fallback or an answer holds it. Raises AnswerRefused with every fault."""
    return _steps(_list_of(raw, place), place)


def _list_of(raw: bytes, place: str) -> list[bytes]:
    try:
        return [bytes(item) for item in _decode_list(raw)]
    except _BAD_JSON as error:
        raise AnswerRefused([Fault(place, f"expected a list of actions: {error}")]) from None


def _steps(raws: list[bytes], place: str) -> tuple[Step, ...]:
    steps: list[Step] = []
    faults: list[Fault] = []
    if len(raws) > MAX_ACTIONS:
        raise AnswerRefused([Fault(place, f"{len(raws)} actions; at most {MAX_ACTIONS} are taken")])
    for index, raw in enumerate(raws):
        try:
            action = decode_step(raw)
            if action.internal:
                raise AnswerRefused([Fault("/action", f"unknown action `{action.verb}`")])
            steps.append(Step(raw, action))
        except AnswerRefused as refused:
            faults.extend(Fault(f"{place}/{index}{fault.place}", fault.message) for fault in refused.faults)
    if faults:
        raise AnswerRefused(faults)
    return tuple(steps)


def depth(body: bytes) -> int:
    """How deep lists and objects are nested; what stands in strings does not count. Stops counting over the limit."""
    deepest = level = 0
    for token in _TOKENS.finditer(body):
        mark = token[0]
        if mark in (b"[", b"{"):
            level += 1
            deepest = max(deepest, level)
            if deepest > MAX_DEPTH:
                return deepest
        elif mark in (b"]", b"}"):
            level -= 1
    return deepest


def decode_answer(body: bytes, content_type: str = "", *, first: bool = False) -> Answer:
    """The answer in a 2xx response. `first`: it answers a StasisStart, where a body that is not JSON is a fault.

    Raises AnswerRefused with every fault, each with its JSON pointer.
    """
    if len(body) <= 4096:
        return _decode_small(body, content_type, first)
    return _decode(body, content_type, first)


def _decode(body: bytes, content_type: str, first: bool) -> Answer:
    stripped = body.removeprefix(codecs.BOM_UTF8).strip()
    if not stripped:
        return NOTHING
    if len(body) > MAX_ANSWER_BYTES:
        raise AnswerRefused([Fault("", f"{len(body)} bytes; an answer may have {MAX_ANSWER_BYTES}")])
    if (stripped.count(b"[") + stripped.count(b"{")) > MAX_DEPTH and depth(stripped) > MAX_DEPTH:
        raise AnswerRefused([Fault("", f"nested over {MAX_DEPTH} deep")])
    if stripped[:1] == b"[":
        return Answer(_steps(_list_of(stripped, ""), ""))
    if stripped[:1] == b"{":
        return _decode_whole(stripped)
    return _not_json(stripped, content_type, first)


_decode_small = lru_cache(maxsize=1024)(_decode)


def _decode_whole(body: bytes) -> Answer:
    try:
        found = _decode_object(body)
    except _BAD_JSON as error:
        fields = {field.encode_name: field.type for field in msgspec.structs.fields(_Object)}
        raise AnswerRefused(list(answer_faults(body, fields, error))) from None
    faults: list[Fault] = []
    steps: tuple[Step, ...] = ()
    try:
        steps = _steps([bytes(raw) for raw in found.actions], "/actions")
    except AnswerRefused as refused:
        faults.extend(refused.faults)
    state = None if isinstance(found.state, msgspec.UnsetType) else bytes(found.state)
    faults.extend(Fault(*fault) for fault in state_fault(found.state))
    if faults:
        raise AnswerRefused(faults)
    return Answer(steps, state, found.mode, found.when_done)


def _not_json(body: bytes, content_type: str, first: bool) -> Answer:
    try:
        value = msgspec.json.decode(body)
    except _BAD_JSON:
        if not first and b"<" not in body[:1] and len(body) <= 64:
            return NOTHING  # `OK`, `Accepted`: told, and nothing asked
        raise AnswerRefused([text_fault(body, content_type)]) from None
    if value is None:
        return NOTHING
    raise AnswerRefused([value_fault(value)])


__all__ = [
    "NOTHING",
    "VERBS",
    "Answer",
    "Step",
    "decode_answer",
    "decode_step",
    "decode_steps",
    "depth",
]
