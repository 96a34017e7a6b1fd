"""What a read costs does not depend on how much history lies around what it is asked for."""

import itertools
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.model import KINDS, Entry, Instant
from meterctl.core.ports import EntryFilter, Recorded
from meterctl.core.stores.sqlite import SqliteStore
from tests.builders import AT, make_entry, make_head

#: Entries of usage between two that do anything else.
GAP = 200

FILTERS = {
    "everything": EntryFilter(),
    "moving": EntryFilter(moving=True),
    "rare kind": EntryFilter(kinds=("debit",)),
    "common kind": EntryFilter(kinds=("usage",)),
    "common kind, moving": EntryFilter(kinds=("usage",), moving=True),
    "all kinds": EntryFilter(kinds=KINDS),
    "kinds of which there is none": EntryFilter(kinds=("plan", "reset")),
    "session": EntryFilter(session="cs_1"),
    "session, moving kinds": EntryFilter(session="cs_1", kinds=("topup", "refund"), moving=True),
}

NOON = Instant("2026-11-22T12:00:00.000Z")


def entry(seq: int) -> Entry:
    """Mostly usage within the quota; now and then a debit, and usage beyond it that crosses a threshold."""
    if seq % GAP == 0:
        return make_entry("acme", seq, kind="debit")
    if seq % GAP == 1:
        return make_entry("acme", seq, kind="usage", amount=-1, alerts=[80])
    if seq % GAP == 2 and seq < 10 * GAP:
        return make_entry("acme", seq, kind="topup", session="cs_1")
    return make_entry("acme", seq, kind="usage")


def filled(path: Path, entries: int) -> SqliteStore:
    store = SqliteStore(str(path))
    assert store.journal.append([entry(seq) for seq in range(1, entries + 1)]) == entries
    return store


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    store = filled(tmp_path_factory.mktemp("small") / "meterctl.db", 40 * GAP)
    yield store
    store.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteStore]:
    store = filled(tmp_path_factory.mktemp("large") / "meterctl.db", 160 * GAP)
    yield store
    store.close()


def steps(store: SqliteStore, call: Callable[[], Any]) -> int:
    """How many steps SQLite's machine takes for ``call``: the same on every computer."""
    store._database.rows("SELECT 1")
    connection = store._database._links[threading.get_ident()].connection
    assert connection is not None
    count = itertools.count()
    connection.set_progress_handler(lambda: next(count) * 0, 1)
    call()
    connection.set_progress_handler(None, 1)
    return next(count)


def page(store: SqliteStore, where: EntryFilter, newest_first: bool) -> list[Entry]:
    return list(itertools.islice(store.journal.read("acme", where, newest_first=newest_first), 20))


@pytest.mark.parametrize("where", FILTERS.values(), ids=list(FILTERS))
@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest_first", "newest_first"])
def test_a_page_costs_the_same_wherever_it_lies(
    small: SqliteStore, large: SqliteStore, where: EntryFilter, newest_first: bool
) -> None:
    wheres = [where, where._replace(before=15 * GAP), where._replace(after=15 * GAP), where._replace(after=39 * GAP)]
    most = max(steps(small, partial(page, small, bounded, newest_first)) for bounded in wheres)
    for bounded in (*wheres, where._replace(before=150 * GAP), where._replace(after=120 * GAP)):
        assert steps(large, partial(page, large, bounded, newest_first)) <= 1.1 * most
    assert most < 2500


def recorded_alerts(store: SqliteStore, since: Instant) -> list[Entry]:
    found = store.journal.alerts_recorded(Recorded(since, "", 0), Instant("2027-01-01T00:00:00.000Z"))
    return list(itertools.islice(found, 20))


LOOKUPS: dict[str, Callable[[SqliteStore], Any]] = {
    "tip": lambda store: store.journal.tip("acme"),
    "tips": lambda store: store.journal.tips(["acme", "nobody"]),
    "grown": lambda store: store.journal.grown({"acme": 5_000, "nobody": 0}),
    "by_keys": lambda store: store.journal.by_keys([("acme", "debit:ref-400"), ("acme", "never")]),
    "by_seq": lambda store: store.journal.by_seq("acme", 5_432),
    "orgs": lambda store: list(store.journal.orgs()),
    "scan": lambda store: list(itertools.islice(store.journal.scan(after="a"), 20)),
    "alerts": lambda store: list(itertools.islice(store.journal.alerts(NOON), 20)),
    "alerts of an org": lambda store: list(itertools.islice(store.journal.alerts(NOON, org="acme"), 20)),
    "recorded alerts": lambda store: recorded_alerts(store, AT),
    "recorded alerts, behind all": lambda store: recorded_alerts(store, NOON),
}


@pytest.mark.parametrize("lookup", LOOKUPS.values(), ids=list(LOOKUPS))
def test_a_lookup_costs_the_same_in_any_journal(
    small: SqliteStore, large: SqliteStore, lookup: Callable[[SqliteStore], Any]
) -> None:
    most = steps(small, lambda: lookup(small))
    assert steps(large, lambda: lookup(large)) <= most
    assert most < 1000


@pytest.mark.parametrize("name", FILTERS)
@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest_first", "newest_first"])
def test_no_page_is_scanned_for_or_sorted(small: SqliteStore, name: str, newest_first: bool) -> None:
    statements: list[str] = []
    connection = small._database._links[threading.get_ident()].connection
    assert connection is not None
    connection.set_trace_callback(statements.append)
    page(small, FILTERS[name], newest_first)
    connection.set_trace_callback(None)
    plan = [row[-1] for row in small._database.rows(f"EXPLAIN QUERY PLAN {statements[0]}")]
    assert any("SEARCH journal USING INDEX journal_" in step for step in plan)
    assert [step for step in plan if "SCAN" in step or "TEMP B-TREE" in step] == []


def test_what_is_due_costs_as_much_among_many_orgs_as_among_few(tmp_path: Path) -> None:
    def due_steps(orgs: int) -> int:
        store = SqliteStore(str(tmp_path / f"{orgs}.db"))
        later = "2027-01-01T00:00:00.000Z"
        store.heads.put([make_head(f"org-{number:05}", expiry=later) for number in range(orgs)])
        store.heads.put([make_head(f"org-{number:05}", 2, expiry=NOON) for number in range(orgs - 20, orgs)])
        assert len(store.heads.due(NOON)) == 20
        taken = steps(store, lambda: store.heads.due(NOON))
        store.close()
        return taken

    assert due_steps(5000) <= 1.1 * due_steps(50)


def test_a_stream_reads_no_more_than_its_page(large: SqliteStore) -> None:
    stream = large.journal.read("acme")
    first = steps(large, lambda: next(stream))
    assert steps(large, lambda: list(itertools.islice(stream, 31))) == 0, "they came with the first page"
    assert first < 1000
