"""The samples and scenarios in every language, each started as its first lines say, with a free port and a secret of the tests."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from lab import node
from lab.asterisk import free_port

EXAMPLES = Path(__file__).parents[2] / "examples"
SECRET = "whsec_MTIzNDU2Nzg5MGFiY2RlZg=="
_GSON = "/usr/share/java/gson.jar"


def missing(what: str) -> None:
    """Fails under CI, skips elsewhere, with the remedy."""
    message = f"no {what} here; `make lab` installs it (root, Debian)"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


def node_packages() -> Path:
    found = node.installed()
    if found is None or not shutil.which("node"):
        missing("Node with its packages")
    assert found is not None
    return found


def with_packages(folder: Path, example: str) -> Path:
    """A copy of an example in Node, beside the packages that `npm install` would put there."""
    packages = node_packages()
    copy = folder / example
    shutil.copytree(EXAMPLES / example, copy)
    (copy / "node_modules").symlink_to(packages)
    return copy


def _python(port: int, folder: Path) -> list[str]:
    return [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES / "python"), "ivr:app", "--port", str(port)]


def _node(port: int, folder: Path) -> list[str]:
    return ["node", str(with_packages(folder, "node") / "ivr.mjs")]


def typescript(folder: Path) -> Path:
    """A copy of the sample with the types that `npm run types` makes."""
    copy = with_packages(folder, "typescript")
    document = subprocess.run([sys.executable, "-m", "hookrouter", "schema", "openapi"], check=True, capture_output=True)
    (copy / "hookrouter.json").write_bytes(document.stdout)
    _, _, options = json.loads((copy / "package.json").read_text())["scripts"]["types"].partition("openapi-typescript ")
    program = str(copy / "node_modules/openapi-typescript/bin/cli.js")
    subprocess.run(["node", program, *options.split()], cwd=copy, check=True, capture_output=True)
    return copy


def _typescript(port: int, folder: Path) -> list[str]:
    copy = typescript(folder)
    subprocess.run(["node", str(copy / "node_modules/typescript/bin/tsc")], cwd=copy, check=True, capture_output=True)
    return ["node", str(copy / "ivr.js")]


def _php(port: int, folder: Path) -> list[str]:
    return ["php", "-S", f"127.0.0.1:{port}", str(EXAMPLES / "php" / "ivr.php")]


def _go(port: int, folder: Path) -> list[str]:
    return ["go", "run", str(EXAMPLES / "go" / "ivr.go")]


def _ruby(port: int, folder: Path) -> list[str]:
    return ["ruby", str(EXAMPLES / "ruby" / "ivr.rb")]


def _java(port: int, folder: Path) -> list[str]:
    if not Path(_GSON).exists():
        missing("Gson (libgoogle-gson-java)")
    return ["java", "-cp", _GSON, str(EXAMPLES / "java" / "Ivr.java")]


def _shell(port: int, folder: Path) -> list[str]:
    return ["busybox", "httpd", "-f", "-p", f"127.0.0.1:{port}", "-h", str(EXAMPLES / "shell")]


def _node_red(port: int, folder: Path) -> list[str]:
    """Headless; the packages that the flow names are there, as Node-RED's own installation of them would leave them."""
    packages = node_packages()
    (folder / "node_modules").symlink_to(packages)
    (folder / "package.json").write_text('{"dependencies": {"standardwebhooks": "*"}}')
    shutil.copy(EXAMPLES / "node-red" / "flow.json", folder / "flow.json")
    settings = {"uiHost": "127.0.0.1", "uiPort": port, "httpAdminRoot": False, "credentialSecret": False}
    settings |= {"telemetry": {"enabled": False, "updateNotification": False}}
    (folder / "settings.js").write_text(f"module.exports = {json.dumps(settings)};")
    program = str(packages / "node-red" / "red.js")
    return ["node", program, "--userDir", str(folder), "--settings", str(folder / "settings.js"), str(folder / "flow.json")]


def _n8n(port: int, folder: Path) -> list[str]:
    """Not n8n itself: its nodes as tests/examples/n8n.mjs knows them. The secret of the route as plain text."""
    key = base64.b64decode(SECRET.removeprefix("whsec_")).decode()
    return ["node", str(Path(__file__).parent / "n8n.mjs"), str(EXAMPLES / "n8n" / "workflow.json"), str(port), key]


COMMANDS: dict[str, Callable[[int, Path], list[str]]] = {
    "python": _python, "node": _node, "php": _php, "go": _go, "ruby": _ruby, "java": _java, "shell": _shell,
    "typescript": _typescript, "node-red": _node_red, "n8n": _n8n,
}  # fmt: skip
PATHS = {"shell": "cgi-bin/ivr.sh", "node-red": "calls", "n8n": "webhook/calls"}
READY = {"node-red": "Started flows"}  # it takes connections before


@dataclass
class Served:
    """One of them, running."""

    language: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{PATHS.get(self.language, '')}"

    def wait(self, timeout: float = 60.0) -> Served:
        """Until it takes connections."""
        until = time.monotonic() + timeout
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as probe:
                taken = probe.connect_ex(("127.0.0.1", self.port)) == 0
            if taken and READY.get(self.language, "") in self.log.read_text():
                return self
            time.sleep(0.02)
        raise AssertionError(f"{self.language} takes no connections:\n{self.log.read_text()[-3000:]}")

    def stop(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)  # `go run` and busybox have children
        self.process.wait()


def serve(language: str, folder: Path) -> Served:
    """Starts the IVR; `wait` for it before the first request."""
    port = free_port()
    return start(language, COMMANDS[language](port, folder), port, folder, {})


def start(language: str, command: list[str], port: int, folder: Path, more: dict[str, str]) -> Served:
    """Starts a command, with `more` in its environment. Fails or skips where there is no such program."""
    if not shutil.which(command[0]):
        missing(command[0])
    log = folder / f"{language}.log"
    with log.open("wb") as output:
        environ = os.environ | {"HOOKROUTER_SECRET": SECRET, "PORT": str(port)} | more
        process = subprocess.Popen(
            command, env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    return Served(language, port, process, log)


SCENARIOS = EXAMPLES / "scenarios"
SUFFIXES = {"python": ".py", "php": "php/.php", "node": "node/.mjs"}
_SENDMAIL = f"{sys.executable} {Path(__file__).with_name('sendmail.py')}"


def scenario(language: str, name: str) -> Path:
    """Its file."""
    folder, _, ending = SUFFIXES[language].rpartition(".")
    return SCENARIOS / folder / f"{name}.{ending}"


def scenarios(language: str) -> set[str]:
    """The names of all of them."""
    return {path.stem for path in scenario(language, "").parent.glob(f"*.{SUFFIXES[language].rpartition('.')[2]}")} - {"webhook"}


def routes_of(path: Path) -> str:
    """The tables at a scenario's top."""
    lines = (line.removeprefix("//").removeprefix(" ") if line.startswith("//") else line for line in path.read_text().splitlines())
    blocks = re.findall(r"^( +\[\[routes\]\]\n(?: +.*\n)+)", "\n".join(lines), re.MULTILINE)
    assert blocks, path
    return "\n".join(textwrap.dedent(block) for block in blocks)


def serve_scenario(language: str, name: str, folder: Path, port: int = 0, **settings: str) -> Served:
    """Starts one of examples/scenarios with its settings (environment variables); `wait` for it before the first request.

    Mail goes to the server that SMTP names, in each language.
    """
    port = port or free_port()
    path = scenario(language, name)
    if language == "node":
        path = with_packages(folder, "scenarios/node") / path.name
    command = {
        "python": [sys.executable, "-m", "uvicorn", "--app-dir", str(SCENARIOS), f"{name}:app", "--port", str(port)],
        "php": ["php", "-d", f"sendmail_path={_SENDMAIL}", "-S", f"127.0.0.1:{port}", str(path)],
        "node": ["node", str(path)],
    }[language]
    return start(language, command, port, folder, settings | {"SENDMAIL": _SENDMAIL})
