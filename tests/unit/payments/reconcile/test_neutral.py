"""Payments of any provider, from a file."""

import io
import json

from meterctl.core.payments.reconcile.compare import compare
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


def test_a_finding_names_the_file_as_its_source() -> None:
    desk = Desk(packs=PACKS)
    desk.credit(session="txn_1")
    lines = read_payments(io.BytesIO(json.dumps(PAYMENT | {"status": "pending"}).encode()))
    (case,) = gather_file(lines, desk.store, ()).cases
    (finding,) = compare(case, RepairPolicy(Seller(PACKS), "tester", provider="the file"))
    assert "but the file says it is unpaid (pending)" in finding.message
