"""One thing that was said or done in a call, as it is kept: written as MessagePack, read back by its name. Pure.

Rules: an entry is a fact and when it happened. What a newer version writes and this one does not know is read all the
same, as a name and its fields; what is in an older record is never refused. Parts are written as they come; a call
that is over is one compressed part.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from hookrouter.facts import Fact

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[tuple[float, str, dict[str, Any]]]).decode
_LEVEL = 1  # of compression: the next levels cost twice as much for a tenth less


class Entry(msgspec.Struct, frozen=True):
    """`at`: seconds since the epoch; `what`: the fact's kind, such as `DeliveryAttempted`; `fields`: what is not empty."""

    at: float
    what: str
    fields: dict[str, Any]


def write_part(facts: Sequence[tuple[float, str, Fact]]) -> bytes:
    """Some entries, in the order in which they happened: when, the fact's kind by name, the fact."""
    return _encode(facts)


def read_parts(parts: Iterable[bytes]) -> list[Entry]:
    """The entries of parts; one that cannot be read is an entry that says so, and hides no other."""
    found: list[Entry] = []
    for part in parts:
        try:
            found.extend(Entry(*entry) for entry in _decode(part))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            found.append(
                Entry(0.0, "Unreadable", {"detail": f"{len(part)} bytes of the record cannot be read: {error}"})
            )
    return found


def rewrite(parts: Iterable[bytes], change: Callable[[str, dict[str, Any]], dict[str, Any]]) -> bytes:
    """Parts as one, each entry's fields as `change(what, fields)` has them. Raises DecodeError where one is damaged."""
    return _encode([(at, what, change(what, fields)) for part in parts for at, what, fields in _decode(part)])


def fact_of(entry: Entry, kinds: Mapping[str, type[Fact]]) -> Fact | None:
    """The fact that an entry is of, if it is one of `kinds` (by name) and can be read."""
    kind = kinds.get(entry.what)
    try:
        return msgspec.convert(entry.fields, kind, strict=False) if kind is not None else None
    except msgspec.ValidationError:
        return None


def pack(parts: Iterable[bytes]) -> bytes:
    """Parts as one, compressed."""
    return zlib.compress(_encode(list(parts)), _LEVEL)


def unpack(packed: bytes) -> list[bytes]:
    """The parts in what `pack` made. Raises ValueError where it is damaged."""
    try:
        return msgspec.msgpack.decode(zlib.decompress(packed), type=list[bytes])
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"a packed part of the record is damaged: {error}") from None


__all__ = ["Entry", "fact_of", "pack", "read_parts", "rewrite", "unpack", "write_part"]
