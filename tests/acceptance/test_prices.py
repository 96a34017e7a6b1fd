"""A payment at another price than its pack's: no way in books it, and each says so."""

import json
from typing import Any

import pytest

from tests.acceptance.shell import Shell

PAYMENT = {"org": "acme", "pack": "small", "currency": "usd", "paid_at": "2026-11-10T10:00:00Z"}

#: Of a pack that costs 5.00 USD.
WRONG: dict[str, dict[str, Any]] = {
    "three times the price": {"paid_cents": 1500},
    "a part of the price": {"paid_cents": 5},
    "the price of one for two": {"paid_cents": 500, "quantity": 2},
    "another pack's price": {"paid_cents": 300},
    "another currency": {"paid_cents": 500, "currency": "eur"},
}


def payment(change: dict[str, Any], session: str) -> str:
    return json.dumps({"id": session, **PAYMENT, **change}) + "\n"


def event(change: dict[str, Any], session: str) -> str:
    paid: dict[str, Any] = {**PAYMENT, **change}
    item = {"quantity": paid.get("quantity", 1), "amount_total": paid["paid_cents"], "currency": paid["currency"]}
    sale = {
        "object": "checkout.session",
        "id": session,
        "mode": "payment",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": paid["paid_cents"],
        "currency": paid["currency"],
        "livemode": False,
        "metadata": {"org": "acme", "pack": "small"},
        "line_items": {"object": "list", "data": [{"object": "item", **item}], "has_more": False},
    }
    head = {"id": f"evt_{session}", "type": "checkout.session.completed", "created": 1794304800, "livemode": False}
    return json.dumps({**head, "data": {"object": sale}}) + "\n"


def carry_out_the_plan_of(run: Shell, file: str) -> int:
    """Reconcile with a file of payments, apply the plan; the exit code of the first."""
    compared = run.json("reconcile", file, "--plan-out", "mend.ndjson")
    assert run.json("apply mend.ndjson --actor lee").code == 0
    (run.place / "mend.ndjson").unlink()
    return compared.code


@pytest.mark.parametrize("wrong", WRONG)
def test_l64_a_payment_at_another_price_is_booked_on_no_way_in(run_anywhere: Shell, wrong: str) -> None:
    run, change = run_anywhere, WRONG[wrong]
    code = "currency_mismatch" if "currency" in change else "price_mismatch"
    assert carry_out_the_plan_of(run, run.file("payments", payment(change, "pay_1"))) == 8
    by_payment = run.json(f"credit-pack --from-payment {run.file('one', payment(change, 'pay_2'))}")
    assert (by_payment.code, by_payment.error["code"]) == (4, code)
    delivered = run.json(f"events --unsigned {run.file('events', event(change, 'cs_test_3'))}")
    assert (delivered.code, delivered.doc["problems"][0]["reason"]) == (7, code)
    assert run.doc("balance acme")["known"] is False


def test_l64_two_packs_at_the_price_of_two_are_booked_on_each(run_anywhere: Shell) -> None:
    run, two = run_anywhere, {"paid_cents": 1000, "quantity": 2}
    assert carry_out_the_plan_of(run, run.file("payments", payment(two, "cs_test_1"))) == 8
    assert run.doc(f"credit-pack --from-payment {run.file('one', payment(two, 'cs_test_2'))}")["entry"]["units"] == 2000
    assert run.doc(f"events --unsigned {run.file('events', event(two, 'cs_test_3'))}")["applied"] == 1
    assert run.doc("balance acme")["balance"] == 6000
