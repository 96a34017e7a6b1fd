"""Take single values out of Stripe's objects, of whatever API version; refunds and disputes too."""

from collections.abc import Mapping, Sequence
from typing import Any

from meterctl.core.domain import instants
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant
from meterctl.core.payments.payments import Giveback, Standing
from meterctl.core.payments.shop import Json, LineItem

# -- items


def session_lines(line_items: Any) -> list[LineItem] | None:
    """The items of a session; None where the object does not hold them all."""
    if not isinstance(line_items, Mapping) or line_items.get("has_more"):
        return None
    return [
        LineItem(
            str(item.get("id")),
            _price(item),
            _quantity(item),
            whole(item, "amount_total"),
            item.get("amount_tax") or 0,
            item.get("amount_discount") or 0,
            str(item.get("description") or ""),
        )
        for item in line_items["data"]
    ]


def invoice_lines(lines: Any) -> list[LineItem] | None:
    """The items of an invoice; None where the object does not hold them all."""
    if not isinstance(lines, Mapping) or lines.get("has_more"):
        return None
    return [_invoice_line(item) for item in lines["data"]]


def _invoice_line(item: Json) -> LineItem:
    discount = sum(part.get("amount") or 0 for part in item.get("discount_amounts") or ())
    taxes = [*(item.get("taxes") or ()), *(item.get("tax_amounts") or ())]
    on_top = [tax for tax in taxes if tax.get("tax_behavior", "exclusive") == "exclusive" and not tax.get("inclusive")]
    return LineItem(
        str(item.get("id")),
        _price(item),
        _quantity(item),
        whole(item, "amount") - discount + sum(tax["amount"] for tax in on_top),
        sum(tax["amount"] for tax in taxes),
        discount,
        str(item.get("description") or ""),
        bool(taxes) and not on_top,
    )


def _quantity(item: Json) -> int:
    quantity = item.get("quantity")
    return 1 if quantity is None else whole(item, "quantity")


def _price(item: Json) -> str | None:
    """The price id of an item: under ``price``, ``pricing`` (since 2025), or ``plan`` (long ago)."""
    details = (item.get("pricing") or {}).get("price_details") or {}
    return id_of(item.get("price")) or id_of(details.get("price")) or id_of(item.get("plan"))


def invoice_intents(item: Json) -> tuple[str, ...]:
    """The payment intent and the charge that paid an invoice, as far as the object says."""
    names = [id_of(item.get("payment_intent")), id_of(item.get("charge"))]
    listed = item.get("payments")
    for payment in listed.get("data", ()) if isinstance(listed, Mapping) else ():
        paid_by = payment.get("payment") or {}
        if payment.get("status") == "paid":
            names += [id_of(paid_by.get("payment_intent")), id_of(paid_by.get("charge"))]
    return tuple(dict.fromkeys(name for name in names if name))


# -- givebacks


def refund_of(refund: Json, told_at: int | None = None) -> Giveback:
    """The giveback in a refund object."""
    standing: dict[str | None, Standing] = {
        "succeeded": "given",
        "failed": "returned",
        "canceled": "void",
        None: "given",  # a refund had no status before 2018
    }
    status = standing.get(refund.get("status"), "waiting")
    return Giveback(
        text(refund, "id"),
        id_of(refund.get("payment_intent")),
        id_of(refund.get("charge")),
        whole(refund, "amount"),
        currency_of(refund),
        status,
        at(refund.get("created")),
        at(told_at) if told_at is not None and status in ("returned", "void") else None,
    )


#: A dispute without a balance transaction is over in these, or was never more than a question.
_MOVED_NOTHING = ("lost", "warning_closed", "prevented")


def dispute_of(dispute: Json, told_at: int | None = None, told: str = "") -> Giveback:
    """The giveback in a dispute object: the money that its balance transactions have withdrawn and not reinstated.

    ``told`` is the type of the event that brought it; two of them say by themselves what happened.
    """
    amount = whole(dispute, "amount")
    moves = [move for move in dispute.get("balance_transactions") or () if isinstance(move, Mapping)]
    out = -sum(min(0, whole(move, "amount")) for move in moves)
    back = sum(max(0, whole(move, "amount")) for move in moves)
    told_of = told.rpartition(".")[2]
    won = not back and (dispute.get("status") == "won" or told_of == "funds_reinstated")
    most = max((-whole(move, "amount") for move in moves), default=0)
    cents, standing = _standing_of_dispute(amount, out - back, most, won=won)
    if standing == "waiting" and told_of == "funds_withdrawn":
        standing = "given"
    elif standing == "waiting" and dispute.get("status") in _MOVED_NOTHING and "balance_transactions" in dispute:
        standing = "void"
    times = sorted(whole(move, "created") for move in moves if "created" in move)
    returned = standing == "returned"
    return Giveback(
        text(dispute, "id"),
        id_of(dispute.get("payment_intent")),
        id_of(dispute.get("charge")),
        cents,
        currency_of(dispute),
        standing,
        at((times[0] if returned else times[-1]) if times else dispute.get("created")),
        at(times[-1] if back else told_at) if returned and (back or told_at is not None) else None,
        is_dispute=True,
        moves=len(moves),
        asked=amount,
    )


def _standing_of_dispute(amount: int, gone: int, most: int, *, won: bool) -> tuple[int, Standing]:
    """Cents and standing of a dispute of ``amount``: ``gone`` is the sum of its moves in the account's own currency,
    ``most`` the largest withdrawal. A dispute may be won in part: then the rest is given."""
    if won or (most > 0 and gone <= 0):
        return amount, "returned"
    if most <= 0:
        return amount, "waiting"
    # In proportion, because the account's currency need not be the payment's.
    return amount - amount * max(0, most - gone) // most, "given"


# -- values


def id_of(value: Any) -> str | None:
    """The id of something that may be expanded."""
    found = value.get("id") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) and found else None


def text(item: Json, name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise lacks(item, name)
    return value


def whole(item: Json, name: str) -> int:
    value = item.get(name)
    if type(value) is not int:
        raise lacks(item, name)
    return value


def currency_of(item: Json) -> str:
    return text(item, "currency").lower()


def at(seconds: Any) -> Instant:
    if type(seconds) is not int:
        raise BadInput("a Stripe object lacks the time it was created", hint=_WHOLE_HINT, code="bad_payload")
    return instants.from_millis(seconds * 1000)


_WHOLE_HINT = "give objects and events whole, as Stripe sent them"


def lacks(item: Json, name: str) -> BadInput:
    what = f"{item.get('object', 'object')} {item.get('id', '')}".strip()
    return BadInput(f"Stripe's {what} lacks {name!r}", hint=_WHOLE_HINT, code="bad_payload")


def listed(value: Any) -> Sequence[Any]:
    """The items of a list object."""
    data = value.get("data") if isinstance(value, Mapping) else None
    return data if isinstance(data, list) else ()
