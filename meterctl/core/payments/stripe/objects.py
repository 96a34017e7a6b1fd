"""Read Stripe's objects as payments."""

from collections.abc import Mapping, Sequence
from sys import intern
from typing import Any, NamedTuple

from meterctl.core.domain.policy import PaymentKind
from meterctl.core.payments.payments import MAX_PARTS, Payment, Problem, numbered_names
from meterctl.core.payments.stripe.fields import (
    at,
    currency_of,
    id_of,
    invoice_intents,
    invoice_lines,
    session_lines,
    text,
    whole,
)
from meterctl.core.payments.stripe.shop import PRICE, Json, LineItem, MissingObject, Shop

KINDS: Mapping[str, PaymentKind] = {
    "checkout.session": "checkout",
    "payment_intent": "payment_intent",
    "invoice": "invoice",
}


class _Purchase(NamedTuple):
    """A whole payment, before its org and packs are found. ``charged_at`` is in seconds since 1970."""

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
    composition: str = ""
    charged_at: int | None = None
    subscribes: bool = False
    tax_inside: bool = False
    released: int = 0


def payments_of(item: Json, shop: Shop, event_time: int | None = None) -> list[Payment]:
    """Return the payment in a session, payment intent or invoice, in its parts; empty for a mere setup.

    ``event_time`` is the time of its event, for objects without one of their own. Raises `BadInput` for an incomplete
    object.
    """
    kind = str(item.get("object") or "checkout.session")
    if kind == "checkout.session":
        if item.get("mode", "payment") not in ("payment", "subscription"):
            return []
        purchase = _session(item)
    else:
        purchase = _intent(item) if kind == "payment_intent" else _invoice(item)
    when = at(purchase.charged_at or event_time or item.get("created"))
    live = item.get("livemode")
    first = Payment(
        session=purchase.id,
        names=purchase.names,
        org=None,
        pack=None,
        cents=purchase.cents,
        currency=intern(purchase.currency),
        at=when,
        paid=purchase.paid,
        status=intern(purchase.status),
        live=live if isinstance(live, bool) else None,
        quantity=None if purchase.lines is None else 1,
        tax_cents=purchase.tax,
        tax_inside=purchase.tax_inside,
        discount_cents=purchase.discount,
        composition=purchase.composition,
        whole=purchase.cents,
        has_charge_time=purchase.charged_at is not None,
        released=purchase.released,
    )
    return _identify(item, purchase, first, shop)


def _identify(item: Json, purchase: _Purchase, first: Payment, shop: Shop) -> list[Payment]:
    """Return the payment's parts with the org and packs that the shop's fields name."""
    if not shop.takes(KINDS[purchase.kind]) or shop.ignores(first.all_names):
        return [first._replace(foreign=True)]
    try:
        if not shop.is_ours(item, purchase.kind):
            return [first._replace(foreign=True)]
        pack = shop.pack_of(item, purchase.kind, purchase.lines)
        if pack is None:
            return [_without_pack(item, purchase, first, shop)]
        org, problem = shop.org_of(item, purchase.kind)
    except MissingObject as missing:
        return [first._replace(missing_object=missing.name)]
    first = first._replace(org=org, problem=problem)
    return _by_price(purchase, first, shop) if pack == PRICE else [_by_name(purchase, first, pack, shop)]


def _without_pack(item: Json, purchase: _Purchase, first: Payment, shop: Shop) -> Payment:
    """Return a payment that names no pack.

    A checkout is still ours if it names an org or matches ``only``, unless packs are sold by price.
    """
    is_sale = purchase.kind == "checkout.session" and not purchase.subscribes
    may_hold_packs = is_sale or purchase.kind == "invoice"
    if may_hold_packs and shop.sells_by_price() and purchase.lines is None:
        return first._replace(missing_object=purchase.id)
    if not is_sale or (shop.sells_by_price() and not shop.settings.only):
        return first._replace(foreign=True)
    org, problem = shop.org_of(item, purchase.kind, own=not shop.settings.only)
    return first._replace(org=org, problem=problem, foreign=not (shop.settings.only or org or problem))


def _by_name(purchase: _Purchase, first: Payment, name: str, shop: Shop) -> Payment:
    """Return a payment whose fields name the pack; its items give the quantity."""
    pack = shop.packs.get(name)
    if pack is None or purchase.lines is None or pack.unit_price_cents is not None:
        return first._replace(pack=name, quantity=1 if pack is not None and pack.unit_price_cents else first.quantity)
    price = pack.price_cents if purchase.currency == pack.currency else pack.prices.get(purchase.currency, 0)
    by_price = shop.by_price
    ours = [line for line in purchase.lines if by_price.get(line.price or "") == name] or [
        line for line in purchase.lines if line.cents - line.tax + line.discount == price * line.quantity
    ]
    others = [line for line in purchase.lines if ours and line not in ours]
    quantity = sum(line.quantity for line in ours or purchase.lines)
    return first._replace(pack=name, quantity=quantity, problem=first.problem or _other_items(others, purchase))


def _other_items(lines: Sequence[LineItem], purchase: _Purchase) -> Problem | None:
    if not lines:
        return None
    items = ", ".join(f"{line.text or line.id} for {line.cents} {purchase.currency}" for line in lines)
    return Problem("price_mismatch", f"{purchase.id} also sells an item that is not a pack: {items}")


def _by_price(purchase: _Purchase, first: Payment, shop: Shop) -> list[Payment]:
    """Return a payment for each pack whose price is among the items; for invoices, one for each item."""
    by_price, is_invoice = shop.by_price, purchase.kind == "invoice"
    groups: dict[str, list[LineItem]] = {}
    others = []
    for line in purchase.lines or ():
        pack = by_price.get(line.price or "")
        if pack is None:
            others.append(line)
        else:
            groups.setdefault(line.id if is_invoice else pack, []).append(line)
    problem = first.problem or (None if is_invoice else _other_items(others, purchase))
    if purchase.released and (len(groups) > 1 or others):
        captured = f"only {purchase.cents} of {purchase.cents + purchase.released} {purchase.currency} were captured"
        problem = Problem("price_mismatch", f"{purchase.id} buys several items, but {captured}")
    if len(groups) > MAX_PARTS:
        problem = Problem(
            "too_many_packs", f"{purchase.id} buys {len(groups)} packs; one payment may buy at most {MAX_PARTS}"
        )
    is_lone = len(groups) == 1
    is_whole = is_lone and not others
    parts, offset = [], 0
    for number, (key, lines) in enumerate(groups.items(), 1):
        cents = first.cents if is_whole else sum(line.cents for line in lines)
        keeps_id = number == 1 and (is_lone or not is_invoice)
        session = purchase.id if keeps_id else f"{purchase.id}:{key if is_invoice else number}"
        parts.append(
            first._replace(
                session=session,
                names=numbered_names(_part_names(purchase, session), number, has_others=bool(others)),
                pack=by_price.get(lines[0].price or ""),
                cents=cents,
                quantity=sum(line.quantity for line in lines),
                tax_cents=first.tax_cents if is_whole else sum(line.tax for line in lines),
                tax_inside=all(line.tax_inside for line in lines) if is_invoice else first.tax_inside,
                discount_cents=sum(line.discount for line in lines),
                problem=problem,
                offset=offset,
            )
        )
        offset += cents
    return parts


def _part_names(purchase: _Purchase, session: str) -> tuple[str, ...]:
    """Return the names of a part, with the whole payment's id if the part is not credited under it."""
    return purchase.names if session == purchase.id else (purchase.id, *purchase.names)


# -- the three kinds


def _session(item: Json) -> _Purchase:
    details = item.get("total_details") or {}
    status, payment_status = item.get("status"), item.get("payment_status")
    intent, lines = item.get("payment_intent"), session_lines(item.get("line_items"))
    released = _released(intent)
    names = tuple(name for name in (id_of(intent), _charge_of(intent), id_of(item.get("invoice"))) if name)
    return _Purchase(
        kind="checkout.session",
        id=text(item, "id"),
        names=names,
        cents=whole(item, "amount_total") - released,
        tax=details.get("amount_tax") or 0,
        discount=details.get("amount_discount") or 0,
        currency=currency_of(item),
        # Old objects have no status: an event for a completed and paid session is enough.
        paid=status in ("complete", None) and payment_status in ("paid", "no_payment_required"),
        status=f"{status or 'complete'}, {payment_status}",
        lines=lines,
        composition=_composition(item, details),
        charged_at=_charged_at(intent),
        subscribes=item.get("mode") == "subscription",
        tax_inside=_is_tax_inside(item, details),
        released=released,
    )


def _is_tax_inside(item: Json, details: Json) -> bool:
    """Return True if the items' prices include the tax."""
    subtotal, total = item.get("amount_subtotal"), item.get("amount_total")
    if type(subtotal) is not int or type(total) is not int or not details.get("amount_tax"):
        return False
    return total == subtotal - (details.get("amount_discount") or 0) + (details.get("amount_shipping") or 0)


def _composition(item: Json, details: Json) -> str:
    """Return the parts of a session's sum, for people; empty if it has only one."""
    signs = {"amount_discount": ("-", "discount"), "amount_tax": ("+", "tax"), "amount_shipping": ("+", "shipping")}
    parts = [f"{sign} {details[name]} {word}" for name, (sign, word) in signs.items() if details.get(name)]
    return " ".join([f"{item.get('amount_subtotal')} subtotal", *parts]) if parts else ""


def _intent(item: Json) -> _Purchase:
    amount = item.get("amount_received")
    tax = ((item.get("amount_details") or {}).get("tax") or {}).get("total_tax_amount") or 0
    paid = item.get("status") == "succeeded"
    charge, invoice = _charge_of(item), id_of(item.get("invoice"))
    names = tuple(name for name in (charge, invoice) if name)
    cents = amount if paid and type(amount) is int and amount else whole(item, "amount")
    return _Purchase(
        kind="payment_intent",
        id=text(item, "id"),
        names=names,
        cents=cents,
        tax=tax,
        discount=0,
        currency=currency_of(item),
        paid=paid,
        status=str(item.get("status")),
        lines=None,
        charged_at=_charged_at(item) if paid else None,
        released=_released(item),
    )


def _released(intent: Any) -> int:
    """Return the cents of a payment intent that were authorized and not captured; 0 if the object does not tell."""
    if not isinstance(intent, Mapping) or intent.get("status") != "succeeded":
        return 0
    amount, received = intent.get("amount"), intent.get("amount_received")
    return amount - received if type(amount) is int and type(received) is int and 0 < received < amount else 0


def _invoice(item: Json) -> _Purchase:
    status = str(item.get("status"))
    paid_at = (item.get("status_transitions") or {}).get("paid_at")
    taxes = item.get("total_taxes") or item.get("total_tax_amounts") or ()
    return _Purchase(
        kind="invoice",
        id=text(item, "id"),
        names=invoice_intents(item),
        cents=whole(item, "total") if item.get("total") is not None else whole(item, "amount_paid"),
        tax=sum(tax.get("amount") or 0 for tax in taxes) or item.get("tax") or 0,
        discount=sum(discount.get("amount") or 0 for discount in item.get("total_discount_amounts") or ()),
        currency=currency_of(item),
        paid=status == "paid" or item.get("paid") is True,
        status=status,
        lines=invoice_lines(item.get("lines")),
        charged_at=paid_at if type(paid_at) is int else None,
    )


def _charge_of(intent: Any) -> str | None:
    if not isinstance(intent, Mapping):
        return None
    if charge := id_of(intent.get("latest_charge")):
        return charge
    charges = (intent.get("charges") or {}).get("data") or ()
    successful = [charge for charge in charges if charge.get("status") == "succeeded"]
    return id_of(successful[0]) if successful else None


def _charged_at(intent: Any) -> int | None:
    """Return the time of the charge, or None if the object does not hold it."""
    if not isinstance(intent, Mapping):
        return None
    charge = intent.get("latest_charge")
    seconds = charge.get("created") if isinstance(charge, Mapping) else None
    return seconds if type(seconds) is int else None
