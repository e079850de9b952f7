"""JSON that others wrote, looked at before anything is made of it: how much it is, and what can be read of it.

Rules:
- Everything here takes time that grows with the length of the text, and never more than that.
- What passes here is JSON that every language reads: UTF-8, no half of a surrogate pair, integers of 64 bits.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

MAX_DEPTH = 64
MAX_VALUES = 10_000

BAD_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_WINDOW = 16 * 1024
_STRINGS = re.compile(rb'"[^"]*"?')
_NO_MARKS = bytes(set(range(256)) - set(b"[]{},"))
_OPENING, _CLOSING = b"[{", b"]}"
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile(
    rb"(?<!\\)((?:\\\\)*+)\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
BIG_NUMBER = "an integer of more than 64 bits; write it as a string"
_MOST_MENDED = 1000
_LONG_NUMBER = re.compile(rb"\d{19}")
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1


def measure(body: bytes) -> tuple[int, int]:
    """(how many values there are, about; how deep lists and objects are nested); what stands in strings does not count."""
    text = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    marks = bytearray()
    inside = False
    for start in range(0, len(text), _WINDOW):  # a piece at a time: small pieces of bytes take much room
        piece = text[start : start + _WINDOW]
        if inside:
            piece = b'"' + piece
        inside = piece.count(b'"') % 2 == 1
        marks += _STRINGS.sub(b"", piece).translate(None, _NO_MARKS)
    values = marks.count(b",") + marks.count(b"[") + marks.count(b"{")
    return values, _depth(marks) if values <= MAX_VALUES else 0


def _depth(marks: bytes | bytearray) -> int:
    deepest = level = 0
    for mark in marks.translate(None, b","):
        if mark in _OPENING:
            level += 1
            if level > deepest:
                deepest = level
        else:
            level -= 1
            if level < 0:
                break  # it is no JSON
    return deepest


def too_much(body: bytes) -> str:
    """Why there is too much in `body` to be read, or "". What is plainly small is not looked at any further."""
    opened = body.count(b"[") + body.count(b"{")
    if opened <= MAX_DEPTH and opened + body.count(b",") <= MAX_VALUES:
        return ""
    values, deepest = measure(body)
    if values > MAX_VALUES:
        if body.startswith((b"[" * (MAX_DEPTH + 1), b"{" * (MAX_DEPTH + 1))):
            return f"nested over {MAX_DEPTH} deep"
        return f"about {values} values; at most {MAX_VALUES} are taken"
    return f"nested over {MAX_DEPTH} deep" if deepest > MAX_DEPTH else ""


def mended(body: bytes) -> bytes:
    """The same text with the replacement character for each half of a surrogate pair that stands alone.

    JavaScript's and Python's encoders write one where a text was cut within an emoji.
    """
    return _LONE.sub(rb"\1\\ufffd", body, _MOST_MENDED) if _SURROGATE.search(body) else body


def number_fault(value: Any) -> str:
    """The first integer anywhere in a decoded value that has more than 64 bits, in words; or ""."""
    if isinstance(value, int):
        if not _SMALLEST <= value <= _LARGEST:
            return BIG_NUMBER
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            if isinstance(item, int | dict | list) and (found := number_fault(item)):
                return found
    return ""


def any_json(raw: bytes) -> bytes:
    """The same bytes, if every language can read them as JSON. Raises ValueError with what is wrong with them."""
    try:
        value = msgspec.json.decode(raw)
    except BAD_JSON as error:
        raise ValueError(f"not JSON: {error}") from None
    if _LONG_NUMBER.search(raw) and (found := number_fault(value)):
        raise ValueError(found)
    return raw


def state_json(raw: bytes) -> bytes:
    """A call's state, as `any_json`; PHP's empty list is the empty map, as which PHP was given it."""
    found = any_json(raw)
    return b"{}" if found[:1] == b"[" and not found[1:-1].strip() else found


def given_state(raw: msgspec.Raw | msgspec.UnsetType) -> bytes | None:
    """The state that an optional field holds; None where it says nothing: left out, or null. Raises as `any_json`."""
    if isinstance(raw, msgspec.UnsetType) or bytes(raw) == b"null":
        return None
    return state_json(bytes(raw))


def bad_part(raw: bytes, levels: int = 4) -> tuple[tuple[str, ...], str]:
    """Where in JSON that cannot be decoded the reason lies, at most `levels` deep: (its keys, the reason)."""
    try:
        msgspec.json.decode(raw)
    except BAD_JSON as error:
        reason = str(error).partition(" - at `$")[0]
    else:
        return (), ""
    if levels:
        kind: Any = dict[str, msgspec.Raw] if raw[:1] == b"{" else list[msgspec.Raw]
        try:
            parts = msgspec.json.decode(raw, type=kind)
        except BAD_JSON:
            return (), reason
        for key, part in parts.items() if isinstance(parts, dict) else enumerate(parts):
            keys, found = bad_part(bytes(part), levels - 1)
            if found:
                return (str(key), *keys), found
    return (), reason
