"""Eight processes hold units, settle and release them, and die by kill -9: no unit is promised twice, none is lost."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from signal import SIGKILL

import pytest

from meterctl.core.errors import sound
from meterctl.core.model import Entry
from meterctl.core.ports import Store
from meterctl.core.verify import Check, repair_heads, verify_all
from tests.desk import Desk
from tests.integration.test_kill import Place
from tests.property.invariants import check_entries
from tests.waiting import SECONDS

WRITERS, UNITS = 8, 10

#: One run after the other: hold its units, then meter it, or let the hold go. Every answer is printed.
RUNS = """
import sys
from meterctl.core.domain.meter_operations import Attribute, Hold, Release
from meterctl.core.domain.operations import Request
from meterctl.options import Options
from meterctl.wiring import Wiring

store, config, writer, first, last = sys.argv[1:]
wiring = Wiring(Options(store=store, config=config))


def book(number, operation):
    receipt = wiring.ledger.one(Request(operation, writer))
    print(number, receipt.key, receipt.status, receipt.reason, flush=True)
    return receipt


for number in range(int(first), int(last)):
    ref = f"{writer}-{number}"
    if book(number, Hold("acme", 10, ref, lasts="24h")).exit_code == 0:
        book(number, Release("acme", ref) if number % 3 == 0 else Attribute("acme", ref, units=10, hold=ref))
    print(number, "done", "-", "-", flush=True)
"""


@pytest.fixture
def place(url: str, tmp_path: Path) -> Place:
    return Place(url, tmp_path)


class Holder:
    """The lives of one process, which goes on behind the last run that it told to be done."""

    def __init__(self, place: Place, name: str, runs: int, kills: int, seed: int) -> None:
        self.name = name
        self.killed = 0
        #: Key and status of every answer.
        self.answers: list[tuple[str, str]] = []
        self._place = place
        self._runs = runs
        self._done = 0
        self._kills = kills
        self._dice = random.Random(f"{seed} {name}")

    def work(self) -> None:
        for life in range(self._kills + 1):
            if self._done < self._runs:
                self._live(10**9 if life == self._kills else self._dice.randint(1, 3 * self._runs // (self._kills + 1)))

    def _live(self, lines: int) -> None:
        place = self._place
        with place.python("-c", RUNS, place.url, place.config, self.name, self._done, self._runs) as child:
            assert child.stdout is not None
            assert child.stderr is not None
            read = "".join(islice(child.stdout, lines))
            child.kill()
            read, errors = read + child.stdout.read(), child.stderr.read()
        assert child.returncode in (0, -SIGKILL), errors
        self.killed += child.returncode == -SIGKILL
        for line in read.split("\n")[:-1]:  # a line that is cut off was not told
            number, key, status, reason = line.split()
            if key == "done":
                self._done = int(number) + 1
            else:
                assert status in ("applied", "replayed") or reason == "insufficient_balance", line
                self.answers.append((key, status))


def check_promises(entries: list[Entry]) -> int:
    """Follow the holds by the entries alone: no more is held than is there, and each is let go once. Return the units
    that were metered."""
    held: dict[str, int] = {}
    settled: Counter[str] = Counter()
    for entry in entries:
        if entry["kind"] == "hold":
            held[entry["key"].removeprefix("hold:")] = entry["input"]["units"]
            assert sum(held.values()) <= entry["balance"], entry
        elif entry["kind"] == "release" or "released" in entry:
            ref = entry["input"]["hold"]
            assert held.pop(ref) == UNITS
            settled[ref] += 1
        assert sum(hold["units"] for hold in entry["state"].get("holds", [])) == sum(held.values())
    assert not held
    assert set(settled.values()) == {1}
    return -sum(entry["amount"] for entry in entries if entry["kind"] == "usage")


def kill_holders(place: Place, store: Store, *, runs: int, kills: int, seed: int) -> None:
    granted = WRITERS * runs * UNITS // 2  # two runs of three are metered: it will not do for all
    assert Desk(store).adjust(granted, "grant").applied
    holders = [Holder(place, f"w{number}", runs, kills, seed) for number in range(WRITERS)]
    with ThreadPoolExecutor(WRITERS) as pool:
        for each in [pool.submit(holder.work) for holder in holders]:
            each.result(timeout=SECONDS + runs)
    killed = sum(holder.killed for holder in holders)
    assert killed > WRITERS, "they were over too soon: give them more runs"
    entries = list(store.journal.read("acme"))
    keys = Counter(entry["key"] for entry in entries)
    for key, status in (answer for holder in holders for answer in holder.answers):
        assert status == "refused" or keys[key] == 1, (key, status)
    metered = check_promises(entries)
    assert entries[-1]["balance"] == granted - metered
    assert {finding.check for finding in verify_all(store).findings} <= {Check.HEAD}
    repair_heads(store)
    assert verify_all(store).ok
    check_entries(entries)
    assert [lease.name for lease in sound(store.locks.all())] == []
    statuses = Counter(status for holder in holders for _, status in holder.answers)
    assert statuses["refused"], "the units have to run out"
    print(f"seed {seed}: {killed} of {WRITERS} holders' lives killed; {metered} units metered; {dict(statuses)}")


def test_holders_are_killed_at_random(place: Place, opened: Store) -> None:
    kill_holders(place, opened, runs=12, kills=2, seed=1)


@pytest.mark.long
@pytest.mark.parametrize("seed", range(2, 8))
def test_holders_are_killed_for_long(place: Place, opened: Store, seed: int) -> None:
    kill_holders(place, opened, runs=300, kills=10, seed=seed)
