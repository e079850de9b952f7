"""Asterisk's bytes as the record has them, read as far as somebody wants to know: nothing here is ever refused. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

_decode = msgspec.json.Decoder().decode


def value_of(raw: Any) -> Any:
    """What these bytes say as JSON; None where they are none."""
    try:
        return _decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, TypeError, RecursionError):
        return None


def object_of(raw: Any) -> dict[str, Any]:
    """The JSON object that these bytes are; of anything else an empty one."""
    found = value_of(raw)
    return found if isinstance(found, dict) else {}


def text_at(value: Any, *keys: str) -> str:
    """The text at this path; empty where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else ""


__all__ = ["object_of", "text_at", "value_of"]
