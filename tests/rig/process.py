"""The router as its users run it: a process of its own, which can be killed at any moment."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import aiohttp
from lab.asterisk import free_port


def resident(pid: int) -> int:
    """Bytes of memory that a process has."""
    return int(Path(f"/proc/{pid}/status").read_text().partition("VmRSS:")[2].split()[0]) * 1024


class RouterProcess:
    """`hookrouter serve` with a routes.toml and a SQLite store in `folder`."""

    def __init__(
        self, folder: Path, url: str, app: str, routes: str, *, mode: str = "connect", store: str = "", more: str = ""
    ) -> None:
        self.folder = folder
        self.port = free_port()
        place = f'url = "{url}"' if url else ""
        self.config = folder / "routes.toml"
        self.config.write_text(
            f'[asterisk.main]\n{place}\nusername = "hookrouter"\npassword = "hookrouter"\napps = ["{app}"]\n'
            f'mode = "{mode}"\n{more}\n[server]\nlisten = "127.0.0.1:{self.port}"\n'
            f'[policy]\nendpoints = ["*", "Local/*"]\n{routes}'
        )
        self.store = store or f"sqlite:///{folder}/state.db"
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / "router.log"

    def start(self, **environment: str) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "hookrouter", "serve", "-c", str(self.config), "--store", self.store],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                env=os.environ | {"HOOKROUTER_LOG": "text"} | environment, cwd=self.folder,
            )  # fmt: skip

    async def ready(self, timeout: float = 15.0) -> None:
        """Waits until every Asterisk is connected and every call has been looked at."""
        async with aiohttp.ClientSession() as session:
            try:
                async with asyncio.timeout(timeout):
                    while True:
                        try:
                            async with session.get(f"http://127.0.0.1:{self.port}/readyz") as reply:
                                if reply.status == 200:
                                    return
                        except aiohttp.ClientError:
                            pass
                        assert self.process is not None
                        if self.process.poll() is not None:
                            break
                        await asyncio.sleep(0.02)
            except TimeoutError:
                pass
        raise AssertionError(f"the router is not ready:\n{self.log.read_text()[-4000:]}")

    async def get(self, path: str) -> Any:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{self.port}{path}") as reply:
            return await reply.json()

    async def post(self, path: str, body: Any) -> Any:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as reply:
            return await reply.json()

    async def metric(self, name: str) -> float:
        """The sum of a metric over its labels; 0 where it is not there."""
        url = f"http://127.0.0.1:{self.port}/metrics"
        async with aiohttp.ClientSession() as session, session.get(url) as reply:
            lines = (await reply.text()).splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((name + "{", name + " ")))

    def resident(self) -> int:
        """Bytes of memory."""
        assert self.process is not None
        return resident(self.process.pid)

    def descriptors(self) -> int:
        assert self.process is not None
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def kill(self) -> None:
        """SIGKILL, at once."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def terminate(self, timeout: float = 5.0) -> int:
        """SIGTERM; the exit status. Raises TimeoutExpired where it takes longer than `timeout`."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout)
        self.process = None
        return status

    async def __aenter__(self) -> RouterProcess:
        self.start()
        try:
            await self.ready()
        except BaseException:
            self.kill()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self.kill()
