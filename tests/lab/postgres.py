"""Private PostgreSQL clusters for tests: from the distribution's packages, on free ports, never as root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from lab.asterisk import free_port

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "40",
    "shared_buffers": "16MB",
    "autovacuum_naptime": "5s",
}


def program(name: str) -> str:
    """Where it is; where there is none, the test is skipped, and fails under CI."""
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), key=lambda path: int(path.parts[4]))
    found = str(places[-1]) if places else shutil.which(name)
    if found is None:
        message = f"no PostgreSQL: `{name}` is missing (`make lab` installs it)"
        pytest.fail(message) if os.environ.get("CI") else pytest.skip(message)
    return found


class Cluster:
    """One server with its files; its superuser, `tester`, needs no password. `of`: the port of the server whose standby it is,
    asynchronous, until it is promoted.
    """

    def __init__(self, of: int = 0) -> None:
        self.place = Path(tempfile.mkdtemp(prefix="hookrouter-postgres-"))
        self.port = free_port()
        self.url = f"postgresql://tester@127.0.0.1:{self.port}/postgres"
        self._user = _user()
        if self._user is not None:
            shutil.chown(self.place, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        if of:
            there = ("-h", "127.0.0.1", "-p", str(of), "-U", "tester")
            self._run(program("pg_basebackup"), "-D", str(self.data), *there, "-R", "-X", "stream", "-c", "fast")
            return
        self._run(program("initdb"), "-D", str(self.data), "-U", "tester", "-A", "trust", "-N", "-E", "UTF8", "--locale=C")

    @property
    def data(self) -> Path:
        return self.place / "data"

    def _run(self, *command: str) -> None:
        done = subprocess.run(command, cwd="/", user=self._user, capture_output=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr.decode()

    def start(self) -> None:
        """Takes connections when this returns."""
        options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        command = [program("postgres"), "-D", str(self.data), "-p", str(self.port), *options]
        log = self.place / "log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(command, cwd="/", user=self._user, stdout=output, stderr=output)
        until = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.url, connect_timeout=2).close()
                return
            except psycopg.OperationalError:
                assert self._process.poll() is None, log.read_text()
                assert time.monotonic() < until, log.read_text()
                time.sleep(0.02)

    def promote(self) -> None:
        """It is nobody's standby any more, and takes writes when this returns."""
        assert self.execute("SELECT pg_promote()") == [(True,)]

    def send(self, number: int) -> None:
        assert self._process is not None
        os.kill(self._process.pid, number)

    def send_to_all(self, number: int) -> None:
        """The server and the processes of its sessions, as a machine that stands still."""
        assert self._process is not None
        mother = self._process.pid
        children = Path(f"/proc/{mother}/task/{mother}/children").read_text().split()
        for pid in (mother, *map(int, children)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def cpu_seconds(self) -> float:
        """CPU that the server and its sessions of now have used."""
        assert self._process is not None
        mother = self._process.pid
        children = Path(f"/proc/{mother}/task/{mother}/children").read_text().split()
        ticks = 0
        for pid in (str(mother), *children):
            with contextlib.suppress(FileNotFoundError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def end(self, number: int = signal.SIGQUIT) -> None:
        """By SIGINT fast, SIGQUIT at once, SIGKILL as if the power failed; returns when all of it has gone."""
        process, self._process = self._process, None
        if process is None:
            return
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        process.send_signal(number)
        process.wait(30)
        if number == signal.SIGKILL:
            for pid in map(int, children):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGQUIT)
        until = time.monotonic() + 30
        while any(Path(f"/proc/{pid}").exists() for pid in children):
            assert time.monotonic() < until
            time.sleep(0.01)

    def database(self) -> str:
        """The address of a new one."""
        self._databases += 1
        name = f"test{self._databases}"
        self.execute(f"CREATE DATABASE {name}")
        return f"postgresql://tester@127.0.0.1:{self.port}/{name}"

    def execute(self, statement: str, url: str = "") -> list[tuple[object, ...]]:
        with psycopg.connect(url or self.url, autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def remove(self) -> None:
        self.end()
        shutil.rmtree(self.place, ignore_errors=True)


def _user() -> str | None:
    """Whom the server runs as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@contextlib.contextmanager
def cluster(of: int = 0) -> Iterator[Cluster]:
    """A server that runs, and goes afterwards with all its files; see `Cluster`."""
    made = Cluster(of)
    try:
        made.start()
        yield made
    finally:
        made.remove()
