"""Every fault of a value against its shape, each with its place; the shape's own decoder would stop at the first."""

from __future__ import annotations

import types
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any, Literal, Union, get_args, get_origin

import msgspec

from hookrouter.errors import Fault

_NAMES = {"str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false",
          "array": "a list", "object": "a table", "null": "nothing"}  # fmt: skip


def did_you_mean(name: str, known: Any) -> str:
    """`, did you mean …?`, or the list of what is known."""
    names = {str(item).lower(): str(item) for item in known}
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f", did you mean {names[close[0]]}?" if close else f"; known: {', '.join(map(str, known))}"


def faults(value: Any, shape: Any, place: str) -> Iterator[Fault]:
    """What is wrong with `value`, in the order of the file."""
    kind = _strip(shape)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        yield from _table_faults(value, kind, place)
    elif get_origin(kind) is list and isinstance(value, list):
        yield from _limits(value, shape, place)
        for index, item in enumerate(value):
            yield from faults(item, get_args(kind)[0], f"{place}[{index}]")
    elif get_origin(kind) is dict and isinstance(value, dict):
        for key, item in value.items():
            yield from faults(item, get_args(kind)[1], join(place, key))
    else:
        yield from _limits(value, shape, place)


def _table_faults(value: Any, kind: type[msgspec.Struct], place: str) -> Iterator[Fault]:
    if not isinstance(value, Mapping):
        yield Fault(place, f"expected a table, got {_kind(value)}")
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    for key, item in value.items():
        if key in fields:
            yield from faults(item, fields[key].type, join(place, key))
        else:
            yield Fault(join(place, key), f"unknown key{did_you_mean(key, fields)}")
    for key, field in fields.items():
        if field.required and key not in value:
            yield Fault(join(place, key), "missing")


def _limits(value: Any, shape: Any, place: str) -> Iterator[Fault]:
    try:
        msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        text, _, _ = str(error).partition(" - at `$")
        for name, plain in _NAMES.items():
            text = text.replace(f"`{name}`", plain)
        hint = did_you_mean(value, literals) if (literals := _literals(shape)) and isinstance(value, str) else ""
        yield Fault(place, text[:1].lower() + text[1:] + hint)


def join(place: str, key: str) -> str:
    plain = key.replace("_", "").replace("-", "").isalnum()
    name = key if plain else f'"{key}"'
    return f"{place}.{name}" if place else name


def _strip(shape: Any) -> Any:
    """The type below `Annotated` and `| None`."""
    while True:
        if hasattr(shape, "__metadata__"):
            shape = shape.__origin__
        elif get_origin(shape) in (Union, types.UnionType):
            parts = [part for part in get_args(shape) if part is not type(None)]
            if len(parts) != 1:
                return shape
            shape = parts[0]
        else:
            return shape


def _literals(shape: Any) -> list[str]:
    if get_origin(shape) is Literal:
        return [str(item) for item in get_args(shape)]
    return [found for part in get_args(shape) for found in _literals(part)]


def _kind(value: Any) -> str:
    return {dict: "a table", list: "a list", str: "a string", bool: "true or false"}.get(type(value), "a number")
