"""Tell the release of an uncaptured rest from a refund. Pure.

A payment may be captured for less than was authorized. Until 2025 Stripe showed the rest as a refund of the charge,
though no money came in and none went back: https://docs.stripe.com/changelog/basil/2025-03-31/
"""

from collections.abc import Callable, Sequence

from meterctl.core.payments.payments import Giveback, Payment, Standing, oldest_first


def without_release(
    givebacks: Sequence[Giveback], payment: Payment, is_release: Callable[[Giveback], bool | None]
) -> list[Giveback]:
    """Return the givebacks of a whole payment, with the release of its uncaptured rest as ``void``.

    Refunds of more than was captured must include the release. Otherwise ``is_release`` decides about the one with its
    amount; without an answer it waits, because nothing may be booked on a doubt.
    """
    refunds = [item for item in givebacks if item.standing == "given" and not item.is_dispute]
    candidates = [item for item in refunds if item.cents == payment.released > 0]
    if not candidates:
        return list(givebacks)
    first = oldest_first(candidates)[0]
    answer = True if sum(item.cents for item in refunds) > payment.cents else is_release(first)
    standing: Standing = "waiting" if answer is None else "void" if answer else "given"
    return [item._replace(standing=standing) if item is first else item for item in givebacks]
