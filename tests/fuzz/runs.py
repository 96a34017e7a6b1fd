"""Calling the program with one input after another, in this process, and judging each call."""

import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from random import Random
from types import FrameType
from typing import NamedTuple

from meterctl.cli import main
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.verify import verify_all
from tests.fuzz.targets import CONFIG, TARGETS, Case, Target

#: Seconds that one call may take, and megabytes that it may need more than all before it.
LONGEST, MOST_MB = 10.0, 100.0

#: Calls that share a store. Its journals are verified then, and another one is made.
CALLS_PER_STORE = 40

NOW = "2026-11-22T10:00:00Z"


class Hang(BaseException):
    """Raised in a call that takes too long; no handler of the program's takes it for an error."""


class Failure(NamedTuple):
    """A call that went wrong: how, and all that takes to repeat it."""

    target: str
    number: int
    words: list[str]
    problem: str
    answer: str


class Fuzzer:
    """Makes the calls of one target, in a directory of its own. ``codes`` counts how they ended."""

    def __init__(self, target: type[Target], seed: int) -> None:
        self.codes: Counter[int] = Counter()
        self.inputs = 0
        self.calls = 0
        self._seed = seed
        self._target = target
        self._place = Path(tempfile.mkdtemp(prefix="meterctl-fuzz-"))

    def run(self, inputs: int, first: int = 0) -> Failure | None:
        """Make calls until they hold so many ``inputs``; the first failure ends it."""
        number = first
        with _settled(self._place):
            try:
                while self.inputs < inputs:
                    if (number - first) % CALLS_PER_STORE == 0:
                        self._begin_store()
                    target = self._target(self._place)
                    case = target.case(Random(f"{self._seed}/{target.name}/{number}"))
                    if (failure := self._call(case, number)) is not None:
                        return failure
                    self.inputs += case.inputs
                    self.calls += 1
                    number += 1
                return self._verified(number)
            finally:
                shutil.rmtree(self._place, ignore_errors=True)

    def _begin_store(self) -> None:
        problem = self._verified(0)
        assert problem is None, problem
        for path in self._place.iterdir():
            if path.is_file():
                path.unlink()
        (self._place / "meterctl.toml").write_bytes(CONFIG.read_bytes())
        good = {"op": "adjust", "org": "org-1", "units": 5000, "ref": "grant", "reason": "to begin with"}
        (self._place / "good.ndjson").write_text(json.dumps(good) + "\n", encoding="utf-8")
        for words in (
            ["plan", "publish", "--from-config"],
            ["backfill", "good.ndjson"],
            ["debit", "org-1", "5", "--ref", "planned", "--plan-out", "plan.ndjson"],
        ):
            code, answer = _answer(words)
            assert code == 0, answer

    def _call(self, case: Case, number: int) -> Failure | None:
        before, began = _peak_mb(), time.monotonic()
        try:
            code, answer = _answer(case.words)
        except Hang:
            return Failure(self._target.name, number, case.words, f"no end after {LONGEST} s", "")
        self.codes[code] += 1
        seconds, grown = time.monotonic() - began, _peak_mb() - before
        problem = None
        if code == 1 and '"code": "unexpected"' in answer:
            problem = "unexpected failure"
        elif code not in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 130):
            problem = f"exit code {code}"
        elif seconds > LONGEST:
            problem = f"{seconds:.1f} s"
        elif grown > MOST_MB:
            problem = f"{grown:.0f} MB more"
        return problem and Failure(self._target.name, number, case.words, problem, answer[-3000:])  # type: ignore[return-value]

    def _verified(self, number: int) -> Failure | None:
        """Whatever came in, the journals are what the rules make."""
        if not (self._place / "fuzz.db").exists():
            return None
        store = SqliteStore(str(self._place / "fuzz.db"))
        try:
            findings = verify_all(store).findings
        finally:
            store.close()
        return Failure(self._target.name, number, [], "verify found something", str(findings[:5])) if findings else None


def _answer(words: list[str]) -> tuple[int, str]:
    """Exit code, and all that is printed, of a call that ends in time."""
    out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
    sys.stdin = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = main(["--json", *words])
    except SystemExit as end:
        code = int(end.code or 0) if isinstance(end.code, int | None) else 99
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    out.flush()
    return code, out.buffer.getvalue()[-5000:].decode(errors="replace") + err.getvalue()


@contextmanager
def _settled(place: Path) -> Iterator[None]:
    """An environment that knows this place only, and a signal for calls that do not end."""
    kept, directory, stdin = dict(os.environ), Path.cwd(), sys.stdin
    before = signal.signal(signal.SIGALRM, _hang)
    os.chdir(place)
    for name in [*os.environ]:
        if name.startswith(("METERCTL_", "STRIPE_")):
            del os.environ[name]
    os.environ |= {
        "METERCTL_STORE": "sqlite:fuzz.db",
        "METERCTL_CONFIG": "meterctl.toml",
        "METERCTL_NOW": NOW,
        "METERCTL_ACTOR": "fuzz",
        "METERCTL_DEBUG": "1",
        **{f"XDG_{kind}_HOME": str(place / "home") for kind in ("CONFIG", "DATA", "CACHE")},
    }
    try:
        yield
    finally:
        os.chdir(directory)
        os.environ.clear()
        os.environ.update(kept)
        sys.stdin = stdin
        signal.signal(signal.SIGALRM, before)


def _hang(_number: int, _frame: FrameType | None) -> None:
    raise Hang


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# -- parts of a run, for several processes

#: Parts that a target's inputs are split into, so that processes can share them.
PARTS = 8

BY_NAME = {target.name: target for target in TARGETS}


class Part(NamedTuple):
    """A part of the inputs of a target, with a seed of its own."""

    target: str
    seed: int
    inputs: int
    first: int = 0


class Result(NamedTuple):
    """What came of a part."""

    part: Part
    failure: Failure | None
    inputs: int
    calls: int
    codes: Counter[int]


def parts(inputs: int, seed: int) -> list[Part]:
    """Split ``inputs`` over the targets by their shares."""
    return [
        Part(target.name, seed * PARTS + number, max(1, inputs * target.share // 100 // PARTS))
        for number in range(PARTS)
        for target in TARGETS
    ]


def run(part: Part) -> Result:
    """Make the calls of a part."""
    fuzzer = Fuzzer(BY_NAME[part.target], part.seed)
    failure = fuzzer.run(part.inputs, part.first)
    return Result(part, failure, fuzzer.inputs, fuzzer.calls, fuzzer.codes)
