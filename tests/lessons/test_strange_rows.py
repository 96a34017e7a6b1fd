"""Rows of an SQLite file that another program wrote, or that were damaged: found, and in nobody's way."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meterctl.core.booking.checked_clock import CheckedClock
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.policy import ClockLimits
from meterctl.core.errors import StoreDamaged
from meterctl.core.model import Instant
from meterctl.core.ports import Store
from meterctl.core.stores.mongo import MongoStore
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.core.verify import verify_all
from meterctl.core.verify.doctor import Diagnosis, Doctor
from meterctl.process.clock import SystemClock
from tests.desk import Desk
from tests.stores import KINDS, made_store

LIMITS = ClockLimits(skew=300.0, jump=35 * 86_400.0)

#: By collection: rows that are not ours, though SQLite takes them.
ROWS = {
    "a head of no org": "INSERT INTO heads VALUES (x'ff', 'a', 5, 5, '{}', 'x', 3, 9, 1)",
    "a head due at no time": "INSERT INTO heads VALUES ('zz', 1, 'k', 'h', '{}', 0, 'x', NULL, '2026-13-01')",
    "a head without a state": "INSERT INTO heads SELECT 'zz', 1, 'k', 'h', '[', 0, at, at, next_due FROM heads LIMIT 1",
    "a claim of no org": "INSERT INTO claims VALUES (x'ff', x'ff', 7)",
    "a plan without ratios": "INSERT INTO plans VALUES ('gold', 1, 5, 0, 1, 'none', 'x', 'y', 'z', NULL)",
    "a plan without a name": "INSERT INTO plans VALUES (x'ff', 1, 5, 0, 1, '[]', 'x', 'y', 'z', NULL)",
    "a lock of nobody": "INSERT INTO locks VALUES (x'ff', 5, 5, 5)",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meterctl.db"


@pytest.fixture
def desk(path: Path) -> Iterator[Desk]:
    with closing(SqliteStore(str(path))) as store:
        desk = Desk(store)
        desk.credit("cs_1", "short")
        desk.credit("cs_2", "short", org="bolt")
        desk.go("2026-11-18T12:00:00Z")
        yield desk


def change(path: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as file:
        file.execute(statement, values)


def findings(desk: Desk) -> set[str]:
    diagnosis = Diagnosis("a store")
    Doctor(desk.store, desk.clock.now(), SystemClock()).look(diagnosis)
    return {check.name for check in diagnosis.checks if check.ok is False}


@pytest.mark.parametrize("row", ROWS)
def test_l104_a_strange_row_stops_nobody_and_is_found(desk: Desk, path: Path, row: str) -> None:
    change(path, ROWS[row])
    assert "documents" in findings(desk)
    swept = Sweeper(desk.ledger, "expire", "cron").all()
    assert (swept.done, swept.failed, swept.exit_code) == (2, 0, 0)
    assert desk.adjust(5, "a").applied
    assert desk.credit("cs_3").applied
    assert desk.run("r", 3).applied
    found = verify_all(desk.store).findings
    assert found
    assert {finding.org for finding in found} <= {None, "zz"}


@pytest.mark.parametrize("kind", KINDS)
def test_l104_heads_that_are_due_at_no_time_hide_no_org(kind: str, tmp_path: Path) -> None:
    """More of them than a page holds, before the orgs that are really due."""
    with made_store(kind, tmp_path) as store:
        desk = Desk(store)
        for org in ("acme", "bolt", "cord"):
            desk.credit(f"cs_{org}", "short", org=org)
        strange_heads(store, tmp_path, ["0", "1999-99-99T00:00:00.000Z", "2000", "2001"])
        at = Instant("2027-11-10T00:00:00.000Z")
        page = store.heads.due(at, limit=2)
        assert [due.org for due in page] == ["acme", "bolt"]
        rest = store.heads.due(at, after=page[-1], limit=2)
        assert [due.org for due in rest] == ["cord"]


def strange_heads(store: Store, tmp_path: Path, times: list[str]) -> None:
    if isinstance(store, MongoStore):
        heads = [{"_id": f"zz-{due}", "head": {"seq": 1, "next_due": due}} for due in times]
        store._database.heads.insert_many(heads)
        return
    for due in times:
        head = ("zz-" + due, 1, "k", "h", "{}", 0, due, None, due)
        change(tmp_path / "store" / "meterctl.db", "INSERT INTO heads VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", *head)


def test_l76_a_time_of_the_last_write_that_is_none_is_damage(desk: Desk, path: Path) -> None:
    desk.ledger = Ledger(desk.store, CheckedClock(desk.clock, desk.store.clock, LIMITS), desk.ledger.terms)
    assert desk.adjust(1, "before").applied
    change(path, "UPDATE clock SET at = 'x'")
    desk.ledger = Ledger(desk.store, CheckedClock(desk.clock, desk.store.clock, LIMITS), desk.ledger.terms)
    uses: list[Callable[[], object]] = [lambda: desk.adjust(1, "a"), lambda: Sweeper(desk.ledger, "expire", "c").all()]
    for use in uses:
        with pytest.raises(StoreDamaged, match="'x' is no time") as damaged:
            use()
        assert damaged.value.exit_code == 10
    assert desk.tip()["key"] == "adjust:before"
    assert {"file", "clock"} <= findings(desk)
    (finding,) = verify_all(desk.store).findings
    assert "'x' is no time" in finding.message
    assert desk.balance() >= 0, "reads go on"
