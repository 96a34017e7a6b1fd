"""Giving back what an entry took, and taking back what it gave."""

from typing import Any

import pytest

from meterctl.core.domain.operations import Adjust, CreditPack, Debit
from meterctl.core.domain.policy import Pack
from meterctl.core.model import Entry, Overflow, Week
from tests.builders import holders
from tests.desk import NOON, Desk, booked, contents


def undone(desk: Desk, seq: int, **more: Any) -> Entry:
    entry = desk.undo(seq, **more).entry
    assert entry is not None
    of = desk.entries()[seq - 1]["key"]
    assert (entry["kind"], entry["reverses"], entry["key"]) == ("reversal", seq, f"undo:{of}")
    return entry


# what can be undone


def test_undoing_a_debit() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    desk.debit(4, "d")
    assert booked(undone(desk, 2)) == {
        "v": 1,
        "org": "acme",
        "seq": 3,
        "key": "undo:debit:d",
        "kind": "reversal",
        "amount": 4,
        "balance": 10,
        "at": NOON,
        "actor": "tester",
        "reason": "because",
        "input": {"op": "undo", "of": "debit:d"},
        "reverses": 2,
        "repaid": {"owed": 0, "overage": 0},
        "restored": [{"lot": 1, "units": 4, "expires_at": None}],
        "forfeited": [],
        "state": {
            "lots": [{"id": 1, "remaining": 10, "expires_at": None}],
            "debt": {"owed": 0, "overage": 0},
            "plan": None,
            "week": None,
        },
    }


def test_undoing_a_negative_adjustment() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    desk.adjust(-4, "b")
    assert undone(desk, 2)["amount"] == 4
    assert desk.lots() == {1: 10}


def test_undoing_a_topup() -> None:
    desk = Desk()
    desk.credit("s")
    entry = undone(desk, 1)
    assert (entry["amount"], entry["voided"], entry["session"]) == (-1000, {"lot": 1, "units": 1000}, "s")
    assert desk.lots() == {}


def test_undoing_a_grant() -> None:
    desk = Desk()
    desk.adjust(10, "a", expires="2026-12-01")
    entry = undone(desk, 1)
    assert (entry["amount"], entry["voided"], entry.get("session")) == (-10, {"lot": 1, "units": 10}, None)
    assert desk.lots() == {}


def test_unknown_entry() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    assert desk.undo(2).reason == "unknown_entry"
    assert desk.undo(1, org="bolt").reason == "unknown_entry"


def test_everything_else_is_not_undoable() -> None:
    desk = Desk()
    desk.publish("free", 10)
    desk.publish("pro", 100)
    desk.credit("s")
    desk.refund("s", 100, "re")
    desk.reverse("re")
    desk.run("r", 1)
    desk.assign("pro", "p")
    desk.reset("x")
    desk.adjust(5, "a", expires="2026-11-17")
    desk.go("2026-11-30")
    desk.sweep()
    desk.debit(1, "d")
    desk.undo(10)
    kinds = {entry["seq"]: entry["kind"] for entry in desk.entries()}
    assert kinds == {
        1: "topup", 2: "refund", 3: "reversal", 4: "usage", 5: "plan", 6: "reset", 7: "adjustment", 8: "expiration",
        9: "reset", 10: "debit", 11: "reversal",
    }  # fmt: skip
    before = contents(desk.store)
    for seq in (2, 3, 5, 6, 8, 9, 11):
        receipt = desk.undo(seq)
        assert receipt.reason == "not_undoable"
        assert kinds[seq] in receipt.message
    assert contents(desk.store) == before


# once, and for ever


def test_an_undone_operation_stays_done_when_repeated() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    desk.debit(4, "d")
    undone(desk, 2)
    again = desk.debit(4, "d")
    assert (again.status, again.undone_by, again.balance) == ("replayed", 3, 10)
    assert again.entry == desk.entries()[1]
    assert desk.undo(2).status == "replayed"
    other = desk.debit(5, "d")
    assert (other.status, other.undone_by) == ("conflict", 3)
    untouched = desk.adjust(10, "a")
    assert (untouched.status, untouched.undone_by) == ("replayed", None)


@pytest.mark.parametrize("kind", ["topup", "grant", "debit", "taken"])
def test_replays_of_every_kind_say_undone_by(kind: str) -> None:
    desk = Desk()
    desk.adjust(10, "start")
    operation = {
        "topup": CreditPack("acme", "small", "s"),
        "grant": Adjust("acme", 3, "g"),
        "debit": Debit("acme", 3, "d"),
        "taken": Adjust("acme", -3, "t"),
    }[kind]
    assert desk.do(operation).applied
    undone(desk, 2)
    again = desk.do(operation)
    assert (again.status, again.undone_by) == ("replayed", 3)


# giving back


def test_lots_reopen_with_their_own_id_and_expiry() -> None:
    desk = Desk()
    desk.adjust(10, "a", expires="2026-12-01")
    desk.adjust(10, "b")
    desk.debit(15, "d")
    entry = undone(desk, 3)
    assert entry["restored"] == [
        {"lot": 1, "units": 10, "expires_at": "2026-12-01T00:00:00.000Z"},
        {"lot": 2, "units": 5, "expires_at": None},
    ]
    assert [lot[:3] for lot in desk.state().lots] == [(1, 10, "2026-12-01T00:00:00.000Z"), (2, 10, None)]


def test_the_debt_part_pays_todays_debt_first() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    desk.debit(25, "d", allow_debt=True)  # 10 drawn, 15 owed
    entry = undone(desk, 2)
    assert (entry["amount"], entry["repaid"]) == (25, {"owed": 15, "overage": 0})
    assert entry["restored"] == [{"lot": 1, "units": 10, "expires_at": None}]
    assert "lot" not in entry
    assert (desk.lots(), desk.debt()) == ({1: 10}, (0, 0))


def test_a_debt_part_that_was_repaid_meanwhile_opens_a_lot_that_never_expires() -> None:
    desk = Desk()
    desk.adjust(10, "a", expires="2026-12-01")
    desk.debit(25, "d", allow_debt=True)  # 10 drawn, 15 owed
    desk.adjust(20, "b", expires="2026-12-02")  # 15 repaid, lot 3 of 5
    entry = undone(desk, 2)
    assert (entry["lot"], entry["units"], entry["expires_at"]) == (4, 15, None)
    assert (entry["amount"], entry["repaid"]) == (25, {"owed": 0, "overage": 0})
    assert desk.lots() == {1: 10, 3: 5, 4: 15}


def test_a_debt_part_may_pay_some_and_open_a_lot_with_the_rest() -> None:
    desk = Desk()
    desk.debit(25, "d", allow_debt=True)
    desk.adjust(20, "b")
    entry = undone(desk, 1)  # 5 are still owed
    assert (entry["repaid"], entry["units"]) == ({"owed": 5, "overage": 0}, 20)
    assert desk.lots() == {3: 20}


@pytest.mark.parametrize(
    ("debt", "restored"),
    [
        (0, {1: 10, 2: 10, 3: 10}),
        (4, {1: 10, 2: 10, 3: 6}),
        (10, {1: 10, 2: 10}),
        (13, {1: 10, 2: 7}),
        (29, {1: 1}),
        (30, {}),
        (99, {}),
    ],
)
def test_draws_pay_debt_last_drawn_first(debt: int, restored: dict[int, int]) -> None:
    desk = Desk()
    for ref, expires in (("a", "2026-12-01"), ("b", "2026-12-02"), ("c", None)):
        desk.adjust(10, ref, expires=expires)
    desk.debit(30, "d")
    if debt:
        desk.debit(debt, "e", allow_debt=True)
    entry = undone(desk, 4)
    assert {back["lot"]: back["units"] for back in entry["restored"]} == restored
    assert entry["repaid"] == {"owed": min(debt, 30), "overage": 0}
    assert (entry["amount"], desk.lots(), desk.balance()) == (30, restored, 30 - debt)


def test_debt_part_before_draws_owed_before_overage() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    desk.debit(15, "d", allow_debt=True)  # 10 drawn, 5 owed
    desk.run("r", 8)  # 8 overage
    entry = undone(desk, 2)  # 5 from the debt part, 8 from the draw
    assert (entry["repaid"], entry["restored"]) == (
        {"owed": 5, "overage": 8},
        [{"lot": 1, "units": 2, "expires_at": None}],
    )
    assert (desk.debt(), desk.lots()) == ((0, 0), {1: 2})


def test_what_came_from_lots_that_have_expired_is_forfeited() -> None:
    desk = Desk()
    desk.adjust(10, "a", expires="2026-11-17")
    desk.adjust(10, "b", expires="2026-11-30")
    desk.debit(18, "d")
    desk.go("2026-11-17")
    entry = undone(desk, 3)
    assert entry["forfeited"] == [{"lot": 1, "units": 10}]
    assert entry["restored"] == [{"lot": 2, "units": 8, "expires_at": "2026-11-30T00:00:00.000Z"}]
    assert (entry["amount"], desk.lots()) == (8, {2: 10})


def test_forfeited_units_pay_no_debt() -> None:
    desk = Desk()
    desk.adjust(10, "a", expires="2026-11-17")
    desk.debit(10, "d")
    desk.debit(5, "e", allow_debt=True)
    desk.go("2026-11-17")
    entry = undone(desk, 2)
    assert (entry["amount"], entry["repaid"], desk.debt()) == (0, {"owed": 0, "overage": 0}, (5, 0))


def test_an_undo_with_an_old_time_gives_back_what_lived_then_and_lets_it_expire() -> None:
    desk = Desk()
    desk.adjust(10, "a", expires="2026-11-17")
    desk.debit(10, "d")
    desk.go("2026-11-20")
    assert undone(desk, 2, at=NOON)["amount"] == 10
    assert desk.balance() == 0
    assert [entry["key"] for entry in desk.sweep().also] == ["expire:1"]


# taking back


def test_a_lot_that_was_used_cannot_be_voided() -> None:
    desk = Desk()
    desk.credit("s")
    desk.debit(1, "d")
    receipt = desk.undo(1)
    assert receipt.reason == "lot_partly_used"
    assert "999" in receipt.message


@pytest.mark.parametrize("how", ["debt", "spent", "expired", "refunded", "drawn by usage"])
def test_lot_partly_used_by_whatever(how: str) -> None:
    desk = Desk(packs={"pack": Pack(100, 100, "usd", 1)})
    if how == "debt":
        desk.debit(1, "d", allow_debt=True)
    seq = desk.credit("s", "pack").entry["seq"]  # type: ignore[index]
    if how == "spent":
        desk.debit(100, "d")
    if how == "refunded":
        desk.refund("s", 1, "re")
    if how == "drawn by usage":
        desk.run("r", 1)
    if how == "expired":
        desk.go("2026-11-20")
    assert desk.undo(seq).reason == "lot_partly_used"


def test_a_lot_that_is_whole_again_can_be_voided() -> None:
    desk = Desk()
    desk.credit("s")
    desk.debit(1, "d")
    desk.undo(2)
    desk.refund("s", 1, "re")
    desk.reverse("re")
    assert undone(desk, 1)["amount"] == -1000


def test_a_pack_is_not_taken_away_while_its_money_is_given_back() -> None:
    desk = Desk(packs={"day": Pack(100, 100, "usd", 1), "ever": Pack(100, 100, "usd")})
    desk.credit("s", "day")
    desk.credit("t", "ever")
    desk.debit(100, "d")
    desk.refund("s", 100, "re")
    desk.undo(3)
    assert desk.lots() == {1: 100}
    receipt = desk.undo(1)
    assert receipt.reason == "lot_partly_used"
    assert "100 cents" in receipt.message
    desk.reverse("re")
    assert undone(desk, 1)["amount"] == -100


def test_cents_too_few_for_a_unit_are_given_back_all_the_same() -> None:
    desk = Desk(packs={"one": Pack(1, 300, "usd")})
    desk.credit("s", "one")
    desk.refund("s", 100, "re")
    assert desk.undo(1).reason == "lot_partly_used"


# moving a pack to the right org


def test_the_session_of_an_undone_topup_passes_to_the_next_org() -> None:
    desk = Desk()
    desk.credit("s", org="acme")
    desk.undo(1, org="acme")
    assert holders(desk.store) == {"s": "acme"}
    assert desk.credit("s", org="bolt").applied
    assert holders(desk.store) == {"s": "bolt"}
    assert (desk.balance("acme"), desk.balance("bolt")) == (0, 1000)
    back = desk.credit("s", org="acme")
    assert (back.status, back.undone_by) == ("replayed", 2)
    assert desk.credit("s", org="core").reason == "session_claimed"
    assert desk.refund("s", 500, "re", org="acme").reason == "undone"
    assert desk.refund("s", 500, "re", org="bolt").applied


def test_a_pack_may_be_moved_more_than_once() -> None:
    desk = Desk()
    for org in ("acme", "bolt", "core"):
        assert desk.credit("s", org=org).applied
        assert desk.undo(1, org=org).applied
    assert holders(desk.store) == {"s": "core"}
    assert [desk.balance(org) for org in ("acme", "bolt", "core")] == [0, 0, 0]


def test_an_undo_by_name_and_number_wants_both_to_agree() -> None:
    desk = Desk()
    desk.adjust(10, "a")
    desk.debit(4, "d")
    assert desk.undo(1, of="debit:d").reason == "entry_moved"
    assert desk.balance() == 6
    assert desk.undo(2, of="debit:d").applied


def week_of(desk: Desk) -> Week:
    week = desk.state().week
    assert week is not None
    return week


def test_an_undone_run_of_a_larger_quota_leaves_a_later_run_its_draws() -> None:
    desk = Desk()
    desk.publish("pro", 100)
    desk.publish("free", 0)
    desk.adjust(30, "a")
    desk.assign("pro", "p1")
    desk.run("r", 50)
    desk.assign("free", "p2")
    desk.run("s", 20)
    desk.undo(of="run:r:main")
    assert (week_of(desk).used, week_of(desk).overflow, desk.lots()) == (20, (Overflow(1, 20),), {1: 10})


def test_a_run_that_nothing_covered_gives_back_no_later_draws() -> None:
    desk = Desk(overage="absorb")
    desk.publish("free", 0)
    desk.run("r", 10)
    desk.adjust(5, "a")
    desk.run("s", 5)
    desk.undo(of="run:r:main")
    assert (week_of(desk).uncovered, week_of(desk).overflow, desk.lots()) == (0, (Overflow(2, 5),), {})


def test_an_undone_run_gives_back_the_newest_draws() -> None:
    desk = Desk()
    desk.publish("free", 0)
    desk.adjust(10, "a")
    desk.adjust(10, "b")
    desk.run("r", 10)
    desk.run("s", 10)
    desk.undo(of="run:r:main")
    assert (desk.lots(), week_of(desk).overflow) == ({2: 10}, (Overflow(1, 10),))
