"""docs/performance.md and its plots, from one run."""

from __future__ import annotations

import os
import platform
import sqlite3
import statistics
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from benchmarks.run import Results
    from benchmarks.stage import Outcome

DOCS = Path(__file__).parents[1] / "docs"
BEGIN, END = "<!-- measured -->", "<!-- /measured -->"


class Goal(NamedTuple):
    """One promise; it holds where what was measured is at most the limit."""

    what: str
    measured: float
    limit: float

    @property
    def holds(self) -> bool:
        return self.measured <= self.limit

    def __str__(self) -> str:
        return f"{'holds' if self.holds else 'MISSED':7} {self.what}: {self.measured:.2f} (at most {self.limit:g})"


def machine(version: str) -> str:
    """What it ran on, in a sentence."""
    cpu = next((line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                if line.startswith("model name")), platform.machine())  # fmt: skip
    optimised = "enable-optimizations" in str(sysconfig.get_config_var("CONFIG_ARGS"))
    built = "the distribution's" if sys.base_prefix == "/usr" else "built with PGO" if optimised else "built without PGO"
    python = f"Python {platform.python_version()} ({built}), SQLite {sqlite3.sqlite_version}"
    kernel = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"{os.cpu_count()} cores of {cpu}, {kernel}, {python}, Asterisk {version}"


def _middle(outcomes: list[Outcome], figure: str) -> float:
    return statistics.median(getattr(outcome, figure) for outcome in outcomes)


def goal_rows(goals: list[Goal]) -> list[str]:
    rows = ["| goal | measured | limit | |", "|---|---|---|---|"]
    return rows + [f"| {g.what} | {g.measured:.2f} | {g.limit:g} | {'holds' if g.holds else '**missed**'} |" for g in goals]


def _rivals(results: Results) -> list[str]:
    rows = ["| who, and which events | its CPU a call | Asterisk's | ratio | answered p50 | p99 | failed |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    for label, rounds in results.rivals.items():
        waits = sorted(wait for outcome in rounds for wait in outcome.waits)
        failed, calls = sum(outcome.failed for outcome in rounds), sum(outcome.calls for outcome in rounds)
        rows.append(
            f"| {label} | {_middle(rounds, 'ours'):.2f} ms | {_middle(rounds, 'theirs'):.2f} ms | {_middle(rounds, 'ratio'):.2f} "
            f"| {waits[len(waits) // 2]:.0f} ms | {waits[int(len(waits) * 0.99)]:.0f} ms | {failed} of {calls} |"
        )
    return rows


def _rates(results: Results) -> list[str]:
    rates = list(next(iter(results.rates.values())))
    rows = ["| CPU a call (ratio to Asterisk's) | " + " | ".join(f"{rate:g}/s" for rate in rates) + " |",
            "|---|" + "---|" * len(rates)]  # fmt: skip
    for label, by_rate in results.rates.items():
        cells = [f"{_middle(rounds, 'ours'):.2f} ms ({_middle(rounds, 'ratio'):.2f})" for rounds in by_rate.values()]
        rows.append(f"| {label} | " + " | ".join(cells) + " |")
    return rows


def _profile(results: Results) -> list[str]:
    profile = results.profile
    if profile is None:
        return ["Not recorded: there was no py-spy."]
    rows = ["| part | share of the event loop's thread |", "|---|---|"]
    rows += [f"| {room} | {profile.share(count):.0f} % |" for room, count in profile.rooms.most_common()]
    rows += ["", "The dearest functions of ours, with what libraries and the kernel do for them:", "",
             "| function | share |", "|---|---|"]  # fmt: skip
    rows += [f"| {name} | {profile.share(count):.1f} % |" for name, count in profile.functions.most_common(15)]
    return [*rows, "", f"For every 100 samples of the loop's thread there were {profile.share(profile.writer):.0f} of the "
            "journal's (SQLite, `pwrite`, `fdatasync`)."]  # fmt: skip


def _micro(results: Results) -> list[str]:
    return ["| step | µs |", "|---|---|", *(f"| {name} | {median:.1f} |" for name, median in results.micro.items())]


def plots(results: Results, folder: Path) -> None:
    """CPU per call by rate, the distribution of answering times, memory by live calls."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "hookrouter"
    import matplotlib.pyplot as plt

    folder.mkdir(exist_ok=True)
    figure, axes = plt.subplots(figsize=(7, 4))
    for label, by_rate in results.rates.items():
        axes.plot(list(by_rate), [_middle(rounds, "ours") for rounds in by_rate.values()], "o-", label=label)
    axes.plot(list(by_rate), [_middle(rounds, "theirs") for rounds in by_rate.values()], "k--", label="Asterisk itself")
    axes.set(xlabel="calls a second", ylabel="ms of CPU a call", ylim=(0, None))
    axes.legend()
    _save(figure, folder / "cpu-by-rate.svg")
    figure, axes = plt.subplots(figsize=(7, 4))
    for label, rounds in results.rivals.items():
        if label.endswith("two"):
            waits = sorted(wait for outcome in rounds for wait in outcome.waits)
            axes.plot(waits, [index / len(waits) * 100 for index in range(len(waits))], label=label)
    axes.set(xlabel="ms from INVITE to 200", ylabel="% of calls answered", xscale="log")
    axes.legend()
    _save(figure, folder / "answering.svg")
    figure, axes = plt.subplots(figsize=(7, 4))
    axes.plot([count for count, _ in results.memory], [size / 1e6 for _, size in results.memory], "o-", label="resident")
    axes.plot([count for count, _ in results.memory], [100 + count * 0.02 for count, _ in results.memory], "k--", label="limit")
    axes.set(xlabel="live calls", ylabel="MB", ylim=(0, None))
    axes.legend()
    _save(figure, folder / "memory.svg")


def _save(figure: object, path: Path) -> None:
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})  # type: ignore[attr-defined]


def write_report(results: Results, goals: list[Goal], version: str) -> None:
    """Puts what was measured between the marks of docs/performance.md, and the plots beside it."""
    count = max((len(outcomes) for outcomes in results.rivals.values()), default=1)
    rounds = "one round" if count == 1 else f"{count} rounds"
    ledger = "every event delivered once and in order, every action done once" if not results.faults else str(results.faults)
    text = [
        "", f"Measured on {machine(version)}, {rounds}. The ledger of every load: {ledger}.", "",
        "### Goals", "", *goal_rows(goals), "",
        "### In turn, 50 calls a second", "", *_rivals(results), "",
        "![How long callers wait](performance/answering.svg)", "",
        "### From quiet to busy", "", *_rates(results), "",
        "![CPU per call by rate](performance/cpu-by-rate.svg)", "",
        "### Live calls", "",
        "| live calls | resident memory |", "|---|---|",
        *[f"| {count} | {size / 1e6:.1f} MB |" for count, size in results.memory], "",
        "![Memory by live calls](performance/memory.svg)", "",
        "### What is left in the hot path", "",
        "py-spy on the router at 100 calls a second, all events routed:", "", *_profile(results), "",
        "### Steps by themselves", "",
        "Medians of pytest-benchmark, caches warm (`pytest benchmarks/micro --benchmark-only`):", "", *_micro(results), "",
    ]  # fmt: skip
    put("\n".join(text), BEGIN, END)
    plots(results, DOCS / "performance")


def put(text: str, begin: str, end: str) -> None:
    """Into docs/performance.md, between two marks."""
    path = DOCS / "performance.md"
    head, found, rest = path.read_text().partition(begin)
    assert found, f"{path} has no {begin}"
    path.write_text(head + begin + text + end + rest.partition(end)[2])
    print(f"wrote {path}", file=sys.stderr)
