"""Read a webhook event: the payment, the refunds or the dispute that it speaks of."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from meterctl.core.errors import BadInput
from meterctl.core.payments import stripe_objects
from meterctl.core.payments.payments import Giveback, Payment
from meterctl.core.payments.webhook_file import Delivery, parsed

SESSION_EVENTS = (
    "checkout.session.completed",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "checkout.session.expired",
)
REFUND_EVENTS = ("refund.created", "refund.updated", "refund.failed", "charge.refund.updated")
DISPUTE_EVENTS = "charge.dispute."
CHARGE_EVENT = "charge.refunded"


class Refunded(NamedTuple):
    """What a charge says of its refunds without naming them."""

    charge: str
    intent: str | None
    cents: int


class Event(NamedTuple):
    """An event, read."""

    delivery: Delivery
    id: str
    live: bool | None
    payment: Payment | None = None
    givebacks: tuple[Giveback, ...] = ()
    refunded: Refunded | None = None


_EVENT_HINT = "an event a line, as Stripe delivered it"

#: What reading an object raises where it holds something else than Stripe's do.
_MISSHAPEN = (AttributeError, TypeError, UnicodeEncodeError, RecursionError)


def read_event(delivery: Delivery) -> Event:
    """What a delivery tells. Raises `BadInput` for one that is no event, or lacks what matters."""
    event = parsed(delivery)
    kind, item = _kind_and_object(event)
    try:
        told = _told(Event(delivery, str(event.get("id", "")), event.get("livemode")), kind, item, event.get("created"))
        # Half of a surrogate pair stands for no character: no store would take it.
        json.dumps(told[1:], ensure_ascii=False).encode()
    except _MISSHAPEN as problem:
        raise _no_event(f"its object is not of the shape of Stripe's: {problem}") from None
    return told


def _told(told: Event, kind: str, item: Mapping[str, Any], created: Any) -> Event:
    told_at = created if type(created) is int else None
    if kind in SESSION_EVENTS:
        return told._replace(payment=stripe_objects.payment_of(item, told_at))
    if kind in REFUND_EVENTS:
        return told._replace(givebacks=(stripe_objects.refund_of(item, told_at),))
    if kind.startswith(DISPUTE_EVENTS):
        return told._replace(givebacks=(stripe_objects.dispute_of(item, told_at, kind),))
    return _charge(told, item, told_at) if kind == CHARGE_EVENT else told


def _kind_and_object(event: Any) -> tuple[str, Mapping[str, Any]]:
    data = event.get("data") if isinstance(event, dict) else None
    item = data.get("object") if isinstance(data, dict) else None
    if not isinstance(item, dict) or not isinstance(event.get("type"), str):
        raise _no_event("it has no type or no object")
    if not isinstance(event.get("livemode"), bool | None):
        raise _no_event("its livemode is neither true nor false")
    return event["type"], item


def _no_event(why: str) -> BadInput:
    return BadInput(f"this is no event of Stripe's: {why}", hint=_EVENT_HINT, code="bad_event")


def _charge(told: Event, charge: Mapping[str, Any], told_at: int | None) -> Event:
    listed = charge.get("refunds")
    refunds = listed.get("data", ()) if isinstance(listed, dict) else ()
    intent, cents = charge.get("payment_intent"), charge.get("amount_refunded")
    found = tuple(stripe_objects.refund_of({"payment_intent": intent, **refund}, told_at) for refund in refunds)
    refunded = Refunded(str(charge.get("id")), intent, cents) if isinstance(cents, int) else None
    return told._replace(givebacks=found, refunded=refunded)
