"""Turn a payment into a credit, and check its price, quantity, tax, discount and currency. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from meterctl.core.domain.operations import CreditPack
from meterctl.core.domain.policy import Pack
from meterctl.core.errors import PaymentRefused, shell_command, shell_word
from meterctl.core.payments.booked import Credit, standing_credit
from meterctl.core.payments.payments import Payment, base_of, is_stripes, whole_of


class Seller(NamedTuple):
    """The packs on sale, and the amounts to accept besides their prices.

    ``discounts`` accepts a discounted price, ``accept_paid`` any amount of the payments with these ids. ``of_many`` is
    False where there is one payment alone, which the option need not name.
    """

    packs: Mapping[str, Pack]
    discounts: bool = False
    accept_paid: frozenset[str] = frozenset()
    of_many: bool = True

    def accepts_amount_of(self, payment: Payment) -> bool:
        return any(name in self.accept_paid for name in payment.all_names)


def credit_for(
    payment: Payment, seller: Seller, *, org: str | None = None, pack: str | None = None, credits: Iterable[Credit] = ()
) -> CreditPack:
    """Return the operation that credits ``payment``: to ``org`` with ``pack``, else to its own.

    Raises `PaymentRefused` for a payment that is unpaid, names another org or pack, or differs from the pack's price.
    A payment among ``credits`` is repeated with the same values, so that the journal answers with a replay.
    """
    if payment.missing_object is not None:
        part = "its line items" if payment.missing_object == payment.session else payment.missing_object
        message = f"{payment.session} cannot be read without {part}"
        raise _refused("needs_key", message, "set STRIPE_API_KEY, so that meterctl can read it")
    if not payment.paid:
        raise _refused(
            "not_paid", f"{payment.session} is not paid: its status is {payment.status}", "wait for the payment"
        )
    org, pack = _choose(payment, "org", org, payment.org), _choose(payment, "pack", pack, payment.pack)
    again = _same_credit(payment, org, pack, credits)
    if again is not None:
        return _operation(payment, org, pack, again.quantity, again.tax_cents)
    offer = seller.packs.get(pack)
    if offer is not None:
        _check_price(payment, pack, offer, seller)
    return _operation(payment, org, pack, payment.quantity or 1, payment.tax_cents)


def check_parts(sale: Sequence[Payment], credits: Iterable[Credit]) -> None:
    """Raise `PaymentRefused` if a payment of several packs is credited already, as a whole or with another pack."""
    if len(sale) < 2:
        return
    parts = {(part.session, part.pack) for part in sale}
    credit = standing_credit(one for one in credits if (base_of(one.name), one.pack) not in parts)
    if credit is None:
        return
    message = (
        f"{whole_of(sale[0].session)} buys {len(sale)} packs, but {credit.name} credits it to {credit.org} "
        f"with pack {credit.pack!r} for {credit.cents} {credit.currency}"
    )
    raise _refused("credited_otherwise", message, "to mend it, save a plan: meterctl reconcile stripe --plan-out FILE")


def _operation(payment: Payment, org: str, pack: str, quantity: int, tax_cents: int) -> CreditPack:
    return CreditPack(
        org,
        pack,
        payment.session,
        payment.cents,
        quantity=quantity,
        tax_cents=tax_cents,
        names=payment.names,
        currency=payment.currency,
    )


def _same_credit(payment: Payment, org: str, pack: str, credits: Iterable[Credit]) -> Credit | None:
    """Return the credit of this payment that is not undone: its price was accepted once and for all."""
    values = (org, pack, payment.cents, payment.currency)
    return standing_credit(
        credit for credit in credits if (credit.org, credit.pack, credit.cents, credit.currency) == values
    )


def _choose(payment: Payment, field: str, requested: str | None, own: str | None) -> str:
    """Return the requested org or pack, else the payment's ``own``; ``field`` names it in errors."""
    source = "--from-stripe" if is_stripes(payment.session) else "--session"
    by_hand = shell_command("credit-pack", "ORG", "PACK", source, payment.session)
    if requested is None and payment.problem is not None and payment.problem.code == f"bad_{field}":
        hint = f"correct it in Stripe, or name the {field}: {by_hand}"
        raise _refused(payment.problem.code, f"{payment.session}: {payment.problem.message}", hint)
    if requested is None and own is None:
        hint = f"name the {field}: {by_hand}"
        where = f" in any field listed under [stripe] {field} in the config" if is_stripes(payment.session) else ""
        message = f"{payment.session} names no {field}{where}"
        raise _refused(f"no_{field}", message, hint)
    if requested is not None and own is not None and requested != own:
        hint = f"leave out the {field}, or book by hand: meterctl credit-pack ORG PACK --session ID"
        raise _refused(f"other_{field}", f"{payment.session} is for {field} {own!r}, not {requested!r}", hint)
    return requested or own or ""


def _check_price(payment: Payment, name: str, pack: Pack, seller: Seller) -> None:
    """Raise unless the net amount is the pack's price times the quantity.

    Tax counts as part of the price only if the price includes it. Discounts and other items must be accepted.
    """
    amount = f"the buyer paid {payment.cents} {payment.currency}" + (
        f" ({payment.composition})" if payment.composition else ""
    )
    price = pack.price_cents if payment.currency == pack.currency else pack.prices.get(payment.currency)
    if price is None or (pack.unit_price_cents is not None and payment.currency != pack.currency):
        currencies = ", ".join([pack.currency, *pack.prices])
        hint = f"add its price in {payment.currency} to the config: prices under [packs.{name}]"
        raise _refused("currency_mismatch", f"{amount}, but pack {name!r} is sold in {currencies}", hint)
    if seller.accepts_amount_of(payment):
        return
    accept = "to book it for the amount paid, add: --accept-paid"
    if seller.of_many:
        accept += f" {shell_word(payment.session)}"
    if payment.problem is not None:
        raise _refused(payment.problem.code, payment.problem.message, accept)
    if pack.unit_price_cents is not None:
        return
    quantity = payment.quantity or 1
    full_price, net = price * quantity, payment.cents - payment.tax_cents
    if net == full_price or (payment.tax_inside and payment.cents == full_price):
        return
    if payment.discount_cents and full_price in (net + payment.discount_cents, payment.cents + payment.discount_cents):
        if seller.discounts:
            return
        accept = 'to accept the discount, add --accept-discount, or set discounts = "accept" under [stripe]'
    times = f" for {quantity}" if quantity > 1 else ""
    message = f"{amount}, but pack {name!r} costs {full_price} {payment.currency}{times}"
    if payment.quantity is None and price and net > price and net % price == 0:
        message += f"; that is {net // price} times its price; set STRIPE_API_KEY to read the quantity sold"
    raise _refused("price_mismatch", message, accept)


def _refused(code: str, message: str, hint: str) -> PaymentRefused:
    return PaymentRefused(message, hint=hint, code=code)
