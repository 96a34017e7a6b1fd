"""``python -m bench --report``: every target, each measured three times or more, in some ten minutes.

Most rows come from `bench.benches`, at sizes that fit the time. Here are those that only a report needs: the same
command in an earlier state of the program, the memory of the largest inputs, and a sweep of the replaced design.
"""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from compileall import compile_dir
from contextlib import contextmanager
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

from bench import benches, stories
from bench.benches import Home, Sizes
from bench.figures import Figure, Run, run
from bench.places import MongodPlace, Place, opened
from bench.replaced_design import ReplacedDesign, history
from bench.service import service
from bench.stories import name
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import Debit, Request
from meterctl.core.domain.policy import Terms
from meterctl.core.stores.url import open_store
from meterctl.process.clock import SystemClock
from tests.stripe_server import KEY, StandIn, seconds, serving

#: The last commit before the work on speed.
BEFORE = "be1f48a"

ROOT = Path(__file__).parent.parent

#: Sizes of a report.
REPORT = Sizes(
    histories=(10, 300_000),
    calls=300,
    lines=100_000,
    due=30_000,
    entries=100_000,
    repeats=15,
    checked=100_000,
)

ROUNDS = 3

#: Seconds after which nothing more is repeated, so that a slow machine is done within some twelve minutes.
LONG = 420

Bench = Callable[[Place, Sizes], Iterable[Figure]]


def backfill(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Time a backfill on MongoDB by two processes, beside raw inserts."""
    if place.kind != "mongod":
        return
    store, home = opened(place, "backfill"), Home()
    yield from benches.backfill_by(place, store, home, sizes.lines, 2)
    store.close()
    home.close()


def sweep(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Both sweeps on MongoDB by two processes, beside raw inserts, and beside the design that was replaced."""
    if not isinstance(place, MongodPlace):
        return
    old = replaced_sweep(place, sizes.due // 15)
    for figure in (benches.sweep_by(place, sizes.due, kind, 2) for kind in benches.SWEEPS):
        yield figure
        yield figure._replace(rival=old, against="sweep of the replaced design", bound=">= 20", cpu=None)


def replaced_sweep(place: MongodPlace, orgs: int) -> float:
    """Return how many orgs a second the replaced design sweeps: it reads, archives and replaces one after the other."""
    old = ReplacedDesign(place.client)
    for number in range(orgs):
        old.open(name(number), history(10))
    began = perf_counter()
    for number in range(orgs):
        old.sweep(name(number))
    return orgs / (perf_counter() - began)


# -- the same in an earlier state


@contextmanager
def earlier_code(commit: str = BEFORE) -> Iterator[Path | None]:
    """Yield a directory with the program as it was at ``commit``; None, with a line on standard error, without it."""
    with TemporaryDirectory(prefix="meterctl-before-") as directory:
        command = ["git", "-C", str(ROOT), "archive", "--format=zip", commit, "meterctl"]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
        if done.returncode:
            sys.stderr.write(f"the program at {commit} is left out: {done.stderr.decode().strip()}\n")
            yield None
            return
        with zipfile.ZipFile(BytesIO(done.stdout)) as archive:
            archive.extractall(directory)
        subprocess.run([sys.executable, "-m", "compileall", "-q", directory], timeout=300, check=False)
        yield Path(directory)


class Pair:
    """The program now and as it was, each on an SQLite store of its own, made by itself."""

    def __init__(self, place: Place, home: Home, code: Path) -> None:
        self._place = place
        self._home = home
        self._python = {"now": [sys.executable], "then": ["env", f"PYTHONPATH={code}", sys.executable, "-P"]}

    def run(self, which: str, *arguments: str) -> Run:
        """Run a command. Exit code 8 is no failure: it tells of findings."""
        command = self._home.command(self._place, which, *arguments)[1:]
        return run([*self._python[which], *command], findings=True)

    def make(self, which: str) -> None:
        self._place.drop(which)
        self.run(which, "init")

    def book(self, which: str, lines: Path) -> Run:
        return self.run(which, "backfill", str(lines), "--workers", "1")

    def compare(self, measure: Callable[[str], Run]) -> tuple[Run, Run]:
        """Return the middle run of each, by processor time, taken in turns."""
        runs: dict[str, list[Run]] = {which: [] for which in self._python}
        for _ in range(ROUNDS):
            for which, some in runs.items():
                some.append(measure(which))
        now, was = (sorted(some, key=lambda each: each.cpu)[ROUNDS // 2] for some in runs.values())
        return now, was


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    os.environ.update(values)
    yield
    for variable in values:
        del os.environ[variable]


def before(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Commands on SQLite, each in turns with the same command as it was at `BEFORE`."""
    if place.kind != "sqlite":
        return
    with earlier_code() as code:
        if code is None:
            return
        home = Home()
        for compare in (_backfill_before, _export_before, _reconcile_before):
            yield compare(Pair(place, home, code), home, sizes)
        home.close()


def _figure(what: str, count: int, runs: tuple[Run, Run], bound: str) -> Figure:
    now, was = runs
    cpu = (now.cpu / count * 1e6, was.cpu / count * 1e6)
    return Figure("before", "sqlite", what, count / now.cpu, "/s of CPU", count / was.cpu, BEFORE, bound, cpu=cpu)


def _backfill_before(pair: Pair, home: Home, sizes: Sizes) -> Figure:
    lines = sizes.lines // 2
    file = home.file("lines.ndjson", stories.lines(lines, max(10, lines // 1000)))

    def measure(which: str) -> Run:
        pair.make(which)
        return pair.book(which, file)

    return _figure(f"backfill of {lines:,} lines", lines, pair.compare(measure), ">= 1.5")


def _export_before(pair: Pair, _: Home, sizes: Sizes) -> Figure:
    entries = sizes.lines // 2  # those of the backfill
    return _figure(
        f"export of {entries:,} entries",
        entries,
        pair.compare(lambda which: pair.run(which, "export", "--all")),
        ">= 1.5",
    )


def _reconcile_before(pair: Pair, home: Home, sizes: Sizes) -> Figure:
    sessions, account = sizes.lines // 10, StandIn()
    sold = [(name(n % 1000), account.sell(name(n % 1000), at=seconds(stories.START) + n)) for n in range(sessions)]
    lines = (f'{{"op":"credit-pack","org":"{org}","pack":"small","session":"{paid}"}}\n' for org, paid in sold)
    file = home.file("sold.ndjson", lines)
    for which in ("now", "then"):
        pair.make(which)
        pair.book(which, file)
    with serving(account) as url, _environment(STRIPE_API_BASE=url, STRIPE_API_KEY=KEY):
        runs = pair.compare(lambda which: pair.run(which, "reconcile", "stripe"))
    return _figure(f"reconcile of {sessions:,} sessions", sessions, runs, ">= 2.0")


# -- memory


def memory(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Measure the largest process of a backfill of a million lines, and one for an org with a thousand lots."""
    if place.kind != "sqlite":
        return
    for what, lines in (
        (f"backfill of {10 * sizes.lines:,} lines", stories.lines(10 * sizes.lines, 1000)),
        ("backfill for an org with 1,000 lots", many_lots(1000, 2000)),
    ):
        home = Home()
        opened(place, "memory").close()
        file = home.file("lines.ndjson", lines)
        peak = run(home.command(place, "memory", "backfill", str(file), "--workers", "1")).peak_mb
        yield Figure("memory", "sqlite", what, peak, "MB peak", bound="<= 100")
        place.drop("memory")
        home.close()


def many_lots(lots: int, debits: int) -> Iterator[str]:
    yield from some_lots("acme", lots)
    for number in range(debits):
        yield f'{{"op":"debit","org":"acme","units":1,"ref":"debit-{number}"}}\n'


# -- live lots


def lots(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Compare a debit at 1,000 live lots with one at 10, in turns, by processor time: as a command and as a call."""
    opened(place, "lots").close()
    home, counts = Home(), (10, 1000)
    lines = (line for count in counts for line in some_lots(f"org-{count}", count))
    run(home.command(place, "lots", "backfill", str(home.file("lots.ndjson", lines)), "--workers", "1"))
    store, taken = open_store(place.url("lots")), {count: ([], []) for count in counts}  # type: ignore[var-annotated]
    ledger = Ledger(store, SystemClock(), Terms())
    for call in range(max(10, sizes.repeats)):
        for count, (commands, calls) in taken.items():
            order = ("debit", f"org-{count}", "1", "--ref", f"command-{call}", "--yes")
            commands.append(run(home.command(place, "lots", *order)).cpu)
            began = process_time()
            for number in range(10):
                ledger.one(Request(Debit(f"org-{count}", 1, f"call-{call}-{number}"), "bench"))
            calls.append((process_time() - began) / 10)
    store.close()
    home.close()
    (few, few_calls), (many, many_calls) = ([median(each) * 1e3 for each in taken[count]] for count in counts)
    yield Figure("lots", place.kind, "debit at 1,000 lots", many, "ms of CPU", few, "one at 10 lots", "<= 2")
    what = "the same as a call, without start-up"
    yield Figure("lots", place.kind, what, many_calls, "ms of CPU", few_calls, "one at 10 lots")


def some_lots(org: str, lots: int) -> Iterator[str]:
    for number in range(lots):
        yield f'{{"op":"adjust","org":"{org}","units":1000,"ref":"lot-{number}","reason":"bench"}}\n'


# -- the report


#: The libraries that commands load.
_LIBRARIES = ("typer", "annotated_doc", "shellingham", "orjson", "pymongo", "bson", "dns")


def startup(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Measure the start from compiled bytecode, as a package manager leaves it."""
    libraries = (find_spec(library) for library in _LIBRARIES)
    places = [place for spec in libraries if spec is not None for place in spec.submodule_search_locations or ()]
    for directory in (str(ROOT / "meterctl"), *places):
        compile_dir(directory, quiet=2)
    yield from benches.startup(place, sizes)


def checkers(place: Place, sizes: Sizes) -> Iterator[Figure]:
    if place.kind == "sqlite":
        yield from benches.checkers(place, sizes)


#: Each benchmark, and how often it is repeated: those that repeat by themselves run once.
TARGETS: tuple[tuple[Bench, int], ...] = (
    (startup, 1),
    (checkers, 1),
    (benches.debit, 1),
    (backfill, ROUNDS),
    (sweep, ROUNDS),
    (before, 1),
    (memory, 1),
    (lots, 1),
    (service, 1),
)


def middle_of(rounds: Sequence[Sequence[Figure]]) -> list[Figure]:
    """Return of each figure the one in the middle, by its ratio."""
    found = []
    for same in zip(*rounds, strict=True):
        middle = median(figure.ratio if figure.ratio is not None else figure.value for figure in same)
        found.append(
            next(figure for figure in same if middle == (figure.ratio if figure.ratio is not None else figure.value))
        )
    return found


def measure(there: Sequence[Place], sizes: Sizes = REPORT, only: Sequence[str] = ()) -> Iterator[Figure]:
    """Yield a figure for each target."""
    start = perf_counter()
    for bench, rounds in TARGETS:
        for place in there if not only or bench.__name__ in only else ():
            began = perf_counter()
            several = rounds if began - start < LONG else 1
            figures = middle_of([list(bench(place, sizes)) for _ in range(several)])
            if figures:
                sys.stderr.write(f"{bench.__name__} on {place.kind}: {perf_counter() - began:.0f} s\n")
            yield from (figure._replace(load=os.getloadavg()[0]) for figure in figures if figure.bound)
