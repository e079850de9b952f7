"""A value against its shape: what can be used of it, and every fault with its place; a decoder would stop at the first.

Rules: what is wrong is left out and its default stands in, so that the rest can still be looked at. A place that has a
fault gets no second one, and nothing is said about what only follows from a fault below it.
"""

from __future__ import annotations

import re
import types
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from hookrouter.errors import Fault

_NAMES = {
    "str": "a string", "int": "a whole number", "float": "a number", "bool": "true or false", "array": "a list",
    "object": "a table", "null": "nothing", "datetime": "a date and time", "date": "a date", "time": "a time of day",
}  # fmt: skip
_KINDS = {"dict": "a table", "list": "a list"} | _NAMES
_LIST_HINTS = {
    "expected a list, got a string": '; write it as ["…"]',
    "expected a list, got a table": "; write it in double brackets, such as [[routes]]",
}
_NOTHING: Any = object()


class Findings:
    """What a configuration's reading has found so far. `files`: what else was read, and is to be watched."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self.warnings: list[str] = []
        self.files: list[str] = []
        self._places: set[str] = set()

    def fault(self, place: str, message: str) -> None:
        """Notes a fault, unless this place or one below it has one already."""
        if not self.has(place):
            self.faults.append(Fault(place, message))
            self._places.add(place)

    def warn(self, place: str, message: str) -> None:
        self.warnings.append(str(Fault(place, message)))

    def has(self, place: str) -> bool:
        """Whether there is a fault at this place or below it."""
        return place in self._places or any(found.startswith((f"{place}.", f"{place}[")) for found in self._places)


def collect(value: Any, shape: Any, place: str, findings: Findings) -> Any:
    """`value` as its shape has it, with defaults where it is wrong; a table is None where there is no table at all."""
    kind = _strip(shape)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return _table(value, kind, place, findings)
    if get_origin(kind) is list and isinstance(value, list):
        return _list(value, shape, kind, place, findings)
    if get_origin(kind) is dict and isinstance(value, dict):
        found = {key: collect(item, get_args(kind)[1], join(place, key), findings) for key, item in value.items()}
        return {key: item for key, item in found.items() if item is not _NOTHING}
    return _leaf(value, shape, place, findings)


def _table(value: Any, kind: type[msgspec.Struct], place: str, findings: Findings) -> Any:
    if not isinstance(value, Mapping):
        named = re.fullmatch(r"asterisk\.\w+", place)
        hint = "; each Asterisk has a table with a name of yours, such as [asterisk.main]" if named else ""
        findings.fault(place, f"expected a table, got {_kind(value)}{hint}")
        return None
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    given: dict[str, Any] = {}
    for key, item in value.items():
        if key not in fields:
            findings.fault(join(place, key), f"unknown key{did_you_mean(key, fields)}")
            continue
        found = collect(item, fields[key].type, join(place, key), findings)
        if found is not _NOTHING and found is not None:
            given[key] = found
    for key, field in fields.items():
        if field.required and key not in given:
            findings.fault(join(place, key), "missing")
            given[key] = next(iter(_literals(field.type)), "")
    return kind(**{fields[key].name: item for key, item in given.items()})


def _list(value: list[Any], shape: Any, kind: Any, place: str, findings: Findings) -> Any:
    limits = _limits(shape)
    size = _leaf([None] * len(value), Annotated[(list[Any], *limits)] if limits else list[Any], place, findings)
    items = [collect(item, get_args(kind)[0], f"{place}[{index}]", findings) for index, item in enumerate(value)]
    return _NOTHING if size is _NOTHING or any(item is _NOTHING for item in items) else items


def _leaf(value: Any, shape: Any, place: str, findings: Findings) -> Any:
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        text = re.sub(r"`([a-z| ]+)`", _plain, text)
        literals = _literals(shape)
        hint = did_you_mean(value, literals) if literals and isinstance(value, str) else ""
        text = text[:1].lower() + text[1:]
        findings.fault(place + path.rstrip("`"), text + (hint or _LIST_HINTS.get(text, "")))
    return _NOTHING


def _plain(match: re.Match[str]) -> str:
    names = [name for name in match[1].split(" | ") if name != "null"]  # which TOML has not
    return " or ".join(_NAMES.get(name, f"`{name}`") for name in names)


def did_you_mean(name: str, known: Any) -> str:
    """`, did you mean …?`, or the list of what is known."""
    names = {str(item).lower(): str(item) for item in known}
    close = get_close_matches(name.lower(), names, n=1, cutoff=0.6)
    return f", did you mean {names[close[0]]}?" if close else f"; known: {', '.join(map(str, known))}"


def join(place: str, key: str) -> str:
    """The place of a key below `place`, in quotes where TOML would want them."""
    plain = re.fullmatch(r"[A-Za-z0-9_-]+", key)
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


def _limits(shape: Any) -> list[msgspec.Meta]:
    """What is demanded of a list as a whole."""
    found = [meta for meta in getattr(shape, "__metadata__", ()) if isinstance(meta, msgspec.Meta)]
    if hasattr(shape, "__metadata__"):
        return found + _limits(shape.__origin__)
    if get_origin(shape) in (Union, types.UnionType):
        return [meta for part in get_args(shape) for meta in _limits(part)]
    return found


def _literals(shape: Any) -> list[str]:
    if get_origin(shape) is Literal:
        return [str(item) for item in get_args(shape)]
    return [found for part in get_args(shape) for found in _literals(part)]


def _kind(value: Any) -> str:
    return _KINDS.get(type(value).__name__, "something else")
