"""A record's own tables, whatever it is kept in."""

from __future__ import annotations

import sqlite3
import zlib
from pathlib import Path
from typing import Any

import psycopg

from hookrouter.record.opening import Place


def statement(place: Place, words: str) -> list[tuple[Any, ...]]:
    """Its rows; `{}` in it stands before a table's name."""
    if isinstance(place, str):
        with psycopg.connect(place, autocommit=True) as session:
            cursor = session.execute(words.replace("{}", "hookrouter.record_").encode())
            return cursor.fetchall() if cursor.description else []
    connection = sqlite3.connect(f"{Path(place or '').as_uri()}?mode=ro", uri=True)
    try:
        return connection.execute(words.replace("{}", "")).fetchall()
    finally:
        connection.close()


def all_bytes(place: Place) -> bytes:
    """All that is kept there, as it is kept; what is packed is unpacked beside it."""
    rows = statement(place, "SELECT packed, data FROM {}parts")
    found = [bytes(data) for _, data in rows] + [zlib.decompress(data) for packed, data in rows if packed]
    if isinstance(place, Path):
        return b"".join([*found, place.read_bytes()])
    calls = [str(row).encode() for row in statement(place, "SELECT * FROM {}calls")]
    return b"".join([*found, *calls])
