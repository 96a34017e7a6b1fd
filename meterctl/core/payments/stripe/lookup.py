"""Find one payment, or the refunds and disputes of one, at Stripe and in the journal."""

from typing import NamedTuple

from meterctl.core.errors import BadInput, NotFound, PaymentRefused, shell_command, shell_word
from meterctl.core.payments.booked import CreditedPart, credits_for, in_parts
from meterctl.core.payments.payments import (
    DISPUTE_PREFIXES,
    PAYMENT_PREFIXES,
    REFUND_PREFIXES,
    Giveback,
    Payment,
)
from meterctl.core.payments.stripe.reader import Reader
from meterctl.core.ports import Store


class Lookup(NamedTuple):
    """The payment behind one of Stripe's ids, in its parts, and the requested givebacks."""

    sale: list[Payment]
    givebacks: list[Giveback]


def find_givebacks(gateway: Reader, reference: str) -> Lookup:
    """Return a refund or dispute by its id, or all those of a payment. Raises `NotFound`."""
    giveback = None
    if reference.startswith((*REFUND_PREFIXES, *DISPUTE_PREFIXES)):
        giveback = gateway.giveback(reference)
        if giveback is None:
            raise _unknown("refund or dispute", reference)
        reference = next(iter(giveback.of), "")
    elif not reference.startswith(PAYMENT_PREFIXES):
        hint = "give a refund (re_...), dispute (dp_..., du_...), session (cs_...), intent (pi_...) or charge (ch_...)"
        raise BadInput(
            f"{reference!r} is not a Stripe id of a refund, dispute or payment", hint=hint, code="bad_reference"
        )
    sale = find_payment(gateway, reference)
    if giveback is None or sale[0].released:
        every = gateway.givebacks_of(sale[0])  # one that was captured in part needs all, to find the release
        return Lookup(sale, every if giveback is None else [item for item in every if item.id == giveback.id])
    return Lookup(sale, [giveback])


def find_payment(gateway: Reader, reference: str) -> list[Payment]:
    """Return the payment of a session, payment intent, invoice or charge, in its parts. Raises `NotFound`."""
    sale = gateway.sale(reference)
    if not sale:
        raise _unknown("payment", reference)
    return sale


def credited_parts(store: Store, sale: list[Payment], org: str | None) -> list[CreditedPart]:
    """Return the credits of a payment, by its parts.

    Raises `NotFound` if there are none, and `PaymentRefused` if they belong to another org than ``org``.
    """
    names = list(dict.fromkeys(name for part in sale for name in part.all_names))
    credits = credits_for(store, names)
    if not credits:
        raise NotFound(
            f"{sale[0].session} is not credited yet, so its refund cannot be booked: it stays pending",
            hint="credit it first, then run this again: "
            + shell_command("credit-pack", "--from-stripe", sale[0].session),
            code="unknown_session",
        )
    parts = in_parts(credits)
    if org is not None and org != parts[0].credit.org:
        message = f"{sale[0].session} is credited to {parts[0].credit.org}, not to {org}"
        raise PaymentRefused(
            message, hint=f"name that org ({shell_word(parts[0].credit.org)}), or leave ORG out", code="other_org"
        )
    return parts


def _unknown(label: str, reference: str) -> NotFound:
    hint = "check the id, and that STRIPE_API_KEY belongs to the same account and mode (test or live)"
    return NotFound(f"Stripe has no {label} for {reference}", hint=hint, code="unknown_payment")
