"""Takes up an edited routes.toml without a restart; a bad edit is reported and the old routes stay.

Rules: the folders of the files are watched, not the files: editors and orchestrators put new files in the place of old
ones. Which files belong to the configuration is asked again after each change: an edit may name another secret's file.
They are looked at a few times a second rather than by inotify, which tells nothing of network and bind mounts, and tells
every write of a journal that lies in the same folder (a tenth of all our CPU under load).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import watchfiles

from hookrouter.config.values import Config
from hookrouter.errors import ConfigurationError
from hookrouter.facts import Facts, RoutesLoaded, RoutesRefused

_MOUNTED = "..data"  # the link that Kubernetes turns to the new version of a mounted secret or file
_DEBOUNCE_MS = 200  # an editor's several steps are one change
_STEP_MS = 100
_POLL_MS = 400


async def changes(files: Callable[[], Iterable[Path]], stop: asyncio.Event) -> AsyncIterator[None]:
    """Yields after each change of one of the files, until `stop` is set. Folders that do not exist are not watched."""
    while not stop.is_set():
        folders = _folders(files())
        if not folders:
            await stop.wait()
            return
        async for found in watchfiles.awatch(
            *folders,
            stop_event=stop,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            recursive=False,
            force_polling=True,
            poll_delay_ms=_POLL_MS,
        ):
            if _concerns({Path(name) for _, name in found}, files()):
                yield None
                if _folders(files()) != folders:
                    break


def _folders(files: Iterable[Path]) -> set[Path]:
    return {folder for path in files for folder in (path.absolute().parent, path.resolve().parent) if folder.is_dir()}


def _concerns(changed: set[Path], files: Iterable[Path]) -> bool:
    wanted = {name for path in files for name in (path.absolute(), path.resolve())}
    return any(path in wanted or path.resolve() in wanted or path.name == _MOUNTED for path in changed)


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
