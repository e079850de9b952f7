"""Files that nobody else reads, and that nobody else has put there.

Rules: mode 0600; no link is followed; what is there already is ours, or it is refused; so is a folder in which others may
replace our files.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from hookrouter.errors import StoreError


def check_folder(folder: Path) -> None:
    """Raises StoreError where another user could put files of theirs in the place of ours."""
    try:
        found = folder.stat()
    except OSError as error:
        raise StoreError(
            f"{folder}: {error.strerror}: the directory of the store must exist and be writable"
        ) from error
    me = os.geteuid()
    if found.st_uid not in (me, 0):
        raise StoreError(
            f"{folder}: belongs to another user ({found.st_uid}): it has to be of the one that runs this ({me})"
        )
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise StoreError(f"{folder}: every user may write there: `chmod o-w {folder}`")


def secure_database(path: Path) -> None:
    """Makes a database's file, and takes what SQLite has beside it, private. Raises OSError, StoreError."""
    for ending in ("-wal", "-shm", ""):
        if ending == "" or os.path.lexists(path.with_name(path.name + ending)):
            os.close(open_private(path.with_name(path.name + ending)))


def open_private(path: Path) -> int:
    """A descriptor of the file, made where there is none. Raises OSError; StoreError where it is a link or another's."""
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        if path.is_symlink():
            raise StoreError(f"{path}: is a link, and is not followed: name the file itself") from error
        raise
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise StoreError(f"{path}: is not a file")
        if found.st_uid not in (os.geteuid(), 0):
            raise StoreError(f"{path}: belongs to another user ({found.st_uid}): move it away")
        if found.st_mode & 0o077:
            os.fchmod(descriptor, 0o600)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor
