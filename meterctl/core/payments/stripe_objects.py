"""Read Stripe's objects as payments, refunds and disputes."""

from collections.abc import Mapping
from typing import Any

from meterctl.core.domain import instants
from meterctl.core.errors import BadInput
from meterctl.core.model import Instant
from meterctl.core.payments.payments import Giveback, Payment, Standing


def payment_of(session: Mapping[str, Any], told_at: int | None = None) -> Payment | None:
    """The payment in a checkout session object; None if it sells no pack (a subscription, a setup). ``told_at`` is when
    an event told of it, for want of a time in the object. Raises `BadInput` for an object that lacks what matters."""
    if session.get("mode", "payment") != "payment":
        return None
    status, payment_status = session.get("status"), session.get("payment_status")
    metadata = session.get("metadata") or {}
    intent = session.get("payment_intent")
    return Payment(
        _text(session, "id"),
        _id(intent),
        _text_if_any(metadata, "org") or _text_if_any(session, "client_reference_id"),
        _text_if_any(metadata, "pack"),
        _whole(session, "amount_total"),
        _text(session, "currency").lower(),
        _at(_paid_at(intent) or told_at or session.get("created")),
        status == "complete" and payment_status in ("paid", "no_payment_required"),
        f"{status}, {payment_status}",
        bool(session.get("livemode")),
        _quantity(session.get("line_items")),
        _makeup(session),
    )


def _paid_at(intent: Any) -> int | None:
    """When the charge was made, if the object holds it; else when the payment was begun."""
    if not isinstance(intent, Mapping):
        return None
    charge = intent.get("latest_charge")
    return charge.get("created") if isinstance(charge, Mapping) else intent.get("created")


def _quantity(line_items: Any) -> int | None:
    if not isinstance(line_items, Mapping) or line_items.get("has_more"):
        return None
    return sum(item.get("quantity") or 1 for item in line_items.get("data", ()))


def _makeup(session: Mapping[str, Any]) -> str:
    details = session.get("total_details") or {}
    signs = {"amount_discount": ("-", "discount"), "amount_tax": ("+", "tax"), "amount_shipping": ("+", "shipping")}
    parts = [f"{sign} {details[name]} {word}" for name, (sign, word) in signs.items() if details.get(name)]
    return " ".join([f"{session.get('amount_subtotal')} subtotal", *parts]) if parts else ""


def refund_of(refund: Mapping[str, Any], told_at: int | None = None) -> Giveback:
    """The giveback in a refund object."""
    standing: dict[str | None, Standing] = {"succeeded": "given", "failed": "returned", "canceled": "void"}
    status = standing.get(refund.get("status"), "waiting")
    return Giveback(
        _text(refund, "id"),
        _id(refund.get("payment_intent")),
        _id(refund.get("charge")),
        _whole(refund, "amount"),
        _text(refund, "currency").lower(),
        status,
        _at(refund.get("created")),
        _at(told_at) if told_at is not None and status in ("returned", "void") else None,
    )


#: A dispute without a balance transaction is over in these, or was never more than a question.
_MOVED_NOTHING = ("lost", "warning_closed", "prevented")


def dispute_of(dispute: Mapping[str, Any], told_at: int | None = None, told: str = "") -> Giveback:
    """The giveback in a dispute object: the money that its balance transactions have withdrawn and not reinstated.

    ``told`` is the type of the event that brought it; two of them say by themselves what happened.
    """
    amount = _whole(dispute, "amount")
    moves = [move for move in dispute.get("balance_transactions") or () if isinstance(move, Mapping)]
    out = -sum(min(0, _whole(move, "amount")) for move in moves)
    back = sum(max(0, _whole(move, "amount")) for move in moves)
    told_of = told.rpartition(".")[2]
    won = dispute.get("status") == "won" or (told_of == "funds_reinstated" and not back)
    cents, standing = _standing_of_dispute(amount, out, back, won=won)
    if standing == "waiting" and told_of == "funds_withdrawn":
        standing = "given"
    elif standing == "waiting" and dispute.get("status") in _MOVED_NOTHING and "balance_transactions" in dispute:
        standing = "void"
    times = sorted(_whole(move, "created") for move in moves if "created" in move)
    returned = standing == "returned"
    return Giveback(
        _text(dispute, "id"),
        _id(dispute.get("payment_intent")),
        _id(dispute.get("charge")),
        cents,
        _text(dispute, "currency").lower(),
        standing,
        _at(times[0] if times else dispute.get("created")),
        _at(times[-1] if back else told_at) if returned and (back or told_at is not None) else None,
    )


def _standing_of_dispute(amount: int, out: int, back: int, *, won: bool) -> tuple[int, Standing]:
    """Cents and standing, from what was moved ``out`` and ``back`` in the account's own currency. A dispute may be won
    in part: then the rest is what was given."""
    if won or (out and back >= out):
        return amount, "returned"
    if not out:
        return amount, "waiting"
    # In proportion, because the account's currency need not be the payment's.
    return amount - amount * back // out, "given"


def _id(value: Any) -> str | None:
    """The id of something that may be expanded."""
    found = value.get("id") if isinstance(value, Mapping) else value
    return found if isinstance(found, str) else None


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise _lacks(item, name)
    return value


def _text_if_any(item: Mapping[str, Any], name: str) -> str | None:
    return _text(item, name) if item.get(name) else None


def _whole(item: Mapping[str, Any], name: str) -> int:
    value = item.get(name)
    if type(value) is not int:
        raise _lacks(item, name)
    return value


def _at(seconds: Any) -> Instant:
    if type(seconds) is not int:
        raise BadInput("a Stripe object lacks the time it was created", hint=_WHOLE_HINT, code="bad_payload")
    return instants.from_millis(seconds * 1000)


_WHOLE_HINT = "give objects and events whole, as Stripe sent them"


def _lacks(item: Mapping[str, Any], name: str) -> BadInput:
    what = f"{item.get('object', 'object')} {item.get('id', '')}".strip()
    return BadInput(f"Stripe's {what} lacks {name!r}", hint=_WHOLE_HINT, code="bad_payload")
