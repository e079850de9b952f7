"""An edit is taken up without a restart; a bad one is reported and changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from hookrouter.config import Config, load
from hookrouter.config.watching import changes, watch
from hookrouter.facts import Fact, Facts, RoutesLoaded, RoutesRefused

_GOOD = '[asterisk.main]\npassword = "x"\n[[routes]]\nurl = "http://a.test/"\nsecret_file = "{secret}"\n'
_PATIENCE = 10.0


async def test_edits_good_and_bad(tmp_path: Path) -> None:
    """Good ones are handed over; a bad one is told with its faults, and the next good one counts again."""
    path = tmp_path / "routes.toml"
    (tmp_path / "s").write_text("0123456789abcdef")
    edits = [
        _GOOD.format(secret="s"),
        "timout = 1",
        _GOOD.format(secret="none"),
        _GOOD.format(secret="s") + 'name = "b"',
    ]

    async def edited() -> AsyncIterator[None]:
        for text in edits:
            path.write_text(text)
            yield None

    facts: list[Fact] = []
    taken: list[Config] = []
    await watch(path, lambda: load(path, {}), taken.append, Facts(facts.append), edited())
    assert [config.routes.routes[0].name for config in taken] == ["route-1", "b"]
    assert [type(fact) for fact in facts] == [RoutesLoaded, RoutesRefused, RoutesRefused, RoutesLoaded]
    assert facts[0] == RoutesLoaded(str(path), 1, reload=True)
    assert isinstance(facts[1], RoutesRefused)
    assert [fault.split(":")[0] for fault in facts[1].faults] == ["timout", "asterisk"]


class _Watched:
    """The real watcher on a folder, and what it has seen."""

    def __init__(self, *files: Path) -> None:
        self.files = list(files)
        self.stop = asyncio.Event()
        self.seen: asyncio.Queue[None] = asyncio.Queue()
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for _ in changes(lambda: self.files, self.stop):
            self.seen.put_nowait(None)

    async def sees(self, edit: object, text: str) -> None:
        """Edits until the watcher, which takes a moment to begin, has seen it."""
        assert callable(edit)
        async with asyncio.timeout(_PATIENCE):
            while True:
                edit(text)
                try:
                    async with asyncio.timeout(1.5):
                        await self.seen.get()
                        return
                except TimeoutError:
                    continue

    async def end(self) -> None:
        self.stop.set()
        async with asyncio.timeout(_PATIENCE):
            await self.task


async def test_the_real_watcher_sees_edits_in_place_and_by_renaming(tmp_path: Path) -> None:
    """As editors and orchestrators do it; it ends when it is told to."""
    path = tmp_path / "routes.toml"
    path.write_text("1")
    watched = _Watched(path)

    def rename(text: str) -> None:
        other = tmp_path / "routes.toml.new"
        other.write_text(text)
        other.rename(path)

    await watched.sees(path.write_text, "2")
    await watched.sees(rename, "3")
    await watched.end()


async def test_the_real_watcher_follows_a_link(tmp_path: Path) -> None:
    """A mounted secret is a link into another folder."""
    mounted, here = tmp_path / "mounted", tmp_path / "here"
    mounted.mkdir()
    here.mkdir()
    (mounted / "key").write_text("1")
    (here / "key").symlink_to(mounted / "key")
    watched = _Watched(here / "key")
    await watched.sees((mounted / "key").write_text, "2")
    await watched.end()


async def test_the_real_watcher_takes_up_new_folders(tmp_path: Path) -> None:
    """An edit that names a secret's file elsewhere: from then on that is watched too."""
    first, second = tmp_path / "a", tmp_path / "b"
    first.mkdir()
    second.mkdir()
    watched = _Watched(first / "routes.toml", tmp_path / "no such folder" / "x")
    await watched.sees((first / "routes.toml").write_text, "1")
    watched.files.append(second / "key")
    await watched.sees((first / "routes.toml").write_text, "2")
    await watched.sees((second / "key").write_text, "3")
    await watched.end()


async def test_two_edits_within_a_second_are_two(tmp_path: Path) -> None:
    """The second one counts as well, although the first has just been taken up."""
    path = tmp_path / "routes.toml"
    path.write_text("1")
    watched = _Watched(path)
    await watched.sees(path.write_text, "2")
    path.write_text("3")
    async with asyncio.timeout(_PATIENCE):
        await watched.seen.get()
    await watched.end()


async def test_nothing_to_watch(tmp_path: Path) -> None:
    """Where no folder exists, it waits for its end."""
    watched = _Watched(tmp_path / "none" / "routes.toml")
    await asyncio.sleep(0)  # it begins
    await watched.end()
    assert watched.seen.empty()
