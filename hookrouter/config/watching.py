"""Takes up an edited routes.toml without a restart; a bad edit is reported and the old routes stay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import watchfiles

from hookrouter.config.loader import Config
from hookrouter.errors import ConfigurationError
from hookrouter.facts import Facts, RoutesLoaded, RoutesRefused


async def changes(paths: Iterable[Path], stop: asyncio.Event) -> AsyncIterator[None]:
    """Yields after each change of one of the files; their folders are watched, as editors replace files."""
    wanted = {path.resolve() for path in paths}
    folders = {path.parent for path in wanted}
    async for found in watchfiles.awatch(*folders, stop_event=stop, debounce=200, step=50, recursive=False):
        if any(Path(name).resolve() in wanted or Path(name).name == "..data" for _, name in found):
            yield None


async def watch(
    path: Path,
    load: Callable[[], Config],
    take_up: Callable[[Config], None],
    facts: Facts,
    changed: AsyncIterator[None],
) -> None:
    """Loads at each change and hands a good configuration to `take_up`."""
    async for _ in changed:
        try:
            config = load()
        except ConfigurationError as error:
            facts.emit(RoutesRefused(str(path), tuple(map(str, error.faults))))
            continue
        take_up(config)
        facts.emit(RoutesLoaded(str(path), len(config.routes), reload=True))
