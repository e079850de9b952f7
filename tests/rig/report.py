"""The table of docs/reliability.md, written by the run that measured it."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from lab.installing import installed, version

FAULTS = {
    1: "the endpoint refuses connections",
    2: "the endpoint accepts and never ends its answer",
    3: "an answer of 1 GB, a gzip bomb, JSON nested 100,000 deep",
    4: "every status from 100 to 599, a malformed status line",
    5: "the answer is lost after the endpoint has acted",
    6: "the answer comes after the deadline",
    7: "the caller hangs up at any moment",
    8: "the reply to an ARI request is lost, but it was carried out",
    9: "`kill -9` of the router at any moment",
    10: "SIGTERM under live calls, a new version starts",
    11: "the socket to Asterisk is gone, or half open",
    12: "Asterisk is killed and started in mid-call",
    13: "another client takes the app",
    14: "the disk is full or read-only, the store is locked",
    15: "many notify events wait, and the endpoint comes back",
    16: "one dead endpoint among many",
    17: "secrets are rotated under load",
    18: "routes.toml is edited under load",
    19: "a burst of events, a burst of calls",
    20: "a soak with 1, 9, 11 and 12 at random",
    21: "`kill -9` of the router that owns the Asterisk, others stand by",
    22: "the owner stands still (SIGSTOP), another takes over, the owner goes on",
    23: "the owner stands still, its clock tells nothing of it, another takes over, the owner goes on",
    24: "`kill -9` of one of two Asterisks",
    25: "the database of several routers goes and comes back",
    26: "the database dies, and an asynchronous standby that lags takes its place",
    27: "the owner is cut off from the database, another router is not",
    28: "the owner is cut off from its Asterisk, another router is not",
    29: "the routers are cut off from each other",
    30: "the owner is cut off from all but its Asterisk",
    31: "SIGTERM of the owner under load, another goes on; a rolling upgrade",
    32: "one call is asked for at several routers at once",
    33: "actions and hangups go to whichever router",
    34: "the owner is killed while it drains many notify events, of which another one drains a part",
    36: "a soak of several routers with 21 to 31 at random",
    35: "a session holds a snapshot of the database (idle, REPEATABLE READ) under load",
    37: "an Asterisk is handed over to another router by the command",
}
_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"
_ROW = re.compile(r"^\| (\d+) \| .*? \| (.*) \| (\S+, \d+) \| `(.*)` \|$", re.M)

Rows = Mapping[tuple[int, str], str]


def write(path: Path, rows: Rows, run: str, failed: Collection[str] = ()) -> None:
    """Rows of other tests stay, those of `failed` go. Where most of the table was measured on another machine or Asterisk, a
    few rows say where they are of, and many replace it.
    """
    head, rest = path.read_text().split(_BEGIN)
    old, tail = rest.split(_END)
    place = where()
    found = {(int(row[1]), row[4]): (row[2], row[3]) for row in _ROW.finditer(old)}
    of = old.strip().partition("\n")[0]
    if place != of and len(rows) > len(found) / 2:
        found = {}
    elif place != of:
        rows = {key: f"{text} (on another machine: {place.removesuffix('.')})" for key, text in rows.items()}
        place = of
    found |= {key: (text, run) for key, text in rows.items()}
    lines = [
        f"| {fault} | {FAULTS[fault]} | {text} | {when} | `{test}` |"
        for (fault, test), (text, when) in sorted(found.items()) if test not in failed
    ]  # fmt: skip
    table = ["| # | fault | measured | day, seed | test |", "|---|---|---|---|---|", *lines]
    path.write_text(f"{head}{_BEGIN}\n{place}\n\n" + "\n".join(table) + f"\n{_END}{tail}")


def where() -> str:
    """The machine, Asterisk and Python that the rows are of."""
    cpu = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    root = installed()
    assert root is not None
    return f"Asterisk {version(root)}, Python {platform.python_version()}, {os.cpu_count()} × {cpu[1] if cpu else platform.machine()}."
