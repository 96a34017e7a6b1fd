"""Bounds on one command at the desk: limits, approval, and how the org has to stand."""

from typing import Any

import pytest

from meterctl.core.domain.guard import Guard
from meterctl.core.domain.operations import Adjust, CreditPack, Debit, Operation, Refund, Request
from meterctl.core.domain.policy import Limits
from meterctl.core.results import Receipt
from tests.desk import Desk

LIMITS = Limits(adjust=100, debit=50, debt=20, refund_cents=200, approval_over=1500)


@pytest.fixture
def desk() -> Desk:
    desk = Desk()
    desk.credit("s1")
    return desk


def book(desk: Desk, operation: Operation, **bounds: Any) -> Receipt:
    guard = Guard(**{"limits": LIMITS, **bounds})
    return desk.ledger.one(Request(operation, "tester", "because", guard=guard))


@pytest.mark.parametrize(
    ("within", "beyond"),
    [
        (Adjust("acme", 100, "a"), Adjust("acme", 101, "a")),
        (Adjust("acme", -100, "a"), Adjust("acme", -101, "a")),
        (Debit("acme", 50, "d"), Debit("acme", 51, "d")),
        (Refund("acme", "s1", 200, "re"), Refund("acme", "s1", 201, "re")),
    ],
)
def test_beyond_a_limit_nothing_is_booked_unless_that_is_said(desk: Desk, within: Operation, beyond: Operation) -> None:
    refused = book(desk, beyond)
    assert (refused.status, refused.reason, refused.exit_code) == ("refused", "over_limit", 4)
    assert len(desk.entries()) == 1
    assert book(desk, within).status == "applied"


def test_a_limit_can_be_lifted(desk: Desk) -> None:
    assert book(desk, Adjust("acme", 101, "a"), over_limit=True).status == "applied"


def test_no_limit_is_no_limit(desk: Desk) -> None:
    assert book(desk, Adjust("acme", 10**12, "a"), limits=Limits()).status == "applied"


@pytest.mark.parametrize("make", [lambda n: Debit("acme", n, "d", True), lambda n: Adjust("acme", -n, "a", None, True)])
def test_debt_has_a_limit_of_its_own(desk: Desk, make: Any) -> None:
    limits = Limits(debt=20)
    assert book(desk, make(1021), limits=limits).reason == "over_debt_limit"
    assert book(desk, make(1020), limits=limits).status == "applied"
    assert desk.debt() == (20, 0)
    # A grant to an org that owes more makes no debt.
    assert book(desk, Adjust("acme", 5, "b"), limits=Limits(debt=1)).status == "applied"


def test_very_much_needs_somebody_else(desk: Desk) -> None:
    for over_limit in (False, True):
        refused = book(desk, Adjust("acme", 1501, "a"), over_limit=over_limit)
        assert (refused.reason, refused.exit_code) == ("needs_approval", 4)
    assert book(desk, CreditPack("acme", "small", "s2"), limits=Limits(approval_over=999)).reason == "needs_approval"


def test_a_replay_is_answered_before_any_bound(desk: Desk) -> None:
    book(desk, Adjust("acme", 101, "a"), over_limit=True)
    again = book(desk, Adjust("acme", 101, "a"), expect_balance=7)
    assert again.status == "replayed"


@pytest.mark.parametrize(
    "bounds", [{"expect_balance": 999}, {"expect_seq": 2}, {"expect_balance": 1000, "expect_seq": 0}]
)
def test_an_org_that_stands_otherwise_is_left_alone(desk: Desk, bounds: dict[str, int]) -> None:
    refused = book(desk, Debit("acme", 5, "d"), **bounds)
    assert (refused.reason, refused.exit_code) == ("not_as_expected", 6)
    assert len(desk.entries()) == 1


def test_what_is_due_counts_in_the_balance_expected(desk: Desk) -> None:
    desk.credit("s3", "short")
    desk.go("2026-11-18T12:00:00Z")  # its 100 units have expired, and nobody swept
    assert book(desk, Debit("acme", 5, "d"), expect_balance=1100).reason == "not_as_expected"
    assert book(desk, Debit("acme", 5, "d"), expect_balance=1000, expect_seq=2).status == "applied"
