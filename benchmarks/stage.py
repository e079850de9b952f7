"""What a measurement needs around it: an Asterisk of our own, callers (SIPp), an endpoint, and who is measured.

Everything is on loopback, on ports that nobody uses; CPU is what /proc says of a process and its threads.
"""

from __future__ import annotations

import base64
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "hookrouter"
NODE_ROOT = CACHE / "node"
sys.path.insert(0, str(HERE.parent / "tests"))

from lab.asterisk import Asterisk, free_port  # noqa: E402
from lab.installing import ensure_mounted  # noqa: E402

_TICK = os.sysconf("SC_CLK_TCK")
TWO_EVENTS = ("StasisStart", "StasisEnd")


def cpu_seconds(pid: int) -> float:
    """CPU that a process has used so far, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def memory_bytes(pid: int) -> int:
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


def node_modules() -> bool:
    """Whether Node's rivals can run; installs what they need, once."""
    if not shutil.which("node") or not shutil.which("npm"):
        return False
    if not (NODE_ROOT / "node_modules/ari-client").exists():
        NODE_ROOT.mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "ari-client@2", "ws@8", "undici@7"]
        if subprocess.run(command, cwd=NODE_ROOT, check=False).returncode:
            return False
    return True


def asterisk_version(url: str) -> str:
    """As Asterisk tells it."""
    login = base64.b64encode(b"hookrouter:hookrouter").decode()
    request = urllib.request.Request(f"{url}/ari/asterisk/info?only=system", headers={"authorization": f"Basic {login}"})
    with urllib.request.urlopen(request, timeout=5) as reply:
        return str(json.load(reply)["system"]["version"])


def end(process: subprocess.Popen[Any] | None, patience: float = 6.0) -> None:
    """Ends one process of ours."""
    if process is None or process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Endpoint:
    """The webhook endpoint in a process of its own, and what it has been told."""

    def __init__(self) -> None:
        command = ["node", "endpoint.mjs"] if shutil.which("node") else [sys.executable, "endpoint.py"]
        self.process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}/"

    def ledger(self) -> dict[str, Any]:
        """What was delivered since the last time this was asked."""
        with urllib.request.urlopen(self.url, timeout=10) as reply:
            found: dict[str, Any] = json.load(reply)
            return found

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *_: object) -> None:
        end(self.process)


@dataclass
class Outcome:
    """What came of one load. Times in milliseconds, from INVITE to 200."""

    calls: int
    rate: float
    succeeded: int
    failed: int
    retransmissions: int
    waits: list[float]
    router: float = 0.0
    asterisk: float = 0.0
    ledger: dict[str, Any] = field(default_factory=dict)
    requests: dict[str, int] = field(default_factory=dict)

    def percentile(self, share: float) -> float:
        waits = sorted(self.waits)
        return waits[min(len(waits) - 1, int(len(waits) * share))] if waits else float("nan")

    @property
    def ours(self) -> float:
        """Milliseconds of CPU per call."""
        return self.router / self.calls * 1e3

    @property
    def theirs(self) -> float:
        return self.asterisk / self.calls * 1e3

    @property
    def ratio(self) -> float:
        return self.router / self.asterisk if self.asterisk else float("nan")  # less than a tick of the kernel's clock


def place_calls(asterisk: Asterisk, rate: float, calls: int, folder: Path) -> Outcome:
    """SIPp places `calls` calls, `rate` a second, and waits until each has been hung up."""
    for old in folder.glob("call_*"):
        old.unlink()
    shutil.copy(HERE / "call.xml", folder / "call.xml")
    command = [
        "sipp", f"127.0.0.1:{asterisk.sip_port}", "-sf", "call.xml", "-s", "1000", "-i", "127.0.0.1", "-mi", "127.0.0.1",
        "-p", str(free_port(2)), "-r", str(rate), "-m", str(calls), "-l", "4000", "-recv_timeout", "20000",
        "-timeout", str(int(calls / rate) + 40), "-trace_stat", "-fd", "1", "-trace_rtt", "-rtt_freq", "1",
        "-nostdin",
    ]  # fmt: skip
    done = subprocess.run(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False)
    rows = [path for path in folder.glob("call_*.csv") if not path.stem.endswith("_rtt")]
    if not rows:
        raise RuntimeError(f"SIPp ended with {done.returncode}: {done.stderr.decode()[-500:]}")
    with rows[0].open() as text:
        last = list(csv.DictReader(text, delimiter=";"))[-1]
    waits: list[float] = []
    for path in folder.glob("call_*_rtt.csv"):
        waits += [float(line.split(";")[1]) for line in path.read_text().splitlines()[1:] if line]
    succeeded, failed = int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"])
    return Outcome(calls, rate, succeeded, failed + calls - succeeded - failed, int(last["Retransmissions(C)"]), waits)


class Contestant:
    """Somebody who takes the calls: started, asked for nothing but its pid, ended."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self.log_file = log
        self.process: subprocess.Popen[bytes] | None = None
        self.start_seconds = 0.0

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        begun = time.monotonic()
        size = self.log_file.stat().st_size if self.log_file.exists() else 0
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                self._command, cwd=HERE, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {"NODE_ROOT": str(NODE_ROOT)} | self._environment,
            )  # fmt: skip
        while not self.is_up(size):
            if self.process.poll() is not None or time.monotonic() > begun + 20:
                raise RuntimeError(f"{self.name} did not start: {self.log_file.read_text()[-1500:]}")
            time.sleep(0.02)
        self.start_seconds = time.monotonic() - begun

    def is_up(self, since: int) -> bool:
        return b"up\n" in self.log_file.read_bytes()[since:]

    def settled(self) -> bool:
        """Whether nothing is under way any more."""
        return True

    def requests(self) -> dict[str, int]:
        """ARI requests that were answered with a 2xx, where it can tell."""
        return {}

    def stop(self) -> None:
        end(self.process)
        self.process = None


class Hookrouter(Contestant):
    """`hookrouter serve` with everything on: signature, journal (synchronous=FULL), metrics, logs at info to a file."""

    def __init__(
        self, ari: str, hook: str, folder: Path, events: tuple[str, ...], name: str = "hookrouter", second: str = "",
        store: str = "",
    ) -> None:  # fmt: skip
        """`second`: the URL of another Asterisk, in the same app. `store`: by default an SQLite file in the folder; in
        PostgreSQL the router is `name` among those that share it.
        """
        self.port = free_port()
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "routes.toml"
        asterisks = [("main", ari), *([("second", second)] if second else [])]
        group = f'[cluster]\nname = "{name}"\naddress = "http://127.0.0.1:{self.port}"\n' if store else ""
        login = 'username = "hookrouter"\npassword = "hookrouter"\napps = ["hookrouter"]\n'
        config.write_text(
            "".join(f'[asterisk.{name}]\nurl = "{url}"\n{login}' for name, url in asterisks)
            + group
            + f'[server]\nlisten = "127.0.0.1:{self.port}"\n'
            f'[[routes]]\nname = "bench"\nurl = "{hook}"\nevents = {json.dumps(list(events))}\n'
            f'secret = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"\n'
        )
        self.folder = folder
        store = store or f"sqlite:///{folder}/state.db"
        command = [sys.executable, "-m", "hookrouter", "serve", "-c", str(config), "--store", store]
        environment = {"HOOKROUTER_LOG": "json", "PYTHONPATH": str(HERE.parent), "PYTHONDONTWRITEBYTECODE": ""}
        super().__init__(name, command, environment, folder / "log")  # installed, its bytecode would be there as well

    def get(self, path: str) -> bytes:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as reply:
            content: bytes = reply.read()
            return content

    def is_up(self, since: int) -> bool:
        try:
            self.get("/readyz")
        except OSError:
            return False
        return True

    def state(self, asterisk: str) -> str:
        """`connected`, `standby`, …, as `/readyz` tells it; empty where nobody answers."""
        try:
            found = self.get("/readyz")
        except urllib.error.HTTPError as error:
            found = error.read()
        except OSError:
            return ""
        return str(json.loads(found)["asterisk"][asterisk])

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def metric(self, name: str) -> dict[str, float]:
        """The values of one metric by its labels."""
        found = {}
        for line in self.get("/metrics").decode().splitlines():
            if line.startswith((name + "{", name + " ")):
                labels, _, value = line.rpartition(" ")
                found[labels.removeprefix(name)] = float(value)
        return found

    def settled(self) -> bool:
        queue = self.metric("hookrouter_queue")
        return not any(value for labels, value in queue.items() if "calls" not in labels)

    def until_live(self, count: int, patience: float = 60.0) -> None:
        """Waits until so many calls are live, and each has its program."""
        end = time.monotonic() + patience
        while sum(self.metric("hookrouter_calls").values()) < count or not self.settled():
            if time.monotonic() > end:
                raise TimeoutError(self.get("/metrics").decode()[-2000:])
            time.sleep(0.1)

    def requests(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for labels, value in self.metric("hookrouter_ari_requests_total").items():
            operation, status = labels.split('"')[1], labels.split('"')[3]
            if status.startswith("2"):
                found[operation] = found.get(operation, 0) + int(value)
        return found


def load(asterisk: Asterisk, endpoint: Endpoint, contestant: Contestant, rate: float, calls: int, folder: Path) -> Outcome:
    """One load on a contestant that runs, with the CPU of both sides and what the endpoint was told."""
    endpoint.ledger()
    before, router, pbx = contestant.requests(), cpu_seconds(contestant.pid), cpu_seconds(asterisk.pid)
    outcome = place_calls(asterisk, rate, calls, folder)
    until = time.monotonic() + 5
    while not contestant.settled() and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.3)
    outcome.router = cpu_seconds(contestant.pid) - router
    outcome.asterisk = cpu_seconds(asterisk.pid) - pbx
    after = contestant.requests()
    outcome.requests = {name: count - before.get(name, 0) for name, count in after.items()}
    outcome.ledger = endpoint.ledger()
    return outcome


def contestants(ari: str, hook: str, folder: Path, *, node: bool) -> dict[str, Contestant]:
    """Everybody, by name; each for two runs: all events (`… all`) and StasisStart with StasisEnd (`… two`)."""
    found: dict[str, Contestant] = {}
    for kind, wanted in (("two", TWO_EVENTS), ("all", ())):
        environment = {"ARI": ari, "HOOK": hook, "WANTED": ",".join(wanted), "PYTHONPATH": str(HERE.parent)}
        for name in ("ordered_loop", "bare_loop", "hand_written_httpx"):
            command = [sys.executable, f"rivals/{name}.py"]
            found[f"{name} {kind}"] = Contestant(name, command, environment, folder / f"{name}.log")
        for name in ("node_bare_loop", "node_ari_client") if node else ():
            found[f"{name} {kind}"] = Contestant(name, ["node", f"rivals/{name}.mjs"], environment, folder / f"{name}.log")
        events = wanted or ("*",)
        found[f"hookrouter {kind}"] = Hookrouter(ari, hook, folder / f"hookrouter-{kind}", events)
    return found


__all__ = ["Asterisk", "ensure_mounted", "signal"]
