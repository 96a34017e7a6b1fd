"""Write the metrics of a sweep to a file for the textfile collector of a node exporter."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from meterctl.core.domain.instants import to_millis
from meterctl.core.errors import DONE
from meterctl.core.files.metrics import GaugeFile, MetricsLost, Sample
from meterctl.core.ports import Clock
from meterctl.core.results import Sweep

#: Help text of each gauge, for the last run or the last successful one.
_MEANINGS = {
    "last_success_timestamp_seconds": "Time of the last sweep without an error; 0: none.",
    "last_run_timestamp_seconds": "Time of the last sweep.",
    "success": "1: the last sweep ended without an error.",
    "duration_seconds": "Duration of the last sweep.",
    "due": "Orgs that had something due.",
    "done": "Orgs that had something booked.",
    "failed": "Orgs that could not be booked.",
    "skipped": "Orgs that had nothing left to book.",
    "expired_lots": "Lots that expired.",
    "expired_units": "Units that expired.",
    "weeks_closed": "Weeks that were closed.",
    "settled_units": "Units of debt settled from the next week's quota.",
    "rolled_over_units": "Units of unused quota that became lots.",
    "released_holds": "Holds that ran out.",
    "journal_found": "1: the store has a journal; 0: most likely a wrong store.",
}

_LAST_SUCCESS = "meterctl_sweep_last_success_timestamp_seconds"


class MetricsFile:
    """The metrics file at ``path``. It is replaced as a whole, so a reader never sees half of a run."""

    def __init__(self, path: str, clock: Clock) -> None:
        """Raise `BadInput` if the file cannot be written."""
        self._file = GaugeFile(path)
        self._clock = clock

    @contextmanager
    def of(self, sweep: Sweep) -> Iterator[None]:
        """Write the metrics of ``sweep`` when the block ends, even by an error.

        A dry run writes nothing, nor does a sweep that another process is running.
        """
        try:
            yield
        except BaseException:
            self.failed(sweep)
            raise
        try:
            self._write(sweep, success=sweep.exit_code == DONE and sweep.journal_found)
        except OSError as problem:
            raise MetricsLost(f"cannot write {self._file.path}: {problem}") from problem

    def failed(self, sweep: Sweep) -> None:
        """Write the metrics of a sweep that ended with an error, or could not begin."""
        with suppress(OSError):  # the error of the sweep matters more
            self._write(sweep, success=False)

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
