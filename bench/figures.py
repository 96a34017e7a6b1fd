"""Figures, how they are taken, and the table they end up in."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import NamedTuple

from meterctl.core.errors import FINDINGS


class Figure(NamedTuple):
    """One thing that was measured.

    ``value`` stands beside ``rival``, taken in the same run: a floor under it, or another way to do the same. ``ratio``
    is value to rival and ``bound`` what it is held to; each is None where there is nothing to say. ``cpu`` are the
    microseconds of processor time that one item takes all processes and the server together, ours and the rival: they
    say the same on a machine that has other things to do.
    """

    bench: str
    store: str
    what: str
    value: float
    unit: str
    rival: float | None = None
    against: str = ""
    bound: str = ""
    peak_mb: float | None = None
    load: float = 0.0
    cpu: tuple[float, float] | None = None

    @property
    def ratio(self) -> float | None:
        return self.value / self.rival if self.rival else None

    @property
    def kept(self) -> bool | None:
        """Whether the bound holds; None if there is none."""
        if not self.bound:
            return None
        sign, limit = self.bound.split()[:2]
        measured = self.value if self.ratio is None else self.ratio
        return measured <= float(limit) if sign == "<=" else measured >= float(limit)


def median_seconds(calls: int, *actions: Callable[[int], object]) -> list[float]:
    """Return the median duration of each action, in turns, so that other load falls on all alike."""
    taken: list[list[float]] = [[] for _ in actions]
    for call in range(calls):
        for action, durations in zip(actions, taken, strict=True):
            began = time.perf_counter()
            answer = action(call)
            # What runs a process knows better how long that one took.
            durations.append(answer.seconds if isinstance(answer, Run) else time.perf_counter() - began)
    return [statistics.median(durations) for durations in taken]


class Run(NamedTuple):
    """One command that ran to its end: ``cpu`` seconds are of all its processes, ``peak_mb`` of the largest one."""

    seconds: float
    peak_mb: float
    cpu: float


LAUNCH = [sys.executable, "-S", "-E", str(Path(__file__).with_name("launch.py"))]

#: No command of a benchmark runs for longer.
LONGEST_SECONDS = 3600


def run(command: Sequence[str], *, out: Path | None = None, findings: bool = False) -> Run:
    """Run a command; what it prints goes to ``out``. Raises if it fails; ``findings`` permits exit code 8."""
    with NamedTemporaryFile() as report, (out or Path(os.devnull)).open("wb") as sink:
        launch = [*LAUNCH, report.name, *command]
        done = subprocess.run(launch, stdout=sink, stderr=subprocess.PIPE, timeout=LONGEST_SECONDS, check=False)
        if done.returncode and not (findings and done.returncode == FINDINGS):
            raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.decode()[-2000:]}")
        return Run(**json.load(report))


def meterctl(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "meterctl", *arguments]


# -- the table

_HEADINGS = ("what", "store", "measured", "beside it", "", "ratio", "bound", "", "CPU us each", "peak MB", "load")


def table(figures: Iterable[Figure]) -> str:
    """All figures as Markdown."""
    rows = [_HEADINGS, *(_row(figure) for figure in figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    rule = "| " + " | ".join("-" * max(3, width) for width in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    kept = {None: "", True: "kept", False: "NOT KEPT"}[figure.kept]
    rival = "" if figure.rival is None else _amount(figure.rival, figure.unit)
    peak = "" if figure.peak_mb is None else f"{figure.peak_mb:.0f}"
    measured = _amount(figure.value, figure.unit)
    load = f"{figure.load:.1f}"
    cpu = "" if figure.cpu is None else f"{figure.cpu[0]:.0f} / {figure.cpu[1]:.0f}"
    return (figure.what, figure.store, measured, rival, figure.against, ratio, figure.bound, kept, cpu, peak, load)


def _amount(value: float, unit: str) -> str:
    digits = 0 if value >= 100 else 1 if value >= 10 else 2
    return f"{value:,.{digits}f} {unit}"


# -- kept between runs


def save(path: Path, figures: Sequence[Figure]) -> None:
    """Add ``figures`` to those kept in ``path``, in place of older ones of the same benchmarks."""
    new = {(figure.bench, figure.store) for figure in figures}
    kept = [figure for figure in load(path) if (figure.bench, figure.store) not in new]
    path.write_text(json.dumps([figure._asdict() for figure in [*kept, *figures]], indent=1) + "\n")


def load(path: Path) -> list[Figure]:
    kept = json.loads(path.read_text()) if path.exists() else []
    return [Figure(**{**figure, "cpu": figure["cpu"] and tuple(figure["cpu"])}) for figure in kept]
