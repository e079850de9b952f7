"""An endpoint's answer → a checked program, or every fault of it with its place.

Rules:
- An answer is refused whole: nothing of it runs when anything of it is wrong.
- The fast path decodes each action once, as the published schema has it; only where it does not fit is it read again,
  leniently, and with all its faults (reading.py). Whatever the bytes, the work grows with their number and no faster.
- What a body may be: at most 256 KiB, 64 levels deep, 10,000 values; a list of at most 1,000 actions, or an object with
  `actions`.
"""

from __future__ import annotations

import codecs
import json
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from hookrouter.actions.base import Action, Step, state_fault
from hookrouter.actions.faults import (
    GAPS,
    Faults,
    Place,
    envelope_hint,
    kind_of,
    text_fault,
    unknown_at_top,
    value_fault,
)
from hookrouter.actions.json_text import BAD_JSON, MAX_DEPTH, bad_part, given_state, measure, mended, too_much
from hookrouter.actions.nested import DECODED, OnError, Steps
from hookrouter.actions.reading import Reader, checked, has_gaps
from hookrouter.actions.remembered import Remembered
from hookrouter.actions.vocabulary import BY_NAME, INTERNAL
from hookrouter.errors import AnswerRefused, Fault

MAX_ANSWER_BYTES = 256 * 1024
MAX_ACTIONS = 1000
_SMALL = 4096

Mode = Literal["replace", "append", "parallel"]
WhenDone = Literal["wait", "hangup", "continue"]
Tags = Annotated[
    dict[
        Annotated[str, Meta(min_length=1, max_length=64)],
        Annotated[str, Meta(max_length=256)] | int | float | bool,
    ],
    Meta(max_length=20),
]
"""Name → what it is, as text."""


class Answer(msgspec.Struct, frozen=True):
    """What an endpoint answered. `steps` empty: nothing changes. `state` None: the state stays; else raw JSON."""

    steps: tuple[Step, ...] = ()
    state: bytes | None = None
    mode: Mode = "replace"
    when_done: WhenDone | None = None
    tags: tuple[tuple[str, str], ...] = ()


class _Head(msgspec.Struct):
    action: str


class _Object(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    actions: list[msgspec.Raw] = []
    state: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    mode: Mode = "replace"
    when_done: WhenDone | None = None
    tags: Tags | None = None


class _Manner(msgspec.Struct, rename="camel"):
    """The fields of `_Object` that are neither actions nor state."""

    mode: Mode = "replace"
    when_done: WhenDone | None = None
    tags: Tags | None = None


NOTHING = Answer()


class _Otherwise(ValueError):
    """Not as the schema has it: to be read again."""


def _strictly(kind: type[Steps], value: Any) -> Steps:
    """Nested actions that are all as the schema has them. Raises ValueError."""
    items = [item for _, item in kind.items(value)]
    actions = [_convert(item) for item in items]
    return OnError(items, actions, value) if kind is OnError and isinstance(value, str) else kind(items, actions)


def _convert(value: Any) -> Action:
    verb = BY_NAME.get(value.get("action", "")) if isinstance(value, dict) else None
    if verb is None:
        raise _Otherwise
    action = msgspec.convert(value, verb, dec_hook=_dec_hook)
    if any(checked(action)):
        raise _Otherwise
    return action


def _dec_hook(type: Any, value: Any) -> Any:
    if issubclass(type, Steps):
        return _strictly(type, value)
    raise NotImplementedError(f"no decoder for {type}")


_decode_head = msgspec.json.Decoder(_Head).decode
_decode_object = msgspec.json.Decoder(_Object).decode
_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode
_DECODERS = {
    str(verb.__struct_config__.tag): msgspec.json.Decoder(verb, dec_hook=_dec_hook).decode
    for verb in (*BY_NAME.values(), *INTERNAL)
}


def decode_step(raw: bytes) -> Action:
    """One action from its JSON. The same bytes give the same (frozen) action. Raises AnswerRefused."""
    found = DECODED.get(raw)
    if found is None:
        reader = Reader()
        found = _action(raw, reader, "")
        if found is None:
            raise AnswerRefused(reader.faults.told)
    return found


def _action(raw: bytes, reader: Reader, key: str) -> Action | None:
    """`key`: its number in the list, for the faults."""
    action = DECODED.get(raw)
    if action is not None:
        return action
    try:
        decode = _DECODERS.get(_decode_head(raw).action)
        action = decode(raw) if decode is not None else None
        if action is not None and any(checked(action)):
            action = None
    except (*BAD_JSON, TypeError, ValueError, LookupError):
        action = None
    if action is None:
        action = _leniently(raw, reader, key)
    if action is not None:
        DECODED.put(raw, action)
    return action


def _leniently(raw: bytes, reader: Reader, key: str) -> Action | None:
    place: Place = (None, key)
    try:
        value = msgspec.json.decode(raw)
        action = reader.action(value, place)
    except BAD_JSON:
        keys, why = bad_part(raw)
        for part in keys:
            place = (place, part)
        reader.faults.add(place, f"not JSON: {why or 'it cannot be read'}")
        return None
    if action is not None and _twice(raw):
        reader.faults.add(place, "could not be decoded: is a field there twice?")
        return None
    return action


def _twice(raw: bytes) -> bool:
    """Whether a key is in one object twice: what was meant is anybody's guess."""

    def look(pairs: list[tuple[str, Any]]) -> None:
        if len({key for key, _ in pairs}) != len(pairs):
            raise _Otherwise

    try:
        json.loads(raw, object_pairs_hook=look)
    except _Otherwise:
        return True
    return False


def decode_steps(raw: bytes, place: str = "") -> tuple[Step, ...]:
    """A JSON list of actions, as a route's fallback or an answer holds it. Raises AnswerRefused with every fault."""
    if found := too_much(raw):
        raise AnswerRefused([Fault(place, found)])
    reader = Reader(place)
    try:
        steps = _steps(_decode_list(mended(raw)), reader)
    except BAD_JSON as error:
        raise AnswerRefused([Fault(place, f"expected a list of actions: {error}")]) from None
    if reader.faults.count:
        raise AnswerRefused(reader.faults.told)
    return steps


def _steps(raws: Sequence[msgspec.Raw], reader: Reader) -> tuple[Step, ...]:
    if len(raws) > MAX_ACTIONS:
        reader.faults.add(None, f"{len(raws)} actions; at most {MAX_ACTIONS} are taken")
        return ()
    steps: list[Step] = []
    for index, item in enumerate(raws):
        raw = bytes(item)
        if raw == b"null":
            continue
        action = _action(raw, reader, str(index))
        if action is None:
            continue
        if action.internal:
            reader.faults.add(((None, str(index)), "action"), f"unknown action `{action.verb}`")
        else:
            steps.append(Step(raw, action))
    return tuple(steps)


def depth(body: bytes) -> int:
    """How deep lists and objects are nested; what stands in strings does not count."""
    return measure(body)[1]


_known: Remembered[Answer] = Remembered(512 * 1024)


def decode_answer(body: bytes, content_type: str = "", *, first: bool = False) -> Answer:
    """The answer in a 2xx response. `first`: it answers a StasisStart, where a body that is not JSON is a fault.

    Raises AnswerRefused with its faults, each with its JSON pointer.
    """
    found = _known.get(body)
    if found is None:
        found = _decode(body, content_type, first)
        if len(body) <= _SMALL and found is not NOTHING:
            _known.put(body, found)
    return found


def _decode(body: bytes, content_type: str, first: bool) -> Answer:
    if len(body) > MAX_ANSWER_BYTES:
        raise AnswerRefused([Fault("", f"{len(body)} bytes; an answer may have {MAX_ANSWER_BYTES}")])
    stripped = body.removeprefix(codecs.BOM_UTF8).strip()
    if not stripped:
        return NOTHING
    if stripped[:1] not in (b"[", b"{"):
        return _not_a_list(stripped, content_type, first)
    if found := too_much(stripped):
        raise AnswerRefused([Fault("", found)])
    stripped = mended(stripped)
    reader = Reader()
    try:
        if stripped[:1] == b"[":
            answer = Answer(_steps(_decode_list(stripped), reader))
        else:
            answer = _whole(stripped, reader)
    except BAD_JSON as error:
        raise AnswerRefused([_no_json(stripped, error, content_type)]) from None
    if reader.faults.count:
        raise AnswerRefused(reader.faults.told)
    return answer


def _no_json(body: bytes, error: BaseException, content_type: str) -> Fault:
    if isinstance(error, RecursionError):
        return Fault("", f"nested over {MAX_DEPTH} deep")
    php = text_fault(body, content_type)
    if php.message.startswith("PHP"):
        return php
    what = "expected a list of actions" if body[:1] == b"[" else "not JSON"
    return Fault("", f"{what}: {error}")


def _whole(body: bytes, reader: Reader) -> Answer:
    try:
        found = _decode_object(body)
    except BAD_JSON:
        found = _whole_leniently(body, reader)
    top, reader.faults.top = reader.faults.top, f"{reader.faults.top}/actions"
    steps = _steps(found.actions, reader)
    reader.faults.top = top
    state = None
    for where, message in state_fault(found.state):
        reader.faults.add(None, message, where)
    if not reader.faults.count:
        state = given_state(found.state)
    tags = tuple((name, _as_text(value)) for name, value in (found.tags or {}).items())
    return Answer(steps, state, found.mode, found.when_done, tags)


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _whole_leniently(body: bytes, reader: Reader) -> _Object:
    """Field by field. Raises what msgspec does where it is no JSON."""
    fields: dict[str, msgspec.Raw] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
    found, faults = _Object(), reader.faults
    if has_gaps(fields):
        faults.add(None, GAPS)
        return found
    known = [field.encode_name for field in msgspec.structs.fields(_Object)]
    plain: dict[str, Any] = {key: msgspec.json.decode(raw) for key, raw in fields.items() if key not in known[:2]}
    if unknown := [key for key in plain if key not in known]:
        whole = {key: msgspec.json.decode(raw) for key, raw in fields.items()}
        if hint := envelope_hint(whole):
            faults.add((None, unknown[0]), f"unknown field; {hint}")
            return found
        for key in unknown:
            _unknown(faults, key, plain.pop(key), known)
    if (manner := reader.struct(_Manner, plain, None)) is not None:
        found.mode, found.when_done, found.tags = manner.mode, manner.when_done, manner.tags
    if "state" in fields:
        found.state = fields["state"]
    actions = fields.get("actions")
    if actions is None or bytes(actions) == b"null":
        return found
    if bytes(actions)[:1] == b"[":
        found.actions = _decode_list(bytes(actions))
    else:
        value = msgspec.json.decode(actions)
        faults.add((None, "actions"), GAPS if has_gaps(value) else f"expected a list of actions, got {kind_of(value)}")
    return found


def _unknown(faults: Faults, key: str, item: Any, known: Sequence[str]) -> None:
    faults.add((None, key), lambda: unknown_at_top(key, item, known))


def _not_a_list(body: bytes, content_type: str, first: bool) -> Answer:
    try:
        value = msgspec.json.decode(body)
    except BAD_JSON:
        fault = text_fault(body, content_type)
        if not first and b"<" not in body[:1] and len(body) <= 64 and not fault.message.startswith("PHP"):
            return NOTHING  # `OK`, `Accepted`: told, and nothing asked
        raise AnswerRefused([fault]) from None
    if value is None:
        return NOTHING
    raise AnswerRefused([value_fault(value)])


__all__ = [
    "NOTHING",
    "Answer",
    "Step",
    "decode_answer",
    "decode_step",
    "decode_steps",
    "depth",
]
