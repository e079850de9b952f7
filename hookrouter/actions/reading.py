"""Decoded JSON as actions, or all that is wrong with it: one walk, each value looked at once, at whatever depth.

Rules: what can mean one thing only is taken.
- `null` is "left out": of an object's fields, of a list's items. It is a value only where any JSON may stand and must.
- `4.0` is 4. `[]` where a map belongs is the empty map (PHP writes it so).
- Everything else is as the fields' own types say: they are the published schema.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, TypeVar, Union, get_args, get_origin

import msgspec

from hookrouter.actions.base import Action
from hookrouter.actions.faults import (
    GAPS,
    Faults,
    Place,
    cut,
    did_you_mean,
    kind_of,
    nameless,
    told_by_msgspec,
    unknown_field,
)
from hookrouter.actions.json_text import number_fault
from hookrouter.actions.nested import OnError, Prompt, Steps
from hookrouter.actions.operation import CREATES, OperationAction
from hookrouter.actions.vocabulary import BY_NAME
from hookrouter.ari import operations
from hookrouter.policy.authority import form_faults
from hookrouter.policy.said import said_by_operation, said_by_struct, written_fault

OWN_FIELDS: Final = ("id", "wait", "onError")
S = TypeVar("S", bound=msgspec.Struct)
_NOTHING: Final = object()


class _Shape(msgspec.Struct, frozen=True):
    """What may stand in a place, as far as it is read leniently or holds actions."""

    steps: type[Steps] | None = None
    item: _Shape | None = None  # of a list
    value: _Shape | None = None  # of a map
    struct: type[msgspec.Struct] | None = None
    whole: bool = False  # a number without a fraction
    raw: bool = False  # any JSON


def _shape(annotation: Any) -> _Shape:
    parts = _alternatives(annotation)
    found: dict[str, Any] = {"whole": int in parts and float not in parts}
    for part in parts:
        origin, inner = get_origin(part), get_args(part)
        if part is msgspec.Raw:
            found["raw"] = True
        elif isinstance(part, type) and issubclass(part, Steps):
            found["steps"] = part
        elif isinstance(part, type) and issubclass(part, msgspec.Struct):
            found["struct"] = part
        elif origin is list:
            found["item"] = _shape(inner[0])
        elif origin is dict:
            found["value"] = _shape(inner[1])
    return _Shape(**found)


def _alternatives(annotation: Any) -> list[Any]:
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        return _alternatives(get_args(annotation)[0])
    if origin is Union or type(annotation).__name__ == "UnionType":
        return [part for inner in get_args(annotation) for part in _alternatives(inner)]
    return [annotation]


class _Field(msgspec.Struct, frozen=True):
    name: str
    type: Any
    shape: _Shape
    required: bool


@cache
def _fields(kind: type[msgspec.Struct]) -> dict[str, _Field]:
    """By the names that they have in JSON."""
    return {
        field.encode_name: _Field(field.name, field.type, _shape(field.type), field.required)
        for field in msgspec.structs.fields(kind)
    }


class Reader:
    """Reads one answer; what is wrong is in `faults`."""

    def __init__(self, top: str = "") -> None:
        self.faults = Faults(top)

    def action(self, value: Any, place: Place) -> Action | None:
        """One action, with all that is nested in it; None where anything of it is wrong."""
        if not isinstance(value, dict):
            hint = f'; did you mean {{"action": "{value}"}}?' if isinstance(value, str) and value in BY_NAME else ""
            self.faults.add(place, f"expected an action (an object with `action`), got {kind_of(value)}{hint}")
            return None
        name = value.get("action")
        if not isinstance(name, str):
            found = nameless(value, BY_NAME) if name is None else f"expected a string, got {kind_of(name)}"
            self.faults.add((place, "action") if "envelope" not in found else place, found)
            return None
        if "." in name:
            return self._operation(name, value, place)
        verb = BY_NAME.get(name)
        if verb is None:
            self.faults.add((place, "action"), lambda: f"unknown action `{cut(name)}`{did_you_mean(name, BY_NAME)}")
            return None
        return self.struct(verb, value, place)

    def struct(self, kind: type[S], value: dict[str, Any], place: Place) -> S | None:
        """An object with the fields of `kind`; its own check comes last, when each field by itself is right."""
        before = self.faults.count
        known, found = _fields(kind), {}
        for key, item in value.items():
            field = known.get(key)
            if field is None:
                if key != "action" or not issubclass(kind, Action):
                    self.faults.add((place, key), lambda key=key: unknown_field(key, known, _missing(known, value)))  # type: ignore[misc]
            elif item is not None or (field.required and field.shape.raw):
                read = self._field(field, item, (place, key))
                if read is not _NOTHING:
                    found[field.name] = read
        for key in _missing(known, value):
            self.faults.add((place, key), "missing")
        if self.faults.count != before:
            return None
        made = kind(**found)
        if isinstance(made, Action):
            for where, message in checked(made):
                self.faults.add(place, message, where)
        return made if self.faults.count == before else None

    def _field(self, field: _Field, value: Any, place: Place) -> Any:
        before = self.faults.count
        loose = self._loosened(field.shape, value, place)
        if self.faults.count != before:
            return _NOTHING
        if field.shape.raw or isinstance(loose, Steps):
            return loose
        try:
            return msgspec.convert(loose, field.type, dec_hook=_as_it_is)
        except (msgspec.ValidationError, ValueError) as error:
            where, message = told_by_msgspec(str(error), field.type, value)
            self.faults.add(place, message, where)
            return _NOTHING

    def _loosened(self, shape: _Shape, value: Any, place: Place) -> Any:
        """`value` in the one form that its type takes; nested actions are read."""
        if shape.raw:
            if found := number_fault(value):
                self.faults.add(place, found)
            return msgspec.Raw(msgspec.json.encode(value))
        if shape.steps is not None and not (isinstance(value, dict) and shape.value is not None):
            return self._steps(shape.steps, value, place)
        if type(value) is float:
            return int(value) if shape.whole and value.is_integer() and abs(value) < 2**63 else value
        if type(value) is list:
            if shape.item is not None:
                inner = shape.item
                return [
                    self._loosened(inner, item, (place, str(index)))
                    for index, item in enumerate(value)
                    if item is not None
                ]
            return {} if not value and shape.value is not None else value
        if type(value) is dict:
            return self._loosened_object(shape, value, place)
        return value

    def _loosened_object(self, shape: _Shape, value: dict[str, Any], place: Place) -> Any:
        if shape.value is not None:
            inner = shape.value
            return {key: self._loosened(inner, item, (place, key)) for key, item in value.items() if item is not None}
        if shape.struct is not None:
            fields = _fields(shape.struct)
            return {
                key: self._loosened(fields[key].shape, item, (place, key)) if key in fields else item
                for key, item in value.items()
                if item is not None
            }
        if shape.item is not None and has_gaps(value):
            self.faults.add(place, GAPS)
        return value

    def _steps(self, kind: type[Steps], value: Any, place: Place) -> Steps:
        try:
            items = kind.items(value)
        except ValueError as error:
            got = f", got {kind_of(value)}" if not isinstance(value, str | list) else ""
            self.faults.add(place, GAPS if has_gaps(value) else f"{error}{got}")
            return kind()
        at_media = issubclass(kind, Prompt) and isinstance(value, str)
        values, actions = [], []
        for below, item in items:
            if at_media:
                action = self._media(item, place)
            else:
                action = self.action(item, (place, below))
            if action is not None:
                values.append(item)
                actions.append(action)
        return OnError(values, actions, value) if kind is OnError and isinstance(value, str) else kind(values, actions)

    def _media(self, item: Any, place: Place) -> Action | None:
        """A prompt that is one string: what is wrong with it is wrong with the prompt."""
        inner = Reader()
        action = inner.action(item, None)
        for fault in inner.faults.told:
            self.faults.add(place, fault.message)
        return action

    # ---- Asterisk's own operations -----------------------------------------------------------------------------

    def _operation(self, name: str, value: dict[str, Any], place: Place) -> Action | None:
        if operations.operation(name) is None:
            self.faults.add((place, "action"), lambda: _no_such_operation(name))
            return None
        before = self.faults.count
        params = operations.loosened(
            name, {key: item for key, item in value.items() if key not in ("action", *OWN_FIELDS)}
        )
        completed = OperationAction(operation=name, params=params).complete("-")
        if name in CREATES:
            completed.setdefault(CREATES[name][1], "-")  # the router chooses one
        wrong = operations.check(name, {k: v for k, v in completed.items() if k not in OWN_FIELDS})
        for fault in wrong:
            self.faults.add(place, fault.message, fault.place)
        if not wrong:
            unwritable = {said.place: why for said in said_by_operation(name, params) if (why := written_fault(said))}
            for parameter, why in form_faults(name, params):
                unwritable.setdefault(f"/{parameter}", why)
            for where, why in unwritable.items():
                self.faults.add(place, why, where)
        for key, item in params.items():
            if isinstance(item, dict | list) and (found := number_fault(item)):
                self.faults.add((place, key), found)
        own = self.struct(_Own, {key: value[key] for key in OWN_FIELDS if key in value}, place)
        if own is None or self.faults.count != before:
            return None
        return OperationAction(operation=name, params=params, id=own.id, wait=own.wait, on_error=own.on_error)


def checked(action: Action) -> Iterator[tuple[str, str]]:
    """What is wrong with an action whose fields are right by themselves: its own check, and what cannot be written."""
    yield from action.check()
    for said in said_by_struct(action):
        if fault := written_fault(said):
            yield said.place, fault


class _Own(Action, frozen=True, tag=""):
    """The fields that every action has."""


def _no_such_operation(name: str) -> str:
    suggestion = operations.suggest(cut(name))
    hint = f"; did you mean `{suggestion}`?" if suggestion else "; `hookrouter schema actions` lists them"
    return f"Asterisk has no operation `{cut(name)}`{hint}"


def has_gaps(value: Any) -> bool:
    """Whether an object is likely to be a list for the language that wrote it: PHP, after something was taken out."""
    return isinstance(value, dict) and bool(value) and all(key.isdecimal() and len(key) < 10 for key in value)


def _as_it_is(type: Any, value: Any) -> Any:
    """Nested actions have been read already."""
    if isinstance(value, type):
        return value
    raise NotImplementedError(f"no decoder for {type}")


__all__ = ["OWN_FIELDS", "Reader", "checked", "has_gaps"]


def _missing(known: Mapping[str, _Field], value: Mapping[str, Any]) -> list[str]:
    """Required fields that are not there."""
    return [
        key
        for key, field in known.items()
        if field.required and value.get(key) is None and not (field.shape.raw and key in value)
    ]
