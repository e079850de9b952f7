"""What an action says in one of Asterisk's little languages, with its place: the one walk that all that judges it takes.

Rules: a field of a verb says what it is by its annotation (`Meta(extra=in_language(Kind.MEDIA))`), a parameter of an
operation by parameters.py. Nested actions are walked by who decodes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple, get_args

import msgspec

from hookrouter.policy.parameters import Kind, uses
from hookrouter.text.calling import caller_id_fault, dial_fault
from hookrouter.text.dialplan import arguments_fault, place_fault, separated, value_fault, variable_fault
from hookrouter.text.language import language_fault
from hookrouter.text.lines import printable_fault
from hookrouter.text.media import media_fault
from hookrouter.text.sip import header_name_fault, header_value_fault


class Said(NamedTuple):
    """`value` at `place` (a JSON pointer below the action); `name`: of the variable or header whose value it is, the
    transport of a host, the parameter of an address."""

    place: str
    kind: Kind
    value: str
    name: str = ""


def in_language(kind: Kind) -> dict[str, Any]:
    """For `Meta(extra=…)` of a field."""
    return {"kind": kind}


def said_by_struct(value: msgspec.Struct, place: str = "") -> Iterator[Said]:
    """What the fields of a verb (or of a part of one) say."""
    for attribute, name, kind in _fields(type(value)):
        found = getattr(value, attribute)
        if found is None:
            continue
        if kind is None:
            yield from _parts(found, f"{place}/{name}")
        elif kind is Kind.VALUE:
            yield Said(f"{place}/{name}", kind, found, getattr(value, "variable", None) or "")
        elif kind is Kind.ADDRESS:
            yield Said(f"{place}/{name}", kind, found, name)
        else:
            yield from _values(kind, found, f"{place}/{name}")


def said_by_operation(operation: str, params: Mapping[str, Any], place: str = "") -> Iterator[Said]:
    """What the parameters of an operation say."""
    for name, kind in _spoken(operation):
        value = params.get(name)
        if value is None:
            continue
        where = f"{place}/{name}"
        if kind is Kind.VALUE:
            yield Said(where, kind, str(value), str(params.get("variable", "")))
        elif kind is Kind.HOST:
            yield Said(where, kind, str(value), str(params.get("transport") or "udp"))
        elif kind is Kind.ADDRESS:
            yield Said(where, kind, str(value), name)
        elif kind is Kind.MEDIA and isinstance(value, str):
            yield from (Said(where, kind, part) for part in value.split(","))
        elif kind is Kind.VARIABLE and isinstance(value, str) and name == "variables":
            yield from (Said(where, kind, part) for part in separated(value))
        else:
            yield from _values(kind, value, where)
    if operation in _DEFAULT_CONTEXT and params.get("extension") and not params.get("context"):
        yield Said(f"{place}/extension", Kind.CONTEXT, "default")


_DEFAULT_CONTEXT = frozenset({"channels.originate", "channels.originateWithId"})


@cache
def _spoken(operation: str) -> tuple[tuple[str, Kind], ...]:
    """The parameters that say something."""
    return tuple((name, use.kind) for name, use in uses(operation).items() if use.kind is not Kind.PLAIN)


@cache
def _fields(kind: type[msgspec.Struct]) -> tuple[tuple[str, str, Kind | None], ...]:
    """(attribute, name in JSON, kind) of the fields that say something; kind None: its parts may."""
    found: list[tuple[str, str, Kind | None]] = []
    for field in msgspec.structs.fields(kind):
        language = _language(field.type)
        if language is not None or _structs(field.type):
            found.append((field.name, field.encode_name, language))
    return tuple(found)


def judged_fields(kind: type[msgspec.Struct]) -> list[tuple[str, Kind]]:
    """(name in JSON, kind) of a verb's fields that say something, those of its parts included: for the documentation."""
    found: list[tuple[str, Kind]] = []
    for field in msgspec.structs.fields(kind):
        language = _language(field.type)
        if language is not None:
            found.append((field.encode_name, language))
        for part in _structs(field.type):
            found += [(f"{field.encode_name}[].{name}", inner) for name, inner in judged_fields(part)]
    return found


def _structs(annotation: Any) -> list[type[msgspec.Struct]]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return list(dict.fromkeys(found for part in get_args(annotation) for found in _structs(part)))


def _language(annotation: Any) -> Kind | None:
    for meta in getattr(annotation, "__metadata__", ()):
        if isinstance(meta, msgspec.Meta) and meta.extra and "kind" in meta.extra:
            language: Kind = meta.extra["kind"]
            return language
    return next((found for part in get_args(annotation) if (found := _language(part)) is not None), None)


def _parts(value: Any, place: str) -> Iterator[Said]:
    if isinstance(value, msgspec.Struct):
        yield from said_by_struct(value, place)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _parts(item, f"{place}/{index}")


def _values(kind: Kind, value: Any, place: str) -> Iterator[Said]:
    if isinstance(value, str):
        yield Said(place, kind, value)
    elif isinstance(value, msgspec.Struct):
        yield from said_by_struct(value, place)
    elif isinstance(value, dict):
        names = Kind.HEADER if kind is Kind.HEADERS else Kind.VARIABLE
        for name, item in value.items():
            where = f"{place}/{str(name).replace('~', '~0').replace('/', '~1')}"
            text = item.get("value", "") if isinstance(item, dict) else item
            yield Said(where, names, str(name))
            yield Said(where, Kind.HEADER_VALUE if kind is Kind.HEADERS else Kind.VALUE, str(text), str(name))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _values(kind, item, f"{place}/{index}")


# ---- whether it can be written --------------------------------------------------------------------------------------


_LONGEST_ADDRESS = 512


def _stored_fault(name: str) -> str:
    if name.startswith("/") or ".." in name.split("/"):
        return f"`{name[:80]}` leads out of Asterisk's folder of recordings; name one that is in it"
    return printable_fault(name)


def _address_fault(address: str) -> str:
    if len(address) > _LONGEST_ADDRESS:
        return f"has {len(address)} characters; an address may have {_LONGEST_ADDRESS}"
    return printable_fault(address)


def _host_fault(host: str) -> str:
    if len(host) > _LONGEST_ADDRESS:
        return f"has {len(host)} characters; a host may have {_LONGEST_ADDRESS}"
    if unprintable := printable_fault(host):
        return unprintable
    return "" if " " not in host and '"' not in host else "has spaces or quotes; leave them out"


_FAULTS: dict[Kind, Callable[[str], str]] = {
    Kind.MEDIA: media_fault,
    Kind.RECORDING: _stored_fault,
    Kind.STORED: _stored_fault,
    Kind.ENDPOINT: dial_fault,
    Kind.CALLER_ID: caller_id_fault,
    Kind.VARIABLE: variable_fault,
    Kind.CONTEXT: place_fault,
    Kind.EXTENSION: place_fault,
    Kind.ARGUMENTS: arguments_fault,
    Kind.LANGUAGE: language_fault,
    Kind.HOST: _host_fault,
    Kind.ADDRESS: _address_fault,
    Kind.HEADER: header_name_fault,
    Kind.HEADER_VALUE: header_value_fault,
    Kind.APPLICATION: printable_fault,
    Kind.TRANSPORT: printable_fault,
    Kind.TECHNOLOGY: printable_fault,
    Kind.RESOURCE: printable_fault,
    Kind.DEVICE: printable_fault,
    Kind.MAILBOX: printable_fault,
}


def written_fault(said: Said) -> str:
    """Why a value cannot be written as what it is meant to be; empty where it can."""
    if said.kind is Kind.VALUE:
        return value_fault(said.name, said.value)
    check = _FAULTS.get(said.kind)
    return "" if check is None else check(said.value)
