import pytest

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain.operations import Adjust, Attribute, Debit, Request
from meterctl.core.domain.policy import Terms
from meterctl.core.model import Instant
from meterctl.core.ports import Store
from meterctl.core.verify import verify_all
from meterctl.process.clock import FixedClock
from tests.builders import make_entries, make_head, make_version
from tests.desk import NOON
from tests.stores import Connect


def test_init_is_repeatable_and_tells_what_it_did(connect: Connect) -> None:
    store = connect()
    first = store.init()
    entries = make_entries("acme", 3)
    store.journal.append(entries)
    store.plans.add(make_version())
    second = connect().init()
    assert first
    assert second != first, "what was made the first time is found the second time"
    assert second == connect().init()
    assert list(store.journal.read("acme")) == entries
    assert store.plans.all() == [make_version()]


def test_a_store_that_was_never_made_is_empty(connect: Connect) -> None:
    store = connect()
    assert store.journal.tip("acme") is None
    assert store.journal.tips(["acme"]) == {}
    assert store.journal.by_keys([("acme", "a")]) == {}
    assert store.journal.by_seq("acme", 1) is None
    assert list(store.journal.read("acme")) == []
    assert list(store.journal.orgs()) == []
    assert store.heads.get(["acme"]) == {}
    assert store.heads.due(Instant("2026-11-22T12:00:00.000Z")) == []
    assert list(store.heads.read()) == []
    assert store.claims.holders(["cs_1"]) == {}
    assert list(store.claims.read()) == []
    assert store.plans.all() == []
    assert store.locks.all() == []


def test_uniqueness_holds_from_the_first_write_on(connect: Connect) -> None:
    store = connect()
    assert store.journal.append(make_entries("acme", 2)) == 2
    assert connect().journal.append(make_entries("acme", 3)) == 0
    store.heads.put([make_head("acme", 2)])
    store.heads.put([make_head("acme", 1)])
    assert list(store.heads.read()) == [make_head("acme", 2)]


def test_describe_names_the_store(kind: str, store: Store) -> None:
    assert store.describe().startswith("sqlite:" if kind == "sqlite" else "mongodb")


def test_close_may_be_repeated(connect: Connect) -> None:
    store = connect()
    store.init()
    store.close()
    store.close()


def test_what_is_written_together_is_there(store: Store) -> None:
    with store.together():
        assert store.journal.append(make_entries("acme", 2)) == 2
        store.heads.put([make_head("acme", 2)])
    assert len(list(store.journal.read("acme"))) == 2
    assert list(store.heads.read()) == [make_head("acme", 2)]
    with store.together():
        assert store.journal.append([*make_entries("acme", 1, first=3), *make_entries("acme", 1, first=2)]) == 1
    assert len(list(store.journal.read("acme"))) == 3


def test_what_is_written_in_one_step_is_there_whole_or_not_at_all(kind: str, store: Store) -> None:
    def write_and_fail() -> None:
        with store.together():
            store.journal.append(make_entries("acme", 2))
            store.heads.put([make_head("acme", 2)])
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    # Heads can be made again, so a store for which one step would cost more than two takes two.
    assert len(list(store.journal.read("acme"))) == (0 if kind == "sqlite" else 2)
    assert len(list(store.heads.read())) == (0 if kind == "sqlite" else 1)
    assert store.journal.append(make_entries("acme", 3, first=1 if kind == "sqlite" else 3)) == 3


def test_a_journal_of_large_numbers_is_carried_on_and_verified(store: Store) -> None:
    ledger = Ledger(store, FixedClock(Instant(NOON)), Terms())
    operations = [
        Adjust("acme", 2**50, "grant", None),
        Attribute("acme", "run-1", "main", None, 2**40, None),
        Debit("acme", 2**35, "job-1"),
    ]
    receipts = list(ledger.execute(Request(operation, "ops", "large") for operation in operations))
    assert [receipt.status for receipt in receipts] == ["applied"] * 3
    assert receipts[-1].balance == 2**50 - 2**40 - 2**35
    assert verify_all(store).findings == []
