"""Lessons about lots, runs, plans and payments by several names."""

import pytest

from meterctl.core.domain.operations import Adjust, Request
from meterctl.core.domain.policy import Pack
from meterctl.core.domain.pricing import price_run
from meterctl.core.model import MOST_LOTS, Week
from meterctl.core.verify import verify_all
from tests.desk import Desk


def test_l63_a_payment_is_credited_once_whatever_it_is_called(desk: Desk) -> None:
    desk.credit("pi_1")
    again = desk.credit("cs_1", "small", "pi_1")
    assert (again.status, again.balance) == ("replayed", 1000)
    assert desk.credit("cs_1").status == "replayed", "the second name is known from then on"
    assert desk.credit("cs_1", org="bolt").reason == "session_claimed"
    assert desk.credit("cs_2", "short", "pi_1").status == "conflict"
    assert desk.refund("cs_1", 500, "re_1").entry["session"] == "pi_1"  # type: ignore[index]
    assert verify_all(desk.store).ok


def test_l71_an_undo_names_a_key_so_it_means_the_same_after_a_restore(desk: Desk) -> None:
    desk.credit("s")
    desk.debit(200, "d2")  # booked first this time
    desk.debit(100, "d1")
    undone = desk.undo(of="debit:d1")
    assert undone.entry["amount"] == 100  # type: ignore[index]
    assert desk.undo(2, of="debit:d1").status == "replayed"
    assert desk.undo(3, of="debit:d2").reason == "entry_moved"


def test_l83_a_run_of_the_open_week_can_be_taken_back(desk: Desk) -> None:
    desk.publish("free", 100)
    desk.adjust(500, "grant")
    before = desk.state()
    desk.run("tenfold", 130)
    desk.undo(of="run:tenfold:main")
    after = desk.state()
    assert (after.balance, after.lots, after.debt) == (before.balance, before.lots, before.debt)
    assert after.week is not None
    assert (after.week.used, dict(after.week.breakdown), after.week.overflow) == (0, {}, ())
    desk.run("first", 90)
    desk.run("second", 40)
    desk.undo(of="run:first:main")
    week = desk.state().week
    assert (week and week.used, desk.balance()) == (40, 500)
    desk.go("2026-11-24")
    desk.sweep()
    late = desk.undo(of="run:second:main")
    assert late.reason == "week_closed"
    assert late.hint is not None
    assert verify_all(desk.store).ok


def test_l83_the_hint_of_a_closed_week_holds_the_adjustment(desk: Desk) -> None:
    desk.adjust(500, "grant")
    desk.run("tenfold", 130)
    desk.go("2026-11-24")
    refused = desk.undo(of="run:tenfold:main")
    assert "meterctl adjust acme +130 " in str(refused.hint)


@pytest.mark.parametrize("is_swept", [True, False])
def test_l83_the_adjustment_leaves_out_units_that_another_undo_gave_back(desk: Desk, is_swept: bool) -> None:
    desk.publish("free", 100)
    desk.adjust(500, "grant")
    for run, units in (("first", 90), ("second", 40), ("third", 20)):
        desk.run(run, units)
    desk.undo(of="run:first:main")
    assert desk.balance() == 500
    desk.go("2026-11-24")
    if is_swept:
        desk.sweep()
    nothing = desk.undo(of="run:second:main")
    assert "took 0 units" in nothing.message
    assert "nothing to make good" in str(nothing.hint)
    desk.run("fourth", 90)
    desk.run("fifth", 60)
    desk.run("sixth", 50)
    desk.undo(of="run:fourth:main")
    assert desk.balance() == 490
    desk.go("2026-12-01")
    assert "meterctl adjust acme +10 " in str(desk.undo(of="run:fifth:main").hint)


def test_l84_one_lot_is_voided_or_extended_and_no_other_touched(desk: Desk) -> None:
    desk.credit("s", "forever")
    desk.adjust(100, "promo")
    desk.void(2, "v1")
    assert desk.lots() == {1: 200}
    desk.extend(1, "2027-01-01", "x1")
    (lot,) = desk.state().lots
    assert (lot.id, lot.expires_at, lot.paid) == (1, "2027-01-01T00:00:00.000Z", True)
    assert desk.extend(2, "2027-01-01", "x2").reason == "lot_gone"
    assert desk.refund("s", 700, "re").entry["draws"] == [{"lot": 1, "units": 200}]  # type: ignore[index]


def test_l85_a_downgrade_is_dated_and_cuts_nobody_off_before(desk: Desk) -> None:
    desk.publish("free", 10)
    desk.publish("pro", 500)
    desk.assign("pro", "p1")
    desk.run("r", 100)
    desk.assign("free", "p2", "next-week")
    assert week_of(desk).quota == 500
    desk.go("2026-11-23T00:00:00Z")
    desk.run("s", 5)
    assert [(entry["kind"], entry["key"]) for entry in desk.entries()[-3:]] == [
        ("reset", "week:2026-W47"),
        ("plan", "plan-due:3"),
        ("usage", "run:s:main"),
    ]
    assert week_of(desk).quota == 10


def week_of(desk: Desk) -> Week:
    week = desk.state().week
    assert week is not None
    return week


def test_l86_a_promotion_is_spent_before_the_paid_pack(desk: Desk) -> None:
    desk.credit("s", "forever")
    desk.adjust(100, "promo")
    assert desk.debit(50, "d").entry["draws"] == [{"lot": 2, "units": 50}]  # type: ignore[index]
    desk.set_terms(packs={"late": Pack(30, 1, "usd", priority=90), "early": Pack(30, 1, "usd", priority=1)})
    desk.credit("t", "late")
    desk.credit("u", "early")
    assert list(desk.lots()) == [5, 2, 1, 4]


def test_l87_an_org_has_at_most_a_thousand_live_lots(desk: Desk) -> None:
    grants = [Request(Adjust("acme", 1, f"g{n}"), "tester", "because") for n in range(MOST_LOTS)]
    assert all(receipt.applied for receipt in desk.ledger.execute(grants))
    assert desk.adjust(1, "one-too-many").reason == "too_many_lots"
    assert desk.debit(2, "d").applied
    assert desk.adjust(1, "room-again").applied


def test_l88_a_refund_finds_its_payment_by_any_of_its_names(desk: Desk) -> None:
    desk.credit("cs_1", "small", "pi_1", "ch_1")
    for name, cents in (("ch_1", 100), ("pi_1", 100), ("cs_1", 100)):
        assert desk.refund(name, cents, f"re_{name}").applied
    assert desk.refund("ch_1", 100, "re_cs_1").status == "replayed", "by whatever name"
    too_much = desk.refund("pi_1", 201, "re_9")
    assert (too_much.reason, "at most 200 cents would do" in too_much.message) == ("refund_exceeds_payment", True)


@pytest.mark.parametrize(("per_dollar", "units"), [("1000", 200), ("1000000", 80_000)])
def test_l93_tiny_costs_are_floored_and_a_finer_unit_avoids_it(per_dollar: str, units: int) -> None:
    runs = [price_run({"llm": "0.0004"}, {}, dollars_to_units=per_dollar, run_base=1, cap=0) for _ in range(200)]
    assert sum(run.units for run in runs) == units


def test_l94_the_entry_that_takes_a_balance_below_a_level_says_so(desk: Desk) -> None:
    desk.set_terms(balance_alerts=(100, 0))
    desk.adjust(150, "grant")
    assert desk.debit(51, "d1").entry["low"] == [100]  # type: ignore[index]
    assert "low" not in desk.debit(9, "d2").entry  # type: ignore[operator]
    assert desk.debit(100, "d3", allow_debt=True).entry["low"] == [0]  # type: ignore[index]
    desk.adjust(200, "again")
    assert desk.debit(150, "d4").entry["low"] == [100]  # type: ignore[index]
    alerts = list(desk.store.journal.alerts(desk.entries()[0]["at"]))
    assert [entry["key"] for entry in alerts] == ["debit:d1", "debit:d3", "debit:d4"]
