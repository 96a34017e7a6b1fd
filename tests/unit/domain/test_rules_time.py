"""When things take effect, and what time itself brings."""

import pytest

from meterctl.core.domain.due_events import next_due_of
from meterctl.core.model import DUE_ACTOR
from tests.desk import MONDAY, NOON, Desk, booked, contents

TUESDAY = "2026-11-17T12:00:00.000Z"
NEXT_MONDAY = "2026-11-23T00:00:00.000Z"


# the time of an operation


def test_without_a_time_an_operation_takes_effect_now() -> None:
    entry = Desk().adjust(5, "a").entry
    assert entry is not None
    assert (entry["at"], entry["recorded_at"]) == (NOON, NOON)
    assert "occurred_at" not in entry


def test_a_requested_time_is_when_it_takes_effect() -> None:
    entry = Desk().adjust(5, "a", at="2026-11-01T08:00Z").entry
    assert entry is not None
    assert (entry["at"], entry["recorded_at"]) == ("2026-11-01T08:00:00.000Z", NOON)
    assert "occurred_at" not in entry


def test_l18_time_never_goes_back_and_the_entry_says_what_the_caller_said() -> None:
    desk = Desk()
    desk.adjust(5, "a")
    entry = desk.adjust(5, "b", at="2026-11-01T08:00Z").entry
    assert entry is not None
    assert (entry["at"], entry["occurred_at"]) == (NOON, "2026-11-01T08:00:00.000Z")


def test_a_clock_that_went_back_does_not_take_the_journal_with_it() -> None:
    desk = Desk()
    desk.adjust(5, "a")
    desk.go("2026-11-10T00:00Z")
    entry = desk.adjust(5, "b").entry
    assert entry is not None
    assert (entry["at"], entry["recorded_at"]) == (NOON, "2026-11-10T00:00:00.000Z")
    assert "occurred_at" not in entry


@pytest.mark.parametrize(
    ("at", "status", "reason"),
    [
        ("2026-11-16T12:04:59.999Z", "applied", None),
        ("2026-11-16T12:05:00.000Z", "applied", None),
        ("2026-11-16T12:05:00.001Z", "refused", "in_future"),
        ("2027-01-01", "refused", "in_future"),
    ],
)
def test_five_minutes_ahead_is_as_far_as_a_clock_may_run(at: str, status: str, reason: str | None) -> None:
    receipt = Desk().adjust(5, "a", at=at)
    assert (receipt.status, receipt.reason) == (status, reason)


def test_in_future_comes_before_every_other_refusal_but_after_a_replay() -> None:
    desk = Desk()
    desk.adjust(5, "a")
    late = "2026-12-01"
    assert desk.debit(99, "d", at=late).reason == "in_future"
    assert desk.credit("s", "no-such-pack", at=late).reason == "in_future"
    assert desk.sweep(at=late).reason == "in_future"
    assert desk.adjust(5, "a", at=late).status == "replayed"


# expiry


@pytest.mark.parametrize(
    ("at", "reason"),
    [("2026-11-17T11:59:59.999Z", None), (TUESDAY, "insufficient_balance"), ("2026-11-18", "insufficient_balance")],
)
def test_l03_what_expires_at_t_is_gone_at_t(at: str, reason: str | None) -> None:
    desk = Desk()
    desk.credit("s", "short")
    desk.go(at)
    assert desk.debit(100, "d").reason == reason


def test_l01_an_expiry_takes_only_what_is_left_at_its_own_instant() -> None:
    desk = Desk()
    desk.credit("s", "short")
    desk.debit(30, "d")
    desk.go("2026-11-20")
    receipt = desk.adjust(1, "a")
    (gone,) = receipt.also
    assert booked(gone) == {
        "v": 1,
        "org": "acme",
        "seq": 3,
        "key": "expire:1",
        "kind": "expiration",
        "amount": -70,
        "balance": 0,
        "at": TUESDAY,
        "actor": DUE_ACTOR,
        "reason": None,
        "input": {"op": "expire", "lot": 1},
        "lot": 1,
        "units": 70,
        "expires_at": TUESDAY,
        "state": {"lots": [], "debt": {"owed": 0, "overage": 0}, "plan": None, "week": None},
    }
    assert gone["recorded_at"] == "2026-11-20T00:00:00.000Z"


def test_l02_a_spent_lot_never_expires() -> None:
    desk = Desk()
    desk.credit("s", "short")
    desk.debit(100, "d")
    desk.credit("t", "forever")
    desk.go("2026-12-20")
    assert desk.sweep().status == "unchanged"
    assert desk.balance() == 200


def test_a_lot_that_expired_before_it_arrived_is_booked_and_goes_with_the_next_event() -> None:
    desk = Desk()
    desk.adjust(5, "a")
    topup = desk.credit("s", "short", at="2026-11-01").entry
    assert topup is not None
    assert (topup["at"], topup["expires_at"], topup["balance"]) == (NOON, "2026-11-02T00:00:00.000Z", 105)
    assert desk.balance() == 5
    receipt = desk.debit(5, "d")
    assert [(entry["key"], entry["at"], entry["amount"]) for entry in receipt.also] == [("expire:2", NOON, -100)]


def test_a_late_event_does_not_see_what_expires_after_the_journals_end() -> None:
    desk = Desk()
    desk.credit("s", "short")
    desk.go("2026-11-20")
    assert desk.debit(60, "d", at="2026-11-16T13:00Z").applied
    receipt = desk.debit(60, "e", at="2026-11-16T14:00Z")
    assert (receipt.reason, receipt.balance) == ("insufficient_balance", 0)
    assert desk.tip()["balance"] == 40


# order of due events


def test_due_events_come_in_order_of_their_own_instants() -> None:
    desk = Desk()
    desk.publish("free", 10)
    desk.adjust(10, "late", expires="2026-11-25")
    desk.adjust(20, "soon", expires="2026-11-18")
    desk.adjust(30, "monday", expires=NEXT_MONDAY)
    desk.run("r", 1)
    desk.go("2026-12-01")
    receipt = desk.sweep()
    assert receipt.status == "applied"
    assert receipt.entry is None
    assert [(entry["key"], entry["at"]) for entry in receipt.also] == [
        ("expire:2", "2026-11-18T00:00:00.000Z"),
        ("expire:3", NEXT_MONDAY),  # an expiry before the week's end where both fall together
        ("week:2026-W47", NEXT_MONDAY),
        ("expire:1", "2026-11-25T00:00:00.000Z"),
    ]


def test_lots_that_expire_together_go_in_order_of_id() -> None:
    desk = Desk()
    for ref in "abc":
        desk.adjust(1, ref, expires="2026-11-18")
    desk.go("2026-11-18")
    assert [entry["key"] for entry in desk.sweep().also] == ["expire:1", "expire:2", "expire:3"]


@pytest.mark.parametrize(
    ("now", "keys"),
    [
        ("2026-11-22T23:59:59.999Z", []),
        (NEXT_MONDAY, ["week:2026-W47"]),
    ],
)
def test_a_week_ends_at_the_monday_that_ends_it(now: str, keys: list[str]) -> None:
    desk = Desk()
    desk.run("r", 1)
    desk.go(now)
    assert [entry["key"] for entry in desk.sweep().also] == keys


def test_a_sweep_with_nothing_due_books_nothing() -> None:
    desk = Desk()
    desk.credit("s")
    before = contents(desk.store)
    receipt = desk.sweep()
    assert (receipt.status, receipt.applied, receipt.balance, receipt.entry) == ("unchanged", False, 1000, None)
    assert contents(desk.store) == before


def test_a_sweep_of_an_org_that_has_no_journal_makes_none() -> None:
    desk = Desk()
    assert desk.sweep(org="nobody").status == "unchanged"
    assert list(desk.store.journal.orgs()) == []


def test_a_refused_operation_books_not_even_due_events() -> None:
    desk = Desk()
    desk.credit("s", "short")
    desk.run("r", 1)
    desk.go("2026-12-01")
    before = contents(desk.store)
    receipt = desk.debit(1, "d")
    assert (receipt.reason, receipt.balance, receipt.also) == ("insufficient_balance", 0, ())
    assert desk.credit("s", "short").status == "replayed"
    assert desk.credit("s", "small").status == "conflict"
    assert contents(desk.store) == before


def test_an_org_without_a_week_has_none_that_ends() -> None:
    desk = Desk()
    desk.adjust(1, "a")
    assert next_due_of(desk.state()) is None
    desk.run("r", 1)
    assert next_due_of(desk.state()) == NEXT_MONDAY
    assert desk.state().week is not None
    assert MONDAY < NOON < NEXT_MONDAY
