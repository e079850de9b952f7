"""One number: CPU per call of whom you name, at one rate.   python -m benchmarks.probe NAME... [--rate 50] [--calls 500]"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from pathlib import Path

from benchmarks.stage import Asterisk, Endpoint, Outcome, contestants, ensure_mounted, load, node_modules


def line(name: str, outcome: Outcome) -> str:
    """One measurement in words."""
    return (
        f"{name:24} {outcome.rate:5.0f}/s  {outcome.ours:6.2f} ms / {outcome.theirs:5.2f} ms = {outcome.ratio:5.2f}"
        f"   failed {outcome.failed}  p50 {outcome.percentile(0.5):5.1f}  p99 {outcome.percentile(0.99):6.1f} ms"
        f"   {outcome.ledger}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["hookrouter two"])
    parser.add_argument("--rate", type=float, default=50)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--record", help="py-spy's file")
    options = parser.parse_args()
    ensure_mounted()
    with tempfile.TemporaryDirectory(dir=Path.home()) as room, Endpoint() as endpoint, Asterisk() as asterisk:
        everybody = contestants(asterisk.url, endpoint.url, Path(room), node=node_modules())
        for _ in range(options.rounds):
            for name in options.names:
                contestant = everybody[name]
                contestant.start()
                load(asterisk, endpoint, contestant, options.rate, 50, Path(room))
                spy = None
                if options.record:
                    command = ["py-spy", "record", "-r", "500", "-f", "raw", "-o", options.record, "-p", str(contestant.pid)]
                    spy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
                outcome = load(asterisk, endpoint, contestant, options.rate, options.calls, Path(room))
                print(line(name, outcome), outcome.requests, flush=True)
                contestant.stop()
                if spy is not None:
                    spy.wait()


if __name__ == "__main__":
    main()
