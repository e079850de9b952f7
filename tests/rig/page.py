"""A page as its reader walks it: the files that it shows, and its commands, in a folder with nothing in it.

Rules: what is run is taken out of the page. `swap` says what is another one here: ports, so that several walks go at once, and
Asterisk's folder. `sudo` and `asterisk` are those of `bin`: the walker is root already, and the Asterisk is the test's.
"""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from lab.asterisk import Asterisk

ROOT = Path(__file__).parents[2]


def section(page: str, heading: str) -> str:
    """The text below a heading, up to the next one of its rank or above. Raises AssertionError if there is none."""
    text = (ROOT / page).read_text()
    found = re.search(rf"^(#+) {re.escape(heading)}\n", text, re.MULTILINE)
    assert found is not None, f"{page} has no {heading}"
    rest = text[found.end() :]
    after = re.search(rf"^#{{1,{len(found[1])}}} ", re.sub(r"^```.*?^```", _blank, rest, flags=re.MULTILINE | re.DOTALL), re.MULTILINE)
    return rest[: after.start()] if after else rest


def _blank(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match[0])


def blocks(text: str, kind: str) -> list[str]:
    """Those of one language, in their order."""
    return re.findall(rf"^```{kind}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def commands(text: str) -> list[str]:
    """Every line of every block `sh`."""
    return [line for block in blocks(text, "sh") for line in block.splitlines()]


class Walk:
    """A folder, and the shell in it; `environ` grows by what is exported. End it with `end`."""

    def __init__(self, folder: Path, swap: dict[str, str], asterisk: Asterisk | None = None) -> None:
        self.home, self.swap = folder / "walk", swap
        self.home.mkdir()
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.tool("sudo", '#!/bin/sh\nexec "$@"\n')
        if asterisk is not None:
            chroot = "" if str(asterisk.root) == "/" else f"chroot {asterisk.root} "
            self.tool("asterisk", f'#!/bin/sh\nexec {chroot}asterisk -C {asterisk.inside}/etc/asterisk.conf "$@"\n')
        path = f"{self.bin}:{Path(sys.executable).parent}:{os.environ['PATH']}"
        self.environ = {key: value for key, value in os.environ.items() if not key.startswith("HOOKROUTER_")} | {"PATH": path}
        self.running: list[subprocess.Popen[bytes]] = []

    def tool(self, name: str, script: str) -> None:
        """A command of the walk's own."""
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def here(self, text: str) -> str:
        """As it is printed, with what is another one here."""
        for printed, ours in self.swap.items():
            text = text.replace(printed, ours)
        return text

    def save(self, name: str, text: str) -> None:
        (self.home / name).write_text(self.here(text))

    def run(self, command: str) -> str:
        """What it says. Raises AssertionError with that, if it fails."""
        done = subprocess.run(
            ["sh", "-ec", self.here(command)], cwd=self.home, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}\n{done.stdout[-4000:]}"
        return done.stdout

    def export(self, command: str) -> None:
        """A line `export NAME=…`: the commands after it have the variables."""
        for line in self.run(f"{command}\nenv").splitlines():
            name, _, value = line.partition("=")
            if name.startswith(("HOOKROUTER_", "PHONE_", "AWS_")):
                self.environ[name] = value

    def start(self, command: str) -> Started:
        """In a terminal of its own: it runs until `end`, or its own `stop`."""
        log = self.home.parent / f"log-{len(self.running)}"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["sh", "-c", f"exec {self.here(command)}"], cwd=self.home, env=self.environ, stdin=subprocess.DEVNULL,
                stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        self.running.append(process)
        return Started(command, process, log)

    def end(self) -> None:
        for process in self.running:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(self.home, ignore_errors=True)


class Started:
    """A command that goes on; what it has said so far is `said`."""

    def __init__(self, command: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.command, self.process, self.log = command, process, log

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace")

    async def says(self, text: str, count: int = 1, timeout: float = 60.0) -> None:
        """Waits until it has said that so many times. Raises AssertionError with what it said instead."""
        await self._until(lambda: self.said.count(text) >= count, f"does not say {text!r}", timeout)

    async def listens(self, port: int, timeout: float = 60.0) -> None:
        """Waits until it takes connections. Raises AssertionError with what it said."""

        def taken() -> bool:
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", port)) == 0

        await self._until(taken, f"takes no connections at {port}", timeout)

    async def _until(self, there: Callable[[], bool], fault: str, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                while not there():
                    assert self.process.poll() is None, f"{self.command} has ended:\n{self.said[-4000:]}"
                    await asyncio.sleep(0.05)  # another process
        except TimeoutError:
            raise AssertionError(f"{self.command} {fault}:\n{self.said[-4000:]}") from None

    def stop(self) -> int:
        """Ctrl-C; its status."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(timeout=30)
