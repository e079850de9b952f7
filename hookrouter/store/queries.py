"""The store's SQL, read once from queries.sql and migrations/: no statement on rows is anywhere else."""

from __future__ import annotations

import re
from importlib.resources import files

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_ROOM = files("hookrouter.store")


def _read_queries() -> dict[str, str]:
    parts = _NAME.split(_ROOM.joinpath("queries.sql").read_text("utf-8"))
    return {name: sql.strip().rstrip(";") for name, sql in zip(parts[1::2], parts[2::2], strict=True)}


def read_migrations() -> list[str]:
    """Every migration's script in order: the first one makes an empty file a store of schema version 1, and so on."""
    room = _ROOM.joinpath("migrations")
    names = sorted(entry.name for entry in room.iterdir() if entry.name.endswith(".sql"))
    return [room.joinpath(name).read_text("utf-8") for name in names]


QUERIES = _read_queries()
