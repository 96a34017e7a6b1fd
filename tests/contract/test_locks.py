import threading
from concurrent.futures import ThreadPoolExecutor

from meterctl.core.model import Instant
from meterctl.core.ports import Lease, Store
from tests.stores import Connect


def instant(second: int) -> Instant:
    return Instant(f"2026-11-22T10:00:{second:02}.000Z")


MARCH = Instant("2027-03-10T10:01:00.000Z")


def lease(holder: str, start: int, end: int, *, name: str = "sweep") -> Lease:
    return Lease(name, holder, instant(start), instant(end))


def test_a_free_lock_is_taken(store: Store, connect: Connect) -> None:
    wanted = lease("one", 0, 30)
    assert store.locks.acquire(wanted, instant(0)) == wanted
    assert connect().locks.all() == [wanted]


def test_a_held_lock_stays_with_its_holder(store: Store, connect: Connect) -> None:
    held = lease("one", 0, 30)
    store.locks.acquire(held, instant(0))
    assert connect().locks.acquire(lease("two", 29, 59), instant(29)) == held
    assert store.locks.all() == [held]


def test_a_holder_renews_its_lease(store: Store) -> None:
    store.locks.acquire(lease("one", 0, 30), instant(0))
    assert store.locks.acquire(lease("one", 20, 50), instant(20)) == lease("one", 0, 50)
    assert store.locks.acquire(lease("two", 40, 59), instant(40)) == lease("one", 0, 50)


def test_an_expired_lease_is_taken_over(store: Store) -> None:
    store.locks.acquire(lease("one", 0, 30), instant(0))
    assert store.locks.acquire(lease("two", 30, 59), instant(30)) == lease("two", 30, 59)
    assert store.locks.acquire(lease("one", 31, 58), instant(31)) == lease("two", 30, 59)
    assert store.locks.release("sweep", "one") is False


def test_a_lease_that_a_fast_clock_dated_is_taken_over(store: Store) -> None:
    store.locks.acquire(Lease("sweep", "fast", Instant("2027-03-10T10:00:00.000Z"), MARCH), MARCH)
    mine = lease("mine", 0, 30)
    assert store.locks.acquire(mine, instant(0)) == mine
    assert store.locks.release("sweep", "fast") is False


def test_clocks_of_holders_may_differ_by_seconds(store: Store) -> None:
    held = lease("one", 5, 35)
    store.locks.acquire(held, instant(5))
    assert store.locks.acquire(lease("two", 0, 30), instant(0)) == held
    assert not held.is_over(instant(0), 30_000)
    later = lease("one", 6, 36, name="other")
    store.locks.acquire(later, instant(6))
    assert later.is_over(instant(0), 30_000)
    assert store.locks.acquire(lease("two", 0, 30, name="other"), instant(0)).holder == "two"


def test_a_released_lock_is_free(store: Store) -> None:
    store.locks.acquire(lease("one", 0, 30), instant(0))
    assert store.locks.release("sweep", "one") is True
    assert store.locks.all() == []
    assert store.locks.acquire(lease("two", 1, 31), instant(1)) == lease("two", 1, 31)


def test_only_the_holder_releases(store: Store) -> None:
    held = lease("one", 0, 30)
    store.locks.acquire(held, instant(0))
    assert store.locks.release("sweep", "two") is False
    assert store.locks.release("other", "one") is False
    assert store.locks.all() == [held]


def test_all_shows_every_lock_by_name(store: Store) -> None:
    locks = [lease(f"holder-{name}", 0, 1, name=name) for name in ("a", "b", "c")]
    for one in reversed(locks):
        store.locks.acquire(one, instant(0))
    assert store.locks.all() == locks, "expired ones are shown too"


def test_a_race_for_a_lock_has_one_winner(store: Store) -> None:
    barrier = threading.Barrier(8)

    def acquire(name: int) -> Lease:
        barrier.wait(timeout=60)
        return store.locks.acquire(lease(f"worker-{name}", 0, 30), instant(0))

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(acquire, range(8)))
    assert answers == set(store.locks.all())
    assert len(answers) == 1


def test_a_race_for_an_expired_lock_has_one_winner(store: Store) -> None:
    store.locks.acquire(lease("dead", 0, 10), instant(0))
    barrier = threading.Barrier(8)

    def acquire(name: int) -> Lease:
        barrier.wait(timeout=60)
        return store.locks.acquire(lease(f"worker-{name}", 20, 50), instant(20))

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(acquire, range(8)))
    assert answers == set(store.locks.all())
    assert len(answers) == 1
