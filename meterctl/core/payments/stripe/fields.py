"""Read single values, refunds and disputes from Stripe's objects of any API version."""

from collections.abc import Mapping
from typing import Any

from meterctl.core.domain import instants
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant
from meterctl.core.payments.payments import Giveback, Standing
from meterctl.core.payments.stripe.shop import Json, LineItem

#: Exceptions from reading an object that does not have the shape of Stripe's.
MISSHAPEN = (AttributeError, TypeError, KeyError, ValueError, RecursionError)

# -- items


def session_lines(line_items: Any) -> list[LineItem] | None:
    """Return the items of a session, or None if the object does not hold all."""
    if not isinstance(line_items, Mapping) or line_items.get("has_more"):
        return None
    return [
        LineItem(
            id=str(item.get("id")),
            price=_price(item),
            quantity=_quantity(item),
            cents=whole(item, "amount_total"),
            tax=item.get("amount_tax") or 0,
            discount=item.get("amount_discount") or 0,
            text=str(item.get("description") or ""),
        )
        for item in line_items["data"]
    ]


def invoice_lines(lines: Any) -> list[LineItem] | None:
    """Return the items of an invoice, or None if the object does not hold all."""
    if not isinstance(lines, Mapping) or lines.get("has_more"):
        return None
    return [_invoice_line(item) for item in lines["data"]]


def _invoice_line(item: Json) -> LineItem:
    discount = sum(part.get("amount") or 0 for part in item.get("discount_amounts") or ())
    taxes = [*(item.get("taxes") or ()), *(item.get("tax_amounts") or ())]
    on_top = [tax for tax in taxes if tax.get("tax_behavior", "exclusive") == "exclusive" and not tax.get("inclusive")]
    return LineItem(
        id=str(item.get("id")),
        price=_price(item),
        quantity=_quantity(item),
        cents=whole(item, "amount") - discount + sum(tax["amount"] for tax in on_top),
        tax=sum(tax["amount"] for tax in taxes),
        discount=discount,
        text=str(item.get("description") or ""),
        tax_inside=bool(taxes) and not on_top,
    )


def _quantity(item: Json) -> int:
    quantity = item.get("quantity")
    return 1 if quantity is None else whole(item, "quantity")


def _price(item: Json) -> str | None:
    """Return the price id of an item: under ``price``, ``pricing`` (since 2025), or ``plan`` (long ago)."""
    details = (item.get("pricing") or {}).get("price_details") or {}
    return id_of(item.get("price")) or id_of(details.get("price")) or id_of(item.get("plan"))


def invoice_intents(item: Json) -> tuple[str, ...]:
    """Return the payment intents and charges that paid an invoice, as far as the object names them."""
    names = [id_of(item.get("payment_intent")), id_of(item.get("charge"))]
    payments = item.get("payments")
    for payment in payments.get("data", ()) if isinstance(payments, Mapping) else ():
        paid_by = payment.get("payment") or {}
        if payment.get("status") == "paid":
            names += [id_of(paid_by.get("payment_intent")), id_of(paid_by.get("charge"))]
    return tuple(dict.fromkeys(name for name in names if name))


# -- givebacks


def refund_of(refund: Json, event_time: int | None = None) -> Giveback:
    """Return the giveback in a refund object; ``event_time`` is the time of its event, in seconds."""
    standings: dict[str | None, Standing] = {
        "succeeded": "given",
        "failed": "returned",
        "canceled": "void",
        None: "given",  # a refund had no status before 2018
    }
    standing = standings.get(refund.get("status"), "waiting")
    return Giveback(
        id=text(refund, "id"),
        intent=id_of(refund.get("payment_intent")),
        charge=id_of(refund.get("charge")),
        cents=whole(refund, "amount"),
        currency=currency_of(refund),
        standing=standing,
        at=at(refund.get("created")),
        back_at=at(event_time) if event_time is not None and standing in ("returned", "void") else None,
    )


#: A dispute without a balance transaction in one of these states moved no money.
_MOVED_NOTHING = ("lost", "warning_closed", "prevented")


def dispute_of(dispute: Json, event_time: int | None = None, event_type: str = "") -> Giveback:
    """Return the giveback in a dispute object: the money withdrawn and not reinstated.

    ``event_time`` and ``event_type`` are those of its event: funds_withdrawn and funds_reinstated decide without
    balance transactions.
    """
    amount = whole(dispute, "amount")
    moves = [move for move in dispute.get("balance_transactions") or () if isinstance(move, Mapping)]
    out = -sum(min(0, whole(move, "amount")) for move in moves)
    back = sum(max(0, whole(move, "amount")) for move in moves)
    event_kind = event_type.rpartition(".")[2]
    won = not back and (dispute.get("status") == "won" or event_kind == "funds_reinstated")
    most = max((-whole(move, "amount") for move in moves), default=0)
    cents, standing = _standing_of_dispute(amount, out - back, most, won=won)
    if standing == "waiting" and event_kind == "funds_withdrawn":
        standing = "given"
    elif standing == "waiting" and dispute.get("status") in _MOVED_NOTHING and "balance_transactions" in dispute:
        standing = "void"
    times = sorted(whole(move, "created") for move in moves if "created" in move)
    came_back = standing == "returned"
    withdrawn_at = dispute.get("created")
    if times:
        withdrawn_at = times[0] if came_back else times[-1]
    returned_at = None
    if came_back:
        returned_at = times[-1] if back and times else event_time
    return Giveback(
        id=text(dispute, "id"),
        intent=id_of(dispute.get("payment_intent")),
        charge=id_of(dispute.get("charge")),
        cents=cents,
        currency=currency_of(dispute),
        standing=standing,
        at=at(withdrawn_at),
        back_at=None if returned_at is None else at(returned_at),
        is_dispute=True,
        moves=len(moves),
        disputed_cents=amount,
    )


def _standing_of_dispute(amount: int, net: int, most: int, *, won: bool) -> tuple[int, Standing]:
    """Return the cents and the state of a dispute of ``amount``.

    ``net`` is the sum of its moves in the account's own currency, ``most`` the largest withdrawal. If it was won in
    part, the lost part is given.
    """
    if won or (most > 0 and net <= 0):
        return amount, "returned"
    if most <= 0:
        return amount, "waiting"
    # In proportion, because the account's currency may differ from the payment's.
    return amount - amount * max(0, most - net) // most, "given"


# -- values


def id_of(value: Any) -> str | None:
    """Return the id of an object that may be expanded, or None."""
    name = value.get("id") if isinstance(value, Mapping) else value
    return name if isinstance(name, str) and name else None


def text(item: Json, name: str) -> str:
    """Return the text of a field. Raises `BadInput` if the object lacks it."""
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise _lacks(item, name)
    return value


def whole(item: Json, name: str) -> int:
    """Return the whole number in a field. Raises `BadInput` if the object lacks it."""
    value = item.get(name)
    if type(value) is not int:
        raise _lacks(item, name)
    return value


def currency_of(item: Json) -> str:
    return text(item, "currency").lower()


def at(seconds: Any) -> Instant:
    """Return a time of Stripe's, in seconds since 1970, as an instant."""
    if type(seconds) is not int:
        raise BadInput("a Stripe object has no creation time", hint=_WHOLE_HINT, code="bad_payload")
    return instants.from_millis(seconds * 1000)


_WHOLE_HINT = "pass objects and events complete, as Stripe sent them"


def _lacks(item: Json, name: str) -> BadInput:
    label = f"{item.get('object', 'object')} {item.get('id', '')}".strip()
    return BadInput(f"Stripe's {label} lacks {name!r}", hint=_WHOLE_HINT, code="bad_payload")
