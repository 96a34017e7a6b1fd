"""``meterctl credit-pack``"""

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from meterctl.commands.command import command, new_app
from meterctl.commands.completion import complete_packs
from meterctl.commands.confirmation import book
from meterctl.commands.options import argument, completer, expiry_time, option, switch
from meterctl.core.domain.checks import check_integer
from meterctl.core.domain.operations import CreditPack
from meterctl.core.errors import BadInput, name_source
from meterctl.core.results import Receipts, Result
from meterctl.wiring import Wiring

if TYPE_CHECKING:
    from meterctl.core.payments.payments import Payment

app = new_app()

_NEVER = "leave --expires out; once it is booked: meterctl lot extend ORG LOT --expires never --ref REF --reason TEXT"


@command(app, writes=True)
def credit_pack(
    wiring: Wiring,
    org: Annotated[str | None, argument("ORG", "The org's id.", completer("complete_orgs"))] = None,
    pack: Annotated[str | None, argument("PACK", "A pack of the config.", complete_packs)] = None,
    session: Annotated[str | None, option("--session", "ID", "The payment. It is credited once.")] = None,
    paid_cents: Annotated[str | None, option("--paid-cents", "N", "The amount paid (else the pack's price).")] = None,
    tax_cents: Annotated[str | None, option("--tax-cents", "N", "The tax included in the amount paid.")] = None,
    quantity: Annotated[str | None, option("--quantity", "N", "Number of packs (else 1).")] = None,
    name: Annotated[
        list[str] | None, option("--name", "ID", "Another id of the same payment (intent, charge, ...); repeatable.")
    ] = None,
    currency: Annotated[str | None, option("--currency", "CODE", "A currency of the pack (else its first).")] = None,
    expires: Annotated[str | None, option("--expires", "TIME", "Expiry of the units (else the pack's days).")] = None,
    from_stripe: Annotated[str | None, option("--from-stripe", "cs_...", "Book this payment from Stripe.")] = None,
    from_payment: Annotated[
        str | None, option("--from-payment", "FILE|-", "Book the payment line in a file, from any provider.")
    ] = None,
    accept_paid: Annotated[bool, switch("--accept-paid", "Accept an amount that differs from the price.")] = False,
    accept_discount: Annotated[bool, switch("--accept-discount", "Accept a price reduced by a discount.")] = False,
) -> Result:
    """Book a sold pack: opens a lot of units.

    Books a topup. The units first repay debt; the rest becomes a lot with the pack's expiry. The session now belongs to
    the org: no other org can be credited for it, unless this topup is undone. With --from-stripe, amount and time come
    from Stripe, and org and pack too if its metadata name them.

    \b
    Examples:
      meterctl credit-pack acme small --session cs_1234 --name pi_1234
      meterctl credit-pack --from-stripe cs_live_1234
      meterctl credit-pack --from-payment order-77.json
    """
    if from_stripe is not None or from_payment is not None:
        _check_from(
            {"--from-stripe": from_stripe, "--from-payment": from_payment},
            {
                "--session": session,
                "--paid-cents": paid_cents,
                "--tax-cents": tax_cents,
                "--quantity": quantity,
                "--name": name,
                "--currency": currency,
                "--expires": expires,
            },
        )
    elif accept_paid or accept_discount:
        hint = "leave them out: --paid-cents N books any amount"
        message = "--accept-paid and --accept-discount go with --from-stripe or --from-payment"
        raise BadInput(message, hint=hint, code="usage")
    if from_stripe is not None:
        return _from_stripe(wiring, from_stripe, org, pack, accept_paid=accept_paid, accept_discount=accept_discount)
    if from_payment is not None:
        return _from_line(wiring, from_payment, org, pack, accept_paid=accept_paid, accept_discount=accept_discount)
    if org is None or pack is None or session is None:
        hint = "meterctl credit-pack ORG PACK --session ID"
        raise BadInput("crediting a pack needs ORG, PACK and --session", hint=hint, code="usage")
    from meterctl.core.domain.operation_documents import names_in

    operation = CreditPack(
        org=org,
        pack=pack,
        session=session,
        paid_cents=None if paid_cents is None else _paid(wiring, pack, paid_cents),
        quantity=1 if quantity is None else check_integer(quantity, "quantity", least=1),
        tax_cents=0 if tax_cents is None else check_integer(tax_cents, "tax_cents", least=0),
        names=tuple(one for text in name or () for one in names_in(text)),
        expires_at=None if expires is None else expiry_time(wiring, expires, never=_NEVER),
        currency=currency,
    )
    return book(wiring, operation)


def _paid(wiring: Wiring, pack: str, cents: str) -> int:
    """Return the amount paid. A sale has a payment; a free pack has a price of 0 in the config, and a gift is an
    adjustment."""
    offer = wiring.settings.terms.packs.get(pack)
    return check_integer(cents, "paid_cents", least=0 if offer is not None and offer.is_free else 1)


def _check_from(sources: Mapping[str, object], options: Mapping[str, object]) -> None:
    """Raise `BadInput` if both sources are named, or an option whose value comes from the source."""
    names = [name for name, value in sources.items() if value is not None]
    if len(names) > 1:
        raise BadInput(f"{' and '.join(names)} cannot be combined", hint="leave out one of them", code="usage")
    others = [name for name, value in options.items() if value is not None]
    if others:
        message = f"{names[0]} takes session, amount and expiry from the payment, so {others[0]} has no effect"
        raise BadInput(message, hint=f"leave out {' and '.join(others)}", code="usage")


def _from_stripe(
    wiring: Wiring, reference: str, org: str | None, pack: str | None, *, accept_paid: bool, accept_discount: bool
) -> Result:
    from meterctl.core.payments.stripe.lookup import find_payment

    sale = find_payment(wiring.stripe, reference)
    return _credit(wiring, sale, org, pack, accept_paid=accept_paid, accept_discount=accept_discount)


def _from_line(
    wiring: Wiring, path: str, org: str | None, pack: str | None, *, accept_paid: bool, accept_discount: bool
) -> Result:
    from meterctl.core.files.sources import display_name, open_file_or_standard_input
    from meterctl.core.payments.reconcile.neutral import BadLine, read_payments

    with open_file_or_standard_input(path) as file, name_source(display_name(path)):
        lines = list(islice(read_payments(file), 2))
    if len(lines) != 1:
        message = "it holds no payment" if not lines else "it holds more than one payment"
        hint = "give a file with one line; meterctl reconcile FILE takes many"
        raise BadInput(f"{display_name(path)}: {message}", hint=hint, code="bad_payment")
    if isinstance(lines[0], BadLine):
        raise lines[0].problem
    return _credit(wiring, [lines[0].payment], org, pack, accept_paid=accept_paid, accept_discount=accept_discount)


def _credit(
    wiring: Wiring,
    sale: "list[Payment]",
    org: str | None,
    pack: str | None,
    *,
    accept_paid: bool,
    accept_discount: bool,
) -> Result:
    """Credit every part of a payment; check all parts before booking any."""
    from meterctl.core.payments.booked import credits_for
    from meterctl.core.payments.sales import check_parts, credit_for

    accepted = frozenset(payment.session for payment in sale) if accept_paid else frozenset[str]()
    seller = wiring.shop.seller(discounts=accept_discount, accept_paid=accepted)._replace(of_many=False)
    credits = [credits_for(wiring.store, payment.all_names) for payment in sale]
    check_parts(sale, [one for of_part in credits for one in of_part])
    pack = pack if len(sale) == 1 else None
    operations = [
        credit_for(payment, seller, org=org, pack=pack, credits=credit)
        for payment, credit in zip(sale, credits, strict=True)
    ]
    receipts = [book(wiring, operation, at=part.at) for operation, part in zip(operations, sale, strict=True)]
    return receipts[0] if len(receipts) == 1 else Receipts("credit-pack", receipts)
