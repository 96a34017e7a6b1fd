"""Payments and givebacks in plain form, for any provider.

A *payment* buys one kind of pack, once or several times; a checkout of several kinds has one for each: its parts. A
*giveback* is money that went back: a refund, or a dispute's withdrawal. It is booked under its own id.
"""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple, Protocol

from meterctl.core.model import Instant
from meterctl.core.payments.stripe.shop import Problem

#: State of a giveback. ``waiting``: undecided. ``given``: the money is gone. ``returned``: it was gone and came back
#: (the refund failed, the dispute was won). ``void``: it never left (cancelled, or only an inquiry).
Standing = Literal["waiting", "given", "returned", "void"]

#: Prefixes of Stripe's ids; any other name in a journal is the operator's own reference.
SESSION_PREFIX = "cs_"
INTENT_PREFIX = "pi_"
INVOICE_PREFIX = "in_"
CHARGE_PREFIXES = ("ch_", "py_")
DISPUTE_PREFIXES = ("dp_", "du_")
REFUND_PREFIXES = ("re_", "pyr_")
PAYMENT_PREFIXES = (SESSION_PREFIX, INTENT_PREFIX, INVOICE_PREFIX, *CHARGE_PREFIXES)

#: Names that one session or refund may be booked under, see `names_of`.
MAX_NAMES = 9

#: The most kinds of packs in one payment.
MAX_PARTS = 20


class Payment(NamedTuple):
    """A payment for one kind of pack. ``paid``: all ``cents`` arrived; ``status`` is the provider's own word.

    It is credited under ``session``; ``names`` are its other ids. The shop's objects name ``org`` and ``pack``;
    ``problem`` is an obstacle to crediting it; ``unread`` is the id of an object to read first. ``cents`` include the
    tax, and with ``tax_inside`` the price does too. ``quantity`` is None if the items are unknown. ``foreign`` marks a
    sale that is not ours. A part begins at ``offset`` within a payment of ``whole`` cents. ``timed``: ``at`` is the
    exact instant of the charge.
    """

    session: str
    names: tuple[str, ...]
    org: str | None
    pack: str | None
    cents: int
    currency: str
    at: Instant
    paid: bool
    status: str
    live: bool | None
    quantity: int | None = None
    tax_cents: int = 0
    tax_inside: bool = False
    discount_cents: int = 0
    makeup: str = ""
    foreign: bool = False
    problem: Problem | None = None
    unread: str | None = None
    whole: int = 0
    offset: int = 0
    has_charge_time: bool = False

    @property
    def all_names(self) -> tuple[str, ...]:
        return (self.session, *self.names)

    @property
    def is_part(self) -> bool:
        return self.whole not in (0, self.cents)


class Giveback(NamedTuple):
    """Money that went back, or may. ``cents`` are gone, or were gone before they came back.

    ``payment`` names its payment if neither intent nor charge does. A share belongs to one part of a payment. ``moves``
    counts the moves of a dispute's money; ``at`` or ``back_at`` is the time of the last. ``disputed_cents`` is the
    amount in dispute.
    """

    id: str
    intent: str | None
    charge: str | None
    cents: int
    currency: str
    standing: Standing
    at: Instant
    back_at: Instant | None = None
    is_dispute: bool = False
    payment: str | None = None
    is_share: bool = False
    moves: int = 0
    disputed_cents: int = 0

    @property
    def of(self) -> tuple[str, ...]:
        """Return the names of its payment, the most specific first."""
        return tuple(name for name in (self.payment, self.intent, self.charge) if name)


class Gateway(Protocol):
    """Read access to Stripe. Every method raises `StripeUnavailable` if Stripe does not answer."""

    @property
    def live(self) -> bool:
        """Return True if the key is for live payments."""
        ...

    def sale(self, reference: str) -> list[Payment]:
        """Return the full payment of a session, payment intent, invoice or charge, in its parts.

        It is empty if Stripe has none. The payment intent of a session or invoice gives the payment of that object.
        """
        ...

    def giveback(self, giveback_id: str) -> Giveback | None:
        """Return a refund or a dispute by its id, or None."""
        ...

    def givebacks_of(self, payment: Payment) -> list[Giveback]:
        """Return all refunds and disputes of a payment."""
        ...


# -- one thing under several names


def base_of(name: str) -> str:
    """Return the provider's id within a booked name, with the number of a part."""
    return name.partition("~")[0]


def whole_of(name: str) -> str:
    """Return the provider's id of the whole payment, for the name of one or of a part."""
    base = base_of(name)
    head, mark, _ = base.rpartition(":")
    return head if mark and head.startswith(PAYMENT_PREFIXES) else base


def names_of(stripe_id: str) -> list[str]:
    """Return the names that one payment or giveback may be booked under.

    A key is used once, for ever: after an undo, the next booking is ``ID~2``, then ``ID~3`` ...
    """
    return [stripe_id, *(f"{stripe_id}~{number}" for number in range(2, MAX_NAMES + 1))]


def part_names(name: str) -> list[str]:
    """Return the names of all parts that a payment may have."""
    return [name, *(f"{name}:{number}" for number in range(1, MAX_PARTS + 1))]


def free_name(stripe_id: str, used: Collection[str]) -> str | None:
    """Return the first unused name, or None."""
    return next((name for name in names_of(stripe_id) if name not in used), None)


def is_stripes(name: str) -> bool:
    """Return True for a Stripe id."""
    return name.startswith(PAYMENT_PREFIXES)


def share_of(item: Giveback, *, part: int, offset: int, cents: int, whole: int) -> Giveback:
    """Return the share of a giveback for one part of its payment; the shares of all parts add up to it."""
    if whole in (0, cents):
        return item
    share = (2 * item.cents * (offset + cents) + whole) // (2 * whole) - (2 * item.cents * offset + whole) // (
        2 * whole
    )
    return item._replace(id=item.id if part < 2 else f"{item.id}:{part}", cents=share, is_share=True)


def shares(item: Giveback, parts: Iterable[Payment]) -> list[Giveback]:
    """Return a giveback's share for each part of its payment, in their order."""
    return [
        share_of(item, part=number, offset=part.offset, cents=part.cents, whole=part.whole)
        for number, part in enumerate(parts, 1)
    ]
