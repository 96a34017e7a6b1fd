"""What Stripe says of payments, and what a journal says of the same, each in a few plain shapes.

A *payment* is what a checkout session came to. A *giveback* is money that went back from it: a refund, or a dispute's
withdrawal; it has an id of its own and books under that. Pure: objects of Stripe's API come in as they are printed in
its reference, whether an API call or a webhook brought them.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol

from meterctl.core.domain.operations import CreditPack, Operation, Refund, ReverseRefund
from meterctl.core.domain.policy import Pack
from meterctl.core.errors import PaymentRefused
from meterctl.core.model import Entry, Instant

#: Where a giveback stands. ``waiting``: not decided yet. ``given``: the money is gone. ``returned``: it was gone and
#: came back (the refund failed, the dispute was won). ``void``: it never went (cancelled, or only an inquiry).
Standing = Literal["waiting", "given", "returned", "void"]

#: Stripe's ids by what they name; anything else in a journal is somebody's own reference.
SESSION_PREFIX = "cs_"
INTENT_PREFIX = "pi_"
CHARGE_PREFIXES = ("ch_", "py_")
DISPUTE_PREFIXES = ("dp_", "du_")
REFUND_PREFIXES = ("re_", "pyr_")
PAYMENT_PREFIXES = (SESSION_PREFIX, INTENT_PREFIX, *CHARGE_PREFIXES)

#: Names that one session or refund may be booked under, see `names_of`.
MAX_NAMES = 9


class Payment(NamedTuple):
    """A checkout session. ``paid``: complete, and all of ``cents`` arrived (``status`` says it in Stripe's words).

    ``org`` and ``pack`` are what its metadata name, unchecked; ``at`` is when it was paid, as closely as the object
    tells; ``quantity`` is None where the object does not hold its line items; ``makeup`` says how ``cents`` come about
    where discounts, taxes or shipping play a part.
    """

    session: str
    intent: str | None
    org: str | None
    pack: str | None
    cents: int
    currency: str
    at: Instant
    paid: bool
    status: str
    live: bool
    quantity: int | None = None
    makeup: str = ""


class Giveback(NamedTuple):
    """Money that went back, or may. ``cents`` are those that are gone now, or were before they came back."""

    id: str
    intent: str | None
    charge: str | None
    cents: int
    currency: str
    standing: Standing
    at: Instant
    back_at: Instant | None = None

    @property
    def is_dispute(self) -> bool:
        return self.id.startswith(DISPUTE_PREFIXES)


class Clawback(NamedTuple):
    """A refund as booked, under ``name``; ``reversed_by`` is the seq of the entry that took it back."""

    name: str
    cents: int
    seq: int
    reversed_by: int | None = None

    @property
    def stands(self) -> bool:
        return self.reversed_by is None


class Credit(NamedTuple):
    """A pack as booked for a session, with the refunds booked on it."""

    org: str
    name: str
    seq: int
    pack: str
    cents: int
    currency: str
    undone: bool
    clawbacks: tuple[Clawback, ...] = ()

    def clawed(self, giveback_id: str) -> list[Clawback]:
        """The refunds that stand for this giveback."""
        return [claw for claw in self.clawbacks if base_of(claw.name) == giveback_id and claw.stands]

    @property
    def left(self) -> int:
        """Cents of the payment that nothing has clawed."""
        return self.cents - sum(claw.cents for claw in self.clawbacks if claw.stands)

    def was_last_of_it(self, claw: Clawback) -> bool:
        """Whether nothing of the payment was left once ``claw`` was booked: it may have wanted more."""
        before = [other for other in self.clawbacks if other.seq <= claw.seq]
        stood = sum(other.cents for other in before if other.reversed_by is None or other.reversed_by > claw.seq)
        return stood == self.cents


class Gateway(Protocol):
    """Stripe, as far as it is asked: only read. Every method raises `StripeUnavailable` when it has no answer."""

    @property
    def live(self) -> bool:
        """Whether real money is behind it."""
        ...

    def sessions(self, since: Instant | None, until: Instant, after: str | None = None) -> Iterable[Payment]:
        """The packs' complete sessions created from ``since`` to ``until``, newest first, from behind ``after`` on."""
        ...

    def refunds(self, since: Instant | None, until: Instant, after: str | None = None) -> Iterable[Giveback]: ...

    def disputes(self, since: Instant | None, until: Instant, after: str | None = None) -> Iterable[Giveback]: ...

    def payment(self, reference: str) -> Payment | None:
        """The payment of a session, payment intent or charge; None if Stripe knows none or it is no pack's."""
        ...

    def giveback(self, giveback_id: str) -> Giveback | None:
        """A refund or a dispute by its id."""
        ...

    def givebacks_of(self, payment: Payment) -> list[Giveback]:
        """All refunds and disputes of a payment."""
        ...


# -- one thing under several names


def base_of(name: str) -> str:
    """Stripe's id in a name that something is booked under."""
    return name.partition("~")[0]


def names_of(stripe_id: str) -> list[str]:
    """The names that something at Stripe may be booked under. A key is used once, for ever: what was booked wrong and
    taken back is booked again as ``ID~2``, ``ID~3`` ..."""
    return [stripe_id, *(f"{stripe_id}~{number}" for number in range(2, MAX_NAMES + 1))]


def free_name(stripe_id: str, used: Collection[str]) -> str | None:
    """The first name that is not used yet; None if all are."""
    return next((name for name in names_of(stripe_id) if name not in used), None)


def is_stripes(name: str) -> bool:
    """Whether a topup's session is an id of Stripe's."""
    return name.startswith(PAYMENT_PREFIXES)


# -- objects of Stripe's API


# -- the journal's side


def credits_of(entries: Iterable[Entry]) -> list[Credit]:
    """The packs that the entries of one org (its topups, refunds and reversals only, oldest first) have booked."""
    made: dict[int, Credit] = {}
    refunds: dict[int, tuple[int, Clawback]] = {}
    undone: dict[int, int] = {}
    for entry in entries:
        if entry["kind"] == "topup":
            made[entry["seq"]] = Credit(
                entry["org"],
                entry["session"],
                entry["seq"],
                entry["pack"],
                entry["paid_cents"],
                entry["currency"],
                undone=False,
            )
        elif entry["kind"] == "refund":
            claw = Clawback(entry["refund_id"], entry["cents"], entry["seq"])
            refunds[entry["seq"]] = (entry["lot"], claw)
        else:
            undone[entry["reverses"]] = entry["seq"]
    by_topup: dict[int, list[Clawback]] = {}
    for topup, claw in refunds.values():
        by_topup.setdefault(topup, []).append(claw._replace(reversed_by=undone.get(claw.seq)))
    return [
        credit._replace(undone=seq in undone, clawbacks=tuple(by_topup.get(seq, ()))) for seq, credit in made.items()
    ]


def standing_credit(found: Iterable[Credit]) -> Credit | None:
    """The credit that was not undone, if there is one."""
    return next((credit for credit in found if not credit.undone), None)


# -- what to book


def credit_for(
    payment: Payment, org: str | None, pack: str | None, packs: Mapping[str, Pack], *, accept_paid: bool = False
) -> CreditPack:
    """The operation that credits ``payment``: to the org and with the pack given, else those its metadata name.

    Raises `PaymentRefused` for a payment that did not arrive, for another org's, and, unless ``accept_paid``, for one
    that is not the pack's price. A pack in another currency is refused always: the journal would call dollars euros.
    """
    if not payment.paid:
        raise _refused("not_paid", f"session {payment.session} is not paid: it is {payment.status}", "wait for it")
    org, pack = _named(payment, "org", org, payment.org), _named(payment, "pack", pack, payment.pack)
    sold = packs.get(pack)
    if sold is not None:
        _check_price(payment, pack, sold, accept_paid=accept_paid)
    return CreditPack(org, pack, payment.session, payment.cents)


def _named(payment: Payment, what: str, given: str | None, stated: str | None) -> str:
    if given is None and stated is None:
        hint = f"name the {what}: meterctl credit-pack ORG PACK --from-stripe {payment.session}"
        raise _refused(f"no_{what}", f"session {payment.session} names no {what} in its metadata", hint)
    if given is not None and stated is not None and given != stated:
        hint = f"leave the {what} out to follow Stripe, or book it by hand: meterctl credit-pack ORG PACK --session ID"
        message = f"session {payment.session} is for the {what} {stated!r}, not for {given!r}"
        raise _refused(f"other_{what}", message, hint)
    return given or stated or ""


def _check_price(payment: Payment, name: str, pack: Pack, *, accept_paid: bool) -> None:
    paid = f"{payment.cents} {payment.currency} were paid" + (f" ({payment.makeup})" if payment.makeup else "")
    if payment.currency != pack.currency:
        hint = f"name a pack sold in {payment.currency} in the config and credit that one"
        raise _refused("currency_mismatch", f"{paid}, but pack {name!r} is sold in {pack.currency}", hint)
    if accept_paid:
        return
    if payment.quantity not in (None, 1):
        hint = "name a pack of that size in the config, or book one pack for what was paid: --accept-paid"
        raise _refused("quantity_mismatch", f"{payment.quantity} items were sold together; {paid}", hint)
    if payment.cents != pack.price_cents:
        hint = "book the whole pack for what was paid: --accept-paid"
        message = f"{paid}, but pack {name!r} costs {pack.price_cents} {pack.currency}"
        raise _refused("price_mismatch", message, hint)


def _refused(code: str, message: str, hint: str) -> PaymentRefused:
    return PaymentRefused(message, hint=hint, code=code)


def claims_on(payment_cents: int, givebacks: Sequence[Giveback], credit: Credit | None) -> dict[str, int]:
    """How many cents of each giveback count, by id, so that all together never exceed the payment.

    What is booked counts first, as far as it is true; what is left of the payment goes to the others by their time.
    """
    given = sorted((item for item in givebacks if item.standing == "given"), key=lambda item: (item.at, item.id))
    booked = {item.id: sum(claw.cents for claw in credit.clawed(item.id)) for item in given} if credit else {}
    due = {item.id: min(item.cents, booked.get(item.id, 0)) for item in given}
    left = payment_cents - sum(due.values())
    for item in given:
        more = max(0, min(item.cents - due[item.id], left))
        due[item.id] += more
        left -= more
    return due


def steps(item: Giveback, credit: Credit, *, remember: bool = False) -> list[Operation]:
    """The operations that bring the journal to what is known of a giveback. Never a step back: what is known may be old
    news by now. One that is booked already gives an operation that is answered with what was booked first.

    With ``remember``, money that came back before it was ever clawed is booked both ways, so that older news of it,
    should they come later, find the key used. Raises `PaymentRefused` for money in another currency than the credit's,
    unless somebody has booked it by hand.
    """
    claws = [claw for claw in credit.clawbacks if base_of(claw.name) == item.id]
    standing = credit.clawed(item.id)
    if item.standing == "waiting":
        return []
    if item.standing == "given":
        return _claw(item, credit, standing, claws)
    if claws:
        return _reversals(credit, standing or claws[-1:])
    remember = remember and item.standing == "returned" and item.currency == credit.currency
    first = _first_claw(item, credit) if remember else []
    return [*first, ReverseRefund(credit.org, item.id)] if first else []


def _reversals(credit: Credit, claws: Iterable[Clawback]) -> list[Operation]:
    return [ReverseRefund(credit.org, claw.name) for claw in claws]


def _claw(item: Giveback, credit: Credit, standing: Sequence[Clawback], claws: Sequence[Clawback]) -> list[Operation]:
    if not claws:
        _check_currency(item, credit)
        return _first_claw(item, credit)
    again = (standing or claws)[0]
    booked: list[Operation] = [Refund(credit.org, credit.name, again.cents, again.name)]
    if item.currency != credit.currency:
        return booked
    name = free_name(item.id, [claw.name for claw in claws]) or item.id
    cents = sum(claw.cents for claw in standing)
    if standing and cents > item.cents:
        # A dispute that was won in part.
        return [*_reversals(credit, standing), Refund(credit.org, credit.name, item.cents, name)]
    more = min(item.cents - cents, credit.left)
    if standing and more > 0 and credit.was_last_of_it(standing[-1]):
        return [Refund(credit.org, credit.name, more, name)]
    return booked


def _check_currency(item: Giveback, credit: Credit) -> None:
    if item.currency != credit.currency:
        hint = f"claw its share by hand: meterctl refund {credit.org} --session {credit.name} --refund-id {item.id}"
        message = f"{item.id} gave back {item.cents} {item.currency}, but its payment is booked in {credit.currency}"
        raise _refused("currency_mismatch", message, hint)


def _first_claw(item: Giveback, credit: Credit) -> list[Operation]:
    """Claw a giveback for the first time. Stripe never refunds more than was paid, but a dispute may take what was
    refunded already: then only what is left of the payment counts."""
    names = [item.id, *(claw.name for claw in credit.clawbacks if claw.stands)]
    disputed = any(name.startswith(DISPUTE_PREFIXES) for name in names)
    cents = min(item.cents, max(0, credit.left)) if disputed else item.cents
    return [Refund(credit.org, credit.name, cents, item.id)] if cents else []
