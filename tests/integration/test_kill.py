"""Processes that die by kill -9 while they book, and a server that does: what was acknowledged is there once, and
running the same again settles the rest."""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from itertools import groupby, islice
from operator import itemgetter
from pathlib import Path
from signal import SIGKILL
from typing import Any

import pytest

from meterctl.core.backfill.account import Account
from meterctl.core.backfill.booker import CHUNK, Backfiller, FileAuthor
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.policy import Pack, Terms
from meterctl.core.errors import UNREACHABLE, sound
from meterctl.core.files.operation_lines import open_input
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Store
from meterctl.core.results import Backfill
from meterctl.core.stores.url import open_store
from meterctl.core.sweep.due_orgs import PAGE
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.core.verify import Check, repair_heads, verify_all
from tests.desk import Desk, HandClock, booked
from tests.memory_store import MemoryStore
from tests.mongod import Mongod, require_mongod_binary, with_database
from tests.property.invariants import check_entries
from tests.waiting import SECONDS, wait_for

ROOT = Path(__file__).parents[2]

#: When all is over that the lines speak of.
LATER = "2025-01-01T00:00:00Z"

CONFIG = """\
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
expiry_days = 30
"""

TERMS = Terms(packs={"small": Pack(1000, 500, "usd", 30)})

DEBITS = """
import sys
from meterctl.core.domain.operations import Debit, Request
from meterctl.options import Options
from meterctl.wiring import Wiring

store, config, org, first, last = sys.argv[1:]
wiring = Wiring(Options(store=store, config=config))
for number in range(int(first), int(last)):
    receipt = wiring.ledger.one(Request(Debit(org, 1, str(number)), "loop"))
    print(number, receipt.status, receipt.entry["seq"], flush=True)
"""


class Place:
    """A store by its URL, with a config and a file of operations."""

    def __init__(self, url: str, directory: Path) -> None:
        self.url = url
        self.directory = directory
        self.config = directory / "meterctl.toml"
        self.config.write_text(CONFIG)
        self.file = directory / "operations.ndjson"

    def start(self, *arguments: object) -> "subprocess.Popen[str]":
        """A command line in a process of its own."""
        shared = ["--store", self.url, "--config", str(self.config), "--json", "--yes", "--actor", "tester"]
        return self.python("-m", "meterctl", *map(str, arguments), *shared)

    def python(self, *arguments: object) -> "subprocess.Popen[str]":
        command = [sys.executable, *map(str, arguments)]
        return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.fixture
def place(url: str, tmp_path: Path) -> Place:
    return Place(url, tmp_path)


# What is booked


def write_lines(path: Path, *, orgs: int, lines: int, seed: int) -> None:
    """Operations of many orgs in time order, with packs and weeks that are over by now. None of them is ever refused:
    what is refused in one life may be booked in the next, on what was credited since."""
    dice = random.Random(seed)
    with path.open("w") as file:
        for number in range(lines):
            at = f"2024-03-{1 + number * 27 // lines:02}T12:00:00Z"
            document = some_operation(dice, f"org-{dice.randrange(orgs)}", number)
            file.write(json.dumps({**document, "at": at}) + "\n")


def some_operation(dice: random.Random, org: str, number: int) -> dict[str, Any]:
    match dice.randrange(6):
        case 0 | 1:
            return {"op": "credit-pack", "org": org, "pack": "small", "session": f"cs_{number}"}
        case 2 | 3:
            return {"op": "debit", "org": org, "units": dice.randint(1, 20), "ref": f"d{number}", "allow_debt": True}
        case _:
            return {"op": "attribute", "org": org, "run": f"r{number}", "units": dice.randint(1, 9)}


def book_file(store: Store, path: Path) -> Backfill:
    """Book the file in this process, undisturbed."""
    account, backfiller = Account(), Backfiller(Ledger(store, HandClock(LATER), TERMS), FileAuthor("tester"))
    with open_input(str(path)) as source:
        lines = list(source.lines())
        for answers in backfiller.answers([lines[first : first + 500] for first in range(0, len(lines), 500)]):
            account.take(answers)
    return account.tally


def journals_of(store: Store) -> dict[str, list[Entry]]:
    return {org: list(entries) for org, entries in groupby(store.journal.scan(), key=itemgetter("org"))}


def plain(journals: dict[str, list[Entry]]) -> dict[str, list[dict[str, Any]]]:
    """The journals but for when and by whose command each entry was recorded."""
    return {org: list(map(booked, entries)) for org, entries in journals.items() if org.startswith("org-")}


# Killing


class Results:
    """What the lives of one backfill answered: a file for each life."""

    def __init__(self, directory: Path) -> None:
        self.lives = 0
        self._directory = directory

    def next(self) -> Path:
        """Where another life is to write."""
        self.lives += 1
        return self._of(self.lives)

    def reached(self, line: float) -> bool:
        """Whether this life has come to the lines that are booked together with ``line``."""
        return self._of(self.lives).exists() and self._last() + CHUNK > line

    def answers(self) -> Iterator[dict[str, Any]]:
        """All of them, in the order they were given. What is cut off in the middle of a line was not told."""
        for life in range(1, self.lives + 1):
            if self._of(life).exists():
                yield from map(json.loads, self._of(life).read_text().split("\n")[:-1])

    def _of(self, life: int) -> Path:
        return self._directory / f"results-{life}"

    def _last(self) -> int:
        """The number of the last line that was answered."""
        with self._of(self.lives).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            lines = file.read().split(b"\n")[:-1]
        return int(json.loads(lines[-1])["line"]) if lines else 0


class Killer:
    """Runs a process and kills it, each time at another moment; after so many ``kills`` it leaves it alone."""

    def __init__(self, seed: int, kills: int) -> None:
        self.killed = 0
        self.kills = kills
        self._dice = random.Random(seed)

    def until_it_ends(self, start: Callable[[], "subprocess.Popen[str]"], moment: Callable[[float], bool]) -> None:
        """Run it again and again; kill it a little after ``moment`` says so, which is given how far it may come (from
        0 to 1)."""
        for _ in range(self.kills + 1):
            with start() as process:
                if self._wait(process, moment):
                    process.kill()
                _, errors = process.communicate(timeout=SECONDS)
            assert process.returncode in (0, -SIGKILL), errors
            if process.returncode == 0:
                return
            self.killed += 1

    def _wait(self, process: "subprocess.Popen[str]", moment: Callable[[float], bool]) -> bool:
        """Wait for the moment to kill it; False if it ended before, or is to be left alone."""
        began, far = time.monotonic(), self._dice.uniform(0, 0.6)
        while self.killed < self.kills and process.poll() is None:  # bounded: by the process
            if moment(far):
                time.sleep(self._dice.uniform(0, 0.15) * (time.monotonic() - began))
                return True
            time.sleep(0.003)
        return False

    def some_lines(self) -> int:
        """How many lines to read before killing; more than there are when that is over."""
        return self._dice.randint(1, 40) if self.killed < self.kills else 10**9


class Debits:
    """One debit after the other, going on behind the last one that was told, whenever the process is killed."""

    def __init__(self, place: Place, org: str, count: int, killer: Killer) -> None:
        self.org = org
        self.killer = killer
        #: The seq and the status that were told, for one debit after the other.
        self.told: list[tuple[int, str]] = []
        self._place = place
        self._count = count

    def run(self) -> None:
        for _ in range(self.killer.kills + 1):
            if len(self.told) < self._count:
                self._live()

    def _live(self) -> None:
        place = self._place
        with place.python("-c", DEBITS, place.url, place.config, self.org, len(self.told), self._count) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            read = "".join(islice(child.stdout, self.killer.some_lines()))
            child.kill()
            read, errors = read + child.stdout.read(), child.stderr.read()
        assert child.returncode in (0, -SIGKILL), errors
        self.killer.killed += child.returncode == -SIGKILL
        # What is cut off in the middle of a line was not told.
        for line in read.split("\n")[:-1]:
            number, status, seq = line.split()
            assert (int(number), status in ("applied", "replayed")) == (len(self.told), True)
            self.told.append((int(seq), status))

    def check(self, journal: list[Entry]) -> None:
        """Each is there once, where it was told to be."""
        keys = [entry["key"] for entry in journal]
        wanted = [f"debit:{number}" for number in range(self._count)]
        assert [keys[seq - 1] for seq, _ in self.told] == wanted
        assert keys == ["adjust:grant", *wanted]


# Judging


def check_told(journals: dict[str, list[Entry]], answers: Iterable[dict[str, Any]]) -> int:
    """What was told is there. How many lines were booked, and nobody was told before they were run again?"""
    known: set[tuple[str, str]] = set()
    found = 0
    for answer in answers:
        org, key, seq = answer["org"], answer["key"], answer["seq"]
        assert answer["status"] in ("applied", "replayed")
        assert journals[org][seq - 1]["key"] == key
        found += answer["status"] == "replayed" and (org, key) not in known
        known.add((org, key))
    return found


def check_whole(store: Store) -> None:
    """Nothing is wrong but, perhaps, a head that nobody was left to put."""
    assert {finding.check for finding in verify_all(store).findings} <= {Check.HEAD}
    repair_heads(store)
    assert verify_all(store).findings == []
    for entries in journals_of(store).values():
        check_entries(entries)


def check_settled(store: Store, path: Path) -> None:
    """The journals are those of a run that nothing disturbed, and running the file once more books nothing."""
    before = journals_of(store)
    tally = book_file(store, path)
    assert (tally.applied, tally.conflict) == (0, 0)
    assert journals_of(store) == before
    undisturbed = MemoryStore()
    assert book_file(undisturbed, path).applied == tally.replayed
    for each in (store, undisturbed):
        Sweeper(Ledger(each, HandClock(LATER), TERMS), "expire", "tester").all()
    assert plain(journals_of(store)) == plain(journals_of(undisturbed))


def book_and_kill(place: Place, results: Results, loops: list[Debits], killer: Killer, lines: int) -> None:
    """Book the file and the debits at once; every process is killed now and then."""
    with ThreadPoolExecutor(len(loops)) as pool:
        running = [pool.submit(loop.run) for loop in loops]
        killer.until_it_ends(
            lambda: place.start("backfill", place.file, "--results", results.next()),
            lambda far: results.reached(far * lines),
        )
        for each in running:
            each.result(timeout=SECONDS)


def sweep_and_kill(place: Place, store: Store, killer: Killer) -> None:
    """Sweep everything; the sweep is killed now and then."""

    def due() -> int:
        return len(store.heads.due(Instant(LATER), limit=100_000))

    def start() -> "subprocess.Popen[str]":
        # The lease of a sweep that was killed would keep the next one out for a minute.
        for lease in sound(store.locks.all()):
            store.locks.release(lease.name, lease.holder)
        return place.start("expire", "--all")

    def moment(far: float) -> bool:
        return bool(store.locks.all()) and due() - PAGE <= all_due * (1 - far)

    all_due = due()
    killer.until_it_ends(start, moment)
    assert due() == 0


def kill_everything(place: Place, store: Store, *, orgs: int, lines: int, debits: int, kills: int, seed: int) -> None:
    write_lines(place.file, orgs=orgs, lines=lines, seed=seed)
    results, backfills, sweeps = Results(place.directory), Killer(seed, kills), Killer(seed, kills)
    loops = [Debits(place, f"loop-{number}", debits, Killer(seed + number, kills)) for number in (1, 2)]
    for loop in loops:
        assert Desk(store).adjust(debits, "grant", org=loop.org).applied
    book_and_kill(place, results, loops, backfills, lines)
    sweep_and_kill(place, store, sweeps)
    assert backfills.killed + sweeps.killed, "they were over too soon: give them more lines and orgs"
    journals = journals_of(store)
    found = check_told(journals, results.answers())
    for loop in loops:
        loop.check(journals[loop.org])
        found += sum(status == "replayed" for _, status in loop.told)
    check_whole(store)
    check_settled(store, place.file)
    print(
        f"seed {seed}: {lines} lines and {2 * debits} debits; killed {backfills.killed} backfills, "
        f"{sum(loop.killer.killed for loop in loops)} loops and {sweeps.killed} sweeps; "
        f"{found} operations were booked, and nobody was told before they were run again"
    )


def test_backfills_loops_and_sweeps_are_killed_at_random(place: Place, opened: Store) -> None:
    kill_everything(place, opened, orgs=700, lines=2000, debits=50, kills=2, seed=2)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3, 11))
def test_backfills_loops_and_sweeps_are_killed_for_long(place: Place, opened: Store, seed: int) -> None:
    kill_everything(place, opened, orgs=3000, lines=30_000, debits=1500, kills=12, seed=seed)


# The server


def kill_mongod(directory: Path, *, orgs: int, lines: int, kills: int, seed: int) -> None:
    """Book a file while the server is killed and comes back, again and again."""
    require_mongod_binary()
    server, results = Mongod().start(), Results(directory)
    try:
        place = Place(with_database(server.uri, "killed"), directory)
        write_lines(place.file, orgs=orgs, lines=lines, seed=seed)
        with ThreadPoolExecutor(1) as pool:
            booking = pool.submit(backfill_until_it_ends, place, results, SECONDS + lines // 200)
            # In this thread, for a server ends with the thread that started it.
            kill_now_and_then(server, booking, results, [lines * number // kills for number in range(kills)], seed)
            booking.result()
        with closing(open_store(place.url)) as store:
            found = check_told(journals_of(store), results.answers())
            check_whole(store)
            check_settled(store, place.file)
    finally:
        server.stop()
    print(
        f"seed {seed}: {lines} lines, the server killed {kills} times, {results.lives} runs of the backfill; "
        f"{found} operations were booked, and nobody was told before they were run again"
    )


def kill_now_and_then(server: Mongod, booking: Future[None], results: Results, lines: list[int], seed: int) -> None:
    """Kill the server whenever the backfill comes to one of the ``lines``."""
    dice = random.Random(seed)
    for line in lines:
        wait_for(lambda line=line: booking.done() or results.reached(line))  # type: ignore[misc]
        time.sleep(dice.uniform(0, 0.2))
        assert not booking.done(), "it was over too soon: give it more lines"
        server.kill()
        time.sleep(dice.uniform(0, 0.5))
        server.restart()


def backfill_until_it_ends(place: Place, results: Results, seconds: int) -> None:
    """A run that the store leaves without an answer for too long gives up, and is started again; each may take so many
    ``seconds``."""
    for _ in range(100):
        with place.start("backfill", place.file, "--results", results.next()) as process:
            _, errors = process.communicate(timeout=seconds)
        assert process.returncode in (0, UNREACHABLE), errors
        if process.returncode == 0:
            return
    raise AssertionError("the backfill does not come to an end")


def test_the_server_is_killed_in_the_middle_of_a_backfill(tmp_path: Path) -> None:
    kill_mongod(tmp_path, orgs=300, lines=4000, kills=2, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 8))
def test_the_server_is_killed_for_long(tmp_path: Path, seed: int) -> None:
    kill_mongod(tmp_path, orgs=3000, lines=100_000, kills=30, seed=seed)
