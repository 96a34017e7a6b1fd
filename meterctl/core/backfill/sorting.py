"""Sort lines by org and time in bounded memory, with an external merge sort."""

import heapq
import pickle
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryFile
from typing import IO

from meterctl.core.errors import BadInput, MeterctlError
from meterctl.core.files.operation_lines import Line

#: Most lines and bytes sorted in memory.
RUN_LINES, RUN_BYTES = 50_000, 16 * 1024 * 1024

#: Most sorted runs merged at a time; each is a temporary file.
MOST_RUNS = 64

#: A line without a time takes effect now, so it sorts last.
_NOW = "~"

#: Sort key (org, time, number), then the line as bytes. Numbers are unique.
_Record = tuple[str, str, int, bytes]


@contextmanager
def sorted_lines(lines: Iterable[Line]) -> Iterator[Iterator[Line]]:
    """Sort ``lines`` by org, time and number; lines without an org come first.

    Times must be instants already. Lines that do not fit into memory go to temporary files, which disappear with the
    block or the process. Raises `MeterctlError` if these cannot be written.
    """
    with ExitStack() as files:
        yield _sort(lines, files)


def _sort(lines: Iterable[Line], files: ExitStack) -> Iterator[Line]:
    runs: list[IO[bytes]] = []
    for records in _batches(map(_record, lines)):
        records.sort()
        if not runs and len(records) < RUN_LINES and sum(len(record[3]) for record in records) < RUN_BYTES:
            yield from map(_line, records)  # everything fits into memory
            return
        if len(runs) == MOST_RUNS:
            runs = [_write_run(heapq.merge(*map(_records, runs)), files, runs)]
        runs.append(_write_run(records, files))
    yield from map(_line, heapq.merge(*map(_records, runs)))


def _record(line: Line) -> _Record:
    content = line.content
    whole = pickle.dumps(line, pickle.HIGHEST_PROTOCOL)
    if isinstance(content, BadInput):
        return "", "", line.number, whole
    org, at = content.get("org"), content.get("at")
    return org if isinstance(org, str) else "", at if isinstance(at, str) else _NOW, line.number, whole


def _line(record: _Record) -> Line:
    line: Line = pickle.loads(record[3])  # noqa: S301 - our own temporary file, closed to others
    return line


def _batches(records: Iterable[_Record]) -> Iterator[list[_Record]]:
    batch: list[_Record] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record[3])
        if len(batch) == RUN_LINES or size >= RUN_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write_run(records: Iterable[_Record], files: ExitStack, sources: Iterable[IO[bytes]] = ()) -> IO[bytes]:
    """Write a run to a temporary file and return it; close its ``sources``."""
    try:
        file = files.enter_context(TemporaryFile())  # noqa: SIM115 - `files` closes it
        with _closed_on_failure(file):
            for record in records:
                pickle.dump(record, file, pickle.HIGHEST_PROTOCOL)
            file.seek(0)
    except OSError as problem:
        message = f"cannot sort: a temporary file cannot be written: {problem.strerror or problem}"
        hint = "nothing was booked; free some disk space, or set TMPDIR to another directory"
        raise MeterctlError(message, hint=hint, code="no_room") from problem
    for old in sources:
        old.close()
    return file


@contextmanager
def _closed_on_failure(file: IO[bytes]) -> Iterator[None]:
    """Close ``file`` after a write error, or its buffered bytes would fail again when `ExitStack` closes it."""
    try:
        yield
    except OSError:
        with suppress(OSError):
            file.close()
        raise


def _records(file: IO[bytes]) -> Iterator[_Record]:
    try:
        while True:  # bounded: by the file
            yield pickle.load(file)  # noqa: S301 - as above
    except EOFError:
        return
