"""``ledger`` as a search: by actor, reason and size, in one journal or in all of them."""

import csv
import io
import json
from collections.abc import Iterator
from itertools import islice

import pytest

from meterctl.core.errors import USAGE
from meterctl.core.model import Entry, Instant
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.search_all import LedgerSearch
from tests.acceptance.shell import Shell
from tests.desk import Desk

STORY = [
    ("2026-11-02T09:00Z", "adjust acme 500 --ref a1 --reason 'Goodwill TCK-1' --actor kim"),
    ("2026-11-03T09:00Z", "adjust bolt 50 --ref a1 --reason 'goodwill' --actor kim"),
    ("2026-11-04T09:00Z", "adjust cafe 700 --ref a1 --reason 'migration' --actor mia --expires 2026-11-10T00:00Z"),
    ("2026-11-05T09:00Z", "debit acme 20 --ref d1 --reason 'goodwill wasted' --actor kim"),
    ("2026-11-06T09:00Z", "plan publish pro --quota 5 --effective-from 2026-11-01"),
    ("2026-11-06T10:00Z", "plan assign acme pro --ref p1 --actor kim"),
]


@pytest.fixture
def story(run: Shell) -> Shell:
    for now, line in STORY:
        run.all(line, now=now)
    return run


def found(run: Shell, options: str) -> list[tuple[str, str]]:
    entries = run.doc(f"ledger --all-orgs {options}")["entries"]
    return [(entry["org"], entry["key"]) for entry in entries]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--by kim --kind adjustment", [("bolt", "adjust:a1"), ("acme", "adjust:a1")]),
        ("--by kim --all-kinds --since 2026-11-05", [("acme", "plan:p1"), ("acme", "debit:d1")]),
        ("--reason-has GOODWILL", [("acme", "debit:d1"), ("bolt", "adjust:a1"), ("acme", "adjust:a1")]),
        ("--reason-has tck- --since 2026-11-01", [("acme", "adjust:a1")]),
        ("--min 500", [("cafe", "expire:1"), ("cafe", "adjust:a1"), ("acme", "adjust:a1")]),
        ("--min 500 --until 2026-11-03", [("acme", "adjust:a1")]),
        ("--since 2026-11-04T09:00Z --kind adjustment", [("cafe", "adjust:a1")]),
        ("--limit 1", [("cafe", "expire:1")]),
        ("--by nobody", []),
    ],
)
def test_all_journals_are_searched(story: Shell, options: str, expected: list[tuple[str, str]]) -> None:
    """What is due and was not booked yet, such as the expiry here, is found too, marked as pending."""
    assert found(story, options) == expected


def test_one_journal_is_searched_by_the_same_filters(story: Shell) -> None:
    def keys(options: str) -> list[str]:
        return [entry["key"] for entry in story.doc(f"ledger acme {options}")["entries"]]

    assert keys("--by kim --min 100") == ["adjust:a1"]
    assert keys("--reason-has wasted") == ["debit:d1"]
    assert keys("--by mia") == []


def test_a_program_gets_every_entry_and_a_person_the_newest(run: Shell) -> None:
    lines = "".join(
        json.dumps({"op": "adjust", "org": f"org-{n % 3}", "units": 1, "ref": f"r{n}", "reason": "x"}) + "\n"
        for n in range(60)
    )
    run.all(f"backfill {run.file('lines.ndjson', lines)}")
    assert len(run.doc("ledger --all-orgs")["entries"]) == 20
    assert "\n 40 older entries are not shown" in run("ledger --all-orgs").out
    assert [run.doc(f"ledger --all-orgs {few}")["left_out"] for few in ("", "--limit 60", "--min 2")] == [40, 0, 0]
    assert (run.doc("ledger --all-orgs --limit 59")["left_out"], run.doc("ledger org-1")["left_out"]) == (1, 0)
    some, every = run("ledger --all-orgs -o csv --limit 5"), run("ledger --all-orgs -o csv")
    assert (len(some.out.splitlines()), some.err) == (
        6,
        "55 older entries are not shown; to see them, leave out --limit\n",
    )
    assert (len(every.out.splitlines()), every.err) == (61, "")
    assert len(run("ledger --all-orgs -o ndjson").out.splitlines()) == 60
    assert len(list(csv.DictReader(io.StringIO(run("ledger --all-orgs -o csv").out)))) == 60
    assert len(list(csv.DictReader(io.StringIO(run("ledger org-1 -o csv --limit 5").out)))) == 5
    assert len(run("ledger org-1 -o ndjson").out.splitlines()) == 20
    assert [line["org"] for line in map(json.loads, run("ledger --all-orgs -o ndjson").out.splitlines())][:21] == [
        *["org-0"] * 20,
        "org-1",
    ]


def test_the_table_names_the_orgs(story: Shell) -> None:
    shown = story("ledger --all-orgs --by kim").out.splitlines()
    assert shown[0] == "all orgs"
    assert shown[2].startswith("org ")
    assert shown[4].startswith("acme ")


@pytest.mark.parametrize("options", ["acme", "--session s1", "--ref r1", "--before 3", "--follow", "--chart"])
def test_a_search_of_all_orgs_goes_with_filters_only(story: Shell, options: str) -> None:
    answer = story(f"ledger --all-orgs {options}")
    assert (answer.code, answer.out) == (USAGE, "")


def test_a_window_has_its_own_balances(story: Shell) -> None:
    def ends(options: str) -> tuple[int, int]:
        document = story.doc(f"ledger acme {options}")
        return document["opening"], document["closing"]

    assert ends("--since 2026-11-05") == (500, 480)
    assert ends("--since 2026-11-05 --until 2026-11-05T09:00Z") == (500, 500)
    assert ends("--until 2026-11-03") == (0, 500)
    assert ends("--since 2026-12-01") == (480, 480)
    document = story.doc("ledger acme")
    assert (document["opening"], document["closing"], document["balance"]) == (None, None, 480)
    assert "balance 500 → 480" in story("ledger acme --since 2026-11-05").out


@pytest.mark.parametrize("where", ["acme", "--all-orgs", "acme --chart"])
def test_a_window_that_ends_before_it_begins_is_a_mistake(run: Shell, where: str) -> None:
    answer = run.json(f"ledger {where} --since 2026-11-16 --until 2026-11-14")
    assert (answer.code, answer.error["code"]) == (2, "usage")
    assert "--since 2026-11-16T00:00:00.000Z is not before --until 2026-11-15T00:00:00.000Z" in answer.error["message"]


def test_a_window_counts_what_is_due(story: Shell) -> None:
    document = story.doc("ledger cafe --since 2026-11-09 --until 2026-11-11")
    assert (document["opening"], document["closing"]) == (700, 0)


def test_a_search_is_a_stream() -> None:
    desk = Desk()
    entry = desk.adjust(1, "a1").entry
    assert entry is not None
    read = 0

    def scan(*, after: str = "") -> Iterator[Entry]:
        nonlocal read
        for number in range(1_000_000):
            read += 1
            yield {**entry, "org": f"org-{number}"}

    desk.store.journal.scan = scan  # type: ignore[method-assign]
    search = LedgerSearch(desk.store, desk.clock, desk.ledger.terms)
    assert len(list(islice(search.stream(LedgerQuery(limit=None)).entries, 20))) == 20
    assert read <= 21


def test_orgs_without_new_entries_are_not_read() -> None:
    desk = Desk()
    desk.adjust(1, "a1", org="old")
    desk.go("2026-11-20")
    desk.adjust(1, "a1", org="new")
    reads: list[str] = []
    real = desk.store.journal.read

    def read(org: str, *arguments: object, **more: object) -> Iterator[Entry]:
        reads.append(org)
        return real(org, *arguments, **more)  # type: ignore[arg-type]

    desk.store.journal.read = read  # type: ignore[method-assign]
    search = LedgerSearch(desk.store, desk.clock, desk.ledger.terms)
    query = LedgerQuery(since=Instant("2026-11-18T00:00:00.000Z"))
    assert [entry["org"] for entry in search.all(query)] == ["new"]
    assert reads == ["new"]
