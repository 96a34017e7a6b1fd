"""Credits, draws, debits and adjustments."""

from typing import Any

import pytest

from meterctl.core.domain.effects import apply
from meterctl.core.domain.policy import Pack
from meterctl.core.model import NO_DEBT, Kind, Lot, State
from tests.builders import holders, make_claim
from tests.desk import NOON, PACKS, Desk, booked

# packs


def test_a_topup_freezes_what_was_sold() -> None:
    desk = Desk()
    entry = desk.credit("cs_1").entry
    assert entry is not None
    assert booked(entry) == {
        "v": 1,
        "org": "acme",
        "seq": 1,
        "key": "session:cs_1",
        "kind": "topup",
        "amount": 1000,
        "balance": 1000,
        "at": NOON,
        "actor": "tester",
        "reason": "because",
        "input": {
            "op": "credit-pack",
            "pack": "small",
            "session": "cs_1",
            "paid_cents": 500,
            "quantity": 1,
            "tax_cents": 0,
            "currency": "usd",
            "expires_at": None,
        },
        "pack": "small",
        "session": "cs_1",
        "quantity": 1,
        "paid_cents": 500,
        "tax_cents": 0,
        "currency": "usd",
        "names": [],
        "lot": 1,
        "units": 1000,
        "expires_at": "2027-02-14T12:00:00.000Z",
        "repaid": {"owed": 0, "overage": 0},
        "state": {
            "lots": [{"id": 1, "remaining": 1000, "expires_at": "2027-02-14T12:00:00.000Z", "paid": True}],
            "debt": {"owed": 0, "overage": 0},
            "plan": None,
            "week": None,
        },
    }
    assert entry["prev"] == "0" * 64


def test_a_pack_without_expiry_days_never_expires() -> None:
    entry = Desk().credit("s", "forever").entry
    assert entry is not None
    assert entry["expires_at"] is None


def test_expiry_counts_from_the_purchase_not_from_the_booking() -> None:
    desk = Desk()
    desk.adjust(1, "a")
    entry = desk.credit("s", at="2026-11-10").entry
    assert entry is not None
    assert (entry["at"], entry["expires_at"]) == (NOON, "2027-02-08T00:00:00.000Z")


def test_what_was_paid_may_differ_from_the_price() -> None:
    entry = Desk().credit("s", cents=123).entry
    assert entry is not None
    assert (entry["paid_cents"], entry["input"]["paid_cents"], entry["units"]) == (123, 123, 1000)


def test_l37_a_later_config_touches_nothing_sold() -> None:
    desk = Desk()
    first = desk.credit("s").entry
    desk.set_terms(packs={"small": Pack(1, 9999, "eur", 1)})
    again = desk.credit("s")
    assert (again.status, again.entry) == ("replayed", first)
    desk.refund("s", 250, "re")
    assert desk.tip()["amount"] == -500


def test_unknown_pack() -> None:
    desk = Desk()
    assert desk.credit("s", "large").reason == "unknown_pack"
    assert list(desk.store.claims.read()) == []


# claims


def test_l10_a_session_belongs_to_one_org() -> None:
    desk = Desk()
    desk.credit("s", org="acme")
    receipt = desk.credit("s", org="bolt")
    assert (receipt.reason, receipt.balance) == ("session_claimed", 0)
    assert "acme" in receipt.message
    assert holders(desk.store) == {"s": "acme"}
    assert list(desk.store.journal.orgs()) == ["acme"]


def test_a_claim_made_before_a_crash_is_the_same_orgs_to_use() -> None:
    desk = Desk()
    desk.store.claims.take([make_claim("s", "acme")])
    assert desk.credit("s", org="bolt").reason == "session_claimed"
    assert desk.credit("s", org="acme").applied


def test_unknown_pack_is_said_before_session_claimed() -> None:
    desk = Desk()
    desk.credit("s", org="acme")
    assert desk.credit("s", "large", org="bolt").reason == "unknown_pack"


# drawing


def four_lots() -> Desk:
    """Lots 1 to 4 of 10 units: never expiring, late, soon, and soon again."""
    desk = Desk()
    for ref, expires in (("a", None), ("b", "2026-12-20"), ("c", "2026-12-10"), ("d", "2026-12-10")):
        desk.adjust(10, ref, expires=expires)
    return desk


@pytest.mark.parametrize(
    ("units", "draws"),
    [
        (1, {3: 1}),
        (10, {3: 10}),
        (11, {3: 10, 4: 1}),
        (25, {3: 10, 4: 10, 2: 5}),
        (40, {3: 10, 4: 10, 2: 10, 1: 10}),
    ],
)
def test_draw_order_is_soonest_expiry_then_lowest_id_never_last(units: int, draws: dict[int, int]) -> None:
    desk = four_lots()
    assert list(desk.lots()) == [3, 4, 2, 1]
    entry = desk.debit(units, "d").entry
    assert entry is not None
    assert entry["draws"] == [{"lot": lot, "units": taken} for lot, taken in draws.items()]
    assert entry["debt"] == {"owed": 0, "overage": 0}
    assert desk.balance() == 40 - units


# debits


def test_a_debit() -> None:
    desk = Desk()
    desk.credit("s")
    entry = desk.debit(300, "d").entry
    assert entry is not None
    assert booked(entry) == {
        "v": 1,
        "org": "acme",
        "seq": 2,
        "key": "debit:d",
        "kind": "debit",
        "amount": -300,
        "balance": 700,
        "at": NOON,
        "actor": "tester",
        "reason": "because",
        "input": {"op": "debit", "units": 300, "ref": "d", "allow_debt": False},
        "units": 300,
        "draws": [{"lot": 1, "units": 300}],
        "debt": {"owed": 0, "overage": 0},
        "state": {
            "lots": [{"id": 1, "remaining": 700, "expires_at": "2027-02-14T12:00:00.000Z", "paid": True}],
            "debt": {"owed": 0, "overage": 0},
            "plan": None,
            "week": None,
        },
    }
    assert entry["prev"] == desk.entries()[0]["hash"]


@pytest.mark.parametrize(
    ("units", "allow_debt", "reason", "balance", "owed"),
    [
        (200, False, None, 0, 0),
        (201, False, "insufficient_balance", 200, 0),
        (200, True, None, 0, 0),
        (201, True, None, -1, 1),
        (500, True, None, -300, 300),
    ],
)
@pytest.mark.parametrize("by", ["debit", "adjust"])
def test_debt_only_where_it_is_allowed(
    by: str, units: int, allow_debt: bool, reason: str | None, balance: int, owed: int
) -> None:
    desk = Desk()
    desk.credit("s", "forever")
    if by == "debit":
        receipt = desk.debit(units, "d", allow_debt=allow_debt)
    else:
        receipt = desk.adjust(-units, "d", allow_debt=allow_debt)
    assert (receipt.reason, receipt.balance, desk.balance(), desk.debt()) == (reason, balance, balance, (owed, 0))
    if receipt.entry is not None:
        assert receipt.entry["kind"] == ("debit" if by == "debit" else "adjustment")
        assert (receipt.entry["amount"], receipt.entry["debt"]) == (-units, {"owed": owed, "overage": 0})


def test_debt_grows_on_debt() -> None:
    desk = Desk()
    desk.debit(5, "d", allow_debt=True)
    assert desk.debit(1, "e").reason == "insufficient_balance"
    desk.debit(7, "f", allow_debt=True)
    assert (desk.debt(), desk.balance(), desk.lots()) == ((12, 0), -12, {})


# credits


def in_debt(owed: int, overage: int) -> Desk:
    desk = Desk()
    if owed:
        desk.debit(owed, "owed", allow_debt=True)
    if overage:
        desk.run("overage", overage)
    assert desk.debt() == (owed, overage)
    return desk


@pytest.mark.parametrize(
    ("owed", "overage", "repaid", "left"),
    [
        (0, 0, (0, 0), 200),
        (30, 0, (30, 0), 170),
        (0, 30, (0, 30), 170),
        (30, 40, (30, 40), 130),
        (150, 50, (150, 50), 0),
        (150, 60, (150, 50), 0),
        (200, 60, (200, 0), 0),
        (300, 60, (200, 0), 0),
    ],
)
@pytest.mark.parametrize("by", ["credit", "adjust"])
def test_a_credit_repays_owed_then_overage_and_the_rest_is_a_lot(
    by: str, owed: int, overage: int, repaid: tuple[int, int], left: int
) -> None:
    desk = in_debt(owed, overage)
    receipt = desk.credit("s", "forever") if by == "credit" else desk.adjust(200, "a")
    entry = receipt.entry
    assert entry is not None
    assert (entry["amount"], entry["units"], entry["lot"], entry["expires_at"]) == (200, 200, entry["seq"], None)
    assert entry["repaid"] == {"owed": repaid[0], "overage": repaid[1]}
    assert desk.debt() == (owed - repaid[0], overage - repaid[1])
    assert desk.lots() == ({entry["seq"]: left} if left else {})
    assert desk.balance() == 200 - owed - overage


# adjustments


def test_a_grant_may_expire() -> None:
    desk = Desk()
    entry = desk.adjust(5, "a", expires="2026-11-17").entry
    assert entry is not None
    assert (entry["kind"], entry["amount"], entry["expires_at"]) == ("adjustment", 5, "2026-11-17T00:00:00.000Z")
    assert "pack" not in entry
    desk.go("2026-11-17")
    assert desk.balance() == 0


def test_a_late_grant_may_have_expired_before_it_arrives() -> None:
    desk = Desk()
    desk.adjust(5, "a")
    late = desk.adjust(7, "b", at="2026-11-10", expires="2026-11-12")
    assert (late.status, late.balance, desk.balance()) == ("applied", 5, 5)
    assert [warning.code for warning in late.warnings] == ["took_effect_later", "expired_on_arrival"]
    assert desk.adjust(7, "c", at="2026-11-12", expires="2026-11-12").reason == "expires_in_past"


@pytest.mark.parametrize(
    ("expires", "at", "reason"),
    [
        (NOON, None, "expires_in_past"),
        ("2026-11-16T12:00:00.001Z", None, None),
        ("2026-11-10", "2026-11-10", "expires_in_past"),
        ("2026-11-10", "2026-11-09T23:59:59.999Z", None),
    ],
)
def test_a_grant_expires_after_it_is_given(expires: str, at: str | None, reason: str | None) -> None:
    assert Desk().adjust(5, "a", expires=expires, at=at).reason == reason


def test_l08_who_and_why_are_on_the_entry() -> None:
    desk = Desk()
    entry = desk.adjust(5, "a").entry
    assert entry is not None
    assert (entry["actor"], entry["reason"]) == ("tester", "because")


def test_packs_of_the_tests_cover_every_kind_of_expiry() -> None:
    assert {pack.expiry_days is None for pack in PACKS.values()} == {True, False}


# what is recorded is done, or cannot be


@pytest.mark.parametrize(
    ("kind", "effects"),
    [
        ("debit", {"draws": [{"lot": 1, "units": 11}]}),
        ("debit", {"draws": [{"lot": 2, "units": 1}]}),
        ("expiration", {"lot": 1, "units": 11}),
        ("reversal", {"voided": {"lot": 1, "units": 11}}),
    ],
)
def test_effects_that_take_more_than_there_is_are_an_error(kind: Kind, effects: dict[str, Any]) -> None:
    state = State((Lot(1, 10, None),), NO_DEBT, None, None)
    with pytest.raises(ValueError, match="would hold -1 units"):
        apply(state, 3, kind, effects)
