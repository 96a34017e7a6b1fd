"""Refunds and their reversals: units clawed for money given back."""

import pytest

from meterctl.core.domain.policy import Pack
from tests.desk import NOON, Desk, booked


def sold(units: int, cents: int, days: int | None = 90) -> Desk:
    """A desk where session ``s`` bought a pack of that size, as lot 1."""
    desk = Desk(packs={"pack": Pack(units, cents, "usd", days), "other": Pack(100, 100, "usd", 10)})
    assert desk.credit("s", "pack").applied
    return desk


def clawed(desk: Desk) -> list[tuple[int, int]]:
    """Units clawed and forgiven by each refund."""
    return [(entry["units"], entry["forgiven"]) for entry in desk.entries() if entry["kind"] == "refund"]


# how many units


def test_a_refund() -> None:
    desk = sold(1000, 500)
    entry = desk.refund("s", 125, "re_1").entry
    assert entry is not None
    assert booked(entry) == {
        "v": 1,
        "org": "acme",
        "seq": 2,
        "key": "refund:re_1",
        "kind": "refund",
        "amount": -250,
        "balance": 750,
        "at": NOON,
        "actor": "tester",
        "reason": "because",
        "input": {"op": "refund", "session": "s", "cents": 125, "refund_id": "re_1"},
        "session": "s",
        "refund_id": "re_1",
        "cents": 125,
        "currency": "usd",
        "lot": 1,
        "units": 250,
        "forgiven": 0,
        "draws": [{"lot": 1, "units": 250}],
        "debt": {"owed": 0, "overage": 0},
        "state": {
            "lots": [{"id": 1, "remaining": 750, "expires_at": "2027-02-14T12:00:00.000Z", "paid": True}],
            "debt": {"owed": 0, "overage": 0},
            "plan": None,
            "week": None,
        },
    }


@pytest.mark.parametrize(
    ("units", "paid", "cents", "clawbacks"),
    [
        (1000, 500, [500], [1000]),
        (1000, 300, [100, 100, 100], [333, 334, 333]),
        (100, 300, [1, 1, 1], [0, 1, 0]),
        (1, 2, [1, 1], [1, 0]),
        (3, 2, [1, 1], [2, 1]),
        (7, 10, [1] * 10, [1, 0, 1, 1, 1, 0, 1, 1, 0, 1]),
        (10, 1, [1], [10]),
    ],
)
def test_l35_partial_refunds_add_up_exactly(units: int, paid: int, cents: list[int], clawbacks: list[int]) -> None:
    desk = sold(units, paid)
    for number, part in enumerate(cents):
        assert desk.refund("s", part, f"re_{number}").applied
    assert [units for units, _ in clawed(desk)] == clawbacks
    assert desk.balance() == units - sum(clawbacks)


def test_a_refund_that_rounds_to_no_units_is_booked_for_its_cents() -> None:
    desk = sold(1, 100)
    entry = desk.refund("s", 49, "re").entry
    assert entry is not None
    assert (entry["amount"], entry["units"], entry["draws"], entry["cents"]) == (0, 0, [], 49)
    assert desk.refund("s", 52, "re2").reason == "refund_exceeds_payment"
    assert desk.refund("s", 1, "re3").applied
    assert clawed(desk) == [(0, 0), (1, 0)]


def test_l33_equal_refunds_of_different_ids_are_different() -> None:
    desk = sold(1000, 500)
    assert desk.refund("s", 100, "a").applied
    assert desk.refund("s", 100, "b").applied
    assert desk.balance() == 600


def test_l34_the_same_refund_twice_is_one() -> None:
    desk = sold(1000, 500)
    desk.refund("s", 500, "a")
    assert desk.refund("s", 500, "a").status == "replayed"
    assert desk.refund("s", 400, "a").status == "conflict"


# refusals, the most basic first


def test_unknown_session() -> None:
    desk = sold(1000, 500)
    assert desk.refund("nope", 1, "a").reason == "unknown_session"
    assert desk.refund("s", 1, "a", org="bolt").reason == "unknown_session"


@pytest.mark.parametrize(("cents", "reason"), [(500, None), (501, "refund_exceeds_payment")])
def test_no_more_than_was_paid(cents: int, reason: str | None) -> None:
    assert sold(1000, 500).refund("s", cents, "a").reason == reason


@pytest.mark.parametrize(("cents", "reason"), [(200, None), (201, "refund_exceeds_payment")])
def test_l40_all_refunds_and_disputes_of_a_session_count(cents: int, reason: str | None) -> None:
    desk = sold(1000, 500)
    desk.refund("s", 300, "re_1")
    assert desk.refund("s", cents, "dp_1").reason == reason


def test_nothing_can_be_refunded_where_nothing_was_paid() -> None:
    assert sold(50, 0).refund("s", 1, "a").reason == "refund_exceeds_payment"


def test_undone_comes_before_exceeds() -> None:
    desk = sold(1000, 500)
    desk.undo(1)
    assert desk.refund("s", 1, "a").reason == "undone"
    assert desk.refund("s", 9999, "b").reason == "undone"


# where they are taken from


def test_own_lot_first_then_draw_order_then_owed() -> None:
    desk = sold(1000, 500)
    desk.credit("o", "other")  # lot 2 expires sooner: debits draw on it first
    desk.adjust(50, "never")  # lot 3
    desk.debit(800, "d")  # 100 of lot 2, 700 of lot 1
    desk.credit("p", "other")  # lot 5
    assert desk.lots() == {5: 100, 1: 300, 3: 50}
    entry = desk.refund("s", 500, "re").entry
    assert entry is not None
    assert entry["draws"] == [{"lot": 1, "units": 300}, {"lot": 5, "units": 100}, {"lot": 3, "units": 50}]
    assert entry["debt"] == {"owed": 550, "overage": 0}
    assert (entry["amount"], desk.balance(), desk.debt(), desk.lots()) == (-1000, -550, (550, 0), {})


def test_its_own_lot_is_taken_before_one_that_expires_sooner() -> None:
    desk = sold(1000, 500)
    desk.credit("o", "other")
    entry = desk.refund("s", 50, "re").entry
    assert entry is not None
    assert entry["draws"] == [{"lot": 1, "units": 100}]
    assert desk.lots() == {2: 100, 1: 900}


def test_a_pack_that_went_into_debt_is_owed_again_when_refunded() -> None:
    desk = Desk(packs={"pack": Pack(100, 100, "usd")})
    desk.debit(80, "d", allow_debt=True)
    desk.credit("s", "pack")
    entry = desk.refund("s", 100, "re").entry
    assert entry is not None
    assert (entry["draws"], entry["debt"]) == ([{"lot": 2, "units": 20}], {"owed": 80, "overage": 0})


# what is gone already


def test_l05_expired_units_are_not_clawed_twice() -> None:
    desk = sold(100, 100, days=1)
    desk.debit(30, "d")
    desk.go("2026-11-20")
    entry = desk.refund("s", 100, "re").entry
    assert entry is not None
    assert (entry["units"], entry["forgiven"], entry["debt"]) == (30, 70, {"owed": 30, "overage": 0})
    assert desk.balance() == -30


def test_a_refund_of_a_pack_that_expired_whole_claws_nothing() -> None:
    desk = sold(100, 100, days=1)
    desk.go("2026-11-20")
    entry = desk.refund("s", 100, "re").entry
    assert entry is not None
    assert (entry["amount"], entry["units"], entry["forgiven"]) == (0, 0, 100)


def test_partial_refunds_after_expiry_claw_first_and_forgive_last() -> None:
    desk = sold(100, 100, days=1)
    desk.debit(30, "d")
    desk.go("2026-11-20")
    for number in range(4):
        desk.refund("s", 25, f"re_{number}")
    assert clawed(desk) == [(25, 0), (5, 20), (0, 25), (0, 25)]


def test_a_refund_before_the_expiry_leaves_less_to_expire() -> None:
    desk = sold(100, 100, days=1)
    desk.refund("s", 40, "re")
    desk.go("2026-11-20")
    desk.sweep()
    assert desk.tip()["amount"] == -60
    assert desk.refund("s", 60, "re2").applied
    assert clawed(desk) == [(40, 0), (0, 60)]


def test_forfeited_units_are_not_clawed() -> None:
    desk = sold(100, 100, days=1)
    desk.debit(30, "d")
    desk.go("2026-11-20")
    desk.undo(2)  # 70 have expired, the 30 that come back are forfeited
    assert desk.tip()["forfeited"] == [{"lot": 1, "units": 30}]
    desk.refund("s", 100, "re")
    assert clawed(desk) == [(0, 100)]


def test_only_what_the_own_lot_forfeited_counts() -> None:
    desk = sold(100, 100, days=1)
    desk.credit("o", "other")
    desk.debit(150, "d")  # 100 of lot 1, 50 of lot 2
    desk.go("2026-11-20")
    desk.undo(3)
    assert desk.tip()["forfeited"] == [{"lot": 1, "units": 100}]
    desk.refund("o", 100, "re")
    assert clawed(desk) == [(100, 0)]


# reversals


def test_a_reversal() -> None:
    desk = sold(1000, 500)
    desk.refund("s", 125, "re_1")
    entry = desk.reverse("re_1").entry
    assert entry is not None
    assert booked(entry) == {
        "v": 1,
        "org": "acme",
        "seq": 3,
        "key": "refund-reversal:re_1",
        "kind": "reversal",
        "amount": 250,
        "balance": 1000,
        "at": NOON,
        "actor": "tester",
        "reason": "because",
        "input": {"op": "reverse-refund", "refund_id": "re_1"},
        "session": "s",
        "refund_id": "re_1",
        "cents": 125,
        "currency": "usd",
        "reverses": 2,
        "repaid": {"owed": 0, "overage": 0},
        "restored": [{"lot": 1, "units": 250, "expires_at": "2027-02-14T12:00:00.000Z", "paid": True}],
        "forfeited": [],
        "state": {
            "lots": [{"id": 1, "remaining": 1000, "expires_at": "2027-02-14T12:00:00.000Z", "paid": True}],
            "debt": {"owed": 0, "overage": 0},
            "plan": None,
            "week": None,
        },
    }


def test_unknown_refund() -> None:
    desk = sold(1000, 500)
    desk.refund("s", 100, "re")
    assert desk.reverse("other").reason == "unknown_refund"
    assert desk.reverse("re", org="bolt").reason == "unknown_refund"


def test_l39_a_refund_is_reversed_once() -> None:
    desk = sold(1000, 500)
    desk.refund("s", 100, "re")
    assert desk.reverse("re").applied
    assert desk.reverse("re").status == "replayed"
    again = desk.refund("s", 100, "re")
    assert (again.status, again.undone_by, desk.balance()) == ("replayed", 3, 1000)


def test_reversed_cents_do_not_count_any_more() -> None:
    desk = sold(1000, 500)
    desk.refund("s", 400, "a")
    assert desk.refund("s", 200, "b").reason == "refund_exceeds_payment"
    desk.reverse("a")
    desk.refund("s", 500, "c")
    assert clawed(desk) == [(800, 0), (1000, 0)]
    assert desk.balance() == 0


def test_l38_exactly_what_was_clawed_comes_back() -> None:
    desk = sold(7, 10)
    for number in range(10):
        desk.refund("s", 1, f"re_{number}")
    for number in range(10):
        desk.reverse(f"re_{number}")
    assert desk.lots() == {1: 7}


def test_a_reversal_gives_nothing_back_of_what_was_forgiven() -> None:
    desk = sold(100, 100, days=1)
    desk.debit(30, "d")
    desk.go("2026-11-20")
    desk.refund("s", 100, "re")  # 30 owed, 70 forgiven
    desk.reverse("re")
    assert (desk.balance(), desk.debt()) == (0, (0, 0))


def test_a_reversal_brings_back_an_empty_lot_with_its_own_expiry() -> None:
    desk = sold(100, 100)
    desk.refund("s", 100, "re")
    assert desk.lots() == {}
    desk.reverse("re")
    (lot,) = desk.state().lots
    assert lot == (1, 100, "2027-02-14T12:00:00.000Z", 50, True)


@pytest.mark.parametrize(("now", "back"), [("2026-11-17T11:59:59.999Z", 100), ("2026-11-17T12:00:00.000Z", 0)])
def test_what_expired_meanwhile_stays_gone(now: str, back: int) -> None:
    desk = sold(100, 100, days=1)
    desk.refund("s", 100, "re")
    desk.go(now)
    entry = desk.reverse("re").entry
    assert entry is not None
    assert (entry["amount"], desk.tip()["balance"]) == (back, back)
    assert entry["forfeited"] == ([] if back else [{"lot": 1, "units": 100}])


def test_a_refund_after_a_reversal_that_forfeited_claws_nothing_twice() -> None:
    desk = sold(100, 100, days=1)
    desk.refund("s", 40, "a")
    desk.go("2026-11-20")  # 60 expire
    desk.reverse("a")  # 40 forfeited
    desk.refund("s", 100, "b")
    assert clawed(desk) == [(40, 0), (0, 100)]
    assert desk.balance() == 0


def test_parts_add_up_even_when_one_of_them_was_taken_back() -> None:
    """Of 1 unit for 2 cents the first cent rounds up to the unit, the second to nothing."""
    desk = sold(1, 2)
    desk.refund("s", 1, "re_1")
    desk.refund("s", 1, "re_2")
    desk.reverse("re_1")
    assert desk.balance() == 1
    again = desk.refund("s", 1, "re_3").entry
    assert again is not None
    assert (again["units"], desk.balance()) == (1, 0)
