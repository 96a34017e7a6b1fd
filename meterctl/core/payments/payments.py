"""Payments and givebacks in plain form, for any provider.

A *payment* buys one kind of pack, once or several times; a checkout of several kinds has one for each: its parts. A
*giveback* is money that went back: a refund, or a dispute's withdrawal. It is booked under its own id.
"""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

from meterctl.core.model import Instant

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


class Problem(NamedTuple):
    """An obstacle to crediting a payment: a code and a message."""

    code: str
    message: str


class Unreadable(NamedTuple):
    """A payment or giveback that cannot be read: its id or line, the cause, and the next step."""

    id: str
    message: str
    fix: str = "look at it in Stripe's dashboard, or add it to ignore = [...] under [stripe]"


class Payment(NamedTuple):
    """A payment for one kind of pack, credited under ``session``; ``names`` are its other ids.

    ``org`` and ``pack`` come from the shop's objects; None: they name none. ``paid``: all ``cents`` arrived, at ``at``;
    ``status`` is the provider's own word. ``live`` is None if the object does not tell. ``has_charge_time``: ``at`` is
    the exact instant of the charge, not that of an event or of the object's creation.

    ``released`` cents were authorized and never captured; ``cents`` do not include them.

    ``cents`` include the tax, and with ``tax_inside`` the price does too. ``quantity`` is None if the items are
    unknown. ``composition`` shows the parts of the sum, for people. A part begins at ``offset`` within a payment of
    ``whole`` cents; 0: not in parts.

    ``foreign`` marks a sale that is not ours, ``problem`` is an obstacle to crediting it, and ``missing_object`` is the
    id of an object to read first.
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
    composition: str = ""
    foreign: bool = False
    problem: Problem | None = None
    missing_object: str | None = None
    whole: int = 0
    offset: int = 0
    has_charge_time: bool = False
    released: int = 0

    @property
    def all_names(self) -> tuple[str, ...]:
        return (self.session, *self.names)


class Giveback(NamedTuple):
    """Money that went back, or may. ``cents`` are gone, or were gone before they came back.

    ``payment`` names its payment if neither intent nor charge does. A share belongs to one part of a payment. ``moves``
    counts the moves of a dispute's money; ``at`` or ``back_at`` is the time of the last. ``disputed_cents`` is the
    amount in dispute; 0 for a refund.
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


def numbered_names(names: Iterable[str], number: int, *, has_others: bool) -> tuple[str, ...]:
    """Return the names of part ``number`` of a payment with these names.

    The first part holds the payment's own names, so no second credit can take them. If the sale ``has_others``, items
    that are no packs, the first part has numbered names too: they show that the journal does not know the total.
    """
    own = tuple(names)
    numbered = tuple(f"{name}:{number}" for name in own) if has_others or number > 1 else ()
    return (*(own if number == 1 else ()), *numbered)


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

    def share_up_to(place: int) -> int:
        """Return the giveback's cents for the payment's first ``place`` cents, rounded half up."""
        return (2 * item.cents * place + whole) // (2 * whole)

    share = share_up_to(offset + cents) - share_up_to(offset)
    return item._replace(id=item.id if part < 2 else f"{item.id}:{part}", cents=share, is_share=True)


def shares(item: Giveback, parts: Iterable[Payment]) -> list[Giveback]:
    """Return a giveback's share for each part of its payment, in their order."""
    return [
        share_of(item, part=number, offset=part.offset, cents=part.cents, whole=part.whole)
        for number, part in enumerate(parts, 1)
    ]


def oldest_first(givebacks: Iterable[Giveback]) -> list[Giveback]:
    """Return givebacks in the order of their times; the id decides between equal ones."""
    return sorted(givebacks, key=lambda item: (item.at, item.id))
