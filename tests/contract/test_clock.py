from meterctl.core.booking.head_cache import head_of
from meterctl.core.domain.instants import from_millis, to_millis
from meterctl.core.model import Instant
from meterctl.core.ports import ClockMark, Lease, Store
from meterctl.process.clock import SystemClock
from tests.builders import make_entries, make_head, make_version
from tests.stores import Connect

EARLY, LATE, LATEST = (Instant(f"2026-11-{day}T12:00:00.000Z") for day in (20, 21, 22))


def test_a_server_tells_its_time_and_keeps_no_mark(kind: str, store: Store) -> None:
    if kind == "mongod":
        before, server, after = SystemClock().now(), store.clock.server_time(), SystemClock().now()
        assert server is not None
        slack = 5_000
        assert from_millis(to_millis(before) - slack) <= server <= from_millis(to_millis(after) + slack)
        store.clock.leave_mark(ClockMark(EARLY, pinned=False))
        store.journal.append(make_entries("acme", 1))
        assert store.clock.mark() is None
    elif kind == "sqlite":
        assert store.clock.server_time() is None


def test_a_file_keeps_a_mark_with_the_next_write(kind: str, store: Store, connect: Connect) -> None:
    if kind != "sqlite":
        return
    assert store.clock.mark() is None
    store.clock.leave_mark(ClockMark(LATE, pinned=False))
    assert connect().clock.mark() is None, "nothing has been written"
    store.plans.add(make_version())
    assert connect().clock.mark() == ClockMark(LATE, pinned=False)
    for mark in (ClockMark(EARLY, pinned=False), ClockMark(EARLY, pinned=True)):
        store.clock.leave_mark(mark)
        store.locks.acquire(Lease("sweep", "me", EARLY, LATE), EARLY)
        assert connect().clock.mark() == ClockMark(LATE, pinned=False), "it never goes back"
    store.clock.leave_mark(ClockMark(LATEST, pinned=True))
    store.heads.put([make_head("acme", 1)])
    assert connect().clock.mark() == ClockMark(LATEST, pinned=False), "a real clock has written"


def test_a_real_clock_takes_over_the_mark_of_a_pinned_one(kind: str, store: Store) -> None:
    if kind != "sqlite":
        return
    for mark in (ClockMark(LATEST, pinned=True), ClockMark(EARLY, pinned=False)):
        store.clock.leave_mark(mark)
        store.plans.add(make_version())
        assert store.clock.mark() == mark


def test_a_mark_is_undone_with_its_transaction(kind: str, store: Store, connect: Connect) -> None:
    if kind != "sqlite":
        return
    store.clock.leave_mark(ClockMark(LATE, pinned=False))
    try:
        with store.together():
            store.plans.add(make_version())
            raise ZeroDivisionError
    except ZeroDivisionError:
        assert connect().clock.mark() is None
    store.plans.add(make_version())
    assert connect().clock.mark() == ClockMark(LATE, pinned=False), "the next write brings it"


def test_heads_ahead_of_a_time_are_found(store: Store) -> None:
    heads = [head_of(make_entries(org, 1)[0]) for org in ("acme", "bolt", "corp", "dock")]
    times = dict(zip(("acme", "bolt", "corp", "dock"), (EARLY, LATE, LATEST, LATEST), strict=True))
    store.heads.put([head._replace(at=times[head.org]) for head in heads])
    assert store.heads.ahead(LATE, 10) == [("corp", LATEST), ("dock", LATEST)]
    assert store.heads.ahead(EARLY, 2) == [("bolt", LATE), ("corp", LATEST)]
    assert store.heads.ahead(LATEST, 10) == []
