"""Read a webhook event: the payment, the refunds or the dispute that it speaks of."""

import json
from collections.abc import Mapping
from typing import NamedTuple

from meterctl.core.errors import BadInput
from meterctl.core.payments import stripe_fields
from meterctl.core.payments.payments import Giveback, Payment
from meterctl.core.payments.shop import Json, Shop
from meterctl.core.payments.stripe_fields import id_of
from meterctl.core.payments.stripe_objects import payments_of
from meterctl.core.payments.webhook_file import Delivery, parsed

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

#: Objects that a thin event may name, and that matter here.
THIN_KINDS = ("checkout.session", "payment_intent", "invoice", "refund", "dispute", "charge", "subscription")

_EVENT_HINT = "give events as Stripe delivered them"

#: What reading an object raises where it holds something else than Stripe's do.
_MISSHAPEN = (AttributeError, KeyError, TypeError, UnicodeEncodeError, RecursionError)


class Refunded(NamedTuple):
    """The sum that a charge says was refunded, without naming the refunds."""

    charge: str
    intent: str | None
    cents: int


class Event(NamedTuple):
    """An event, read. ``thin``: kind and id of the object that it only names. ``item`` is the object itself, where a
    payment cannot be read without another one. ``linked`` are names of one payment."""

    delivery: Delivery
    id: str
    type: str
    live: bool | None
    account: str | None = None
    created: int | None = None
    payments: tuple[Payment, ...] = ()
    givebacks: tuple[Giveback, ...] = ()
    refunded: Refunded | None = None
    subscription: Json | None = None
    thin: tuple[str, str] | None = None
    item: Json | None = None
    linked: tuple[str, ...] = ()


def read_event(delivery: Delivery, shop: Shop) -> Event:
    """Read a delivery. Raises `BadInput` for one that is no event, or lacks what matters."""
    event = parsed(delivery)
    if not isinstance(event, dict) or not isinstance(event.get("type"), str):
        raise _no_event("it has no type or no object")
    if not isinstance(event.get("livemode"), bool | None):
        raise _no_event("its livemode is neither true nor false")
    account = event.get("account") or event.get("context")
    created = event.get("created")
    told = Event(
        delivery,
        str(event.get("id", "")),
        event["type"],
        event.get("livemode"),
        account if isinstance(account, str) else None,
        created if type(created) is int else None,
    )
    thin = _thin(event)
    if thin is not None:
        return told._replace(thin=thin if thin[0] in THIN_KINDS else None)
    data = event.get("data")
    item = data.get("object") if isinstance(data, dict) else None
    if not isinstance(item, dict):
        raise _no_event("it has no type or no object")
    return with_object(told, item, shop)


def _thin(event: Json) -> tuple[str, str] | None:
    """The object that an event names without holding it, as kind and id."""
    related = event.get("related_object")
    is_thin = str(event.get("object", "")).startswith("v2.") or isinstance(related, Mapping)
    if not is_thin or isinstance((event.get("data") or {}).get("object"), Mapping):
        return None
    if not isinstance(related, Mapping):
        return "", ""
    kind, name = related.get("type"), related.get("id")
    if not isinstance(kind, str) or not isinstance(name, str):
        raise _no_event("its related_object has no type or no id")
    return kind, name


def with_object(event: Event, item: Json, shop: Shop) -> Event:
    """The event with the object that it is about. Raises `BadInput` where that is none of Stripe's."""
    try:
        told = _told(event, item, shop)
        # Half of a surrogate pair stands for no character: no store would take it.
        json.dumps([told.id, told.payments, told.givebacks], ensure_ascii=False).encode()
    except _MISSHAPEN as problem:
        raise _no_event(f"its object is not of the shape of Stripe's: {problem}") from None
    return told


def _told(event: Event, item: Json, shop: Shop) -> Event:
    kind, told_at = event.type.removeprefix("v1."), event.created
    if kind in PAYMENT_EVENTS:
        item = item if "object" in item else {**item, "object": _KINDS_OF_EVENTS[kind.rpartition(".")[0]]}
        payments = tuple(payments_of(item, shop, told_at))
        unread = any(payment.unread for payment in payments)
        return event._replace(payments=payments, item=item if unread else None)
    if kind in REFUND_EVENTS:
        return event._replace(givebacks=(stripe_fields.refund_of(item, told_at),))
    if kind.startswith(DISPUTE_EVENTS):
        return event._replace(givebacks=(stripe_fields.dispute_of(item, told_at, kind),))
    if kind.startswith(SUBSCRIPTION_EVENTS) and shop.plan_prices:
        return event._replace(subscription=item)
    if kind == LINK_EVENT:
        paid_by = item.get("payment") or {}
        names = (id_of(item.get("invoice")), id_of(paid_by.get("payment_intent")), id_of(paid_by.get("charge")))
        return event._replace(linked=tuple(name for name in names if name))
    return _charge(event, item, told_at) if kind == CHARGE_EVENT else event


_KINDS_OF_EVENTS = {"checkout.session": "checkout.session", "payment_intent": "payment_intent", "invoice": "invoice"}


def _charge(event: Event, charge: Json, told_at: int | None) -> Event:
    listed = charge.get("refunds")
    refunds = listed.get("data", ()) if isinstance(listed, dict) else ()
    intent, cents = id_of(charge.get("payment_intent")), charge.get("amount_refunded")
    whole = {"payment_intent": intent, "charge": charge.get("id")}
    found = tuple(stripe_fields.refund_of({**whole, **refund}, told_at) for refund in refunds)
    refunded = Refunded(str(charge.get("id")), intent, cents) if isinstance(cents, int) else None
    return event._replace(givebacks=found, refunded=refunded)


def _no_event(why: str) -> BadInput:
    return BadInput(f"this is no event of Stripe's: {why}", hint=_EVENT_HINT, code="bad_event")
