"""Several routers on PostgreSQL: beside one on SQLite, and when one dies.   python -m benchmarks.cluster [--only PART]

What one call costs with the journal in PostgreSQL, here and 2 ms away; how long until another router has all calls of one that
was killed; what 10,000 live calls take; and two routers beside one on two Asterisks. Writes its part of docs/performance.md.
"""

from __future__ import annotations

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from benchmarks.held import Callers
from benchmarks.report import Goal, goal_rows, machine, put
from benchmarks.stage import (
    TWO_EVENTS,
    Asterisk,
    Endpoint,
    Hookrouter,
    Outcome,
    asterisk_version,
    cpu_seconds,
    end,
    ensure_mounted,
    load,
    memory_bytes,
    place_calls,
)

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from lab.postgres import Cluster, cluster

MARKS = ("<!-- several routers -->", "<!-- /several routers -->")
STORES = ("SQLite", "PostgreSQL", "PostgreSQL, 2 ms away")
LOADS = (("two", 50, 500), ("all", 50, 500), ("two", 200, 1600))
QUICK = 50  # calls of each load
TAKEN = (100, 1_000, 5_000, 10_000)
HELD = 10_000
IDLE = 10.0
GIVE = "UPDATE hookrouter.leases SET released = true WHERE entry = 'second'"


@dataclass
class Results:
    """All that was measured; the lists are rounds. Seconds, bytes."""

    stores: dict[tuple[str, str, float], list[Outcome]] = field(default_factory=dict)
    server: dict[tuple[str, str, float], list[float]] = field(default_factory=dict)
    taken: dict[int, tuple[float, float]] = field(default_factory=dict)
    held: list[int] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    alone: list[Outcome] = field(default_factory=list)
    shared: list[Outcome] = field(default_factory=list)


class Bench:
    """One run: a database, an endpoint, and a folder on a real disk."""

    def __init__(self, database: Cluster, endpoint: Endpoint, room: Path, rounds: int, quick: bool) -> None:
        self.database, self.endpoint, self.room = database, endpoint, room
        self.rounds, self.quick = (1 if quick else rounds), quick
        self.results = Results()
        self.version = ""

    def router(self, ari: str, name: str, store: str, events: tuple[str, ...] = TWO_EVENTS, second: str = "") -> Hookrouter:
        folder = Path(tempfile.mkdtemp(dir=self.room))
        return Hookrouter(ari, self.endpoint.url, folder, events, name, second, store=store)

    # ---- what a call costs

    def stores(self) -> None:
        """The same loads with the journal in SQLite, in PostgreSQL, and in one that is 2 ms away, in turn."""
        with Asterisk() as asterisk, far(self.database.port, 2.0) as port:
            self.version = asterisk_version(asterisk.url)
            for _ in range(self.rounds):
                for label in STORES:
                    for kind, rate, calls in LOADS:
                        store = "" if label == "SQLite" else self.database.database()
                        if label == STORES[2]:
                            store = store.replace(f":{self.database.port}/", f":{port}/")
                        router = self.router(asterisk.url, "a", store, TWO_EVENTS if kind == "two" else ("*",))
                        self._one(asterisk, router, (label, kind, rate), calls)

    def _one(self, asterisk: Asterisk, router: Hookrouter, key: tuple[str, str, float], calls: int) -> None:
        router.start()
        try:
            load(asterisk, self.endpoint, router, key[2], 50, self.room)
            server = self.database.cpu_seconds()
            outcome = load(asterisk, self.endpoint, router, key[2], QUICK if self.quick else calls, self.room)
            server = (self.database.cpu_seconds() - server) / outcome.calls * 1e3
        finally:
            router.stop()
        self.results.stores.setdefault(key, []).append(outcome)
        self.results.server.setdefault(key, []).append(server)
        print(f"{key[0]:22} {key[1]} {key[2]:4.0f}/s {outcome.ours:6.2f} ms, PostgreSQL {server:5.2f} ms   answered p50 "
              f"{outcome.percentile(0.5):5.1f}  p99 {outcome.percentile(0.99):6.1f} ms   failed {outcome.failed}",
              flush=True)  # fmt: skip

    # ---- when one dies

    def taken(self) -> None:
        """The owner is killed with so many calls live, on a simulated Asterisk; from then until the other one has them all."""
        store = self.database.database()
        with Callers() as callers:
            owner, other = (self.router(callers.url, name, store) for name in ("a", "b"))
            owner.start()
            other.start()
            try:
                live = 0
                for count in TAKEN[:1] if self.quick else TAKEN:
                    callers.call(count - live)
                    live = count
                    owner.until_live(count, patience=300)
                    size = other.log_file.stat().st_size
                    killed = time.time()
                    owner.kill()
                    while other.state("main") != "connected":
                        time.sleep(0.02)
                    looked = time.time() - killed
                    self.results.taken[count] = (taken_at(other, size) - killed, looked)
                    print(f"{count} calls: taken after {self.results.taken[count][0]:.2f} s, all looked at after {looked:.2f} s",
                          flush=True)  # fmt: skip
                    assert sum(other.metric("hookrouter_calls").values()) == count
                    owner.start()
                    owner, other = other, owner
            finally:
                owner.stop()
                other.stop()

    # ---- many live calls

    def held(self) -> None:
        """10,000 live calls over two simulated Asterisks, a router each: memory, and CPU while nothing happens."""
        store, count = self.database.database(), QUICK if self.quick else HELD
        with Callers() as first, Callers() as second:
            a, b = (self.router(first.url, name, store, second=second.url) for name in ("a", "b"))
            with self._two(a, b, store):
                for callers in (first, second):
                    callers.call(count // 2)
                for router in (a, b):
                    router.until_live(count // 2, patience=300)
                before = [cpu_seconds(router.pid) for router in (a, b)]
                time.sleep(IDLE)
                self.results.idle = [(cpu_seconds(router.pid) - used) / IDLE for router, used in zip((a, b), before, strict=True)]
                self.results.held = [memory_bytes(router.pid) for router in (a, b)]
        print(f"{count} calls: {' + '.join(f'{size / 1e6:.1f}' for size in self.results.held)} MB, "
              f"at rest {' + '.join(f'{share:.1%}' for share in self.results.idle)} of a core", flush=True)  # fmt: skip

    @contextmanager
    def _two(self, a: Hookrouter, b: Hookrouter, store: str) -> Iterator[None]:
        """Both run, and own an Asterisk each: `a` the first."""
        a.start()
        try:
            b.start()
            while b.state("second") != "connected":
                if a.state("second") == "connected":
                    self.database.execute(GIVE, store)
                time.sleep(0.1)
            yield
        finally:
            a.stop()
            b.stop()

    # ---- two routers beside one

    def two(self) -> None:
        """50 calls a second for a router: by one for two real Asterisks, and by one for each."""
        with Asterisk() as first, Asterisk() as second:
            for _ in range(self.rounds):
                for count in (1, 2):
                    store = self.database.database()
                    a, b = (self.router(first.url, name, store, second=second.url) for name in ("a", "b"))
                    if count == 2:
                        with self._two(a, b, store):
                            self.results.shared.append(self._both(first, second, [a, b]))
                    else:
                        a.start()
                        try:
                            self.results.alone.append(self._both(first, second, [a]))
                        finally:
                            a.stop()

    def _both(self, first: Asterisk, second: Asterisk, routers: list[Hookrouter]) -> Outcome:
        def place(rate: float, calls: int) -> list[Outcome]:
            folders = [Path(tempfile.mkdtemp(dir=self.room)) for _ in range(2)]
            with ThreadPoolExecutor(2) as pool:
                return list(pool.map(place_calls, (first, second), (rate, rate), (calls, calls), folders))

        rate = 25 * len(routers)
        place(rate, 50)
        before = [cpu_seconds(router.pid) for router in routers]
        one, other = place(rate, QUICK if self.quick else 500)
        used = sum(cpu_seconds(router.pid) for router in routers) - sum(before)
        both = Outcome(one.calls + other.calls, 2 * rate, one.succeeded + other.succeeded, one.failed + other.failed,
                       one.retransmissions + other.retransmissions, one.waits + other.waits, router=used)  # fmt: skip
        print(f"two Asterisks, {len(routers)} router(s): {both.ours:.2f} ms a call, p50 {both.percentile(0.5):.1f}, "
              f"p99 {both.percentile(0.99):.1f} ms, failed {both.failed}", flush=True)  # fmt: skip
        return both


def taken_at(router: Hookrouter, since: int) -> float:
    """When its log says that it has taken the Asterisk, in seconds since the epoch; the lines of a moment are written together."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        found = re.search(r'^.*"entry.taken".*"main".*$', router.log_file.read_text()[since:], re.MULTILINE)
        if found is not None:
            return datetime.fromisoformat(json.loads(found.group(0))["timestamp"]).timestamp()
        time.sleep(0.02)
    raise TimeoutError(router.log_file.read_text()[since:])


@contextmanager
def far(port: int, milliseconds: float) -> Iterator[int]:
    """A port that leads to `port`, and there and back takes so long more."""
    command = [sys.executable, "-m", "benchmarks.delay", str(port), str(milliseconds)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        end(process)


def middle(outcomes: list[Outcome], figure: str) -> float:
    return statistics.median(getattr(outcome, figure) for outcome in outcomes)


def p99(outcomes: list[Outcome]) -> float:
    return statistics.median(outcome.percentile(0.99) for outcome in outcomes)


def goals(results: Results) -> list[Goal]:
    """What was promised, what was measured, whether it holds."""
    found: list[Goal] = []
    for kind, rate, _ in LOADS:
        if results.stores:
            sqlite, postgres = (middle(results.stores[store, kind, rate], "ours") for store in STORES[:2])
            found.append(Goal(f"{kind}, {rate} calls a second: a router's CPU on PostgreSQL / on SQLite", postgres / sqlite, 1.1))
    if results.held:
        found.append(Goal(f"memory of two routers with {HELD} calls live, in MB", sum(results.held) / 1e6, 100 + HELD * 20e3 / 1e6))
    if results.alone:
        share = middle(results.shared, "ours") / middle(results.alone, "ours")
        found.append(Goal("a call's CPU with two routers, 50 calls a second each, against one with 50 a second", share, 2 / 1.8))
    return found


def report(results: Results, held: list[Goal], version: str) -> str:
    rows = ["| journal | events, calls a second | router's CPU a call | PostgreSQL's | answered p50 | p99 | failed |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    for (store, kind, rate), outcomes in results.stores.items():
        server = statistics.median(results.server[store, kind, rate])
        rows.append(
            f"| {store} | {kind}, {rate:g} | {middle(outcomes, 'ours'):.2f} ms | {f'{server:.2f} ms' if store != 'SQLite' else ''} "
            f"| {statistics.median(o.percentile(0.5) for o in outcomes):.0f} ms | {p99(outcomes):.0f} ms "
            f"| {sum(o.failed for o in outcomes)} of {sum(o.calls for o in outcomes)} |"
        )
    taken = [f"| {count} | {row:.2f} s | {looked:.2f} s |" for count, (row, looked) in results.taken.items()]
    lone, both = middle(results.alone, "ours"), middle(results.shared, "ours")
    sizes = " + ".join(f"{size / 1e6:.0f}" for size in results.held)
    rest = " and ".join(f"{share:.1%}" for share in results.idle)
    return "\n".join([
        "", f"Measured by `make bench-cluster` on {machine(version)}; PostgreSQL on the same machine.", "",
        *goal_rows(held), "",
        *rows, "",
        "The owner was killed with so many calls live on a simulated Asterisk. Seconds from the kill:", "",
        "| live calls | another router owns them and has read them | it is connected, has looked at each, and goes on |",
        "|---|---|---|",
        *taken, "",
        f"{HELD} live calls over two simulated Asterisks, a router each: {sizes} MB. While nothing happened the two took {rest} "
        "of a core.", "",
        f"Two real Asterisks: one router for both, with 50 calls a second, took {lone:.2f} ms of CPU a call (p99 "
        f"{p99(results.alone):.0f} ms), two routers with 50 a second each {both:.2f} ms (p99 {p99(results.shared):.0f} ms). "
        f"A router uses one core, so two of them carry {2 * lone / both:.1f} times the calls where there are cores for them; here "
        "they share two with both Asterisks, PostgreSQL and the callers, and cannot show it.", "",
    ])  # fmt: skip


PARTS = ("stores", "taken", "held", "two")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be repeated; writes no report")
    parser.add_argument("--quick", action="store_true", help="few calls, one round; writes no report")
    parser.add_argument("--rounds", type=int, default=2, help="how often each load is repeated; medians count")
    options = parser.parse_args()
    ensure_mounted()
    with ExitStack() as stack:
        database = stack.enter_context(cluster())
        endpoint = stack.enter_context(Endpoint())
        room = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=Path.home(), prefix=".bench-")))
        bench = Bench(database, endpoint, room, options.rounds, options.quick)
        for part in options.only or PARTS:
            getattr(bench, part)()
    held = goals(bench.results)
    for goal in held:
        print(goal)
    if not options.only and not options.quick:
        put(report(bench.results, held, bench.version), *MARKS)


if __name__ == "__main__":
    main()
