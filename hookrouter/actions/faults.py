"""All that is wrong with an answer, each fault with its JSON pointer, and what was perhaps meant.

Rule: this is the slow path, taken only for an answer that decode.py has refused; its reader is who wrote the endpoint.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args

import msgspec

from hookrouter.actions.base import Action, Prompt, Steps
from hookrouter.actions.operation import CREATES, OperationAction
from hookrouter.actions.vocabulary import BY_NAME
from hookrouter.ari import operations
from hookrouter.errors import Fault

OWN_FIELDS = ("id", "wait", "onError")
_BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_SHORTEST = 'answer a JSON list of actions, such as [{"action": "answer"}], or an empty body'
_N8N = "in n8n set Respond to *Using Respond to Webhook node*"


def text_fault(body: bytes, content_type: str) -> Fault:
    """A body that is no JSON at all."""
    text = body[:40].decode("utf-8", "replace").replace("\n", " ")
    hint = _SHORTEST
    if text.startswith(("<?xml", "<Response")):
        hint = "this is XML; " + hint
    elif text.startswith("<"):
        hint = "this is a web page: is the URL right, and does the function answer POST? " + hint
    elif "text/plain" in content_type or text.startswith(("Accepted", "Workflow")):
        hint = f"{_N8N}; elsewhere {hint}"
    return Fault("", f"answered {content_type or 'no content type'} `{text}`: {hint}")


def value_fault(value: Any) -> Fault:
    """JSON, but neither a list nor an object."""
    hint = ""
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        hint = ": this is JSON inside a string, encoded twice"
    said = msgspec.json.encode(value)[:40].decode("utf-8", "replace")
    return Fault("", f"expected a list of actions or an object, got {_kind(value)} `{said}`{hint}")


def answer_faults(body: bytes, fields: Mapping[str, Any], error: BaseException) -> Iterator[Fault]:
    """All that is wrong with an answer that is an object. `fields`: those that it may have, and their types."""
    try:
        value = msgspec.json.decode(body)
    except _BAD_JSON:
        yield Fault("", f"not JSON: {error}")
        return
    for key, item in value.items():
        if key not in fields:
            yield Fault(f"/{_pointer(key)}", f"unknown field{_meant(key, item) or _did_you_mean(key, fields)}")
        elif key == "actions":
            if isinstance(item, list):
                for index, action in enumerate(item):
                    yield from action_faults(action, f"/actions/{index}")
            else:
                yield Fault("/actions", f"expected a list of actions, got {_kind(item)}")
        elif key != "state":
            yield from _value_faults(fields[key], item, f"/{key}")


def _meant(key: str, item: Any) -> str:
    """What an unknown field at the top is likely to be."""
    if key == "message" and isinstance(item, str) and item.startswith("Workflow"):
        return f": n8n has answered before the workflow ran; {_N8N}"
    if key == "action" and not isinstance(item, list):
        return "; an answer with one action is a list with one action"
    if isinstance(item, list) and item and isinstance(item[0], dict) and "action" in item[0]:
        return "; did you mean `actions`?"
    return ""


def action_faults(value: Any, place: str) -> Iterator[Fault]:
    """Everything that is wrong with one action, nested ones included. `place`: its JSON pointer."""
    if not isinstance(value, dict):
        hint = f'; did you mean {{"action": "{value}"}}?' if isinstance(value, str) and value in BY_NAME else ""
        yield Fault(place, f"expected an action (an object with `action`), got {_kind(value)}{hint}")
        return
    name = value.get("action")
    if not isinstance(name, str):
        yield Fault(
            f"{place}/action",
            _nameless(value) if name is None else f"expected a string, got {_kind(name)}",
        )
        return
    if "." in name:
        yield from _operation_faults(name, value, place)
        return
    verb = BY_NAME.get(name)
    if verb is None:
        yield Fault(f"{place}/action", f"unknown action `{name}`{_did_you_mean(name, BY_NAME)}")
        return
    yield from field_faults(verb, value, place)


def _nameless(value: Mapping[str, Any]) -> str:
    """An action that does not say which: perhaps by another key, perhaps by the key itself."""
    for key, item in value.items():
        if isinstance(item, str) and item in BY_NAME:
            return f"missing: the name of a verb; `{key}` is called `action` here"
        if key in BY_NAME:
            return f'missing: the name of a verb; did you mean {{"action": "{key}", …}}?'
    return "missing: the name of a verb"


def _operation_faults(name: str, value: dict[str, Any], place: str) -> Iterator[Fault]:
    if operations.operation(name) is None:
        suggestion = operations.suggest(name)
        hint = f"; did you mean `{suggestion}`?" if suggestion else "; `hookrouter schema actions` lists them"
        yield Fault(f"{place}/action", f"Asterisk has no operation `{name}`{hint}")
        return
    params = {key: item for key, item in value.items() if key not in ("action", *OWN_FIELDS)}
    completed = OperationAction(operation=name, params=params).complete("-")
    if name in CREATES:
        completed.setdefault(CREATES[name][1], "-")  # the router chooses one
    yield from operations.check(name, {k: v for k, v in completed.items() if k not in OWN_FIELDS}, place=place)
    common = {key: value[key] for key in OWN_FIELDS if key in value}
    yield from field_faults(Action, common | {"action": name}, place)


def field_faults(kind: type[msgspec.Struct], value: Mapping[str, Any], place: str) -> Iterator[Fault]:
    """All that is wrong with an object's fields; a verb's own check comes last, when each field by itself is right."""
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    wrong = False
    for key, item in value.items():
        if key == "action" and issubclass(kind, Action):
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
    if not wrong and issubclass(kind, Action) and kind is not Action:
        action = msgspec.json.decode(msgspec.json.encode(value), type=kind, dec_hook=_convert_hook)
        for where, message in action.check():
            yield Fault(place + where, message)


def _value_faults(type: Any, value: Any, place: str) -> Iterator[Fault]:
    """What is wrong with one field; nested actions are walked one by one."""
    if msgspec.Raw in (type, *get_args(type), *(part for inner in get_args(type) for part in get_args(inner))):
        return  # any JSON
    steps = _steps_type(type)
    if steps is not None and value is not None:
        try:
            items = steps.items(value)
        except ValueError as error:
            yield Fault(place, _plain(str(error)) + ("" if isinstance(value, str | list) else f", got {_kind(value)}"))
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
        where = place + _from_path(path.rstrip("`"))
        if (found := _FIELD.match(text)) is None:
            yield Fault(where, _plain(text) + _enum_hint(type, value))
        else:
            known = {name for part in _structs(type) for name in part.__struct_encode_fields__}
            hint = (
                "missing"
                if found[1] == "missing required"
                else f"unknown field{_did_you_mean(found[2], sorted(known))}"
            )
            yield Fault(f"{where}/{_pointer(found[2])}", hint)


_FIELD = re.compile(r"Object (missing required|contains unknown) field `([^`]*)`")


def _structs(annotation: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        yield annotation
    for part in get_args(annotation):
        yield from _structs(part)


def _convert_hook(type: Any, value: Any) -> Any:
    """Nested actions stay what they are: they are walked one by one."""
    found = type(msgspec.json.encode(item) for _, item in type.items(value))
    if isinstance(value, str) and hasattr(found, "mode"):
        found.mode = value
    return found


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
    """msgspec's words for types, in ours: `int | null` is a whole number."""

    def words(found: re.Match[str]) -> str:
        kinds = found[1].split(" | ")
        return " or ".join(_NAMES[kind] for kind in kinds if kind != "null" or len(kinds) == 1)

    text = text[:1].lower() + text[1:]
    return re.sub(r"`((?:(?:str|int|float|bool|array|object|null)(?: \| )?)+)`", words, text)


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
