"""The folder of spoken texts: ours alone, of a bounded size, and what is not used any more goes.

Rules: a folder that we make is for us alone; one that is named may be for Asterisk's group, too. Another user's, a link, or one
in which everybody may write is refused. What is being made has a name that nobody can know before.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
import time
from pathlib import Path

MOST_BYTES = 512 * 1024 * 1024
MOST_FILES = 20_000
UNUSED_SECONDS = 7 * 86_400.0
_SWEEP_EVERY = 50  # files made
_YOUNG = 300.0  # seconds: somebody may be hearing it


class Shelf:
    """`shared`: Asterisk opens the files itself, and runs as somebody else."""

    def __init__(self, folder: Path, *, shared: bool) -> None:
        self.folder = folder
        self._shared = shared
        self._made = 0

    def prepare(self) -> None:
        """Makes the folder, or looks whether it can be trusted. Raises OSError."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o755 if self._shared else 0o700)
        found = self.folder.lstat()
        if stat.S_ISLNK(found.st_mode):
            raise PermissionError(f"{self.folder} is a link, and is not followed")
        if found.st_uid not in (os.geteuid(), 0):
            raise PermissionError(f"{self.folder} belongs to another user ({found.st_uid})")
        if found.st_mode & stat.S_IWOTH:
            raise PermissionError(f"every user may write to {self.folder}: `chmod o-w` it")
        if not self._shared and found.st_mode & 0o077 and found.st_uid == os.geteuid():
            self.folder.chmod(0o700)

    def part_of(self, path: Path) -> Path:
        """Where a file is made: nobody can know its name before."""
        return path.with_suffix(f".{secrets.token_hex(8)}.part.wav")

    def keep(self, path: Path, sound: bytes) -> None:
        """The file, whole or not at all; now and then what is too old or too much goes."""
        part = self.part_of(path)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(sound)
            part.chmod(0o644 if self._shared else 0o600)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
        self._made += 1
        if self._made % _SWEEP_EVERY == 1:
            self.sweep()

    def used(self, path: Path) -> bool:
        """Whether it is there; then it stays for a while."""
        try:
            os.utime(path, follow_symlinks=False)
        except OSError:
            return False
        return not path.is_symlink()

    def sweep(self, now: float | None = None) -> None:
        """Removes what was not used for long, and the longest unused of what is too much."""
        now = time.time() if now is None else now
        found: list[tuple[float, int, Path]] = []
        for path in self.folder.glob("*.wav"):
            with contextlib.suppress(OSError):
                seen = path.lstat()
                found.append((seen.st_mtime, seen.st_size, path))
        found.sort()
        size, count = sum(one[1] for one in found), len(found)
        for used_at, length, path in found:
            old = now - used_at > UNUSED_SECONDS
            too_much = (size > MOST_BYTES or count > MOST_FILES) and now - used_at > _YOUNG
            if not old and not too_much:
                break
            path.unlink(missing_ok=True)
            size, count = size - length, count - 1
