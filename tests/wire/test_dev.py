"""`hookrouter dev`: a call at each save, the endpoint started anew, the console beside it; and no Asterisk."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
from lab.asterisk import free_port

ENDPOINT = """
import json, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        answer = json.dumps([{"action": "answer"}, {"action": "play", "media": "sound:SOUND"}, {"action": "hangup"}])
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.end_headers()
        self.wfile.write(answer.encode())

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


class Dev:
    """The command with an endpoint of its own, `endpoint.py` in `folder`; what it says, line by line."""

    def __init__(self, folder: Path, text: str, host: str = "127.0.0.1") -> None:
        self.host = host
        self.file, self.port, self.console = folder / "endpoint.py", free_port(), free_port()
        self.file.write_text(text)

    async def __aenter__(self) -> Dev:
        command = [sys.executable, "-m", "hookrouter", "dev", f"http://127.0.0.1:{self.port}/", "--speed", "20"]
        command += ["--listen", f"{self.host}:{self.console}", "--run", f"{sys.executable} endpoint.py {self.port}"]
        environment = {key: value for key, value in os.environ.items() if key != "HOOKROUTER_SECRET"}
        self.process = await asyncio.create_subprocess_exec(
            *command, cwd=self.file.parent, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGINT)  # killed, it would leave its endpoint behind
            assert await asyncio.wait_for(self.process.wait(), 20) == 0

    async def told(self, until: str = "Waiting") -> str:
        """What it says until a line that begins so."""
        assert self.process.stdout is not None
        lines: list[str] = []
        async with asyncio.timeout(60):
            while not lines or not lines[-1].startswith(until):
                lines.append((await self.process.stdout.readline()).decode())
                assert lines[-1], "".join(lines)
        return "".join(lines)


async def test_a_call_at_each_save(tmp_path: Path) -> None:
    """What is saved is called, and seen: in the terminal and on the console's page of the route."""
    async with Dev(tmp_path, ENDPOINT.replace("SOUND", "hello-world")) as dev:
        first = await dev.told()
        assert f"The console: http://127.0.0.1:{dev.console}/" in first
        assert f"Calling http://127.0.0.1:{dev.port}/ …" in first
        assert "♪ sound:hello-world" in first
        assert "All is well: 3 actions" in first
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{dev.console}", trust_env=False) as client:
            page = await client.get("/routes/endpoint")
            assert page.status_code == 200, page.text
        (tmp_path / "calls.log").write_text("the endpoint writes this")
        dev.file.write_text(ENDPOINT.replace("SOUND", "vm-goodbye"))
        again = await dev.told()
        assert "♪ sound:vm-goodbye" in again
        assert again.count("All is well: 3 actions") == 1


async def test_it_tells_how_far_a_long_call_is(tmp_path: Path) -> None:
    """The caller hears 80 seconds of sound, which last 4 here."""
    async with Dev(tmp_path, ENDPOINT.replace('"sound:SOUND"', '["sound:demo-congrats"] * 3')) as dev:
        told = await dev.told()
        assert "  2 s: " in told
        assert told.index("  2 s: ") < told.index("All is well")


async def test_ipv6_and_a_port_that_is_taken(tmp_path: Path) -> None:
    """The console is at [::1] where it is told so; who comes second learns what to do."""
    async with Dev(tmp_path, ENDPOINT.replace("SOUND", "hello-world"), "[::1]") as dev:
        assert f"The console: http://[::1]:{dev.console}/" in await dev.told()
        for command in (["dev"], ["simulate", f"http://127.0.0.1:{dev.port}/"]):
            second = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "hookrouter", *command, "--listen", f"[::1]:{dev.console}", stderr=asyncio.subprocess.PIPE
            )
            _, said = await asyncio.wait_for(second.communicate(), 30)
            assert f"--listen: another process has port {dev.console}: end it" in said.decode()


async def test_a_save_during_a_call_is_called_next(tmp_path: Path) -> None:
    """It is not lost."""
    asked = ENDPOINT.replace("        answer =", "        print('asked', flush=True)\n        answer =")
    async with Dev(tmp_path, asked.replace("SOUND", "hello-world")) as dev:
        await dev.told("asked")
        dev.file.write_text(ENDPOINT.replace("SOUND", "vm-goodbye"))
        assert "♪ sound:vm-goodbye" in await dev.told("All is well") + await dev.told("All is well")


async def test_a_program_that_ends_is_told_and_started_again_when_it_is_mended(tmp_path: Path) -> None:
    """At once, and nothing else is called in its place."""
    async with Dev(tmp_path, "raise SystemExit(3)") as dev:
        assert "--run: the program has ended with status 3" in await dev.told()
        dev.file.write_text(ENDPOINT.replace("SOUND", "vm-goodbye"))
        assert "All is well" in await dev.told()
