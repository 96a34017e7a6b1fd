"""A sweep's figures for Prometheus, in a file that a node exporter's textfile collector reads."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from meterctl.core.domain.instants import to_millis
from meterctl.core.errors import DONE
from meterctl.core.files.metrics import GaugeFile, MetricsLost, Sample
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

_LAST_SUCCESS = "meterctl_sweep_last_success_timestamp_seconds"


class MetricsFile:
    """The file at ``path``. Whoever reads it sees the figures of one run or of another, never a part of them."""

    def __init__(self, path: str, clock: Clock) -> None:
        """Raises `BadInput` where no such file can be written."""
        self._file = GaugeFile(path)
        self._clock = clock

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
            raise MetricsLost(f"cannot write {self._file.path}: {problem}") from problem

    def _write(self, sweep: Sweep, *, success: bool) -> None:
        if sweep.dry_run or sweep.locked_by is not None:
            return
        labels = {"command": sweep.command, "shard": str(sweep.shard)}
        now = to_millis(self._clock.now()) / 1000
        counts = {name: int(getattr(sweep, name)) for name in _MEANINGS if hasattr(sweep, name)}
        figures = {
            "last_success_timestamp_seconds": now if success else self._file.value(_LAST_SUCCESS, labels),
            "last_run_timestamp_seconds": now,
            "success": int(success),
            "duration_seconds": round(sweep.seconds, 3),
            **counts,
        }
        samples = (Sample(f"meterctl_sweep_{name}", meaning, figures[name]) for name, meaning in _MEANINGS.items())
        self._file.write(samples, labels)
