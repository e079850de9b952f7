"""Where the record of calls is: in a file, in the database of the journal, or in memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from hookrouter.errors import StoreError, extra
from hookrouter.record.file import RecordFile

if TYPE_CHECKING:
    from hookrouter.record.postgres import RecordDatabase

Place = Path | str | None
"""A file, the address of a database, or memory."""
Opened: TypeAlias = "RecordFile | RecordDatabase"


def open_record(place: Place, *, read_only: bool = False) -> Opened:
    """`read_only`: nothing is written but what is to be erased. Raises sqlite3.Error, OSError, StoreError."""
    if not isinstance(place, str):
        return RecordFile(place, read_only=read_only)
    try:
        from hookrouter.record.postgres import RecordDatabase  # an extra, and only where it is used
    except ImportError as error:
        raise StoreError(f"postgresql:// needs {error.name}: {extra('postgres')}") from error
    return RecordDatabase(place, read_only=read_only)


__all__ = ["Opened", "Place", "open_record"]
