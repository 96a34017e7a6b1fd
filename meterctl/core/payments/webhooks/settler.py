"""Turn webhook events into operations: in any order, however often repeated, they lead to the same state.

The contents of an event decide, not its time of arrival. The events of a run are combined by object first: a paid
payment stays paid, and money that came back was gone before. The journal holds the rest. A refund that failed before
it was booked is booked and reversed at once: if older news of its success arrives later, its key is already used.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from meterctl.core.booking.ledger import Ledger
from meterctl.core.domain import instants
from meterctl.core.domain.operations import Operation, Request, ReverseRefund
from meterctl.core.errors import BadInput, PaymentRefused
from meterctl.core.model import Instant
from meterctl.core.payments.booked import Credit, credits_for, shares_unknown
from meterctl.core.payments.clawbacks import back_time, is_cut, is_remembered, steps
from meterctl.core.payments.payments import Giveback, Payment, oldest_first
from meterctl.core.payments.releases import without_release
from meterctl.core.payments.sale_book import Sale, is_identified
from meterctl.core.payments.sales import Seller, check_parts, credit_for
from meterctl.core.payments.stripe.objects import payments_of
from meterctl.core.payments.stripe.reader import Reader
from meterctl.core.payments.stripe.shop import Json, MissingObject, Shop
from meterctl.core.payments.stripe.subscriptions import Subscription, assignment, plan_history, read_subscription
from meterctl.core.payments.webhooks.deliveries import Rejection
from meterctl.core.payments.webhooks.event_counts import TROUBLE, Events
from meterctl.core.payments.webhooks.events import RefundedSum, with_object
from meterctl.core.payments.webhooks.feed import Feed, Link
from meterctl.core.payments.webhooks.later_news import (
    booked_refunds,
    has_charge_credit,
    is_credited,
    shares_by_credit,
    with_later_names,
)
from meterctl.core.results import Receipt

#: Refusals that another event may lift.
_WAITS = ("unknown_session", "refund_exceeds_payment")

#: Stripe keeps an event, and sends it again on request, for this many days.
RESENT_DAYS = 30


class Booking(NamedTuple):
    """The actor and reason to book under, the shop, and the amounts to accept besides its prices."""

    actor: str
    reason: str | None = None
    shop: Shop = Shop()
    discounts: bool = False
    accept_paid: frozenset[str] = frozenset()

    @property
    def seller(self) -> Seller:
        return self.shop.seller(discounts=self.discounts, accept_paid=self.accept_paid)


class ObjectOutcome(NamedTuple):
    """The outcome for one object. ``keep``: its deliveries may be needed again."""

    status: str
    reason: str | None = None
    message: str = ""
    org: str | None = None
    keep: bool = False


class Settler:
    """Books the contents of a feed. Without a ``gateway``, incomplete events stay pending."""

    def __init__(self, ledger: Ledger, gateway: Reader | None, booking: Booking) -> None:
        self._ledger = ledger
        self._gateway = gateway
        self._booking = booking
        #: Payments read from Stripe only because of a refund; no event here concerns them.
        self._looked_up_payments: set[str] = set()

    def settle(self, feed: Feed, result: Events) -> None:
        """Book everything in ``feed``, and record the outcomes in ``result``."""
        self._read_thin(feed, result)
        open_charges = self._complete(feed)
        for name, sale in sorted(feed.sales.items(), key=lambda one: (one[1][0].at, one[0])):
            names = dict.fromkeys([name, *_names(sale)])
            for payment, outcome in self._settle_sale(sale) if name not in self._looked_up_payments else ():
                self._note(names, payment.session, outcome, feed, result)
        for link in feed.loose_links():
            self._note([link.names[0]], link.names[0], self._learn_names(link), feed, result)
        for name, (event_time, item) in feed.subscriptions.items():
            self._note([name], name, self._follow(item, event_time), feed, result)
        self._set_releases_aside(feed, result)
        result.waiting += sum(item.standing == "waiting" for item in feed.givebacks.values())
        self._claw_all([item for item in feed.givebacks.values() if item.standing != "waiting"], feed, result)
        refunds = feed.refunds_by_charge()
        for charge in open_charges:
            self._note([charge.charge], charge.charge, self._explain(charge, refunds[charge.charge]), feed, result)

    # -- gaps in the events

    def _read_thin(self, feed: Feed, result: Events) -> None:
        """Read the objects that events name but do not hold."""
        for (kind, name), event in feed.thin.items():
            if self._gateway is None:
                message = f"the event only names {name}: set STRIPE_API_KEY to read it"
                self._note([name], name, ObjectOutcome("pending", "needs_key", message), feed, result)
                continue
            item = self._gateway.object(kind, name)
            full = event if item is None else with_object(event, item, self._booking.shop)
            source = next(iter(feed.sources_of(name)), None)
            if item is None or not feed.add(full._replace(thin=None), source):
                result.count("other")

    def _complete(self, feed: Feed) -> list[RefundedSum]:
        """Fill gaps in the events from Stripe, before booking; return the charges still incomplete."""
        feed.link()
        open_charges = feed.unexplained_charges()
        for name, (item, event_time) in feed.items.items():
            sale = payments_of(item, self._booking.shop, event_time)
            if name in feed.sales and not any(part.missing_object for part in sale):
                feed.add_sale(sale)
        if self._gateway is None:
            return open_charges
        for known_sale in list(feed.sales.values()):
            if self._is_open(known_sale[0]):
                full_sale = self._gateway.sale(known_sale[0].session)
                feed.sales.pop(known_sale[0].session)
                feed.add_sale(full_sale or known_sale)
        for charge in open_charges:
            payments = self._gateway.sale(charge.charge)
            for giveback in self._gateway.givebacks_of(payments[0]) if payments else []:
                feed.add_giveback(giveback)
        self._link(feed, self._gateway)
        return []

    def _link(self, feed: Feed, gateway: Reader) -> None:
        """Read the payments of givebacks if neither the events nor the journal have them."""
        for item in feed.givebacks.values():
            if item.standing == "waiting" or is_identified(feed.find_sale(item.of)):
                continue
            credits = credits_for(self._ledger.store, item.of)
            if credits and not shares_unknown(credits):
                continue
            sale = next((parts for name in item.of if (parts := gateway.sale(name))), [])
            if sale:
                self._looked_up_payments |= {part.session for part in sale} - feed.sales.keys()
                feed.add_sale(sale)

    def _is_open(self, payment: Payment) -> bool:
        """Return True if Stripe's full object is needed to credit the payment."""
        if payment.foreign or not payment.paid:
            return False
        if payment.missing_object is not None or has_charge_credit(self._ledger.store, payment):
            return True
        try:
            credit_for(payment, self._booking.seller)
        except (PaymentRefused, BadInput) as problem:
            return payment.quantity is None and problem.code == "price_mismatch"
        return False

    # -- payments

    def _settle_sale(self, sale: Sale) -> Iterator[tuple[Payment, ObjectOutcome]]:
        """Credit the parts of a payment; yield the outcome of each."""
        if sale[0].foreign or not sale[0].paid:
            unpaid = "unpaid" if sale[0].status.startswith("complete") else "unchanged"
            yield from ((payment, ObjectOutcome("foreign" if payment.foreign else unpaid)) for payment in sale)
            return
        credits = credits_for(self._ledger.store, _names(sale))
        if is_credited(sale, credits):
            yield from ((payment, ObjectOutcome("replayed", org=credits[0].org)) for payment in sale)
            return
        try:
            check_parts(sale, credits)
        except PaymentRefused as problem:
            outcome = ObjectOutcome("conflict", problem.code, _with_hint(problem), sale[0].org)
            yield from ((payment, outcome) for payment in sale)
            return
        yield from ((payment, self._settle_payment(payment, credits)) for payment in sale)

    def _settle_payment(self, payment: Payment, credits: Sequence[Credit]) -> ObjectOutcome:
        try:
            operation = credit_for(payment, self._booking.seller, credits=credits)
        except (PaymentRefused, BadInput) as problem:
            status = "pending" if problem.code == "needs_key" else "refused"
            return ObjectOutcome(status, problem.code, _with_hint(problem), payment.org)
        return _outcome(self._book(operation, payment.at))

    def _learn_names(self, link: Link) -> ObjectOutcome:
        """Claim the further names of a payment that is credited already."""
        operations = with_later_names(credits_for(self._ledger.store, link.names), link.names)
        outcomes = [_outcome(self._book(operation, None)) for operation in operations]
        if outcomes:
            return max(outcomes, key=lambda outcome: _BADNESS[outcome.status])
        # The payment may come later, and a refund after it has only these names.
        resent_until = instants.add_days(instants.from_millis(link.created * 1000), RESENT_DAYS)
        return ObjectOutcome("unchanged", keep=self._gateway is None and resent_until > self._ledger.clock.now())

    def _follow(self, item: Json, event_time: int) -> ObjectOutcome:
        """Put an org on the plan of its subscription."""
        shop = self._booking.shop
        try:
            subscription = self._subscription(item)
        except MissingObject as missing:
            message = f"{item.get('id')} takes its org from {missing.name}: set STRIPE_API_KEY to read it"
            return ObjectOutcome("pending", "needs_key", message)
        if subscription is None:
            return ObjectOutcome("foreign")
        if subscription.org is None:
            return ObjectOutcome("refused", "no_org", f"subscription {subscription.id} names no valid org")
        if subscription.standing == "waits":
            return ObjectOutcome("waiting", org=subscription.org)
        history = plan_history(self._ledger.store, subscription.org, shop.default_plan)
        if f"plan:{subscription.id}:{event_time}" in history.keys:
            return ObjectOutcome("replayed", org=subscription.org)
        operation = assignment(subscription, history, shop, event_time, self._ledger.clock.now())
        at = instants.from_millis(event_time * 1000) if event_time else None
        return ObjectOutcome("unchanged") if operation is None else _outcome(self._book(operation, at))

    def _subscription(self, item: Json) -> Subscription | None:
        try:
            return read_subscription(item, self._booking.shop)
        except MissingObject:
            if self._gateway is None:
                raise
            return read_subscription(item, self._gateway.shop_for(item))

    # -- givebacks

    def _explain(self, charge: RefundedSum, known: Mapping[str, int]) -> ObjectOutcome:
        """Return the outcome for a charge whose events hold not all refunds but the ``known``: the others may be booked
        already."""
        credits = credits_for(self._ledger.store, [name for name in (charge.intent, charge.charge) if name])
        refunds = {**booked_refunds(credits), **known}
        if sum(refunds.values()) >= charge.cents:
            return ObjectOutcome("replayed")
        return ObjectOutcome("pending", "refunds_unknown", _UNNAMED)

    def _set_releases_aside(self, feed: Feed, result: Events) -> None:
        """Take out the refunds that only release the uncaptured rest of a payment."""
        for sale in list(feed.sales.values()):
            if not sale[0].released:
                continue
            names = set(_names(sale))
            own = [item for item in feed.givebacks.values() if names & set(item.of)]
            if self._gateway is None:
                own = without_release(own, sale[0], _unknown)
            elif own:  # an event may be missing here
                own = self._gateway.givebacks_of(sale[0])
            for item in own:
                known = feed.givebacks.get(item.id)
                if known is None or known.standing != "given":
                    continue
                if item.standing == "void":
                    feed.givebacks[item.id] = item
                elif item.standing == "waiting":
                    del feed.givebacks[item.id]
                    outcome = ObjectOutcome("pending", "release_or_refund", _DOUBT.format(item, sale[0]))
                    self._note([item.id], item.id, outcome, feed, result, payment_names=_names(sale))

    def _claw_all(self, items: Sequence[Giveback], feed: Feed, result: Events) -> None:
        """Book givebacks oldest first; retry the refused ones while others free cents of the payment."""
        # Returned money goes first: it frees cents of the payment.
        rest = sorted(oldest_first(items), key=lambda item: item.standing == "given")
        progress = True
        while rest and progress:  # bounded: each turn settles one, or is the last
            outcomes = [(item, self._claw(item, feed)) for item in rest]
            rest = [item for item, outcome in outcomes if outcome.status == "pending"]
            progress = any(outcome.status in ("applied", "planned") for _, outcome in outcomes)
            for item, outcome in outcomes:
                if outcome.status != "pending" or not progress:
                    sale = feed.find_sale(item.of)
                    self._note([item.id], item.id, outcome, feed, result, payment_names=_names(sale or ()))

    def _claw(self, item: Giveback, feed: Feed) -> ObjectOutcome:
        """Bring the journal up to date with a giveback, on every part of its payment."""
        sale = feed.find_sale(item.of)
        if not is_identified(sale) and self._gateway is None:
            sale = None
        credits = credits_for(self._ledger.store, item.of if sale is None else [*item.of, *_names(sale)])
        if sale is not None and credits and sale[0].missing_object is not None:
            sale = None  # without its items, only the journal has the payment's parts
        if sale is None and (not credits or shares_unknown(credits)):
            if self._gateway is None or not item.of:
                return ObjectOutcome("pending", "unknown_payment", _UNLINKED.format(" or ".join(item.of)))
            sale = ()  # Stripe has none either
        if not credits:
            if not sale or sale[0].foreign:
                return ObjectOutcome("foreign")
            return ObjectOutcome("pending", "unknown_session", f"{sale[0].session} is not credited yet")
        outcomes = [self._claw_part(share, credit) for share, credit in shares_by_credit(item, sale, credits)]
        return max(outcomes, key=lambda outcome: _BADNESS[outcome.status])

    def _claw_part(self, item: Giveback, credit: Credit) -> ObjectOutcome:
        outcome = ObjectOutcome("unchanged", org=credit.org)
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
        if outcome.reason in _WAITS and item.standing != "returned":
            return outcome._replace(status="pending")
        if outcome.reason in _WAITS:  # the payment has no cents left to record money that came back
            outcome = ObjectOutcome("unchanged", org=credit.org)
        return outcome._replace(keep=self._is_needed_again(item, credit))

    def _is_needed_again(self, item: Giveback, credit: Credit) -> bool:
        """Return True if the news must be kept, because the payment's limit left no room for it.

        There may be room once other money comes back. Then a cut clawback grows, and older news would be booked.
        """
        now = next((one for one in credits_for(self._ledger.store, [credit.name]) if one.seq == credit.seq), credit)
        if item.standing == "given":
            claws = now.clawed(item.id)
            is_short = sum(claw.cents for claw in claws) < item.cents and now.remaining_cents == 0
            return is_short and (not claws or is_cut(now, claws))
        resent_until = instants.add_days(back_time(item) or item.at, RESENT_DAYS)
        return item.standing == "returned" and not is_remembered(item, now) and resent_until > self._ledger.clock.now()

    def _book(self, operation: Operation, at: Instant | None) -> Receipt:
        return self._ledger.one(Request(operation, self._booking.actor, self._booking.reason, at))

    def _note(
        self,
        names: Iterable[str],
        about: str,
        outcome: ObjectOutcome,
        feed: Feed,
        result: Events,
        *,
        payment_names: Iterable[str] = (),
    ) -> None:
        """Record the outcome for the object ``about``; ``names`` find the deliveries that brought it."""
        sources = feed.sources_of(*names)
        result.count(outcome.status)
        if outcome.keep or outcome.status in ("pending", "refused"):
            # Keep the payment's own event too: it links the giveback to it.
            result.to_keep += [*sources, *feed.sources_of(*payment_names)]
        if outcome.status in ("refused", "conflict"):
            result.rejections += [Rejection(source, outcome.reason, outcome.message) for source in sources]
        if outcome.status not in TROUBLE:
            return
        result.add_problem(
            outcome.status,
            {
                "line": sources[0].line if sources else None,
                "event": sources[0].event if sources else None,
                "object": about,
                "org": outcome.org,
                "status": outcome.status,
                "reason": outcome.reason,
                "message": outcome.message,
            },
        )


#: Outcomes from best to worst: the worst of a payment's parts is reported for all.
_STATUSES = ("disabled", "unchanged", "replayed", "planned", "applied", "pending", "failed", "refused", "conflict")
_BADNESS = {status: rank for rank, status in enumerate(_STATUSES)}


def _names(sale: Iterable[Payment]) -> list[str]:
    return list(dict.fromkeys(name for part in sale for name in part.all_names))


def _unknown(_: Giveback) -> None:
    """Answer no question about a refund: there is no key."""


def _with_hint(problem: PaymentRefused | BadInput) -> str:
    return f"{problem.message}; {problem.hint}" if problem.hint else problem.message


_UNNAMED = (
    "the charge was refunded, but no event names the refund: send refund.created events too, or set STRIPE_API_KEY"
)
_DIFFERS = (
    "{0.id} gave back {0.cents} {0.currency}, but the journal of {1} has another amount or payment for it: "
    "to mend it, run: meterctl reconcile stripe"
)
_DOUBT = (
    "{0.id} is either a refund or the {0.cents} {0.currency} of {1.session} that were never captured: "
    "set STRIPE_API_KEY, and Stripe tells"
)
_ANEW = "to credit it anew, save a plan: meterctl reconcile stripe --plan-out FILE"
_UNLINKED = "the payment of {} is unknown: add the payment's own event, or set STRIPE_API_KEY"


def _outcome(receipt: Receipt) -> ObjectOutcome:
    anew = receipt.status == "conflict" and receipt.undone_by is not None
    message = f"{receipt.message}; {_ANEW}" if anew else receipt.message
    return ObjectOutcome(receipt.status, receipt.reason, message, receipt.org)
