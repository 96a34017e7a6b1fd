"""Webhook payloads of several API versions: the same news is read the same, however its object is shaped.

An endpoint keeps the API version of its creation, so shapes of years ago still arrive.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from meterctl.core.domain.policy import Pack, StripeSettings
from meterctl.core.payments.payments import Giveback, Payment
from meterctl.core.payments.stripe.shop import Shop
from meterctl.core.payments.stripe.subscriptions import read_subscription
from meterctl.core.payments.webhooks.deliveries import Delivery
from meterctl.core.payments.webhooks.events import Event, read_event

Json = dict[str, Any]

OLD = ("2017-08-15", "2019-12-03")
CHARGES_IN_INTENT = (*OLD, "2020-08-27")  # and refunds in charges: until 2022-11-15
BEFORE_BASIL = (*CHARGES_IN_INTENT, "2022-11-15", "2023-10-16", "2024-06-20", "2024-12-18.acacia")
BASIL = ("2025-03-31.basil", "2025-09-30.clover", "2026-10-28.endive")
VERSIONS = (*BEFORE_BASIL, *BASIL)

T = 1_793_872_800
SHOP = Shop(
    StripeSettings(org=("metadata.org", "subscription.metadata.org")),
    {"small": Pack(1000, 500, "usd", stripe_prices=("price_1",))},
    plan_prices={"price_9": "pro"},
)


def event(version: str, kind: str, item: Json, created: int = T) -> Event:
    body = {"id": "evt_1", "object": "event", "api_version": version, "created": created, "livemode": False}
    value = body | {"type": kind, "data": {"object": copy.deepcopy(item)}}
    return read_event(Delivery(1, "", value=value), SHOP)


# -- the objects, as each version shapes them


def session(version: str) -> Json:
    item: Json = {
        "id": "cs_test_1",
        "object": "checkout.session",
        "amount_subtotal": 500,
        "amount_total": 500,
        "client_reference_id": None,
        "created": T - 60,
        "currency": "usd",
        "customer": None,
        "livemode": False,
        "metadata": {"org": "acme", "pack": "small"},
        "mode": "payment",
        "payment_intent": "pi_1",
        "payment_status": "paid",
        "total_details": {"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
    }
    if version in OLD:
        return item | {"display_items": [], "total_details": None}
    item |= {"status": "complete", "invoice": None, "subscription": None, "payment_link": None}
    return item if version not in BASIL else item | {"adaptive_pricing": {"enabled": False}, "ui_mode": "hosted"}


def intent(version: str) -> Json:
    item: Json = {
        "id": "pi_1",
        "object": "payment_intent",
        "amount": 500,
        "amount_received": 500,
        "created": T,
        "currency": "usd",
        "customer": None,
        "livemode": False,
        "metadata": {"org": "acme", "pack": "small"},
        "status": "succeeded",
    }
    if version in CHARGES_IN_INTENT:
        charge = {"id": "ch_1", "object": "charge", "created": T, "status": "succeeded"}
        failed = {"id": "ch_0", "object": "charge", "created": T - 9, "status": "failed"}
        item |= {"charges": {"object": "list", "data": [charge, failed], "has_more": False}}
    else:
        item |= {"latest_charge": "ch_1"}
    return item if version in BASIL else item | {"invoice": None}


def refund(version: str, status: str = "succeeded") -> Json:
    item: Json = {
        "id": "re_1",
        "object": "refund",
        "amount": 200,
        "balance_transaction": "txn_1",
        "charge": "ch_1",
        "created": T + 60,
        "currency": "usd",
        "metadata": {},
        "payment_intent": "pi_1",
        "status": status,
    }
    return item if version not in BASIL else item | {"destination_details": {"type": "card"}}


def charge(version: str) -> Json:
    item: Json = {
        "id": "ch_1",
        "object": "charge",
        "amount": 500,
        "amount_refunded": 200,
        "created": T,
        "currency": "usd",
        "invoice": None,
        "payment_intent": "pi_1",
        "refunded": False,
        "status": "succeeded",
    }
    if version in CHARGES_IN_INTENT:
        one = refund(version)
        if version == "2017-08-15":
            del one["payment_intent"]
        return item | {"refunds": {"object": "list", "data": [one], "has_more": False}}
    return item


def dispute(version: str) -> Json:
    move = {"id": "txn_2", "object": "balance_transaction", "amount": -500, "created": T + 90, "currency": "usd"}
    item: Json = {
        "id": "du_1" if version in BASIL else "dp_1",
        "object": "dispute",
        "amount": 500,
        "balance_transactions": [move],
        "charge": "ch_1",
        "created": T + 90,
        "currency": "usd",
        "status": "needs_response",
    }
    return item if version in OLD else item | {"payment_intent": "pi_1"}


def invoice(version: str) -> Json:
    item: Json = {
        "id": "in_1",
        "object": "invoice",
        "amount_paid": 600,
        "created": T - 60,
        "currency": "usd",
        "customer": "cus_1",
        "livemode": False,
        "metadata": {"org": "acme"},
        "status": "paid",
        "status_transitions": {"paid_at": T},
        "subtotal": 500,
        "total": 600,
    }
    line: Json = {"id": "il_1", "object": "line_item", "amount": 500, "currency": "usd", "quantity": 1, "metadata": {}}
    if version in BASIL:
        line |= {"pricing": {"type": "price_details", "price_details": {"price": "price_1", "product": "prod_1"}}}
        line |= {"taxes": [{"amount": 100, "tax_behavior": "exclusive"}], "discount_amounts": []}
        item |= {"total_taxes": [{"amount": 100, "tax_behavior": "exclusive"}], "parent": None}
    else:
        line |= {"tax_amounts": [{"amount": 100, "inclusive": False, "tax_rate": "txr_1"}]}
        line |= {"plan": {"id": "price_1"}} if version in OLD else {"price": {"id": "price_1"}, "plan": None}
        item |= {"total_tax_amounts": [{"amount": 100, "inclusive": False}], "tax": 100, "paid": True}
        item |= {"payment_intent": "pi_1", "charge": "ch_1", "subscription": None}
    return item | {"lines": {"object": "list", "data": [line], "has_more": False}}


def subscription(version: str, *, ends: bool = False) -> Json:
    price = {"plan": {"id": "price_9"}} if version == "2017-08-15" else {"price": {"id": "price_9"}}
    line: Json = {"id": "si_1", "object": "subscription_item", "quantity": 1, **price}
    item: Json = {
        "id": "sub_1",
        "object": "subscription",
        "cancel_at_period_end": ends,
        "created": T - 999,
        "customer": "cus_1",
        "metadata": {"org": "acme"},
        "status": "active",
    }
    if version in BASIL:
        line |= {"current_period_end": T + 86_400}
    else:
        item |= {"current_period_end": T + 86_400}
    return item | {"items": {"object": "list", "data": [line], "has_more": False}}


# -- each is read the same

versions = pytest.mark.parametrize("version", VERSIONS)


def essence(payment: Payment) -> tuple[object, ...]:
    return (
        payment.session,
        payment.org,
        payment.pack,
        payment.cents,
        payment.tax_cents,
        payment.currency,
        payment.paid,
        payment.foreign,
        payment.problem,
    )


@versions
@pytest.mark.parametrize(
    ("kind", "item", "name", "other"),
    [
        ("checkout.session.completed", session, "cs_test_1", "pi_1"),
        ("payment_intent.succeeded", intent, "pi_1", "ch_1"),
    ],
)
def test_a_payment_is_read(version: str, kind: str, item: Callable[[str], Json], name: str, other: str) -> None:
    (paid,) = event(version, kind, item(version)).payments
    assert essence(paid) == (name, "acme", "small", 500, 0, "usd", True, False, None)
    assert paid.names == (other,)


@versions
@pytest.mark.parametrize("status", ["unpaid", "paid", "no_payment_required"])
def test_a_session_is_paid_as_it_says(version: str, status: str) -> None:
    (payment,) = event(version, "checkout.session.completed", session(version) | {"payment_status": status}).payments
    assert payment.paid is (status != "unpaid")


@versions
@pytest.mark.parametrize(
    ("kind", "status", "standing"),
    [
        ("refund.created", "succeeded", "given"),
        ("refund.updated", "succeeded", "given"),
        ("charge.refund.updated", "succeeded", "given"),
        ("refund.failed", "failed", "returned"),
        ("refund.updated", "canceled", "void"),
        ("refund.created", "pending", "waiting"),
        ("refund.updated", "requires_action", "waiting"),
    ],
)
def test_a_refund_is_read_and_stands_as_it_says(version: str, kind: str, status: str, standing: str) -> None:
    (back,) = event(version, kind, refund(version, status)).givebacks
    assert back[:6] == ("re_1", "pi_1", "ch_1", 200, "usd", standing)


@versions
def test_a_refunded_charge_names_its_refunds_or_their_sum(version: str) -> None:
    found = event(version, "charge.refunded", charge(version))
    assert found.refund_sum is not None
    assert (found.refund_sum.charge, found.refund_sum.intent, found.refund_sum.cents) == ("ch_1", "pi_1", 200)
    named = [(back.id, back.cents, back.intent) for back in found.givebacks]
    assert named == ([("re_1", 200, "pi_1")] if version in CHARGES_IN_INTENT else [])


@versions
@pytest.mark.parametrize("kind", ["created", "updated", "funds_withdrawn"])
def test_a_dispute_is_read(version: str, kind: str) -> None:
    back: Giveback
    (back,) = event(version, f"charge.dispute.{kind}", dispute(version)).givebacks
    assert (back.cents, back.currency, back.standing, back.is_dispute) == (500, "usd", "given", True)
    assert back.of == (("ch_1",) if version in OLD else ("pi_1", "ch_1"))


@versions
def test_a_dispute_that_was_won_gave_back(version: str) -> None:
    move = {"id": "txn_3", "object": "balance_transaction", "amount": 500, "created": T + 99, "currency": "usd"}
    won = dispute(version) | {"status": "won"}
    won["balance_transactions"] = [*won["balance_transactions"], move]
    for kind in ("closed", "funds_reinstated"):
        (back,) = event(version, f"charge.dispute.{kind}", won).givebacks
        assert (back.cents, back.standing, back.moves) == (500, "returned", 2)


@versions
@pytest.mark.parametrize("kind", ["invoice.paid", "invoice.payment_succeeded"])
def test_an_invoice_is_read(version: str, kind: str) -> None:
    (paid,) = event(version, kind, invoice(version)).payments
    assert essence(paid) == ("in_1", "acme", "small", 600, 100, "usd", True, False, None)
    assert paid.names == (() if version in BASIL else ("pi_1", "ch_1"))
    assert (paid.quantity, paid.tax_inside) == (1, False)


@pytest.mark.parametrize("version", BASIL)
def test_an_invoices_intent_is_named_by_an_event_of_its_own(version: str) -> None:
    paid_by = {"type": "payment_intent", "payment_intent": "pi_1"}
    item = {"id": "inpay_1", "object": "invoice_payment", "invoice": "in_1", "payment": paid_by, "status": "paid"}
    assert event(version, "invoice_payment.paid", item).same_payment == ("in_1", "pi_1")


@versions
def test_the_org_of_an_invoice_may_stand_on_its_subscription(version: str) -> None:
    item = invoice(version) | {"metadata": {}}
    details = {"subscription": "sub_1", "metadata": {"org": "beta"}}
    if version in BASIL:
        item["parent"] = {"type": "subscription_details", "subscription_details": details}
    elif version in ("2023-10-16", "2024-06-20", "2024-12-18.acacia"):
        item |= {"subscription": "sub_1", "subscription_details": {"metadata": {"org": "beta"}}}
    else:
        item |= {"subscription": {"id": "sub_1", "object": "subscription", "metadata": {"org": "beta"}}}
    (paid,) = event(version, "invoice.paid", item).payments
    assert (paid.org, paid.pack) == ("beta", "small")


@pytest.mark.parametrize("version", VERSIONS[:4])
def test_a_subscription_that_is_only_named_has_to_be_read(version: str) -> None:
    item = invoice(version) | {"metadata": {}, "subscription": "sub_1"}
    (unread,) = event(version, "invoice.paid", item).payments
    assert unread.missing_object == "sub_1"


@versions
@pytest.mark.parametrize("kind", ["created", "updated", "deleted"])
def test_a_subscription_is_read(version: str, kind: str) -> None:
    found = event(version, f"customer.subscription.{kind}", subscription(version))
    assert found.subscription is not None
    plan = read_subscription(found.subscription, SHOP)
    assert plan is not None
    assert (plan.id, plan.org, plan.plan, plan.standing, plan.ends_at) == ("sub_1", "acme", "pro", "on", None)


@versions
@pytest.mark.parametrize(
    ("ends", "changes", "at"),
    [(True, {}, "2026-11-06T10:00:00.000Z"), (False, {"cancel_at": T + 3600}, "2026-11-05T11:00:00.000Z")],
)
def test_a_subscription_ends_with_its_period_or_at_a_date_of_its_own(
    version: str, ends: bool, changes: Json, at: str
) -> None:
    """Newer versions leave `cancel_at_period_end` false, and date the end by `cancel_at`."""
    plan = read_subscription(subscription(version, ends=ends) | changes, SHOP)
    assert plan is not None
    assert plan.ends_at == at
