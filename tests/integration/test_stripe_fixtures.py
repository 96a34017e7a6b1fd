"""Objects of the shape that Stripe publishes with its API description, where they are at hand.

METERCTL_STRIPE_FIXTURES names a JSON file with one object of each kind; it is not part of this repository.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from meterctl.core.domain.policy import Pack, StripeSettings
from meterctl.core.payments.stripe.fields import dispute_of, refund_of
from meterctl.core.payments.stripe.objects import payments_of
from meterctl.core.payments.stripe.shop import Shop
from meterctl.core.payments.stripe.subscriptions import read_subscription

FILE = os.environ.get("METERCTL_STRIPE_FIXTURES", "")
PACKS = {"small": Pack(1000, 1000, "usd", stripe_prices=("price_1PgafmB7WZ01zgkW02Hf9z6c",))}


@pytest.fixture
def fixtures() -> dict[str, Any]:
    if not FILE:
        pytest.skip("METERCTL_STRIPE_FIXTURES names no file of Stripe's published objects")
    found: dict[str, Any] = json.loads(Path(FILE).read_text(encoding="utf-8"))
    return found


def shop(**settings: Any) -> Shop:
    return Shop(StripeSettings(**settings), PACKS, plan_prices={"price_1PgafmB7WZ01zgkW6dKueIc5": "pro"})


def test_a_session_is_read(fixtures: dict[str, Any]) -> None:
    item = fixtures["item"] | {"amount_total": 1000, "amount_subtotal": 1000}
    paid = {"status": "complete", "payment_status": "paid", "amount_total": 1000, "currency": "usd"}
    lines = {"line_items": {"object": "list", "data": [item], "has_more": False}}
    (found,) = payments_of(fixtures["checkout.session"] | paid | lines | {"client_reference_id": "acme"}, shop())
    assert (found.org, found.pack, found.cents, found.quantity, found.paid) == ("acme", "small", 1000, 1, True)
    assert found.names == (fixtures["checkout.session"]["payment_intent"],)


def test_an_intent_is_read(fixtures: dict[str, Any]) -> None:
    paid = {"status": "succeeded", "amount_received": 1099, "metadata": {"org": "acme", "pack": "small"}}
    (found,) = payments_of(fixtures["payment_intent"] | paid, shop())
    assert (found.org, found.pack, found.cents, found.paid, found.foreign) == ("acme", "small", 1099, True, False)
    (other,) = payments_of(fixtures["payment_intent"], shop())
    assert (other.foreign, other.paid) == (True, False)


def test_an_invoice_is_read(fixtures: dict[str, Any]) -> None:
    (line,) = fixtures["invoice"]["lines"]["data"]
    line["pricing"]["price_details"] = {"price": PACKS["small"].stripe_prices[0], "product": "prod_1"}
    paid = {"status": "paid", "metadata": {"org": "acme"}, "total": 1000}
    (found,) = payments_of(fixtures["invoice"] | paid, shop())
    assert (found.session, found.pack, found.cents, found.paid) == (fixtures["invoice"]["id"], "small", 1000, True)


def test_givebacks_and_a_subscription_are_read(fixtures: dict[str, Any]) -> None:
    refund, dispute = refund_of(fixtures["refund"]), dispute_of(fixtures["dispute"])
    assert (refund.standing, refund.charge) == ("given", fixtures["refund"]["charge"])
    assert (dispute.standing, dispute.is_dispute, dispute.id[:3]) == ("waiting", True, "dp_")
    found = read_subscription(fixtures["subscription"] | {"metadata": {"org": "acme"}}, shop())
    assert found is not None
    assert (found.org, found.plan) == ("acme", "pro")
