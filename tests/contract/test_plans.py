import threading
from concurrent.futures import ThreadPoolExecutor

from meterctl.core.model import MAX_UNITS
from meterctl.core.ports import Store
from tests.builders import make_version
from tests.stores import Connect


def test_a_version_comes_back_exactly(store: Store, connect: Connect) -> None:
    versions = [
        make_version("pro", 1, weekly_quota=MAX_UNITS, ratios={"default": "0.10", "search": "0.001"}, reason="für Zoë"),
        make_version("pro", 2, weekly_quota=0, ratios={}, reason=None),
    ]
    assert [store.plans.add(version) for version in versions] == [True, True]
    assert connect().plans.all() == versions


def test_there_are_no_plans_at_first(store: Store) -> None:
    assert store.plans.all() == []


def test_a_version_is_never_changed(store: Store) -> None:
    first = make_version("pro", 1)
    assert store.plans.add(first) is True
    assert store.plans.add(make_version("pro", 1, weekly_quota=5)) is False
    assert store.plans.add(first) is False
    assert store.plans.all() == [first]


def test_all_comes_in_order_of_plan_and_version(store: Store) -> None:
    wanted = [
        make_version(plan, version) for plan in ("Basic", "free", "pro", "pro-2") for version in (1, 2, 9, 10, 11)
    ]
    for version in reversed(wanted):
        assert store.plans.add(version)
    assert store.plans.all() == wanted


def test_a_race_for_a_version_has_one_winner(store: Store) -> None:
    barrier = threading.Barrier(8)

    def add(name: int) -> bool:
        barrier.wait(timeout=60)
        return store.plans.add(make_version("pro", 1, weekly_quota=name))

    with ThreadPoolExecutor(8) as pool:
        added = list(pool.map(add, range(8)))
    assert added.count(True) == 1
    assert store.plans.all() == [make_version("pro", 1, weekly_quota=added.index(True))]
