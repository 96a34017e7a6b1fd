"""Find one payment, or the refunds and disputes of one, at Stripe and in the journal."""

from typing import NamedTuple

from meterctl.core.errors import BadInput, NotFound, PaymentRefused
from meterctl.core.payments.booked import CreditedPart, credits_for, in_parts
from meterctl.core.payments.payments import (
    DISPUTE_PREFIXES,
    PAYMENT_PREFIXES,
    REFUND_PREFIXES,
    Giveback,
    Payment,
)
from meterctl.core.payments.stripe_reader import Reader
from meterctl.core.ports import Store


class Lookup(NamedTuple):
    """What one of Stripe's ids leads to: the payment in its parts, and the givebacks that were asked for."""

    sale: list[Payment]
    asked: list[Giveback]


def find_givebacks(gateway: Reader, reference: str) -> Lookup:
    """A refund or a dispute by its id; or all of a session, payment intent, invoice or charge. Raises `NotFound`."""
    asked = None
    if reference.startswith((*REFUND_PREFIXES, *DISPUTE_PREFIXES)):
        asked = gateway.giveback(reference)
        if asked is None:
            raise _unknown("refund or dispute", reference)
        reference = next(iter(asked.of), "")
    elif not reference.startswith(PAYMENT_PREFIXES):
        hint = "give a refund (re_...), dispute (dp_..., du_...), session (cs_...), intent (pi_...) or charge (ch_...)"
        raise BadInput(f"{reference!r} is no id of Stripe's for it", hint=hint, code="bad_reference")
    sale = find_payment(gateway, reference)
    return Lookup(sale, gateway.givebacks_of(sale[0]) if asked is None else [asked])


def find_payment(gateway: Reader, reference: str) -> list[Payment]:
    """The payment of a session, payment intent, invoice or charge, in its parts. Raises `NotFound`."""
    sale = gateway.sale(reference)
    if not sale:
        raise _unknown("payment", reference)
    return sale


def credited_parts(store: Store, sale: list[Payment], org: str | None) -> list[CreditedPart]:
    """The credits that refunds of a payment belong to, by its parts. Raises `NotFound` while there is none, and
    `PaymentRefused` if they are not ``org``'s."""
    names = list(dict.fromkeys(name for part in sale for name in part.all_names))
    found = credits_for(store, names)
    if not found:
        raise NotFound(
            f"{sale[0].session} is not credited yet, so nothing can be clawed from it: the refund is pending",
            hint=f"meterctl credit-pack --from-stripe {sale[0].session}; then run this again",
            code="unknown_session",
        )
    parts = in_parts(found)
    if org is not None and org != parts[0].credit.org:
        message = f"{sale[0].session} is credited to {parts[0].credit.org}, not to {org}"
        raise PaymentRefused(message, hint="name that org, or leave it out", code="other_org")
    return parts


def _unknown(what: str, reference: str) -> NotFound:
    hint = "check the id, and that the key is of the same mode and account"
    return NotFound(f"Stripe knows no {what} for {reference}", hint=hint, code="unknown_payment")
