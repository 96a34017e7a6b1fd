"""Payments in the shapes of many shops, from the command line: each way in books the same, and the rest is silent."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.shell import Shell
from tests.stripe_server import StandIn, seconds

T0 = seconds("2026-11-10T10:00:00Z")

CONFIG = """
[packs.small]
units = 1000
price_cents = 500
currency = "usd"
prices = { jpy = 700, krw = 6500, kwd = 1525, bhd = 1900, eur = 460 }
stripe_prices = ["price_small"]
[packs.large]
units = 6000
price_cents = 2000
currency = "usd"
stripe_prices = ["price_large"]
"""


@pytest.fixture
def account(run: Shell, account: StandIn) -> StandIn:
    run.config(CONFIG)
    return account


def write(tmp_path: Path, account: StandIn) -> Path:
    path = tmp_path / "events.ndjson"
    path.write_text("".join(f"{json.dumps(event)}\n" for event in account.events), encoding="utf-8")
    return path


def book(run: Shell, way: str, account: StandIn, session: str, tmp_path: Path) -> None:
    """Credit by one of the ways in, and see that the others find nothing left to do."""
    if way == "credit-pack":
        run.all(f"credit-pack --from-stripe {session}")
    elif way == "events":
        run.all(f"events {write(tmp_path, account)}")
    else:
        plan = tmp_path / "mend.plan"
        assert run(f"reconcile stripe --plan-out {plan}").code == 8
        run.all(f"apply {plan}")
    assert run.doc("reconcile stripe")["findings"] == []
    assert run.doc(f"events {write(tmp_path, account)}")["applied"] == 0


SALES: dict[str, tuple[dict[str, Any], int]] = {
    "yen": ({"cents": 700, "currency": "jpy"}, 1000),
    "won": ({"cents": 6500, "currency": "krw"}, 1000),
    "dinar of Kuwait": ({"cents": 1525, "currency": "kwd"}, 1000),
    "dinar of Bahrain": ({"cents": 1900, "currency": "bhd"}, 1000),
    "several": ({"cents": 1500, "quantity": 3}, 3000),
    "tax on top": ({"cents": 595, "tax": 95}, 1000),
    "tax on top of yen": ({"cents": 770, "tax": 70, "currency": "jpy"}, 1000),
    "tax inside": ({"cents": 500, "tax": 80, "inside": True}, 1000),
    "org as reference": ({"org": None, "client_reference_id": " acme "}, 1000),
    "presentment currency": ({"presentment_details": {"presentment_amount": 460, "presentment_currency": "eur"}}, 1000),
}


@pytest.mark.parametrize("way", ["credit-pack", "events", "reconcile"])
@pytest.mark.parametrize("name", SALES)
def test_each_sale_is_credited_by_each_way(run: Shell, account: StandIn, tmp_path: Path, name: str, way: str) -> None:
    sale, units = SALES[name]
    session = account.sell(at=T0, **sale)
    book(run, way, account, session, tmp_path)
    assert run.doc("balance acme")["balance"] == units
    refund = account.refund(session, account.charge_of(session)["amount"], at=T0 + 60)
    assert run.doc(f"refund --from-stripe {refund}")["balance"] == 0
    assert run.doc("reconcile stripe")["findings"] == []


@pytest.mark.parametrize("way", ["credit-pack", "events", "reconcile"])
def test_a_gift_of_a_whole_discount_needs_a_word(run: Shell, account: StandIn, tmp_path: Path, way: str) -> None:
    session = account.sell(cents=0, discount=500, at=T0)
    if way == "credit-pack":
        answer = run.json(f"credit-pack --from-stripe {session}")
        assert (answer.code, answer.error["code"]) == (4, "price_mismatch")
    elif way == "events":
        answer = run.json(f"events {write(tmp_path, account)}")
        assert (answer.code, answer.doc["refused"]) == (7, 1)
    else:
        (found,) = run.json("reconcile stripe").doc["findings"]
        assert (found["kind"], found["operations"]) == ("paid_not_credited", [])
    assert run.journal() == ""
    run.config(f'{CONFIG}[stripe]\ndiscounts = "accept"\n')
    book(run, way, account, session, tmp_path)
    assert run.doc("balance acme")["balance"] == 1000


def test_a_delayed_payment_is_credited_once_it_arrives(run: Shell, account: StandIn, tmp_path: Path) -> None:
    session = account.checkout(at=T0)
    account.complete(session, at=T0 + 60)
    counts = run.doc(f"events {write(tmp_path, account)}")
    assert (counts["unpaid"], counts["applied"]) == (1, 0)
    assert run.doc("reconcile stripe")["findings"] == []
    account.arrive(session, at=T0 + 86_400)
    assert run.doc(f"events {write(tmp_path, account)}")["applied"] == 1
    assert run.doc("reconcile stripe")["findings"] == []


def test_a_refund_that_is_under_way_waits_and_one_that_fails_comes_back(
    run: Shell, account: StandIn, tmp_path: Path
) -> None:
    session = account.sell(at=T0)
    refund = account.refund(session, 200, at=T0 + 60, status="pending")
    assert run.doc(f"events {write(tmp_path, account)}")["waiting"] == 1
    account.refund_becomes(refund, "succeeded", at=T0 + 90)
    run.all(f"events {write(tmp_path, account)}")
    assert run.doc("balance acme")["balance"] == 600
    account.refund_becomes(refund, "failed", at=T0 + 120)
    run.all(f"events {write(tmp_path, account)}")
    assert run.doc("balance acme")["balance"] == 1000
    assert run.doc("reconcile stripe")["findings"] == []


def test_payments_of_the_other_mode_are_told_and_not_booked(run: Shell, account: StandIn, tmp_path: Path) -> None:
    run.all(f"credit-pack --from-stripe {account.sell(at=T0)}")
    other = StandIn(live=True)
    other.sell(at=T0)
    answer = run.json(f"events {write(tmp_path, other)}")
    assert (answer.code, answer.doc["invalid"], answer.doc["applied"]) == (7, 1, 0)
    assert answer.doc["problems"][0]["reason"] == "mode_mismatch"
    answer = run.json("credit-pack acme small --session cs_live_1")
    assert (answer.code, answer.doc["reason"]) == (4, "mode_mismatch")


def test_nothing_else_in_the_account_makes_a_sound(run: Shell, account: StandIn, tmp_path: Path) -> None:
    shirt = account.sell(None, None, 2500, at=T0, items=[account.item(2500, 1, "price_shirt")])
    account.refund(shirt, 500, at=T0 + 60)
    account.dispute_closes(account.dispute(shirt, 2000, at=T0 + 70), "won", at=T0 + 80)
    account.intent(900, at=T0 + 100, order="77")
    account.invoice([account.invoice_line(9900, "price_seat", 3)], at=T0 + 200)
    account.subscription("price_seat", at=T0 + 300, org="acme")
    account.expire(account.checkout(None, None, 700, at=T0 + 400), at=T0 + 500)
    answer = run.json(f"events {write(tmp_path, account)}")
    assert (answer.code, answer.doc["problems"]) == (0, [])
    assert run.doc("reconcile stripe")["findings"] == []
    assert run.journal() == ""
