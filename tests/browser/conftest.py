"""A router with calls on a simulated Asterisk, and Debian's Chromium before its console. One browser for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from lab.node import installed
from playwright.async_api import Browser, async_playwright
from rig.console import Scene

CHROMIUM = "/usr/bin/chromium"
OPTIONS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
SESSION = "session"


def _without(what: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(f"{what}; `make lab` installs it (root, Debian)")
    pytest.skip(what)


@pytest_asyncio.fixture(scope=SESSION, loop_scope=SESSION)
async def browser() -> AsyncIterator[Browser]:
    """Fails under CI, skips elsewhere, where there is none. Its profile is empty, and goes with it."""
    if not shutil.which(CHROMIUM):
        _without(f"no {CHROMIUM} here")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=CHROMIUM, headless=True, args=[*OPTIONS])
        yield running
        await running.close()


@pytest_asyncio.fixture(scope=SESSION, loop_scope=SESSION)
async def axe() -> str:
    """The script that looks for what a screen reader or a keyboard could not use."""
    folder = installed()
    if folder is None or not (folder / "axe-core/axe.min.js").exists():
        _without("axe-core was not installed by npm")
    assert folder is not None
    return (folder / "axe-core/axe.min.js").read_text()


@pytest_asyncio.fixture(loop_scope=SESSION)
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A router, its Asterisk, its endpoint; see rig/console.py."""
    async with Scene(tmp_path) as running:
        yield running
