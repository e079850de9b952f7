"""An endpoint's answer → a checked program, or every fault of it with its place.

Rules:
- An answer is refused whole: nothing of it runs when anything of it is wrong.
- The fast path decodes each action once; only a refusal walks it again, field by field, to tell all that is wrong.
- What a body may be: at most 256 KiB, at most 64 levels deep, a list of actions or an object with `actions`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Literal, get_args

import msgspec

from hookrouter.actions.base import Action, Prompt, Step, Steps
from hookrouter.actions.function import MAX_STATE_BYTES
from hookrouter.actions.operation import OperationAction
from hookrouter.actions.vocabulary import BY_NAME, INTERNAL, VERBS
from hookrouter.ari import operations
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
    if not faults:  # cannot be: the fast path would have taken it
        raise AnswerRefused([Fault("", "could not be decoded")])
    raise AnswerRefused(faults)


_OWN_FIELDS = ("id", "wait", "onError")


def _operation(name: str, value: dict[str, Any]) -> OperationAction:
    faults = list(action_faults(value, ""))
    if faults:
        raise AnswerRefused(faults)
    params = {key: item for key, item in value.items() if key not in ("action", *_OWN_FIELDS)}
    base = {key: value[key] for key in _OWN_FIELDS if key in value}
    return msgspec.convert(
        {"action": "RESOURCE.OPERATION", "operation": name, "params": params, **base},
        OperationAction,
        dec_hook=_dec_hook,
    )


def action_faults(value: Any, place: str) -> Iterator[Fault]:
    """Everything that is wrong with one action, nested ones included. `place`: its JSON pointer."""
    if not isinstance(value, dict):
        yield Fault(place, f"expected an action (an object with `action`), got {_kind(value)}")
        return
    name = value.get("action")
    if not isinstance(name, str):
        yield Fault(
            f"{place}/action",
            "missing: the name of a verb" if name is None else f"expected a string, got {_kind(name)}",
        )
        return
    if "." in name:
        yield from _operation_faults(name, value, place)
        return
    verb = BY_NAME.get(name)
    if verb is None:
        yield Fault(f"{place}/action", f"unknown action `{name}`{_did_you_mean(name, BY_NAME)}")
        return
    yield from _field_faults(verb, value, place)


def _operation_faults(name: str, value: dict[str, Any], place: str) -> Iterator[Fault]:
    if operations.operation(name) is None:
        suggestion = operations.suggest(name)
        hint = f"; did you mean `{suggestion}`?" if suggestion else "; `hookrouter schema actions` lists them"
        yield Fault(f"{place}/action", f"Asterisk has no operation `{name}`{hint}")
        return
    found = operations.operation(name)
    assert found is not None
    params = {key: item for key, item in value.items() if key not in ("action", *_OWN_FIELDS) or _takes(found, key)}
    completed = OperationAction(operation=name, params=params).complete("-")
    for _, key in [_creates(name)]:
        if key:
            completed.setdefault(key, "-")
    yield from operations.check(name, {k: v for k, v in completed.items() if k not in _OWN_FIELDS}, place=place)
    common = {key: value[key] for key in _OWN_FIELDS if key in value}
    yield from _field_faults(Action, common | {"action": name}, place)


def _takes(found: operations.Operation, key: str) -> bool:
    return False


def _creates(name: str) -> tuple[str, str]:
    from hookrouter.actions.operation import CREATES

    kind, key = CREATES.get(name, ("", ""))
    found = operations.operation(name)
    known = {parameter.name for parameter in found.parameters} if found else set()
    return kind, key if key in known else ""


def _field_faults(verb: type[Action], value: dict[str, Any], place: str) -> Iterator[Fault]:
    fields = {field.encode_name: field for field in msgspec.structs.fields(verb)}
    wrong = False
    for key, item in value.items():
        if key == "action":
            continue
        field = fields.get(key)
        where = f"{place}/{_pointer(key)}"
        if field is None:
            wrong = True
            yield Fault(where, f"unknown field{_did_you_mean(key, fields)}")
            continue
        for fault in _value_faults(field.type, item, where):
            wrong = True
            yield fault
    for key, field in fields.items():
        if field.required and key not in value:
            wrong = True
            yield Fault(f"{place}/{_pointer(key)}", "missing")
    if not wrong and verb is not Action:
        action = msgspec.convert(value, verb, dec_hook=_dec_hook)
        for where, message in action.check():
            yield Fault(place + where, message)


def _value_faults(type: Any, value: Any, place: str) -> Iterator[Fault]:
    """What is wrong with one field; nested actions are walked one by one."""
    steps = _steps_type(type)
    if steps is not None and value is not None:
        try:
            items = steps.items(value)
        except ValueError as error:
            yield Fault(place, f"{error}".replace("Expected", "expected"))
            return
        for below, item in items:
            for fault in action_faults(item, place + below):
                at_media = issubclass(steps, Prompt) and isinstance(value, str)
                yield Fault(place, fault.message) if at_media else fault
        return
    inner = _mapping_of_steps(type)
    if inner is not None and isinstance(value, dict):
        for key, item in value.items():
            yield from _value_faults(inner, item, f"{place}/{_pointer(key)}")
        return
    try:
        msgspec.convert(value, type, dec_hook=_convert_hook)
    except (msgspec.ValidationError, ValueError) as error:
        text, _, path = str(error).partition(" - at `$")
        yield Fault(place + _from_path(path.rstrip("`")), _plain(text) + _enum_hint(type, value))


def _convert_hook(type: Any, value: Any) -> Any:
    if type is msgspec.Raw:
        return msgspec.Raw(msgspec.json.encode(value))
    return _dec_hook(type, value)


def _steps_type(annotation: Any) -> type[Steps] | None:
    for part in (annotation, *get_args(annotation)):
        if isinstance(part, type) and issubclass(part, Steps):
            return part
        for inner in get_args(part):
            if isinstance(inner, type) and issubclass(inner, Steps) and not _is_container(part):
                return inner
    return None


def _is_container(annotation: Any) -> bool:
    return getattr(annotation, "__origin__", None) in (dict, list, tuple)


def _mapping_of_steps(annotation: Any) -> type[Steps] | None:
    for part in (annotation, *get_args(annotation), *(b for a in get_args(annotation) for b in get_args(a))):
        if getattr(part, "__origin__", None) is dict:
            found = get_args(part)[1]
            return found if isinstance(found, type) and issubclass(found, Steps) else None
    return None


def _from_path(path: str) -> str:
    """msgspec's `.to[0].timeout` as `/to/0/timeout`."""
    return "".join(
        "/" + _pointer(a or b) for a, b in re.findall(r"\.([^.\[\]]+)|\[([^\]]+)\]", path) if (a or b) != "..."
    )


def _pointer(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _plain(text: str) -> str:
    text = text[:1].lower() + text[1:]
    return re.sub(r"`(str|int|float|bool|array|object|null)`", lambda m: _NAMES[m[1]], text)


_NAMES = {
    "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false",
    "array": "a list", "object": "an object", "null": "null",
}  # fmt: skip


def _kind(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}.get(
        type(value), "a number"
    )


def _did_you_mean(name: str, known: Any) -> str:
    lowered = {str(item).lower(): str(item) for item in known}
    close = get_close_matches(name.lower(), lowered, n=1, cutoff=0.6)
    return f"; did you mean `{lowered[close[0]]}`?" if close else f"; known: {', '.join(map(str, known))}"


def _literals(annotation: Any) -> list[str]:
    if getattr(annotation, "__origin__", None) is Literal:
        return [str(item) for item in get_args(annotation)]
    return [found for part in get_args(annotation) for found in _literals(part)]


def _enum_hint(annotation: Any, value: Any) -> str:
    known = _literals(annotation)
    return _did_you_mean(value, known) if known and isinstance(value, str) else ""


def decode_steps(raw: bytes) -> tuple[Step, ...]:
    """A JSON list of actions, as a route's fallback or an answer holds it. Raises AnswerRefused with every fault."""
    return _steps(_list_of(raw, ""), "")


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
    stripped = body.strip()
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
        raise AnswerRefused(list(_object_faults(body, error))) from None
    faults: list[Fault] = []
    steps: tuple[Step, ...] = ()
    try:
        steps = _steps([bytes(raw) for raw in found.actions], "/actions")
    except AnswerRefused as refused:
        faults.extend(refused.faults)
    state = None if isinstance(found.state, msgspec.UnsetType) else bytes(found.state)
    if state is not None and len(state) > MAX_STATE_BYTES:
        faults.append(Fault("/state", f"{len(state)} bytes of JSON; a state may have {MAX_STATE_BYTES}"))
    if faults:
        raise AnswerRefused(faults)
    return Answer(steps, state, found.mode, found.when_done)


def _object_faults(body: bytes, error: BaseException) -> Iterator[Fault]:
    try:
        value = msgspec.json.decode(body)
    except _BAD_JSON:
        yield Fault("", f"not JSON: {error}")
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(_Object)}
    for key, item in value.items():
        if key not in fields:
            hint = "; an answer with one action is a list with one action" if key == "action" else ""
            yield Fault(f"/{_pointer(key)}", f"unknown field{hint or _did_you_mean(key, fields)}")
        elif key == "actions":
            if isinstance(item, list):
                for index, action in enumerate(item):
                    yield from action_faults(action, f"/actions/{index}")
            else:
                yield Fault("/actions", f"expected a list of actions, got {_kind(item)}")
        elif key != "state":
            yield from _value_faults(fields[key].type, item, f"/{key}")


def _not_json(body: bytes, content_type: str, first: bool) -> Answer:
    text = body[:40].decode("utf-8", "replace").replace("\n", " ")
    try:
        value = msgspec.json.decode(body)
    except _BAD_JSON:
        pass
    else:
        if value is None:
            return NOTHING
        raise AnswerRefused([Fault("", f"expected a list of actions or an object, got {_kind(value)} `{text}`")])
    if not first and b"<" not in body[:1] and len(body) <= 64:
        return NOTHING  # `OK`, `Accepted`: told, and nothing asked
    hint = 'answer a JSON list of actions, such as [{"action": "answer"}], or an empty body'
    if "text/plain" in content_type or text.startswith(("Accepted", "Workflow")):
        hint = "in n8n set Respond to *Using Respond to Webhook node*; elsewhere " + hint
    elif text.startswith("<"):
        hint = "this is a web page: is the URL right, and does the function answer POST? " + hint
    raise AnswerRefused([Fault("", f"answered {content_type or 'no content type'} `{text}`: {hint}")])


__all__ = [
    "NOTHING",
    "VERBS",
    "Answer",
    "Step",
    "action_faults",
    "decode_answer",
    "decode_step",
    "decode_steps",
    "depth",
]
