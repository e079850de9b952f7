"""Writes a file of a configuration folder in the place of the one that is there, whose copy stays beside it.

Rules: a reader sees the old file or the new one, whole. No link is followed. Owner, group and mode stay; a new file takes
those of its neighbours, without rights for everybody. What was changed since it was read is not overwritten.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import suppress
from pathlib import Path
from secrets import token_hex

from hookrouter.errors import ConfigurationError, Fault

_NEIGHBOURS = ("asterisk.conf", "modules.conf", "extensions.conf", "extensions_custom.conf")


def replace(folder: Path, name: str, before: str | None, after: str) -> str:
    """Writes `after`; the name of the copy of `before`, empty where there was no file. Raises ConfigurationError."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _replace(directory, name, before, after)
    except OSError as error:
        if error.errno == errno.ELOOP:
            reason = "is a link, which is not followed: name the folder where the file itself is"
        else:
            reason = f"cannot be written ({error.strerror}): run it as root, or as the owner of the folder"
        raise ConfigurationError([Fault(str(folder / name), reason)]) from None
    finally:
        os.close(directory)


def write_new(path: Path, text: str) -> None:
    """A file that only its owner may read, and that was not there. Raises ConfigurationError.

    Written by root it belongs to the owner of its folder, who is to read it: `sudo` is for Asterisk's files.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError([Fault(str(path), f"cannot be written: {error.strerror}")]) from None
    with os.fdopen(descriptor, "w") as file:
        if os.geteuid() == 0:
            folder = path.absolute().parent.stat()
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
        file.write(text)


def _replace(directory: int, name: str, before: str | None, after: str) -> str:
    status = _unchanged(directory, name, before)
    new = f".{name}.{token_hex(8)}"
    try:
        _fill(directory, new, after, status or _neighbour(directory), keep=status is not None)
        if before is None:
            os.link(new, name, src_dir_fd=directory, dst_dir_fd=directory)
            return ""
        copy = _copy(directory, name)
        os.replace(new, name, src_dir_fd=directory, dst_dir_fd=directory)
        return copy
    finally:
        with suppress(FileNotFoundError):
            os.unlink(new, dir_fd=directory)


def _unchanged(directory: int, name: str, before: str | None) -> os.stat_result | None:
    """What is there; None: nothing. Raises ConfigurationError where it is not `before` any more, OSError for a link."""
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        if before is None:
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or before is None or file.read() != _bytes(before):
            raise ConfigurationError([Fault(name, "is not what it was a moment ago: run it again")])
        return status


def _fill(directory: int, name: str, text: str, like: os.stat_result, *, keep: bool) -> None:
    descriptor = os.open(
        name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory
    )
    with os.fdopen(descriptor, "wb") as file:
        if (like.st_uid, like.st_gid) != (os.geteuid(), os.getegid()):
            os.fchown(descriptor, like.st_uid, like.st_gid)
        os.fchmod(descriptor, stat.S_IMODE(like.st_mode) if keep else stat.S_IMODE(like.st_mode) & 0o660)
        file.write(_bytes(text))
        file.flush()
        os.fsync(descriptor)


def _neighbour(directory: int) -> os.stat_result:
    """A file of the folder that Asterisk can read; the folder itself where there is none."""
    for name in _NEIGHBOURS:
        with suppress(FileNotFoundError):
            status = os.stat(name, dir_fd=directory, follow_symlinks=False)
            if stat.S_ISREG(status.st_mode):
                return status
    return os.fstat(directory)


def _copy(directory: int, name: str) -> str:
    """The file once more, under a name that was free."""
    number = 1
    while True:
        copy = f"{name}.before-hookrouter-{number}"
        try:
            os.link(name, copy, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
        except FileExistsError:
            number += 1
        else:
            return copy


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogateescape")
