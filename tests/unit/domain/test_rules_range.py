"""Amounts at the edge of what JSON readers keep exact: refused beyond it, never wrapped."""

from collections.abc import Callable

import pytest

from meterctl.core.domain.due_events import fresh_week
from meterctl.core.domain.instants import parse
from meterctl.core.domain.policy import Pack, unpublished
from meterctl.core.domain.rules import out_of_bounds
from meterctl.core.model import EMPTY, MAX_UNITS, MOST_LOTS, Debt, Lot, State
from tests.builders import holders
from tests.desk import Desk, contents

TOO_MUCH = "amount_out_of_range"
WEEK = fresh_week("2026-W47", 1, unpublished("free", parse("2026-11-16")))


@pytest.mark.parametrize("more", [0, 1])
@pytest.mark.parametrize(
    "state",
    [
        lambda units: EMPTY._replace(lots=(Lot(1, MAX_UNITS - 1, None), Lot(2, 1 + units, None))),
        lambda units: EMPTY._replace(debt=Debt(MAX_UNITS - 1, 1 + units)),
        lambda units: EMPTY._replace(week=WEEK._replace(used=MAX_UNITS + units)),
    ],
    ids=["lots", "debt", "used"],
)
def test_l57_a_state_is_in_range_as_long_as_json_readers_keep_it_exact(
    state: Callable[[int], State], more: int
) -> None:
    after = state(more)
    refusal = out_of_bounds(EMPTY, after, after.balance)
    assert (refusal.code if refusal else None) == (TOO_MUCH if more else None)


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [(-1, 0, None), (0, 1, "too_many_lots"), (2, 2, None), (2, 1, None), (2, 3, "too_many_lots")],
)
def test_an_org_beyond_the_most_lots_can_be_booked_on_but_not_grow(before: int, after: int, reason: str | None) -> None:
    def state(more: int) -> State:
        return EMPTY._replace(lots=tuple(Lot(number + 1, 1, None) for number in range(MOST_LOTS + more)))

    refusal = out_of_bounds(state(before), state(after), MOST_LOTS + after)
    assert (refusal.code if refusal else None) == reason


@pytest.mark.parametrize(("more", "reason"), [(0, None), (1, TOO_MUCH), (MAX_UNITS, TOO_MUCH)])
def test_l57_balance(more: int, reason: str | None) -> None:
    desk = Desk()
    assert desk.adjust(MAX_UNITS, "a").applied
    if more:
        before = contents(desk.store)
        assert desk.adjust(more, "b").reason == reason
        assert contents(desk.store) == before
    assert desk.balance() == MAX_UNITS


def test_room_that_was_made_can_be_used() -> None:
    desk = Desk()
    desk.adjust(MAX_UNITS, "a")
    desk.debit(5, "d")
    assert desk.adjust(6, "b").reason == TOO_MUCH
    assert desk.adjust(5, "c").applied
    assert desk.balance() == MAX_UNITS


def test_owed() -> None:
    desk = Desk()
    assert desk.debit(MAX_UNITS, "d", allow_debt=True).applied
    assert desk.debit(1, "e", allow_debt=True).reason == TOO_MUCH
    assert desk.adjust(-1, "a", allow_debt=True).reason == TOO_MUCH
    assert desk.debt() == (MAX_UNITS, 0)


def test_owed_and_overage_together() -> None:
    desk = Desk()
    desk.debit(MAX_UNITS - 5, "d", allow_debt=True)
    assert desk.run("r", 6).reason == TOO_MUCH
    assert desk.run("s", 5).applied
    assert (desk.balance(), desk.debt()) == (-MAX_UNITS, (MAX_UNITS - 5, 5))


@pytest.mark.parametrize("overage", ["debt", "absorb"])
def test_used_in_a_week(overage: str) -> None:
    desk = Desk(overage=overage)
    desk.publish("free", MAX_UNITS)
    assert desk.run("r", MAX_UNITS).applied
    assert desk.run("s", 1).reason == TOO_MUCH
    week = desk.state().week
    assert week is not None
    assert (week.used, week.alerts) == (MAX_UNITS, (80, 100))


def test_packs() -> None:
    desk = Desk(packs={"huge": Pack(MAX_UNITS, MAX_UNITS, "usd")})
    assert desk.credit("s", "huge").applied
    assert desk.credit("t", "huge").reason == TOO_MUCH
    assert holders(desk.store) == {"s": "acme"}
    entry = desk.refund("s", MAX_UNITS - 1, "re").entry
    assert entry is not None
    assert entry["units"] == MAX_UNITS - 1
    assert desk.refund("s", 2, "re2").reason == "refund_exceeds_payment"


@pytest.mark.parametrize(
    ("cost", "reason"),
    [
        ("9007199254740.991", None),
        ("9007199254740.9919", None),
        ("9007199254740.992", TOO_MUCH),
        ("999999999999999999", TOO_MUCH),
        ("1e99", TOO_MUCH),
    ],
)
def test_units_from_costs(cost: str, reason: str | None) -> None:
    desk = Desk()
    assert desk.run("r", costs={"llm": cost}).reason == reason


def test_units_from_costs_add_up_out_of_range() -> None:
    desk = Desk()
    half = "4503599627370.496"
    assert desk.run("r", costs={"llm": half, "ocr": half}).reason == TOO_MUCH


def test_a_capped_run_is_refused_if_what_it_was_cannot_be_written_down() -> None:
    desk = Desk(max_units_per_run=10)
    assert desk.run("r", costs={"llm": "1e99"}).reason == TOO_MUCH
    entry = desk.run("s", costs={"llm": "9007199254740.991"}).entry
    assert entry is not None
    assert (entry["units"], entry["capped_from"]) == (10, MAX_UNITS)


def test_undoing_needs_room_too() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    desk.debit(10, "d")
    desk.adjust(MAX_UNITS - 9, "b")
    assert desk.undo(2).reason == TOO_MUCH
    desk.debit(1, "e")
    assert desk.undo(2).applied


def test_reversing_a_refund_needs_room_too() -> None:
    desk = Desk()
    desk.credit("s")
    desk.refund("s", 500, "re")
    desk.adjust(MAX_UNITS, "b")
    assert desk.reverse("re").reason == TOO_MUCH


def test_what_is_due_makes_room_first() -> None:
    desk = Desk()
    desk.adjust(MAX_UNITS, "a", expires="2026-11-17")
    desk.go("2026-11-17")
    assert desk.adjust(MAX_UNITS, "b").applied
