"""Read the payment, refunds or dispute in a webhook event."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from meterctl.core.errors import BadInput
from meterctl.core.payments.payments import Giveback, Payment
from meterctl.core.payments.stripe.fields import MISSHAPEN, dispute_of, id_of, refund_of
from meterctl.core.payments.stripe.objects import payments_of
from meterctl.core.payments.stripe.shop import Json, Shop
from meterctl.core.payments.webhooks.deliveries import Delivery, parse_body

PAYMENT_EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
    "payment_intent.succeeded",
    "invoice.paid",
    "invoice.payment_succeeded",
)
REFUND_EVENTS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
DISPUTE_EVENTS = "charge.dispute."
CHARGE_EVENT = "charge.refunded"
LINK_EVENT = "invoice_payment.paid"
SUBSCRIPTION_EVENTS = "customer.subscription."

#: The kinds of objects to read when a thin event names them.
THIN_KINDS = ("checkout.session", "payment_intent", "invoice", "refund", "dispute", "charge", "subscription")

_EVENT_HINT = "pass events as Stripe delivered them"


class RefundedSum(NamedTuple):
    """The refunded sum of a charge, without its single refunds."""

    charge: str
    intent: str | None
    cents: int


class Event(NamedTuple):
    """A parsed event. ``thin`` is the kind and id of an object that it names but does not hold.

    ``item`` is the object itself if reading it needs another object. ``same_payment`` are names of one payment.
    """

    delivery: Delivery
    id: str
    type: str
    live: bool | None
    account: str | None = None
    created: int | None = None
    payments: tuple[Payment, ...] = ()
    givebacks: tuple[Giveback, ...] = ()
    refund_sum: RefundedSum | None = None
    subscription: Json | None = None
    thin: tuple[str, str] | None = None
    item: Json | None = None
    same_payment: tuple[str, ...] = ()


def read_event(delivery: Delivery, shop: Shop) -> Event:
    """Return the event in a delivery. Raises `BadInput` if it is not a complete event."""
    event = parse_body(delivery)
    if not isinstance(event, dict):
        raise _no_event("it is not an object")
    if not isinstance(event.get("type"), str):
        raise _no_event("it has no type")
    if not isinstance(event.get("livemode"), bool | None):
        raise _no_event("its livemode is neither true nor false")
    account = event.get("account") or event.get("context")
    created = event.get("created")
    result = Event(
        delivery=delivery,
        id=str(event.get("id", "")),
        type=event["type"],
        live=event.get("livemode"),
        account=account if isinstance(account, str) else None,
        created=created if type(created) is int else None,
    )
    thin = _thin(event)
    if thin is not None:
        return result._replace(thin=thin if thin[0] in THIN_KINDS else None)
    data = event.get("data")
    item = data.get("object") if isinstance(data, dict) else None
    if not isinstance(item, dict):
        raise _no_event("it has no object")
    return with_object(result, item, shop)


def _thin(event: Json) -> tuple[str, str] | None:
    """Return the kind and id of the object that an event names but does not hold, or None.

    Both are empty for a thin event that names no object.
    """
    target = event.get("related_object")
    is_thin = str(event.get("object", "")).startswith("v2.") or isinstance(target, Mapping)
    if not is_thin or isinstance((event.get("data") or {}).get("object"), Mapping):
        return None
    if not isinstance(target, Mapping):
        return "", ""
    kind, name = target.get("type"), target.get("id")
    if not isinstance(kind, str) or not isinstance(name, str):
        raise _no_event("its related_object has no type or no id")
    return kind, name


def with_object(event: Event, item: Json, shop: Shop) -> Event:
    """Return the event with the contents of its object. Raises `BadInput` if that is not a Stripe object."""
    try:
        result = _with_contents(event, item, shop)
        # No store accepts half of a surrogate pair.
        json.dumps([result.id, result.payments, result.givebacks], ensure_ascii=False).encode()
    except MISSHAPEN as problem:
        raise _no_event(f"its object does not look like Stripe's: {problem}") from None
    return result


def _with_contents(event: Event, item: Json, shop: Shop) -> Event:
    kind, event_time = event.type.removeprefix("v1."), event.created
    if kind in PAYMENT_EVENTS:
        item = item if "object" in item else {**item, "object": kind.rpartition(".")[0]}
        payments = tuple(payments_of(item, shop, event_time))
        is_incomplete = any(payment.missing_object for payment in payments)
        return event._replace(payments=payments, item=item if is_incomplete else None)
    if kind in REFUND_EVENTS:
        return event._replace(givebacks=(refund_of(item, event_time),))
    if kind.startswith(DISPUTE_EVENTS):
        return event._replace(givebacks=(dispute_of(item, event_time, kind),))
    if kind.startswith(SUBSCRIPTION_EVENTS) and shop.plan_prices:
        return event._replace(subscription=item)
    if kind == LINK_EVENT:
        paid_by = item.get("payment") or {}
        names = (id_of(item.get("invoice")), id_of(paid_by.get("payment_intent")), id_of(paid_by.get("charge")))
        return event._replace(same_payment=tuple(name for name in names if name))
    return _charge(event, item, event_time) if kind == CHARGE_EVENT else event


def _charge(event: Event, charge: Json, event_time: int | None) -> Event:
    """Return the event with the refunds of its charge, as far as it holds them, and their sum."""
    refund_list = charge.get("refunds")
    refunds = refund_list.get("data", ()) if isinstance(refund_list, dict) else ()
    intent, cents = id_of(charge.get("payment_intent")), charge.get("amount_refunded")
    whole = {"payment_intent": intent, "charge": charge.get("id")}
    givebacks = tuple(refund_of({**whole, **refund}, event_time) for refund in refunds)
    refund_sum = RefundedSum(str(charge.get("id")), intent, cents) if isinstance(cents, int) else None
    return event._replace(givebacks=givebacks, refund_sum=refund_sum)


def _no_event(why: str) -> BadInput:
    return BadInput(f"this is not a Stripe event: {why}", hint=_EVENT_HINT, code="bad_event")
