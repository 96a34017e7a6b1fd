"""What one line, one entry and one org cost in calls: ``python -m bench.calls``.

Counts the functions that Python calls, its own and those of the interpreter, for each line of a backfill, each entry
that is checked, exported or imported, and each org of a sweep. The counts depend on the code alone: they guard against
a slower path on any machine, whatever else it does. A change that costs more has to say so by raising a bound here.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import NamedTuple

from bench import stories
from meterctl.core.imports.export_file import import_export
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.sweep.due_orgs import EVERYTHING
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.core.verify import verify_all

#: Bounds, some 5 % above the counts of today's code on Python 3.11.
BOOKED, VERIFIED, EXPORTED, IMPORTED, SWEPT = 208, 129, 10, 209, 212

#: Lines of the sample, and the orgs that they are about.
LINES, ORGS = 1000, 10


class Count(NamedTuple):
    """The calls of one item, and the most that it may take."""

    what: str
    calls: float
    most: int


def calls_of(action: Callable[[], object]) -> int:
    """Return how many calls ``action`` makes in this thread."""
    count = 0

    def see(_frame: FrameType, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(see)
    try:
        action()
    finally:
        sys.setprofile(None)
    return count


def _empty(path: Path) -> SqliteStore:
    store = SqliteStore(str(path))
    store.init()
    return store


def _booked(path: Path) -> SqliteStore:
    store = _empty(path)
    stories.book_lines(store, LINES, ORGS)
    return store


def _swept(path: Path) -> Count:
    """Count the calls for each org of a sweep that expires a lot of each."""
    store = _empty(path)
    stories.fill(store, range(LINES), stories.expiring, stories.spread)
    sweeper = Sweeper(stories.ledger(store, stories.END, overlap=False), "expire", "bench")
    calls = calls_of(lambda: sweeper.all(EVERYTHING))
    assert sweeper.sweep.done == LINES, sweeper.sweep
    store.close()
    return Count("an org swept", calls / LINES, SWEPT)


def measure() -> Iterator[Count]:
    """Count on a fresh SQLite file."""
    with TemporaryDirectory(prefix="meterctl-calls-") as directory:
        _booked(Path(directory, "warm.db")).close()  # what is made once is made by now
        store = _empty(Path(directory, "calls.db"))
        yield Count("a line booked", calls_of(lambda: stories.book_lines(store, LINES, ORGS)) / LINES, BOOKED)
        for _ in range(2):
            verify_all(store)  # patterns are made when enough entries were read
        yield Count("an entry verified", calls_of(lambda: verify_all(store)) / LINES, VERIFIED)
        yield Count("an entry exported", calls_of(lambda: list(store.journal.texts())) / LINES, EXPORTED)
        export = b"".join(each.text + b"\n" for each in store.journal.texts())
        store.close()
        copy = _empty(Path(directory, "copy.db"))
        yield Count("an entry imported", calls_of(lambda: import_export(BytesIO(export), "-", copy)) / LINES, IMPORTED)
        copy.close()
        yield _swept(Path(directory, "due.db"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description="Calls for each line and entry.")
    parser.add_argument("--check", action="store_true", help="exit 1 beyond the bounds")
    arguments = parser.parse_args()
    counts = list(measure())
    for count in counts:
        print(f"{count.what:18} {count.calls:7.1f} calls  (at most {count.most})")
    return int(arguments.check and any(count.calls > count.most for count in counts))


if __name__ == "__main__":
    sys.exit(main())
