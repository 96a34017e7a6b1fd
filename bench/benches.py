"""The benchmarks: each yields figures with what they are to be compared to, all from the same run."""

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, NamedTuple

from bench import peers, stories
from bench.figures import Figure, Run, median_seconds, meterctl, run
from bench.places import MongodPlace, Place, opened
from bench.replaced_design import ReplacedDesign, history
from bench.stories import TERMS, chunks, ledger, name
from bench.writers import debits, inserts
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.instants import add_days, add_millis
from meterctl.core.domain.operations import Adjust, Debit, Request
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Store
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.queries import Reads
from meterctl.core.sweep.due_orgs import EVERYTHING
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.process.clock import SystemClock
from tests.mongod import with_database

ORG = "long"

#: Entries that the floor stores with one call; MongoDB takes no more from more.
BATCH = 1000

#: Entries that are read before the floor stores them: reading goes on a little in the background.
AT_ONCE = 50_000


class Sizes(NamedTuple):
    """How much of everything."""

    histories: tuple[int, ...] = (10, 1_000, 100_000, 1_000_000)
    arrays: tuple[int, ...] = (10, 1_000, 10_000, 50_000)
    calls: int = 500
    lines: int = 1_000_000
    due: int = 100_000
    orgs: int = 1_000_000
    few: int = 1_000
    entries: int = 1_000_000
    writes: int = 500
    repeats: int = 9
    checked: int = 100_000


QUICK = Sizes((10, 1_000, 20_000), (10, 1_000, 20_000), 100, 20_000, 5_000, 20_000, 500, 20_000, 50, 5, 10_000)


class Measured(NamedTuple):
    """How many items a second, and the processor time of one in microseconds, the server's with it."""

    rate: float
    cpu: float


def floor_rate(place: Place, entries: Callable[[], Iterable[Entry]]) -> Measured:
    """How the floor stores ``entries``, ``BATCH`` at a time: the middle one of three times, for they take seconds, and
    the machine's mood changes faster. Getting them is not counted."""
    return sorted(_floor_rate(place, entries()) for _ in range(3))[1]


def _floor_rate(place: Place, entries: Iterable[Entry]) -> Measured:
    place.settle("floor")
    floor, count, taken, cpu = place.floor(), 0, 0.0, 0.0
    for some in chunks(entries, AT_ONCE):
        batches = list(chunks(floor.ready(some), BATCH))
        server, own, began = place.server_cpu(), process_time(), perf_counter()
        for batch in batches:
            floor.store(batch)
        taken += perf_counter() - began
        cpu += process_time() - own + place.server_cpu() - server
        count += len(some)
    floor.clear()
    return Measured(count / taken, cpu / count * 1e6)


def command_rate(place: Place, home: "Home", store: str, count: int, *arguments: str) -> tuple[Measured, Run]:
    """How a command line does ``count`` things, end to end. What it prints is in ``home``."""
    place.settle(store)
    server = place.server_cpu()
    done = run(home.command(place, store, *arguments), out=home.path / "out")
    cpu = done.cpu + place.server_cpu() - server
    return Measured(count / done.seconds, cpu / count * 1e6), done


def reading_rate(place: Place, count: int, entries: Iterable[Entry]) -> Measured:
    """How fast the ``count`` entries are read by this process, and nothing else done with them."""
    server, own, began = place.server_cpu(), process_time(), perf_counter()
    for _ in entries:
        pass
    taken, cpu = perf_counter() - began, process_time() - own + place.server_cpu() - server
    return Measured(count / taken, cpu / count * 1e6)


# -- one debit


def debit(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Time a debit by one call in this process, at longer and longer histories, each after a raw insert."""
    store, floor = opened(place, "debit"), place.floor()
    booked = Ledger(store, SystemClock(), TERMS)
    stories.book(store, [Adjust("warm", 2**40, "grant", None)])
    spare = [one_debit(booked, "warm", f"warm-{call}") for call in range(sizes.calls * len(sizes.histories))]
    raw = iter(floor.ready(spare))
    orgs = [f"{ORG}-{size}" for size in sizes.histories]
    for org, size in zip(orgs, sizes.histories, strict=True):
        stories.grow(store, org, 1, size)
    place.settle("debit")
    pairs = ((lambda _: floor.store([next(raw)]), debiting(booked, org, "timed")) for org in orgs)
    taken = median_seconds(sizes.calls, *chain.from_iterable(pairs))
    least = taken[1]
    limit = 1.5 if place.kind == "mongod" else 2.2
    figure = partial(Figure, "debit", place.kind)
    for size, bare, ours in zip(sizes.histories, taken[::2], taken[1::2], strict=True):
        yield figure(f"debit at {size:,}", ours * 1e3, "ms", bare * 1e3, "one raw insert", f"<= {limit}")
        if size != sizes.histories[0]:
            first = f"the same at {sizes.histories[0]}"
            yield figure(f"debit at {size:,}", ours * 1e3, "ms", least * 1e3, first, "<= 1.10")
    store.close()


def debiting(booked: Ledger, org: str, ref: str) -> Callable[[int], Entry]:
    return lambda call: one_debit(booked, org, f"{ref}-{call}")


def one_debit(booked: Ledger, org: str, ref: str) -> Entry:
    receipt = booked.one(Request(Debit(org, 1, ref), "bench"))
    assert receipt.entry is not None
    return receipt.entry


def replaced(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Time the same debit in the design that was replaced, as far as one document goes."""
    if place.kind != "mongod":
        return
    store = opened(place, "replaced")
    booked, old = Ledger(store, SystemClock(), TERMS), ReplacedDesign(place.client)  # type: ignore[attr-defined]
    length = 0
    for size in sizes.arrays:
        stories.grow(store, ORG, length + 1, size)
        old.open(ORG, history(size))
        theirs, ours = median_seconds(
            min(sizes.calls, 50),
            debiting_replaced(old, size),
            debiting(booked, ORG, f"timed-{size}"),
        )
        length = size + min(sizes.calls, 50)
        bound = ">= 15" if size >= 50_000 else ""
        what = f"one array per org at {size:,}"
        yield Figure("replaced", place.kind, what, theirs * 1e3, "ms", ours * 1e3, "our debit", bound)
    yield Figure("replaced", place.kind, "one array per org holds at most", float(_most(old)), "entries")
    store.close()


def debiting_replaced(old: ReplacedDesign, size: int) -> Callable[[int], bool]:
    return lambda call: old.debit(ORG, 1, f"timed-{size}-{call}")


def _most(old: ReplacedDesign) -> int:
    """Return the longest ledger that fits a document, to the nearest thousand below."""
    low, high = 1, 1024
    while high - low > 1:  # bounded: halves
        middle = (low + high) // 2
        low, high = (middle, high) if old.takes("most", history(1000 * middle)) else (low, middle)
    return 1000 * low


# -- backfill


def backfill(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Backfill a file from the command line, end to end, beside raw inserts of its entries; then check them."""
    for workers in (1, 2):
        store, home = opened(place, "backfill"), Home()
        yield from backfill_by(place, store, home, sizes.lines, workers)
        yield from _verified(place, store, home, sizes.lines, workers)
        store.close()
        home.close()


def backfill_by(place: Place, store: Store, home: "Home", lines: int, workers: int) -> Iterator[Figure]:
    file = home.file("lines.ndjson", stories.lines(lines, max(10, lines // 1000)))
    ours, done = command_rate(place, home, "backfill", lines, "backfill", str(file), "--workers", str(workers))
    assert home.printed()["applied"] == lines
    floor = floor_rate(place, store.journal.scan)
    bound = ">= 0.50" if workers > 1 and place.kind == "mongod" else ""
    by = f", {workers} workers" if workers > 1 else ""
    figure = partial(Figure, "backfill", place.kind, f"backfill of {lines:,} lines{by}")
    cpu = (ours.cpu, floor.cpu)
    yield figure(ours.rate, "lines/s", floor.rate, "raw inserts", bound, done.peak_mb, cpu=cpu)
    yield figure(done.peak_mb, "MB peak", bound="<= 100")


def _verified(place: Place, store: Store, home: "Home", lines: int, workers: int) -> Iterator[Figure]:
    by = f", {workers} workers" if workers > 1 else ""
    figure = partial(Figure, "backfill", place.kind, f"verify --all of {lines:,}{by}")
    checked, done = command_rate(place, home, "backfill", lines, "verify", "--all", "--workers", str(workers))
    assert home.printed()["ok"]
    bare = reading_rate(place, lines, store.journal.scan())
    bound = ">= 25000" if workers > 1 else ""
    yield figure(checked.rate, "entries/s", bound=bound, peak_mb=done.peak_mb)
    yield figure(checked.rate, "entries/s", bare.rate, "reading them", "", done.peak_mb, cpu=(checked.cpu, bare.cpu))


# -- sweeps


#: Each sweep: its command, the kind of its entries, and the story that makes it due.
SWEEPS = (("expire", "expiration", stories.expiring), ("reset-week", "reset", stories.metered))


def sweep(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Both sweeps from the command line, over orgs that all have something due, beside raw inserts of the entries."""
    for kind in SWEEPS:
        for workers in (1, 2):
            yield sweep_by(place, sizes.due, kind, workers)


def sweep_by(place: Place, due: int, sweep: tuple[str, str, Callable[[int, Instant], Any]], workers: int) -> Figure:
    command, kind, of = sweep
    store, home = opened(place, "sweep"), Home()
    stories.publish(store, 500)
    stories.fill(store, range(due), of, stories.spread)
    arguments = (command, "--all", "--at", stories.END, "--workers", str(workers))
    ours, done = command_rate(place, home, "sweep", due, *arguments)
    swept = home.printed()
    assert (swept["due"], swept["done"], swept["failed"]) == (due, due, 0), swept
    floor = floor_rate(place, lambda: (entry for entry in store.journal.scan() if entry["kind"] == kind))
    store.close()
    home.close()
    what = f"{command} of {due:,} due orgs" + (f", {workers} workers" if workers > 1 else "")
    bound = ">= 0.30" if workers > 1 and place.kind == "mongod" else ""
    cpu = (ours.cpu, floor.cpu)
    return Figure(
        "sweep", place.kind, what, ours.rate, "orgs/s", floor.rate, "raw inserts", bound, done.peak_mb, cpu=cpu
    )


def few(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Sweep a few due orgs among very many, beside as many due among as few: by itself, and as a command."""
    rounds = 5
    many, home = opened(place, "many"), Home()
    hours = [add_millis(stories.START, 3_600_000 * (turn + 1)) for turn in range(2 * rounds)]
    never = add_days(stories.START, 3650)
    step = sizes.orgs // (len(hours) * sizes.few)

    def due_at(number: int) -> Instant:
        turn, rest = divmod(number // step, sizes.few)
        return hours[turn] if number % step == 0 and turn < len(hours) and rest < sizes.few else never

    stories.fill(many, range(sizes.orgs), stories.expiring, due_at)
    place.settle("many")
    by_itself = [_swept(place, many, sizes.few, hour) for hour in hours[:rounds]]
    many.close()
    as_command = [_swept_by_command(place, home, "many", sizes.few, hour) for hour in hours[rounds:]]
    by_itself_few, as_command_few = [], []
    for hour in hours[:rounds]:
        little = _all_due(place, sizes.few, hour)
        by_itself_few.append(_swept(place, little, sizes.few, hour))
        little.close()
        _all_due(place, sizes.few, hour).close()
        as_command_few.append(_swept_by_command(place, home, "little", sizes.few, hour))
    home.close()
    what = f"{sizes.few:,} due among {sizes.orgs:,} orgs"
    for how, ours, theirs in ((what, by_itself, by_itself_few), (f"expire --all: {what}", as_command, as_command_few)):
        least = median(theirs) * 1e3
        yield Figure("few", place.kind, how, median(ours) * 1e3, "ms", least, f"among {sizes.few:,}", "<= 2.0")


def _all_due(place: Place, count: int, at: Instant) -> Store:
    """``count`` orgs that all have something due at the same time."""
    little = opened(place, "little")
    stories.fill(little, range(count), stories.expiring, lambda _: at)
    return little


def _swept(place: Place, store: Store, due: int, at: Instant) -> float:
    sweeper = Sweeper(ledger(store, at, overlap=place.kind == "mongod"), "expire", "bench")
    sweeper.all(EVERYTHING)
    assert sweeper.sweep.done == due, sweeper.sweep
    return sweeper.sweep.seconds


def _swept_by_command(place: Place, home: "Home", store: str, due: int, at: Instant) -> float:
    _, done = command_rate(place, home, store, due, "expire", "--all", "--at", at)
    assert home.printed()["done"] == due
    return done.seconds


# -- reads


def reads(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Read a very long journal: print the cost of each read and its memory, which must not grow with the length."""
    store, home = opened(place, "reads"), Home()
    stories.grow(store, ORG, 1, sizes.entries)
    stories.grow(store, "short", 1, 10)
    bare = reading_rate(place, sizes.entries, store.journal.read(ORG))
    figure = partial(Figure, "reads", place.kind)
    for command in ("verify", "export"):
        ours, done = command_rate(place, home, "reads", sizes.entries, command, ORG)
        what, cpu = f"{command} of {sizes.entries:,}", (ours.cpu, bare.cpu)
        if command == "verify":
            yield figure(what, ours.rate, "entries/s", bound=">= 25000", peak_mb=done.peak_mb)
        yield figure(what, ours.rate, "entries/s", bare.rate, "reading them", "", done.peak_mb, cpu=cpu)
    yield from _pages(store, place, sizes, home)
    store.close()
    home.close()


def _pages(store: Store, place: Place, sizes: Sizes, home: "Home") -> Iterator[Figure]:
    read = Reads(store, SystemClock(), TERMS)
    middle = store.journal.by_seq(ORG, sizes.entries // 2)
    assert middle is not None
    newest, oldest, short, as_of, now = median_seconds(
        sizes.calls // 4,
        lambda _: read.ledger(ORG, LedgerQuery()),
        lambda _: read.ledger(ORG, LedgerQuery(before=22)),
        lambda _: read.ledger("short", LedgerQuery()),
        lambda _: read.balance(ORG, middle["at"]),
        lambda _: read.balance("short"),
    )
    figure = partial(Figure, "reads", place.kind)
    peak = run(home.command(place, "reads", "ledger", ORG), out=home.path / "out").peak_mb
    yield figure(f"newest page of {sizes.entries:,}", newest * 1e3, "ms", short * 1e3, "page of 10", "", peak)
    yield figure(f"oldest page of {sizes.entries:,}", oldest * 1e3, "ms", newest * 1e3, "newest page", "<= 1.3")
    peak = run(home.command(place, "reads", "balance", ORG, "--as-of", middle["at"]), out=home.path / "out").peak_mb
    what = f"balance --as-of within {sizes.entries:,}"
    yield figure(what, as_of * 1e3, "ms", now * 1e3, "balance of 10", "", peak)


# -- other ledgers


def checkers(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Check many journals beside the check of as many transactions in other ledgers, all in turns."""
    store, home = opened(place, "checkers"), Home()
    stories.book_lines(store, sizes.checked, max(10, sizes.checked // 1000))
    commands = {
        f"{count} workers": home.command(place, "checkers", "verify", "--all", "--workers", count) for count in "12"
    }
    if place.kind == "sqlite":  # others have files
        commands |= peers.checking(home.path, store.journal.scan())
    store.close()
    place.settle("checkers")
    ran = _in_turns(commands)
    what, one, two = f"verify --all of {sizes.checked:,}", ran.pop("1 workers"), ran.pop("2 workers")
    rates = {name: sizes.checked / run.seconds for name, run in ran.items()}
    figure = partial(Figure, "checkers", place.kind)
    for rival, rate in rates.items():
        cpu = (one.cpu / sizes.checked * 1e6, ran[rival].cpu / sizes.checked * 1e6)
        bound = ">= 1.0" if rival == "hledger check" else ">= 2.0"
        yield figure(what, sizes.checked / one.seconds, "entries/s", rate, rival, bound, one.peak_mb, cpu=cpu)
    both = (sizes.checked / two.seconds, "entries/s", sizes.checked / one.seconds, "one process", ">= 1.8")
    yield figure(f"{what}, two workers", *both, peak_mb=two.peak_mb)
    home.close()


def _in_turns(commands: Mapping[str, list[str]], rounds: int = 3) -> dict[str, Run]:
    """Return the middle one of each command's runs, by the time it took."""
    runs: dict[str, list[Run]] = {what: [] for what in commands}
    for _ in range(rounds):
        for what, command in commands.items():
            runs[what].append(run(command))
    return {what: sorted(some)[rounds // 2] for what, some in runs.items()}


def medici(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Time a guarded debit beside one of medici, the nearest neighbour on MongoDB, on the same server."""
    if not isinstance(place, MongodPlace):
        return
    theirs = peers.medici_milliseconds(with_database(place.server.uri, "medici"), sizes.calls)
    if theirs is None:
        return
    store = opened(place, "medici")
    stories.book(store, [Adjust(ORG, 2**40, "grant", None)])
    (ours,) = median_seconds(sizes.calls, debiting(Ledger(store, SystemClock(), TERMS), ORG, "timed"))
    yield Figure("medici", place.kind, "a guarded debit by medici", theirs, "ms", ours * 1e3, "our debit", ">= 2.5")
    store.close()


# -- several writers


def together(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Eight processes debit one org, and an org each, beside eight processes that insert."""
    count = 8
    store = opened(place, "together")
    stories.book(store, [Adjust(org, 2**40, "grant", None) for org in ("one", *map(name, range(count)))])
    bare = inserts(place, count, sizes.writes)
    on_one = debits(place, "together", ["one"] * count, sizes.writes)
    on_eight = debits(place, "together", [name(number) for number in range(count)], sizes.writes)
    tip = store.journal.tip("one")
    assert tip is not None
    assert tip["seq"] == 1 + count * (sizes.writes + 1)
    for what, ours in (("eight writers on one org", on_one), ("eight writers on eight orgs", on_eight)):
        yield Figure("together", place.kind, what, ours, "debits/s", bare, "eight raw inserters")
    store.close()


# -- start-up


def startup(place: Place, sizes: Sizes) -> Iterator[Figure]:
    """Whole commands, beside an interpreter that does nothing."""
    store, home = opened(place, "startup"), Home()
    stories.book(store, [Adjust("acme", 2**40, "grant", None)])
    store.close()
    limit = 13 if place.kind == "mongod" else 7
    lines: dict[str, tuple[list[str], float]] = {
        "--version": (meterctl("--version"), 2),
        "--help": (meterctl("--help"), 4.5),
        "balance": (home.command(place, "startup", "balance", "acme"), limit),
        "debit": (home.command(place, "startup", "debit", "acme", "1", "--yes", "--ref"), limit),
    }
    if place.kind == "mongod":
        lines = dict(list(lines.items())[2:])
    commands = [[sys.executable, "-c", "pass"], *(line for line, _ in lines.values())]
    runs = [[_started(command, call) for command in commands] for call in range(sizes.repeats)]
    least, *taken = (median(run.seconds for run in some) for some in zip(*runs, strict=True))
    idle, *used = (median(run.cpu for run in some) * 1e6 for some in zip(*runs, strict=True))
    for (what, (_, bound)), value, cpu in zip(lines.items(), taken, used, strict=True):
        figure = partial(Figure, "startup", place.kind, what, value * 1e3, "ms", least * 1e3, "python -c pass")
        yield figure(f"<= {bound}", cpu=(cpu, idle))
    home.close()


def _started(command: list[str], call: int) -> Run:
    """Run a command; one that ends in ``--ref`` gets a ref of its own each time."""
    return run([*command, f"ref-{call}"] if command[-1] == "--ref" else command)


class Home:
    """A directory with a config, for commands that run as a user's would."""

    def __init__(self) -> None:
        from tempfile import TemporaryDirectory

        self._directory = TemporaryDirectory(prefix="meterctl-bench-", dir=os.environ.get("METERCTL_BENCH_DIR"))
        self.path = Path(self._directory.name)
        (self.path / "meterctl.toml").write_text(stories.CONFIG)

    def file(self, file: str, lines: Iterable[str]) -> Path:
        with (self.path / file).open("w") as sink:
            sink.writelines(lines)
        return self.path / file

    def command(self, place: Place, store: str, *arguments: str) -> list[str]:
        config = str(self.path / "meterctl.toml")
        return meterctl("--json", "--store", place.url(store), "--config", config, *arguments)

    def printed(self) -> dict[str, Any]:
        """Return the document that the last command printed."""
        document: dict[str, Any] = json.loads((self.path / "out").read_text())
        return document

    def close(self) -> None:
        self._directory.cleanup()


BENCHES = (debit, replaced, medici, backfill, checkers, sweep, few, reads, together, startup)
