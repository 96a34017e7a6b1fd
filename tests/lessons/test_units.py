"""Lessons about packs, lots, debits, expiry and refunds: what happened elsewhere, and cannot here."""

from collections import Counter
from typing import Any

import pytest

from meterctl.core.domain.operations import Adjust, Refund, Request, Undo
from meterctl.core.errors import BadInput, sound
from meterctl.core.ports import Store
from meterctl.core.reads.ledger_query import LedgerQuery
from meterctl.core.reads.org_list import OrgFilter, OrgLister, OrgQuery
from meterctl.core.reads.queries import Reads
from meterctl.core.results import Sweep
from meterctl.core.sweep.sweeper import Sweeper
from meterctl.core.verify import verify_all
from tests.desk import Desk, contents, tap

#: A day after the pack "short" has expired, which was bought at noon on Monday.
LATER = "2026-11-18T12:00:00Z"


def test_l01_only_the_unspent_rest_of_a_pack_expires(desk: Desk) -> None:
    desk.credit("cs_1", "short")
    desk.debit(80, "d1")
    desk.go(LATER)
    desk.sweep()
    assert desk.tip()["amount"] == -20
    assert desk.balance() == 0


def test_l02_a_spent_pack_never_expires_against_newer_ones(desk: Desk) -> None:
    desk.credit("cs_1", "short")
    desk.debit(100, "d1")
    desk.credit("cs_2", "forever")
    desk.go(LATER)
    desk.sweep()
    assert [entry["kind"] for entry in desk.entries()] == ["topup", "debit", "topup"]
    assert desk.lots() == {3: 200}


def test_l03_expired_units_cannot_be_spent_though_no_sweep_ran(desk: Desk) -> None:
    desk.credit("cs_1", "short")
    desk.go("2026-11-17T12:00:00Z")  # the very instant
    receipt = desk.debit(1, "d1")
    assert (receipt.reason, receipt.balance) == ("insufficient_balance", 0)


def test_l04_a_sweep_reads_only_what_is_due(store: Store) -> None:
    desk = Desk(tap(store))
    for number in range(20):
        desk.credit(f"cs_{number}", "forever", org=f"org-{number}")
    desk.credit("cs_due", "short", org="due")
    desk.go(LATER)
    store.journal.calls.clear()  # type: ignore[attr-defined]
    swept = Sweeper(desk.ledger, "expire", "cron").all()
    assert (swept.due, swept.done) == (1, 1)
    calls: Counter[str] = store.journal.calls  # type: ignore[attr-defined]
    assert calls["read"] == calls["orgs"] == 0
    assert calls["tip"] + calls["tips"] == 1


def test_l05_a_refund_after_expiry_claws_nothing_twice(desk: Desk) -> None:
    desk.credit("cs_1", "short")
    desk.debit(30, "d1")
    desk.go(LATER)
    receipt = desk.refund("cs_1", 300, "re_1")
    assert receipt.entry is not None
    assert (receipt.entry["units"], receipt.entry["forgiven"]) == (30, 70)
    assert desk.balance() == -30  # the 30 that were used were paid back in money


def test_l06_a_credit_that_comes_again_is_replayed(desk: Desk) -> None:
    first = desk.credit("cs_1")
    again = desk.credit("cs_1")
    assert (again.status, again.exit_code, again.entry) == ("replayed", 0, first.entry)
    assert len(desk.entries()) == 1


def test_l07_a_document_does_not_grow_with_history(desk: Desk) -> None:
    desk.credit("cs_1")
    sizes = [len(str(desk.debit(1, f"debit-{number:03}").entry)) for number in range(120)]
    assert max(sizes[:20]) + 40 > max(sizes[-20:])


def test_l08_actor_and_reason_are_kept_and_required_where_they_matter(desk: Desk) -> None:
    desk.do(Adjust("acme", 5, "a1"), reason="goodwill")
    assert (desk.tip()["actor"], desk.tip()["reason"]) == ("tester", "goodwill")
    for operation in (Adjust("acme", 5, "a2"), Undo("acme", 1)):
        with pytest.raises(BadInput) as refused:
            Request(operation, "tester")
        assert refused.value.code == "reason_required"


def test_l09_the_sum_of_amounts_is_compared_with_the_balance(desk: Desk) -> None:
    desk.credit("cs_1")
    desk.debit(5, "d1")
    assert verify_all(desk.store).ok
    assert sum(entry["amount"] for entry in desk.entries()) == desk.balance() == 995
    (head,) = sound(desk.store.heads.read())
    desk.store.heads.replace([head._replace(hash="0" * 64)])
    assert [(found.org, found.check) for found in verify_all(desk.store).findings] == [("acme", 13)]
    desk.store.heads.replace([head])
    wrong = tap(desk.store)
    wrong.journal.on(
        "documents",
        lambda real, org, **_: (one._replace(content=_one_more(one.content), text=None) for one in real(org)),
    )
    assert {(found.org, found.check) for found in verify_all(wrong).findings} >= {("acme", 3)}


def _one_more(entry: Any) -> dict[str, Any]:
    return {**entry, "balance": entry["balance"] + 1}


def test_l10_one_payment_credits_one_org(desk: Desk) -> None:
    desk.credit("cs_1", org="acme")
    typo = desk.credit("cs_1", org="acne")
    assert (typo.reason, typo.exit_code) == ("session_claimed", 4)
    assert desk.entries("acne") == []


def test_l10_nor_does_it_when_two_are_after_it_at_once(store: Store) -> None:
    desk = Desk(tap(store))
    desk.credit("cs_1", org="acme")
    # As it was before the other one claimed it.
    store.claims.on("holders", lambda *_: {}, times=1)  # type: ignore[attr-defined]
    assert desk.credit("cs_1", org="acne").reason == "session_claimed"
    assert desk.entries("acne") == []


def test_l15_a_sweep_says_what_it_found_and_did(desk: Desk) -> None:
    desk.credit("cs_1", "short", org="one")
    desk.credit("cs_2", "short", org="two")
    desk.go(LATER)
    swept: Sweep = Sweeper(desk.ledger, "expire", "cron").all()
    assert (swept.due, swept.done, swept.skipped, swept.failed) == (2, 2, 0, 0)
    assert (swept.expired_lots, swept.expired_units) == (2, 200)
    assert Sweeper(desk.ledger, "expire", "cron").all().due == 0


def test_l31_owed_units_are_never_settled_from_the_quota(desk: Desk) -> None:
    desk.publish("free", 100)
    desk.debit(50, "d1", allow_debt=True)
    desk.run("r1", 10)
    desk.go("2026-11-24T00:00:00Z")
    desk.sweep()
    assert desk.debt() == (50, 0)
    assert desk.tip()["settled"] == 0


def test_l33_two_refunds_of_the_same_amount_are_two(desk: Desk) -> None:
    desk.credit("cs_1")
    statuses = [desk.refund("cs_1", 100, refund_id).status for refund_id in ("re_1", "re_2")]
    assert statuses == ["applied", "applied"]
    assert desk.balance() == 600


def test_l34_a_double_click_refunds_once(desk: Desk) -> None:
    desk.credit("cs_1")
    assert [desk.refund("cs_1", 100, "re_1").status for _ in range(2)] == ["applied", "replayed"]
    assert desk.balance() == 800


def test_l35_partial_refunds_add_up_to_the_pack_exactly(desk: Desk) -> None:
    desk.credit("cs_1", "forever")  # 200 units for 700 cents
    clawed = [desk.refund("cs_1", 1, f"re_{number}").entry["units"] for number in range(5)]  # type: ignore[index]
    clawed.append(desk.refund("cs_1", 695, "re_rest").entry["units"])  # type: ignore[index]
    assert sum(clawed) == 200
    assert desk.refund("cs_1", 1, "re_more").reason == "refund_exceeds_payment"


def test_l36_the_pack_is_known_from_the_topup(desk: Desk) -> None:
    desk.credit("cs_1")
    packs = desk.ledger.terms.packs
    desk.set_terms(packs={"twin": packs["small"]})  # the pack is gone, another one looks just like it
    assert desk.refund("cs_1", 500, "re_1").status == "applied"
    assert desk.balance() == 0


def test_l37_a_refund_goes_by_the_price_paid(desk: Desk) -> None:
    desk.credit("cs_1")
    desk.set_terms(packs={"small": desk.ledger.terms.packs["small"]._replace(price_cents=5000, units=1)})
    assert desk.refund("cs_1", 250, "re_1").entry["units"] == 500  # type: ignore[index]


def test_l38_a_won_dispute_gives_back_exactly_what_was_clawed(desk: Desk) -> None:
    desk.credit("cs_1", cents=333)
    clawed = desk.refund("cs_1", 7, "dp_1")
    given = desk.reverse("dp_1")
    assert clawed.entry is not None
    assert given.entry is not None
    assert given.entry["amount"] == -clawed.entry["amount"] == 21
    assert desk.lots() == {1: 1000}


def test_l39_a_failed_refund_is_taken_back_once(desk: Desk) -> None:
    desk.credit("cs_1")
    desk.refund("cs_1", 500, "re_1")
    assert [desk.reverse("re_1").status for _ in range(2)] == ["applied", "replayed"]
    assert desk.balance() == 1000
    assert desk.reverse("re_2").reason == "unknown_refund"


def test_l40_a_dispute_after_a_refund_counts_toward_the_same_payment(desk: Desk) -> None:
    desk.credit("cs_1")
    desk.refund("cs_1", 500, "re_1")
    assert desk.refund("cs_1", 500, "dp_1").reason == "refund_exceeds_payment"
    assert desk.balance() == 0


def test_l44_the_same_key_for_something_else_is_a_conflict(desk: Desk) -> None:
    desk.credit("cs_1")
    desk.debit(5, "d1")
    other = desk.debit(6, "d1")
    assert (other.status, other.exit_code, other.diff) == ("conflict", 5, {"units": {"first": 5, "now": 6}})
    assert desk.balance() == 995


def test_l45_a_retry_years_later_is_still_a_replay(desk: Desk) -> None:
    desk.credit("cs_1", "forever")
    desk.debit(5, "d1")
    desk.go("2046-11-16T12:00:00Z")
    assert desk.debit(5, "d1").status == "replayed"


def test_l46_a_retry_a_second_later_has_the_same_key(desk: Desk) -> None:
    desk.credit("cs_1")
    first = desk.debit(5, "d1")
    desk.go("2026-11-16T12:00:01Z")
    assert (desk.debit(5, "d1").status, first.key) == ("replayed", "debit:d1")
    with pytest.raises(BadInput):
        Refund("acme", "cs_1", 5, "")


def test_l47_a_retry_of_something_done_is_not_refused(desk: Desk) -> None:
    desk.credit("cs_1", "short")
    desk.debit(100, "d1")
    assert desk.debit(100, "d1").status == "replayed"
    desk.set_terms(packs={})
    assert desk.credit("cs_1", "short").status == "replayed"


def test_l60_an_expiry_has_its_own_line_and_is_announced(desk: Desk) -> None:
    desk.credit("cs_1", "short")
    due = desk.state().lots[0].expires_at
    ahead = Reads(desk.store, desk.clock, desk.ledger.terms).balance("acme")
    assert ahead.next_expiry == {"at": due, "units": 100}
    lister = OrgLister(desk.store, desk.clock.now(), desk.ledger.terms)
    listed = lister.list(OrgQuery(OrgFilter(expiring_by=due))).items
    assert [(org["org"], org["next_expiry"], org["expiring_units"]) for org in listed] == [("acme", due, 100)]
    desk.go(LATER)
    desk.sweep()
    line = desk.tip()
    assert (line["kind"], line["lot"], line["expires_at"], line["at"]) == ("expiration", 1, due, due)


def test_l11_reads_create_nothing(desk: Desk) -> None:
    before = contents(desk.store)
    reads = Reads(desk.store, desk.clock, desk.ledger.terms)
    assert reads.balance("nobody").balance == 0
    assert reads.meter("nobody").used == 0
    assert list(reads.ledger("nobody", LedgerQuery()).entries) == []
    assert contents(desk.store) == before
