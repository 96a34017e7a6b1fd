"""``python -m tests.simulator``: run seeds until something fails or the time is over."""

import argparse
import random
import sys
import time
from collections.abc import Iterator
from itertools import count, islice

from tests.simulator.grounds import KINDS
from tests.simulator.runs import Run, Sum, run_seed
from tests.simulator.shrink import Shrinker, story


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    first = random.SystemRandom().randrange(10**9) if options.seed is None else options.seed
    began, total = time.monotonic(), Sum()
    for seed in _seeds(first, options.runs, options.minutes, options.seed is not None):
        run = run_seed(seed, options.store)
        total.add(run)
        if run.failure is not None:
            _tell(seed, run, options.store)
            return 1
    _summarize(first, options.store, total, time.monotonic() - began)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.simulator", description=__doc__)
    parser.add_argument("--seed", type=int, metavar="N", help="the first seed; with nothing else, the only one")
    parser.add_argument("--runs", type=int, metavar="N", help="how many seeds to run, one after the other")
    parser.add_argument("--minutes", type=float, metavar="M", help="stop after so long")
    parser.add_argument("--store", choices=KINDS, default="memory", help="what to run on (default: memory)")
    return parser


def _seeds(first: int, runs: int | None, minutes: float | None, named: bool) -> Iterator[int]:
    if runs is None and minutes is None:
        runs, minutes = (1, None) if named else (None, 1.0)
    end = None if minutes is None else time.monotonic() + 60 * minutes
    for seed in islice(count(first), runs):
        if end is not None and time.monotonic() >= end:
            return
        yield seed


def _tell(seed: int, run: Run, store: str) -> None:
    print(f"seed {seed} fails on {store}; shortening it ...", flush=True)
    for line in story(run, Shrinker(run, store).shortest()):
        print(line)
    print(f"\nthe whole run again: python -m tests.simulator --store {store} --seed {seed}")


def _summarize(first: int, store: str, total: Sum, seconds: float) -> None:
    runs, operations = total.counts["runs"], total.counts["operations answered"]
    print(f"seeds {first} to {first + runs - 1} on {store}: every promise kept")
    print(f"{seconds:,.0f} s, {operations / max(seconds, 0.001):,.0f} operations a second")
    for name, number in total.counts.items():
        print(f"{number:>12,} {name}")
    print(
        f"{total.faults.total():>12,} faults: " + ", ".join(f"{n:,} {kind}" for kind, n in sorted(total.faults.items()))
    )


if __name__ == "__main__":
    sys.exit(main())
