"""Units that come in: packs and grants."""

from typing import Any, NamedTuple

from meterctl.core.domain import instants
from meterctl.core.domain.effects import Draft, credit_effects, draft
from meterctl.core.domain.operations import Adjust, CreditPack
from meterctl.core.domain.policy import Pack
from meterctl.core.domain.rules.context import Context, Decision
from meterctl.core.errors import Refusal, did_you_mean
from meterctl.core.model import MAX_UNITS, PRIORITY


class Sale(NamedTuple):
    """A pack as it is sold: the units, all that is paid for them, and its currency."""

    units: int
    paid_cents: int
    currency: str


def decide_credit(operation: CreditPack, context: Context) -> Decision:
    """Book a sold pack: it opens a lot, once debt is repaid."""
    pack = context.terms.packs.get(operation.pack)
    if pack is None:
        near = did_you_mean(operation.pack, context.terms.packs)
        return Refusal("unknown_pack", f"there is no pack {operation.pack!r} in the config{near}")
    sale = sale_of(operation, pack)
    if isinstance(sale, Refusal):
        return sale
    expires_at = operation.expires_at
    if expires_at is None and pack.expiry_days is not None:
        expires_at = instants.add_days(context.said, pack.expiry_days)
    effects: dict[str, Any] = {
        "pack": operation.pack,
        "session": operation.session,
        "quantity": operation.quantity,
        "paid_cents": sale.paid_cents,
        "tax_cents": operation.tax_cents,
        "currency": sale.currency,
        "names": list(operation.names),
        **credit_effects(context.state, context.seq, sale.units, expires_at, pack.priority),
    }
    # The input holds the price as resolved, so that a later price change cannot turn a retry into a conflict.
    parameters = {**operation.parameters(), "paid_cents": sale.paid_cents, "currency": sale.currency}
    return Draft("topup", operation.key, sale.units, parameters, effects)


def sale_of(operation: CreditPack, pack: Pack) -> Sale | Refusal:
    """Return the units and the price that ``operation`` books, or why it cannot be sold so."""
    currency = operation.currency or pack.currency
    price = pack.price_in(currency)
    if price is None:
        currencies = ", ".join([pack.currency, *pack.prices])
        return Refusal("unknown_currency", f"pack {operation.pack} is sold in {currencies}, not in {currency}")
    paid_cents = operation.paid_cents
    if pack.unit_price_cents is None:
        units = pack.units * operation.quantity
        if paid_cents is None:
            paid_cents = price * operation.quantity + operation.tax_cents
    elif paid_cents is None:
        return Refusal("amount_required", f"pack {operation.pack} is sold by amount: say how much was paid")
    else:
        units = _units_for(paid_cents - operation.tax_cents, pack.unit_price_cents)
        if not units:
            return Refusal("amount_required", f"{paid_cents} cents do not pay for one unit of pack {operation.pack}")
    if max(units, paid_cents) > MAX_UNITS:
        return Refusal("amount_out_of_range", f"{operation.quantity:,} times pack {operation.pack} is too much")
    return Sale(units, paid_cents, currency)


def _units_for(cents: int, unit_price: str) -> int:
    """Return the whole units that ``cents`` buy, exactly."""
    from decimal import ROUND_FLOOR, Decimal, localcontext  # most commands sell nothing

    with localcontext(prec=60, rounding=ROUND_FLOOR):
        return int(Decimal(cents) // Decimal(unit_price))


def decide_grant(operation: Adjust, context: Context) -> Decision:
    """Book units that an operator gives."""
    if operation.expires_at is not None and operation.expires_at <= context.said:
        return Refusal("expires_in_past", f"the units would expire at {operation.expires_at}, before they are given")
    priority = PRIORITY if operation.priority is None else operation.priority
    effects = credit_effects(context.state, context.seq, operation.units, operation.expires_at, priority)
    return draft("adjustment", operation, operation.units, effects)
