"""A real trace of requests, backfilled whole, again, and cut off: on the embedded store and on a real MongoDB."""

import csv
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.backfill.account import Account
from meterctl.core.backfill.booker import CHUNK, Backfiller, FileAuthor
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.policy import Terms
from meterctl.core.files.operation_lines import open_input
from meterctl.core.ports import Store
from meterctl.core.results import Backfill
from meterctl.process.clock import SystemClock
from tests.stores import drop_store, make_store

ROOT = Path(__file__).parents[2]
TRACE = ROOT / ".." / "shared" / "data" / "azure_llm_code_2023.csv"
ROWS = 8819

Place = Callable[[str], Store]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trace as backfill lines, made by the script in examples/."""
    if not TRACE.exists():
        pytest.skip("the trace is not here: ../shared/data/azure_llm_code_2023.csv")
    path = tmp_path_factory.mktemp("trace") / "trace.ndjson"
    with path.open("wb") as file:
        subprocess.run([sys.executable, ROOT / "examples" / "trace.py", TRACE], stdout=file, check=True, timeout=60)
    return path


@pytest.fixture(scope="module", params=["sqlite", "mongod"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Makes empty stores, by name."""
    opened: dict[Path, Store] = {}

    def make(name: str) -> Store:
        path = tmp_path_factory.mktemp(name)
        store = opened[path] = make_store(request.param, path)
        store.init()
        return store

    yield make
    for path, store in opened.items():
        store.close()
        drop_store(request.param, path)


@pytest.fixture(scope="module")
def whole(place: Place, lines: Path) -> Store:
    """A store in which the whole trace was backfilled in one go."""
    store = place("whole")
    first = backfill(store, lines)
    assert (first.lines, first.applied, first.exit_code) == (ROWS, ROWS, 0)
    return store


def backfill(store: Store, path: Path, *, upto: int | None = None) -> Backfill:
    """Backfill the first lines of a file, all of them by default."""
    account, backfiller = Account(), Backfiller(Ledger(store, SystemClock(), Terms()), FileAuthor("test"))
    with open_input(str(path)) as source:
        some = islice(source.lines(), upto)
        for answers in backfiller.answers(iter(lambda: list(islice(some, CHUNK)), [])):
            account.take(answers)
    return account.tally


def journals(store: Store, *without: str) -> dict[str, list[dict[str, Any]]]:
    return {
        org: [
            {name: value for name, value in entry.items() if name not in without} for entry in store.journal.read(org)
        ]
        for org in store.journal.orgs()
    }


def units_of_the_trace() -> Counter[str]:
    """Units by org, summed up from the trace itself, by hand."""
    units: Counter[str] = Counter()
    with TRACE.open(encoding="utf-8", newline="") as file:
        for number, row in enumerate(csv.DictReader(file)):
            costs = [
                Fraction(25, 10**7) * int(row["ContextTokens"]),
                Fraction(1, 10**5) * int(row["GeneratedTokens"]),
            ]
            units[f"org-{number * 7919 % 97:03}"] += max(1, sum(cost * 1000 // 1 for cost in costs))
    return units


def test_the_trace_is_booked_once(whole: Store, lines: Path) -> None:
    booked = journals(whole)
    assert sum(len(entries) for entries in booked.values()) == ROWS

    units = units_of_the_trace()
    assert sorted(booked) == sorted(units)
    for org, entries in booked.items():
        assert [entry["seq"] for entry in entries] == list(range(1, len(entries) + 1))
        assert entries[-1]["balance"] == sum(entry["amount"] for entry in entries)
        assert entries[-1]["state"]["week"]["used"] == units[org]
    assert {head.org: head.seq for head in whole.heads.read()} == {org: len(booked[org]) for org in booked}

    again = backfill(whole, lines)
    assert (again.lines, again.replayed, again.applied, again.exit_code) == (ROWS, ROWS, 0, 0)
    assert journals(whole) == booked


def test_the_trace_cut_off_and_run_again_is_the_same(place: Place, whole: Store, lines: Path) -> None:
    cut = place("cut")
    assert backfill(cut, lines, upto=5000).applied == 5000
    rest = backfill(cut, lines)
    assert (rest.replayed, rest.applied) == (5000, ROWS - 5000)
    volatile = ("recorded_at", "prev", "hash")
    assert journals(cut, *volatile) == journals(whole, *volatile)
