"""Takes up an edited routes.toml without a restart; a bad edit is reported and the old routes stay.

Rules: the files are looked at a few times a second (four `stat` calls), through links: so edits in place, files put in the
place of old ones, and turned links (Kubernetes) are all seen, also on network and bind mounts, of which inotify tells nothing.
Inotify on their folder would tell of every write of a journal that lies beside them instead (a tenth of all our CPU under
load), and watchfiles' own polling misses a second edit within a second. Which files belong to the configuration is asked
each time: an edit may name another secret's file.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

from hookrouter.config.values import Config
from hookrouter.errors import ConfigurationError
from hookrouter.facts import Facts, RoutesLoaded, RoutesRefused

POLL_DELAY = 0.25
_Seen = dict[Path, tuple[int, int, int] | None]


def changes(files: Callable[[], Iterable[Path]], stop: asyncio.Event) -> AsyncIterator[None]:
    """Yields after each change since now of one of the files, when it has come to rest, until `stop` is set."""
    return _changes(files, stop, _look(files()))


async def _changes(files: Callable[[], Iterable[Path]], stop: asyncio.Event, before: _Seen) -> AsyncIterator[None]:
    changing = False
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_DELAY):
                await stop.wait()
                return
        now = _look(files())
        if now != before:
            before, changing = now, True  # an editor's several steps are one change
        elif changing:
            changing = False
            yield None
            before = {path: before.get(path, seen) for path, seen in _look(files()).items()}


def _look(files: Iterable[Path]) -> _Seen:
    found: _Seen = {}
    for path in files:
        try:
            stat = path.stat()
            found[path] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        except OSError:
            found[path] = None
    return found


async def watch(
    path: Path,
    load: Callable[[], Config],
    take_up: Callable[[Config], None],
    facts: Facts,
    changed: AsyncIterator[None],
) -> None:
    """Loads at each change and hands a good configuration to `take_up`; ends when `changed` does."""
    async for _ in changed:
        try:
            config = load()
        except ConfigurationError as error:
            facts.emit(RoutesRefused(str(path), tuple(map(str, error.faults))))
            continue
        take_up(config)
        facts.emit(RoutesLoaded(str(path), len(config.routes), reload=True))
