"""The way of one debit through the code: ``python -m bench.path``.

Runs ``meterctl debit`` on a fresh SQLite file inside this process, and counts the functions of this project that it
calls, the files that they stand in, how deep they call each other, and the named concepts: the classes whose methods
run. A newcomer has to hold these in mind to follow one debit. The counts depend on the code alone, not on the machine.
"""

import argparse
import contextlib
import io
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import CodeType, FrameType
from typing import NamedTuple

import meterctl

ROOT = Path(meterctl.__file__).parent


class Bounds(NamedTuple):
    """The counts of a path; as a bound, the most of each that a debit may need."""

    functions: int
    files: int
    depth: int


#: The aim, and a ratchet: today's counts, which no change may exceed without raising them here.
AIM, BOUNDS = Bounds(functions=160, files=28, depth=16), Bounds(functions=168, files=49, depth=16)


class Trace:
    """The functions of this project that ran, with the number of their calls, and the deepest stack of them."""

    def __init__(self) -> None:
        self.calls: Counter[CodeType] = Counter()
        self.depth = 0
        self.deepest: list[str] = []

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call" or not _is_ours(frame.f_code):
            return
        self.calls[frame.f_code] += 1
        stack = [own.f_code.co_qualname for own in _stack(frame) if _is_ours(own.f_code)]
        if len(stack) > self.depth:
            self.depth, self.deepest = len(stack), stack[::-1]

    @property
    def files(self) -> set[str]:
        return {str(Path(code.co_filename).relative_to(ROOT)) for code in self.calls}

    @property
    def concepts(self) -> set[str]:
        """The classes whose methods ran."""
        return {code.co_qualname.rpartition(".")[0] for code in self.calls if "." in code.co_qualname} - {""}

    @property
    def bounds(self) -> Bounds:
        return Bounds(len(self.calls), len(self.files), self.depth)


def _is_ours(code: CodeType) -> bool:
    # A comprehension or a module's body is no function that somebody named.
    return code.co_filename.startswith(str(ROOT)) and not code.co_name.startswith("<")


def _stack(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:  # bounded: by the stack
        yield frame
        frame = frame.f_back


def trace(action: Callable[[], object]) -> Trace:
    found = Trace()
    sys.setprofile(found)
    try:
        action()
    finally:
        sys.setprofile(None)
    return found


def trace_debit() -> Trace:
    """Trace the third of three debits: everything is imported, and what is made once is made."""
    from meterctl.cli import main

    with TemporaryDirectory(prefix="meterctl-path-") as directory:
        options = ["--store", f"sqlite:{directory}/path.db", "--config", f"{directory}/none.toml", "--json"]
        Path(directory, "none.toml").write_text("")

        def run(*line: str) -> None:
            with contextlib.redirect_stdout(io.StringIO()) as out:
                assert main([*options, *line, "--yes"]) == 0, out.getvalue()

        run("adjust", "acme", "1000", "--ref", "grant", "--reason", "a grant")
        run("debit", "acme", "1", "--ref", "first")
        run("debit", "acme", "1", "--ref", "second")
        return trace(lambda: run("debit", "acme", "1", "--ref", "third"))


def report(found: Trace, *, verbose: bool) -> Iterator[str]:
    if verbose:
        width = max(len(file) for file in found.files)
        for code in sorted(found.calls, key=lambda code: (code.co_filename, code.co_firstlineno)):
            place = str(Path(code.co_filename).relative_to(ROOT))
            yield f"{place:{width}} {code.co_qualname} x {found.calls[code]}"
        yield from (f"{'  ' * depth}{name}" for depth, name in enumerate(found.deepest))
    for name, count, bound, aim in zip(Bounds._fields, found.bounds, BOUNDS, AIM, strict=True):
        yield f"{name:10} {count:5}  (at most {bound}, aimed at {aim})"
    yield f"{'concepts':10} {len(found.concepts):5}"
    yield f"{'calls':10} {found.calls.total():5}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.path", description="The way of one debit through the code.")
    parser.add_argument("--verbose", action="store_true", help="every function, and the deepest stack")
    parser.add_argument("--check", action="store_true", help="exit 1 beyond the bounds")
    arguments = parser.parse_args()
    found = trace_debit()
    print("\n".join(report(found, verbose=arguments.verbose)))
    within = all(count <= bound for count, bound in zip(found.bounds, BOUNDS, strict=True))
    return 0 if within or not arguments.check else 1


if __name__ == "__main__":
    sys.exit(main())
