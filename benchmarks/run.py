"""Rivals and hookrouter in turn on one real Asterisk: is Asterisk the bottleneck?   python -m benchmarks.run [--quick]

Everything is on: signatures, order, the journal on SQLite with synchronous=FULL, metrics, logs at info. Figures are CPU per
call and ratios within this run; each load ends with the ledger: every event delivered once and in order, every action done
once. Writes docs/performance.md and the plots beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.held import Callers
from benchmarks.profile import Profile, Recording, can_record
from benchmarks.report import Goal, write_report
from benchmarks.stage import (
    TWO_EVENTS,
    Asterisk,
    Contestant,
    Endpoint,
    Hookrouter,
    Outcome,
    asterisk_version,
    contestants,
    ensure_mounted,
    load,
    memory_bytes,
    node_modules,
)

HERE = Path(__file__).parent
RATES = (10, 50, 100, 200)
HELD = 2000


@dataclass
class Results:
    """All that was measured; the lists are rounds."""

    rivals: dict[str, list[Outcome]] = field(default_factory=dict)
    rates: dict[str, dict[float, list[Outcome]]] = field(default_factory=dict)
    burst: Outcome | None = None
    start_seconds: list[float] = field(default_factory=list)
    memory: list[tuple[int, int]] = field(default_factory=list)
    cost_with_none: list[float] = field(default_factory=list)
    cost_with_held: list[float] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    profile: Profile | None = None
    micro: dict[str, float] = field(default_factory=dict)


def check(outcome: Outcome, name: str, *, all_events: bool, ours: bool) -> list[str]:
    """The ledger of one load: what is not as it must be."""
    counts, calls, told = outcome.ledger["counts"], outcome.succeeded, []
    if ours:
        for type in TWO_EVENTS:
            if counts.get(type, 0) != calls:
                told.append(f"{name}: {counts.get(type, 0)} {type} delivered for {calls} calls")
        for what in ("repeated", "disordered"):
            if outcome.ledger[what]:
                told.append(f"{name}: {outcome.ledger[what]} deliveries {what}")
        for operation in ("channels.answer", "channels.hangup"):
            if outcome.requests.get(operation, 0) != calls:
                told.append(f"{name}: {outcome.requests.get(operation, 0)} times {operation} for {calls} calls")
        if all_events and sum(counts.values()) < 9 * calls:
            told.append(f"{name}: {sum(counts.values())} events delivered for {calls} calls")
    return told


class Bench:
    """One run: an Asterisk, an endpoint, and a folder on a real disk."""

    def __init__(self, asterisk: Asterisk, endpoint: Endpoint, room: Path, *, quick: bool, rounds: int) -> None:
        self.asterisk, self.endpoint, self.room, self.quick = asterisk, endpoint, room, quick
        self.results = Results()
        self.rounds = 1 if quick else rounds

    def measure(self, contestant: Contestant, label: str, rate: float, calls: int) -> Outcome:
        outcome = load(self.asterisk, self.endpoint, contestant, rate, calls, self.room)
        ours = isinstance(contestant, Hookrouter)
        self.results.faults += check(outcome, f"{label} at {rate:g}/s", all_events=label.endswith(" all"), ours=ours)
        print(f"{label:24} {rate:4.0f}/s {outcome.ours:6.2f} ms / {outcome.theirs:5.2f} ms = {outcome.ratio:5.2f}   "
              f"answered p50 {outcome.percentile(0.5):5.1f}  p99 {outcome.percentile(0.99):6.1f} ms   failed {outcome.failed}",
              flush=True)  # fmt: skip
        return outcome

    def once(self, contestant: Contestant, label: str, rate: float, calls: int) -> Outcome:
        """Started for this load alone, with some calls to warm up."""
        contestant.start()
        try:
            load(self.asterisk, self.endpoint, contestant, rate, 50, self.room)
            return self.measure(contestant, label, rate, calls)
        finally:
            contestant.stop()

    def rivals(self) -> None:
        """Everybody in turn at 50 calls a second, several rounds."""
        everybody = contestants(self.asterisk.url, self.endpoint.url, self.room, node=node_modules())
        for number in range(self.rounds):
            for label, contestant in everybody.items():
                if label.startswith("hand_written") and number:
                    continue  # it takes minutes of CPU and says the same each time
                outcome = self.once(contestant, label, 50, 200 if self.quick else 500)
                self.results.rivals.setdefault(label, []).append(outcome)

    def rates(self) -> None:
        """The cost of a call from quiet to busy, beside the floor's."""
        for _ in range(min(self.rounds, 2)):
            everybody = contestants(self.asterisk.url, self.endpoint.url, self.room, node=False)
            for label in ("ordered_loop two", "hookrouter two", "ordered_loop all", "hookrouter all"):
                for rate in RATES:
                    outcome = self.once(everybody[label], label, rate, int(rate * (2 if self.quick else 8)))
                    self.results.rates.setdefault(label, {}).setdefault(rate, []).append(outcome)

    def burst(self) -> None:
        """200 calls a second for half a minute."""
        everybody = contestants(self.asterisk.url, self.endpoint.url, self.room, node=False)
        self.results.burst = self.once(everybody["hookrouter two"], "hookrouter two", 200, 1000 if self.quick else 6000)

    def start(self) -> None:
        """From nothing to the first call's answer, with an empty journal."""
        for number in range(1 if self.quick else 5):
            hookrouter = Hookrouter(self.asterisk.url, self.endpoint.url, self.room / f"cold{number}", TWO_EVENTS)
            hookrouter.start()
            first = self.measure(hookrouter, "the first call", 1, 1)
            self.results.start_seconds.append(hookrouter.start_seconds + first.percentile(0.5) / 1e3)
            hookrouter.stop()
        print(f"cold start {statistics.median(self.results.start_seconds):.2f} s", flush=True)

    def profile(self) -> None:
        """Where the router's time goes while every event is routed."""
        if not can_record():
            print("no py-spy, no profile", flush=True)
            return
        hookrouter = contestants(self.asterisk.url, self.endpoint.url, self.room, node=False)["hookrouter all"]
        hookrouter.start()
        try:
            load(self.asterisk, self.endpoint, hookrouter, 50, 50, self.room)
            recording = Recording(hookrouter.pid, self.room / "profile")
            load(self.asterisk, self.endpoint, hookrouter, 100, 500 if self.quick else 2000, self.room)
            self.results.profile = recording.stop()
        finally:
            hookrouter.stop()
        for room, count in self.results.profile.rooms.most_common():
            print(f"{self.results.profile.share(count):5.1f} %  {room}", flush=True)

    def micro(self) -> None:
        """Each step of the hot path by itself; medians in microseconds."""
        path = self.room / "micro.json"
        command = [sys.executable, "-m", "pytest", "benchmarks/micro", "--benchmark-only", f"--benchmark-json={path}"]
        subprocess.run([*command, "-p", "no:cacheprovider"], cwd=HERE.parent, stdout=subprocess.DEVNULL, check=True)
        for found in json.loads(path.read_text())["benchmarks"]:
            name = found["name"].removeprefix("test_").replace("_", " ")
            self.results.micro[name] = found["stats"]["median"] * 1e6
            print(f"{self.results.micro[name]:8.1f} µs  {name}", flush=True)

    def held(self) -> None:
        """Memory with calls live, and what a new call costs beside them. The live ones are on a simulated Asterisk."""
        with Callers() as callers:
            hookrouter = Hookrouter(self.asterisk.url, self.endpoint.url, self.room / "held", TWO_EVENTS, second=callers.url)
            hookrouter.start()
            try:
                load(self.asterisk, self.endpoint, hookrouter, 50, 100, self.room)
                for count in range(0, HELD + 1, HELD // 4):
                    if count:
                        callers.call(HELD // 4)
                        hookrouter.until_live(count)
                    self._beside(hookrouter, count)
            finally:
                hookrouter.stop()

    def _beside(self, hookrouter: Hookrouter, count: int) -> None:
        self.results.memory.append((count, memory_bytes(hookrouter.pid)))
        print(f"{count} calls live: {memory_bytes(hookrouter.pid) / 1e6:.1f} MB", flush=True)
        if count in (0, HELD):
            costs = self.results.cost_with_held if count else self.results.cost_with_none
            for _ in range(self.rounds):
                outcome = self.measure(hookrouter, f"beside {count} live", 50, 200 if self.quick else 500)
                costs.append(outcome.ratio)


def middle(outcomes: list[Outcome], figure: Callable[[Outcome], float]) -> float:
    return statistics.median(map(figure, outcomes))


def goals(results: Results) -> list[Goal]:
    """What was promised, what was measured, whether it holds."""
    found: list[Goal] = []
    if results.rivals:
        ratio = {label: middle(outcomes, lambda o: o.ratio) for label, outcomes in results.rivals.items()}
        two, every = ratio["hookrouter two"], ratio["hookrouter all"]
        found.append(Goal("two events routed: our CPU / Asterisk's", two, 0.8))
        found.append(Goal("all events routed: our CPU / Asterisk's", every, 1.25))
        if "node_ari_client all" in ratio:
            found.append(Goal("all events routed, beside node_ari_client.mjs", every / ratio["node_ari_client all"], 0.38))
    if results.burst is not None:
        found.append(Goal("200 calls a second for 30 s: failed calls", float(results.burst.failed), 0))
        found.append(Goal("200 calls a second for 30 s: answered, p50 in ms", results.burst.percentile(0.5), 3))
        found.append(Goal("200 calls a second for 30 s: answered, p99 in ms", results.burst.percentile(0.99), 10))
    if results.memory:
        count, bytes = results.memory[-1]
        found.append(Goal(f"memory with {count} calls live, in MB", bytes / 1e6, 100 + count * 20e3 / 1e6))
        beside = statistics.median(results.cost_with_held) / statistics.median(results.cost_with_none)
        found.append(Goal(f"a new call beside {count} live ones, against beside none", beside, 1.2))
    if results.rates:
        costs = [middle(outcomes, lambda o: o.ours) for outcomes in results.rates["hookrouter two"].values()]
        found.append(Goal("dearer as it gets busier: a call at 200 calls/s, against at 10", costs[-1] / costs[0], 1.0))
    if results.start_seconds:
        found.append(Goal("cold start until the first call is answered, in s", statistics.median(results.start_seconds), 1.0))
    return found


PARTS = ("rivals", "rates", "burst", "start", "held", "profile", "micro")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="short loads, one round; writes no report")
    parser.add_argument("--only", action="append", choices=PARTS, help="one part; may be repeated; writes no report")
    parser.add_argument("--rounds", type=int, default=3, help="how often each load is repeated; medians count")
    options = parser.parse_args()
    ensure_mounted()
    with (
        tempfile.TemporaryDirectory(dir=HERE.parent, prefix=".bench-") as room,
        Endpoint() as endpoint, Asterisk() as asterisk,
    ):  # fmt: skip
        bench = Bench(asterisk, endpoint, Path(room), quick=options.quick, rounds=options.rounds)
        for part in options.only or PARTS:
            getattr(bench, part)()
        version = asterisk_version(asterisk.url)
    results = bench.results
    held = goals(results)
    for goal in held:
        print(goal)
    for fault in results.faults:
        print(f"LEDGER: {fault}")
    if not options.quick and not options.only:
        write_report(results, held, version)
    if results.faults:
        sys.exit(f"the ledger does not balance: {json.dumps(results.faults)}")


if __name__ == "__main__":
    main()
