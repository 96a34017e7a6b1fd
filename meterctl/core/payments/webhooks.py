"""Webhook events become operations: in any order, repeated any number of times, the same state in the end.

An event is taken for what its object says, not for when it arrives. Everything that the events of a run say of one
object is put together first: a payment that is paid stays paid, money that came back has been gone before. The journal
remembers the rest. So a refund that has failed before it was ever booked is booked and reversed at once: should the
older news that it succeeded arrive later, its key is used and it claws nothing.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain import instants
from meterctl.core.domain.operations import Operation, Request, ReverseRefund
from meterctl.core.errors import BadInput, PaymentRefused
from meterctl.core.model import Instant
from meterctl.core.payments.booked import Credit, credits_for, in_parts, shares_unknown
from meterctl.core.payments.clawbacks import back_time, is_cut, steps
from meterctl.core.payments.event_counts import TROUBLE, Events
from meterctl.core.payments.payments import INTENT_PREFIX, Giveback, Payment, shares
from meterctl.core.payments.sale_book import Sale
from meterctl.core.payments.sales import Seller, credit_for
from meterctl.core.payments.shop import Json, Shop, Unread
from meterctl.core.payments.stripe_objects import payments_of
from meterctl.core.payments.stripe_reader import Reader
from meterctl.core.payments.subscriptions import Subscription, assignment, plan_history, read_subscription
from meterctl.core.payments.webhook_events import with_object
from meterctl.core.payments.webhook_feed import Feed
from meterctl.core.payments.webhook_file import Rejected
from meterctl.core.results import Receipt

#: Refusals that another event may lift.
_WAITS = ("unknown_session", "refund_exceeds_payment")


class Booking(NamedTuple):
    """How to book: as whom, what is on sale, how the shop states it, and single payments whose price is accepted."""

    actor: str
    reason: str | None = None
    shop: Shop = Shop()
    discounts: bool = False
    accept_paid: frozenset[str] = frozenset()

    def seller(self, payment: Payment) -> Seller:
        accepts_amount = any(name in self.accept_paid for name in payment.all_names)
        return Seller(self.shop.packs, self.discounts or self.shop.settings.discounts == "accept", accepts_amount)


class ObjectOutcome(NamedTuple):
    """The outcome for one object. ``keep``: the deliveries that told of it may be of use once more."""

    status: str
    reason: str | None = None
    message: str = ""
    org: str | None = None
    keep: bool = False


class Settler:
    """Books what a feed says. ``gateway`` None: Stripe is not asked, and what the events leave open stays pending."""

    def __init__(self, ledger: Ledger, gateway: Reader | None, booking: Booking) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self._booking = booking
        #: Payments that Stripe was asked for because of a refund: nobody has told of them here.
        self._asked: set[str] = set()

    def settle(self, feed: Feed, result: Events) -> None:
        """Book everything, and count and note in ``result`` what became of it."""
        self._read_thin(feed, result)
        open_charges = self._complete(feed)
        for name, sale in sorted(feed.sales.items(), key=lambda one: (one[1][0].at, one[0])):
            for payment in sale if name not in self._asked else ():
                told_by = dict.fromkeys([name, *_names(sale)])
                self._note(told_by, payment.session, self._settle_payment(payment), feed, result)
        for charge in open_charges:
            self._note([charge], charge, ObjectOutcome("pending", "refunds_unknown", _UNTOLD), feed, result)
        for name, (created, item) in feed.subscriptions.items():
            self._note([name], name, self._follow(item, created), feed, result)
        result.waiting += sum(item.standing == "waiting" for item in feed.givebacks.values())
        self._claw_all([item for item in feed.givebacks.values() if item.standing != "waiting"], feed, result)

    # -- what the events leave open

    def _read_thin(self, feed: Feed, result: Events) -> None:
        """Read the objects that events only name."""
        for (kind, name), event in feed.thin.items():
            if self._gateway is None:
                outcome = ObjectOutcome(
                    "pending", "needs_key", f"the event only names {name}: set STRIPE_API_KEY to read it"
                )
                self._note([name], name, outcome, feed, result)
                continue
            item = self._gateway.object(kind, name)
            told = event if item is None else with_object(event, item, self._booking.shop)
            source = next(iter(feed.told_by(name)), None)
            if item is None or not feed.add(told._replace(thin=None), source):
                result.count("other")

    def _complete(self, feed: Feed) -> list[str]:
        """Ask Stripe for what the events leave open, before anything is booked; the charges that are open still."""
        feed.link()
        untold = feed.untold()
        for name, item in feed.items.items():
            sale = payments_of(item, self._booking.shop)
            if name in feed.sales and not any(part.unread for part in sale):
                feed.add_sale(sale)
        if self._gateway is None:
            return [charge.charge for charge in untold]
        for told in list(feed.sales.values()):
            if self._is_open(told[0]):
                found = self._gateway.sale(told[0].session)
                feed.sales.pop(told[0].session)
                feed.add_sale(found or told)
        for charge in untold:
            payments = self._gateway.sale(charge.charge)
            for giveback in self._gateway.givebacks_of(payments[0]) if payments else []:
                feed.add_giveback(giveback)
        self._link(feed, self._gateway)
        return []

    def _link(self, feed: Feed, gateway: Reader) -> None:
        """Ask for the payments of givebacks that neither the events nor the journal know."""
        for item in feed.givebacks.values():
            if item.standing == "waiting" or _is_told(feed.sale_named(item.of)):
                continue
            credits = credits_for(self._ledger.store, item.of)
            if credits and not shares_unknown(credits):
                continue
            sale = next((found for name in item.of if (found := gateway.sale(name))), [])
            if sale:
                self._asked |= {part.session for part in sale} - feed.sales.keys()
                feed.add_sale(sale)

    def _is_open(self, payment: Payment) -> bool:
        """Return True where the object itself, as Stripe has it, tells more that matters."""
        if payment.foreign or not payment.paid:
            return False
        if payment.unread is not None:
            return True
        try:
            credit_for(payment, self._booking.seller(payment))
        except (PaymentRefused, BadInput) as problem:
            return payment.quantity is None and problem.code == "price_mismatch"
        return False

    # -- payments

    def _settle_payment(self, payment: Payment) -> ObjectOutcome:
        if payment.foreign:
            return ObjectOutcome("foreign")
        if not payment.paid:
            return ObjectOutcome("unpaid" if payment.status.startswith("complete") else "unchanged")
        booked = credits_for(self._ledger.store, payment.all_names)
        try:
            operation = credit_for(payment, self._booking.seller(payment), booked=booked)
        except (PaymentRefused, BadInput) as problem:
            status = "pending" if problem.code == "needs_key" else "refused"
            return ObjectOutcome(status, problem.code, _with_hint(problem), payment.org)
        return _outcome(self._book(operation, payment.at))

    def _follow(self, item: Json, created: int) -> ObjectOutcome:
        """Put an org on the plan that its subscription says."""
        shop = self._booking.shop
        try:
            subscription = self._subscription(item)
        except Unread as unread:
            message = f"the org of {item.get('id')} stands on {unread.name}: set STRIPE_API_KEY to read it"
            return ObjectOutcome("pending", "needs_key", message)
        if subscription is None:
            return ObjectOutcome("foreign")
        if subscription.org is None:
            return ObjectOutcome("refused", "no_org", f"subscription {subscription.id} names no org that is one")
        if subscription.standing == "waits":
            return ObjectOutcome("waiting", None, "", subscription.org)
        history = plan_history(self._ledger.store, subscription.org, shop.default_plan)
        if f"plan:{subscription.id}:{created}" in history.keys:
            return ObjectOutcome("replayed", None, "", subscription.org)
        operation = assignment(subscription, history, shop, created, self._ledger.clock.now())
        at = instants.from_millis(created * 1000) if created else None
        return ObjectOutcome("unchanged") if operation is None else _outcome(self._book(operation, at))

    def _subscription(self, item: Json) -> Subscription | None:
        try:
            return read_subscription(item, self._booking.shop)
        except Unread:
            if self._gateway is None:
                raise
            return read_subscription(item, self._gateway.knowing(item))

    # -- givebacks

    def _claw_all(self, items: Sequence[Giveback], feed: Feed, result: Events) -> None:
        """Claw in the order of time, and what was refused again as long as others make room for it."""
        # What came back goes first: it makes room.
        left = sorted(_by_time(items), key=lambda item: item.standing == "given")
        moved = True
        while left and moved:  # bounded: each turn settles one, or is the last
            outcomes = [(item, self._claw(item, feed)) for item in left]
            left = [item for item, outcome in outcomes if outcome.status == "pending"]
            moved = any(outcome.status in ("applied", "planned") for _, outcome in outcomes)
            for item, outcome in outcomes:
                if outcome.status != "pending" or not moved:
                    sale = feed.sale_named(item.of)
                    self._note([item.id], item.id, outcome, feed, result, _names(sale or ()))

    def _claw(self, item: Giveback, feed: Feed) -> ObjectOutcome:
        """Bring the journal to what is known of a giveback, on every part of its payment."""
        sale = feed.sale_named(item.of)
        if not _is_told(sale) and self._gateway is None:
            sale = None
        credits = credits_for(self._ledger.store, item.of if sale is None else [*item.of, *_names(sale)])
        if sale is None and (not credits or shares_unknown(credits)):
            if self._gateway is None or not item.of:
                return ObjectOutcome("pending", "unknown_payment", _UNLINKED.format(" or ".join(item.of)))
            sale = ()  # Stripe was asked, and knows none
        if not credits:
            if not sale or sale[0].foreign:
                return ObjectOutcome("foreign")
            return ObjectOutcome("pending", "unknown_session", f"{sale[0].session} is not credited yet")
        outcomes = [self._claw_part(share, credit) for share, credit in _shared(item, sale, credits)]
        return max(outcomes, key=_WORST.index_of)

    def _claw_part(self, item: Giveback, credit: Credit) -> ObjectOutcome:
        outcome = ObjectOutcome("unchanged", None, "", credit.org)
        try:
            operations = steps(item, credit, remember=True)
        except (PaymentRefused, BadInput) as problem:
            return ObjectOutcome("refused", problem.code, _with_hint(problem), credit.org)
        for operation in operations:
            at = back_time(item) if isinstance(operation, ReverseRefund) else item.at
            outcome = _outcome(self._book(operation, at))
            if outcome.status == "conflict":
                outcome = outcome._replace(reason="refund_differs", message=_DIFFERS.format(item, credit.org))
            if outcome.status not in ("applied", "planned", "replayed"):
                break
        if outcome.reason in _WAITS:
            # A refund that failed and does not fit in any more needs no memory: no older news of it would fit either.
            return ObjectOutcome("unchanged") if item.standing == "returned" else outcome._replace(status="pending")
        return outcome._replace(keep=item.standing == "given" and self._is_cut(item, credit))

    def _is_cut(self, item: Giveback, credit: Credit) -> bool:
        """Return True if more would be clawed for it, were there more left of the payment: something may come back."""
        now = next((one for one in credits_for(self._ledger.store, [credit.name]) if one.seq == credit.seq), credit)
        standing = now.clawed(item.id)
        return (
            now.left == 0
            and sum(claw.cents for claw in standing) < item.cents
            and (not standing or is_cut(now, standing))
        )

    def _book(self, operation: Operation, at: Instant | None) -> Receipt:
        return self._ledger.one(Request(operation, self._booking.actor, self._booking.reason, at))

    def _note(
        self,
        names: Iterable[str],
        about: str,
        outcome: ObjectOutcome,
        feed: Feed,
        result: Events,
        sale: Iterable[str] = (),
    ) -> None:
        result.count(outcome.status)
        if outcome.keep or outcome.status in ("pending", "refused"):
            # The payment's own event says which payment it is.
            result.kept += feed.told_by(*names, *sale)
        if outcome.status in ("refused", "conflict"):
            result.rejected += [Rejected(source, outcome.reason, outcome.message) for source in feed.told_by(*names)]
        if outcome.status not in TROUBLE:
            return
        tellers = feed.told_by(*names)
        result.add_problem(
            outcome.status,
            {
                "line": tellers[0].line if tellers else None,
                "event": tellers[0].event if tellers else None,
                "object": about,
                "org": outcome.org,
                "status": outcome.status,
                "reason": outcome.reason,
                "message": outcome.message,
            },
        )


class _Ranks(tuple[str, ...]):
    def index_of(self, outcome: ObjectOutcome) -> int:
        return self.index(outcome.status)


#: Of the outcomes for the parts of one payment the last in this row stands for all.
_WORST = _Ranks(
    ("disabled", "unchanged", "replayed", "planned", "applied", "pending", "failed", "refused", "conflict", "foreign")
)


def _is_told(sale: Sale | None) -> bool:
    """Return True if it is known whose payment this is. A payment intent that names nothing may be a session's or an
    invoice's."""
    return sale is not None and not (sale[0].foreign and sale[0].session.startswith(INTENT_PREFIX))


def _names(sale: Iterable[Payment]) -> list[str]:
    return list(dict.fromkeys(name for part in sale for name in part.all_names))


def _shared(item: Giveback, sale: Sale | None, credits: Sequence[Credit]) -> Iterator[tuple[Giveback, Credit]]:
    """A giveback as it falls on each credit of its payment: in proportion to what was paid for the parts."""
    for part in in_parts(credits):
        known = next((one for one in sale or () if set(one.all_names) & set(part.credit.all_names)), None)
        if known is not None and sale is not None:
            yield shares(item, sale)[sale.index(known)], part.credit
        else:
            yield part.share_of(item), part.credit


def _with_hint(problem: PaymentRefused | BadInput) -> str:
    return f"{problem.message}; {problem.hint}" if problem.hint else problem.message


_UNTOLD = (
    "the charge was refunded, but no event names the refund: deliver refund.created events too, or set STRIPE_API_KEY"
)
_DIFFERS = (
    "{0.id} gave back {0.cents} {0.currency}, but {1} has it with other cents or on another payment: "
    "meterctl reconcile plans what mends it"
)
_UNLINKED = "which payment {} belongs to is not known: add its own event, or set STRIPE_API_KEY"


def _by_time(items: Iterable[Any]) -> list[Any]:
    return sorted(items, key=lambda item: (item.at, item[0]))


def _outcome(receipt: Receipt) -> ObjectOutcome:
    return ObjectOutcome(receipt.status, receipt.reason, receipt.message, receipt.org)
