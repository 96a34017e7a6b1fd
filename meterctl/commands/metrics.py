"""Write ``--metrics-file`` for the commands that cron runs."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from meterctl.core.domain.instants import to_millis
from meterctl.core.errors import DONE
from meterctl.core.files.atomic import check_apart
from meterctl.core.files.metrics import GaugeFile, MetricsLost, Sample
from meterctl.wiring import Wiring

if TYPE_CHECKING:
    from meterctl.core.results import Result

#: Fields that are not metrics of a run.
_NO_FIGURES = frozenset({"seconds", "v"})


class RunMetrics:
    """The metrics of one run of ``command``, written to ``path`` at its end, even after an error."""

    def __init__(self, wiring: Wiring, command: str, path: str) -> None:
        """Raise `BadInput` if the file cannot be written."""
        check_apart("--metrics-file", path, *wiring.own_files)
        self._wiring = wiring
        self._command = command.replace("-", "_").replace(" ", "_")
        self._file = GaugeFile(path)
        self._labels = {"store": wiring.describe_store()}
        self._began = wiring.elapsed()

    def failed(self) -> None:
        """Write that the run failed. A write error is ignored, because the failure matters more."""
        with suppress(OSError):
            self._file.write(self._run(success=False), self._labels)

    def done(self, result: "Result | None") -> None:
        """Write the metrics of ``result``."""
        success = result is not None and result.exit_code == DONE
        document = {} if result is None else result.fields()
        if document.get("dry_run") or document.get("planned"):
            return
        samples = [*self._run(success=success), *self._figures(document), *self._gauges()]
        try:
            self._file.write(samples, self._labels)
        except OSError as problem:
            raise MetricsLost(f"cannot write {self._file.path}: {problem}") from problem

    def _run(self, *, success: bool) -> Iterator[Sample]:
        now = to_millis(self._wiring.now) / 1000
        name = f"meterctl_{self._command}"
        last = f"{name}_last_success_timestamp_seconds"
        at = now if success else self._file.value(last, self._labels)
        yield Sample(last, "Time of the last run that found nothing wrong; 0: none.", at)
        yield Sample(f"{name}_last_run_timestamp_seconds", "Time of the last run.", now)
        yield Sample(f"{name}_success", "1: the last run found nothing wrong.", int(success))
        seconds = round(self._wiring.elapsed() - self._began, 3)
        yield Sample(f"{name}_duration_seconds", "Duration of the last run.", seconds)

    def _figures(self, document: Mapping[str, Any]) -> Iterator[Sample]:
        """Yield the counts of a document: its integers, its flags, and the lengths of its lists."""
        for field, value in document.items():
            if field not in _NO_FIGURES and isinstance(value, int | list | tuple):
                count = int(value) if isinstance(value, int) else len(value)
                yield Sample(f"meterctl_{self._command}_{field}", f"Field {field} of the last run's answer.", count)

    def _gauges(self) -> Iterable[Sample]:
        if self._command not in ("doctor", "verify"):
            return ()
        from meterctl.core.errors import MeterctlError
        from meterctl.core.reads.gauges import store_gauges

        try:
            return list(store_gauges(self._wiring.store, self._wiring.now, self._wiring.settings.terms))
        except MeterctlError:  # the run itself has reported the unreadable store or config
            return ()


@contextmanager
def reporting(wiring: Wiring, command: str, path: str | None) -> "Iterator[list[Result | None]]":
    """Write metrics to ``path``, if any, after a block that puts its result into the list."""
    if path is None:
        yield []
        return
    metrics, results = RunMetrics(wiring, command, path), list["Result | None"]()
    try:
        yield results
    except BaseException:
        metrics.failed()
        raise
    metrics.done(results[0] if results else None)
