"""``meterctl credit-pack``"""

from typing import Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.completion import complete_packs
from meterctl.commands.confirmation import book
from meterctl.commands.options import argument, option, switch
from meterctl.core.domain.checks import check_integer
from meterctl.core.domain.operations import CreditPack
from meterctl.core.errors import BadInput
from meterctl.core.results import Receipt
from meterctl.wiring import Wiring

app = new_app()


@command(app, writes=True)
def credit_pack(
    wiring: Wiring,
    org: Annotated[str | None, argument("ORG", "The org's id.")] = None,
    pack: Annotated[str | None, argument("PACK", "A pack of the config.", complete_packs)] = None,
    session: Annotated[str | None, option("--session", "ID", "The payment: it is credited once.")] = None,
    paid_cents: Annotated[str | None, option("--paid-cents", "N", "What was paid (else the pack's price).")] = None,
    from_stripe: Annotated[str | None, option("--from-stripe", "cs_...", "Book what Stripe says was paid.")] = None,
    accept_paid: Annotated[bool, switch("--accept-paid", "With --from-stripe: although it is not the price.")] = False,
) -> Receipt:
    """Book a sold pack: opens a lot of units.

    Books a topup: the units first repay debt, the rest is a lot with the pack's expiry. The session is claimed for the
    org: no other org can be credited for it, unless this topup is undone. With --from-stripe, amount and time are
    Stripe's, and so are org and pack if its metadata name them.

    \b
    Examples:
      meterctl credit-pack acme small --session cs_1234
      meterctl credit-pack --from-stripe cs_live_1234
    """
    if from_stripe is not None:
        if session is not None or paid_cents is not None:
            raise BadInput("--from-stripe brings session and amount with it", hint="leave them out", code="usage")
        return _from_stripe(wiring, from_stripe, org, pack, accept_paid=accept_paid)
    if org is None or pack is None or session is None:
        hint = "meterctl credit-pack ORG PACK --session ID"
        raise BadInput("crediting a pack needs ORG, PACK and --session", hint=hint, code="usage")
    # What nobody paid for is no sale: a pack that is free has a price of 0 in the config, a gift is an adjustment.
    paid = None if paid_cents is None else check_integer(paid_cents, "paid_cents", least=1)
    return book(wiring, CreditPack(org, pack, session, paid))


def _from_stripe(wiring: Wiring, reference: str, org: str | None, pack: str | None, *, accept_paid: bool) -> Receipt:
    from meterctl.core.payments.gather import find_payment, is_credited
    from meterctl.core.payments.payments import credit_for

    payment = find_payment(wiring.stripe, reference)
    accept_paid = accept_paid or is_credited(wiring.store, payment)
    operation = credit_for(payment, org, pack, wiring.settings.terms.packs, accept_paid=accept_paid)
    return book(wiring, operation, at=payment.at)
