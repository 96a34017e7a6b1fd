"""Packs by quantity, currency and amount; single lots; holds; dated plans and rollover; and runs taken back."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterctl.core.domain.due_events import next_due_in, next_due_of
from meterctl.core.domain.policy import Pack
from meterctl.core.model import MOST_LOTS, Claim, Entry, Overflow, Week
from meterctl.core.results import Receipt
from meterctl.core.verify import verify_all
from tests.desk import Desk

PACKS = {
    "small": Pack(1000, 500, "usd", 90, prices={"eur": 460}),
    "any": Pack(0, 0, "usd", unit_price_cents="0.7"),
    "late": Pack(30, 1, "usd", priority=90),
}


def booked(receipt: Receipt) -> Entry:
    assert receipt.entry is not None, receipt.message
    return receipt.entry


def week(desk: Desk) -> Week:
    found = desk.state().week
    assert found is not None
    return found


# packs


@pytest.mark.parametrize(
    ("given", "units", "paid", "currency"),
    [
        ({"quantity": 3}, 3000, 1500, "usd"),
        ({"quantity": 2, "tax_cents": 190}, 2000, 1190, "usd"),
        ({"currency": "eur"}, 1000, 460, "eur"),
        ({"pack": "any", "cents": 700}, 1000, 700, "usd"),
        ({"pack": "any", "cents": 833, "tax_cents": 133}, 1000, 833, "usd"),
        ({"pack": "any", "cents": 1}, 1, 1, "usd"),
    ],
)
def test_a_sale(given: dict[str, Any], units: int, paid: int, currency: str) -> None:
    desk = Desk(packs=PACKS)
    entry = booked(desk.credit("cs_1", **given))
    assert (entry["units"], entry["paid_cents"], entry["currency"]) == (units, paid, currency)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"currency": "gbp"}, "unknown_currency"),
        ({"pack": "any"}, "amount_required"),
        ({"pack": "any", "cents": 0}, "amount_required"),
        ({"quantity": 2**52}, "amount_out_of_range"),
    ],
)
def test_a_sale_that_cannot_be(given: dict[str, Any], reason: str) -> None:
    assert Desk(packs=PACKS).credit("cs_1", **given).reason == reason


def test_names_are_claimed_before_and_free_after_an_undo() -> None:
    desk = Desk()
    desk.credit("cs_1", "small", "pi_1")
    assert set(desk.store.claims.read()) == {Claim("cs_1", "acme", "cs_1"), Claim("pi_1", "acme", "cs_1")}
    assert desk.credit("in_1", "small", "pi_1", org="bolt").reason == "session_claimed"
    desk.undo(of="session:pi_1")
    assert desk.credit("in_1", "small", "pi_1", org="bolt").applied
    assert desk.credit("pi_1", org="acme").reason == "session_claimed"


def test_a_payment_whose_first_credit_crashed_is_credited_once() -> None:
    desk = Desk()
    desk.store.claims.take([Claim("pi_1", "acme", "pi_1")])
    assert desk.credit("cs_1", "small", "pi_1").applied
    assert desk.credit("pi_1").status == "replayed"
    assert verify_all(desk.store).ok


# single lots


def test_a_give_back_goes_by_the_newest_expiry_and_the_frozen_priority() -> None:
    desk = Desk(packs=PACKS)
    desk.credit("s", "late")
    desk.extend(1, "2026-11-20", "x1")
    desk.debit(30, "d")
    desk.undo(of="debit:d")
    (lot,) = desk.state().lots
    assert (lot.expires_at, lot.priority, lot.paid) == ("2026-11-20T00:00:00.000Z", 90, True)
    desk.debit(30, "e")
    desk.go("2026-11-21")
    assert booked(desk.undo(of="debit:e"))["forfeited"] == [{"lot": 1, "units": 30}]


def test_an_extended_lot_takes_its_turn() -> None:
    desk = Desk()
    desk.adjust(1, "a", expires="2026-12-01")
    desk.adjust(1, "b", expires="2026-12-02")
    desk.extend(1, "2026-12-03", "x")
    assert list(desk.lots()) == [2, 1]
    assert desk.extend(1, "2026-11-16T12:00Z", "y").reason == "expires_in_past"


@pytest.mark.parametrize("first", [None, "2026-12-31"])
def test_a_lot_expires_at_its_own_instant_behind_one_that_is_drawn_first(first: str | None) -> None:
    desk = Desk()
    desk.adjust(10, "a", priority=10, expires=first)
    desk.adjust(20, "b", expires="2026-11-20")
    assert list(desk.lots()) == [1, 2]
    assert next_due_of(desk.state()) == next_due_in(desk.tip()["state"]) == "2026-11-20T00:00:00.000Z"
    desk.go("2026-11-21")
    desk.sweep()
    expired = desk.tip()
    assert (expired["kind"], expired["at"]) == ("expiration", "2026-11-20T00:00:00.000Z")
    assert desk.lots() == {1: 10}


def test_a_lower_priority_number_is_drawn_before_a_sooner_expiry() -> None:
    desk = Desk()
    desk.adjust(10, "a", expires="2026-11-20")
    desk.adjust(10, "b", priority=10, expires="2026-12-31")
    assert booked(desk.debit(15, "d"))["draws"] == [{"lot": 2, "units": 10}, {"lot": 1, "units": 5}]


def test_unpaid_units_are_drawn_before_paid_ones_of_the_same_priority_and_expiry() -> None:
    desk = Desk()
    bought = booked(desk.credit("s"))["expires_at"]
    desk.adjust(10, "a", expires=bought)
    assert booked(desk.debit(15, "d"))["draws"] == [{"lot": 2, "units": 10}, {"lot": 1, "units": 5}]


def test_voided_units_are_not_clawed_again() -> None:
    desk = Desk()
    desk.credit("s")
    desk.void(1, "v")
    entry = booked(desk.refund("s", 500, "re"))
    assert (entry["units"], entry["forgiven"]) == (0, 1000)
    desk.reverse("re")
    desk.undo(of="void:v")
    assert booked(desk.refund("s", 500, "re2"))["units"] == 1000
    assert verify_all(desk.store).ok


def test_one_lot_gives_no_more_than_it_has() -> None:
    desk = Desk()
    desk.adjust(5, "a")
    desk.adjust(5, "b")
    assert desk.adjust(-6, "c", lot=1).reason == "insufficient_lot"
    assert desk.adjust(-6, "c", lot=9).reason == "unknown_lot"
    desk.adjust(-5, "c", lot=2)
    assert desk.lots() == {1: 5}


def test_a_thousand_lots_are_the_most() -> None:
    desk = Desk()
    for number in range(MOST_LOTS):
        desk.adjust(1, f"g{number}")
    assert desk.adjust(1, "more").reason == "too_many_lots"


def test_cents_of_the_unused_part_claw_no_more_than_it() -> None:
    desk = Desk()
    desk.credit("s")
    desk.refund("s", 100, "re_1")
    desk.debit(333, "d")
    from tests.unit.reads.test_queries import reads

    cents = reads(desk).unused_cents("acme", "s", None)
    assert cents == 233
    assert booked(desk.refund("s", cents, "re_2"))["draws"] == [{"lot": 1, "units": 466}]


# holds


def test_what_is_held_is_promised_once() -> None:
    desk = Desk()
    desk.publish("free", 100)
    desk.adjust(50, "a")
    desk.hold(120, "h1")
    assert desk.hold(31, "h2").reason == "insufficient_balance"
    for units in (31, 999):
        assert "30 available" in desk.debit(units, f"d{units}").message
    assert desk.debit(31, "d").reason == "insufficient_balance"
    assert desk.debit(30, "d").applied
    assert desk.debit(5, "e", allow_debt=True).applied
    assert desk.run("r", 90, hold="h1").applied
    assert desk.state().holds == ()
    assert desk.release("h1").status == "unchanged"


@pytest.mark.parametrize(("lasts", "reason"), [("31d", None), ("1m", None)])
def test_a_hold_runs_out_by_itself(lasts: str, reason: str | None) -> None:
    desk = Desk()
    desk.adjust(50, "a")
    assert desk.hold(50, "h", lasts).reason == reason
    desk.go("2026-12-17T12:00:00Z")
    receipt = desk.debit(50, "d")
    assert [entry["key"] for entry in receipt.also] == ["release:h"]
    assert desk.release("h").status == "unchanged"
    assert desk.hold(50, "h").status == "conflict" if lasts == "31d" else True
    assert [w.code for w in desk.run("r", 5, hold="h").warnings] == ["hold_ran_out"]


def test_holds_at_their_bounds() -> None:
    desk = Desk()
    desk.adjust(50, "a")
    from meterctl.core.domain.operations import Hold
    from meterctl.core.model import Instant

    now, far = Instant("2026-11-16T12:00:00.000Z"), Instant("2026-12-17T12:00:00.001Z")
    assert desk.do(Hold("acme", 1, "h", now)).reason == "expires_in_past"
    assert desk.do(Hold("acme", 1, "h", far)).reason == "too_far_ahead"
    assert desk.release("h").reason == "unknown_hold"
    desk.set_terms(meter_mode=False)
    assert desk.hold(1, "h").status == desk.release("h").status == "disabled"


def test_a_hold_that_ends_with_the_week_goes_before_it() -> None:
    desk = Desk()
    desk.adjust(50, "a")
    desk.run("r", 1)
    desk.hold(5, "h", "6d")
    desk.go("2026-11-24")
    desk.sweep()
    assert [entry["kind"] for entry in desk.entries()[-2:]] == ["release", "reset"]


# plans


def test_a_newly_published_version_can_be_given_to_an_open_week() -> None:
    desk = Desk()
    desk.publish("pro", 100)
    desk.assign("pro", "p1")
    desk.run("r", 50)
    assert desk.assign("pro", "p2").status == "unchanged"
    desk.publish("pro", 40)
    assert booked(desk.assign("pro", "p3"))["alerts"] == [80, 100]
    assert (week(desk).version, week(desk).quota) == (2, 40)


def test_an_assignment_at_once_calls_a_dated_one_off() -> None:
    desk = Desk()
    desk.publish("pro", 100)
    desk.assign("pro", "p1")
    desk.publish("free", 1)
    desk.assign("free", "p2", "next-week")
    assert desk.assign("free", "p3", "2026-11-23").status == "unchanged"
    assert desk.assign("pro", "p4").applied
    assert desk.state().next_plan is None
    assert desk.assign("free", "p5", "2026-11-16T12:00Z").reason == "from_in_past"
    assert desk.assign("free", "p5", "2027-11-18").reason == "too_far_ahead"


def test_the_debt_of_a_week_is_settled_by_the_plan_of_that_monday() -> None:
    desk = Desk()
    desk.publish("free", 10)
    desk.publish("pro", 500)
    desk.run("r", 60)
    desk.assign("pro", "p", "next-week")
    desk.go("2026-11-23T00:00Z")
    assert (desk.state().plan, week(desk).quota, week(desk).used, desk.balance()) == ("pro", 500, 50, 0)


# rollover


def test_unused_quota_rolls_over_in_idle_weeks_too_and_expires() -> None:
    desk = Desk()
    desk.publish("pro", 100, rollover=(30, 2))
    desk.assign("pro", "p")
    assert week(desk).used == 0, "the first week is open at once"
    desk.run("r", 80)
    desk.go("2026-11-23T12:00Z")
    assert [(lot.remaining, lot.expires_at) for lot in desk.state().lots] == [(20, "2026-12-07T00:00:00.000Z")]
    desk.go("2026-12-14T12:00Z")
    desk.sweep()
    assert [lot.remaining for lot in desk.state().lots] == [30, 30]
    assert verify_all(desk.store).ok
    desk.reset("x")
    assert desk.entries()[-1]["amount"] == 0, "a reset by hand rolls nothing over"


def test_nothing_rolls_over_beside_debt_nor_without_a_meter() -> None:
    desk = Desk()
    desk.publish("pro", 100, rollover=(30, 1))
    desk.assign("pro", "p")
    desk.debit(5, "d", allow_debt=True)
    desk.go("2026-11-24")
    desk.sweep()
    assert (desk.lots(), desk.balance()) == ({}, -5)
    desk.set_terms(meter_mode=False)
    desk.go("2026-12-01")
    assert desk.state().week is None


# runs taken back


def test_a_run_pays_what_it_made_before_what_is_owed() -> None:
    desk = Desk()
    desk.publish("free", 0)
    desk.debit(10, "d", allow_debt=True)
    desk.run("r", 30)
    desk.undo(of="run:r:main")
    assert desk.debt() == (10, 0)


def test_what_nothing_covered_is_simply_gone() -> None:
    desk = Desk(overage="absorb")
    desk.publish("free", 10)
    desk.adjust(5, "a")
    desk.run("r", 40)
    desk.undo(of="run:r:main")
    assert (week(desk).uncovered, week(desk).overflow, desk.lots()) == (0, (), {1: 5})


def test_overflow_of_one_source_is_one_part() -> None:
    desk = Desk()
    desk.publish("free", 0)
    desk.adjust(20, "a")
    for run, units in (("r", 5), ("s", 6), ("t", 12), ("u", 7)):
        desk.run(run, units)
    assert week(desk).overflow == (Overflow(1, 20), Overflow("debt", 10))


def test_a_run_of_another_cycle_stays() -> None:
    desk = Desk()
    desk.run("r", 5)
    desk.reset("x")
    assert desk.undo(of="run:r:main").reason == "week_closed"


STEPS = st.lists(
    st.tuples(st.sampled_from(["run", "debit", "grant", "forced"]), st.integers(1, 80)), min_size=0, max_size=8
)


@settings(max_examples=150, deadline=None)
@given(STEPS, STEPS, st.integers(1, 150), st.sampled_from([0, 50, 100]))
def test_an_undone_run_is_as_if_it_had_not_happened(
    before: list[tuple[str, int]], between: list[tuple[str, int]], units: int, quota: int
) -> None:
    with_run, without = Desk(), Desk()
    for desk in (with_run, without):
        desk.publish("free", quota)
        play(desk, before, "a")
    with_run.run("wrong", units)
    # Where the run left too little, the same debit would be refused: what is in between is the same for both.
    play(with_run, between, "b", force=True)
    play(without, between, "b", force=True)
    assert with_run.undo(of="run:wrong:main").applied
    one, other = with_run.state(), without.state()
    assert (one.balance, one.debt.total) == (other.balance, other.debt.total)
    assert one.week is not None
    used, breakdown = (0, {}) if other.week is None else (other.week.used, dict(other.week.breakdown))
    assert (one.week.used, dict(one.week.breakdown)) == (used, breakdown)
    if all(kind == "run" for kind, _ in between):
        assert one.debt == other.debt
        assert [lot[1:] for lot in one.lots] == [lot[1:] for lot in other.lots]
    assert verify_all(with_run.store).ok


def play(desk: Desk, steps: list[tuple[str, int]], name: str, *, force: bool = False) -> None:
    for number, (kind, units) in enumerate(steps):
        ref = f"{name}{number}"
        if kind == "run":
            desk.run(ref, units)
        elif kind == "grant":
            # Lots of every priority, some of which expire, though not while this lasts.
            desk.adjust(units, ref, priority=units % 3 * 30, expires="2027-01-01" if units % 2 else None)
        else:
            desk.debit(units, ref, allow_debt=force or kind == "forced")
