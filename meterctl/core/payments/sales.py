"""Decide how a payment is credited: the one check of price, quantity, tax, discount and currency. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from meterctl.core.domain.operations import CreditPack
from meterctl.core.domain.policy import Pack
from meterctl.core.errors import PaymentRefused
from meterctl.core.payments.booked import Credit
from meterctl.core.payments.payments import Payment


class Seller(NamedTuple):
    """What is on sale, and which prices are taken although they are not the packs'. ``paid`` takes any amount,
    ``discounts`` one that a discount explains."""

    packs: Mapping[str, Pack]
    discounts: bool = False
    paid: bool = False


def credit_for(
    payment: Payment, seller: Seller, *, org: str | None = None, pack: str | None = None, booked: Iterable[Credit] = ()
) -> CreditPack:
    """Return the operation that credits ``payment``: to the org and with the pack given, else those that it states.

    Raises `PaymentRefused` for a payment that did not arrive, that states another org or pack, or that is not the
    pack's price. What is ``booked`` of it already is repeated as it was, so that it is answered as a repetition.
    """
    if payment.unread is not None:
        message = f"{payment.session} cannot be read without {payment.unread}"
        raise _refused("needs_key", message, "set STRIPE_API_KEY, so that it can be asked for")
    if not payment.paid:
        raise _refused("not_paid", f"{payment.session} is not paid: it is {payment.status}", "wait for it")
    org, pack = _named(payment, "org", org, payment.org), _named(payment, "pack", pack, payment.pack)
    again = _same_credit(payment, org, pack, booked)
    if again is not None:
        return _operation(payment, org, pack, again.quantity, again.tax_cents)
    sold = seller.packs.get(pack)
    if sold is not None:
        _check_price(payment, pack, sold, seller)
    return _operation(payment, org, pack, payment.quantity or 1, payment.tax_cents)


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


def _same_credit(payment: Payment, org: str, pack: str, booked: Iterable[Credit]) -> Credit | None:
    """A credit of this payment that stands: its price was accepted once for ever, and a tax nobody stated is none."""
    told = (org, pack, payment.cents, payment.currency)
    same = [credit for credit in booked if (credit.org, credit.pack, credit.cents, credit.currency) == told]
    return next((credit for credit in same if not credit.undone), None)


def _named(payment: Payment, what: str, given: str | None, stated: str | None) -> str:
    if given is None and payment.problem is not None and payment.problem.code == f"bad_{what}":
        hint = f"correct it there, or name the {what}: meterctl credit-pack ORG PACK --from-stripe {payment.session}"
        raise _refused(payment.problem.code, f"{payment.session}: {payment.problem.message}", hint)
    if given is None and stated is None:
        hint = f"name the {what}: meterctl credit-pack ORG PACK --from-stripe {payment.session}"
        message = f"{payment.session} names no {what} where [stripe] {what} in the config looks for it"
        raise _refused(f"no_{what}", message, hint)
    if given is not None and stated is not None and given != stated:
        hint = f"leave the {what} out to follow the payment, or book it by hand: credit-pack ORG PACK --session ID"
        raise _refused(f"other_{what}", f"{payment.session} is for the {what} {stated!r}, not for {given!r}", hint)
    return given or stated or ""


def _check_price(payment: Payment, name: str, pack: Pack, seller: Seller) -> None:
    """Raise unless the net amount is the pack's price times the quantity. Tax is no part of the price, unless it is in
    it; a discount has to be accepted, an item that is no pack too."""
    told = f"{payment.cents} {payment.currency} were paid" + (f" ({payment.makeup})" if payment.makeup else "")
    price = pack.price_cents if payment.currency == pack.currency else pack.prices.get(payment.currency)
    if price is None or (pack.unit_price_cents is not None and payment.currency != pack.currency):
        sold = ", ".join([pack.currency, *pack.prices])
        hint = f"name its price in {payment.currency} in the config: [packs.{name}] prices"
        raise _refused("currency_mismatch", f"{told}, but pack {name!r} is sold in {sold}", hint)
    if seller.paid:
        return
    accept = f"book it for what was paid: --accept-paid {payment.session}"
    if payment.problem is not None:
        raise _refused(payment.problem.code, payment.problem.message, accept)
    if pack.unit_price_cents is not None:
        return
    quantity = payment.quantity or 1
    expected, net = price * quantity, payment.cents - payment.tax_cents
    if net == expected or (payment.tax_inside and payment.cents == expected):
        return
    if payment.discount_cents and expected in (net + payment.discount_cents, payment.cents + payment.discount_cents):
        if seller.discounts:
            return
        accept = 'accept it: --accept-discount, or discounts = "accept" under [stripe]'
    times = f" for {quantity}" if quantity > 1 else ""
    message = f"{told}, but pack {name!r} costs {expected} {payment.currency}{times}"
    if payment.quantity is None and price and net > price and net % price == 0:
        message += f"; that is {net // price} times its price, and the items sold are not known without STRIPE_API_KEY"
    raise _refused("price_mismatch", message, accept)


def _refused(code: str, message: str, hint: str) -> PaymentRefused:
    return PaymentRefused(message, hint=hint, code=code)
