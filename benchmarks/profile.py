"""What is left in the hot path: py-spy on a router under load, its samples sorted by the rooms of the code.

A sample belongs to the innermost frame of ours on its stack: what a library does for a room is that room's.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

_OURS = "hookrouter/"
_LOOP = "Runner.run (asyncio/runners.py"
_WRITER = "hookrouter/store/writer.py"
_IDLE = "WriterThread._run"
ROOMS = (
    ("deliveries: body, signature, attempts, HTTP client", ("hookrouter/delivery/", "hookrouter/http")),
    ("events and calls: routing, the machine, effects", ("hookrouter/flow", "hookrouter/calls/", "hookrouter/actions/",
                                                         "hookrouter/routing/", "hookrouter/service", "hookrouter/clock")),
    ("ARI: the event socket, requests and replies", ("hookrouter/ari/",)),
    ("facts: log, metrics, timeline", ("hookrouter/telemetry/", "hookrouter/facts", "hookrouter/timestamps")),
    ("journal, the loop's side", ("hookrouter/store/",)),
)  # fmt: skip
REST = "the loop itself: uvloop, tasks, the kernel's sockets"


class Profile:
    """Shares of the event loop's thread by room, and its dearest functions; the writer thread beside it."""

    def __init__(self, raw: str) -> None:
        self.rooms: Counter[str] = Counter()
        self.functions: Counter[str] = Counter()
        self.samples = self.writer = 0
        for line in raw.splitlines():
            stack, _, count = line.rpartition(" ")
            frames = stack.split(";")
            if any(_LOOP in frame for frame in frames):
                self._loop(frames, int(count))
            elif any(_WRITER in frame for frame in frames) and not frames[-1].startswith(_IDLE):
                self.writer += int(count)

    def _loop(self, frames: list[str], count: int) -> None:
        self.samples += count
        inside = frames[next(index for index, frame in enumerate(frames) if _LOOP in frame) :]
        ours = next((frame for frame in reversed(inside) if f"({_OURS}" in frame), None)
        if ours is None:
            self.rooms[REST] += count
            return
        name, _, place = ours.partition(" (")
        path = place.partition(":")[0]
        self.rooms[next((room for room, starts in ROOMS if path.startswith(starts)), path)] += count
        self.functions[f"`{name.replace('<locals>.', '')}` ({path.removeprefix(_OURS)})"] += count

    def share(self, count: int) -> float:
        return count / max(1, self.samples) * 100


class Recording:
    """py-spy on one process, from here until `stop`."""

    def __init__(self, pid: int, path: Path) -> None:
        beside = Path(sys.executable).with_name("py-spy")
        self._path = path
        command = [str(beside if beside.exists() else "py-spy"), "record", "-r", "400", "-f", "raw", "-o", str(path)]
        self._process = subprocess.Popen([*command, "-p", str(pid)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def stop(self) -> Profile:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(20)
        return Profile(self._path.read_text())


def can_record() -> bool:
    """Whether py-spy is here."""
    return Path(sys.executable).with_name("py-spy").exists() or shutil.which("py-spy") is not None
