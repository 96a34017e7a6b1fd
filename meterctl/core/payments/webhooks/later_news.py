"""News of payments that the journal has already, from an earlier run."""

from collections.abc import Iterable, Iterator, Sequence

from meterctl.core.domain.operations import CreditPack
from meterctl.core.payments.booked import Credit, in_parts, shares_unknown
from meterctl.core.payments.payments import (
    CHARGE_PREFIXES,
    REFUND_PREFIXES,
    Giveback,
    Payment,
    base_of,
    numbered_names,
    shares,
)
from meterctl.core.payments.sale_book import Sale
from meterctl.core.ports import Store


def is_credited(sale: Sale, credits: Sequence[Credit]) -> bool:
    """Return True if the journal has the payment in parts, or as a whole that the event alone cannot tell.

    The event shows one sum without its items; the credits in force have the same sum.
    """
    parts = in_parts(credits)
    if len(sale) > 1 or not parts or parts[0].credit.undone or shares_unknown(credits):
        return False
    (payment,), first = sale, parts[0]
    is_unclear = payment.missing_object is not None or len(parts) > 1
    same_org = payment.org in (None, first.credit.org)
    return is_unclear and same_org and (first.whole, first.credit.currency) == (payment.cents, payment.currency)


def booked_refunds(credits: Iterable[Credit]) -> dict[str, int]:
    """Return by id the cents of all refunds that are booked for a payment under Stripe's ids.

    A failed refund counts, because Stripe's sum included it at the time. One under a name of the operator's own does
    not: its event is still to come.
    """
    refunds: dict[str, int] = {}
    for credit in credits:
        of_part: dict[str, int] = {}
        for claw in credit.clawbacks:
            name, _, _ = base_of(claw.name).partition(":")
            of_part[name] = max(of_part.get(name, 0), claw.cents)
        for name, cents in of_part.items():
            if name.startswith(REFUND_PREFIXES):
                refunds[name] = refunds.get(name, 0) + cents
    return refunds


def with_later_names(credits: Sequence[Credit], names: Sequence[str]) -> list[CreditPack]:
    """Return the credits of a payment once more, with further names: the journal answers with replays, and claims
    the names."""
    has_others = shares_unknown(credits)
    return [
        CreditPack(
            part.credit.org,
            part.credit.pack,
            part.credit.name,
            part.credit.cents,
            quantity=part.credit.quantity,
            tax_cents=part.credit.tax_cents,
            names=numbered_names(names, part.number, has_others=has_others),
            currency=part.credit.currency,
        )
        for part in in_parts(credits)
        if not part.credit.undone
    ]


def shares_by_credit(item: Giveback, sale: Sale | None, credits: Sequence[Credit]) -> Iterator[tuple[Giveback, Credit]]:
    """Yield a giveback's share for each credit of its payment, in proportion to the parts' amounts."""
    for part in in_parts(credits):
        known = next((one for one in sale or () if set(one.all_names) & set(part.credit.all_names)), None)
        if known is not None and sale is not None:
            yield shares(item, sale)[sale.index(known)], part.credit
        else:
            yield part.share_of(item), part.credit


def has_charge_credit(store: Store, payment: Payment) -> bool:
    """Return True if the org has a credit under a charge, and the payment's own charge is unknown: it may be the same.

    The event of a checkout does not name its charge.
    """
    if payment.org is None or any(name.startswith(CHARGE_PREFIXES) for name in payment.all_names):
        return False
    keys = (f"session:{prefix}" for prefix in CHARGE_PREFIXES)
    return any(next(iter(store.journal.starting([payment.org], key)), None) is not None for key in keys)
