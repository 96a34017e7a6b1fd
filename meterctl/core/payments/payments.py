"""The plain shapes of money that came in and went back, whoever the provider is.

A *payment* is one pack that was bought, or several of the same; a checkout of several packs is a payment for each:
its parts. A *giveback* is money that went back from it: a refund, or a dispute's withdrawal. It has an id of its own,
and is booked under that.
"""

from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple, Protocol

from meterctl.core.model import Instant
from meterctl.core.payments.shop import Problem

#: Where a giveback stands. ``waiting``: not decided yet. ``given``: the money is gone. ``returned``: it was gone and
#: came back (the refund failed, the dispute was won). ``void``: it never went (cancelled, or only an inquiry).
Standing = Literal["waiting", "given", "returned", "void"]

#: Stripe's ids by the objects they name; anything else in a journal is somebody's own reference.
SESSION_PREFIX = "cs_"
INTENT_PREFIX = "pi_"
INVOICE_PREFIX = "in_"
CHARGE_PREFIXES = ("ch_", "py_")
DISPUTE_PREFIXES = ("dp_", "du_")
REFUND_PREFIXES = ("re_", "pyr_")
PAYMENT_PREFIXES = (SESSION_PREFIX, INTENT_PREFIX, INVOICE_PREFIX, *CHARGE_PREFIXES)

#: Names that one session or refund may be booked under, see `names_of`.
MAX_NAMES = 9

#: Packs of different kinds that one payment may be for.
MAX_PARTS = 20


class Payment(NamedTuple):
    """A payment for one pack. ``paid``: all of ``cents`` arrived (``status`` says it in the provider's words).

    ``session`` is the name it is credited under, ``names`` are its others. ``org`` and ``pack`` are those that the shop
    states; ``problem`` says why they, or the items sold, do not allow a credit; ``unread`` names an object that has to
    be read first. ``cents`` include the tax; ``tax_inside`` says that the price does so too. ``quantity`` is None where
    the items are not known. ``foreign``: it is no sale of ours. A part of a payment of ``whole`` cents begins at
    ``offset`` of them. ``timed``: ``at`` is the instant of the charge, not only one near it.
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
    timed: bool = False

    @property
    def all_names(self) -> tuple[str, ...]:
        return (self.session, *self.names)

    @property
    def is_part(self) -> bool:
        return self.whole not in (0, self.cents)


class Giveback(NamedTuple):
    """Money that went back, or may. ``cents`` are those that are gone now, or were before they came back.

    ``payment`` names its payment where neither intent nor charge do. A share falls on a part of a payment. ``moves``
    counts the moves of a dispute's money, ``at`` or ``back_at`` is then the time of the last one; ``asked`` are the
    cents that are disputed.
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
    asked: int = 0

    @property
    def of(self) -> tuple[str, ...]:
        """The names by which it tells its payment, the most telling first."""
        return tuple(name for name in (self.payment, self.intent, self.charge) if name)


class Gateway(Protocol):
    """Stripe, as far as it is asked: only read. Every method raises `StripeUnavailable` when it has no answer."""

    @property
    def live(self) -> bool:
        """Whether real money is behind it."""
        ...

    def sale(self, reference: str) -> list[Payment]:
        """The payment of a session, payment intent, invoice or charge, in its parts, as complete as Stripe tells it;
        empty if Stripe knows none. A payment intent of a session or an invoice is that one's payment."""
        ...

    def giveback(self, giveback_id: str) -> Giveback | None:
        """A refund or a dispute by its id."""
        ...

    def givebacks_of(self, payment: Payment) -> list[Giveback]:
        """All refunds and disputes of a payment."""
        ...


# -- one thing under several names


def base_of(name: str) -> str:
    """The provider's id in a name that something is booked under; of a part, with its number."""
    return name.partition("~")[0]


def whole_of(name: str) -> str:
    """The provider's id of the whole of which a name may be a part."""
    base = base_of(name)
    head, mark, _ = base.rpartition(":")
    return head if mark and head.startswith(PAYMENT_PREFIXES) else base


def names_of(stripe_id: str) -> list[str]:
    """The names that something may be booked under. A key is used once, for ever: a booking that was wrong and is taken
    back is booked again as ``ID~2``, ``ID~3`` ..."""
    return [stripe_id, *(f"{stripe_id}~{number}" for number in range(2, MAX_NAMES + 1))]


def part_names(name: str) -> list[str]:
    """The names of the parts that a payment may have."""
    return [name, *(f"{name}:{number}" for number in range(1, MAX_PARTS + 1))]


def free_name(stripe_id: str, used: Collection[str]) -> str | None:
    """The first name that is not used yet; None if all are."""
    return next((name for name in names_of(stripe_id) if name not in used), None)


def is_stripes(name: str) -> bool:
    """Return True if a topup's session is an id of Stripe's."""
    return name.startswith(PAYMENT_PREFIXES)


def share_of(item: Giveback, *, part: int, offset: int, cents: int, whole: int) -> Giveback:
    """The part of a giveback that falls on a part of its payment. The shares of all parts add up to it."""
    if whole in (0, cents):
        return item
    share = (2 * item.cents * (offset + cents) + whole) // (2 * whole) - (2 * item.cents * offset + whole) // (
        2 * whole
    )
    return item._replace(id=item.id if part < 2 else f"{item.id}:{part}", cents=share, is_share=True)


def shares(item: Giveback, parts: Iterable[Payment]) -> list[Giveback]:
    """A giveback as it falls on each of the parts of its payment, in their order."""
    return [
        share_of(item, part=number, offset=part.offset, cents=part.cents, whole=part.whole)
        for number, part in enumerate(parts, 1)
    ]
