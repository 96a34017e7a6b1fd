"""The sweep on a store in memory: what it finds, books, counts and survives."""

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import BookDue, Request
from meterctl.core.errors import Damaged, LockHeld, StoreUnreachable, StoreUnusable, raise_if_damaged, sound
from meterctl.core.model import Entry, Instant
from meterctl.core.ports import Head, Lease
from meterctl.core.results import Sweep, SweepCommand
from meterctl.core.stores.overlay import OverlayStore
from meterctl.core.sweep import due_orgs
from meterctl.core.sweep.due_orgs import Extent, Shard
from meterctl.core.sweep.lease import KeptLock
from meterctl.core.sweep.sweeper import InFuture, Sweeper
from tests.desk import Desk, contents, tap
from tests.memory_store import MemoryJournal, MemoryStore

LATER = "2026-11-20T12:00:00.000Z"
NEXT_WEEK = "2026-11-24T12:00:00.000Z"


def sweeper(desk: Desk, command: SweepCommand = "expire", **more: Any) -> Sweeper:
    return Sweeper(desk.ledger, command, "cron", **more)


def with_due(*orgs: str, store: Any = None) -> Desk:
    """A desk at `LATER`, by when a lot of 100 units of each of ``orgs`` has expired."""
    desk = Desk(store)
    for org in orgs:
        assert desk.credit(f"cs_{org}", "short", org=org).applied
    desk.go(LATER)
    return desk


def names(count: int) -> list[str]:
    return [f"org-{number:03}" for number in range(count)]


def spoil(desk: Desk, org: str, **fields: Any) -> None:
    """Change the tip of ``org`` where it is stored."""
    journal = desk.store.journal
    assert isinstance(journal, MemoryJournal)
    tip = desk.tip(org)
    journal._texts[org][tip["seq"]] = json.dumps({**tip, **fields})


def outcome(done: Sweep) -> tuple[int, int, int, int]:
    return done.due, done.done, done.failed, done.skipped


# -- what is booked and counted


def test_everything_due_is_booked_and_counted() -> None:
    desk = Desk()
    desk.publish("free", 500)
    desk.credit("cs_1", "short", org="lots")
    desk.credit("cs_2", "short", org="lots")
    desk.debit(30, "d1", org="lots")
    desk.run("r1", 700, org="weeks")
    desk.credit("cs_3", "short", org="both", at="2026-11-16T11:00:00.000Z")
    desk.run("r2", 20, org="both")
    desk.credit("cs_4", "small", org="later")
    desk.credit("cs_5", "forever", org="never")
    desk.go(NEXT_WEEK)
    done = sweeper(desk).all()
    assert outcome(done) == (3, 3, 0, 0)
    assert (done.expired_lots, done.expired_units) == (3, 170 + 100)
    assert (done.weeks_closed, done.settled_units) == (2, 200)
    assert (done.errors, done.locked_by, done.exit_code) == ([], None, 0)
    assert [entry["kind"] for entry in desk.entries("both")] == ["topup", "usage", "expiration", "reset"]
    assert len(desk.entries("later")) == len(desk.entries("never")) == 1


def test_a_second_sweep_finds_nothing() -> None:
    desk = with_due("acme")
    sweeper(desk).all()
    before = contents(desk.store)
    assert outcome(sweeper(desk).all()) == (0, 0, 0, 0)
    assert contents(desk.store) == before


def test_one_org_is_swept_by_name() -> None:
    desk = with_due("acme", "bolt")
    done = sweeper(desk).one("acme")
    assert (outcome(done), done.expired_units, done.shard) == ((1, 1, 0, 0), 100, None)
    assert len(desk.entries("bolt")) == 1


def test_one_org_with_nothing_due_was_not_due() -> None:
    desk = with_due("acme")
    sweeper(desk).one("acme")
    assert outcome(sweeper(desk).one("acme")) == outcome(sweeper(desk).one("nobody")) == (0, 0, 0, 0)
    assert desk.entries("nobody") == []


def test_a_sweep_as_of_an_earlier_time_books_what_was_due_then() -> None:
    desk = Desk()
    desk.credit("cs_1", "short", org="first")
    desk.credit("cs_2", "short", org="second", at="2026-11-16T12:00:01.000Z")
    desk.go(LATER)
    done = sweeper(desk, at=Instant("2026-11-17T12:00:00.500Z")).all()
    assert (outcome(done), done.at) == ((1, 1, 0, 0), "2026-11-17T12:00:00.500Z")
    assert desk.tip("first")["kind"] == "expiration"
    assert desk.tip("second")["kind"] == "topup"


def test_nothing_is_booked_ahead_of_time() -> None:
    desk = Desk()
    with pytest.raises(InFuture):
        sweeper(desk, at=Instant("2026-11-16T12:05:00.001Z"))
    assert sweeper(desk, at=Instant("2026-11-16T12:05:00.000Z")).all().due == 0


def test_all_that_is_due_at_an_org_is_booked_at_once() -> None:
    desk = Desk()
    desk.publish("free", 50)
    for number, hour in enumerate((1, 2, 3)):
        desk.credit(f"cs_{number}", "short", at=f"2026-11-16T0{hour}:00:00.000Z")
    desk.run("r1", 400)
    desk.go("2026-12-08T00:00:00.000Z")
    done = sweeper(desk).all()
    # 350 units of overflow take 300 from the lots; the rest is settled with the next week, which is closed too.
    assert (outcome(done), done.expired_lots, done.weeks_closed, done.settled_units) == ((1, 1, 0, 0), 0, 2, 50)


# -- many orgs


@pytest.fixture
def small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(due_orgs, "PAGE", 4)
    monkeypatch.setattr(due_orgs, "BATCH", 6)


@pytest.mark.usefixtures("small_pages")
def test_the_orgs_of_a_page_are_booked_in_order_of_name() -> None:
    desk = Desk(tap(MemoryStore()))
    for number, org in enumerate(["c", "a", "d", "b", "f", "e"]):
        desk.credit(f"cs_{org}", "short", org=org, at=f"2026-11-16T12:00:0{number}.000Z")
    desk.go(LATER)
    appended: list[str] = []

    def watch(append: Any, entries: list[Entry]) -> Any:
        appended.extend(entry["org"] for entry in entries)
        return append(entries)

    desk.store.journal.on("append", watch)  # type: ignore[attr-defined]
    sweeper(desk).all()
    assert appended == ["a", "b", "c", "d", "e", "f"]


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("count", [3, 4, 6, 12, 25])
def test_each_org_is_booked_once_whatever_the_pages(count: int) -> None:
    desk = with_due(*names(count))
    done = sweeper(desk).all()
    assert (outcome(done), done.expired_units) == ((count, count, 0, 0), 100 * count)
    assert all(len(desk.entries(org)) == 2 for org in names(count))


@pytest.mark.usefixtures("small_pages")
def test_a_limit_takes_those_that_are_due_longest() -> None:
    desk = Desk()
    for number, org in enumerate(reversed(names(9))):
        desk.credit(f"cs_{org}", "short", org=org, at=f"2026-11-16T12:00:0{number}.000Z")
    desk.go(LATER)
    done = sweeper(desk).all(Extent(limit=5))
    assert outcome(done) == (5, 5, 0, 0)
    assert [org for org in names(9) if len(desk.entries(org)) == 2] == names(9)[4:]
    assert outcome(sweeper(desk).all(Extent(limit=5))) == (4, 4, 0, 0)


@pytest.mark.usefixtures("small_pages")
def test_shards_part_all_orgs_among_them() -> None:
    desk = with_due(*names(40))
    parts = [sweeper(desk).all(Extent(Shard(part, 3))) for part in (1, 2, 3)]
    assert sum(done.due for done in parts) == sum(done.done for done in parts) == 40
    assert min(done.done for done in parts) > 5
    assert [done.shard for done in parts] == ["1/3", "2/3", "3/3"]


def test_an_org_stays_in_its_shard_for_ever() -> None:
    # These figures may never change: shards of one sweep may run on hosts with other versions of the program.
    found = {org: next(part for part in range(1, 9) if Shard(part, 8).holds(org)) for org in ("acme", "bolt", "core-1")}
    assert found == {"acme": 7, "bolt": 8, "core-1": 3}


@pytest.mark.usefixtures("small_pages")
def test_an_org_that_comes_due_again_meanwhile_is_counted_once() -> None:
    """Another writer books a part of what is due there just after the org was listed: it comes again further on."""
    desk = Desk(tap(MemoryStore()))
    orgs = names(9)
    for org in orgs:
        desk.credit(f"cs_{org}", "short", org=org)
    desk.go("2026-11-17T00:00:00.000Z")
    for org in orgs:
        desk.credit(f"ct_{org}", "short", org=org)
    desk.go(LATER)

    def partly(tips: Any, wanted: list[str]) -> Any:
        other = Ledger(desk.store, desk.clock, desk.ledger.terms)
        assert other.one(Request(BookDue(orgs[4]), "other", at=Instant("2026-11-17T12:00:00.000Z"))).also
        return tips(wanted)

    desk.store.journal.on("tips", partly, times=1)  # type: ignore[attr-defined]
    done = sweeper(desk).all()
    assert outcome(done) == (9, 9, 0, 0)
    assert done.expired_lots == 17


def test_a_sweep_ends_where_it_is_told_to(small_pages: None) -> None:
    desk = with_due(*names(12))
    told: list[int] = []
    done = sweeper(desk).all(on_progress=lambda so_far: told.append(so_far.due), stop=lambda: len(told) >= 2)
    assert outcome(done) == (8, 8, 0, 0)
    assert told == [4, 8]


# -- orgs that fail


@pytest.mark.parametrize(
    "fields",
    [
        {"state": "garbage"},
        {"state": {}},
        {"state": {"lots": [[1, 2]], "debt": None, "plan": None, "week": None}},
        {"at": 5},
        {"seq": "two"},
    ],
    ids=["no-state", "empty-state", "odd-lots", "odd-time", "odd-seq"],
)
def test_a_bad_org_stops_no_other(fields: dict[str, Any]) -> None:
    desk = with_due("acme", "bad", "core")
    spoil(desk, "bad", **fields)
    done = sweeper(desk).all()
    assert (outcome(done), done.expired_units, done.exit_code) == ((3, 2, 1, 0), 200, 7)
    (error,) = done.errors
    assert error["org"] == "bad"
    assert "meterctl verify" in error["message"]


@pytest.mark.usefixtures("small_pages")
def test_failed_orgs_stay_due_and_are_passed_over() -> None:
    desk = with_due(*names(20))
    bad = [org for number, org in enumerate(names(20)) if number % 3 == 0]
    for org in bad:
        spoil(desk, org, state=None)
    done = sweeper(desk).all()
    assert outcome(done) == (20, 13, 7, 0)
    assert [error["org"] for error in done.errors] == bad
    assert outcome(sweeper(desk).all()) == (7, 0, 7, 0)


@pytest.mark.usefixtures("small_pages")
def test_after_so_many_errors_it_stops() -> None:
    desk = with_due(*names(24))
    for org in names(24)[1:6]:
        spoil(desk, org, state=None)
    done = sweeper(desk).all(Extent(max_errors=4))
    assert (done.failed, done.exit_code) == (5, 7)
    assert done.due < 24
    assert done.done == done.due - 5, "the pages that were begun are finished, and counted"


def test_an_org_that_the_store_refuses_an_entry_of_fails_alone() -> None:
    desk = with_due("acme", "bad", "core", store=tap(MemoryStore()))

    def reject(append: Any, entries: list[Entry]) -> Any:
        if any(entry["org"] == "bad" for entry in entries):
            raise StoreUnusable("the store does not take an entry", code="entry_rejected")
        return append(entries)

    desk.store.journal.on("append", reject)  # type: ignore[attr-defined]
    done = sweeper(desk).all()
    assert (outcome(done), done.expired_units) == ((3, 2, 1, 0), 200)
    assert done.errors == [
        {
            "org": "bad",
            "message": "cannot be booked: the store does not take an entry; check it with: meterctl verify bad",
        }
    ]


def test_an_org_that_cannot_even_be_read_fails_alone() -> None:
    desk = with_due("acme", "bad", "core", store=tap(MemoryStore()))

    def unreadable(read: Any, wanted: Any) -> Any:
        if "bad" in wanted:
            raise Damaged("not JSON", org="bad")
        return read(wanted)

    for method in ("tip", "tips"):
        desk.store.journal.on(method, unreadable)  # type: ignore[attr-defined]
    assert outcome(sweeper(desk).all()) == (3, 2, 1, 0)


@pytest.mark.parametrize("trouble", [StoreUnreachable("gone"), StoreUnusable("the disk is full")])
@pytest.mark.usefixtures("small_pages")
def test_a_store_that_fails_ends_the_sweep_with_what_is_done_counted(trouble: Exception) -> None:
    desk = with_due(*names(12), store=tap(MemoryStore()))
    desk.ledger = Ledger(desk.store, desk.clock, desk.ledger.terms, patience=0)
    appended: list[int] = []

    def break_down(append: Any, entries: list[Entry]) -> Any:
        appended.append(len(entries))
        if len(appended) > 2:
            raise trouble
        return append(entries)

    desk.store.journal.on("append", break_down)  # type: ignore[attr-defined]
    sweeping = sweeper(desk)
    with pytest.raises(type(trouble)):
        sweeping.all()
    assert outcome(sweeping.sweep) == (8, 8, 0, 0)
    assert desk.store.locks.all() == []


def test_only_so_many_errors_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("meterctl.core.sweep.sweeper.MOST_ERRORS", 2)
    desk = with_due(*names(5))
    for org in names(5):
        spoil(desk, org, state=None)
    done = sweeper(desk).all()
    assert (done.failed, len(done.errors)) == (5, 2)


# -- others at the same time


def test_what_another_writer_booked_is_skipped() -> None:
    desk = with_due("acme", "bolt", store=tap(MemoryStore()))

    def first(tips: Any, wanted: list[str]) -> Any:
        assert desk.sweep(org="acme").also
        return tips(wanted)

    desk.store.journal.on("tips", first, times=1)  # type: ignore[attr-defined]
    done = sweeper(desk).all()
    assert (outcome(done), done.expired_units) == ((2, 1, 0, 1), 100)


def test_a_head_that_is_behind_is_renewed() -> None:
    """Its writer was killed between the entry and the head: without renewal each sweep would look at the org again."""
    desk = with_due("acme")
    old = raise_if_damaged(desk.store.heads.get(["acme"])["acme"])
    desk.sweep()
    desk.store.heads.replace([old])
    assert outcome(sweeper(desk).all()) == (1, 0, 0, 1)
    assert outcome(sweeper(desk).all()) == (0, 0, 0, 0)


def test_a_head_without_a_journal_is_skipped() -> None:
    desk = with_due("acme")
    ghost: Head = raise_if_damaged(desk.store.heads.get(["acme"])["acme"])._replace(org="ghost")
    desk.store.heads.replace([ghost])
    assert outcome(sweeper(desk).all()) == (2, 1, 0, 1)


def test_a_store_that_cannot_say_what_is_due_ends_the_sweep() -> None:
    desk = with_due("acme", store=tap(MemoryStore()))

    def unusable(*_: Any, **__: Any) -> Any:
        raise StoreUnusable("not a list")

    desk.store.heads.on("due", unusable)  # type: ignore[attr-defined]
    with pytest.raises(StoreUnusable, match="not a list"):
        sweeper(desk).all()


def test_a_dry_run_counts_the_same_and_books_nothing() -> None:
    desk = with_due("acme", "bolt")
    before = contents(desk.store)
    rehearsal = Ledger(OverlayStore(desk.store, MemoryStore()), desk.clock, desk.ledger.terms, dry_run=True)
    planned = Sweeper(rehearsal, "expire", "cron").all()
    assert contents(desk.store) == before
    assert planned.dry_run
    done = sweeper(desk).all()
    assert outcome(planned) == outcome(done)
    assert (planned.expired_units, planned.errors) == (done.expired_units, [])


# -- the lock

OTHER = Lease("sweep", "other:1:abc", Instant(LATER), Instant("2026-11-20T12:01:00.000Z"))


def test_a_sweep_holds_the_lock_while_it_works() -> None:
    desk = with_due("acme")
    held: list[list[Lease]] = []
    sweeper(desk, holder="me").all(on_progress=lambda _: held.append(list(sound(desk.store.locks.all()))))
    assert held == [[Lease("sweep", "me", Instant(LATER), Instant("2026-11-20T12:01:00.000Z"))]]
    assert desk.store.locks.all() == []


def test_a_sweep_leaves_the_work_to_who_has_the_lock() -> None:
    desk = with_due("acme")
    desk.store.locks.acquire(OTHER, Instant(LATER))
    done = sweeper(desk).all()
    assert (outcome(done), done.locked_by, done.exit_code) == ((0, 0, 0, 0), OTHER.holder, 0)
    with pytest.raises(LockHeld, match="other:1:abc"):
        sweeper(desk).all(fail_if_locked=True)
    assert desk.store.locks.all() == [OTHER]
    assert len(desk.entries()) == 1


def test_the_lock_of_a_dead_process_is_taken_over() -> None:
    desk = with_due("acme")
    desk.store.locks.acquire(OTHER, Instant(LATER))
    desk.go(OTHER.expires_at)
    assert outcome(sweeper(desk).all(fail_if_locked=True)) == (1, 1, 0, 0)


def test_each_shard_has_a_lock_of_its_own() -> None:
    desk = with_due(*names(20))
    held: list[str] = []
    extent = Extent(Shard(2, 3))
    desk.store.locks.acquire(OTHER, Instant(LATER))
    done = sweeper(desk).all(
        extent, on_progress=lambda _: held.extend(lease.name for lease in sound(desk.store.locks.all()))
    )
    assert done.done > 0
    assert held == ["sweep", "sweep:2/3"]


@pytest.mark.usefixtures("small_pages")
def test_a_sweep_that_lost_its_lock_leaves_the_rest_to_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeptLock, "take", lambda _: None)
    monkeypatch.setattr(KeptLock, "release", lambda _: None)
    desk = with_due(*names(12))

    def lose(so_far: Sweep) -> None:
        monkeypatch.setattr(KeptLock, "lost_to", "other:1:abc", raising=False)

    monkeypatch.setattr(KeptLock, "__init__", lambda *_, **__: None)
    monkeypatch.setattr(KeptLock, "lost_to", None, raising=False)
    done = sweeper(desk).all(on_progress=lose)
    assert (outcome(done), done.locked_by) == ((4, 4, 0, 0), "other:1:abc")


def deaf(desk: Desk) -> Desk:
    """The same, where no lock can be given back."""

    def unreachable(_: str, __: str) -> None:
        raise StoreUnreachable("no answer to the release")

    desk.store.locks.release = unreachable  # type: ignore[assignment,method-assign]
    return desk


def test_a_sweep_is_done_although_its_lock_cannot_be_given_back() -> None:
    desk = deaf(with_due("acme"))
    done = sweeper(desk).all()
    assert (outcome(done), done.locked_by, done.exit_code) == ((1, 1, 0, 0), None, 0)
    assert len(desk.store.locks.all()) == 1
    desk.go("2026-11-20T12:01:00.000Z")
    assert sweeper(desk, holder="next").all(fail_if_locked=True).exit_code == 0


def test_what_failed_first_is_told_although_the_lock_cannot_be_given_back() -> None:
    def fail(_: Sweep) -> None:
        raise StoreUnusable("the disk is full")

    with pytest.raises(StoreUnusable, match="the disk is full"):
        sweeper(deaf(with_due("acme"))).all(on_progress=fail)


class Keeping:
    """A `KeptLock` that is renewed every few milliseconds, and its store."""

    def __init__(self) -> None:
        self.desk = Desk()
        self.turns = threading.Semaphore(0)
        self.answers: Iterator[Any] = iter(())
        acquire = self.desk.store.locks.acquire

        def watched(lease: Lease, now: Instant) -> Lease:
            answer = next(self.answers, None)
            self.turns.release()
            if isinstance(answer, Exception):
                raise answer
            return answer or acquire(lease, now)

        self.desk.store.locks.acquire = watched  # type: ignore[method-assign]
        self.lock = KeptLock(self.desk.store.locks, self.desk.clock, "sweep", "me", renew_seconds=0.005)

    def wait_for(self, turns: int) -> None:
        for _ in range(turns):
            assert self.turns.acquire(timeout=20)

    @property
    def lease(self) -> Lease:
        (lease,) = sound(self.desk.store.locks.all())
        return lease


def test_a_lock_is_renewed_in_the_background() -> None:
    keeping = Keeping()
    assert keeping.lock.take() is None
    keeping.desk.go(LATER)
    keeping.wait_for(3)
    assert keeping.lease.expires_at == "2026-11-20T12:01:00.000Z"
    assert keeping.lease.acquired_at == "2026-11-16T12:00:00.000Z"
    keeping.lock.release()
    assert keeping.desk.store.locks.all() == []


def test_a_renewal_that_fails_is_tried_again() -> None:
    keeping = Keeping()
    keeping.answers = iter([None, StoreUnreachable("gone"), StoreUnusable("full")])
    assert keeping.lock.take() is None
    keeping.wait_for(5)
    assert keeping.lock.lost_to is None
    keeping.lock.release()


def test_a_lock_that_was_taken_away_is_not_taken_back() -> None:
    keeping = Keeping()
    keeping.answers = iter([None, OTHER])
    keeping.lock.take()
    keeping.wait_for(2)
    keeping.lock.release()
    assert keeping.lock.lost_to == OTHER.holder
    assert not keeping.turns.acquire(timeout=0.05)


def test_a_lock_that_was_not_taken_is_not_given_back() -> None:
    keeping = Keeping()
    keeping.desk.go(LATER)
    keeping.desk.store.locks.acquire(OTHER, Instant(LATER))
    assert keeping.lock.take() == OTHER.holder
    keeping.lock.release()
    assert keeping.lease == OTHER


@pytest.mark.usefixtures("small_pages")
def test_exactly_so_many_errors_are_enough() -> None:
    desk = with_due(*names(24))
    for org in names(24)[1:6]:
        spoil(desk, org, state=None)
    assert sweeper(desk).all(Extent(max_errors=3)).failed == 3


def test_a_sweep_counts_holds_that_ran_out_and_plans_that_took_effect() -> None:
    desk = Desk()
    desk.adjust(500, "g1")
    desk.hold(100, "job-1")
    desk.publish("pro", 1000)
    desk.assign("pro", "p1", from_at="2026-11-18T00:00:00.000Z")
    desk.go(LATER)
    done = sweeper(desk).all()
    assert outcome(done) == (1, 1, 0, 0)
    assert (done.released_holds, done.weeks_closed, done.rolled_over_units) == (1, 0, 0)
    assert [entry["kind"] for entry in desk.entries()][-2:] == ["release", "plan"]
