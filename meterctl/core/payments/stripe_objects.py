"""Read Stripe's objects as payments."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from meterctl.core.domain.policy import PaymentKind
from meterctl.core.payments.payments import MAX_PARTS, Payment
from meterctl.core.payments.shop import PRICE, Json, LineItem, Problem, Shop, Unread
from meterctl.core.payments.stripe_fields import (
    at,
    currency_of,
    id_of,
    invoice_intents,
    invoice_lines,
    session_lines,
    text,
    whole,
)

KINDS: Mapping[str, PaymentKind] = {
    "checkout.session": "checkout",
    "payment_intent": "payment_intent",
    "invoice": "invoice",
}


class _Whole(NamedTuple):
    """A whole payment, before it is known who bought it and for which packs."""

    kind: str
    id: str
    names: tuple[str, ...]
    cents: int
    tax: int
    discount: int
    currency: str
    paid: bool
    status: str
    lines: list[LineItem] | None
    makeup: str = ""
    charged_at: int | None = None
    subscribes: bool = False
    tax_inside: bool = False


def payments_of(item: Json, shop: Shop, told_at: int | None = None) -> list[Payment]:
    """The payment in a session, payment intent or invoice, in its parts; empty if it moves no money (a setup).

    ``told_at`` is when an event told of it, for want of a time in the object. Raises `BadInput` for an object that
    lacks what matters.
    """
    kind = str(item.get("object") or "checkout.session")
    if kind == "checkout.session":
        if item.get("mode", "payment") not in ("payment", "subscription"):
            return []
        found = _session(item)
    else:
        found = _intent(item) if kind == "payment_intent" else _invoice(item)
    when = at(found.charged_at or told_at or item.get("created"))
    live = item.get("livemode")
    first = Payment(
        found.id,
        found.names,
        None,
        None,
        found.cents,
        found.currency,
        when,
        found.paid,
        found.status,
        live if isinstance(live, bool) else None,
        None if found.lines is None else 1,
        found.tax,
        found.tax_inside,
        found.discount,
        found.makeup,
        whole=found.cents,
        timed=found.charged_at is not None,
    )
    return _told_apart(item, found, first, shop)


def _told_apart(item: Json, found: _Whole, first: Payment, shop: Shop) -> list[Payment]:
    """The payment with org and packs, as the shop states them."""
    if not shop.takes(KINDS[found.kind]) or shop.ignores(first.all_names):
        return [first._replace(foreign=True)]
    try:
        if not shop.is_ours(item, found.kind):
            return [first._replace(foreign=True)]
        pack = shop.pack_of(item, found.kind, found.lines)
        if pack is None:
            return [_without_pack(item, found, first, shop)]
        org, problem = shop.org_of(item, found.kind)
    except Unread as unread:
        return [first._replace(unread=unread.name)]
    first = first._replace(org=org, problem=problem)
    return _by_price(found, first, shop) if pack == PRICE else [_named(found, first, pack, shop)]


def _without_pack(item: Json, found: _Whole, first: Payment, shop: Shop) -> Payment:
    """A payment that names no pack. A checkout is ours all the same if it names an org itself, or fits ``only``, unless
    its items say otherwise."""
    is_sale = found.kind == "checkout.session" and not found.subscribes
    if is_sale and shop.sells_by_price() and found.lines is None:
        return first._replace(unread=found.id)
    if not is_sale or (shop.sells_by_price() and not shop.settings.only):
        return first._replace(foreign=True)
    org, problem = shop.org_of(item, found.kind, own=not shop.settings.only)
    return first._replace(org=org, problem=problem, foreign=not (shop.settings.only or org or problem))


def _named(found: _Whole, first: Payment, name: str, shop: Shop) -> Payment:
    """A payment for one pack that is stated by name: its items say how many of it were bought."""
    pack = shop.packs.get(name)
    if pack is None or found.lines is None or pack.unit_price_cents is not None:
        return first._replace(pack=name, quantity=1 if pack is not None and pack.unit_price_cents else first.quantity)
    price = pack.price_cents if found.currency == pack.currency else pack.prices.get(found.currency, 0)
    by_price = shop.by_price
    ours = [line for line in found.lines if by_price.get(line.price or "") == name] or [
        line for line in found.lines if line.cents - line.tax + line.discount == price * line.quantity
    ]
    others = [line for line in found.lines if ours and line not in ours]
    quantity = sum(line.quantity for line in ours or found.lines)
    return first._replace(pack=name, quantity=quantity, problem=first.problem or _other_items(others, found))


def _other_items(lines: Sequence[LineItem], found: _Whole) -> Problem | None:
    if not lines:
        return None
    items = ", ".join(f"{line.text or line.id} for {line.cents} {found.currency}" for line in lines)
    return Problem("price_mismatch", f"{found.id} also sells an item that is no pack: {items}")


def _by_price(found: _Whole, first: Payment, shop: Shop) -> list[Payment]:
    """A payment for each pack whose price stands among the items; of an invoice, for each such item."""
    by_price, invoiced = shop.by_price, found.kind == "invoice"
    groups: dict[str, list[LineItem]] = {}
    others = []
    for line in found.lines or ():
        pack = by_price.get(line.price or "")
        if pack is None:
            others.append(line)
        else:
            groups.setdefault(line.id if invoiced else pack, []).append(line)
    problem = first.problem or (None if invoiced else _other_items(others, found))
    if len(groups) > MAX_PARTS:
        problem = Problem("too_many_packs", f"{found.id} is for {len(groups)} packs; at most {MAX_PARTS} are taken")
    lone = len(groups) == 1
    parts, offset = [], 0
    for number, (key, lines) in enumerate(groups.items(), 1):
        cents = first.cents if lone and not others else sum(line.cents for line in lines)
        mark = "" if lone and not others else f":{number}"
        # A part's refund is only its share: where other items were sold too, no name stands for it alone.
        suffix = mark if others or number > 1 else ""
        session = (
            found.id if number == 1 and not (invoiced and not lone) else f"{found.id}:{key if invoiced else number}"
        )
        parts.append(
            first._replace(
                session=session,
                names=tuple(f"{name}{suffix}" for name in _part_names(found, session)),
                pack=by_price.get(lines[0].price or ""),
                cents=cents,
                quantity=sum(line.quantity for line in lines),
                tax_cents=first.tax_cents if lone and not others else sum(line.tax for line in lines),
                tax_inside=all(line.tax_inside for line in lines) if invoiced else first.tax_inside,
                discount_cents=sum(line.discount for line in lines),
                problem=problem,
                offset=offset,
            )
        )
        offset += cents
    return parts


def _part_names(found: _Whole, session: str) -> tuple[str, ...]:
    """The names of a part. Where it is not credited under the whole's id, it claims that one too."""
    return found.names if session == found.id else (found.id, *found.names)


# -- the three kinds


def _session(item: Json) -> _Whole:
    details = item.get("total_details") or {}
    status, payment_status = item.get("status"), item.get("payment_status")
    intent, lines = item.get("payment_intent"), session_lines(item.get("line_items"))
    names = tuple(name for name in (id_of(intent), _charge_of(intent), id_of(item.get("invoice"))) if name)
    return _Whole(
        "checkout.session",
        text(item, "id"),
        names,
        whole(item, "amount_total"),
        details.get("amount_tax") or 0,
        details.get("amount_discount") or 0,
        currency_of(item),
        # An event that says completed and paid suffices where the object has no status.
        status in ("complete", None) and payment_status in ("paid", "no_payment_required"),
        f"{status or 'complete'}, {payment_status}",
        lines,
        _makeup(item, details),
        _charged_at(intent),
        item.get("mode") == "subscription",
        _is_tax_inside(item, details),
    )


def _is_tax_inside(item: Json, details: Json) -> bool:
    """Return True where the sum of the items holds the tax already."""
    subtotal, total = item.get("amount_subtotal"), item.get("amount_total")
    if type(subtotal) is not int or type(total) is not int or not details.get("amount_tax"):
        return False
    return total == subtotal - (details.get("amount_discount") or 0) + (details.get("amount_shipping") or 0)


def _makeup(item: Json, details: Json) -> str:
    signs = {"amount_discount": ("-", "discount"), "amount_tax": ("+", "tax"), "amount_shipping": ("+", "shipping")}
    parts = [f"{sign} {details[name]} {word}" for name, (sign, word) in signs.items() if details.get(name)]
    return " ".join([f"{item.get('amount_subtotal')} subtotal", *parts]) if parts else ""


def _intent(item: Json) -> _Whole:
    received = item.get("amount_received")
    tax = ((item.get("amount_details") or {}).get("tax") or {}).get("total_tax_amount") or 0
    paid = item.get("status") == "succeeded"
    charge, invoice = _charge_of(item), id_of(item.get("invoice"))
    names = tuple(name for name in (charge, invoice) if name)
    cents = received if paid and type(received) is int and received else whole(item, "amount")
    status = str(item.get("status"))
    return _Whole(
        "payment_intent",
        text(item, "id"),
        names,
        cents,
        tax,
        0,
        currency_of(item),
        paid,
        status,
        None,
        charged_at=_charged_at(item) if paid else None,
    )


def _invoice(item: Json) -> _Whole:
    status = str(item.get("status"))
    paid_at = (item.get("status_transitions") or {}).get("paid_at")
    taxes = item.get("total_taxes") or item.get("total_tax_amounts") or ()
    return _Whole(
        "invoice",
        text(item, "id"),
        invoice_intents(item),
        whole(item, "total") if item.get("total") is not None else whole(item, "amount_paid"),
        sum(tax.get("amount") or 0 for tax in taxes) or item.get("tax") or 0,
        sum(discount.get("amount") or 0 for discount in item.get("total_discount_amounts") or ()),
        currency_of(item),
        status == "paid" or item.get("paid") is True,
        status,
        invoice_lines(item.get("lines")),
        charged_at=paid_at if type(paid_at) is int else None,
    )


def _charge_of(intent: Any) -> str | None:
    if not isinstance(intent, Mapping):
        return None
    if charge := id_of(intent.get("latest_charge")):
        return charge
    listed = (intent.get("charges") or {}).get("data") or ()
    succeeded = [charge for charge in listed if charge.get("status") == "succeeded"]
    return id_of(succeeded[0]) if succeeded else None


def _charged_at(intent: Any) -> int | None:
    """When the charge was made, if the object holds it."""
    if not isinstance(intent, Mapping):
        return None
    charge = intent.get("latest_charge")
    created = charge.get("created") if isinstance(charge, Mapping) else None
    return created if type(created) is int else None
