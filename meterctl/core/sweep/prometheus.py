"""A sweep's figures for Prometheus, in a file that a node exporter's textfile collector reads."""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from meterctl.core.domain.instants import to_millis
from meterctl.core.errors import DONE, BadInput, MeterctlError
from meterctl.core.files.atomic import Aside
from meterctl.core.ports import Clock
from meterctl.core.results import Sweep

#: What each figure means; all are gauges: of the last run, or of the last one that ended well.
_MEANINGS = {
    "last_success_timestamp_seconds": "When a sweep last ended without an error; 0 if none ever did.",
    "last_run_timestamp_seconds": "When a sweep last ended.",
    "success": "Whether the last sweep ended without an error.",
    "duration_seconds": "How long the last sweep took.",
    "due": "Orgs that had something due.",
    "done": "Orgs that had something booked.",
    "failed": "Orgs that nothing could be booked for.",
    "skipped": "Orgs that had nothing left to book.",
    "expired_lots": "Lots that expired.",
    "expired_units": "Units that expired.",
    "weeks_closed": "Weeks that were closed.",
    "settled_units": "Units of debt settled from the next week's quota.",
    "journal_found": "Whether the store has a journal at all: 0 is a wrong store, most likely.",
}


class MetricsLost(MeterctlError):
    """The sweep is done, and what it did could not be written."""

    code = "metrics_lost"
    hint = "what is due is booked; make room, or check the directory"


class MetricsFile:
    """The file at ``path``. Whoever reads it sees the figures of one run or of another, never a part of them."""

    def __init__(self, path: str, clock: Clock) -> None:
        """Raises `BadInput` where no such file can be written."""
        self._path = Path(path)
        self._clock = clock
        is_other = self._path.exists() and not self._path.is_file()  # a directory, or a device
        if is_other or not os.access(self._path.parent, os.W_OK | os.X_OK):
            raise BadInput(f"cannot write {path}", hint="--metrics-file names a file in a directory you may write to")

    @contextmanager
    def of(self, sweep: Sweep) -> Iterator[None]:
        """Write the figures of ``sweep`` when the block ends, however it ends. A dry run, and a sweep that is left to
        another process, write nothing."""
        try:
            yield
        except BaseException:
            with suppress(OSError):  # what went wrong in the block matters more
                self._write(sweep, success=False)
            raise
        try:
            self._write(sweep, success=sweep.exit_code == DONE and sweep.journal_found)
        except OSError as problem:
            raise MetricsLost(f"cannot write {self._path}: {problem}") from problem

    def _write(self, sweep: Sweep, *, success: bool) -> None:
        if sweep.dry_run or sweep.locked_by is not None:
            return
        labels = f'command="{sweep.command}",shard="{sweep.shard}"'
        now = to_millis(self._clock.now()) / 1000
        counts = {name: int(getattr(sweep, name)) for name in _MEANINGS if hasattr(sweep, name)}
        figures = {
            "last_success_timestamp_seconds": now if success else self._last_success(labels),
            "last_run_timestamp_seconds": now,
            "success": int(success),
            "duration_seconds": round(sweep.seconds, 3),
            **counts,
        }
        with Aside(self._path) as aside:
            aside.file.writelines(_lines(name, labels, figures[name]) for name in _MEANINGS)
            aside.keep()

    def _last_success(self, labels: str) -> float:
        """As the file says it so far, so that a failure does not look like a first run."""
        text = self._path.read_text(errors="replace") if self._path.exists() else ""
        line = re.escape(f"meterctl_sweep_last_success_timestamp_seconds{{{labels}}}") + r" (\d+(?:\.\d+)?)$"
        found = re.search(line, text, re.MULTILINE)
        return float(found[1]) if found else 0


def _lines(name: str, labels: str, value: float) -> str:
    full = f"meterctl_sweep_{name}"
    return f"# HELP {full} {_MEANINGS[name]}\n# TYPE {full} gauge\n{full}{{{labels}}} {value}\n"
