"""The stores' SQL, read from queries*.sql and migrations*/: no statement on rows is anywhere else."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_ROOM = files("hookrouter.store")


def read_queries(name: str) -> dict[str, str]:
    """The statements of a file, by their names."""
    parts = _NAME.split(_ROOM.joinpath(name).read_text("utf-8"))
    return {name: sql.strip().rstrip(";") for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def read_migrations(folder: str = "migrations") -> list[str]:
    """Every migration's script in order: the first one makes an empty place a store of schema version 1, and so on."""
    room = _ROOM.joinpath(folder)
    names = sorted(entry.name for entry in room.iterdir() if entry.name.endswith(".sql"))
    return [room.joinpath(name).read_text("utf-8") for name in names]


QUERIES = read_queries("queries.sql")
