"""Payments of any provider, from a file."""

import io
import json
from typing import Any

import pytest

from meterctl.core.payments.payments import Payment
from meterctl.core.payments.reconcile.compare import compare
from meterctl.core.payments.reconcile.findings import unreadable_finding
from meterctl.core.payments.reconcile.gather_file import gather_file
from meterctl.core.payments.reconcile.neutral import BadLine, read_payments
from meterctl.core.payments.reconcile.repairs import RepairPolicy
from meterctl.core.payments.sales import Seller
from tests.desk import PACKS, Desk

PAYMENT = {
    "id": "txn_1",
    "org": "acme",
    "pack": "small",
    "paid_cents": 500,
    "currency": "usd",
    "paid_at": "2026-11-20T10:00:00Z",
}


def test_a_line_that_is_no_json_names_the_page_on_payment_lines() -> None:
    (line,) = read_payments(io.BytesIO(b'{"id": "txn_1",\n'))
    assert isinstance(line, BadLine)
    assert (line.problem.code, "docs/payments.md" in line.problem.hint) == ("bad_json", True)


def read(**fields: Any) -> Payment | BadLine:
    (line,) = read_payments(io.BytesIO(json.dumps(PAYMENT | fields).encode()))
    return line if isinstance(line, BadLine) else line.payment


REFUND = {"id": "adj_1", "cents": 100}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"id": ""}, "'' is not an id"),
        ({"names": "inv_1"}, "names must be a list"),
        ({"names": [7]}, "a name"),
        ({"org": 7}, "org must be text"),
        ({"org": "a b"}, "a b"),
        ({"pack": ["small"]}, "pack must be text"),
        ({"paid_cents": "5.00"}, "paid_cents"),
        ({"tax_cents": 501}, "tax_cents"),
        ({"quantity": 0}, "quantity"),
        ({"currency": None}, "None is not a currency"),
        ({"currency": "dollars"}, "'dollars' is not a currency"),
        ({"paid_at": "last Friday"}, "paid_at: "),
        ({"paid_at": None}, "paid_at: "),
        ({"paidcents": 500}, "a payment has no field 'paidcents'"),
        ({"refunds": REFUND}, "refunds must be a list"),
        ({"refunds": ["adj_1"]}, "a refund must be a JSON object"),
        ({"refunds": [REFUND | {"reason": "why"}]}, "a refund has no field 'reason'"),
        ({"refunds": [REFUND | {"status": "done"}]}, "'done' is not a refund status"),
        ({"refunds": [REFUND | {"status": 1}]}, "1 is not a refund status"),
        ({"refunds": [REFUND | {"cents": 0}]}, "cents"),
        ({"refunds": [REFUND | {"at": "soon"}]}, "at: "),
        ({"refunds": [REFUND | {"currency": "$"}]}, "'$' is not a currency"),
        ({"refunds": [REFUND, REFUND | {"cents": 99}]}, "the refund 'adj_1' is listed twice, with different values"),
        ({"status": "chargeable"}, "'chargeable' is not a status of a payment"),
        ({"status": 1}, "1 is not a status of a payment"),
        ({"status": "refunded"}, "its status is refunded, but it lists no refunds"),
        ({"status": "partial_refund", "refunds": []}, "its status is partial_refund, but it lists no refunds"),
    ],
)
def test_a_field_that_cannot_be_meant_is_named(fields: dict[str, Any], message: str) -> None:
    line = read(**fields)
    assert isinstance(line, BadLine)
    assert message in line.problem.message
    assert line.problem.hint


@pytest.mark.parametrize("text", ["[]", "7", '"txn_1"', "null"])
def test_a_line_that_is_no_object_is_no_payment(text: str) -> None:
    lines = list(read_payments(io.BytesIO(f"{json.dumps(PAYMENT)}\n[{text}]\n".encode())))
    assert [isinstance(line, BadLine) and line.problem.code for line in lines] == [False, "bad_payment"]


def test_an_empty_org_or_pack_is_none_and_blanks_around_one_do_not_count() -> None:
    payment = read(org="", pack=" small ")
    assert isinstance(payment, Payment)
    assert (payment.org, payment.pack) == (None, "small")


def test_a_bad_line_is_reported_with_its_number_and_the_others_are_compared() -> None:
    desk = Desk(packs=PACKS)
    desk.credit(session="txn_1")
    other = PAYMENT | {"id": "gym_7"}
    text = "\n".join(map(json.dumps, [PAYMENT | {"paid_cents": 400}, [1], other, PAYMENT]))
    both = gather_file(read_payments(io.BytesIO(text.encode())), desk.store, {"gym_7"})
    assert [compare(case, RepairPolicy(Seller(PACKS), "tester")) for case in both.cases] == [[]], "the last line counts"
    assert both.counts == {"payments": 1, "refunds": 0, "disputes": 0, "credits": 1, "foreign": 1, "unreadable": 1}
    (finding,) = map(unreadable_finding, both.unreadable)
    assert (finding.kind, finding.session) == ("unreadable", "line 2")
    assert "the line is not a JSON object" in finding.message


@pytest.mark.parametrize(("bad", "findings"), [(10, 10), (11, 11), (1234, 11)])
def test_ten_bad_lines_are_listed_and_all_are_counted(bad: int, findings: int) -> None:
    lines = read_payments(io.BytesIO(b"[1]\n" * bad + json.dumps(PAYMENT).encode()))
    both = gather_file(lines, Desk(packs=PACKS).store, ())
    assert (both.counts["unreadable"], both.counts["payments"], len(both.unreadable)) == (bad, 1, findings)
    if bad > 10:
        message = unreadable_finding(both.unreadable[-1]).message
        assert message == f"{bad - 10:,} more lines cannot be read: the first 10 are listed"


def test_a_finding_names_the_file_as_its_source() -> None:
    desk = Desk(packs=PACKS)
    desk.credit(session="txn_1")
    lines = read_payments(io.BytesIO(json.dumps(PAYMENT | {"status": "pending"}).encode()))
    (case,) = gather_file(lines, desk.store, ()).cases
    (finding,) = compare(case, RepairPolicy(Seller(PACKS), "tester", provider="the file"))
    assert "but the file says it is unpaid (pending)" in finding.message


def test_a_refund_that_is_listed_twice_is_one() -> None:
    (line,) = read_payments(io.BytesIO(json.dumps(PAYMENT | {"refunds": [REFUND, REFUND]}).encode()))
    assert not isinstance(line, BadLine)
    assert [giveback.id for giveback in line.givebacks] == ["adj_1"]


@pytest.mark.parametrize("status", ["paid", "Completed", "succeeded", None])
def test_a_paid_payment_may_have_several_words(status: str | None) -> None:
    payment = read(status=status)
    assert isinstance(payment, Payment)
    assert payment.paid


def test_a_payment_whose_money_went_back_was_paid() -> None:
    payment = read(status="partially_refunded", refunds=[REFUND])
    assert isinstance(payment, Payment)
    assert payment.paid


def test_null_is_as_good_as_no_field() -> None:
    names = ("names", "quantity", "tax_cents", "discount_cents", "status", "refunds")
    refund = REFUND | dict.fromkeys(("status", "at", "currency", "dispute"))
    assert read(**dict.fromkeys(names)) == read()
    assert read(refunds=[refund]) == read(refunds=[REFUND])


def test_payments_with_a_common_name_are_not_compared() -> None:
    desk = Desk(packs=PACKS)
    lines = [
        PAYMENT | {"names": ["ord_1", "inv_1"]},
        PAYMENT | {"id": "txn_2", "org": "beta", "names": ["ord_1"]},
        PAYMENT | {"id": "inv_1"},
        PAYMENT | {"id": "txn_4"},
    ]
    both = gather_file(read_payments(io.BytesIO("\n".join(map(json.dumps, lines)).encode())), desk.store, ())
    assert [case.session for case in both.cases] == ["txn_4"]
    assert [(one.id, one.message) for one in both.unreadable] == [
        ("txn_2", "its name 'ord_1' is a name of txn_1 too"),
        ("txn_1", "its name 'ord_1' is a name of txn_2 too"),
        ("inv_1", "its name 'inv_1' is a name of txn_1 too"),
    ]
    assert both.counts["unreadable"] == 3


def test_a_common_name_beside_many_bad_lines_is_only_counted() -> None:
    lines = b"[1]\n" * 10 + "\n".join(json.dumps(PAYMENT | {"id": name, "names": ["x"]}) for name in "ab").encode()
    both = gather_file(read_payments(io.BytesIO(lines)), Desk(packs=PACKS).store, ())
    assert (both.counts["unreadable"], len(both.unreadable), both.cases) == (12, 11, [])
