"""``python -m tests.fuzz``: give the program spoilt input until something fails, or so many inputs are through."""

import argparse
import sys
import time
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context

from tests.fuzz.runs import BY_NAME, Failure, Part, parts, run


def main(argv: list[str] | None = None) -> int:
    options = _parser().parse_args(argv)
    began, inputs, calls = time.monotonic(), Counter[str](), Counter[str]()
    codes: dict[str, Counter[int]] = {name: Counter() for name in BY_NAME}
    wanted = [part for part in parts(options.inputs, options.seed) if options.only in (None, part.target)]
    if options.only and options.part is not None:
        wanted = [Part(options.only, options.part, 1, options.first)]
    with ProcessPoolExecutor(options.workers, get_context("spawn")) as pool:
        for done in as_completed([pool.submit(run, part) for part in wanted]):
            result = done.result()
            if result.failure is not None:
                _tell(result.part, result.failure)
                pool.shutdown(cancel_futures=True)
                return 1
            inputs[result.part.target] += result.inputs
            calls[result.part.target] += result.calls
            codes[result.part.target] += result.codes
    seconds = time.monotonic() - began
    print(f"{inputs.total():,} inputs in {calls.total():,} calls and {seconds:,.0f} s: no failure, no hang, no growth")
    for name, count in inputs.items():
        print(f"{count:>12,} {name}, exit codes {dict(sorted(codes[name].items()))}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m tests.fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=200_000, metavar="N", help="how many inputs, over all targets")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="the same seed makes the same inputs")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="processes")
    parser.add_argument("--only", choices=[*BY_NAME], help="one target")
    parser.add_argument(
        "--part", type=int, metavar="N", help="with --only: the seed of one part, as a failure names it"
    )
    parser.add_argument("--first", type=int, default=0, metavar="N", help="with --part: the number of its first call")
    return parser


def _tell(part: Part, failure: Failure) -> None:
    print(f"{failure.target}, call {failure.number}: {failure.problem}\n  meterctl {' '.join(failure.words)}")
    print(failure.answer)
    again = f"python -m tests.fuzz --only {part.target} --part {part.seed} --first {failure.number}"
    print(f"again: {again}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
