"""What no other test would miss: each of these fails when one protection is taken out."""

import threading
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import BulkWriteError

from meterctl.core.booking.head_cache import head_of
from meterctl.core.booking.journal_view import OrgView, OrgViews
from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.entries import tip_of
from meterctl.core.domain.operations import Adjust
from meterctl.core.errors import StoreUnreachable, raise_if_damaged
from meterctl.core.model import Instant
from meterctl.core.payments.payments import Giveback
from meterctl.core.payments.webhooks.feed import Feed
from meterctl.core.stores.mongo import failures
from meterctl.core.stores.mongo import journal as mongo_journal
from meterctl.core.stores.mongo.heads import MongoHeads
from meterctl.core.stores.sqlite import SqliteStore
from meterctl.core.sweep import lease
from meterctl.core.sweep.lease import KeptLock
from meterctl.core.verify import repair_heads
from tests.builders import make_claim, make_entry, make_head
from tests.desk import NOON, Desk, request, tap
from tests.journals import Scribe, check_entries, where
from tests.memory_store import MemoryStore
from tests.stores import drop_store, make_store
from tests.unit.sweep.test_sweeper import outcome, spoil, sweeper, with_due


def test_what_is_found_by_key_is_no_newer_than_the_state() -> None:
    desk, rival = Desk(tap(MemoryStore())), Desk()
    rival.store = rival.ledger.store = desk.store
    desk.adjust(1, "a")

    def booked_since(real: Any, names: Any) -> Any:
        known = real(names)
        rival.credit("s")
        rival.refund("s", 500, "re")
        return known

    desk.store.journal.on("by_keys", booked_since, times=1)  # type: ignore[attr-defined]
    receipt = desk.reverse("re")
    assert (receipt.status, receipt.reason) == ("refused", "unknown_refund")


def test_what_is_flying_counts_once_though_it_has_arrived() -> None:
    desk = Desk()
    desk.credit("s", "forever")
    view = OrgView(desk.store, "acme", desk.tip(), exact=True)
    refund = desk.refund("s", 5, "re").entry
    assert refund is not None
    view.add(refund, tip_of(refund))
    view.launch()
    assert [entry["seq"] for entry in view.of_session("s")] == [1, 2]


def test_what_is_forfeited_counts_once_though_it_has_arrived() -> None:
    desk = Desk()
    desk.credit("s", "short")
    desk.debit(40, "d")
    desk.go("2026-11-18T12:00:00Z")
    desk.sweep()
    view = OrgView(desk.store, "acme", desk.tip(), exact=True)
    back = desk.undo(2).entry
    assert back is not None
    assert back["forfeited"] == [{"lot": 1, "units": 40}]
    view.add(back, tip_of(back))
    view.launch()
    assert view.forfeited_of(1) == 40


def test_an_org_on_its_way_is_not_forgotten() -> None:
    desk = Desk()
    views = OrgViews(desk.store, most=1)
    views.load([request(Adjust("acme", 1, "a"))])
    entry = desk.adjust(1, "a").entry
    assert entry is not None
    views.of("acme").add(entry, tip_of(entry))
    views.launch(["acme"])
    views.load([request(Adjust("bolt", 1, "b"))])
    assert views.of("acme").flying == [entry]


def test_patience_is_each_chunks_own() -> None:
    desk = Desk(tap(MemoryStore()))
    desk.ledger = Ledger(desk.store, desk.clock, desk.ledger.terms, patience=0.004)
    turns = iter(range(1000))
    desk.store.journal.on("append", lambda real, entries: 0 if next(turns) % 2 == 0 else real(entries))  # type: ignore[attr-defined]
    asked = [request(Adjust("acme", 1, f"a{number}")) for number in range(20)]
    assert [receipt.status for receipt in desk.ledger.execute(asked, chunk=1)] == ["applied"] * 20


def test_due_events_of_two_clashes_are_told() -> None:
    desk = Desk(tap(MemoryStore()))
    for name in ("a", "b"):
        desk.adjust(5, name, expires="2026-11-17")
    desk.go("2026-11-18")
    desk.store.journal.on("append", lambda real, entries: real(entries[:1]), times=2)  # type: ignore[attr-defined]
    receipt = desk.adjust(1, "c")
    assert [entry["key"] for entry in receipt.also] == ["expire:1", "expire:2"]


def test_an_odd_refund_id_is_seen_to_be_reversed() -> None:
    desk = Desk()
    desk.credit("s")
    desk.refund("s", 100, "refund:1")
    desk.reverse("refund:1")
    assert desk.refund("s", 100, "refund:1").undone_by == 3


def test_l48_two_renewals_may_fail_before_a_lease_runs_out() -> None:
    assert 3 * lease.RENEW_SECONDS * 1000 <= lease.LEASE_MS == 60_000


def test_a_keeper_is_gone_when_the_lock_is_given_back() -> None:
    desk = Desk()
    acquire, entered, leave = desk.store.locks.acquire, threading.Event(), threading.Event()
    turns = iter(range(1000))

    def slow(lease: Any, now: Any) -> Any:
        if next(turns) == 1:
            entered.set()
            leave.wait(5)
        return acquire(lease, now)

    desk.store.locks.acquire = slow  # type: ignore[method-assign]
    lock = KeptLock(desk.store.locks, desk.clock, "sweep", "me", renew_seconds=0.001)
    assert lock.take() is None
    assert entered.wait(5)
    threading.Timer(0.05, leave.set).start()
    lock.release()
    leave.wait(5)
    for thread in threading.enumerate():
        if thread.name.startswith("meterctl-lock"):
            thread.join(5)
    assert desk.store.locks.all() == []


def test_an_old_head_beside_a_bad_org_stops_no_sweep() -> None:
    desk = with_due("a", "b", "c")
    old = raise_if_damaged(desk.store.heads.get(["c"])["c"])
    desk.sweep(org="c")
    desk.store.heads.replace([old])
    spoil(desk, "b", state=None)
    done = sweeper(desk).all()
    assert outcome(done) == (3, 1, 1, 1)


@pytest.mark.parametrize("kind", ["mongomock", "mongod"])
def test_orgs_are_counted_off_across_pages(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mongo_journal, "_ORGS_PAGE", 3)
    store = make_store(kind, tmp_path)
    store.init()
    try:
        orgs = [f"org-{number}" for number in range(8)]
        store.journal.append([make_entry(org) for org in orgs])
        assert list(store.journal.orgs()) == orgs
    finally:
        store.close()
        drop_store(kind, tmp_path)


@pytest.mark.parametrize("kind", ["mongomock", "mongod"])
@pytest.mark.parametrize("there", [0, 30])
def test_a_head_put_in_between_is_brought_forward(
    there: int, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(kind, tmp_path)
    store.init()
    try:
        orgs = [f"org-{number:02}" for number in range(40)]
        insert = MongoHeads._insert

        def rival_first(self: MongoHeads, heads: Any) -> list[int]:
            self._write("$max", [make_head(org, 2) for org in orgs[there:]])
            return insert(self, heads)

        store.heads.put([make_head(org, 1) for org in orgs[:there]])
        monkeypatch.setattr(MongoHeads, "_insert", rival_first)
        store.heads.put([make_head(org, 3) for org in orgs])
        assert {head.seq for head in store.heads.read()} == {3}
    finally:
        store.close()
        drop_store(kind, tmp_path)


def test_a_write_of_which_a_majority_said_nothing_is_unanswered() -> None:
    error = BulkWriteError(
        {"writeErrors": [], "writeConcernErrors": [{"code": 91, "errmsg": "the server shuts down"}], "nInserted": 1}
    )
    assert isinstance(failures.translate(error, "mongodb"), StoreUnreachable)


def test_a_rejected_entry_after_what_may_vanish_is_no_answer() -> None:
    error = BulkWriteError(
        {"writeErrors": [{"index": 1, "code": 121, "errmsg": "x"}], "writeConcernErrors": [{"code": 64, "errmsg": "y"}]}
    )
    assert failures.rejected_position(error) is None


def test_a_write_takes_the_lock_at_once_and_waits_half_a_minute(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "a.db"))
    said: list[str] = []
    with store._database._link() as (_, connection):
        connection.set_trace_callback(said.append)
        assert connection.execute("PRAGMA busy_timeout").fetchone() == (30_000,)
    store.claims.take([make_claim("cs_1", "acme")])
    assert "BEGIN IMMEDIATE" in said
    store.close()


def test_a_balance_is_an_integer(tmp_path: Path) -> None:
    store = SqliteStore(str(tmp_path / "a.db"))
    with pytest.raises(Exception, match="typeof"):
        store.journal.append([make_entry(balance=1.5)])
    store.close()


def test_a_head_that_moves_while_it_is_mended_stays() -> None:
    desk, rival = Desk(tap(MemoryStore())), Desk()
    rival.store = rival.ledger.store = desk.store
    first = desk.adjust(1, "a").entry
    assert first is not None
    desk.adjust(1, "b")
    desk.store.heads.replace([head_of(first)])

    def booked_since(real: Any, org: str) -> Any:
        tip = real(org)
        rival.adjust(1, "c")
        return tip

    desk.store.journal.on("tip", booked_since, times=1)  # type: ignore[attr-defined]
    repair_heads(desk.store)
    assert desk.store.heads.get(["acme"])["acme"].seq == 3


def test_a_refund_of_what_was_undone_is_found_by_itself() -> None:
    scribe = Scribe().topup("a", cents=1000).undo(1, 100, session="a").refund(1, "a", 1, 0)
    assert (3, 9) in where(check_entries(scribe.entries))


@pytest.mark.parametrize("kind", ["mongomock", "mongod"])
def test_an_older_head_seen_only_after_the_update_is_brought_forward(kind: str, tmp_path: Path) -> None:
    store = make_store(kind, tmp_path)
    store.init()
    try:
        orgs = [f"org-{number:02}" for number in range(40)]
        true = store.heads._heads  # type: ignore[attr-defined]

        class Between:
            def __getattr__(self, name: str) -> Any:
                return getattr(true, name)

            def update_many(self, *arguments: Any) -> Any:
                result = true.update_many(*arguments)
                store.heads._write("$max", [make_head(org, 2) for org in orgs])  # type: ignore[attr-defined]
                return result

        store.heads._heads = Between()  # type: ignore[attr-defined]
        store.heads.put([make_head(org, 3) for org in orgs])
        assert {head.seq for head in store.heads.read()} == {3}
    finally:
        store.close()
        drop_store(kind, tmp_path)


@pytest.mark.parametrize("first", [0, 1])
def test_money_that_went_outranks_the_news_that_none_did(first: int) -> None:
    given = Giveback("dp_1", "pi_1", "ch_1", 5, "usd", "given", Instant(NOON), None, is_dispute=True)
    feed = Feed()
    for item in [given, given._replace(standing="void")][:: -1 if first else 1]:
        feed.add_giveback(item)
    assert feed.givebacks["dp_1"].standing == "given"
